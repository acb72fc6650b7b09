import { VECTOR_DIMENSIONS_MAX } from '../core/limits.ts'
import { fail, type JsonReader } from './json-reader.ts'
import { readStringBytes } from './json-text.ts'

if (new Uint8Array(Uint16Array.of(1).buffer)[0] !== 1) throw new Error('vectors are read in place, which needs a little-endian machine')

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
const PADDING = 0x3d
const NO_DIGIT = 0x80
/** Value of each base64 digit by its byte. */
const VALUES = new Uint8Array(256).fill(NO_DIGIT)
for (const [value, digit] of [...ALPHABET].entries()) VALUES[digit.charCodeAt(0)] = value

/**
 * Reads a string of standard base64 with padding (RFC 4648 §4, unused bits zero) that holds little-endian float32.
 * `Buffer.from` would also take the URL alphabet, white space and missing padding; Chroma takes none of them (tried).
 */
export function readBase64Vector(json: JsonReader, what: string): Float32Array {
  const text = readStringBytes(json, what)
  const { length } = text
  const padding = text[length - 2] === PADDING ? 2 : text[length - 1] === PADDING ? 1 : 0
  const size = (length / 4) * 3 - padding
  if (length % 4 !== 0 || size % 4 !== 0) fail('call-unreadable', `${what} is not base64 of float32 values`)
  if (length === 0) fail('call-unreadable', `${what} has no components`)
  if (size / 4 > VECTOR_DIMENSIONS_MAX) fail('call-too-large', `${what} has more than ${VECTOR_DIMENSIONS_MAX} components`)
  const bytes = new Uint8Array(size)
  if (!decode(text, length - padding, bytes)) fail('call-unreadable', `${what} is not standard base64`)
  const vector = new Float32Array(bytes.buffer)
  if (!allFinite(vector)) fail('call-unreadable', `${what} has a component that is not finite`)
  return vector
}

/** @returns false where a byte is no digit or a bit that belongs to no byte is set */
function decode(text: Uint8Array, end: number, into: Uint8Array): boolean {
  let seen = 0
  let to = 0
  let at = 0
  for (; at + 3 < end; at += 4) {
    const a = VALUES[text[at] as number] as number
    const b = VALUES[text[at + 1] as number] as number
    const c = VALUES[text[at + 2] as number] as number
    const d = VALUES[text[at + 3] as number] as number
    seen |= a | b | c | d
    into[to++] = (a << 2) | (b >> 4)
    into[to++] = (b << 4) | (c >> 2)
    into[to++] = (c << 6) | d
  }
  let unused = 0
  if (at < end) {
    const a = VALUES[text[at] as number] as number
    const b = VALUES[text[at + 1] as number] as number
    const c = at + 2 < end ? (VALUES[text[at + 2] as number] as number) : 0
    seen |= a | b | c
    into[to++] = (a << 2) | (b >> 4)
    if (at + 2 < end) into[to] = (b << 4) | (c >> 2)
    unused = at + 2 < end ? c & 0x03 : b & 0x0f
  }
  return (seen & NO_DIGIT) === 0 && unused === 0
}

function allFinite(vector: Float32Array): boolean {
  // A sum is finite or not as soon as one component is not; 0 × x is NaN exactly for infinities and NaN.
  let sum = 0
  for (let index = 0; index < vector.length; index++) sum += 0 * (vector[index] as number)
  return sum === 0
}
