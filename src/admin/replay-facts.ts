/** A line of the audit file → what was known when the decision was made, without what was decided. */
import { z } from 'zod'
import type { Caller } from '../core/caller.ts'
import { parseSpiffeId } from '../core/spiffe-id.ts'
import type { Bounds, DatabaseKind, Operation, ResolvedTarget, Shape, Target, TenantClaim, VectorCall } from '../core/vector-call.ts'
import { recordedCaller } from '../identity/recorded-caller.ts'

/** What a policy is asked about. */
export interface CallFacts {
  /** Milliseconds since the epoch. */
  readonly at: number
  /** Undefined: nobody was proven. */
  readonly caller: Caller | undefined
  readonly database: string
  /** What the call says that it is for. */
  readonly purpose: string | undefined
  /** Undefined: it never came to reading it. */
  readonly call: VectorCall | undefined
  /** Undefined where a target is known by an id only. */
  readonly targets: readonly ResolvedTarget[] | undefined
}

/** What the record says was decided. */
export interface Recorded {
  readonly id: string
  readonly ts: string
  readonly verdict: 'allow' | 'deny'
  readonly reason: string | undefined
  readonly because: string | undefined
  readonly rule: string | undefined
  readonly tenant: string | undefined
  readonly revision: string
  /** Somebody else had said yes. */
  readonly approved: boolean
}

export type ReadRecord =
  | { readonly ok: true; readonly facts: CallFacts; readonly recorded: Recorded }
  | { readonly ok: false; readonly says: string }

const OPERATIONS = ['search', 'read', 'write', 'delete', 'define', 'drop', 'export', 'observe', 'probe'] as const
const text = z.string().optional()
const boundsSchema = z.object({
  shards: z.array(z.string().nullable()).optional(),
  pins: z.record(z.string(), z.string().nullable()).optional(),
  changes: z.array(z.string()).optional(),
  unpinned: text,
  unsharded: text
})
const scopeSchema = z.object({
  kind: z.enum(['name', 'id', 'every', 'none']),
  namespace: text,
  name: text,
  id: text,
  claim: z.enum(['path', 'native']).optional(),
  claimed: z.string().nullish(),
  bounds: boundsSchema.optional()
})
const userSchema = z.object({ issuer: z.string(), sub: z.string(), jti: text, tenants: z.array(z.string()).default([]) })
/** A record may have more fields than are asked here. */
const recordSchema = z.object({
  ts: z.iso.datetime(),
  decision_id: z.string(),
  verdict: z.enum(['allow', 'deny']),
  reason: text,
  because: text,
  rule: text,
  caller: z
    .object({ spiffe_id: z.string(), evidence: z.enum(['x509-svid', 'jwt-svid']), serial: text, jti: text, carrier: text })
    .optional(),
  subject_chain: z.tuple([userSchema]).rest(z.string()).optional(),
  tenant: text,
  database: text,
  purpose: text,
  endpoint: text,
  operation: z.enum(OPERATIONS).optional(),
  dataset_scope: z.array(scopeSchema).default([]),
  shape: z
    .object({
      queries: z.number(),
      top_k: z.number().nullable(),
      records: z.number(),
      vectors_out: z.boolean(),
      dimensions: z.number()
    })
    .optional(),
  approval: z.object({ state: z.string() }).optional(),
  policy_revision: z.string()
})
type Written = z.infer<typeof recordSchema>

export function readRecord(line: string): ReadRecord {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    return { ok: false, says: 'The line is no JSON' }
  }
  const read = recordSchema.safeParse(value)
  if (!read.success) {
    const { path = [], message = '' } = read.error.issues[0] ?? {}
    return { ok: false, says: `No audit record: ${path.map(String).join('.') || 'the line'}: ${message}` }
  }
  const { decision_id: id, ts, verdict, reason, because, rule, tenant, approval, policy_revision: revision } = read.data
  const caller = callerOf(read.data)
  if (caller === 'bad') return { ok: false, says: 'No audit record: caller.spiffe_id is no SPIFFE ID' }
  return {
    ok: true,
    facts: factsOf(read.data, caller),
    recorded: { id, ts, verdict, reason, because, rule, tenant, revision, approved: approval?.state === 'approved' }
  }
}

function factsOf(written: Written, caller: Caller | undefined): CallFacts {
  const { ts, database = '', purpose, endpoint, operation, dataset_scope: scope, shape, tenant } = written
  const facts = { at: Date.parse(ts), caller, database, purpose }
  if (endpoint === undefined || operation === undefined || shape === undefined) return { ...facts, call: undefined, targets: undefined }
  const targets = scope.map((one) => targetOf(one, tenant))
  const resolved = targets.map(resolvedOf)
  const call = callOf(endpoint, operation, targets, {
    queries: shape.queries,
    topK: shape.top_k ?? Number.POSITIVE_INFINITY,
    records: shape.records,
    vectorsOut: shape.vectors_out,
    dimensions: shape.dimensions,
    vectors: []
  })
  const known = resolved.filter((one) => one !== undefined)
  return { ...facts, call, targets: known.length === resolved.length ? known : undefined }
}

/** A call that was read elsewhere. Policy knows databases by their ids, so the kind says nothing here. */
export function callOf(endpoint: string, operation: Operation, targets: readonly Target[], shape: Shape): VectorCall {
  return { database: 'chroma' satisfies DatabaseKind, endpoint, operation, targets, shape }
}

/** As the record says it was proven. */
function callerOf({ caller, subject_chain: chain, ts }: Written): Caller | 'bad' | undefined {
  if (caller === undefined) return undefined
  const id = parseSpiffeId(caller.spiffe_id)
  const carrier = caller.carrier === undefined ? undefined : parseSpiffeId(caller.carrier)
  if (!id.ok || carrier?.ok === false) return 'bad'
  const user = chain?.[0]
  const proof = { id: id.id, evidence: caller.evidence, serial: caller.serial, tokenId: caller.jti, carrier: carrier?.id }
  const subject = user && { issuer: user.issuer, id: user.sub, tenants: user.tenants, tokenId: user.jti }
  return recordedCaller({ ...proof, user: subject }, Date.parse(ts))
}

function targetOf(
  { kind, namespace, name = '', id = '', claim, claimed, bounds }: Written['dataset_scope'][number],
  proved?: string
): Target {
  // A claim that could be nobody's name is written as null; no tenant of any policy is called that.
  const tenant: TenantClaim =
    claim === undefined ? { kind: 'none' } : { kind: claim, tenant: (claimed === undefined ? proved : claimed) ?? '' }
  const collection = kind === 'name' ? ({ kind, name } as const) : kind === 'id' ? ({ kind, id } as const) : ({ kind } as const)
  return { tenant, namespace, collection, ...(bounds === undefined ? {} : { bounds: readBounds(bounds) }) }
}

function readBounds({ shards, pins = {}, changes = [], unpinned, unsharded }: z.infer<typeof boundsSchema>): Bounds {
  return {
    shards: shards?.map((one) => one ?? ''),
    pins: new Map(Object.entries(pins).map(([field, value]) => [field, value ?? ''])),
    changes,
    unpinned,
    unsharded
  }
}

/** A target whose collection has a name, or needs none. Whose it is comes out when the tenant is known. */
export function resolvedOf({ tenant: claim, collection, namespace, bounds }: Target): ResolvedTarget | undefined {
  if (collection.kind === 'id') return undefined
  const tenant = claim.kind === 'none' ? '' : claim.tenant
  return { tenant, namespace, collection, claim, ...(bounds === undefined ? {} : { bounds }) }
}
