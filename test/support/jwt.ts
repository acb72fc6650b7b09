import { constants, createPublicKey, type KeyObject, sign } from 'node:crypto'
import { parseJwtKeySet } from '../../src/identity/bundle-document.ts'
import type { JwtKey } from '../../src/identity/jwt-keys.ts'
import { newKey } from './ca.ts'

/** JWT-SVIDs in memory: good by default (JWT-SVID §2, §3), with a knob for every defect that the rules J-1 to J-27 refuse. */

export const JWT_NOW = Date.UTC(2026, 10, 20, 12)
/** Seconds since the epoch. */
export const NOW_S = JWT_NOW / 1000
export const AUDIENCE = 'vecauthz'
export const WORKLOAD = 'spiffe://vec.test/ns/acme/agent/support'

export interface SigningKey {
  readonly alg: string
  readonly kid: string
  readonly key: KeyObject
}

export const es256: SigningKey = { alg: 'ES256', kid: 'k-es256', key: newKey('P-256') }
export const other: SigningKey = { alg: 'ES256', kid: 'k-other', key: newKey('P-256') }
export const partnerKey: SigningKey = { alg: 'ES256', kid: 'k-partner', key: newKey('P-256') }
export const es384: SigningKey = { alg: 'ES384', kid: 'k-es384', key: newKey('P-384') }
export const es512: SigningKey = { alg: 'ES512', kid: 'k-es512', key: newKey('P-521') }
export const rsa: SigningKey = { alg: 'RS256', kid: 'k-rsa', key: newKey('RSA-2048') }

export interface TokenSpec {
  readonly by?: SigningKey
  /** The algorithm that really signs, where it is not the one of the header. */
  readonly signedAs?: string
  /** Members over the good ones; `undefined` leaves one out. A text stands for the whole JSON. */
  readonly header?: Readonly<Record<string, unknown>> | string
  readonly claims?: Readonly<Record<string, unknown>> | string
  readonly signature?: (made: Buffer) => Buffer
}

/** The good header of a key. */
export const headerFor = ({ alg, kid }: SigningKey): Record<string, unknown> => ({ alg, kid, typ: 'JWT' })

export const goodClaims: Readonly<Record<string, unknown>> = { sub: WORKLOAD, aud: [AUDIENCE], exp: NOW_S + 300, iat: NOW_S }

export function makeToken({ by = es256, signedAs, header = {}, claims = {}, signature }: TokenSpec = {}): string {
  const head = typeof header === 'string' ? header : JSON.stringify({ ...headerFor(by), ...header })
  const body = typeof claims === 'string' ? claims : JSON.stringify({ ...goodClaims, ...claims })
  const signed = `${base64Url(head)}.${base64Url(body)}`
  const made = signAs(signedAs ?? by.alg, by.key, Buffer.from(signed))
  return `${signed}.${(signature?.(made) ?? made).toString('base64url')}`
}

export function base64Url(text: string | Uint8Array): string {
  return Buffer.from(text as string).toString('base64url')
}

function signAs(alg: string, key: KeyObject, bytes: Buffer): Buffer {
  if (alg === 'EdDSA') return sign(null, bytes, key)
  if (alg === 'DER') return sign('sha256', bytes, key)
  const hash = `sha${alg.slice(2, 5)}`
  if (alg.startsWith('ES')) return sign(hash, bytes, { key, dsaEncoding: 'ieee-p1363' })
  if (alg.startsWith('RS')) return sign(hash, bytes, key)
  return sign(hash, bytes, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST })
}

/** The public JWK of a key, with these members over its own; `undefined` leaves one out. */
export function jwkOf({ key, kid }: SigningKey, members: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return { ...createPublicKey(key).export({ format: 'jwk' }), kid, ...members }
}

/** The keys of one trust domain, read from the form of the Workload API. */
export function keySet(...jwks: readonly unknown[]): readonly JwtKey[] {
  const read = parseJwtKeySet(Buffer.from(JSON.stringify({ keys: jwks })))
  if (!read.ok) throw new Error(read.detail)
  return read.keys
}

export const KEY_SETS = new Map([
  ['vec.test', keySet(...[es256, other, es384, es512, rsa].map((key) => jwkOf(key)))],
  ['partner.test', keySet(jwkOf(partnerKey))],
  ['empty.test', keySet()]
])
