import { constants, type KeyObject, verify } from 'node:crypto'
import { ecdsaSigValue } from './ecdsa-signature.ts'
import { type Json, type JsonObject, shown } from './json.ts'
import { type JwkKind, readJwk } from './jwk.ts'
import { type Fault, fault } from './rules.ts'

/** The algorithms of JWT-SVID §2.1 (RFC 7518 §3.3 to §3.5), and no others. */
export interface JwtAlgorithm {
  readonly name: string
  /** The kind of key that it is used with. */
  readonly kind: JwkKind
  readonly hash: 'sha256' | 'sha384' | 'sha512'
  readonly pss: boolean
  /** Bytes of a signature; undefined where the key says how many. */
  readonly signatureBytes: number | undefined
}

const algorithm = (name: string, kind: JwkKind, signatureBytes?: number): [string, JwtAlgorithm] => [
  name,
  { name, kind, hash: `sha${name.slice(2)}` as JwtAlgorithm['hash'], pss: name.startsWith('PS'), signatureBytes }
]

export const JWT_ALGORITHMS: ReadonlyMap<string, JwtAlgorithm> = new Map([
  algorithm('RS256', 'RSA'),
  algorithm('RS384', 'RSA'),
  algorithm('RS512', 'RSA'),
  algorithm('ES256', 'P-256', 64),
  algorithm('ES384', 'P-384', 96),
  algorithm('ES512', 'P-521', 132),
  algorithm('PS256', 'RSA'),
  algorithm('PS384', 'RSA'),
  algorithm('PS512', 'RSA')
])

/** A key that may have signed JWT-SVIDs of one trust domain. Made by `readJwtKey` from a JWK of that trust domain's bundle. */
export interface JwtKey {
  readonly kid: string | undefined
  /** Names of the algorithms that it verifies. */
  readonly algorithms: readonly string[]
  readonly key: KeyObject
  /** SubjectPublicKeyInfo, DER in hex: equal exactly for equal keys. */
  readonly spki: string
}

/** Trust domain name (no scheme) to its keys. A domain that is absent is untrusted; an empty list trusts nothing. */
export type JwtKeySets = ReadonlyMap<string, readonly JwtKey[]>

export type JwtKeyResult = { readonly ok: true; readonly key: JwtKey } | Fault

/** A JWK as a key for JWT-SVIDs; its `use` was judged before (the two forms of bundle differ there). */
export function readJwtKey(jwk: JsonObject): JwtKeyResult {
  const kid = jwk.get('kid')
  if (kid !== undefined && (typeof kid !== 'string' || kid === '')) return fault('B-7', 'its kid is not a text, or is empty')
  const read = readJwk(jwk)
  if (!read.ok) return read
  const operations = jwk.get('key_ops')
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify'))) {
    return fault('B-3', 'its key_ops do not allow to verify')
  }
  const algorithms = algorithmsFor(read.kind, jwk.get('alg'))
  if (algorithms.length === 0) return fault('J-4', `no algorithm of JWT-SVID is used with its ${read.kind} key and its alg`)
  return { ok: true, key: { kid, algorithms, key: read.key, spki: read.spki.toString('hex') } }
}

/** Where the JWK names one algorithm, it is for no other (RFC 7517 §4.4). */
function algorithmsFor(kind: JwkKind, alg: Json | undefined): readonly string[] {
  const fitting = [...JWT_ALGORITHMS.values()].filter((one) => one.kind === kind).map((one) => one.name)
  return alg === undefined ? fitting : fitting.filter((name) => name === alg)
}

/**
 * Keys whose id says one thing (rule B-8). The same key twice counts once; an id that two keys have is taken from both.
 * @returns the keys that are left, and the ids that are not
 */
export function unambiguous(keys: readonly JwtKey[]): { readonly keys: readonly JwtKey[]; readonly ambiguous: readonly string[] } {
  const byId = new Map<string, JwtKey>()
  const ambiguous = new Set<string>()
  for (const key of keys) {
    if (key.kid === undefined) continue
    const other = byId.get(key.kid)
    if (other !== undefined && !isSameKey(other, key)) ambiguous.add(key.kid)
    byId.set(key.kid, other ?? key)
  }
  const left = keys.filter((key) => key.kid === undefined || (byId.get(key.kid) === key && !ambiguous.has(key.kid)))
  return { keys: left, ambiguous: [...ambiguous] }
}

/** Whether a key set with the one means what it means with the other: a key that is taken for fewer algorithms is another one. */
export function isSameKey(a: JwtKey, b: JwtKey | undefined): boolean {
  return b !== undefined && a.kid === b.kid && a.spki === b.spki && a.algorithms.join() === b.algorithms.join()
}

/** Keys tried for one token without a key id: more are not a rotation but work that somebody makes us do. */
const KEYS_TRIED_MAX = 16

/** Why no key of the trust domain signed this; undefined when one did (rules J-4, J-8, J-9, J-18). */
export function signatureFault(
  keys: readonly JwtKey[],
  { name, hash, pss, signatureBytes }: JwtAlgorithm,
  kid: string | undefined,
  signed: Buffer,
  signature: Buffer
): Fault | undefined {
  const named = kid === undefined ? keys : keys.filter((key) => key.kid === kid)
  if (named.length === 0) return fault('J-9', `no key of the trust domain has the kid ${shown(kid ?? '')}`)
  const fitting = named.filter((key) => key.algorithms.includes(name))
  if (fitting.length === 0) return fault('J-4', `${name} does not fit ${kid === undefined ? 'any key' : 'the key'} of the trust domain`)
  if (signatureBytes !== undefined && signature.length !== signatureBytes) {
    return fault('J-18', `the signature has ${signature.length} bytes, and ${name} has ${signatureBytes}`)
  }
  const tried = fitting.slice(0, KEYS_TRIED_MAX)
  if (tried.some(({ key }) => signatureVerifies(key, hash, pss, signed, signature))) return undefined
  if (tried.length < fitting.length) return fault('J-8', `none of ${KEYS_TRIED_MAX} keys signed it, and without a kid no more are tried`)
  return fault('J-18', `the signature is by no ${kid === undefined ? '' : 'such '}key of the trust domain`)
}

function signatureVerifies(key: KeyObject, hash: string, pss: boolean, signed: Buffer, signature: Buffer): boolean {
  // The key alone where that is all there is to say: handing it over with options costs node a fifth of the check.
  try {
    if (key.asymmetricKeyType === 'ec') return verify(hash, signed, key, ecdsaSigValue(signature))
    if (!pss) return verify(hash, signed, key, signature)
    const padding = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
    return verify(hash, signed, { key, ...padding }, signature)
  } catch {
    return false
  }
}
