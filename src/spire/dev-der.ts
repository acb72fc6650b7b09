/** The part of DER (ITU-T X.690) that the dev issuer's certificates are made of. Each function gives one complete value. */

export type Der = Buffer

/** One tag-length-value; no value here needs a length of more than two bytes. */
function value(tag: number, ...parts: readonly Uint8Array[]): Der {
  const body = Buffer.concat(parts)
  const { length } = body
  const header = length < 0x80 ? [tag, length] : length < 0x100 ? [tag, 0x81, length] : [tag, 0x82, length >> 8, length & 0xff]
  if (length > 0xffff) throw new RangeError(`A DER value of ${length} bytes is longer than a certificate may be.`)
  return Buffer.concat([Buffer.from(header), body])
}

export const sequence = (...parts: readonly Uint8Array[]): Der => value(0x30, ...parts)
export const setOf = (...parts: readonly Uint8Array[]): Der => value(0x31, ...parts)
export const octetString = (bytes: Uint8Array): Der => value(0x04, bytes)
export const bitString = (bytes: Uint8Array, unusedBits: number): Der => value(0x03, Buffer.from([unusedBits]), bytes)
export const utf8String = (text: string): Der => value(0x0c, Buffer.from(text, 'utf8'))
/** BOOLEAN TRUE; DER leaves a default FALSE out. */
export const yes = (): Der => value(0x01, Buffer.from([0xff]))
/** `[tag]` around whole values. */
export const wrapped = (tag: number, ...parts: readonly Uint8Array[]): Der => value(0xa0 | tag, ...parts)
/** `[tag]` in place of a primitive value's own tag. */
export const retagged = (tag: number, bytes: Uint8Array): Der => value(0x80 | tag, bytes)

/** A non-negative INTEGER from its big-endian bytes. */
export function integer(bytes: Uint8Array): Der {
  const start = bytes.findIndex((byte) => byte !== 0)
  const digits = start === -1 ? Buffer.from([0]) : bytes.subarray(start)
  return (digits[0] ?? 0) < 0x80 ? value(0x02, digits) : value(0x02, Buffer.from([0]), digits)
}

/** An OBJECT IDENTIFIER from its dotted text. */
export function objectId(dotted: string): Der {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  const bytes = [first * 40 + second, ...rest].flatMap((arc) => {
    const groups = [arc & 0x7f]
    for (let left = arc >>> 7; left > 0; left >>>= 7) groups.unshift(0x80 | (left & 0x7f))
    return groups
  })
  return value(0x06, Buffer.from(bytes))
}

/** A Time for milliseconds since the epoch, cut to seconds: UTCTime through 2049, then GeneralizedTime (RFC 5280 §4.1.2.5). */
export function time(ms: number): Der {
  const digits = new Date(ms).toISOString().replace(/[-:T]/g, '').slice(0, 14)
  return digits < '2050' ? value(0x17, Buffer.from(`${digits.slice(2)}Z`)) : value(0x18, Buffer.from(`${digits}Z`))
}
