import { createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import { parseSpiffeId, type SpiffeId } from '../core/spiffe-id.ts'
import { newKey } from './dev-certificate.ts'

/** The ES256 key of one trust domain. */
export interface JwtKey {
  readonly kid: string
  readonly key: KeyObject
}

interface JwtClaims {
  readonly sub: string
  readonly aud: readonly string[]
  /** Seconds since the epoch. */
  readonly exp: number
  readonly iat: number
}

export type JwtReading =
  | { readonly ok: true; readonly id: SpiffeId; readonly claims: JwtClaims }
  | { readonly ok: false; readonly because: string }

/** A token longer than this is not one of ours. */
const TOKEN_CHARS_MAX = 8_192

export function newJwtKey(kid: string): JwtKey {
  return { kid, key: newKey() }
}

/** A JWT-SVID (JWT-SVID §2, §3; rule S-15): ES256, and no header but alg, kid and typ. `now` and `ttlMs` in milliseconds. */
export function signJwtSvid(id: string, audience: readonly string[], { kid, key }: JwtKey, now: number, ttlMs: number): string {
  const iat = Math.floor(now / 1000)
  const claims: JwtClaims = { sub: id, aud: [...audience], exp: iat + Math.floor(ttlMs / 1000), iat }
  const signed = `${part({ alg: 'ES256', kid, typ: 'JWT' })}.${part(claims)}`
  const signature = sign('sha256', Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' })
  return `${signed}.${signature.toString('base64url')}`
}

/**
 * Reads a JWT-SVID that a dev issuer made (rules J-1 to J-22). This is for the demo's ValidateJWTSVID only: it takes nothing but
 * the very bytes that `signJwtSvid` writes, which rules out every second spelling. `keyOf` gives the key of a trust domain that
 * the asking workload may trust, or undefined.
 */
export function readJwtSvid(token: string, audience: string, keyOf: (trustDomain: string) => JwtKey | undefined, now: number): JwtReading {
  if (token.length > TOKEN_CHARS_MAX) return invalid('it is too long')
  const [header, payload, signature, ...more] = token.split('.')
  if (header === undefined || payload === undefined || signature === undefined || more.length > 0) return invalid('it is not a compact JWS')
  const claims = claimsOf(payload)
  if (claims === undefined) return invalid('its claims are not those of a JWT-SVID')
  const id = parseSpiffeId(claims.sub)
  if (!id.ok || id.id.path === '') return invalid('its subject is not the SPIFFE ID of a workload')
  const known = keyOf(id.id.trustDomain)
  if (known === undefined) return invalid('its trust domain has no bundle here')
  // The key decides the one header that can be right, so alg, kid and typ are all checked by one comparison.
  if (header !== part({ alg: 'ES256', kid: known.kid, typ: 'JWT' })) return invalid('its header is not the one of this trust domain')
  const bytes = Buffer.from(signature, 'base64url')
  if (bytes.toString('base64url') !== signature) return invalid('its signature is not base64url')
  const publicKey = createPublicKey(known.key)
  if (!verify('sha256', Buffer.from(`${header}.${payload}`), { key: publicKey, dsaEncoding: 'ieee-p1363' }, bytes)) {
    return invalid('its signature is wrong')
  }
  if (now >= claims.exp * 1000) return invalid('it has expired')
  if (audience === '' || !claims.aud.includes(audience)) return invalid('it is for another audience')
  return { ok: true, id: id.id, claims }
}

/** A JWK set of one trust domain; SPIRE leaves `use` out of what its Workload API gives (rule S-9), so this does too. */
export function jwkSet(keys: readonly JwtKey[]): Buffer {
  return Buffer.from(JSON.stringify({ keys: keys.map(({ kid, key }) => ({ ...createPublicKey(key).export({ format: 'jwk' }), kid })) }))
}

function claimsOf(payload: string): JwtClaims | undefined {
  try {
    const { sub, aud, exp, iat } = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'))
    const claims: JwtClaims = { sub, aud, exp, iat }
    const typed = typeof sub === 'string' && Array.isArray(aud) && aud.every((one) => typeof one === 'string') && Number.isSafeInteger(exp)
    // Duplicate members, other members, padding and other spellings of a number all fail to come back the same.
    return typed && part(claims) === payload ? claims : undefined
  } catch {
    return undefined
  }
}

function part(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

function invalid(why: string): JwtReading {
  return { ok: false, because: `The token is not valid here: ${why}.` }
}
