/** Bodies of the calls about records: add, upsert, update, delete, get, query. Shapes: rust/types/src/api_types.rs of 1.5.9. */
import { VECTORS_MAX } from '../core/limits.ts'
import { NO_SHAPE, type Operation, type Shape } from '../core/vector-call.ts'
import { readBase64Vector } from './base64-vector.ts'
import { readWhere, readWhereDocument } from './chroma-where.ts'
import { isNull, readArray, readBoolean, readMap, readObject } from './json.ts'
import { keys } from './json-keys.ts'
import { readCount, readNumber } from './json-number.ts'
import { fail, type JsonReader, peek } from './json-reader.ts'
import { readString, skipString } from './json-text.ts'
import { readVector } from './json-vector.ts'

/** What a body adds to what the path has said. */
export interface BodyFacts {
  readonly shape: Shape
  /** Where the body makes the call another operation than its route's. */
  readonly operation?: Operation
  /** The name that the call gives to a collection (or, for a database, to the namespace). */
  readonly named?: string
}

/** `topK` of a call that returns every record there is. */
export const UNBOUNDED = Number.POSITIVE_INFINITY
/** Chroma counts in u32. */
export const U32_MAX = 0xffff_ffff
/** Chroma's `n_results` when the call does not say. */
const RESULTS_DEFAULT = 10

const QUERY = keys('query_embeddings', 'n_results', 'include', 'where', 'where_document', 'ids')

export function readQuery(json: JsonReader): BodyFacts {
  const vectors: Float32Array[] = []
  let topK = RESULTS_DEFAULT
  let vectorsOut = false
  let records = 0
  readObject(json, 'the body', QUERY, (key) => {
    if (key === 'query_embeddings') readArray(json, key, () => void vectors.push(readVector(json, 'a query embedding')), VECTORS_MAX)
    else if (key === 'n_results') topK = optionalCount(json, key) ?? RESULTS_DEFAULT
    else if (key === 'include') vectorsOut = readInclude(json)
    else if (key === 'where') readWhere(json, key)
    else if (key === 'where_document') readWhereDocument(json, key)
    else records = readIds(json) ?? 0
  })
  if (vectors.length === 0) fail('call-unreadable', 'the query has no embeddings')
  return { shape: { queries: vectors.length, topK, records, vectorsOut, dimensions: longest(vectors), vectors } }
}

const GET = keys('ids', 'where', 'where_document', 'limit', 'offset', 'include')

export function readGet(json: JsonReader): BodyFacts {
  let limit = UNBOUNDED
  let ids: number | undefined
  let vectorsOut = false
  readObject(json, 'the body', GET, (key) => {
    if (key === 'ids') ids = readIds(json)
    else if (key === 'limit') limit = optionalCount(json, key) ?? UNBOUNDED
    else if (key === 'offset') optionalCount(json, key)
    else if (key === 'include') vectorsOut = readInclude(json)
    else if (key === 'where') readWhere(json, key)
    else readWhereDocument(json, key)
  })
  // No ids is every record, an empty list of ids is none (tried).
  return { shape: { ...NO_SHAPE, topK: Math.min(limit, ids ?? UNBOUNDED), records: ids ?? 0, vectorsOut } }
}

const DELETE = keys('ids', 'where', 'where_document', 'limit')

export function readDelete(json: JsonReader): BodyFacts {
  let ids: number | undefined
  let filtered = false
  readObject(json, 'the body', DELETE, (key) => {
    if (key === 'ids') ids = readIds(json)
    else if (key === 'where') filtered = readWhere(json, key) || filtered
    else if (key === 'where_document') filtered = readWhereDocument(json, key) || filtered
    else optionalCount(json, key)
  })
  // 1.5.9 deletes nothing then (tried); a version that deletes everything would be no surprise.
  if (ids === 0 || (ids === undefined && !filtered)) {
    fail('call-ambiguous', 'the delete names neither records nor a filter', 'Name the records to delete by ids or where.')
  }
  return { shape: { ...NO_SHAPE, records: ids ?? 0 } }
}

const WRITE = keys('ids', 'embeddings', 'documents', 'metadatas', 'uris')

/** Add and upsert. */
export function readWrite(json: JsonReader): BodyFacts {
  return write(json, false)
}

/** Update: records may keep the embedding they have. */
export function readUpdate(json: JsonReader): BodyFacts {
  return write(json, true)
}

function write(json: JsonReader, partial: boolean): BodyFacts {
  const vectors: Float32Array[] = []
  let ids: number | undefined
  let embeddings: number | undefined
  readObject(json, 'the body', WRITE, (key) => {
    if (key === 'ids') ids = readIds(json)
    else if (key === 'embeddings') embeddings = readEmbeddings(json, partial, vectors)
    else if (key === 'metadatas') readOptionals(json, key, () => readMetadata(json))
    else readOptionals(json, key, () => skipString(json, key))
  })
  if (ids === undefined) fail('call-unreadable', 'the write has no ids')
  if (embeddings === undefined && !partial) fail('call-unreadable', 'the write has no embeddings')
  if (embeddings !== undefined && embeddings !== ids) fail('call-unreadable', `${ids} ids, but ${embeddings} embeddings`)
  return { shape: { ...NO_SHAPE, records: ids, dimensions: longest(vectors), vectors } }
}

/** Arrays or base64 strings, not both (serde's untagged enum). @returns how many, undefined for null */
function readEmbeddings(json: JsonReader, partial: boolean, into: Float32Array[]): number | undefined {
  if (partial && isNull(json)) return undefined
  let form: number | undefined
  const one = () => {
    const byte = peek(json)
    if (partial && byte === 0x6e) return void isNull(json)
    if (form !== undefined && byte !== form) fail('call-unreadable', 'embeddings are written as arrays and as base64')
    form = byte
    into.push(byte === 0x22 ? readBase64Vector(json, 'an embedding') : readVector(json, 'an embedding'))
  }
  return readArray(json, 'embeddings', one, VECTORS_MAX)
}

const INCLUDED = new Set(['distances', 'documents', 'embeddings', 'metadatas', 'uris'])

/**
 * Strings only: Chroma also takes `{"embeddings": null}` for `"embeddings"` (serde's other spelling of an enum; tried).
 * @returns whether raw vectors are asked for
 */
function readInclude(json: JsonReader): boolean {
  let vectors = false
  readArray(json, 'include', () => {
    const part = readString(json, 'an element of include')
    if (!INCLUDED.has(part)) fail('call-unreadable', 'unknown element of include', `include knows ${[...INCLUDED].join(', ')}.`)
    vectors ||= part === 'embeddings'
  })
  return vectors
}

/** @returns how many ids, undefined for null */
function readIds(json: JsonReader): number | undefined {
  if (isNull(json)) return undefined
  return readArray(json, 'ids', () => skipString(json, 'an id'), VECTORS_MAX)
}

export function optionalCount(json: JsonReader, what: string): number | undefined {
  return isNull(json) ? undefined : readCount(json, what, U32_MAX)
}

function readOptionals(json: JsonReader, what: string, read: () => void): void {
  if (isNull(json)) return
  readArray(json, what, () => void (isNull(json) || read()), VECTORS_MAX)
}

/** A record's metadata: scalars, arrays of scalars, sparse vectors. Null deletes a key on update and upsert. */
export function readMetadata(json: JsonReader): void {
  readMap(json, 'a metadata', () => {
    if (isNull(json)) return
    const byte = peek(json)
    if (byte === 0x7b) readSparseVector(json, 'a metadata value')
    else if (byte === 0x5b) readArray(json, 'a metadata value', () => scalar(json))
    else scalar(json)
  })
}

const SPARSE = keys('#type', 'indices', 'values', 'tokens')

export function readSparseVector(json: JsonReader, what: string): void {
  readObject(json, what, SPARSE, (key) => {
    if (key === 'indices') readArray(json, key, () => readCount(json, key, U32_MAX))
    else if (key === 'values') readArray(json, key, () => readNumber(json, key))
    else if (key === 'tokens') readOptionals(json, key, () => skipString(json, key))
    else if (!isNull(json) && readString(json, key) !== 'sparse_vector') fail('call-unreadable', `${what} is of an unknown type`)
  })
}

function scalar(json: JsonReader): void {
  const byte = peek(json)
  if (byte === 0x22) skipString(json, 'a metadata value')
  else if (byte === 0x74 || byte === 0x66) readBoolean(json, 'a metadata value')
  else readNumber(json, 'a metadata value')
}

export function longest(vectors: readonly Float32Array[]): number {
  return vectors.reduce((most, vector) => Math.max(most, vector.length), 0)
}
