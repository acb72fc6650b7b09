/**
 * Why a call was refused: a closed union, and one table that gives each kind its HTTP status, gRPC status, public sentence
 * and MITRE ATLAS technique. A kind without a row does not compile.
 *
 * A caller sees the sentence, an optional remedy and the decision id. The facts (`because`) go to the audit record only.
 */

import type { StepUp } from './risk.ts'

export interface DenyRow {
  /** HTTP status of the denial. */
  readonly http: number
  /** gRPC status, sent as `grpc-status` to gRPC callers (grpc/grpc doc/statuscodes.md). */
  readonly grpc: number
  /** MITRE ATLAS technique that such an attempt is consistent with, or null. */
  readonly atlas: string | null
  /** The sentence a caller reads: no facts about policy, tenants or other callers. */
  readonly tells: string
}

export const DENIALS = {
  'no-identity': { http: 401, grpc: 16, atlas: null, tells: 'No verified workload identity came with this call.' },
  'svid-expired': {
    http: 401,
    grpc: 16,
    atlas: 'AML.T0012',
    tells: 'The SVID of this call has expired; come back with a fresh one.'
  },
  'identity-revoked': { http: 401, grpc: 16, atlas: 'AML.T0012', tells: 'This workload identity has been revoked.' },
  'svid-untrusted': {
    http: 401,
    grpc: 16,
    atlas: 'AML.T0073',
    tells: 'The SVID of this call is not valid here.'
  },
  'identity-conflict': { http: 401, grpc: 16, atlas: 'AML.T0091.000', tells: 'The identities asserted by this call disagree.' },
  'subject-required': {
    http: 401,
    grpc: 16,
    atlas: 'AML.T0091.000',
    tells: 'This workload acts for an end user, and no token of one came along.'
  },
  'subject-invalid': { http: 401, grpc: 16, atlas: 'AML.T0091.000', tells: "The end user's token is not valid here." },
  'subject-expired': { http: 401, grpc: 16, atlas: 'AML.T0091.000', tells: "The end user's token has expired." },
  'caller-unknown': { http: 403, grpc: 7, atlas: 'AML.T0012', tells: 'This workload is not registered for any tenant.' },
  'call-unreadable': { http: 400, grpc: 3, atlas: null, tells: 'The call could not be read as the database would read it.' },
  'call-ambiguous': { http: 400, grpc: 3, atlas: 'AML.T0107', tells: 'The call can be read in two ways.' },
  'call-too-large': { http: 413, grpc: 8, atlas: 'AML.T0034.001', tells: 'The call is larger than policy allows.' },
  'operation-unknown': { http: 403, grpc: 7, atlas: 'AML.T0006', tells: 'This operation is not one that is served here.' },
  'tenant-not-named': { http: 403, grpc: 7, atlas: 'AML.T0085.000', tells: 'The call names no tenant.' },
  'tenant-not-allowed': { http: 403, grpc: 7, atlas: 'AML.T0085.000', tells: 'This workload may not act for the tenant it named.' },
  'collection-not-allowed': { http: 403, grpc: 7, atlas: 'AML.T0085.000', tells: 'This workload may not do this with that collection.' },
  'purpose-conflict': { http: 403, grpc: 7, atlas: 'AML.T0085.000', tells: 'The purpose of this call is not one this collection serves.' },
  'residency-conflict': { http: 403, grpc: 7, atlas: 'AML.T0085.000', tells: 'This data may not be used from that region.' },
  'attestation-too-weak': {
    http: 403,
    grpc: 7,
    atlas: 'AML.T0085.000',
    tells: 'This data asks for a stronger attestation of the workload.'
  },
  'write-not-allowed': { http: 403, grpc: 7, atlas: 'AML.T0070', tells: 'This workload may not write or define here.' },
  'delete-not-allowed': { http: 403, grpc: 7, atlas: 'AML.T0101', tells: 'This workload may not delete here.' },
  'text-not-allowed': { http: 403, grpc: 7, atlas: null, tells: 'The text of this call is not passed on.' },
  'approval-required': { http: 403, grpc: 7, atlas: 'AML.T0101', tells: 'This operation cannot be undone and needs an approval.' },
  'export-not-allowed': { http: 403, grpc: 7, atlas: 'AML.T0035', tells: 'This workload may not export.' },
  'vectors-not-allowed': { http: 403, grpc: 7, atlas: 'AML.T0024.001', tells: 'Raw vectors are not available to this workload.' },
  'token-missing': { http: 401, grpc: 16, atlas: 'AML.T0091.000', tells: 'This call needs a policy token.' },
  'token-invalid': { http: 401, grpc: 16, atlas: 'AML.T0091.000', tells: 'The policy token is not valid.' },
  'token-expired': { http: 401, grpc: 16, atlas: 'AML.T0091.000', tells: 'The policy token has expired.' },
  'token-mismatch': { http: 401, grpc: 16, atlas: 'AML.T0091.000', tells: 'The policy token was issued for another call.' },
  'rate-exceeded': { http: 429, grpc: 8, atlas: 'AML.T0034.000', tells: 'This workload calls faster than its budget allows.' },
  'cost-exceeded': { http: 429, grpc: 8, atlas: 'AML.T0034.001', tells: 'This call costs more than the budget of this workload allows.' },
  'step-up-required': { http: 401, grpc: 16, atlas: 'AML.T0024', tells: 'This workload must be vouched for again before it goes on.' },
  quarantined: { http: 403, grpc: 7, atlas: null, tells: 'This workload is quarantined.' },
  'trust-unavailable': { http: 503, grpc: 14, atlas: null, tells: 'Identities cannot be verified right now.' },
  'policy-unavailable': { http: 503, grpc: 14, atlas: null, tells: 'No policy is loaded.' },
  'state-unavailable': { http: 503, grpc: 14, atlas: null, tells: 'A fact that this decision needs cannot be had right now.' },
  deadline: { http: 503, grpc: 14, atlas: null, tells: 'The decision was not reached in time.' },
  internal: { http: 500, grpc: 13, atlas: null, tells: 'The decision failed.' }
} as const satisfies Record<string, DenyRow>

export type DenyKind = keyof typeof DENIALS

/** What a policy says no for, beside who may call at all; `call-too-large` only by a limit of it, for a body can be too large to be read. */
export const POLICY_DENIALS = [
  'caller-unknown',
  'call-too-large',
  'tenant-not-named',
  'tenant-not-allowed',
  'collection-not-allowed',
  'purpose-conflict',
  'residency-conflict',
  'attestation-too-weak',
  'write-not-allowed',
  'delete-not-allowed',
  'approval-required',
  'export-not-allowed',
  'vectors-not-allowed'
] as const satisfies readonly DenyKind[]

const RISK_DENIALS = ['rate-exceeded', 'cost-exceeded', 'step-up-required', 'quarantined'] as const satisfies readonly DenyKind[]

/** What shadow lets pass. Identity, tokens, reading, and what cannot be known are not among it. */
const SHADOWED = new Set<string>([...POLICY_DENIALS, 'text-not-allowed', ...RISK_DENIALS])

/** Whether shadow can let a reason of this kind pass. `call-too-large` only by a limit of the policy: who asks knows the place it is from. */
export function isShadowed(kind: string): kind is DenyKind {
  return SHADOWED.has(kind)
}

export interface DenyReason {
  readonly kind: DenyKind
  /** The facts, for the audit record: names and numbers, never a body, a token, a vector or a credential. */
  readonly because: string
  /** What the caller can do about it; public, so it holds nothing that the caller did not send or may not know. */
  readonly remedy?: string
  /** Of what somebody else must say yes to before the call can pass. */
  readonly requestId?: string
  /** Of the step-up that is open. */
  readonly stepUp?: StepUp
}

/** A value, or the first reason why there is none. */
export type Result<T> = { readonly ok: true; readonly value: T } | Refused

export interface Refused {
  readonly ok: false
  readonly reason: DenyReason
}

export function accept<T>(value: T): { readonly ok: true; readonly value: T } {
  return { ok: true, value }
}

export function refuse(kind: DenyKind, because: string, remedy?: string): Refused {
  return { ok: false, reason: remedy === undefined ? { kind, because } : { kind, because, remedy } }
}
