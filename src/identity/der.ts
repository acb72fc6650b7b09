/**
 * A strict reader of DER (ITU-T X.690 §10, §11): one-byte tags, definite lengths in their shortest form, nothing left over.
 * Everything answers undefined for bytes that are not that; nothing is copied.
 */

/** One tag-length-value: `start` is its tag, `from` its first content byte, `to` the byte after its last. */
export interface Element {
  readonly tag: number
  readonly start: number
  readonly from: number
  readonly to: number
}

export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utf8String: 0x0c,
  numericString: 0x12,
  printableString: 0x13,
  teletexString: 0x14,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  bmpString: 0x1e,
  sequence: 0x30,
  set: 0x31
} as const

/** A certificate of 4 GiB is none: three length bytes are far beyond every limit of this project. */
const LENGTH_BYTES_MAX = 3

/** The element that begins at `at` and ends no later than `limit`. */
export function elementAt(bytes: Buffer, at: number, limit: number): Element | undefined {
  if (at + 2 > limit) return undefined
  const tag = bytes[at] ?? 0
  // Tag number 31 begins a tag of several bytes, which X.509 does not use; a zero tag ends an indefinite length.
  if ((tag & 0x1f) === 0x1f || tag === 0) return undefined
  const first = bytes[at + 1] ?? 0
  let from = at + 2
  let length = first
  if (first >= 0x80) {
    const count = first & 0x7f
    if (count === 0 || count > LENGTH_BYTES_MAX || from + count > limit) return undefined
    length = bytes.readUIntBE(from, count)
    from += count
    if (length < 0x80 || length < 2 ** (8 * (count - 1))) return undefined
  }
  const to = from + length
  return to > limit ? undefined : { tag, start: at, from, to }
}

/** The element that is all of `bytes`, if it has this tag. */
export function wholeElement(bytes: Buffer, tag: number): Element | undefined {
  const element = elementAt(bytes, 0, bytes.length)
  return element?.tag === tag && element.to === bytes.length ? element : undefined
}

/** What a constructed element holds, to its last byte. */
export function childrenOf(bytes: Buffer, parent: Element): readonly Element[] | undefined {
  if ((parent.tag & 0x20) === 0) return undefined
  const children: Element[] = []
  for (let at = parent.from; at < parent.to; ) {
    const child = elementAt(bytes, at, parent.to)
    if (child === undefined) return undefined
    children.push(child)
    at = child.to
  }
  return children
}

export function contentOf(bytes: Buffer, element: Element): Buffer {
  return bytes.subarray(element.from, element.to)
}

/** Tag and length included. */
export function encodingOf(bytes: Buffer, element: Element): Buffer {
  return bytes.subarray(element.start, element.to)
}

/** The content of an OBJECT IDENTIFIER, lower-case hex: equal exactly for equal OIDs. */
export function readOid(bytes: Buffer, element: Element | undefined): string | undefined {
  if (element?.tag !== TAG.oid || element.to === element.from) return undefined
  let beginning = true
  for (let at = element.from; at < element.to; at++) {
    const byte = bytes[at] ?? 0
    if (beginning && byte === 0x80) return undefined
    beginning = byte < 0x80
  }
  return beginning ? bytes.toString('hex', element.from, element.to) : undefined
}

/** The dotted form of an OID given in hex, for people. */
export function dottedOid(hex: string): string {
  const arcs: bigint[] = []
  let arc = 0n
  for (const byte of Buffer.from(hex, 'hex')) {
    arc = (arc << 7n) | BigInt(byte & 0x7f)
    if (byte >= 0x80) continue
    const root = arc < 40n ? 0n : arc < 80n ? 1n : 2n
    if (arcs.length === 0) arcs.push(root, arc - root * 40n)
    else arcs.push(arc)
    arc = 0n
  }
  return arcs.join('.')
}

export function readBoolean(bytes: Buffer, element: Element): boolean | undefined {
  if (element.tag !== TAG.boolean || element.to - element.from !== 1) return undefined
  const byte = bytes[element.from]
  return byte === 0xff ? true : byte === 0 ? false : undefined
}

/** The content of a non-negative INTEGER in its shortest form. */
export function readUnsigned(bytes: Buffer, element: Element | undefined): Buffer | undefined {
  if (element?.tag !== TAG.integer || element.to === element.from) return undefined
  const first = bytes[element.from] ?? 0
  if (first >= 0x80) return undefined
  if (first === 0 && element.to - element.from > 1 && (bytes[element.from + 1] ?? 0) < 0x80) return undefined
  return contentOf(bytes, element)
}

/** A non-negative INTEGER below 2^31. */
export function readSmall(bytes: Buffer, element: Element | undefined): number | undefined {
  const digits = readUnsigned(bytes, element)
  return digits === undefined || digits.length > 4 ? undefined : digits.readUIntBE(0, digits.length)
}

/** The bits of a BIT STRING, and how many of the last byte do not count; those are zero. */
export function readBits(bytes: Buffer, element: Element | undefined): { readonly bits: Buffer; readonly unused: number } | undefined {
  if (element?.tag !== TAG.bitString || element.to === element.from) return undefined
  const unused = bytes[element.from] ?? 0
  const bits = bytes.subarray(element.from + 1, element.to)
  if (unused > 7 || (unused > 0 && bits.length === 0)) return undefined
  return ((bits.at(-1) ?? 0) & ((1 << unused) - 1)) === 0 ? { bits, unused } : undefined
}

/** Milliseconds since the epoch of a UTCTime or GeneralizedTime, as RFC 5280 §4.1.2.5 writes them: UTCTime until 2049, seconds, Z. */
export function readTime(bytes: Buffer, element: Element | undefined): number | undefined {
  if (element === undefined) return undefined
  const utc = element.tag === TAG.utcTime
  if (!utc && element.tag !== TAG.generalizedTime) return undefined
  const digits = utc ? 12 : 14
  if (element.to - element.from !== digits + 1 || bytes[element.to - 1] !== 0x5a) return undefined
  for (let at = element.from; at < element.to - 1; at++) {
    const byte = bytes[at] ?? 0
    if (byte < 0x30 || byte > 0x39) return undefined
  }
  const pair = (index: number): number => ((bytes[element.to - 1 - index] ?? 0) - 0x30) * 10 + (bytes[element.to - index] ?? 0) - 0x30
  const short = pair(12)
  const year = utc ? (short < 50 ? 2000 + short : 1900 + short) : pair(14) * 100 + short
  if (!utc && year < 2050) return undefined
  const [month, day, hour, minute, second] = [pair(10), pair(8), pair(6), pair(4), pair(2)]
  if (hour > 23 || minute > 59 || second > 59) return undefined
  const ms = Date.UTC(year, month - 1, day, hour, minute, second)
  const date = new Date(ms)
  // Date.UTC carries a 31 June over into July: a date that is not on the calendar is no date.
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day ? ms : undefined
}
