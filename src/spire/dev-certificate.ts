import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, sign, X509Certificate } from 'node:crypto'
import {
  bitString,
  type Der,
  integer,
  objectId,
  octetString,
  retagged,
  sequence,
  setOf,
  time,
  utf8String,
  wrapped,
  yes
} from './dev-der.ts'

/** Whoever signs: a root or an intermediate. */
export interface Signer {
  /** Common name; the whole Subject. */
  readonly name: string
  readonly key: KeyObject
}

export interface CertificateSpec {
  /** Common name; empty for an empty Subject, which makes the subject alternative names critical (RFC 5280 §4.2.1.6). */
  readonly name: string
  readonly key: KeyObject
  readonly issuer: Signer
  /** 16 random bytes. */
  readonly serial: Uint8Array
  /** Milliseconds since the epoch. */
  readonly notBefore: number
  readonly notAfter: number
  readonly uris: readonly string[]
  readonly dns: readonly string[]
  /** Present on a CA: how many CAs may follow it. */
  readonly pathLength?: number
}

const ECDSA_WITH_SHA256 = '1.2.840.10045.4.3.2'
const [SERVER_AUTH, CLIENT_AUTH] = ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']
/** Bits 5 and 6, most significant first: keyCertSign and cRLSign. */
const CA_USAGE = bitString(Buffer.from([0b0000_0110]), 1)
/** Bit 0: digitalSignature. */
const LEAF_USAGE = bitString(Buffer.from([0b1000_0000]), 7)

export function newKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
}

/** Writes and signs one certificate in the profile of X509-SVID §4 and §5 (rule S-15). Returns DER. */
export function writeCertificate(spec: CertificateSpec): Uint8Array {
  const algorithm = sequence(objectId(ECDSA_WITH_SHA256))
  const signed = sequence(
    wrapped(0, integer(Buffer.from([2]))),
    // The top bit is cleared and the next one set: positive, and always 16 bytes long.
    integer(Uint8Array.from(spec.serial, (byte, index) => (index === 0 ? (byte & 0x7f) | 0x40 : byte))),
    algorithm,
    distinguishedName(spec.issuer.name),
    sequence(time(spec.notBefore), time(spec.notAfter)),
    distinguishedName(spec.name),
    publicKeyInfo(spec.key),
    wrapped(3, sequence(...extensionsOf(spec)))
  )
  return Uint8Array.from(sequence(signed, algorithm, bitString(sign('sha256', signed, spec.issuer.key), 0)))
}

function extensionsOf(spec: CertificateSpec): Der[] {
  const ca = spec.pathLength !== undefined
  const names = [...spec.dns.map((name) => retagged(2, Buffer.from(name))), ...spec.uris.map((uri) => retagged(6, Buffer.from(uri)))]
  return [
    extension('2.5.29.15', true, ca ? CA_USAGE : LEAF_USAGE),
    ...(ca ? [] : [extension('2.5.29.37', false, sequence(objectId(SERVER_AUTH), objectId(CLIENT_AUTH)))]),
    extension('2.5.29.19', true, ca ? sequence(yes(), integer(Buffer.from([spec.pathLength ?? 0]))) : sequence()),
    extension('2.5.29.14', false, octetString(keyIdOf(spec.key))),
    extension('2.5.29.35', false, sequence(retagged(0, keyIdOf(spec.issuer.key)))),
    extension('2.5.29.17', spec.name === '', sequence(...names))
  ]
}

function extension(id: string, critical: boolean, content: Uint8Array): Der {
  return sequence(objectId(id), ...(critical ? [yes()] : []), octetString(content))
}

/** An organisation that cannot be mistaken for anybody's, and the common name. */
function distinguishedName(name: string): Der {
  if (name === '') return sequence()
  const attribute = (id: string, text: string) => setOf(sequence(objectId(id), utf8String(text)))
  return sequence(attribute('2.5.4.10', 'vecauthz DEV ONLY'), attribute('2.5.4.3', name))
}

function publicKeyInfo(key: KeyObject): Buffer {
  return createPublicKey(key).export({ type: 'spki', format: 'der' })
}

/** A digest of the whole public key information, as in RFC 7093 §2 (4), cut to the usual 160 bits. */
function keyIdOf(key: KeyObject): Buffer {
  return createHash('sha256').update(publicKeyInfo(key)).digest().subarray(0, 20)
}

export function certificatePem(der: Uint8Array): string {
  return new X509Certificate(der).toString()
}
