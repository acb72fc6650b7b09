import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto'
import { strictBase64Url } from './base64.ts'
import { type JsonObject, shown } from './json.ts'
import { type Fault, fault } from './rules.ts'
import { keyFamily } from './x509-algorithms.ts'

/** A public key as RFC 7518 §6 and RFC 8037 §2 write it, strong enough to count. */
export interface PublicJwk {
  readonly ok: true
  readonly key: KeyObject
  /** SubjectPublicKeyInfo, DER: equal exactly for equal keys. */
  readonly spki: Buffer
  /** `RSA`, or the name of the curve. */
  readonly kind: JwkKind
}

export type JwkKind = 'RSA' | 'P-256' | 'P-384' | 'P-521' | 'Ed25519'

/** Curves to the bytes of each coordinate. */
const COORDINATE_BYTES: ReadonlyMap<string, number> = new Map([
  ['P-256', 32],
  ['P-384', 48],
  ['P-521', 66],
  ['Ed25519', 32]
])

/** Members that only a private or a symmetric key has (RFC 7518 §6.2.2, §6.3.2, §6.4.1). */
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'] as const

/** Reads the key material of a JWK and nothing else: what the key is for is judged by who asks. */
export function readJwk(jwk: JsonObject): PublicJwk | Fault {
  const parts = publicParts(jwk)
  if ('rule' in parts) return parts
  const secret = PRIVATE_MEMBERS.find((name) => jwk.has(name))
  if (secret !== undefined) return fault('B-15', `it has the private member ${secret}: whoever reads this bundle can sign with it`)
  const key = publicKeyOf(parts.material)
  if (key === undefined) return fault('B-15', `it is no point of the curve, or no key: ${parts.kind}`)
  const spki = key.export({ type: 'spki', format: 'der' })
  const judged = keyFamily(spki)
  return judged.ok ? { ok: true, key, spki, kind: parts.kind } : fault('J-4', `it is ${judged.detail}`)
}

interface Parts {
  readonly kind: JwkKind
  readonly material: JsonWebKey
}

function publicParts(jwk: JsonObject): Parts | Fault {
  const kty = jwk.get('kty')
  if (kty === 'RSA') {
    const [n, e] = [encoded(jwk, 'n'), encoded(jwk, 'e')]
    return n === undefined || e === undefined ? fault('B-15', 'its n or e is not base64url') : { kind: 'RSA', material: { kty, n, e } }
  }
  if (kty !== 'EC' && kty !== 'OKP') return fault('B-2', `its kty is ${typeof kty === 'string' ? shown(kty) : 'not there'}`)
  const crv = jwk.get('crv')
  const bytes = typeof crv === 'string' ? COORDINATE_BYTES.get(crv) : undefined
  if (bytes === undefined || (crv === 'Ed25519') !== (kty === 'OKP')) {
    return fault('B-2', `its crv is ${typeof crv === 'string' ? shown(crv) : 'not there'}`)
  }
  const kind = crv as JwkKind
  const x = encoded(jwk, 'x', bytes)
  if (kty === 'OKP')
    return x === undefined ? fault('B-15', `its x is not ${bytes} bytes of base64url`) : { kind, material: { kty, crv: kind, x } }
  const y = encoded(jwk, 'y', bytes)
  if (x === undefined || y === undefined) return fault('B-15', `its x or y is not ${bytes} bytes of base64url`)
  return { kind, material: { kty, crv: kind, x, y } }
}

/** A member that is strict base64url, of this many bytes where a number is given. */
function encoded(jwk: JsonObject, name: string, bytes?: number): string | undefined {
  const value = jwk.get(name)
  const decoded = typeof value === 'string' ? strictBase64Url(value) : undefined
  if (typeof value !== 'string' || decoded === undefined || decoded.length === 0) return undefined
  return bytes === undefined || decoded.length === bytes ? value : undefined
}

function publicKeyOf(material: JsonWebKey): KeyObject | undefined {
  try {
    return createPublicKey({ key: material, format: 'jwk' })
  } catch {
    return undefined
  }
}
