/**
 * A strict JSON reader over bytes (RFC 8259), directed by whoever knows the shape: no value is built that nobody asked for.
 *
 * Stricter than the RFC where decoders disagree: no BOM, nothing behind the value, no duplicate keys at any depth, no keys
 * that differ in case only, no lone surrogates, bounded depth and key count. A fault is thrown as a `Refused` and becomes the
 * result of `readJson`, so that reading code shows the shape and not the plumbing.
 */
import { accept, type Result, refuse } from '../core/deny-reason.ts'
import { BODY_BYTES_MAX, JSON_DEPTH_MAX, JSON_KEY_BYTES_MAX, JSON_KEYS_MAX, WRITE_BODY_BYTES_MAX } from '../core/limits.ts'
import { foldCase, type Keys, matchKey } from './json-keys.ts'
import { skipNumber } from './json-number.ts'
import { fail, isRefused, type JsonReader, peek, quote } from './json-reader.ts'
import { readString, skipString } from './json-text.ts'

/** Zeros behind the body: number reading looks at up to 8 bytes beyond the one it stands on. */
const SLACK = 16

let spare: Buffer | undefined = Buffer.alloc(BODY_BYTES_MAX + SLACK)

/** Reads one JSON text with `read`, which must consume exactly one value. */
export function readJson<T>(body: Uint8Array, read: (json: JsonReader) => T): Result<T> {
  if (body.length > WRITE_BODY_BYTES_MAX) return refuse('call-too-large', `body of ${body.length} bytes`)
  const small = body.length <= BODY_BYTES_MAX
  const bytes = (small ? spare : undefined) ?? Buffer.allocUnsafeSlow(Math.max(body.length, BODY_BYTES_MAX) + SLACK)
  if (small) spare = undefined
  bytes.set(body)
  bytes.fill(0, body.length, body.length + SLACK)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const json: JsonReader = { bytes, view, end: body.length, at: 0, depth: 0, vectors: 0 }
  try {
    if (bytes[0] === 0xef) fail('call-ambiguous', 'the body begins with a byte order mark')
    const value = read(json)
    if (peek(json) !== undefined) fail('call-ambiguous', 'there is more behind the JSON value')
    return accept(value)
  } catch (cause) {
    if (isRefused(cause)) return cause
    throw cause
  } finally {
    // A large body's copy is not kept.
    if (small) spare = bytes
  }
}

/**
 * Reads an object that may have the known keys only.
 * @param visit called with each key, in the order of the text, when the reader stands before its value; must consume it
 */
export function readObject<N extends string>(json: JsonReader, what: string, known: Keys<N>, visit: (name: N) => void): void {
  let seen = 0
  readMembers(json, what, () => {
    const index = knownKey(json, what, known)
    if ((seen & (1 << index)) !== 0) fail('call-ambiguous', `key "${known.names[index]}" stands twice in ${what}`)
    seen |= 1 << index
    colon(json, what)
    visit(known.names[index] as N)
  })
}

/** Reads an object with keys of the caller's choice. @returns how many */
export function readMap(json: JsonReader, what: string, visit: (key: string) => void): number {
  const folded = new Set<string>()
  return readMembers(json, what, () => {
    const key = readKey(json, what)
    const fold = foldCase(key)
    if (folded.has(fold)) fail('call-ambiguous', `two keys like ${quote(key)} in ${what}`, 'Write each key once, in one spelling.')
    folded.add(fold)
    colon(json, what)
    visit(key)
  })
}

/** @param visit called before each element; must consume it. @returns how many elements there were */
export function readArray(json: JsonReader, what: string, visit: (index: number) => void, max = Number.POSITIVE_INFINITY): number {
  if (peek(json) !== 0x5b) fail('call-unreadable', `${what} is not an array`)
  enter(json)
  let count = 0
  if (peek(json) === 0x5d) {
    leave(json)
    return count
  }
  for (;;) {
    if (count === max) fail('call-too-large', `${what} has more than ${max} elements`)
    visit(count++)
    const byte = peek(json)
    if (byte === 0x5d) break
    if (byte !== 0x2c) fail('call-unreadable', `${what} is not a well-formed array`)
    json.at++
  }
  leave(json)
  return count
}

/** Reads past any value, as strictly as if it were wanted. */
export function skipValue(json: JsonReader, what: string): void {
  const byte = peek(json)
  if (byte === 0x22) skipString(json, what)
  else if (byte === 0x7b) readMap(json, what, () => skipValue(json, what))
  else if (byte === 0x5b) readArray(json, what, () => skipValue(json, what))
  else if (byte === 0x74 || byte === 0x66) readBoolean(json, what)
  else if (byte === 0x6e) readNull(json, what)
  else skipNumber(json, what)
}

export function readBoolean(json: JsonReader, what: string): boolean {
  const value = peek(json) === 0x74
  literal(json, value ? 'true' : 'false', `${what} is not true or false`)
  return value
}

/** True, and the null is read, where one stands. */
export function isNull(json: JsonReader): boolean {
  if (peek(json) !== 0x6e) return false
  readNull(json, 'value')
  return true
}

function readNull(json: JsonReader, what: string): void {
  literal(json, 'null', `${what} is not a JSON value`)
}

function literal(json: JsonReader, text: string, fault: string): void {
  for (let index = 0; index < text.length; index++) {
    if (json.bytes[json.at + index] !== text.charCodeAt(index)) fail('call-unreadable', fault)
  }
  json.at += text.length
}

function readMembers(json: JsonReader, what: string, member: () => void): number {
  if (peek(json) !== 0x7b) fail('call-unreadable', `${what} is not an object`)
  enter(json)
  let count = 0
  if (peek(json) === 0x7d) {
    leave(json)
    return count
  }
  for (;;) {
    if (peek(json) !== 0x22) fail('call-unreadable', `${what} is not a well-formed object`)
    if (++count > JSON_KEYS_MAX) fail('call-too-large', `more than ${JSON_KEYS_MAX} keys in ${what}`)
    member()
    const byte = peek(json)
    if (byte === 0x7d) break
    if (byte !== 0x2c) fail('call-unreadable', `${what} is not a well-formed object`)
    json.at++
  }
  leave(json)
  return count
}

function knownKey(json: JsonReader, what: string, known: Keys<string>): number {
  const plain = matchKey(json.bytes, json.at + 1, known)
  if (plain >= 0) {
    json.at += (known.names[plain] as string).length + 2
    return plain
  }
  const key = readKey(json, what)
  const index = known.names.indexOf(key)
  if (index >= 0) return index
  if (known.folded.has(foldCase(key))) fail('call-ambiguous', `key ${quote(key)} in ${what} differs from a known one in case only`)
  return fail('call-unreadable', `unknown key ${quote(key)} in ${what}`, `Leave out the key ${quote(key)}.`)
}

function readKey(json: JsonReader, what: string): string {
  const start = json.at
  const key = readString(json, `a key in ${what}`)
  if (json.at - start > JSON_KEY_BYTES_MAX + 2) fail('call-too-large', `a key in ${what} has more than ${JSON_KEY_BYTES_MAX} bytes`)
  return key
}

function colon(json: JsonReader, what: string): void {
  if (peek(json) !== 0x3a) fail('call-unreadable', `${what} is not a well-formed object`)
  json.at++
}

function enter(json: JsonReader): void {
  if (++json.depth > JSON_DEPTH_MAX) fail('call-too-large', `the body is nested deeper than ${JSON_DEPTH_MAX}`)
  json.at++
}

function leave(json: JsonReader): void {
  json.depth--
  json.at++
}
