import {
  childrenOf,
  contentOf,
  dottedOid,
  type Element,
  readBits,
  readBoolean,
  readOid,
  readSmall,
  readUnsigned,
  TAG,
  wholeElement
} from './der.ts'
import { type GeneralName, readGeneralName } from './x509-name.ts'

/** The extensions that the rulebook processes (RFC 5280 §4.2.1), each as it stands in one certificate. */
export interface Extensions {
  readonly keyUsage: { readonly critical: boolean; readonly bits: number } | undefined
  /** OIDs in hex. */
  readonly extendedKeyUsage: readonly string[] | undefined
  readonly basicConstraints: { readonly ca: boolean; readonly pathLength: number | undefined } | undefined
  readonly subjectAltName: { readonly critical: boolean; readonly names: readonly GeneralName[] } | undefined
  readonly nameConstraints: NameConstraints | undefined
  /** Key identifiers in hex. */
  readonly subjectKeyId: string | undefined
  readonly authorityKeyId: string | undefined
  /** Dotted OID of the first critical extension that is not processed here. */
  readonly unknownCritical: string | undefined
}

export interface NameConstraints {
  readonly critical: boolean
  readonly permitted: readonly GeneralName[]
  readonly excluded: readonly GeneralName[]
}

/** `keyUsage.bits` (RFC 5280 §4.2.1.3): bit n of the standard is `1 << n` here. */
export const KEY_USAGE = { digitalSignature: 1 << 0, keyCertSign: 1 << 5, cRLSign: 1 << 6 } as const
/** OIDs of `extendedKeyUsage` in hex (RFC 5280 §4.2.1.12). */
export const EXTENDED_KEY_USAGE = { serverAuth: '2b06010505070301', clientAuth: '2b06010505070302', any: '551d2500' } as const

type Draft = { -readonly [Key in keyof Extensions]: Extensions[Key] }

export const NO_EXTENSIONS: Extensions = {
  keyUsage: undefined,
  extendedKeyUsage: undefined,
  basicConstraints: undefined,
  subjectAltName: undefined,
  nameConstraints: undefined,
  subjectKeyId: undefined,
  authorityKeyId: undefined,
  unknownCritical: undefined
}

/** The extensions of a certificate, or what is wrong with them (rule X-27). `element` is the SEQUENCE inside `[3]`. */
export function readExtensions(bytes: Buffer, element: Element | undefined): Extensions | string {
  const items = element?.tag === TAG.sequence ? childrenOf(bytes, element) : undefined
  if (items === undefined || items.length === 0) return 'malformed extensions'
  const draft: Draft = { ...NO_EXTENSIONS }
  const seen = new Set<string>()
  for (const item of items) {
    const parts = item.tag === TAG.sequence ? (childrenOf(bytes, item) ?? []) : []
    const oid = readOid(bytes, parts[0])
    // DER leaves out a DEFAULT value, so the flag is there only to say true.
    const critical = parts.length === 3 && parts[1] !== undefined && readBoolean(bytes, parts[1]) === true
    const value = parts.at(-1)
    if (oid === undefined || value?.tag !== TAG.octetString || parts.length !== (critical ? 3 : 2)) return 'a malformed extension'
    if (seen.has(oid)) return `extension ${dottedOid(oid)} twice`
    seen.add(oid)
    const read = READERS.get(oid)
    const known = read?.(contentOf(bytes, value), critical, draft)
    if (known === 'malformed') return `a malformed extension ${dottedOid(oid)}`
    if (critical && known !== 'processed') draft.unknownCritical ??= dottedOid(oid)
  }
  return draft
}

/**
 * `hint`: read, but only to choose among issuers: RFC 5280 forbids the certificate to call it critical, so where it does, it is
 * as unknown as any other.
 */
type Reading = 'processed' | 'hint' | 'malformed'
type Reader = (value: Buffer, critical: boolean, draft: Draft) => Reading

const READERS: ReadonlyMap<string, Reader> = new Map<string, Reader>([
  ['551d0e', readSubjectKeyId],
  ['551d0f', readKeyUsage],
  ['551d11', readSubjectAltName],
  ['551d13', readBasicConstraints],
  ['551d1e', readNameConstraints],
  ['551d23', readAuthorityKeyId],
  ['551d25', readExtendedKeyUsage]
])

function readKeyUsage(value: Buffer, critical: boolean, draft: Draft): Reading {
  const read = readBits(value, wholeElement(value, TAG.bitString))
  if (read === undefined || read.bits.length > 2) return 'malformed'
  let bits = 0
  for (let n = 0; n < read.bits.length * 8; n++) {
    if (((read.bits[n >> 3] ?? 0) & (0x80 >> (n & 7))) !== 0) bits |= 1 << n
  }
  draft.keyUsage = { critical, bits }
  return 'processed'
}

function readExtendedKeyUsage(value: Buffer, _critical: boolean, draft: Draft): Reading {
  const oids = listIn(value, readOid)
  if (oids === undefined) return 'malformed'
  draft.extendedKeyUsage = oids
  return 'processed'
}

function readBasicConstraints(value: Buffer, _critical: boolean, draft: Draft): Reading {
  const whole = wholeElement(value, TAG.sequence)
  const parts = whole && childrenOf(value, whole)
  if (parts === undefined || parts.length > 2) return 'malformed'
  const [flag, length] = parts
  if (flag === undefined) {
    draft.basicConstraints = { ca: false, pathLength: undefined }
    return 'processed'
  }
  // A path length without cA, or a written-out FALSE, is not DER of RFC 5280 §4.2.1.9.
  const pathLength = length === undefined ? undefined : readSmall(value, length)
  if (readBoolean(value, flag) !== true || (length !== undefined && pathLength === undefined)) return 'malformed'
  draft.basicConstraints = { ca: true, pathLength }
  return 'processed'
}

function readSubjectAltName(value: Buffer, critical: boolean, draft: Draft): Reading {
  const names = listIn(value, readGeneralName)
  if (names === undefined) return 'malformed'
  draft.subjectAltName = { critical, names }
  return 'processed'
}

function readNameConstraints(value: Buffer, critical: boolean, draft: Draft): Reading {
  const whole = wholeElement(value, TAG.sequence)
  const parts = whole && childrenOf(value, whole)
  if (parts === undefined || parts.length === 0 || parts.length > 2) return 'malformed'
  const constraints = { critical, permitted: [] as readonly GeneralName[], excluded: [] as readonly GeneralName[] }
  let last = 0
  for (const part of parts) {
    const bases = part.tag > last && (part.tag === 0xa0 || part.tag === 0xa1) ? readSubtrees(value, part) : undefined
    if (bases === undefined) return 'malformed'
    constraints[part.tag === 0xa0 ? 'permitted' : 'excluded'] = bases
    last = part.tag
  }
  draft.nameConstraints = constraints
  return 'processed'
}

/** GeneralSubtrees: minimum and maximum are not used by RFC 5280 §4.2.1.10, so a base stands alone. */
function readSubtrees(bytes: Buffer, list: Element): readonly GeneralName[] | undefined {
  return listOf(bytes, list, (_, subtree) => {
    const [base, extra] = subtree.tag === TAG.sequence ? (childrenOf(bytes, subtree) ?? []) : []
    return extra === undefined ? readGeneralName(bytes, base) : undefined
  })
}

function readSubjectKeyId(value: Buffer, _critical: boolean, draft: Draft): Reading {
  const whole = wholeElement(value, TAG.octetString)
  if (whole === undefined) return 'malformed'
  draft.subjectKeyId = value.toString('hex', whole.from, whole.to)
  return 'hint'
}

function readAuthorityKeyId(value: Buffer, _critical: boolean, draft: Draft): Reading {
  const whole = wholeElement(value, TAG.sequence)
  const parts = whole && childrenOf(value, whole)
  if (parts === undefined) return 'malformed'
  let last = -1
  for (const part of parts) {
    const position = AUTHORITY_KEY_ID_TAGS.indexOf(part.tag)
    if (position <= last || (position > 0 && !isIssuerAndSerial(value, part))) return 'malformed'
    last = position
    if (position === 0) draft.authorityKeyId = value.toString('hex', part.from, part.to)
  }
  return 'hint'
}

/** Key identifier, issuer names and serial number, each left out or in this order (RFC 5280 §4.2.1.1). */
const AUTHORITY_KEY_ID_TAGS = [0x80, 0xa1, 0x82]

/** Not used to choose an issuer, but names are names, and a number has its shortest form. */
function isIssuerAndSerial(value: Buffer, part: Element): boolean {
  if (part.tag === 0xa1) return listOf(value, part, readGeneralName) !== undefined
  return readUnsigned(value, { ...part, tag: TAG.integer }) !== undefined
}

/** A SEQUENCE that is the whole value and holds at least one item, each of which can be read. */
function listIn<T>(value: Buffer, read: (bytes: Buffer, item: Element) => T | undefined): readonly T[] | undefined {
  const whole = wholeElement(value, TAG.sequence)
  return whole && listOf(value, whole, read)
}

function listOf<T>(bytes: Buffer, list: Element, read: (bytes: Buffer, item: Element) => T | undefined): readonly T[] | undefined {
  const items = childrenOf(bytes, list)
  if (items === undefined || items.length === 0) return undefined
  const values: T[] = []
  for (const item of items) {
    const value = read(bytes, item)
    if (value === undefined) return undefined
    values.push(value)
  }
  return values
}
