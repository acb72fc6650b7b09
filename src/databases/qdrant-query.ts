/** Bodies of `points/query`, its batch and its groups (lib/api/src/rest/schema.rs of 1.19): trees of prefetches. */
import { VECTORS_MAX } from '../core/limits.ts'
import { readArray, readMap, readObject, skipValue } from './json.ts'
import { keys } from './json-keys.ts'
import { readCount, readNumber } from './json-number.ts'
import { fail, type JsonReader, peek } from './json-reader.ts'
import { readString, skipString } from './json-text.ts'
import { readFields, readLimit, readLookupFrom, readShards, readWithLookup, readWithPayload, readWithVector } from './qdrant-fields.ts'
import { readFilter } from './qdrant-filter.ts'
import { readParams } from './qdrant-params.ts'
import { NO_PINS, type Pins } from './qdrant-pins.ts'
import {
  ALL_SHARDS,
  addQuery,
  type Examples,
  GROUP_SIZE_DEFAULT,
  type Lookup,
  newExamples,
  type QueryNode,
  type Reach
} from './qdrant-reach.ts'
import { checkSparse, readContext, readExample, readExamples, readSparsePart, refuseInference } from './qdrant-vectors.ts'

const BRACE = 0x7b
const BRACKET = 0x5b
const QUOTE = 0x22

const QUERY_REQUEST = keys(
  'query',
  'limit',
  'filter',
  'with_payload',
  'with_vector',
  'with_vectors',
  'using',
  'prefetch',
  'params',
  'score_threshold',
  'offset',
  'lookup_from',
  'shard_key'
)

export function readQuery(json: JsonReader, reach: Reach): void {
  const node = draft()
  let shards = ALL_SHARDS
  let vectorsOut = false
  readFields(json, 'the query', QUERY_REQUEST, (key) => {
    if (key === 'shard_key') shards = readShards(json, key)
    else if (key === 'with_vector' || key === 'with_vectors') vectorsOut = readWithVector(json, key)
    else if (key === 'with_payload') readWithPayload(json, key)
    else if (key === 'offset') readLimit(json, key)
    else nodePart(json, key, node)
  })
  addQuery(reach, node, { shards, vectorsOut, groupSize: undefined, withLookup: undefined })
}

const BATCH = keys('searches')

/** A batch of any kind of search. */
export function readBatch(json: JsonReader, reach: Reach, read: (json: JsonReader, reach: Reach) => void): void {
  readObject(json, 'the body', BATCH, (key) => {
    readArray(json, key, () => read(json, reach), VECTORS_MAX)
  })
}

const GROUPS_REQUEST = keys(
  'query',
  'group_by',
  'group_size',
  'limit',
  'filter',
  'with_payload',
  'with_vector',
  'using',
  'prefetch',
  'params',
  'score_threshold',
  'lookup_from',
  'with_lookup',
  'shard_key'
)

export function readQueryGroups(json: JsonReader, reach: Reach): void {
  const node = draft()
  let shards = ALL_SHARDS
  let vectorsOut = false
  let groupSize = GROUP_SIZE_DEFAULT
  let withLookup: string | undefined
  readFields(json, 'the query', GROUPS_REQUEST, (key) => {
    if (key === 'shard_key') shards = readShards(json, key)
    else if (key === 'with_vector') vectorsOut = readWithVector(json, key) || vectorsOut
    else if (key === 'with_payload') readWithPayload(json, key)
    else if (key === 'group_by') skipString(json, key)
    else if (key === 'group_size') groupSize = readLimit(json, key)
    else if (key === 'with_lookup') {
      const lookup = readWithLookup(json, key)
      withLookup = lookup.collection
      vectorsOut ||= lookup.vectorsOut
    } else nodePart(json, key, node)
  })
  addQuery(reach, node, { shards, vectorsOut, groupSize, withLookup })
}

/** A query or prefetch while it is read. */
interface Draft {
  readonly examples: Examples
  pins: Pins
  corpus: Pins | undefined
  limit: number | undefined
  lookup: Lookup | undefined
  children: QueryNode[]
}

function draft(): Draft {
  return { examples: newExamples(), pins: NO_PINS, corpus: undefined, limit: undefined, lookup: undefined, children: [] }
}

const PREFETCH = keys('query', 'using', 'filter', 'limit', 'params', 'score_threshold', 'lookup_from', 'prefetch')

function nodePart(json: JsonReader, key: (typeof PREFETCH.names)[number], node: Draft): void {
  if (key === 'query') readQueryInterface(json, node.examples)
  else if (key === 'limit') node.limit = readLimit(json, key)
  else if (key === 'filter') node.pins = readFilter(json, key)
  else if (key === 'using') skipString(json, key)
  else if (key === 'params') node.corpus = readParams(json, key)
  else if (key === 'score_threshold') readNumber(json, key)
  else if (key === 'lookup_from') node.lookup = readLookupFrom(json, key)
  else if (peek(json) === BRACKET) readArray(json, key, () => void node.children.push(readPrefetch(json)), VECTORS_MAX)
  else node.children.push(readPrefetch(json))
}

function readPrefetch(json: JsonReader): QueryNode {
  const node = draft()
  readFields(json, 'a prefetch', PREFETCH, (key) => nodePart(json, key, node))
  return node
}

const QUERY = keys(
  'nearest',
  'mmr',
  'recommend',
  'discover',
  'context',
  'order_by',
  'fusion',
  'rrf',
  'formula',
  'defaults',
  'sample',
  'relevance_feedback',
  'indices',
  'values',
  'text',
  'image',
  'object',
  'model',
  'options'
)
/** Keys that come with another one; all the rest stand alone. */
const WITH: Readonly<Record<string, string>> = { mmr: 'nearest', defaults: 'formula', indices: 'values', values: 'indices' }

/** `query`: an example, or an object that says what to do with examples. */
function readQueryInterface(json: JsonReader, examples: Examples) {
  if (peek(json) !== BRACE) {
    examples.queries++
    return readExample(json, examples, 0)
  }
  const present: string[] = []
  const lengths: number[] = []
  readFields(json, 'query', QUERY, (key) => {
    present.push(key)
    queryPart(json, key, examples, lengths)
  })
  // The server takes the first shape that fits and forgets the other keys.
  const [first = '', second, ...more] = present
  const pair = second === undefined || WITH[first] === second || WITH[second] === first
  if (!pair || more.length > 0)
    fail('call-ambiguous', 'a query has the keys of two kinds of queries', 'Write one kind of query in each object.')
  if (present.length === 0 || (second === undefined && WITH[first] !== undefined)) fail('call-unreadable', 'a query is not complete')
  if (lengths.length > 0) checkSparse(lengths)
}

const RECOMMEND = keys('positive', 'negative', 'strategy')
const DISCOVER = keys('target', 'context')
const MMR = keys('diversity', 'candidates_limit')
const RRF = keys('k', 'weights')
const FEEDBACK = keys('target', 'feedback', 'strategy')
const FEEDBACK_ITEM = keys('example', 'score')

function queryPart(json: JsonReader, key: (typeof QUERY.names)[number], examples: Examples, lengths: number[]) {
  switch (key) {
    case 'indices':
    case 'values':
      lengths.push(readSparsePart(json, key))
      // Once for the pair.
      if (key === 'values') examples.queries++
      return
    case 'nearest':
      examples.queries++
      return readExample(json, examples, 0)
    case 'recommend':
      examples.queries++
      return readFields(json, key, RECOMMEND, (part) => {
        if (part === 'strategy') skipString(json, part)
        else readExamples(json, part, examples, part === 'positive' ? 1 : 2)
      })
    case 'discover':
      examples.queries++
      return readFields(json, key, DISCOVER, (part) => {
        if (part === 'target') readExample(json, examples, 0)
        else readContext(json, examples)
      })
    case 'context':
      examples.queries++
      return readContext(json, examples)
    case 'relevance_feedback':
      examples.queries++
      return readFields(json, key, FEEDBACK, (part) => readFeedback(json, part, examples))
    case 'mmr':
      return readFields(json, key, MMR, (part) => void readNumber(json, part))
    case 'rrf':
      return readFields(json, key, RRF, (part) => {
        if (part === 'k') readCount(json, part, Number.MAX_SAFE_INTEGER)
        else readArray(json, part, () => void readNumber(json, 'a weight'), VECTORS_MAX)
      })
    case 'fusion':
    case 'sample':
      return void readString(json, key)
    case 'order_by':
      return readOrderBy(json, key)
    case 'formula':
      return skipValue(json, key)
    case 'defaults':
      return void readMap(json, key, () => skipValue(json, key))
    default:
      return refuseInference()
  }
}

function readFeedback(json: JsonReader, part: (typeof FEEDBACK.names)[number], examples: Examples): void {
  if (part === 'target') readExample(json, examples, 0)
  else if (part === 'strategy') skipValue(json, part)
  else {
    readArray(
      json,
      part,
      () => {
        readFields(json, 'an item of feedback', FEEDBACK_ITEM, (key) => {
          if (key === 'example') readExample(json, examples, 1)
          else readNumber(json, key)
        })
      },
      VECTORS_MAX
    )
  }
}

const ORDER_BY = keys('key', 'direction', 'start_from')

export function readOrderBy(json: JsonReader, what: string) {
  if (peek(json) === QUOTE) return skipString(json, what)
  readFields(json, what, ORDER_BY, (key) => skipValue(json, key))
}
