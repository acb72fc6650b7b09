import { VECTOR_DIMENSIONS_MAX } from '../core/limits.ts'
import { POWERS_OF_TEN, readNumber } from './json-number.ts'
import { countVector, fail, type JsonReader, peek } from './json-reader.ts'
import { copyFloats } from './vector-memory.ts'

/** 2^128 - 2^103: from here on a double rounds to an infinite float32. */
const FLOAT32_OVERFLOW = 2 ** 128 - 2 ** 103

const scratch = new Float32Array(VECTOR_DIMENSIONS_MAX)
const scratchBytes = Buffer.from(scratch.buffer)

/**
 * Reads `[0.25, -1, 3e-2]` into float32, each component equal to `Math.fround(Number(text))`. Finite components only: Chroma
 * takes 1e39 for an infinity, and then every record is as near as every other.
 *
 * No object and no call per component where it is written as encoders write it: one digit, a point, digits. Those are taken
 * eight at a time, sixteen at most; where more follow, both neighbours must round to the same float. All else is `readOther`'s.
 */
export function readVector(json: JsonReader, what: string): Float32Array {
  if (peek(json) !== 0x5b) fail('call-unreadable', `${what} is not an array of numbers`)
  countVector(json)
  const { bytes, view } = json
  let at = json.at
  let length = 0
  do {
    at = afterSpace(bytes, at + 1)
    if (length === VECTOR_DIMENSIONS_MAX) fail('call-too-large', `${what} has more than ${VECTOR_DIMENSIONS_MAX} components`)
    const start = at
    const sign = bytes[at] === 0x2d ? -1 : 1
    if (sign < 0) at++
    let value = (bytes[at] as number) - 0x30
    let sure = false
    if (value >= 0 && value <= 9 && bytes[at + 1] === 0x2e) {
      const first = at + 2
      at = first
      let four = view.getInt32(at, true)
      let next = view.getInt32(at + 4, true)
      let others = nonDigits(four)
      let nextOthers = nonDigits(next)
      while ((others | nextOthers) === 0 && at - first < 16) {
        value = value * 1e8 + ((Math.imul(digits(four), 10000) + digits(next)) | 0)
        at += 8
        four = view.getInt32(at, true)
        next = view.getInt32(at + 4, true)
        others = nonDigits(four)
        nextOthers = nonDigits(next)
      }
      if (at - first === 16) {
        sure = Math.fround((value - 2) / 1e16) === Math.fround((value + 2) / 1e16)
        value /= 1e16
        if (others !== 0) at += before(others)
        else if (nextOthers !== 0) at += 4 + before(nextOthers)
      } else {
        if (others === 0) {
          value = value * 1e4 + digits(four)
          at += 4
          four = next
          others = nextOthers
        }
        const last = before(others)
        if (last !== 0) value = value * (POWERS_OF_TEN[last] as number) + digits((four << ((4 - last) << 3)) | (0x30303030 >>> (last << 3)))
        at += last
        sure = at !== first
        value /= POWERS_OF_TEN[at - first] as number
      }
    }
    if (sure && (bytes[at] === 0x2c || bytes[at] === 0x5d)) scratch[length] = value * sign
    else at = readOther(json, start, length, what)
    length++
  } while (bytes[at] === 0x2c)
  json.at = at + 1
  return copyFloats(scratchBytes, 0, length * 4)
}

/** Reads one component of any spelling into `scratch`. @returns the index of the comma or bracket behind it */
function readOther(json: JsonReader, start: number, index: number, what: string): number {
  json.at = start
  const value = readNumber(json, what)
  if (Math.abs(value) >= FLOAT32_OVERFLOW) fail('call-unreadable', `${what} has a component outside the range of float32`)
  scratch[index] = value
  const byte = peek(json)
  if (byte !== 0x2c && byte !== 0x5d) fail('call-unreadable', `${what} is not an array of numbers`)
  return json.at
}

function afterSpace(bytes: Uint8Array, from: number): number {
  let at = from
  let byte = bytes[at]
  while (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) byte = bytes[++at]
  return at
}

/** 0x80 in each of four bytes that is not a digit; exact up to and including the first (lowest) such byte. */
function nonDigits(four: number): number {
  return ((four + 0x46464646) | (four - 0x30303030)) & 0x80808080
}

/** How many bytes stand before the first one that `nonDigits` marked. */
function before(others: number): number {
  return (31 - Math.clz32(others & -others)) >>> 3
}

/** The number that four digits make, the first one in the lowest byte: pairs first, then both pairs at once. */
function digits(four: number): number {
  return Math.imul((Math.imul(four - 0x30303030, 2561) >>> 8) & 0x00ff00ff, 6553601) >>> 16
}
