import { parseSpiffeId, type SpiffeId } from '../core/spiffe-id.ts'
import { arrayOf, type Json, type JsonObject, numberOf } from './json.ts'
import { type Fault, fault } from './rules.ts'

/** The claims that are read, and no others (rule J-27). */
export interface JwtClaims {
  readonly ok: true
  readonly id: SpiffeId
  /** At least one. */
  readonly audiences: readonly string[]
  /** Milliseconds since the epoch. */
  readonly expiresAt: number
  readonly notBefore: number | undefined
  readonly tokenId: string | undefined
}

/** JWT-SVID §3; rules W-2, J-10 to J-12, and of J-15 and J-16 whether there is a time. */
export function readClaims(claims: JsonObject): JwtClaims | Fault {
  if (claims.has('cnf')) return fault('W-2', 'it is bound to a key (cnf), and no proof of possession is taken here')
  const sub = claims.get('sub')
  if (typeof sub !== 'string') return fault('J-10', sub === undefined ? 'it has no sub' : 'its sub is not a text')
  const parsed = parseSpiffeId(sub)
  if (!parsed.ok) return fault('J-10', `its sub is no SPIFFE ID: it ${parsed.detail} (${parsed.rule})`)
  if (parsed.id.path === '') return fault('J-11', 'its sub names a trust domain, not a workload')
  const audiences = readAudiences(claims.get('aud'))
  if (audiences === undefined) return fault('J-12', claims.has('aud') ? 'its aud is not one text or more' : 'it has no aud')
  const expiresAt = instant(claims.get('exp'))
  if (expiresAt === undefined) return fault('J-15', claims.has('exp') ? 'its exp is not a time' : 'it has no exp')
  const notBefore = instant(claims.get('nbf'))
  if (notBefore === undefined && claims.has('nbf')) return fault('J-16', 'its nbf is not a time')
  const jti = claims.get('jti')
  return { ok: true, id: parsed.id, audiences, expiresAt, notBefore, tokenId: typeof jti === 'string' ? jti : undefined }
}

function readAudiences(aud: Json | undefined): readonly string[] | undefined {
  const list = typeof aud === 'string' ? [aud] : arrayOf(aud)
  if (list === undefined || list.length === 0) return undefined
  const texts = list.filter((one) => typeof one === 'string' && one !== '')
  return texts.length === list.length ? (texts as readonly string[]) : undefined
}

/** The times that a Date can hold, in milliseconds either side of the epoch (ECMA-262 §21.4.1.1). */
const INSTANT_MAX = 8.64e15

/** Milliseconds since the epoch of a NumericDate (RFC 7519 §2), which counts seconds and may have a fraction. */
export function instant(value: Json | undefined): number | undefined {
  const seconds = numberOf(value)
  return seconds !== undefined && Math.abs(seconds * 1000) <= INSTANT_MAX ? seconds * 1000 : undefined
}
