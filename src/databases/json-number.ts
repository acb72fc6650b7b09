import { fail, type JsonReader, peek } from './json-reader.ts'

/** 10^0 to 10^22: the powers of ten that a double holds exactly. */
export const POWERS_OF_TEN = Float64Array.from({ length: 23 }, (_, power) => Number(`1e${power}`))

/** Integers below this are exact in a double however they were put together. */
const EXACT_INTEGERS = 1e15

/** Zeros before a digit can make up for a larger one, and then each reader has a bound of its own: Go stops counting at 10,000. */
const EXPONENT_MAX = 9_999

/**
 * Reads a number (RFC 8259 §6) as `Number(text)` gives it. Outside the range of a double it is refused: serde_json refuses it,
 * JavaScript reads infinity.
 */
export function readNumber(json: JsonReader, what: string): number {
  const start = begin(json)
  const { bytes } = json
  const negative = bytes[start] === 0x2d
  let at = negative ? start + 1 : start
  let byte = bytes[at] as number
  let mantissa = 0
  let scale = 0
  if (byte === 0x30) byte = bytes[++at] as number
  else {
    if (!isDigit(byte)) fail('call-unreadable', `${what} is not a number`)
    for (; isDigit(byte); byte = bytes[++at] as number) mantissa = mantissa * 10 + byte - 0x30
  }
  if (byte === 0x2e) {
    const first = at + 1
    byte = bytes[++at] as number
    if (!isDigit(byte)) fail('call-unreadable', `${what} is not a JSON number`)
    for (; isDigit(byte); byte = bytes[++at] as number) mantissa = mantissa * 10 + byte - 0x30
    scale = first - at
  }
  if ((byte | 0x20) === 0x65) {
    const sign = bytes[at + 1] as number
    at += sign === 0x2b || sign === 0x2d ? 2 : 1
    byte = bytes[at] as number
    if (!isDigit(byte)) fail('call-unreadable', `${what} is not a JSON number`)
    let exponent = 0
    for (; isDigit(byte); byte = bytes[++at] as number) exponent = Math.min(exponent * 10 + byte - 0x30, EXPONENT_MAX + 1)
    if (exponent > EXPONENT_MAX) fail('call-unreadable', `${what} has an exponent that readers disagree about`)
    scale += sign === 0x2d ? -exponent : exponent
  }
  json.at = at
  const value = exactValue(bytes, start, at, mantissa, scale)
  if (value === Number.POSITIVE_INFINITY) fail('call-unreadable', `${what} is outside the range of a double`)
  return negative ? -value : value
}

/** Reads past a number, as strictly as `readNumber`. */
export function skipNumber(json: JsonReader, what: string): void {
  readNumber(json, what)
}

/** Reads an integer from 0 to `max`, written in digits only: serde_json takes `1.0` and `1e0` for no integer. */
export function readCount(json: JsonReader, what: string, max: number): number {
  const start = begin(json)
  const { bytes } = json
  const value = readNumber(json, what)
  for (let at = start; at < json.at; at++) {
    if (!isDigit(bytes[at] as number)) fail('call-unreadable', `${what} is not an integer of at least 0`)
  }
  if (value > max) fail('call-unreadable', `${what} is above ${max}`)
  return value
}

function begin(json: JsonReader): number {
  peek(json)
  return json.at
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39
}

/** One exact integer times or divided by one exact power is rounded once, so it is `Number(text)`; the rest asks `Number`. */
function exactValue(bytes: Buffer, start: number, end: number, mantissa: number, scale: number): number {
  if (mantissa < EXACT_INTEGERS && scale >= -22 && scale <= 22) {
    const power = POWERS_OF_TEN[Math.abs(scale)] as number
    return scale < 0 ? mantissa / power : mantissa * power
  }
  return Math.abs(Number(bytes.toString('latin1', start, end)))
}
