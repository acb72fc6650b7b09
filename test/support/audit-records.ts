/** Lines of an audit file, as servers write them, of calls that are made up. */
import { HANDBOOK } from './world.ts'

export interface Made {
  /** Milliseconds since the epoch. */
  readonly at: number
  /** Path of its SPIFFE ID. */
  readonly who: string
  readonly action?: string
  readonly tenant?: string
  readonly collection?: string
  readonly reason?: string
  readonly serial?: string
  readonly keys?: readonly string[]
  readonly revision: string
  readonly topK?: number
}

let count = 0

export function recordLine({
  at,
  who,
  action = 'search',
  tenant = 'acme',
  collection = 'handbook',
  reason,
  serial = '0a',
  keys = [],
  revision,
  topK = 5
}: Made): string {
  const ts = new Date(at).toISOString()
  const decision = reason === undefined ? { verdict: 'allow', rule: 'policy.yaml:1 collections[0].allow[0]' } : { verdict: 'deny', reason }
  const caller = {
    spiffe_id: `spiffe://demo.vecauthz.test/${who}`,
    evidence: 'x509-svid',
    serial,
    not_after: new Date(at + 3_600_000).toISOString()
  }
  return JSON.stringify({
    ts,
    decision_id: `d${++count}`,
    ...decision,
    role: 'gateway',
    envoy: 'spiffe://demo.vecauthz.test/envoy/gateway',
    caller,
    actor_kind: 'service',
    tenant,
    database: 'demo',
    endpoint: 'records.query',
    operation: action,
    dataset_scope: [{ kind: 'name', namespace: 'rag', name: collection, id: HANDBOOK, claim: 'path' }],
    shape: { queries: 1, top_k: topK, records: 0, vectors_out: false, dimensions: 2 },
    ...(keys.length === 0 ? {} : { client_credentials: keys }),
    policy_revision: revision,
    latency_us: 100
  })
}
