import { createHash } from 'node:crypto'
import { POLICY_TOKEN_LEEWAY_MS_MAX, type PolicyClaims, type PolicyIssuer, type PolicyToken } from '../core/policy-token.ts'
import { type DigestedRequest, requestDigest } from '../core/request-digest.ts'
import type { SpiffeId } from '../core/spiffe-id.ts'
import type { TrustBundles } from '../core/trust.ts'
import type { Operation } from '../core/vector-call.ts'
import { shown } from './json.ts'
import { signatureFault } from './jwt-keys.ts'
import { readPolicyClaims } from './policy-token-claims.ts'
import { keepIssuer, type PolicyIssuerCache, type ProvenIssuer, provenIssuer } from './policy-token-issuer.ts'
import { readPolicyParts } from './policy-token-parts.ts'
import { type Fault, fault, type RuleNumber } from './rules.ts'

/** The call that a token came with, and what is believed here. */
export interface PolicyTokenCheck {
  /** Our own name: empty accepts nothing. */
  readonly audience: string
  /** By SPIFFE ID; empty accepts nothing. */
  readonly issuers: ReadonlyMap<string, PolicyIssuer>
  readonly trust: TrustBundles
  /** The TLS peer, as its certificate proves it. */
  readonly peer: SpiffeId
  readonly request: DigestedRequest
  /** Of the dialect that reads the call. */
  readonly meaningHeaders: readonly string[]
  /** What the call does, where that is known already. */
  readonly operation: Operation | undefined
  /** Milliseconds since the epoch. */
  readonly now: number
  /** Clock difference tolerated for iat and exp, milliseconds, 0 to 5,000. */
  readonly leewayMs: number
}

/** `token-expired` and `token-mismatch` only for a token that a listed issuer signed for an audience and a tenant of its own. */
export type PolicyTokenKind = 'token-missing' | 'token-invalid' | 'token-expired' | 'token-mismatch'

export type PolicyTokenVerdict =
  | { readonly ok: true; readonly token: PolicyToken }
  | { readonly ok: false; readonly rule: RuleNumber; readonly kind: PolicyTokenKind; readonly detail: string }

/**
 * Whether `token` says that a vecauthz whom the policy lists has let this very request of this very peer pass. A JWS in compact form
 * (RFC 7515 §7.1), signed with the issuer's X.509-SVID, whose chain is in `x5c` (§4.1.6). Rules T-1 to T-18, T-20. Never throws.
 */
export function verifyPolicyToken(token: string | undefined, check: PolicyTokenCheck, cache: PolicyIssuerCache): PolicyTokenVerdict {
  if (token === undefined) return { ...fault('T-1', 'no policy token came along'), kind: 'token-missing' }
  const parts = readPolicyParts(token)
  if (!parts.ok) return invalid(parts)
  const read = readPolicyClaims(parts.claims)
  if (!read.ok) return invalid(read)
  const { claims } = read
  const listed = check.issuers.get(claims.iss)
  if (listed === undefined) return invalid(fault('T-9', `its iss is no issuer of policy tokens here: ${shown(claims.iss)}`))
  const issuer = provenIssuer(parts.header, check.trust, check.now, cache)
  if (!issuer.ok) return invalid(issuer)
  if (issuer.id.text !== claims.iss) return invalid(fault('T-8', `its x5c is the SVID of ${issuer.id.text}, and its iss is another`))
  const forged = signatureFault([issuer.key], issuer.algorithm, undefined, parts.signed, parts.signature)
  if (forged !== undefined) return invalid(fault('T-7', `the key of its issuer did not sign it (${forged.rule})`))
  keepIssuer(parts.header, issuer, cache)
  const overstepped = vouchingFault(claims, listed)
  if (overstepped !== undefined) return invalid(overstepped)
  const mismatch = mismatchOf(claims, check)
  if (mismatch !== undefined) return { ...mismatch, kind: 'token-mismatch' }
  const leeway = Math.min(Math.max(check.leewayMs, 0), POLICY_TOKEN_LEEWAY_MS_MAX)
  const until = claims.exp * 1000 + leeway
  // Asked so that a time which is no number refuses.
  if (!(check.now >= claims.iat * 1000 - leeway)) return invalid(fault('T-17', 'it was issued in the future'))
  if (!(check.now < until)) return { ...fault('T-16', 'it has expired'), kind: 'token-expired' }
  return { ok: true, token: tokenOf(claims, issuer, until) }
}

/** What the policy lets this issuer say. Rules T-10, T-12. */
function vouchingFault({ aud, tenant }: PolicyClaims, { audiences, tenants }: PolicyIssuer): Fault | undefined {
  if (!audiences.has(aud)) return fault('T-10', `its issuer may not vouch to ${shown(aud)}`)
  if (tenant !== undefined && !tenants.has(tenant)) return fault('T-12', `its issuer may not vouch for the tenant ${shown(tenant)}`)
  return undefined
}

/** What the token was issued for, and this call is not. Rules T-10, T-11, T-13, T-14. */
function mismatchOf(claims: PolicyClaims, check: PolicyTokenCheck): Fault | undefined {
  if (claims.aud !== check.audience) return fault('T-10', `it is for ${shown(claims.aud)}, which is not us`)
  if (claims.sub !== check.peer.text) return fault('T-11', `it is for ${shown(claims.sub)}, and the peer is ${check.peer.text}`)
  if (check.operation !== undefined && claims.act !== check.operation)
    return fault('T-14', `it is for the operation ${claims.act}, and the call is ${check.operation}`)
  const digest = requestDigest(check.request, check.meaningHeaders, createHash('sha256'))
  return claims.dig === digest ? undefined : fault('T-13', 'it is for another request')
}

function tokenOf(claims: PolicyClaims, { id, serial }: ProvenIssuer, until: number): PolicyToken {
  const { tenant, purpose, act, dig, policy, judged, jti } = claims
  const facts = { issuer: id, issuerSerial: serial, tenant, purpose, act, digest: dig, policy, judged, tokenId: jti, until }
  return facts as unknown as PolicyToken
}

function invalid({ rule, detail }: Fault): PolicyTokenVerdict {
  return { ok: false, rule, kind: 'token-invalid', detail }
}
