/** What every Milvus call says about its place: database, collection, partitions. Faults are thrown as `fail` does. */
import type { Result } from '../core/deny-reason.ts'
import { SHARDS_MAX } from '../core/limits.ts'
import { type Bounds, NO_SHAPE, type Shape, type Target } from '../core/vector-call.ts'
import { fail, quote } from './json-reader.ts'
import { readProto } from './protobuf.ts'
import type { MessageTable } from './protobuf-fields.ts'

/** What a message comes to. */
export interface Facts {
  readonly targets: readonly Target[]
  readonly shape: Shape
}

/** @param header the `dbname` metadata of the call */
export type ReadFacts = (message: Uint8Array, header: string | undefined) => Facts

/** Reads a message; a fault is thrown. */
export function read<T>(message: Uint8Array, table: MessageTable<T>): T {
  return accepted(readProto(message, table))
}

export function accepted<T>(result: Result<T>): T {
  if (!result.ok) throw result
  return result.value
}

/** What the server uses where neither message nor metadata name a database. */
const DEFAULT_DATABASE = 'default'
/** The server's own rule for names of databases, collections and aliases; what it forbids has no second spelling. */
const NAME = /^[A-Za-z_][A-Za-z0-9_$]{0,254}$/
/** Without `$`: a setting of old servers takes partition names for regular expressions, and these mean themselves. */
const PARTITION = /^[A-Za-z_][A-Za-z0-9_]{0,254}$/

export interface Named {
  readonly db_name: string | undefined
  readonly collection_name: string | undefined
}

/** The message's own name wins on the server, so one in the metadata must be the same. */
export function databaseOf(named: string | undefined, header: string | undefined): string {
  const own = named ?? ''
  const outer = header ?? ''
  if (own !== '' && outer !== '' && own !== outer)
    fail('call-ambiguous', 'db_name and the dbname metadata differ', 'Name the database once, or the same one twice.')
  const name = own === '' ? outer : own
  return name === '' ? DEFAULT_DATABASE : checked(name, NAME, 'database')
}

export function collectionNameOf(name: string | undefined): string {
  return checked(name ?? '', NAME, 'collection')
}

function checked(name: string, rule: RegExp, what: string): string {
  if (!rule.test(name)) fail('call-unreadable', `${quote(name)} is no name of a ${what}`, `Name the ${what} with letters, digits and _.`)
  return name
}

export function targetOf({ db_name, collection_name }: Named, header: string | undefined, bounds?: Bounds): Target {
  const namespace = databaseOf(db_name, header)
  const target = { tenant: { kind: 'none' }, namespace, collection: { kind: 'name', name: collectionNameOf(collection_name) } } as const
  return bounds === undefined ? target : { ...target, bounds }
}

/** Each partition once; undefined where none is named, which means all of them. */
export function partitionsOf(names: readonly string[] | undefined): readonly string[] | undefined {
  const given = new Set((names ?? []).map((name) => checked(name, PARTITION, 'partition')))
  if (given.size > SHARDS_MAX) fail('call-too-large', `more than ${SHARDS_MAX} partitions`)
  return given.size === 0 ? undefined : [...given]
}

/** A single partition, where the empty name is none. */
export function partitionOf(name: string | undefined): readonly string[] | undefined {
  return partitionsOf(name === undefined || name === '' ? [] : [name])
}

export const NO_PINS: ReadonlyMap<string, string> = new Map()

/** A call about a collection and its whole message, with nothing more to know. */
export function onCollection(table: MessageTable<Named>): ReadFacts {
  return (message, header) => ({ targets: [targetOf(read(message, table), header)], shape: NO_SHAPE })
}

/** The parts of a message that set other rules of isolation aside, or bring in a kind of tenant that policy knows nothing of. */
export interface Asides {
  readonly namespace: string | undefined
  readonly rls_principal: string | undefined
  readonly skip_rls: boolean | undefined
}

export function refuseAsides({ namespace, rls_principal, skip_rls }: Asides): void {
  if ((namespace ?? '') !== '')
    fail('call-unreadable', 'the call names a namespace', 'Leave namespace out: tenants are not told apart by it here.')
  if ((rls_principal ?? '') !== '') fail('call-unreadable', 'the call chooses its own rls_principal', 'Leave rls_principal out.')
  if (skip_rls === true) fail('call-unreadable', 'the call asks to skip row policies', 'Leave skip_rls out.')
}
