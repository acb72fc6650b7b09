/** Decided → one flat audit record. Fields are chosen: bodies, tokens, vectors and headers have no way in. */
import type { Caller } from '../core/caller.ts'
import type { Decision } from '../core/decision.ts'
import { DENIALS } from '../core/deny-reason.ts'
import type { ResolvedTarget, VectorCall } from '../core/vector-call.ts'

/** What a record is made of; `envoy/decide.ts` hands over more than is written. */
export interface Recordable {
  readonly decisionId: string
  readonly at: number
  readonly latencyUs: number
  readonly envoy: string
  readonly policyRevision: string
  readonly inbound:
    | { readonly method: string; readonly target: string; readonly httpId: string; readonly headers: ReadonlyMap<string, string> }
    | undefined
  readonly account: {
    readonly caller?: Caller
    readonly database?: string
    readonly call?: VectorCall
    readonly tenant?: string
    readonly targets?: readonly ResolvedTarget[]
    readonly dialect?: { readonly credentialHeaders: readonly string[] }
  }
  readonly decision: Decision
}

export type AuditRecord = Readonly<Record<string, unknown>>

const REQUEST_ID_CHARACTERS_MAX = 128

export function auditRecord(one: Recordable): AuditRecord {
  const { account, decision, inbound } = one
  const { caller, call } = account
  return {
    ts: new Date(one.at).toISOString(),
    decision_id: one.decisionId,
    verdict: decision.verdict,
    ...reasonOf(decision),
    role: 'gateway',
    envoy: one.envoy,
    request_id: inbound?.headers.get('x-request-id')?.slice(0, REQUEST_ID_CHARACTERS_MAX),
    http_id: inbound?.httpId,
    caller: caller && {
      spiffe_id: caller.id.text,
      evidence: caller.evidence,
      serial: caller.serial,
      not_after: new Date(caller.notAfter).toISOString()
    },
    tenant: account.tenant,
    database: account.database,
    endpoint: call?.endpoint,
    operation: call?.operation,
    dataset_scope:
      account.targets?.map(scopeOf) ?? call?.targets.map((target) => ({ namespace: target.namespace, collection: target.collection })),
    shape: call && {
      queries: call.shape.queries,
      // JSON has no infinity: a read without a limit is written as null.
      top_k: call.shape.topK,
      records: call.shape.records,
      vectors_out: call.shape.vectorsOut,
      dimensions: call.shape.dimensions
    },
    // A caller that still sends a permanent key is a finding; its name is enough.
    client_credentials: credentialsOf(one),
    policy_revision: one.policyRevision,
    latency_us: one.latencyUs
  }
}

function reasonOf(decision: Decision): AuditRecord {
  if (decision.verdict === 'allow') return { rule: decision.grant.kind === 'tenant' ? decision.grant.rule : 'probe' }
  const { kind, because } = decision.reason
  return { reason: kind, because, atlas: DENIALS[kind].atlas ?? undefined, retry_after_ms: decision.retryAfterMs }
}

function scopeOf(target: ResolvedTarget) {
  return { namespace: target.namespace, collection: target.collection }
}

function credentialsOf({ account, inbound }: Recordable): string[] | undefined {
  const found = account.dialect?.credentialHeaders.filter((name) => inbound?.headers.has(name))
  return found === undefined || found.length === 0 ? undefined : found
}
