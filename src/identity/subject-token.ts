import type { Subject, SubjectIssuer } from '../core/caller.ts'
import { type JwtKey, signatureFault } from './jwt-keys.ts'
import { readToken } from './jwt-svid.ts'
import { type Fault, fault, type RuleNumber } from './rules.ts'
import { readSubjectClaims, readSubjectHeader } from './subject-claims.ts'

/** An issuer as the policy has it, and the keys that it publishes right now; undefined when they could not be had, or not for too long. */
export interface SubjectCheck {
  readonly issuers: ReadonlyMap<string, SubjectIssuer>
  readonly keysOf: (issuer: string) => readonly JwtKey[] | undefined
  /** SPIFFE ID of the workload that sent the token. */
  readonly caller: string
  /** Milliseconds since the epoch. */
  readonly now: number
  readonly leewayMs: number
}

export type SubjectVerdict =
  | { readonly ok: true; readonly subject: Subject }
  | {
      readonly ok: false
      readonly rule: RuleNumber
      /** `no-keys`: nothing can be said about the token. `no-such-key`: its issuer may have new keys. */
      readonly kind: 'expired' | 'invalid' | 'no-keys' | 'no-such-key'
      readonly detail: string
      /** Whose keys are meant. */
      readonly issuer?: string
    }

/**
 * Whether `token` proves an end user: a JWS in compact form (RFC 7515) with the claims of an ID token (OpenID Connect Core §2) or
 * of an access token (RFC 9068), by an issuer that the policy lists. Rules U-1 to U-13. Never throws.
 */
export function verifySubjectToken(token: string, { issuers, keysOf, caller, now, leewayMs }: SubjectCheck): SubjectVerdict {
  const read = readToken(token)
  if (!read.ok) return invalid(fault('U-1', `${read.rule}: ${read.detail}`))
  const header = readSubjectHeader(read.header)
  if (!header.ok) return invalid(header)
  const iss = read.claims.get('iss')
  const issuer = typeof iss === 'string' ? issuers.get(iss) : undefined
  if (issuer === undefined) return invalid(fault('U-5', 'its iss is no issuer of end users here'))
  const claims = readSubjectClaims(read.claims, issuer, caller)
  if (!claims.ok) return invalid(claims)
  const keys = keysOf(issuer.issuer)
  if (keys === undefined)
    return { ...fault('U-10', `the keys of ${issuer.issuer} could not be had`), kind: 'no-keys', issuer: issuer.issuer }
  const forged = signatureFault(keys, header.algorithm, header.kid, read.signed, read.signature)
  if (forged !== undefined) {
    const kind = forged.rule === 'J-9' ? 'no-such-key' : 'invalid'
    return { ...fault('U-10', `no key of ${issuer.issuer} signed it (${forged.rule})`), kind, issuer: issuer.issuer }
  }
  // Asked so that a time which is no number refuses.
  if (!(now < claims.expiresAt + leewayMs)) return { ...fault('U-8', 'it has expired'), kind: 'expired' }
  if (!(now >= (claims.notBefore ?? 0) - leewayMs)) return invalid(fault('U-9', 'it is not valid yet'))
  const { id, actors, tenants, expiresAt, tokenId, authTime, acr } = claims
  return { ok: true, subject: { issuer: issuer.issuer, id, actors, tenants, expiresAt, tokenId, provenAt: now, authTime, acr } }
}

function invalid({ rule, detail }: Fault): SubjectVerdict {
  return { ok: false, rule, kind: 'invalid', detail }
}
