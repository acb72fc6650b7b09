import type { SubjectIssuer } from '../core/caller.ts'
import { arrayOf, type Json, type JsonObject, objectOf, shown } from './json.ts'
import { instant } from './jwt-claims.ts'
import { JWT_ALGORITHMS, type JwtAlgorithm } from './jwt-keys.ts'
import { type Fault, fault } from './rules.ts'

export interface SubjectHeader {
  readonly ok: true
  readonly algorithm: JwtAlgorithm
  readonly kid: string | undefined
}

/** The last two are thumbprints that some issuers add: names of a key, which decide nothing. */
const HEADER_MEMBERS = new Set(['alg', 'kid', 'typ', 'x5t', 'x5t#S256'])
/** ID tokens (`JWT` or nothing) and access tokens (RFC 9068 §2.1); media types have no case. */
const TYPES = new Set(['jwt', 'at+jwt', 'application/at+jwt'])

/** The JOSE header of an end user's token. Rules U-2 to U-4. */
export function readSubjectHeader(members: JsonObject): SubjectHeader | Fault {
  const [alg, kid, typ] = [members.get('alg'), members.get('kid'), members.get('typ')]
  const algorithm = typeof alg === 'string' ? JWT_ALGORITHMS.get(alg) : undefined
  if (algorithm === undefined) return fault('U-2', 'the alg of its header is not one that is taken here')
  if (typ !== undefined && !(typeof typ === 'string' && TYPES.has(typ.toLowerCase())))
    return fault('U-3', 'its typ is not that of an ID token or an access token')
  for (const name of members.keys()) if (!HEADER_MEMBERS.has(name)) return fault('U-4', `its header has the member ${shown(name)}`)
  if (kid !== undefined && typeof kid !== 'string') return fault('U-4', 'the kid of its header is not a text')
  return { ok: true, algorithm, kid }
}

export interface SubjectClaims {
  readonly ok: true
  readonly id: string
  readonly expiresAt: number
  readonly notBefore: number | undefined
  readonly tokenId: string | undefined
  readonly tenants: readonly string[]
  readonly actors: readonly string[]
  readonly authTime: number | undefined
  readonly acr: string | undefined
}

/** Printable ASCII, as OpenID Connect Core §2 has it for `sub`. */
const PRINTABLE = /^[\x21-\x7e]{1,255}$/
const ACTORS_MAX = 4
const TENANTS_MAX = 256

/** What the claims say, for a token whose issuer is known. Rules U-6 to U-9, U-11 to U-13; no claim but these is read. */
export function readSubjectClaims(claims: JsonObject, issuer: SubjectIssuer, caller: string): SubjectClaims | Fault {
  const sub = claims.get('sub')
  if (typeof sub !== 'string' || !PRINTABLE.test(sub)) return fault('U-6', 'its sub is not a text of 1 to 255 printable characters')
  const aud = textsOf(claims.get('aud'))
  if (aud === undefined || !aud.includes(issuer.audience))
    return fault('U-7', `it is for none but other audiences than ${shown(issuer.audience)}`)
  const expiresAt = instant(claims.get('exp'))
  if (expiresAt === undefined) return fault('U-8', 'it has no exp')
  const notBefore = instant(claims.get('nbf'))
  if (notBefore === undefined && claims.has('nbf')) return fault('U-9', 'its nbf is not a number')
  if (claims.has('cnf')) return fault('U-11', 'it is bound to a key (cnf), and no proof of possession is taken here')
  const jti = claims.get('jti')
  if (jti !== undefined && typeof jti !== 'string') return fault('U-1', 'its jti is not a text')
  const actors = readActors(claims, caller)
  if ('rule' in actors) return actors
  const named = claims.has(issuer.tenantClaim) ? textsOf(claims.get(issuer.tenantClaim)) : []
  if (named === undefined || named.length > TENANTS_MAX)
    return fault('U-13', `its ${issuer.tenantClaim} is not a text or an array of texts`)
  const tenants = named.filter((tenant) => issuer.tenants.has(tenant))
  // Only an answer to a step-up needs them, and what cannot be read is none.
  const acr = claims.get('acr')
  const when = { authTime: instant(claims.get('auth_time')), acr: typeof acr === 'string' ? acr : undefined }
  return { ok: true, id: sub, expiresAt, notBefore, tokenId: jti, tenants, actors: actors.before, ...when }
}

function textsOf(value: Json | undefined): readonly string[] | undefined {
  const values = typeof value === 'string' ? [value] : arrayOf(value)
  return values?.every((one): one is string => typeof one === 'string') === true ? values : undefined
}

/**
 * Who acted before (RFC 8693 §4.1, §4.4). Where the token says who acts now, or may act, that is our caller: a token that was
 * given to another workload is not this one's to use.
 */
function readActors(claims: JsonObject, caller: string): { readonly before: readonly string[] } | Fault {
  const mayAct = claims.get('may_act')
  if (mayAct !== undefined && actorOf(mayAct) !== caller) return fault('U-12', 'its may_act names another actor than the caller')
  const azp = claims.get('azp')
  if (typeof azp === 'string' && azp.startsWith('spiffe://') && azp !== caller) return fault('U-12', 'its azp is another workload')
  const chain: string[] = []
  for (let act = claims.get('act'); act !== undefined; act = objectOf(act)?.get('act')) {
    const actor = actorOf(act)
    if (actor === undefined || chain.length === ACTORS_MAX) return fault('U-12', `its act is not a chain of at most ${ACTORS_MAX} actors`)
    chain.push(actor)
  }
  const [now, ...before] = chain
  if (now === undefined || now === caller) return { before }
  return now.startsWith('spiffe://') ? fault('U-12', 'its act names another workload than the caller') : { before: chain }
}

function actorOf(value: Json | undefined): string | undefined {
  const sub = objectOf(value)?.get('sub')
  return typeof sub === 'string' && PRINTABLE.test(sub) ? sub : undefined
}
