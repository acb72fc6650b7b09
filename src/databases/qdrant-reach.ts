/** What one Qdrant call comes to, gathered while it is read; the same for REST and gRPC. */
import { accept, type Result, refuse } from '../core/deny-reason.ts'
import { PLACES_MAX, SHARDS_MAX, VECTORS_MAX } from '../core/limits.ts'
import type { Bounds, Operation, Shape } from '../core/vector-call.ts'
import { fail } from './json-reader.ts'
import { both, either, NO_PINS, type Pins, touched } from './qdrant-pins.ts'

/** `shard_key`: the keys that are named, or undefined for all shards. */
export interface Shards {
  readonly keys: readonly string[] | undefined
  readonly unsharded: string | undefined
}

export const ALL_SHARDS: Shards = { keys: undefined, unsharded: undefined }

/** Another place that records are read from by id (`lookup_from`, `with_lookup`). */
export interface Lookup {
  readonly collection: string
  readonly shards: Shards
}

/** A batch holds several parts; each has bounds of its own. */
export interface Reach {
  readonly vectors: Float32Array[]
  /** Rows of each example of a query. */
  readonly rows: number[]
  readonly parts: Bounds[]
  /** By what they say. */
  lookups: Map<string, Lookup> | undefined
  /** What the parts do, so that a mixed batch is noticed. */
  does: readonly Operation[]
  queries: number
  topK: number
  records: number
  vectorsOut: boolean
}

export function newReach(): Reach {
  return { vectors: [], rows: [], parts: [], lookups: undefined, does: [], queries: 0, topK: 0, records: 0, vectorsOut: false }
}

function addOperation(reach: Reach, operation: Operation): void {
  const { does } = reach
  if (does.length === 0) reach.does = [operation]
  else if (!does.includes(operation)) reach.does = [...does, operation]
}

export function addVectors(reach: Reach, vectors: readonly Float32Array[]): void {
  if (reach.vectors.length + vectors.length > VECTORS_MAX) fail('call-too-large', `more than ${VECTORS_MAX} vectors`)
  for (const vector of vectors) reach.vectors.push(vector)
}

/** The vectors of records by their names, in the order of the names: that of the text says nothing. */
export function addNamedVectors(reach: Reach, named: readonly (readonly [string, readonly Float32Array[]])[]): void {
  const inOrder = named.length < 2 ? named : [...named].sort(([one], [other]) => (one < other ? -1 : 1))
  for (const [, vectors] of inOrder) addVectors(reach, vectors)
}

/** What an example of a query is: a vector of its own, or the id of a record whose vector is taken. */
export interface Examples {
  /** Similarity queries among them. */
  queries: number
  ids: boolean
  /** Targets; what is alike; what is not. In this order, whatever that of the text. */
  readonly vectors: readonly [Float32Array[], Float32Array[], Float32Array[]]
  /** Rows of each of them that is a vector: several for a multi-vector. */
  readonly rows: readonly [number[], number[], number[]]
}

export type Bucket = 0 | 1 | 2

export function newExamples(queries = 0): Examples {
  return { queries, ids: false, vectors: [[], [], []], rows: [[], [], []] }
}

/** Reads one example, which is as many rows as it adds. */
export function addExample({ vectors, rows }: Examples, bucket: Bucket, read: (into: Float32Array[]) => void): void {
  const into = vectors[bucket]
  const before = into.length
  read(into)
  if (into.length > before) rows[bucket].push(into.length - before)
}

/** A query or a prefetch. */
export interface QueryNode {
  readonly examples: Examples
  readonly pins: Pins
  /** What the records have that terms are counted in; undefined where the search names none. */
  readonly corpus: Pins | undefined
  readonly limit: number | undefined
  readonly lookup: Lookup | undefined
  readonly children: readonly QueryNode[]
}

/** The parts of a query that only its root has. */
export interface QueryRoot {
  readonly shards: Shards
  readonly vectorsOut: boolean
  /** Undefined without groups. */
  readonly groupSize: number | undefined
  readonly withLookup: string | undefined
}

/** Qdrant's own where the call does not say (CollectionQueryRequest::DEFAULT_LIMIT, DEFAULT_GROUP_SIZE). */
const LIMIT_DEFAULT = 10
export const GROUP_SIZE_DEFAULT = 3

const BY_ID = 'a query takes the vector of a record that it names by id'
const LOOKUP = 'a lookup reads records by id'

export function addQuery(reach: Reach, node: QueryNode, root: QueryRoot): void {
  const seen: Seen = { queries: 0, topK: 0, ids: false, corpora: [] }
  visit(reach, node, root.groupSize ?? 1, seen)
  if (root.withLookup !== undefined) addPlace(reach, { collection: root.withLookup, shards: ALL_SHARDS })
  addOperation(reach, seen.queries > 0 ? 'search' : 'read')
  reach.queries += seen.queries
  reach.topK = Math.max(reach.topK, seen.topK)
  reach.vectorsOut ||= root.vectorsOut
  const byId = seen.ids ? BY_ID : undefined
  const { keys, unsharded } = root.shards
  // No filter is handed down to a corpus.
  const pins = seen.corpora.length === 0 ? pinsOf(node) : either([pinsOf(node), ...seen.corpora])
  reach.parts.push({ shards: keys, pins, changes: [], unpinned: byId, unsharded: unsharded ?? byId })
}

/** Each place once, however many parts of a batch look there: it is granted and recorded apart. */
function addPlace(reach: Reach, { collection, shards }: Lookup): void {
  const lookups = reach.lookups ?? new Map<string, Lookup>()
  reach.lookups = lookups
  const place = JSON.stringify([collection, shards.keys, shards.unsharded])
  if (lookups.has(place)) return
  if (lookups.size === PLACES_MAX) fail('call-too-large', `more than ${PLACES_MAX} places are looked up`, 'Split the batch.')
  lookups.set(place, { collection, shards })
}

interface Seen {
  queries: number
  topK: number
  ids: boolean
  readonly corpora: Pins[]
}

function visit(reach: Reach, { examples, corpus, limit, lookup, children }: QueryNode, groupSize: number, seen: Seen): void {
  seen.queries += examples.queries
  for (const vectors of examples.vectors) addVectors(reach, vectors)
  for (const rows of examples.rows) for (const count of rows) reach.rows.push(count)
  if (corpus !== undefined) seen.corpora.push(corpus)
  seen.topK = Math.max(seen.topK, (limit ?? LIMIT_DEFAULT) * groupSize)
  // With `lookup_from` the ids are of that place, which then is a target itself.
  if (lookup !== undefined) addPlace(reach, lookup)
  else if (examples.ids) seen.ids = true
  for (const child of children) visit(reach, child, 1, seen)
}

/**
 * A filter is handed down to all prefetches below it, and a query over prefetches ranks what they found and nothing else
 * (lib/shard/src/query/planned_query.rs of 1.19).
 */
function pinsOf({ pins, children }: QueryNode): Pins {
  return children.length === 0 ? pins : both(pins, either(children.map(pinsOf)))
}

/** A read of records by filter: scroll, count, facet. */
export function addRead(reach: Reach, pins: Pins, { keys, unsharded }: Shards, topK: number, vectorsOut: boolean): void {
  addOperation(reach, 'read')
  reach.topK = Math.max(reach.topK, topK)
  reach.vectorsOut ||= vectorsOut
  reach.parts.push({ shards: keys, pins, changes: [], unpinned: undefined, unsharded })
}

/** A read of records by id, which no filter can narrow. */
export function addLookup(reach: Reach, ids: number, { keys, unsharded }: Shards, vectorsOut: boolean): void {
  addOperation(reach, 'read')
  reach.records += ids
  reach.topK = Math.max(reach.topK, ids)
  reach.vectorsOut ||= vectorsOut
  reach.parts.push({ shards: keys, pins: NO_PINS, changes: [], unpinned: 'records are named by id', unsharded })
}

/** Whole records, or (without `payloads`) new vectors for records that there are. */
export interface Written {
  readonly records: number
  /** What the payloads of all records prove. */
  readonly payloads: Pins | undefined
  /** `update_filter`. */
  readonly filter: Pins | undefined
  /** Records that exist are left alone. */
  readonly insertOnly: boolean
  readonly shards: Shards
}

const OVERWRITES = 'records of that id are overwritten, whoever they belong to: there is no update_filter and no insert_only'

export function addWrite(reach: Reach, { records, payloads, filter, insertOnly, shards }: Written): void {
  addOperation(reach, 'write')
  reach.records += records
  // Only what holds before and after is proved.
  const before = insertOnly ? payloads : filter
  const pins = payloads === undefined ? (filter ?? NO_PINS) : either([payloads, before ?? NO_PINS])
  const unpinned = before === undefined ? OVERWRITES : undefined
  reach.parts.push({ shards: shards.keys, pins, changes: [], unpinned, unsharded: shards.unsharded })
}

/** Which records a change or deletion is about: of ids and filter exactly one. */
export interface Selected {
  readonly ids: number | undefined
  readonly filter: Pins | undefined
  readonly shards: Shards
}

/** @param changes fields, or `*` */
export function addChange(reach: Reach, does: Operation, { ids, filter, shards }: Selected, changes: readonly string[]): void {
  if (ids !== undefined && filter !== undefined) {
    const remedy = 'Name the records by filter alone; ids go into it as has_id.'
    fail('call-ambiguous', 'the call names records by ids and by filter, and the ids would win', remedy)
  }
  if (ids === undefined && filter === undefined) fail('call-ambiguous', 'the call names no records', 'Name the records by filter.')
  addOperation(reach, does)
  reach.records += ids ?? 0
  const pins = filter ?? NO_PINS
  const unpinned = ids === undefined ? undefined : 'records are named by ids and not by a filter'
  reach.parts.push({ shards: shards.keys, pins, changes: touched(changes, pins), unpinned, unsharded: shards.unsharded })
}

/** @returns what all parts do, undefined for a call without parts; a batch that does several things is refused */
export function operationOf({ does }: Reach): Result<Operation | undefined> {
  if (does.length < 2) return accept(does[0])
  const remedy = 'Send searches, reads, writes and deletions in calls of their own.'
  return refuse('call-ambiguous', `a batch that does several things: ${does.join(', ')}`, remedy)
}

export function boundsOf({ parts }: Reach): Bounds {
  const [only] = parts
  if (only !== undefined && parts.length === 1) return only
  const shards = parts.every((part) => part.shards !== undefined) ? [...new Set(parts.flatMap((part) => part.shards ?? []))] : undefined
  // So many are as good as all: none of them is the only one, and each would be in the record.
  const several = shards === undefined || shards.length > SHARDS_MAX || parts.length === 0
  return {
    shards: several ? undefined : shards,
    pins: either(parts.map((part) => part.pins)),
    changes: [...new Set(parts.flatMap((part) => part.changes))],
    unpinned: parts.find((part) => part.unpinned !== undefined)?.unpinned,
    unsharded: parts.find((part) => part.unsharded !== undefined)?.unsharded
  }
}

export function lookupBounds({ shards }: Lookup): Bounds {
  return { shards: shards.keys, pins: NO_PINS, changes: [], unpinned: LOOKUP, unsharded: shards.unsharded }
}

export function shapeOf({ queries, topK, records, vectorsOut, vectors, rows }: Reach): Shape {
  let dimensions = 0
  for (const { length } of vectors) if (length > dimensions) dimensions = length
  return { queries, topK, records, vectorsOut, dimensions, vectors, ...(rows.some((count) => count > 1) ? { rows } : {}) }
}
