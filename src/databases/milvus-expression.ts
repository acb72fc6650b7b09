/**
 * Milvus's filter language (Plan.g4 of the server), as far as it takes to prove that an expression holds a field to one text value.
 *
 * Words, strings, numbers and brackets are told apart as the server does; `or` binds weakest, then `and`, then everything else. So a
 * chain of `and` at the top is a list of conditions that all hold, whatever each of them means. A condition that is exactly
 * `field == "text"` (or its two other spellings, see `pinOf`) is a pin; what any other says is left open.
 */
import { fail, quote } from './json-reader.ts'
import { closingBrackets, readTokens, type Token } from './milvus-tokens.ts'

export interface Expression {
  /** Field to the text that it has in every record the expression is true of. */
  readonly pins: ReadonlyMap<string, string>
}

/** Brackets within brackets around conditions; people write two or three. */
const NESTING_MAX = 32
/** Nothing that a quote, an escape or an invisible character could make two readings of. */
const PLAIN = /^[^"'\\\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Zl}\p{Zp}\u{fffd}]*$/u

/** Reads an expression. The empty one is true of every record, so it pins nothing. */
export function readExpression(text: string): Expression {
  const tokens = readTokens(text)
  const closing = closingBrackets(tokens)
  const found = new Map<string, Set<string>>()
  if (tokens.length > 0) readChain({ tokens, closing, found }, 0, tokens.length, 0)
  const pins = new Map<string, string>()
  // Two values for one field are true of no record at all; that is nobody's pin.
  for (const [field, values] of found) if (values.size === 1) for (const value of values) pins.set(field, value)
  return { pins }
}

interface Reading {
  readonly tokens: readonly Token[]
  /** Index of each opening bracket to that of the one which closes it. */
  readonly closing: ReadonlyMap<number, number>
  readonly found: Map<string, Set<string>>
}

/** Reads a list of conditions joined by `and`; where an `or` stands between them, none of them must hold. */
function readChain(reading: Reading, from: number, to: number, depth: number): void {
  const { tokens, closing } = reading
  const parts: [number, number][] = []
  let start = from
  let either = false
  for (let at = from; at <= to; at++) {
    const token = at === to ? undefined : tokens[at]
    if (token !== undefined && token.kind !== 'and' && token.kind !== 'or') {
      at = closing.get(at) ?? at
      continue
    }
    if (at === start) fail('call-unreadable', 'the filter has a condition that is empty')
    if (token?.kind === 'or') either = true
    parts.push([start, at])
    start = at + 1
  }
  if (either) return
  for (const [begin, end] of parts) readCondition(reading, begin, end, depth)
}

function readCondition(reading: Reading, from: number, to: number, depth: number): void {
  const { tokens, closing, found } = reading
  if (tokens[from]?.text === '(' && tokens[from]?.kind === 'symbol' && closing.get(from) === to - 1) {
    if (depth < NESTING_MAX) readChain(reading, from + 1, to - 1, depth + 1)
    return
  }
  const pin = pinOf(tokens.slice(from, Math.min(to, from + 6)), to - from)
  if (pin === undefined) return
  const values = found.get(pin.field) ?? new Set()
  found.set(pin.field, values.add(pin.value))
}

/** `field == "text"`, `"text" == field`, `field in ["text"]`: these tokens and no other. */
function pinOf(tokens: readonly Token[], length: number): { readonly field: string; readonly value: string } | undefined {
  const [first, second, third, fourth, fifth] = tokens
  if (length === 3 && second?.kind === 'symbol' && second.text === '==') return pairOf(first, third) ?? pairOf(third, first)
  if (length === 5 && second?.kind === 'in' && third?.text === '[' && third.kind === 'symbol' && fifth?.text === ']')
    return pairOf(first, fourth)
  return undefined
}

function pairOf(field: Token | undefined, value: Token | undefined): { readonly field: string; readonly value: string } | undefined {
  if (field?.kind !== 'name' || value?.kind !== 'string') return undefined
  const text = value.text.slice(1, -1)
  return PLAIN.test(text) ? { field: field.text, value: text } : undefined
}

/** What to write so that `field` is proved to be `value`; `undefined` for a value that the filter language cannot say plainly. */
export function printPin(field: string, value: string): string {
  if (!PLAIN.test(value)) return `${field} == ${quote(value)} cannot be proved: a tenant's name with quotes or escapes has two readings`
  return `${field} == "${value}"`
}
