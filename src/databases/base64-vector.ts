import { VECTOR_DIMENSIONS_MAX } from '../core/limits.ts'
import { countVector, fail, type JsonReader, peek } from './json-reader.ts'
import { readString } from './json-text.ts'
import { allFinite } from './protobuf-floats.ts'
import { copyFloats } from './vector-memory.ts'

if (new Uint8Array(Uint16Array.of(1).buffer)[0] !== 1) throw new Error('vectors are read in place, which needs a little-endian machine')

const QUOTE = 0x22

/**
 * Reads a string of standard base64 with padding (RFC 4648 §4, unused bits zero) that holds little-endian float32.
 *
 * `Buffer.from` also takes the URL alphabet, white space and missing padding, which Chroma does not (tried). So what it made is
 * written back, and only a text that comes out again is one that has no second reading.
 */
export function readBase64Vector(json: JsonReader, what: string): Float32Array {
  const text = plainText(json) ?? readString(json, what)
  const bytes = Buffer.from(text, 'base64')
  if (bytes.length === 0 || bytes.length % 4 !== 0) fail('call-unreadable', `${what} is not base64 of float32 values`)
  if (bytes.length / 4 > VECTOR_DIMENSIONS_MAX) fail('call-too-large', `${what} has more than ${VECTOR_DIMENSIONS_MAX} components`)
  if (bytes.toString('base64') !== text) fail('call-unreadable', `${what} is not standard base64`)
  countVector(json)
  const vector = copyFloats(bytes, 0, bytes.length)
  if (!allFinite(vector)) fail('call-unreadable', `${what} has a component that is not finite`)
  return vector
}

/** The string that stands here, if it has no escapes; whether it is base64 says more than any check of its characters. */
function plainText(json: JsonReader): string | undefined {
  if (peek(json) !== QUOTE) return undefined
  const end = json.bytes.indexOf(QUOTE, json.at + 1)
  if (end < 0 || end >= json.end) return undefined
  const text = json.bytes.toString('latin1', json.at + 1, end)
  if (text.includes('\\')) return undefined
  json.at = end + 1
  return text
}
