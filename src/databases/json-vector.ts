import { VECTOR_DIMENSIONS_MAX } from '../core/limits.ts'
import { type FloatReader, SLACK_BYTES, startFloatReader, WINDOW_BYTES } from './json-floats.ts'
import { POWERS_OF_TEN, readNumber } from './json-number.ts'
import { countVector, fail, type JsonReader, peek } from './json-reader.ts'
import { copyFloats } from './vector-memory.ts'

/** 2^128 - 2^103: from here on a double rounds to an infinite float32. */
const FLOAT32_OVERFLOW = 2 ** 128 - 2 ** 103

const COMMA = 0x2c
/** Integers below this are exact in a double. */
const EXACT = 2 ** 53
/** On either side of a number of 17 digits: more than what follows them and the roundings can move it. */
const DOUBT = 32

/** Bytes of text of the vector before, since those of a batch are alike: so much is put into the window at first, and some more. */
let usual = 0
const WINDOW_MORE = 512

const scratch = new Float32Array(VECTOR_DIMENSIONS_MAX)
const scratchBytes = Buffer.from(scratch.buffer)

/**
 * Reads `[0.25, -1, 3e-2]` into float32, each component equal to `Math.fround(Number(text))`. Finite components only: Chroma
 * takes 1e39 for an infinity, and then every record is as near as every other.
 */
export const readVector = vectorReader(startFloatReader())

/** @param fast undefined where the runtime has no WebAssembly */
export function vectorReader(fast: FloatReader | undefined): (json: JsonReader, what: string) => Float32Array {
  return (json, what) => {
    if (peek(json) !== 0x5b) fail('call-unreadable', `${what} is not an array of numbers`)
    countVector(json)
    if (fast === undefined) return copyFloats(scratchBytes, 0, readPlain(json, what) * 4)
    return copyFloats(fast.bytes, 0, readFast(json, fast, what) * 4)
  }
}

/**
 * Each part of the text is copied once: the window moves on only when its end was reached.
 * @returns how many components there were
 */
function readFast(json: JsonReader, { window, read, count, values }: FloatReader, what: string): number {
  const { bytes, end } = json
  const size = Math.min(usual + WINDOW_MORE, WINDOW_BYTES)
  let length = 0
  let at = json.at + 1
  let from = at
  // Nothing is in the window yet.
  let to = -1
  for (;;) {
    if (at > to - SLACK_BYTES && to < end) {
      from = at
      to = Math.min(at + size, end)
      bytes.copy(window, 0, from, to)
      window.fill(0, to - from, to - from + SLACK_BYTES)
    }
    at = from + read(at - from, length)
    length = count[0] as number
    // Cut off by the end of the window, and not by what it is.
    if (at > to - SLACK_BYTES && to < end && at > from) continue
    at = readOther(json, at, values, length++, what)
    if (bytes[at] !== COMMA) break
    at++
  }
  usual = at - json.at
  json.at = at + 1
  return length
}

/**
 * No object and no call per component where it is written as encoders write it: one digit, a point, digits. Those are taken
 * eight at a time, sixteen at most; where more follow, both neighbours must round to the same float. All else is `readOther`'s.
 */
function readPlain(json: JsonReader, what: string): number {
  const { bytes, view } = json
  let at = json.at
  let length = 0
  do {
    at = afterSpace(bytes, at + 1)
    const start = at
    const sign = bytes[at] === 0x2d ? -1 : 1
    if (sign < 0) at++
    let value = (bytes[at] as number) - 0x30
    let sure = false
    if (length < VECTOR_DIMENSIONS_MAX && value >= 0 && value <= 9 && bytes[at + 1] === 0x2e) {
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
        sure = Math.fround((value - DOUBT) / 1e16) === Math.fround((value + DOUBT) / 1e16)
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
        sure = at !== first && value < EXACT
        value /= POWERS_OF_TEN[at - first] as number
      }
    }
    if (sure && (bytes[at] === 0x2c || bytes[at] === 0x5d)) scratch[length] = value * sign
    else at = readOther(json, start, scratch, length, what)
    length++
  } while (bytes[at] === 0x2c)
  json.at = at + 1
  return length
}

/** Reads one component of any spelling into `values`. @returns the index of the comma or bracket behind it */
function readOther(json: JsonReader, start: number, values: Float32Array, index: number, what: string): number {
  if (index === VECTOR_DIMENSIONS_MAX) fail('call-too-large', `${what} has more than ${VECTOR_DIMENSIONS_MAX} components`)
  json.at = start
  const value = readNumber(json, what)
  if (Math.abs(value) >= FLOAT32_OVERFLOW) fail('call-unreadable', `${what} has a component outside the range of float32`)
  values[index] = value
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
