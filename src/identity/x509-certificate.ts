import { childrenOf, type Element, encodingOf, readBits, readOid, readSmall, readTime, readUnsigned, TAG, wholeElement } from './der.ts'
import { type Fault, fault } from './rules.ts'
import { type Extensions, NO_EXTENSIONS, readExtensions } from './x509-extensions.ts'
import { readName } from './x509-name.ts'

/** A certificate as RFC 5280 §4.1 has it. The buffers are views of the bytes it was read from. */
export interface Certificate {
  readonly der: Buffer
  /** The signed part. */
  readonly tbs: Buffer
  /** Lower-case hex, without leading zero bytes. */
  readonly serial: string
  /** The AlgorithmIdentifier of the signature, DER in hex. */
  readonly algorithm: string
  readonly signature: Buffer
  /** Names in the comparable form of `readName`. */
  readonly issuer: string
  readonly subject: string
  /** Milliseconds since the epoch, both ends inside. */
  readonly notBefore: number
  readonly notAfter: number
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Buffer
  readonly extensions: Extensions
}

export type CertificateResult = { readonly ok: true; readonly certificate: Certificate } | Fault

/** RFC 5280 §4.1.2.2. */
const SERIAL_BYTES_MAX = 20

/** Reads one certificate that is all of these bytes (rule X-27). It judges the form only: algorithms and extensions are judged where they are used. */
export function readCertificate(bytes: Uint8Array): CertificateResult {
  const der = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const whole = wholeElement(der, TAG.sequence)
  const [tbs, algorithm, signed, extra] = (whole && childrenOf(der, whole)) ?? []
  if (tbs?.tag !== TAG.sequence || algorithm?.tag !== TAG.sequence || extra !== undefined) return malformed('not a Certificate')
  const signature = readBits(der, signed)
  if (signature === undefined || signature.unused !== 0) return malformed('a malformed signature field')
  const body = readBody(der, tbs)
  if (typeof body === 'string') return malformed(body)
  if (hexOf(der, algorithm) !== body.algorithm) return malformed('two signature algorithms that differ')
  return { ok: true, certificate: { der, tbs: encodingOf(der, tbs), signature: signature.bits, ...body } }
}

type Body = Omit<Certificate, 'der' | 'tbs' | 'signature'>

function readBody(der: Buffer, tbs: Element): Body | string {
  const parts = childrenOf(der, tbs)
  if (parts === undefined) return 'a malformed TBSCertificate'
  const version = readVersion(der, parts[0])
  if (version === undefined) return 'a malformed version'
  const [number, algorithm, issuer, validity, subject, spki, ...rest] = version === 1 ? parts : parts.slice(1)
  const serial = readUnsigned(der, number)
  if (serial === undefined || serial.length > SERIAL_BYTES_MAX) return 'a malformed serial number'
  const [issuerName, subjectName] = [readName(der, issuer), readName(der, subject)]
  if (issuerName === undefined || subjectName === undefined) return 'a malformed name'
  const [from, to, more] = validity?.tag === TAG.sequence ? (childrenOf(der, validity) ?? []) : []
  const [notBefore, notAfter] = [readTime(der, from), readTime(der, to)]
  if (notBefore === undefined || notAfter === undefined || more !== undefined) return 'a malformed validity'
  if (algorithm === undefined || !isAlgorithm(der, algorithm)) return 'a malformed signature algorithm'
  if (spki === undefined || !isPublicKey(der, spki)) return 'a malformed public key'
  const extensions = readTail(der, version, rest)
  if (typeof extensions === 'string') return extensions
  return {
    serial: serial.toString('hex').replace(/^(?:00)+(?=.)/, ''),
    algorithm: hexOf(der, algorithm),
    issuer: issuerName,
    subject: subjectName,
    notBefore,
    notAfter,
    spki: encodingOf(der, spki),
    extensions
  }
}

function hexOf(der: Buffer, { start, to }: Element): string {
  return der.toString('hex', start, to)
}

/** `[0]` is there for version 2 and 3 only: DER leaves out the default. */
function readVersion(der: Buffer, element: Element | undefined): 1 | 2 | 3 | undefined {
  if (element?.tag !== 0xa0) return 1
  const [number, extra] = childrenOf(der, element) ?? []
  const written = readSmall(der, number)
  return extra !== undefined ? undefined : written === 2 ? 3 : written === 1 ? 2 : undefined
}

/** AlgorithmIdentifier: an OID and, for most, one parameter. */
function isAlgorithm(der: Buffer, element: Element | undefined): boolean {
  const parts = element?.tag === TAG.sequence ? childrenOf(der, element) : undefined
  return parts !== undefined && parts.length <= 2 && readOid(der, parts[0]) !== undefined
}

/** SubjectPublicKeyInfo: an algorithm and bits, whatever they mean to it. */
function isPublicKey(der: Buffer, element: Element): boolean {
  const [algorithm, key, extra] = element.tag === TAG.sequence ? (childrenOf(der, element) ?? []) : []
  return isAlgorithm(der, algorithm) && readBits(der, key) !== undefined && extra === undefined
}

/** What may follow the key: two unique identifiers that nobody uses, and the extensions. */
function readTail(der: Buffer, version: number, rest: readonly Element[]): Extensions | string {
  let last = 0
  let extensions: Extensions | string = NO_EXTENSIONS
  for (const element of rest) {
    const number = element.tag & 0x1f
    if (number <= last) return 'fields out of order'
    last = number
    if (element.tag === 0xa3 && version === 3) {
      const [list, extra] = childrenOf(der, element) ?? []
      extensions = extra === undefined ? readExtensions(der, list) : 'malformed extensions'
    } else if (version === 1 || !isUniqueId(der, element)) return 'an unexpected field'
  }
  return extensions
}

/** `[1]` or `[2]` in the place of the tag of a BIT STRING (RFC 5280 §4.1.2.8). */
function isUniqueId(der: Buffer, element: Element): boolean {
  return (element.tag === 0x81 || element.tag === 0x82) && readBits(der, { ...element, tag: TAG.bitString }) !== undefined
}

function malformed(detail: string): Fault {
  return fault('X-27', detail)
}
