/** Files of policy tests: their shape, and the calls that their cases stand for. */
import { z } from 'zod'
import { readYaml } from '../config/read-yaml.ts'
import type { Settings } from '../config/settings-schema.ts'
import type { Caller } from '../core/caller.ts'
import { DENIALS, type DenyKind } from '../core/deny-reason.ts'
import { ACTIONS } from '../core/policy-document.ts'
import { parseSpiffeId } from '../core/spiffe-id.ts'
import { type Bounds, NO_SHAPE, type Operation, type Shape, type Target, type TenantClaim } from '../core/vector-call.ts'
import { recordedCaller } from '../identity/recorded-caller.ts'
import type { ResolvedName, Written } from './check-edges.ts'
import { faulty, readBytes } from './check-terminal.ts'
import { describes } from './explain-rules.ts'
import { type CallFacts, callOf, resolvedOf } from './replay-facts.ts'

const count = z.int().min(0)
const call = z
  .strictObject({
    database: z.string(),
    operation: z.enum([...ACTIONS, 'probe']),
    tenant: z.string().optional(),
    namespace: z.string().optional(),
    collection: z.string().optional(),
    purpose: z.string().optional(),
    top_k: z.union([count, z.literal('unbounded')]).optional(),
    queries: count.optional(),
    records: count.optional(),
    vectors_out: z.boolean().optional()
  })
  .optional()
const request = z
  .strictObject({
    method: z.string(),
    path: z.string(),
    host: z.string().optional(),
    headers: z.record(z.string(), z.string()).optional(),
    body: z.string().optional(),
    json: z.unknown().optional()
  })
  .optional()
const testCase = z
  .strictObject({
    name: z.string().min(1),
    caller: z.string().refine((text) => parseSpiffeId(text).ok, 'must be a SPIFFE ID'),
    user: z.strictObject({ issuer: z.string(), tenants: z.array(z.string()) }).optional(),
    at: z.iso.datetime({ offset: true }).optional(),
    call,
    request,
    expect: z.enum(['allow', 'deny', ...(Object.keys(DENIALS) as DenyKind[])])
  })
  .refine((one) => (one.call === undefined) !== (one.request === undefined), 'needs either a call or a request')
const testFileSchema = z.strictObject({
  version: z.literal(1),
  resolved: z.record(z.string(), z.strictObject({ name: z.string(), tenant: z.string(), namespace: z.string() })).optional(),
  cases: z.array(testCase).min(1)
})

export type TestCase = z.infer<typeof testCase>
export type TestCall = NonNullable<TestCase['call']>
export type TestRequest = NonNullable<TestCase['request']>

export interface TestFile {
  readonly file: string
  readonly resolved: ReadonlyMap<string, ResolvedName>
  readonly cases: readonly { readonly line: number; readonly test: TestCase }[]
}

/** Throws `Unreadable` with every fault of the file. */
export function readTests(file: string): TestFile {
  const read = readYaml(file, readBytes(file).toString('utf8'), testFileSchema)
  if (!read.ok) return faulty(read.faults.map((one) => ({ ...one, remedy: 'docs/commands.md shows the form of tests.' })))
  const { cases, resolved = {} } = read.value
  return {
    file,
    resolved: new Map(Object.entries(resolved)),
    cases: cases.map((test, at) => ({ test, line: read.placeOf(['cases', at]).line }))
  }
}

/** What a case says, as if it had been proven and read; its tenant is proved in the way that the policy keeps tenants apart there. */
export function factsOfCase({ caller, user, at }: TestCase, call: TestCall, settings: Settings, written: Written, now: number): CallFacts {
  const { database, operation, purpose } = call
  const moment = at === undefined ? now : Date.parse(at)
  const targets = operation === 'probe' ? [] : [targetOf(call, settings, written)]
  const resolved = targets.map(resolvedOf).filter((one) => one !== undefined)
  const facts = { at: moment, caller: callerOf(caller, user, moment), database, purpose }
  // A deletion is by ids, unless the case says that there are none; of a definition nobody knows that it changes nothing.
  const endpoint = operation === 'delete' ? 'records.delete' : `test.${operation}`
  return { ...facts, call: callOf(endpoint, operation, targets, shapeOf(call)), targets: resolved }
}

function callerOf(text: string, user: TestCase['user'], at: number): Caller | undefined {
  const id = parseSpiffeId(text)
  if (!id.ok) return undefined
  const proof = { id: id.id, evidence: 'x509-svid' as const, serial: undefined, tokenId: undefined, carrier: undefined }
  return recordedCaller({ ...proof, user: user && { ...user, id: 'user', tokenId: undefined } }, at)
}

function targetOf({ database, tenant, namespace, collection }: TestCall, settings: Settings, { document }: Written): Target {
  const filled = (text: string | undefined) => text?.replaceAll('{tenant}', tenant ?? '{tenant}')
  const name = filled(collection)
  const ref =
    name === undefined ? ({ kind: 'none' } as const) : name === '*' ? ({ kind: 'every' } as const) : ({ kind: 'name', name } as const)
  const place = { database, namespace: filled(namespace), collection: ref }
  const entry = document.collections.find((one) => describes(one, place, tenant ?? ''))
  const isChroma = settings.databases.find(({ id }) => id === database)?.kind === 'chroma'
  const tenancy = entry?.tenancy ?? (isChroma ? 'path' : 'native')
  const claimed = tenant !== undefined && (tenancy === 'path' || tenancy === 'native')
  const claim: TenantClaim = claimed ? { kind: tenancy, tenant } : { kind: 'none' }
  const field = typeof tenancy === 'string' ? undefined : tenancy.filter
  const bounds: Bounds = {
    shards: tenancy === 'shard' && tenant !== undefined ? [tenant] : undefined,
    pins: new Map(field === undefined || tenant === undefined ? [] : [[field, tenant]]),
    changes: [],
    unpinned: undefined,
    unsharded: undefined
  }
  return { tenant: claim, namespace: place.namespace, collection: ref, bounds }
}

/** The smallest call of its kind, where the case says no more. */
const USUAL: Partial<Record<Operation, Partial<Shape>>> = {
  search: { queries: 1, topK: 1 },
  read: { topK: 1 },
  write: { records: 1 },
  delete: { records: 1 }
}

function shapeOf({ operation, top_k, queries, records, vectors_out }: TestCall): Shape {
  const usual = { ...NO_SHAPE, ...USUAL[operation] }
  return {
    ...usual,
    topK: top_k === 'unbounded' ? Number.POSITIVE_INFINITY : (top_k ?? usual.topK),
    queries: queries ?? usual.queries,
    records: records ?? usual.records,
    vectorsOut: vectors_out ?? false
  }
}
