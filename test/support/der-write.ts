/**
 * A DER writer for tests (ITU-T X.690). It is on purpose a stranger to `src/identity/der.ts`, and it writes whatever it is told:
 * certificates with one defect each are what it is for.
 */

export type Der = Uint8Array

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts))
}

/** One tag-length-value with a minimal definite length. */
export function tlv(tag: number, ...contents: readonly Uint8Array[]): Der {
  const body = concat(...contents)
  const { length } = body
  if (length < 0x80) return concat(Uint8Array.of(tag, length), body)
  const bytes: number[] = []
  for (let rest = length; rest > 0; rest >>>= 8) bytes.unshift(rest & 0xff)
  return concat(Uint8Array.of(tag, 0x80 | bytes.length, ...bytes), body)
}

export const seq = (...contents: readonly Uint8Array[]): Der => tlv(0x30, ...contents)
export const set = (...contents: readonly Uint8Array[]): Der => tlv(0x31, ...contents)
export const octets = (bytes: Uint8Array): Der => tlv(0x04, bytes)
export const bits = (bytes: Uint8Array, unused = 0): Der => tlv(0x03, Uint8Array.of(unused), bytes)
export const bool = (value: boolean): Der => tlv(0x01, Uint8Array.of(value ? 0xff : 0))
export const nil = (): Der => tlv(0x05)
export const utf8 = (text: string): Der => tlv(0x0c, Buffer.from(text, 'utf8'))
/** A context-specific tag: `[n]`, constructed or primitive. */
export const context = (n: number, constructed: boolean, ...contents: readonly Uint8Array[]): Der =>
  tlv((constructed ? 0xa0 : 0x80) | n, ...contents)

/** A non-negative INTEGER. */
export function int(value: bigint | number): Der {
  let hex = BigInt(value).toString(16)
  if (hex.length % 2 === 1) hex = `0${hex}`
  const bytes = Buffer.from(hex, 'hex')
  return (bytes[0] ?? 0) >= 0x80 ? tlv(0x02, Uint8Array.of(0), bytes) : tlv(0x02, bytes)
}

export function oid(dotted: string): Der {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  const bytes: number[] = []
  for (const arc of [first * 40 + second, ...rest]) {
    const groups = [arc & 0x7f]
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128)) groups.unshift((left & 0x7f) | 0x80)
    bytes.push(...groups)
  }
  return tlv(0x06, Uint8Array.from(bytes))
}

/** UTCTime up to 2049, GeneralizedTime from 2050 (RFC 5280 §4.1.2.5). `ms` is milliseconds since the epoch. */
export function time(ms: number): Der {
  const [date = '', clock = ''] = new Date(ms).toISOString().split('T')
  const digits = `${date.replaceAll('-', '')}${clock.slice(0, 8).replaceAll(':', '')}Z`
  return Number(date.slice(0, 4)) < 2050 ? tlv(0x17, Buffer.from(digits.slice(2))) : tlv(0x18, Buffer.from(digits))
}

/** A Name of single-valued RDNs: `[['2.5.4.3', 'root']]` is CN=root. */
export function name(attributes: readonly (readonly [type: string, value: string])[]): Der {
  return seq(...attributes.map(([type, value]) => set(seq(oid(type), utf8(value)))))
}
