/** Bodies that read records without ranking them: scroll, count, facet, records by id. */
import { readBoolean } from './json.ts'
import { keys } from './json-keys.ts'
import { fail, type JsonReader } from './json-reader.ts'
import { skipString } from './json-text.ts'
import { readFields, readLimit, readPointId, readPointIds, readShards, readWithPayload, readWithVector } from './qdrant-fields.ts'
import { readFilter } from './qdrant-filter.ts'
import { NO_PINS } from './qdrant-pins.ts'
import { readOrderBy } from './qdrant-query.ts'
import { ALL_SHARDS, addLookup, addRead, type Reach } from './qdrant-reach.ts'

/** Qdrant's own where the call does not say, for a scroll and a facet. */
export const PAGE_DEFAULT = 10

const SCROLL = keys('filter', 'limit', 'offset', 'with_payload', 'with_vector', 'with_vectors', 'order_by', 'shard_key')

export function readScroll(json: JsonReader, reach: Reach): void {
  let pins = NO_PINS
  let shards = ALL_SHARDS
  let limit = PAGE_DEFAULT
  let vectorsOut = false
  readFields(json, 'the body', SCROLL, (key) => {
    if (key === 'filter') pins = readFilter(json, key)
    else if (key === 'limit') limit = readLimit(json, key)
    else if (key === 'offset') readPointId(json, key)
    else if (key === 'with_payload') readWithPayload(json, key)
    else if (key === 'order_by') readOrderBy(json, key)
    else if (key === 'shard_key') shards = readShards(json, key)
    else vectorsOut = readWithVector(json, key)
  })
  addRead(reach, pins, shards, limit, vectorsOut)
}

const COUNT = keys('filter', 'exact', 'shard_key')

export function readCountBody(json: JsonReader, reach: Reach): void {
  let pins = NO_PINS
  let shards = ALL_SHARDS
  readFields(json, 'the body', COUNT, (key) => {
    if (key === 'filter') pins = readFilter(json, key)
    else if (key === 'shard_key') shards = readShards(json, key)
    else readBoolean(json, key)
  })
  addRead(reach, pins, shards, 0, false)
}

const FACET = keys('key', 'filter', 'limit', 'exact', 'shard_key')

/** Values of a field and how often each is there: no records, but as many values as the limit says. */
export function readFacet(json: JsonReader, reach: Reach): void {
  let pins = NO_PINS
  let shards = ALL_SHARDS
  let limit = PAGE_DEFAULT
  readFields(json, 'the body', FACET, (key) => {
    if (key === 'filter') pins = readFilter(json, key)
    else if (key === 'limit') limit = readLimit(json, key)
    else if (key === 'shard_key') shards = readShards(json, key)
    else if (key === 'key') skipString(json, key)
    else readBoolean(json, key)
  })
  addRead(reach, pins, shards, limit, false)
}

const POINTS = keys('ids', 'with_payload', 'with_vector', 'with_vectors', 'shard_key')

export function readPoints(json: JsonReader, reach: Reach): void {
  let shards = ALL_SHARDS
  let ids: number | undefined
  let vectorsOut = false
  readFields(json, 'the body', POINTS, (key) => {
    if (key === 'ids') ids = readPointIds(json, key)
    else if (key === 'with_payload') readWithPayload(json, key)
    else if (key === 'shard_key') shards = readShards(json, key)
    else vectorsOut = readWithVector(json, key)
  })
  if (ids === undefined) fail('call-unreadable', 'the call names no records')
  addLookup(reach, ids, shards, vectorsOut)
}
