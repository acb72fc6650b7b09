/**
 * Qdrant's filter language over JSON (lib/segment/src/types.rs of 1.19), read to its end; the server ignores keys that it does not
 * know in a condition and takes the first shape that fits, so an object has exactly one shape here.
 */
import { isNull, readArray, readBoolean, readObject, skipValue } from './json.ts'
import { keys } from './json-keys.ts'
import { readCount } from './json-number.ts'
import { fail, type JsonReader, peek } from './json-reader.ts'
import { readString, skipString } from './json-text.ts'
import { readFields, readPointIds } from './qdrant-fields.ts'
import { type Conjunction, conjunction, holds, type Pins } from './qdrant-pins.ts'

const QUOTE = 0x22
const BRACKET = 0x5b

const FILTER = keys('should', 'must', 'must_not', 'min_should')

/** @returns what every record that passes has: conditions directly in `must` that are a key and a text to match, and nothing else */
export function readFilter(json: JsonReader, what: string): Pins {
  const must = conjunction()
  readFields(json, what, FILTER, (key) => clause(json, key, must))
  return must.pins
}

const MIN_SHOULD = keys('conditions', 'min_count')

function clause(json: JsonReader, key: 'should' | 'must' | 'must_not' | 'min_should', must: Conjunction): void {
  if (key === 'min_should') {
    readObject(json, key, MIN_SHOULD, (part) => {
      if (part === 'min_count') readCount(json, part, Number.MAX_SAFE_INTEGER)
      else readArray(json, part, () => condition(json, undefined))
    })
    return
  }
  const into = key === 'must' ? must : undefined
  if (peek(json) === BRACKET) readArray(json, key, () => condition(json, into))
  else condition(json, into)
}

const CONDITION = keys(
  'key',
  'match',
  'range',
  'geo_bounding_box',
  'geo_radius',
  'geo_polygon',
  'values_count',
  'is_empty',
  'is_null',
  'has_id',
  'has_vector',
  'slice',
  'nested',
  'should',
  'must',
  'must_not',
  'min_should'
)
/** Keys that make a condition of their own; the four clauses together are one. */
const SHAPES: Readonly<Record<string, string>> = {
  has_id: 'has_id',
  has_vector: 'has_vector',
  slice: 'slice',
  nested: 'nested',
  should: 'filter',
  must: 'filter',
  must_not: 'filter',
  min_should: 'filter'
}

/** One condition while it is read. */
interface Condition {
  field: string | undefined
  /** The text that the whole value has to be. */
  text: string | undefined
  checks: number
  readonly shapes: Set<string>
  /** `is_empty` and `is_null` stand in a field condition (true, false) and alone ({key}). */
  readonly alone: Set<string>
}

/** Reads one condition. @param into takes what it proves */
export function condition(json: JsonReader, into: Conjunction | undefined): void {
  const read: Condition = { field: undefined, text: undefined, checks: 0, shapes: new Set(), alone: new Set() }
  readFields(json, 'a condition', CONDITION, (key) => part(json, key, read))
  const { field, text, checks, shapes, alone } = read
  const kinds = shapes.size + alone.size + (field !== undefined || checks > 0 ? 1 : 0)
  if (kinds === 0 && field === undefined) return
  if (kinds !== 1) fail('call-ambiguous', 'a condition has the keys of two kinds of conditions', 'Write one condition in each object.')
  if (checks > 0 && field === undefined) fail('call-unreadable', 'a condition has no key')
  if (into !== undefined && field !== undefined && text !== undefined && checks === 1) holds(into, field, text)
}

const NESTED = keys('key', 'filter')
const ALONE = keys('key')

function part(json: JsonReader, key: (typeof CONDITION.names)[number], read: Condition): void {
  const shape = SHAPES[key]
  if (shape !== undefined) {
    read.shapes.add(shape)
    shaped(json, key, shape)
  } else if (key === 'key') read.field = readString(json, 'the key of a condition')
  else if (key === 'match') {
    read.checks++
    read.text = match(json)
  } else if ((key === 'is_empty' || key === 'is_null') && peek(json) === 0x7b) {
    read.alone.add(key)
    readObject(json, key, ALONE, () => skipString(json, 'a key'))
  } else {
    read.checks++
    if (key === 'is_empty' || key === 'is_null') readBoolean(json, key)
    else skipValue(json, key)
  }
}

function shaped(json: JsonReader, key: string, shape: string): void {
  if (shape === 'has_id') readPointIds(json, key)
  else if (shape === 'has_vector') skipString(json, key)
  else if (shape === 'slice') skipValue(json, key)
  else if (shape === 'nested') {
    readObject(json, key, NESTED, (inner) => {
      if (inner === 'key') skipString(json, inner)
      else readFilter(json, 'a nested filter')
    })
  } else clause(json, key as 'should', conjunction())
}

const MATCH = keys('value', 'text', 'text_any', 'phrase', 'prefix', 'any', 'except')

/** @returns the text that the value has to equal; undefined for every other way to match */
function match(json: JsonReader): string | undefined {
  let text: string | undefined
  let ways = 0
  readObject(json, 'a match', MATCH, (key) => {
    ways++
    if (key === 'value' && peek(json) === QUOTE) text = readString(json, key)
    else if (!isNull(json)) skipValue(json, key)
  })
  // The server takes the first that it knows, in an order of its own.
  if (ways !== 1) fail('call-ambiguous', 'a match has not exactly one key', 'Write one kind of match in each condition.')
  return text
}
