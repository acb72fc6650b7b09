import { type DenyKind, isShadowed } from '../core/deny-reason.ts'
import { POLICY_TOKEN_SECONDS_MAX, type PolicyClaims } from '../core/policy-token.ts'
import type { Operation } from '../core/vector-call.ts'
import { strictBase64Url } from './base64.ts'
import { integerOf, type Json, type JsonObject, shown } from './json.ts'
import { type Fault, fault } from './rules.ts'

/** Every claim there is; a new one does not compile until it stands here. */
const CLAIMS: Readonly<Record<keyof PolicyClaims, true>> = {
  iss: true,
  sub: true,
  aud: true,
  tenant: true,
  purpose: true,
  act: true,
  dig: true,
  policy: true,
  judged: true,
  jti: true,
  iat: true,
  exp: true
}

const OPERATIONS: Readonly<Record<Operation, true>> = {
  search: true,
  read: true,
  write: true,
  delete: true,
  define: true,
  drop: true,
  export: true,
  observe: true,
  probe: true
}

const TEXT = /^[\x21-\x7e]{1,2048}$/
/** 128 bits in base64url, or more. */
const TOKEN_ID = /^[A-Za-z0-9_-]{22,64}$/
const DIGEST_BYTES = 32

/** The claims, each in its own form and none beside them. Rules T-12, T-15, T-18. */
export function readPolicyClaims(members: JsonObject): { readonly ok: true; readonly claims: PolicyClaims } | Fault {
  for (const name of members.keys()) if (!Object.hasOwn(CLAIMS, name)) return fault('T-18', `it has the claim ${shown(name)}`)
  const [iss, sub, aud, policy] = [text(members, 'iss'), text(members, 'sub'), text(members, 'aud'), text(members, 'policy')]
  if (iss === undefined || sub === undefined || aud === undefined || policy === undefined)
    return fault('T-18', 'its iss, sub, aud or policy is not a text')
  const act = operationOf(members.get('act'))
  if (act === undefined) return fault('T-18', 'its act is no operation')
  const [tenant, purpose] = [text(members, 'tenant'), text(members, 'purpose')]
  if (purpose === undefined && members.has('purpose')) return fault('T-18', 'its purpose is not a text')
  const judged = judgedOf(members.get('judged'))
  if (judged === undefined && members.has('judged')) return fault('T-18', 'its judged is no reason that shadow lets pass')
  if (tenant === undefined && ((act !== 'probe' && judged === undefined) || members.has('tenant')))
    return fault('T-12', 'it names no tenant')
  if (tenant !== undefined && act === 'probe') return fault('T-12', 'it names a tenant for a call that has none')
  const dig = members.get('dig')
  if (typeof dig !== 'string' || strictBase64Url(dig)?.length !== DIGEST_BYTES) return fault('T-18', 'its dig is no SHA-256 in base64url')
  const jti = members.get('jti')
  if (typeof jti !== 'string' || !TOKEN_ID.test(jti)) return fault('T-18', 'its jti is not 22 to 64 characters of base64url')
  const [iat, exp] = [seconds(members.get('iat')), seconds(members.get('exp'))]
  if (iat === undefined || exp === undefined) return fault('T-15', 'its iat or exp is not a whole number of seconds')
  if (!(exp > iat && exp - iat <= POLICY_TOKEN_SECONDS_MAX))
    return fault('T-15', `it is not for more than none and at most ${POLICY_TOKEN_SECONDS_MAX} seconds`)
  return { ok: true, claims: { iss, sub, aud, tenant, purpose, act, dig, policy, judged, jti, iat, exp } }
}

function judgedOf(value: Json | undefined): DenyKind | undefined {
  return typeof value === 'string' && isShadowed(value) ? value : undefined
}

function text(members: JsonObject, name: string): string | undefined {
  const value = members.get(name)
  return typeof value === 'string' && TEXT.test(value) ? value : undefined
}

function operationOf(value: Json | undefined): Operation | undefined {
  return typeof value === 'string' && Object.hasOwn(OPERATIONS, value) ? (value as Operation) : undefined
}

/** No fraction and no exponent: there is one spelling of a second. */
function seconds(value: Json | undefined): number | undefined {
  const whole = Number(integerOf(value) ?? -1n)
  return whole >= 0 && Number.isSafeInteger(whole) ? whole : undefined
}
