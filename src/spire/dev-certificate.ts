import 'reflect-metadata'
import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, sign, X509Certificate } from 'node:crypto'
import { AsnConvert } from '@peculiar/asn1-schema'
import {
  AlgorithmIdentifier,
  Name as AsnName,
  Certificate,
  Extension,
  Extensions,
  SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
  Version
} from '@peculiar/asn1-x509'
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type JsonGeneralNames,
  KeyUsageFlags,
  KeyUsagesExtension,
  Name,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension
} from '@peculiar/x509'

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

const ECDSA_WITH_SHA256 = new AlgorithmIdentifier({ algorithm: '1.2.840.10045.4.3.2' })

export function newKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
}

/**
 * Writes and signs one certificate in the profile of X509-SVID §4 and §5 (rule S-15). Returns DER. The library's own generator
 * signs through WebCrypto and is asynchronous; its parts are used instead, and node:crypto signs what they serialise to.
 */
export function writeCertificate(spec: CertificateSpec): Uint8Array {
  const tbsCertificate = new TBSCertificate({
    version: Version.v3,
    // The top bit is cleared and the next one set: positive, and always 16 bytes long.
    serialNumber: Uint8Array.from(spec.serial, (byte, index) => (index === 0 ? (byte & 0x7f) | 0x40 : byte)).buffer,
    signature: ECDSA_WITH_SHA256,
    issuer: distinguishedName(spec.issuer.name),
    validity: new Validity({ notBefore: new Date(spec.notBefore), notAfter: new Date(spec.notAfter) }),
    subject: distinguishedName(spec.name),
    subjectPublicKeyInfo: AsnConvert.parse(publicKeyInfo(spec.key), SubjectPublicKeyInfo),
    extensions: new Extensions(extensionsOf(spec).map(({ rawData }) => AsnConvert.parse(rawData, Extension)))
  })
  const signature = sign('sha256', new Uint8Array(AsnConvert.serialize(tbsCertificate)), spec.issuer.key)
  const signatureValue = Uint8Array.from(signature).buffer
  return new Uint8Array(AsnConvert.serialize(new Certificate({ tbsCertificate, signatureAlgorithm: ECDSA_WITH_SHA256, signatureValue })))
}

function extensionsOf(spec: CertificateSpec) {
  const ca = spec.pathLength !== undefined
  const usage = ca ? KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign : KeyUsageFlags.digitalSignature
  return [
    new KeyUsagesExtension(usage, true),
    ...(ca ? [] : [new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth], false)]),
    new BasicConstraintsExtension(ca, spec.pathLength, true),
    new SubjectKeyIdentifierExtension(keyIdOf(spec.key), false),
    new AuthorityKeyIdentifierExtension(keyIdOf(spec.issuer.key), false),
    new SubjectAlternativeNameExtension(alternativeNames(spec), spec.name === '')
  ]
}

/**
 * An IA5String takes the low byte of each character, which would write `š` as `a`: another name. Given the UTF-8 bytes one by
 * one, a name that is not ASCII stays a name that no verifier can take for one that is.
 */
function alternativeNames({ dns, uris }: CertificateSpec): JsonGeneralNames {
  const bytewise = (text: string) => Buffer.from(text, 'utf8').toString('latin1')
  return [
    ...dns.map((name) => ({ type: 'dns' as const, value: bytewise(name) })),
    ...uris.map((uri) => ({ type: 'url' as const, value: bytewise(uri) }))
  ]
}

/** An organisation that cannot be mistaken for anybody's, and the common name. Not given as text, which would be read as RFC 4514. */
function distinguishedName(name: string): AsnName {
  const attributes = name === '' ? [] : [{ O: [{ utf8String: 'vecauthz DEV ONLY' }] }, { CN: [{ utf8String: name }] }]
  return AsnConvert.parse(new Name(attributes).toArrayBuffer(), AsnName)
}

function publicKeyInfo(key: KeyObject): Buffer {
  return createPublicKey(key).export({ type: 'spki', format: 'der' })
}

/** Hex of a digest of the whole public key information, as in RFC 7093 §2 (4), cut to the usual 160 bits. */
function keyIdOf(key: KeyObject): string {
  return createHash('sha256').update(publicKeyInfo(key)).digest('hex').slice(0, 40)
}

export function certificatePem(der: Uint8Array): string {
  return new X509Certificate(der).toString()
}
