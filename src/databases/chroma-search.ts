/** The body of a search (rust/types/src/execution/operator.rs of 1.5.9): vectors stand anywhere in a tree of rank expressions. */
import { VECTORS_MAX } from '../core/limits.ts'
import { type BodyFacts, longest, optionalCount, readSparseVector, U32_MAX, UNBOUNDED } from './chroma-records.ts'
import { readFilter } from './chroma-where.ts'
import { isNull, readArray, readBoolean, readMap, readObject } from './json.ts'
import { keys } from './json-keys.ts'
import { readCount, readNumber } from './json-number.ts'
import { fail, type JsonReader, peek, quote } from './json-reader.ts'
import { readString } from './json-text.ts'
import { readVector } from './json-vector.ts'

/** What the searches of one call come to. */
interface Found {
  readonly vectors: Float32Array[]
  /** `$knn` expressions, sparse ones included. */
  queries: number
  searches: number
  /** Searches without any `$knn`: they list records. */
  listings: number
  topK: number
  vectorsOut: boolean
}

const BODY = keys('searches', 'read_level')
/** A count has it too, in its query string. */
export const READ_LEVELS: ReadonlySet<string> = new Set(['index_and_wal', 'index_only', 'index_and_bounded_wal'])

export function readSearch(json: JsonReader): BodyFacts {
  const found: Found = { vectors: [], queries: 0, searches: 0, listings: 0, topK: 0, vectorsOut: false }
  readObject(json, 'the body', BODY, (key) => {
    if (key === 'searches') readArray(json, key, () => search(json, found), VECTORS_MAX)
    else if (!READ_LEVELS.has(readString(json, key))) fail('call-unreadable', 'unknown read_level')
  })
  if (found.searches === 0) fail('call-unreadable', 'the call has no searches')
  if (found.listings > 0 && found.queries > 0) {
    fail('call-ambiguous', 'some searches rank by a vector and some list records', 'Send searches with and without $knn in two calls.')
  }
  const { vectors, queries, topK, vectorsOut } = found
  const shape = { queries, topK, records: 0, vectorsOut, dimensions: longest(vectors), vectors }
  return { shape, operation: found.listings > 0 ? 'read' : 'search' }
}

const SEARCH = keys('filter', 'rank', 'group_by', 'limit', 'select')

/** How far the rank expressions of one search reach. */
interface Reach {
  queries: number
  /** Candidates of all its `$knn`; unbounded where one has a default, for that ranks the records outside of it too. */
  candidates: number
}

function search(json: JsonReader, found: Found): void {
  const reach: Reach = { queries: 0, candidates: 0 }
  let limit: number | undefined
  readObject(json, 'a search', SEARCH, (key) => {
    if (key === 'filter') readFilter(json, key)
    else if (key === 'rank') isNull(json) || rank(json, reach, found.vectors)
    else if (key === 'group_by') groupBy(json)
    else if (key === 'limit') limit = readLimit(json)
    else found.vectorsOut = select(json) || found.vectorsOut
  })
  found.searches++
  found.queries += reach.queries
  if (reach.queries === 0) found.listings++
  const most = limit ?? (reach.queries === 0 ? UNBOUNDED : reach.candidates)
  found.topK = Math.max(found.topK, most)
}

const PAIR = keys('left', 'right')
const KNN = keys('query', 'key', 'limit', 'default', 'return_rank')
/** Chroma's `$knn` limit when the call does not say. */
const CANDIDATES_DEFAULT = 16

function rank(json: JsonReader, reach: Reach, vectors: Float32Array[]): void {
  const again = () => rank(json, reach, vectors)
  const count = readMap(json, 'rank', (key) => {
    switch (key) {
      case '$knn':
        return knn(json, reach, vectors)
      case '$val':
        return void readNumber(json, key)
      case '$abs':
      case '$exp':
      case '$log':
        return again()
      case '$sum':
      case '$mul':
      case '$max':
      case '$min':
        return void readArray(json, key, again)
      case '$sub':
      case '$div':
        return readObject(json, key, PAIR, again)
      default:
        return fail('call-unreadable', `unknown rank expression ${quote(key)}`)
    }
  })
  if (count !== 1) fail('call-unreadable', 'a rank expression has not exactly one key')
}

function knn(json: JsonReader, reach: Reach, vectors: Float32Array[]): void {
  let asked = false
  let limit = CANDIDATES_DEFAULT
  let everything = false
  readObject(json, '$knn', KNN, (key) => {
    if (key === 'query') {
      asked = true
      if (peek(json) === 0x7b) readSparseVector(json, 'a sparse query')
      else vectors.push(readVector(json, 'a query vector'))
    } else if (key === 'key') readString(json, key)
    else if (key === 'limit') limit = readCount(json, key, U32_MAX)
    else if (key === 'return_rank') readBoolean(json, key)
    else if (!isNull(json)) {
      readNumber(json, key)
      everything = true
    }
  })
  if (!asked) fail('call-unreadable', 'a $knn has no query')
  reach.queries++
  reach.candidates += everything ? UNBOUNDED : limit
}

const LIMIT = keys('limit', 'offset')

function readLimit(json: JsonReader): number | undefined {
  let limit: number | undefined
  readObject(json, 'limit', LIMIT, (key) => {
    if (key === 'limit') limit = optionalCount(json, key)
    else readCount(json, key, U32_MAX)
  })
  return limit
}

const SELECT = keys('keys')

/** @returns whether raw vectors are asked for */
function select(json: JsonReader): boolean {
  let vectors = false
  readObject(json, 'select', SELECT, (key) => {
    readArray(json, key, () => {
      vectors = readString(json, 'a key of select') === '#embedding' || vectors
    })
  })
  return vectors
}

const GROUP_BY = keys('keys', 'aggregate')
const AGGREGATE = keys('$min_k', '$max_k')
const BEST = keys('keys', 'k')

function groupBy(json: JsonReader): void {
  const names = () => void readArray(json, 'keys', () => readString(json, 'a key'))
  readObject(json, 'group_by', GROUP_BY, (key) => {
    if (key === 'keys') return names()
    if (isNull(json)) return
    readObject(json, 'aggregate', AGGREGATE, () => {
      readObject(json, 'aggregate', BEST, (part) => (part === 'keys' ? names() : void readCount(json, part, U32_MAX)))
    })
  })
}
