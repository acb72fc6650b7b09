import { constants, createPublicKey, type KeyObject, verify } from 'node:crypto'
import { childrenOf, readBits, readUnsigned, TAG, wholeElement } from './der.ts'
import type { Certificate } from './x509-certificate.ts'

/** Which keys and signatures count (rule X-28). Algorithms are compared as whole DER, so that no parameter goes unread. */
export type KeyFamily = 'ec' | 'rsa' | 'ed25519'

interface SignatureAlgorithm {
  readonly family: KeyFamily
  /** Null for Ed25519, which hashes by itself. */
  readonly hash: 'sha256' | 'sha384' | 'sha512' | null
  readonly pss: boolean
}

/** RFC 5758 §3.2, RFC 8017 §A.2, RFC 8410 §3; RFC 4055 §5 lets the NULL of RSA be left out; PSS with MGF1, the same hash, and a salt as long. */
const SIGNATURES: ReadonlyMap<string, SignatureAlgorithm> = new Map([
  ['300a06082a8648ce3d040302', { family: 'ec', hash: 'sha256', pss: false }],
  ['300a06082a8648ce3d040303', { family: 'ec', hash: 'sha384', pss: false }],
  ['300a06082a8648ce3d040304', { family: 'ec', hash: 'sha512', pss: false }],
  ['300d06092a864886f70d01010b0500', { family: 'rsa', hash: 'sha256', pss: false }],
  ['300d06092a864886f70d01010c0500', { family: 'rsa', hash: 'sha384', pss: false }],
  ['300d06092a864886f70d01010d0500', { family: 'rsa', hash: 'sha512', pss: false }],
  ['300b06092a864886f70d01010b', { family: 'rsa', hash: 'sha256', pss: false }],
  ['300b06092a864886f70d01010c', { family: 'rsa', hash: 'sha384', pss: false }],
  ['300b06092a864886f70d01010d', { family: 'rsa', hash: 'sha512', pss: false }],
  [pssIdentifier('01', '20'), { family: 'rsa', hash: 'sha256', pss: true }],
  [pssIdentifier('02', '30'), { family: 'rsa', hash: 'sha384', pss: true }],
  [pssIdentifier('03', '40'), { family: 'rsa', hash: 'sha512', pss: true }],
  ['300506032b6570', { family: 'ed25519', hash: null, pss: false }]
] as const)

function pssIdentifier(hash: string, saltLength: string): string {
  const digest = `300d06096086480165030402${hash}0500`
  return `304106092a864886f70d01010a3034a00f${digest}a11c301a06092a864886f70d010108${digest}a2030201${saltLength}`
}

/** RFC 5480 §2.1.1: key algorithms to the bytes of their uncompressed point; RFC 8410 §3. */
const POINTS: ReadonlyMap<string, { readonly family: KeyFamily; readonly bytes: number }> = new Map([
  ['301306072a8648ce3d020106082a8648ce3d030107', { family: 'ec', bytes: 65 }],
  ['301006072a8648ce3d020106052b81040022', { family: 'ec', bytes: 97 }],
  ['301006072a8648ce3d020106052b81040023', { family: 'ec', bytes: 133 }],
  ['300506032b6570', { family: 'ed25519', bytes: 32 }]
] as const)
const RSA = '300d06092a864886f70d0101010500'
const RSA_BITS_MIN = 2048
/** Verification takes 16 times as long as with 2048 bits; nobody issues SVIDs with more. */
const RSA_BITS_MAX = 8192

export type KeyResult = { readonly ok: true; readonly family: KeyFamily } | { readonly ok: false; readonly detail: string }

/** The family of a SubjectPublicKeyInfo that is strong enough to count, or what it is. */
export function keyFamily(spki: Buffer): KeyResult {
  const weak = (detail: string): KeyResult => ({ ok: false, detail })
  const whole = wholeElement(spki, TAG.sequence)
  const [algorithm, key, extra] = (whole && childrenOf(spki, whole)) ?? []
  const read = readBits(spki, key)
  if (algorithm === undefined || read === undefined || read.unused !== 0 || extra !== undefined) return weak('a malformed public key')
  const name = spki.toString('hex', algorithm.start, algorithm.to)
  const point = POINTS.get(name)
  if (point !== undefined) {
    const fits = read.bits.length === point.bytes && (point.family !== 'ec' || read.bits[0] === 0x04)
    return fits ? { ok: true, family: point.family } : weak('a malformed public key')
  }
  if (name !== RSA) return weak('a public key of a kind that is not accepted')
  const bits = rsaBits(read.bits)
  if (bits === undefined) return weak('a malformed RSA key')
  return bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX ? { ok: true, family: 'rsa' } : weak(`an RSA key of ${bits} bits`)
}

/** Bits of the modulus of an RSAPublicKey (RFC 8017 §A.1.1); an even modulus or exponent, or an exponent of 1, is no key. */
function rsaBits(key: Buffer): number | undefined {
  const whole = wholeElement(key, TAG.sequence)
  const [n, e, extra] = (whole && childrenOf(key, whole)) ?? []
  const [modulus, exponent] = [readUnsigned(key, n), readUnsigned(key, e)]
  if (modulus === undefined || exponent === undefined || extra !== undefined) return undefined
  const odd = ((modulus.at(-1) ?? 0) & 1) === 1 && ((exponent.at(-1) ?? 0) & 1) === 1
  if (!odd || exponent.length > 4 || exponent.readUIntBE(0, exponent.length) < 3) return undefined
  const digits = modulus[0] === 0 ? modulus.subarray(1) : modulus
  return digits.length * 8 - Math.clz32(digits[0] ?? 0) + 24
}

/** Nothing but a key that OpenSSL can use: the family was judged before. */
export function publicKeyOf(spki: Buffer): KeyObject | undefined {
  try {
    return createPublicKey({ key: spki, format: 'der', type: 'spki' })
  } catch {
    return undefined
  }
}

/** What is wrong with the algorithm that a certificate was signed with, given its issuer's key; undefined when it counts. */
export function algorithmFault(certificate: Certificate, issuerSpki: Buffer): string | undefined {
  const algorithm = SIGNATURES.get(certificate.algorithm)
  if (algorithm === undefined) return 'a signature algorithm that is not accepted'
  const key = keyFamily(issuerSpki)
  if (!key.ok) return `an issuer with ${key.detail}`
  return key.family === algorithm.family ? undefined : `a signature algorithm that does not fit its issuer's ${key.family} key`
}

/** Whether `key` signed the certificate; its algorithm has passed `algorithmFault`. */
export function signatureVerifies(certificate: Certificate, key: KeyObject): boolean {
  const algorithm = SIGNATURES.get(certificate.algorithm)
  if (algorithm === undefined) return false
  const padding = { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
  try {
    return verify(algorithm.hash, certificate.tbs, algorithm.pss ? padding : key, certificate.signature)
  } catch {
    return false
  }
}
