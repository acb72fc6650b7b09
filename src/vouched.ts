/** Role `index`: the policy token of a call, and what it must have in common with what is found here. */
import type { Caller } from './core/caller.ts'
import { type DenyKind, type Refused, type Result, refuse } from './core/deny-reason.ts'
import type { PolicyToken } from './core/policy-token.ts'
import { admitPolicyToken } from './identity/policy-token-use.ts'
import { PURPOSE_HEADER } from './policy/grant.ts'
import { findId } from './policy/id-index.ts'
import { isInShadow, type Policy } from './policy/policy.ts'
import type { Case, Role, Served } from './world.ts'

/**
 * The token, if it is one for this very request of this very caller, from somebody whom the policy lists and has not revoked. It is
 * asked for before the call is read: what it does there is compared afterwards.
 */
export function vouchedFor(its: Case, role: Extract<Role, { kind: 'index' }>, caller: Caller, served: Served): Result<PolicyToken> {
  const { inbound: request, policy, trust, now } = its
  const { audience, leewayMs, issuers: cache } = role
  const { meaningHeaders } = served.dialect
  const check = { audience, issuers: policy.issuers, trust, peer: caller.id, request, meaningHeaders, operation: undefined, now, leewayMs }
  const token = admitPolicyToken(check, cache)
  if (!token.ok) return token
  const revoked = revokedToken(token.value, policy)
  if (revoked !== undefined) return refuse('identity-revoked', revoked)
  const said = request.headers.get(PURPOSE_HEADER)
  if (said !== undefined && said !== token.value.purpose && token.value.judged === undefined)
    return refuse('token-mismatch', `the call says another purpose than its policy token, ${token.value.purpose ?? 'which has none'}`)
  return token
}

function revokedToken({ issuer, issuerSerial, tokenId }: PolicyToken, { revoked }: Policy): string | undefined {
  if (findId(revoked.ids, issuer) !== undefined) return `${issuer.text}, who issued the policy token, is on the policy's revoked list`
  if (revoked.serials.has(issuerSerial)) return `certificate ${issuerSerial}, of the policy token's issuer, is on the policy's revoked list`
  return revoked.tokenIds.has(tokenId) ? "the jti of the policy token is on the policy's revoked list" : undefined
}

/**
 * Why a token does not fit what was found: another tenant, or a denial at egress that is in shadow there and not here.
 * @param here what a rule in shadow judged here
 */
export function tokenFault(
  token: PolicyToken | undefined,
  tenant: string | undefined,
  { policy }: Case,
  here?: DenyKind
): Refused | undefined {
  if (token === undefined) return undefined
  const { judged } = token
  const shadow = isInShadow(policy, tenant)
  if (judged !== undefined && !shadow && judged !== here)
    return refuse(judged, 'the vecauthz that issued the policy token judged so, in shadow; here it is enforced')
  if (token.tenant === tenant) return undefined
  // Egress could not prove a tenant: what was found here is still one that its issuer may vouch for.
  const vouches = policy.shadow || tenant === undefined || policy.issuers.get(token.issuer.text)?.tenants.has(tenant) === true
  if (judged !== undefined && token.tenant === undefined && vouches) return undefined
  return refuse('token-mismatch', `T-12: it is for tenant ${token.tenant ?? 'none'}, and the call is for ${tenant ?? 'none'}`)
}
