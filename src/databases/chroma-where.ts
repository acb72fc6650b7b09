/** Chroma's filter grammar (rust/types/src/where_parsing.rs): one key an object, closed lists of operators. */
import { isNull, readArray, readBoolean, readMap } from './json.ts'
import { readNumber } from './json-number.ts'
import { fail, type JsonReader, peek, quote } from './json-reader.ts'
import { readString, skipString } from './json-text.ts'

const POINT = 0x2e
const NINE = 0x39

const COMPOSITES = new Set(['$and', '$or'])
const SETS = new Set(['$in', '$nin'])
const EQUALITIES = new Set(['$eq', '$ne', '$contains', '$not_contains'])
const ORDERS = new Set(['$lt', '$lte', '$gt', '$gte'])
const PATTERNS = new Set(['$regex', '$not_regex'])
const DOCUMENT_OPERATORS = new Set(['$contains', '$not_contains', '$regex', '$not_regex'])

/** Reads `where`. @returns whether there is one: null is none */
export function readWhere(json: JsonReader, what: string): boolean {
  if (isNull(json)) return false
  clause(json, what)
  return true
}

/** Reads `where_document`. @returns whether there is one */
export function readWhereDocument(json: JsonReader, what: string): boolean {
  if (isNull(json)) return false
  documentClause(json, what)
  return true
}

/** The filter of a search: like `where`, and `{}` is none. */
export function readFilter(json: JsonReader, what: string): void {
  if (isNull(json)) return
  const keys = readMap(json, what, (key) => clauseBody(json, what, key))
  if (keys > 1) tooMany(what)
}

function clause(json: JsonReader, what: string): void {
  single(json, what, (key) => clauseBody(json, what, key))
}

function clauseBody(json: JsonReader, what: string, key: string): void {
  if (COMPOSITES.has(key)) children(json, what, clause)
  else if (key.startsWith('$')) unknown(what, key)
  else if (peek(json) === 0x7b) single(json, what, (operator) => operand(json, what, operator))
  else scalar(json, what)
}

function operand(json: JsonReader, what: string, operator: string): void {
  if (EQUALITIES.has(operator)) scalar(json, what)
  else if (ORDERS.has(operator)) readNumber(json, `an operand in ${what}`)
  else if (PATTERNS.has(operator)) skipString(json, `a pattern in ${what}`)
  else if (SETS.has(operator)) set(json, what)
  else unknown(what, operator)
}

function documentClause(json: JsonReader, what: string): void {
  single(json, what, (key) => {
    if (COMPOSITES.has(key)) children(json, what, documentClause)
    else if (DOCUMENT_OPERATORS.has(key)) readString(json, `a pattern in ${what}`)
    else unknown(what, key)
  })
}

function children(json: JsonReader, what: string, read: (json: JsonReader, what: string) => void): void {
  // Tried: an empty $and matches every record, so that a delete with it empties the collection.
  if (readArray(json, what, () => read(json, what)) === 0)
    fail('call-ambiguous', `an empty $and or $or in ${what}`, 'Leave the filter out, or say what it filters.')
}

function set(json: JsonReader, what: string): void {
  let kind = ''
  const count = readArray(json, what, () => {
    const next = scalar(json, what)
    // The first value decides: behind a float an integer is one more float, behind an integer a float is a fault (tried).
    if (kind !== '' && next !== kind && !(kind === 'float' && next === 'integer'))
      fail('call-unreadable', `values of different types in ${what}`)
    kind ||= next
  })
  if (count === 0) fail('call-unreadable', `an empty set in ${what}`)
}

function scalar(json: JsonReader, what: string): 'string' | 'boolean' | 'integer' | 'float' {
  const byte = peek(json)
  if (byte === 0x22) {
    skipString(json, what)
    return 'string'
  }
  if (byte === 0x74 || byte === 0x66) {
    readBoolean(json, what)
    return 'boolean'
  }
  const start = json.at
  readNumber(json, `a value in ${what}`)
  return json.bytes.subarray(start, json.at).some((digit) => digit > NINE || digit === POINT) ? 'float' : 'integer'
}

/** Exactly one key: Chroma refuses more, and of a key that stands twice it would take the last (tried). */
function single(json: JsonReader, what: string, visit: (key: string) => void): void {
  const keys = readMap(json, what, visit)
  if (keys === 0) fail('call-unreadable', `an empty object in ${what}`, 'Leave the filter out, or say what it filters.')
  if (keys > 1) tooMany(what)
}

function tooMany(what: string): never {
  return fail('call-unreadable', `an object with more than one key in ${what}`, 'Combine conditions with $and.')
}

function unknown(what: string, operator: string): never {
  return fail('call-unreadable', `unknown operator ${quote(operator)} in ${what}`)
}
