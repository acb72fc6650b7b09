import type { Caller } from './caller.ts'
import type { DenyReason } from './deny-reason.ts'
import type { ResolvedTarget, VectorCall } from './vector-call.ts'

declare const granted: unique symbol

/**
 * Caller × call for one tenant under one policy revision. Minted by `policy/grant.ts` only, so that nothing can be signed,
 * counted or sent on for a call that was not checked.
 */
export interface Grant {
  readonly [granted]: true
  readonly kind: 'tenant'
  readonly caller: Caller
  readonly call: VectorCall
  readonly tenant: string
  readonly targets: readonly ResolvedTarget[]
  /** What the call is for, where its workload has purposes and it is known which. */
  readonly purpose: string | undefined
  /** Where the rule stands, such as `policy.yaml:31 collections[0].allow[1]`. */
  readonly rule: string
}

/** The tenantless health and version calls that official clients make when they start. */
export interface ProbeGrant {
  readonly [granted]: true
  readonly kind: 'probe'
  readonly caller: Caller
  readonly call: VectorCall
}

/** No booleans, no third state. */
export type Decision =
  | { readonly verdict: 'allow'; readonly grant: Grant | ProbeGrant }
  | { readonly verdict: 'deny'; readonly reason: DenyReason; readonly retryAfterMs?: number }
