/** The smaller parts of Qdrant's REST bodies (lib/api/src/rest/schema.rs of 1.19). */
import { SHARDS_MAX, VECTORS_MAX } from '../core/limits.ts'
import { isNull, readArray, readBoolean, readObject } from './json.ts'
import { type Keys, keys } from './json-keys.ts'
import { readCount } from './json-number.ts'
import { fail, type JsonReader, peek } from './json-reader.ts'
import { readString, skipString } from './json-text.ts'
import { checkCollection } from './qdrant-names.ts'
import { ALL_SHARDS, type Lookup, type Shards } from './qdrant-reach.ts'

const QUOTE = 0x22
const BRACE = 0x7b
const BRACKET = 0x5b
const U64_MAX = 2 ** 64
/** Qdrant counts results in usize and, for groups, in u32; more than this is nobody's page. */
const COUNT_MAX = Number.MAX_SAFE_INTEGER

/** Two spellings of one field (serde's alias): the server takes either, and refuses both. */
const ALIASES = { top: 'limit', with_vectors: 'with_vector', vectors: 'vector' } as const

/** Reads an object with the known keys; a null is a key left out. An alias beside its field is refused. */
export function readFields<N extends string>(json: JsonReader, what: string, known: Keys<N>, visit: (name: N) => void): void {
  let aliased: string | undefined
  const plain = new Set<string>()
  readObject(json, what, known, (name) => {
    const field = ALIASES[name as keyof typeof ALIASES]
    if (field !== undefined && known.names.includes(field as N)) aliased = field
    else plain.add(name)
    if (!isNull(json)) visit(name)
  })
  if (aliased !== undefined && plain.has(aliased))
    fail('call-ambiguous', `"${aliased}" stands twice in ${what}, once under another name`, 'Write each field once.')
}

export function readLimit(json: JsonReader, what: string): number {
  return readCount(json, what, COUNT_MAX)
}

/** A number or a UUID; which one is nobody's concern, for an id proves nothing. */
export function readPointId(json: JsonReader, what: string): void {
  if (peek(json) === QUOTE) skipString(json, what)
  else readCount(json, what, U64_MAX)
}

export function readPointIds(json: JsonReader, what: string): number {
  return readArray(json, what, () => readPointId(json, `an id of ${what}`), VECTORS_MAX)
}

export function readStrings(json: JsonReader, what: string): string[] {
  const strings: string[] = []
  readArray(json, what, () => void strings.push(readString(json, `an element of ${what}`)))
  return strings
}

/** `with_vector`: true, or names. @returns whether raw vectors are asked for */
export function readWithVector(json: JsonReader, what: string): boolean {
  return peek(json) === BRACKET ? readStrings(json, what).length > 0 : readBoolean(json, what)
}

const PAYLOAD_SELECTOR = keys('include', 'exclude')

export function readWithPayload(json: JsonReader, what: string): void {
  const byte = peek(json)
  if (byte === BRACKET) readStrings(json, what)
  else if (byte === BRACE) {
    let selectors = 0
    readObject(json, what, PAYLOAD_SELECTOR, (key) => {
      selectors++
      readStrings(json, key)
    })
    if (selectors !== 1) fail('call-ambiguous', `${what} has not exactly one of include and exclude`)
  } else readBoolean(json, what)
}

const FALLBACK = keys('target', 'fallback')
export const NUMBER_KEY = 'a shard key is a number, which is another key than the text of its digits'

/** `shard_key`. A fallback is a second shard; a list of none is what all shards would be. */
export function readShards(json: JsonReader, what: string): Shards {
  const found: string[] = []
  let number = false
  const one = () => {
    if (peek(json) === QUOTE) found.push(readString(json, what))
    else {
      readCount(json, what, U64_MAX)
      number = true
    }
  }
  const byte = peek(json)
  if (byte === BRACKET) readArray(json, what, one)
  else if (byte === BRACE) {
    let parts = 0
    readObject(json, what, FALLBACK, () => {
      parts++
      one()
    })
    if (parts !== 2) fail('call-unreadable', `${what} has not both target and fallback`)
  } else one()
  return shardsOf(found, number)
}

/** @param number whether one of the keys is a number */
export function shardsOf(found: readonly string[], number: boolean): Shards {
  if (number) return { keys: undefined, unsharded: NUMBER_KEY }
  const named = [...new Set(found)]
  if (named.length > SHARDS_MAX) fail('call-too-large', `more than ${SHARDS_MAX} shard keys`)
  return named.length === 0 ? ALL_SHARDS : { keys: named, unsharded: undefined }
}

/** A collection that a body names. */
export function readCollection(json: JsonReader, what: string): string {
  const name = readString(json, what)
  const fault = checkCollection(name)
  if (fault !== undefined) fail(fault.reason.kind, fault.reason.because, fault.reason.remedy)
  return name
}

const LOOKUP_FROM = keys('collection', 'vector', 'shard_key')

export function readLookupFrom(json: JsonReader, what: string): Lookup {
  let collection: string | undefined
  let shards = ALL_SHARDS
  readFields(json, what, LOOKUP_FROM, (key) => {
    if (key === 'collection') collection = readCollection(json, `the collection of ${what}`)
    else if (key === 'vector') skipString(json, key)
    else shards = readShards(json, key)
  })
  if (collection === undefined) fail('call-unreadable', `${what} names no collection`)
  return { collection, shards }
}

const WITH_LOOKUP = keys('collection', 'with_payload', 'with_vectors', 'with_vector')

/** `with_lookup`: a name, or an object with one. */
export function readWithLookup(json: JsonReader, what: string): { readonly collection: string; readonly vectorsOut: boolean } {
  if (peek(json) === QUOTE) return { collection: readCollection(json, what), vectorsOut: false }
  let collection: string | undefined
  let vectorsOut = false
  readFields(json, what, WITH_LOOKUP, (key) => {
    if (key === 'collection') collection = readCollection(json, `the collection of ${what}`)
    else if (key === 'with_payload') readWithPayload(json, key)
    else vectorsOut = readWithVector(json, key)
  })
  if (collection === undefined) fail('call-unreadable', `${what} names no collection`)
  return { collection, vectorsOut }
}
