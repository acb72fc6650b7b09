/** A line of an audit file → what it says about what is used. */
import { z } from 'zod'
import type { Use, UsedTarget } from '../usage/usage.ts'

const text = z.string().optional()
/** A record has more fields than are asked here. */
const schema = z.object({
  ts: z.iso.datetime(),
  decision_id: z.string(),
  verdict: z.enum(['allow', 'deny']),
  reason: text,
  caller: z.object({ spiffe_id: z.string(), evidence: z.enum(['x509-svid', 'jwt-svid']), serial: text, not_after: z.string() }).optional(),
  tenant: text,
  database: text,
  operation: text,
  dataset_scope: z.array(z.object({ kind: z.enum(['name', 'id', 'every', 'none']), namespace: text, name: text })).default([]),
  shape: z.object({ top_k: z.number().nullable() }).optional(),
  client_credentials: z.array(z.string()).default([]),
  policy_revision: z.string(),
  chain: z.object({ run: z.string(), stream: z.string(), seq: z.int().min(0) }).optional()
})
type Written = z.infer<typeof schema>

/** What holds lines together, where the server was told to do so. */
export type Link = NonNullable<Written['chain']>

export type ReadUse =
  /** `use`: undefined where nobody was proven. */
  | { readonly kind: 'decision'; readonly at: number; readonly use: Use | undefined; readonly link: Link | undefined }
  /** What operators did, how workloads stand, and the life of a request are in the same file. */
  | { readonly kind: 'other'; readonly link: Link | undefined }
  | { readonly kind: 'bad'; readonly says: string }

const other = z.object({ ts: z.string(), kind: z.string(), chain: schema.shape.chain })

export function readUse(line: string): ReadUse {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    return { kind: 'bad', says: 'The line is no JSON' }
  }
  const read = schema.safeParse(value)
  if (read.success) return { kind: 'decision', at: Date.parse(read.data.ts), use: useOf(read.data), link: read.data.chain }
  const act = other.safeParse(value)
  if (act.success) return { kind: 'other', link: act.data.chain }
  const { path = [], message = '' } = read.error.issues[0] ?? {}
  return { kind: 'bad', says: `No audit record: ${path.map(String).join('.') || 'the line'}: ${message}` }
}

function useOf({
  ts,
  verdict,
  reason = 'deny',
  caller,
  policy_revision: revision,
  client_credentials: keys,
  ...rest
}: Written): Use | undefined {
  if (caller === undefined) return undefined
  const { spiffe_id: workload, evidence, serial, not_after } = caller
  const until = Date.parse(not_after)
  const end = Number.isFinite(until) ? until : 8.64e15
  return {
    at: Date.parse(ts),
    workload,
    certificate: serial === undefined || evidence !== 'x509-svid' ? undefined : { serial, until: end },
    revision,
    reason: verdict === 'allow' ? undefined : reason,
    what: whatOf(rest),
    keys
  }
}

function whatOf({
  tenant,
  database,
  operation: action,
  dataset_scope: scope,
  shape
}: Pick<Written, 'tenant' | 'database' | 'operation' | 'dataset_scope' | 'shape'>): Use['what'] {
  if (tenant === undefined || database === undefined || action === undefined || action === 'probe') return undefined
  const asked = action === 'search' || action === 'read'
  const targets = scope.map(
    ({ kind, namespace, name }): UsedTarget => ({ namespace, collection: name === undefined ? { kind } : { kind, name } })
  )
  return { tenant, database, action, targets, topK: asked ? (shape?.top_k ?? Number.POSITIVE_INFINITY) : 0 }
}
