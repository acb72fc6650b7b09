import { isUtf8 } from 'node:buffer'
import { childrenOf, contentOf, type Element, encodingOf, readBits, readOid, TAG } from './der.ts'

/**
 * A Name in a form that is equal exactly for names that RFC 5280 §7.1 calls equal: letters without their case, runs of spaces
 * as one, whatever string type they came in. Undefined for bytes that are no Name. The signature decides in the end; names
 * only say which issuers are worth trying.
 */
export function readName(bytes: Buffer, element: Element | undefined): string | undefined {
  const sets = element?.tag === TAG.sequence ? childrenOf(bytes, element) : undefined
  if (sets === undefined) return undefined
  const parts: string[][] = []
  for (const set of sets) {
    const attributes = set.tag === TAG.set ? childrenOf(bytes, set) : undefined
    if (attributes === undefined || attributes.length === 0) return undefined
    const part: string[] = []
    for (const attribute of attributes) {
      const text = readAttribute(bytes, attribute)
      if (text === undefined) return undefined
      part.push(text)
    }
    parts.push(part.sort())
  }
  return JSON.stringify(parts)
}

/** The Name without any attribute. */
export const EMPTY_NAME = '[]'

function readAttribute(bytes: Buffer, attribute: Element): string | undefined {
  const [type, value, extra] = attribute.tag === TAG.sequence ? (childrenOf(bytes, attribute) ?? []) : []
  const oid = readOid(bytes, type)
  if (oid === undefined || value === undefined || extra !== undefined) return undefined
  if (TEXT_TAGS.includes(value.tag)) {
    const content = contentOf(bytes, value)
    return isUtf8(content) ? `${oid} ${content.toString('utf8').toLowerCase().trim().replaceAll(/\s+/g, ' ')}` : undefined
  }
  return isOtherString(bytes, value) ? `${oid} #${encodingOf(bytes, value).toString('hex')}` : undefined
}

/** String types of which UTF-8 is a superset, so that they can be compared with each other. */
const TEXT_TAGS: readonly number[] = [TAG.utf8String, TAG.printableString, TAG.ia5String]

/** The other types that attributes of RFC 5280 §A.1 use; they are compared byte for byte. */
function isOtherString(bytes: Buffer, value: Element): boolean {
  if (value.tag === TAG.bitString) return readBits(bytes, value) !== undefined
  if (value.tag === TAG.bmpString) return (value.to - value.from) % 2 === 0
  return value.tag === TAG.numericString || value.tag === TAG.teletexString
}

/** The name types of RFC 5280 §4.2.1.6, by their tag number. */
export const NAME_TYPE = { email: 1, dns: 2, directory: 4, uri: 6, ip: 7 } as const

export interface GeneralName {
  /** The tag number, 0 to 8. */
  readonly type: number
  /** The content, one character a byte: what is beyond ASCII stays visible as such. */
  readonly text: string
}

/** otherName, x400Address, directoryName and ediPartyName are constructed, the others are not. */
const CONSTRUCTED = [0, 3, 4, 5]
const NAME_TYPES = 9

/** Undefined for what is no GeneralName, also of a type that nothing here uses: a certificate is well formed as a whole. */
export function readGeneralName(bytes: Buffer, element: Element | undefined): GeneralName | undefined {
  if (element === undefined) return undefined
  const type = element.tag & 0x1f
  const constructed = CONSTRUCTED.includes(type)
  if (type >= NAME_TYPES || element.tag !== ((constructed ? 0xa0 : 0x80) | type)) return undefined
  if (constructed ? !isConstructedName(bytes, element, type) : type === REGISTERED_ID && !isRegisteredId(bytes, element)) return undefined
  return { type, text: bytes.toString('latin1', element.from, element.to) }
}

const OTHER_NAME = 0
const EDI_PARTY_NAME = 5
const REGISTERED_ID = 8

function isRegisteredId(bytes: Buffer, element: Element): boolean {
  return readOid(bytes, { ...element, tag: TAG.oid }) !== undefined
}

function isConstructedName(bytes: Buffer, element: Element, type: number): boolean {
  const parts = childrenOf(bytes, element)
  if (parts === undefined) return false
  const [first, second, extra] = parts
  if (type === NAME_TYPE.directory) return readName(bytes, first) !== undefined && second === undefined
  if (type === OTHER_NAME) return readOid(bytes, first) !== undefined && wraps(bytes, second, 0xa0) && extra === undefined
  // The assigner of an EDI name may be left out. What an X.400 address is made of, not even OpenSSL asks.
  if (type === EDI_PARTY_NAME)
    return wraps(bytes, parts.at(-1), 0xa1) && (parts.length === 1 || (wraps(bytes, first, 0xa0) && extra === undefined))
  return true
}

/** Whether an element has this tag and holds exactly one other. */
function wraps(bytes: Buffer, element: Element | undefined, tag: number): boolean {
  return element?.tag === tag && childrenOf(bytes, element)?.length === 1
}
