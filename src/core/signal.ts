/** What other systems say of a workload, once their word is proven: OpenID CAEP 1.0 §3. */

/** Verified, and about one workload. */
export interface RiskSignal {
  /** `jti`: heard twice it is one. */
  readonly id: string
  /** Who says it: an issuer, a SPIFFE ID. */
  readonly by: string
  /** SPIFFE ID. */
  readonly workload: string
  /** `risk-level-change` (CAEP §3.8) with its level, or `session-revoked` (§3.1). */
  readonly event: { readonly kind: 'risk-level-change'; readonly level: 'LOW' | 'MEDIUM' | 'HIGH' } | { readonly kind: 'session-revoked' }
  /** ms since the epoch. */
  readonly at: number
}
