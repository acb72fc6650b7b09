/** A decision → what it says about what is used. */
import type { Caller } from '../core/caller.ts'
import type { Decision } from '../core/decision.ts'
import type { ResolvedTarget, VectorCall } from '../core/vector-call.ts'
import type { Use, UsedWhat } from './usage.ts'

/** What is looked at of a decision. */
export interface Usable {
  readonly at: number
  readonly policyRevision: string
  readonly account: {
    readonly caller?: Caller
    readonly database?: string
    readonly call?: VectorCall
    readonly tenant?: string
    readonly targets?: readonly ResolvedTarget[]
  }
  readonly decision: Decision
}

/** Undefined where nobody was proven. @param keys names of credential headers that came along */
export function useOf({ at, policyRevision, account, decision }: Usable, keys: readonly string[]): Use | undefined {
  const { caller } = account
  if (caller === undefined) return undefined
  const { serial, notAfter, evidence } = caller
  return {
    at,
    workload: caller.id.text,
    // The certificate beside a JWT-SVID is that of whoever carries it.
    certificate: serial === undefined || evidence !== 'x509-svid' ? undefined : { serial, until: notAfter },
    revision: policyRevision,
    reason: decision.verdict === 'deny' ? decision.reason.kind : undefined,
    what: whatOf(account),
    keys
  }
}

function whatOf({ call, tenant, database, targets }: Usable['account']): UsedWhat | undefined {
  if (call === undefined || tenant === undefined || database === undefined || call.operation === 'probe') return undefined
  const { operation: action, shape } = call
  const topK = action === 'search' || action === 'read' ? shape.topK : 0
  return { tenant, database, action, topK, targets: targets ?? call.targets }
}
