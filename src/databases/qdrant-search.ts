/** Bodies of the older searches, which 1.19 serves without documenting them: search, recommend, discover; and the distance matrix. */
import { keys } from './json-keys.ts'
import { readNumber } from './json-number.ts'
import { fail, type JsonReader } from './json-reader.ts'
import { skipString } from './json-text.ts'
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
  type Reach,
  type Shards
} from './qdrant-reach.ts'
import { readContext, readExample, readExamples, readSearchVector } from './qdrant-vectors.ts'

/** What all of them have. */
const COMMON = ['filter', 'limit', 'with_payload', 'with_vector', 'params', 'shard_key'] as const
const GROUPS = ['group_by', 'group_size', 'with_lookup'] as const
const EXAMPLES = ['positive', 'negative', 'strategy', 'using', 'lookup_from'] as const

const SEARCH = keys('vector', ...COMMON, 'top', 'with_vectors', 'score_threshold', 'offset')
const SEARCH_GROUPS = keys('vector', ...COMMON, 'with_vectors', 'score_threshold', ...GROUPS)
const RECOMMEND = keys(...EXAMPLES, ...COMMON, 'top', 'with_vectors', 'score_threshold', 'offset')
const RECOMMEND_GROUPS = keys(...EXAMPLES, ...COMMON, 'with_vectors', 'score_threshold', ...GROUPS)
const DISCOVER = keys('target', 'context', 'using', 'lookup_from', ...COMMON, 'top', 'offset')

type Field =
  | (typeof SEARCH.names)[number]
  | (typeof SEARCH_GROUPS.names)[number]
  | (typeof RECOMMEND.names)[number]
  | (typeof DISCOVER.names)[number]

export function readSearch(json: JsonReader, reach: Reach): void {
  readOne(json, reach, SEARCH, false)
}

export function readSearchGroups(json: JsonReader, reach: Reach): void {
  readOne(json, reach, SEARCH_GROUPS, true)
}

export function readRecommend(json: JsonReader, reach: Reach): void {
  readOne(json, reach, RECOMMEND, false)
}

export function readRecommendGroups(json: JsonReader, reach: Reach): void {
  readOne(json, reach, RECOMMEND_GROUPS, true)
}

export function readDiscover(json: JsonReader, reach: Reach): void {
  readOne(json, reach, DISCOVER, false)
}

interface Draft {
  readonly examples: Examples
  pins: Pins
  corpus: Pins | undefined
  limit: number | undefined
  lookup: Lookup | undefined
  shards: Shards
  vectorsOut: boolean
  groupSize: number | undefined
  withLookup: string | undefined
  /** Fields that say what to be near to. */
  aims: number
}

function readOne(json: JsonReader, reach: Reach, known: ReturnType<typeof keys<Field>>, groups: boolean): void {
  const draft: Draft = {
    examples: newExamples(1),
    pins: NO_PINS,
    corpus: undefined,
    limit: undefined,
    lookup: undefined,
    shards: ALL_SHARDS,
    vectorsOut: false,
    groupSize: groups ? GROUP_SIZE_DEFAULT : undefined,
    withLookup: undefined,
    aims: 0
  }
  readFields(json, 'the search', known, (key) => {
    if (!aim(json, key, draft)) readPart(json, key, draft)
  })
  if (draft.aims === 0) fail('call-unreadable', 'the search has no vector and no examples')
  const { examples, pins, corpus, limit, lookup, shards, vectorsOut, groupSize, withLookup } = draft
  addQuery(reach, { examples, pins, corpus, limit, lookup, children: [] }, { shards, vectorsOut, groupSize, withLookup })
}

/** @returns whether the field was one that says what to be near to */
function aim(json: JsonReader, key: Field, draft: Draft): boolean {
  if (key === 'vector') readSearchVector(json, draft.examples)
  else if (key === 'positive' || key === 'negative') readExamples(json, key, draft.examples, key === 'positive' ? 1 : 2)
  else if (key === 'target') readExample(json, draft.examples, 0)
  else if (key === 'context') readContext(json, draft.examples)
  else return false
  draft.aims++
  return true
}

function readPart(json: JsonReader, key: Field, draft: Draft) {
  switch (key) {
    case 'filter':
      draft.pins = readFilter(json, key)
      return
    case 'limit':
    case 'top':
      draft.limit = readLimit(json, key)
      return
    case 'with_vector':
    case 'with_vectors':
      draft.vectorsOut = readWithVector(json, key) || draft.vectorsOut
      return
    case 'shard_key':
      draft.shards = readShards(json, key)
      return
    case 'lookup_from':
      draft.lookup = readLookupFrom(json, key)
      return
    case 'group_size':
      draft.groupSize = readLimit(json, key)
      return
    case 'with_lookup': {
      const { collection, vectorsOut } = readWithLookup(json, key)
      draft.withLookup = collection
      draft.vectorsOut ||= vectorsOut
      return
    }
    case 'with_payload':
      return readWithPayload(json, key)
    case 'params':
      draft.corpus = readParams(json, key)
      return
    case 'score_threshold':
      return void readNumber(json, key)
    case 'offset':
      return void readLimit(json, key)
    default:
      return skipString(json, key)
  }
}

const MATRIX = keys('filter', 'sample', 'limit', 'using', 'shard_key')
/** Qdrant's own (CollectionSearchMatrixRequest). */
export const SAMPLE_DEFAULT = 10
export const NEIGHBOURS_DEFAULT = 3

/** Each record of the sample is compared with the others. */
export function readMatrix(json: JsonReader, reach: Reach): void {
  let pins = NO_PINS
  let sample = SAMPLE_DEFAULT
  let limit = NEIGHBOURS_DEFAULT
  let shards = ALL_SHARDS
  readFields(json, 'the body', MATRIX, (key) => {
    if (key === 'filter') pins = readFilter(json, key)
    else if (key === 'sample') sample = readLimit(json, key)
    else if (key === 'limit') limit = readLimit(json, key)
    else if (key === 'shard_key') shards = readShards(json, key)
    else skipString(json, key)
  })
  const node = { examples: newExamples(sample), pins, corpus: undefined, limit, lookup: undefined, children: [] }
  addQuery(reach, node, { shards, vectorsOut: false, groupSize: undefined, withLookup: undefined })
}
