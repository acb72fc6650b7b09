/** Where a protobuf message is being read, and its two smallest parts: numbers of variable length, and lengths. */
import { fail } from './json-reader.ts'

export interface ProtoReader {
  readonly bytes: Buffer
  /** Index of the next byte to be read. */
  at: number
  /** Index behind the message that is being read. */
  end: number
  /** The last varint: its lower and upper 32 bits, as signed numbers. */
  low: number
  high: number
  depth: number
  /** Fields and elements that may still come. */
  left: number
  /** Lists of floats that may still come. */
  floats: number
}

/** Reads a number of up to 64 bits in its shortest form into `low` and `high`. */
export function readVarint(reader: ProtoReader, what: string): void {
  const { bytes, end } = reader
  let at = reader.at
  let low = 0
  let high = 0
  let shift = 0
  for (;;) {
    if (at >= end) fail('call-unreadable', `${what} is cut off`)
    const byte = bytes[at++] as number
    const bits = byte & 0x7f
    if (shift < 28) low |= bits << shift
    else if (shift === 28) {
      low |= bits << 28
      high = bits >>> 4
    } else if (shift < 63) high |= bits << (shift - 32)
    else if (byte === 1) high |= 0x80000000
    else fail('call-unreadable', `${what} has more than 64 bits`)
    if (byte < 0x80) {
      if (byte === 0 && shift > 0) fail('call-ambiguous', `${what} is not written in its shortest form`)
      break
    }
    shift += 7
  }
  reader.at = at
  reader.low = low | 0
  reader.high = high | 0
}

/** Reads the length of what follows, which must all be there. */
export function readLength(reader: ProtoReader, what: string): number {
  const first = reader.bytes[reader.at] as number
  // A byte of another message may stand behind the end: then the length is more than what is left.
  if (first < 0x80 && first < reader.end - reader.at) {
    reader.at++
    return first
  }
  readVarint(reader, what)
  const length = reader.low >>> 0
  if (reader.high !== 0 || length > reader.end - reader.at) fail('call-unreadable', `${what} is longer than what it is in`)
  return length
}

/** Narrows the reader to the next `length` bytes. @returns the end to go back to */
export function enter(reader: ProtoReader, length: number): number {
  const { end } = reader
  reader.end = reader.at + length
  return end
}
