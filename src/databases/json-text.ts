import { isUtf8 } from 'node:buffer'
import { fail, type JsonReader, peek } from './json-reader.ts'

const QUOTE = 0x22
const BACKSLASH = 0x5c
/** `"\/bfnrt`: what may follow a backslash, besides `u`. */
const SHORT_ESCAPES = new Set(Buffer.from('"\\/bfnrt'))

/** Reads a string; escapes decoded, lone surrogates refused (serde_json refuses them, Go and JavaScript do not). */
export function readString(json: JsonReader, what: string): string {
  if (peek(json) !== QUOTE) fail('call-unreadable', `${what} is not a string`)
  const start = json.at
  const escaped = scan(json, what)
  if (!escaped) return json.bytes.toString('utf8', start + 1, json.at - 1)
  // Well-formed by now; the engine's own decoder turns the escapes into text.
  return JSON.parse(json.bytes.toString('utf8', start, json.at))
}

/** Reads past a string, as strictly as `readString`. */
export function skipString(json: JsonReader, what: string): void {
  if (peek(json) !== QUOTE) fail('call-unreadable', `${what} is not a string`)
  scan(json, what)
}

/** From the opening quote to behind the closing one. @returns whether there are escapes in between */
function scan(json: JsonReader, what: string): boolean {
  const { bytes } = json
  let escaped = false
  let bits = 0
  let at = json.at + 1
  for (;;) {
    const byte = bytes[at] as number
    if (byte === QUOTE) break
    if (byte === BACKSLASH) {
      escaped = true
      at = skipEscape(bytes, at, what)
    } else if (byte < 0x20) {
      fail('call-unreadable', `${what} has a control character, or no end`)
    } else {
      bits |= byte
      at++
    }
  }
  // Outside of strings every byte is ASCII or a fault, so this is all of the body's UTF-8.
  if (bits > 0x7f && !isUtf8(bytes.subarray(json.at, at))) fail('call-unreadable', `${what} is not UTF-8`)
  json.at = at + 1
  return escaped
}

/** @param at index of the backslash. @returns the index behind the escape, or behind both halves of a surrogate pair */
function skipEscape(bytes: Buffer, at: number, what: string): number {
  const kind = bytes[at + 1] as number
  if (SHORT_ESCAPES.has(kind)) return at + 2
  const unit = kind === 0x75 ? hex4(bytes, at + 2) : -1
  if (unit < 0) fail('call-unreadable', `${what} has an escape that JSON does not know`)
  if (unit < 0xd800 || unit > 0xdfff) return at + 6
  const second = bytes[at + 6] === BACKSLASH && bytes[at + 7] === 0x75 ? hex4(bytes, at + 8) : -1
  if (unit > 0xdbff || second < 0xdc00 || second > 0xdfff) fail('call-ambiguous', `${what} has half a surrogate pair`)
  return at + 12
}

/** The number written by four hex digits, or -1. */
function hex4(bytes: Buffer, at: number): number {
  let value = 0
  for (let index = 0; index < 4; index++) {
    const byte = bytes[at + index] as number
    const letter = byte | 0x20
    if (byte >= 0x30 && byte <= 0x39) value = value * 16 + byte - 0x30
    else if (letter >= 0x61 && letter <= 0x66) value = value * 16 + letter - 0x57
    else return -1
  }
  return value
}
