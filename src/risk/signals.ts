/** What other systems say of a workload, once their word is proven (the endpoint is elsewhere): OpenID CAEP 1.0 §3, and figures. */
import type { Alarm } from '../core/standings.ts'

/** Verified, about one workload, and not heard before. */
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

/** What it asks for. A lower level takes nothing back: down is the way of the ladder. */
export function signalAlarm({ id, by, event }: RiskSignal): Alarm | undefined {
  const said = (says: string) => ({ says: `${by} says: ${says} (${id})`, decisionIds: [], figures: {} })
  if (event.kind === 'session-revoked') return { level: 'quarantine', cause: 'signal', evidence: said('session-revoked') }
  switch (event.level) {
    case 'HIGH':
      return { level: 'step-up', cause: 'signal', evidence: said('risk level HIGH') }
    case 'MEDIUM':
      return { level: 'slowed', cause: 'signal', evidence: said('risk level MEDIUM') }
    case 'LOW':
      return undefined
  }
}
