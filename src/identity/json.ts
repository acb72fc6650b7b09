/**
 * A strict reader of JSON (RFC 8259) for what an identity is read from: tokens, key sets, bundles. Stricter than the RFC where
 * readers disagree: UTF-8 without byte order mark, no name twice in one object, no half surrogate pairs, no `__proto__`, bounded depth. Objects are
 * Maps, so that no name means anything to the engine; numbers stay as they are written, so that none loses its last digits.
 */
import { isUtf8 } from 'node:buffer'

export type Json = null | boolean | string | JsonNumber | readonly Json[] | JsonObject
export type JsonObject = ReadonlyMap<string, Json>

export interface JsonNumber {
  /** The number as the text has it, such as `9007199254740993` or `1e3`. */
  readonly literal: string
}

export interface JsonProblem {
  readonly ok: false
  readonly problem: 'malformed' | 'repeated' | 'deep' | 'prototype'
  /** Words that fit after the name of the text, such as `has the name "sub" twice in one object`. */
  readonly detail: string
}

export type JsonResult = { readonly ok: true; readonly value: Json } | JsonProblem

interface Reader {
  readonly text: string
  readonly depthMax: number
  at: number
  depth: number
}

/** Reads one JSON value that is all of `bytes`. @param depthMax objects and arrays around the innermost value. Never throws. */
export function parseJson(bytes: Uint8Array, depthMax: number): JsonResult {
  if (!isUtf8(bytes)) return { ok: false, problem: 'malformed', detail: 'is not UTF-8' }
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
  const reader: Reader = { text, depthMax, at: 0, depth: 0 }
  try {
    const value = readValue(reader)
    if (next(reader) !== undefined) malformed('has something behind its JSON value')
    return { ok: true, value }
  } catch (cause) {
    if (isProblem(cause)) return cause
    throw cause
  }
}

/** Its members, where a value is an object. */
export function objectOf(value: Json | undefined): JsonObject | undefined {
  return value instanceof Map ? value : undefined
}

export function arrayOf(value: Json | undefined): readonly Json[] | undefined {
  return Array.isArray(value) ? value : undefined
}

/** The nearest double, where a value is a number that has one. */
export function numberOf(value: Json | undefined): number | undefined {
  const literal = literalOf(value)
  const number = literal === undefined ? Number.NaN : Number(literal)
  return Number.isFinite(number) ? number : undefined
}

/** The exact integer, where a value is a number that is written with digits only, at most a hundred of them. */
export function integerOf(value: Json | undefined): bigint | undefined {
  const literal = literalOf(value)
  return literal !== undefined && /^-?[0-9]{1,100}$/.test(literal) ? BigInt(literal) : undefined
}

/** A text from outside for a sentence: bounded, printable ASCII, quoted. */
export function shown(text: string): string {
  const short = text.length > 64 ? `${text.slice(0, 64)}...` : text
  return JSON.stringify(short).replaceAll(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

function literalOf(value: Json | undefined): string | undefined {
  return typeof value === 'object' && value !== null && 'literal' in value ? value.literal : undefined
}

function isProblem(cause: unknown): cause is JsonProblem {
  return typeof cause === 'object' && cause !== null && 'problem' in cause
}

function refuse(problem: JsonProblem['problem'], detail: string): never {
  const found: JsonProblem = { ok: false, problem, detail }
  throw found
}

function malformed(detail: string): never {
  return refuse('malformed', detail)
}

/** Skips white space. @returns the character code that begins the next token, or undefined at the end */
function next(reader: Reader): number | undefined {
  const { text } = reader
  let at = reader.at
  while (at < text.length && isSpace(text.charCodeAt(at))) at++
  reader.at = at
  return at < text.length ? text.charCodeAt(at) : undefined
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09
}

function readValue(reader: Reader): Json {
  switch (next(reader)) {
    case 0x7b:
      return nested(reader, readObject)
    case 0x5b:
      return nested(reader, readArray)
    case 0x22:
      return readString(reader)
    case 0x74:
      return word(reader, 'true', true)
    case 0x66:
      return word(reader, 'false', false)
    case 0x6e:
      return word(reader, 'null', null)
    default:
      return readNumber(reader)
  }
}

function nested<T>(reader: Reader, read: (reader: Reader) => T): T {
  if (reader.depth === reader.depthMax) {
    refuse('deep', `is nested deeper than ${reader.depthMax}`)
  }
  reader.depth++
  reader.at++
  const value = read(reader)
  reader.depth--
  reader.at++
  return value
}

/** From behind the opening brace to the closing one. */
function readObject(reader: Reader): JsonObject {
  const members = new Map<string, Json>()
  if (next(reader) === 0x7d) return members
  for (;;) {
    if (next(reader) !== 0x22) malformed('has an object that is not well formed')
    const name = readString(reader)
    if (members.has(name)) refuse('repeated', `has the name ${shown(name)} twice in one object`)
    // Harmless in a Map, but not to whoever makes objects of it later; nobody honest uses it.
    if (name === '__proto__') refuse('prototype', 'has the name __proto__')
    if (next(reader) !== 0x3a) malformed('has an object that is not well formed')
    reader.at++
    members.set(name, readValue(reader))
    const code = next(reader)
    if (code === 0x7d) return members
    if (code !== 0x2c) malformed('has an object that is not well formed')
    reader.at++
  }
}

/** From behind the opening bracket to the closing one. */
function readArray(reader: Reader): readonly Json[] {
  const elements: Json[] = []
  if (next(reader) === 0x5d) return elements
  for (;;) {
    elements.push(readValue(reader))
    const code = next(reader)
    if (code === 0x5d) return elements
    if (code !== 0x2c) malformed('has an array that is not well formed')
    reader.at++
  }
}

const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y

function readString(reader: Reader): string {
  const { text } = reader
  const start = reader.at
  let escaped = false
  let at = start + 1
  for (;;) {
    const code = at < text.length ? text.charCodeAt(at) : 0
    if (code === 0x22) break
    if (code < 0x20) malformed('has a string with a control character, or without an end')
    if (code === 0x5c) {
      escaped = true
      ESCAPE.lastIndex = at
      if (!ESCAPE.test(text)) malformed('has an escape that JSON does not know')
      at = ESCAPE.lastIndex
    } else at++
  }
  reader.at = at + 1
  if (!escaped) return text.slice(start + 1, at)
  // Well formed by now; the engine's own decoder turns the escapes into text.
  const value: string = JSON.parse(text.slice(start, at + 1))
  return value.isWellFormed() ? value : malformed('has half a surrogate pair')
}

const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y

function readNumber(reader: Reader): JsonNumber {
  NUMBER.lastIndex = reader.at
  const literal = NUMBER.exec(reader.text)?.[0] ?? malformed('is not JSON')
  reader.at += literal.length
  return { literal }
}

function word<T>(reader: Reader, spelling: string, value: T): T {
  if (!reader.text.startsWith(spelling, reader.at)) malformed('is not JSON')
  reader.at += spelling.length
  return value
}
