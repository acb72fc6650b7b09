import type { Needs } from './approval.ts'
import type { Caller } from './caller.ts'
import type { DenyReason } from './deny-reason.ts'
import type { RateFacts } from './risk.ts'
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
  /** Of the data of each target, by its tags; left out where all of them weigh 1. */
  readonly weights?: readonly number[]
  /** Tags of the data of each target; left out where there are none. */
  readonly tags?: readonly (readonly string[])[]
  /** What its rules ask for beside themselves. */
  readonly needs: Needs | undefined
  /** What its rule would have refused the call for, were that not in shadow. */
  readonly judged: DenyReason | undefined
}

/** The tenantless health and version calls that official clients make when they start. */
export interface ProbeGrant {
  readonly [granted]: true
  readonly kind: 'probe'
  readonly caller: Caller
  readonly call: VectorCall
}

/**
 * What lets a call pass under shadow though no tenant of it could be proved: minted where policy says so, never a permission. Whatever
 * needs a tenant, such as a credential of one, cannot be had with it.
 */
export interface ShadowGrant {
  readonly [granted]: true
  readonly kind: 'shadow'
  readonly caller: Caller
  readonly call: VectorCall
}

export type AnyGrant = Grant | ProbeGrant | ShadowGrant

/** The tenant of a grant, where it has one. */
export function tenantOfGrant(grant: AnyGrant): string | undefined {
  return grant.kind === 'tenant' ? grant.tenant : undefined
}

/** No booleans, no third state. `judged`: what the call would have been denied for, had its policy, tenant or rule not been in shadow. */
export type Decision =
  | { readonly verdict: 'allow'; readonly grant: AnyGrant; readonly judged?: DenyReason | undefined }
  | { readonly verdict: 'deny'; readonly reason: DenyReason; readonly retryAfterMs?: number; readonly rate?: RateFacts | undefined }

/** @param rate what is left of the budget that refused it */
export function deny(reason: DenyReason, retryAfterMs?: number, rate?: RateFacts): Decision {
  if (rate === undefined) return retryAfterMs === undefined ? { verdict: 'deny', reason } : { verdict: 'deny', reason, retryAfterMs }
  return retryAfterMs === undefined ? { verdict: 'deny', reason, rate } : { verdict: 'deny', reason, retryAfterMs, rate }
}
