/** `Weaviate/Search` (grpc/proto/v1/search_get.proto). Fields that are not in the tables are newer than 1.35, and refused. */
import { NO_SHAPE } from '../core/vector-call.ts'
import { fail } from './json-reader.ts'
import {
  bool,
  bytes,
  enumeration,
  int32,
  type MessageOf,
  type MessageTable,
  many,
  one,
  table,
  text,
  texts,
  uint32
} from './protobuf-fields.ts'
import { type Facts, nothingTouched, targetsOf, touch, touchEvery } from './weaviate-facts.ts'
import { checkFilters } from './weaviate-grpc-filters.ts'
import { readerOf } from './weaviate-grpc-read.ts'
import { BM25, FILTERS, HYBRID, LEVELS, NEAR_OBJECT, NEAR_VECTOR } from './weaviate-grpc-tables.ts'
import {
  asksModule,
  nothingQueried,
  type Queried,
  queriedShape,
  readHybrid,
  readNearObject,
  readNearVector
} from './weaviate-grpc-vectors.ts'
import { LIMIT_DEFAULT } from './weaviate-query.ts'
import { checkPathPart } from './weaviate-where.ts'

const METADATA = table(
  'MetadataRequest',
  bool(1, 'uuid'),
  bool(2, 'vector'),
  bool(3, 'creation_time_unix'),
  bool(4, 'last_update_time_unix'),
  bool(5, 'distance'),
  bool(6, 'certainty'),
  bool(7, 'score'),
  bool(8, 'explain_score'),
  bool(9, 'is_consistent'),
  texts(10, 'vectors')
)

interface ObjectProperties {
  readonly prop_name: string | undefined
  readonly primitive_properties: readonly string[] | undefined
  readonly object_properties: readonly ObjectProperties[] | undefined
}

const OBJECT_PROPERTIES: MessageTable<ObjectProperties> = table(
  'ObjectPropertiesRequest',
  text(1, 'prop_name'),
  texts(2, 'primitive_properties'),
  many(3, 'object_properties', () => OBJECT_PROPERTIES)
)

interface Properties {
  readonly ref_properties: readonly RefProperties[] | undefined
}

interface RefProperties {
  readonly reference_property: string | undefined
  readonly properties: Properties | undefined
  readonly metadata: MessageOf<typeof METADATA> | undefined
  readonly target_collection: string | undefined
}

const REF_PROPERTIES: MessageTable<RefProperties> = table(
  'RefPropertiesRequest',
  text(1, 'reference_property'),
  one(2, 'properties', () => PROPERTIES),
  one(3, 'metadata', () => METADATA),
  text(4, 'target_collection')
)

const PROPERTIES: MessageTable<Properties> = table(
  'PropertiesRequest',
  texts(1, 'non_ref_properties'),
  many(2, 'ref_properties', () => REF_PROPERTIES),
  many(3, 'object_properties', () => OBJECT_PROPERTIES),
  bool(11, 'return_all_nonref_properties')
)

const GROUP_BY = table('GroupBy', texts(1, 'path'), int32(2, 'number_of_groups'), int32(3, 'objects_per_group'))
const SORT_BY = table('SortBy', bool(1, 'ascending'), texts(2, 'path'))

const SEARCH = table(
  'SearchRequest',
  text(1, 'collection'),
  text(10, 'tenant'),
  enumeration(11, 'consistency_level', LEVELS),
  one(20, 'properties', () => PROPERTIES),
  one(21, 'metadata', () => METADATA),
  one(22, 'group_by', () => GROUP_BY),
  uint32(30, 'limit'),
  uint32(31, 'offset'),
  uint32(32, 'autocut'),
  text(33, 'after'),
  many(34, 'sort_by', () => SORT_BY),
  one(40, 'filters', () => FILTERS),
  one(41, 'hybrid_search', () => HYBRID),
  one(42, 'bm25_search', () => BM25),
  one(43, 'near_vector', () => NEAR_VECTOR),
  one(44, 'near_object', () => NEAR_OBJECT),
  bytes(45, 'near_text'),
  bytes(46, 'near_image'),
  bytes(47, 'near_audio'),
  bytes(48, 'near_video'),
  bytes(49, 'near_depth'),
  bytes(50, 'near_thermal'),
  bytes(51, 'near_imu'),
  bytes(60, 'generative'),
  bytes(61, 'rerank'),
  // Clients say with these which form of answer they can read.
  bool(100, 'uses_123_api'),
  bool(101, 'uses_125_api'),
  bool(102, 'uses_127_api')
)
type Search = MessageOf<typeof SEARCH>

/** What a module of the server would answer, and some with a call to whom the caller names in it. */
const OF_MODULES = ['near_text', 'near_image', 'near_audio', 'near_video', 'near_depth', 'near_thermal', 'near_imu'] as const

export const readSearch = readerOf(SEARCH, (search): Facts => {
  for (const name of OF_MODULES) if (search[name] !== undefined) asksModule(name)
  for (const name of ['generative', 'rerank'] as const) {
    if (search[name] !== undefined)
      fail('operation-unknown', `${name} asks a module of the server`, 'Ask your own model with what the search returns.')
  }
  for (const { path = [] } of search.sort_by ?? []) checkPath(path, 'sorting')
  if (search.group_by !== undefined) checkPath(search.group_by.path ?? [], 'grouping')
  if (search.filters !== undefined) checkFilters(search.filters)
  const queried = nothingQueried()
  const queries = readQueries(search, queried)
  const touched = nothingTouched()
  touch(touched, search.collection ?? '', search.tenant)
  if (search.properties?.ref_properties !== undefined) touchEvery(touched, search.tenant)
  const vectorsOut = asksVectors(search.metadata) || followsToVectors(search.properties)
  return {
    shape: { ...NO_SHAPE, queries, topK: topKOf(search), vectorsOut, ...queriedShape(queried) },
    operation: queries === 0 ? 'read' : 'search',
    targets: targetsOf(touched)
  }
})

/** One way of searching in a call: the server combines some of them and refuses others. */
function readQueries({ hybrid_search, bm25_search, near_vector, near_object }: Search, into: Queried): number {
  const ways = [hybrid_search, bm25_search, near_vector, near_object].filter((way) => way !== undefined).length
  if (ways > 1) fail('call-ambiguous', 'a search in two ways', 'Send one of near_vector, near_object, hybrid_search and bm25_search.')
  if (near_vector !== undefined) return readNearVector(near_vector, into)
  if (hybrid_search !== undefined) return readHybrid(hybrid_search, into)
  if (near_object !== undefined) return readNearObject(near_object.id, near_object.targets?.target_vectors?.length ?? 0)
  return ways
}

function topKOf({ limit, group_by }: Search): number {
  const most = limit === undefined || limit === 0 ? LIMIT_DEFAULT : limit
  if (group_by === undefined) return most
  const { number_of_groups = 0, objects_per_group = 0 } = group_by
  if (number_of_groups < 0 || objects_per_group < 0) fail('call-unreadable', 'a grouping with a count below 0')
  return Math.max(most, number_of_groups * objects_per_group)
}

function checkPath(path: readonly string[], what: string): void {
  if (path.length !== 1) fail('call-ambiguous', `${what} by a path of ${path.length} parts`)
  checkPathPart(path[0] as string)
}

function asksVectors(metadata: MessageOf<typeof METADATA> | undefined): boolean {
  return metadata !== undefined && (metadata.vector === true || (metadata.vectors ?? []).length > 0)
}

function followsToVectors(properties: Properties | undefined): boolean {
  return (properties?.ref_properties ?? []).some((one) => asksVectors(one.metadata) || followsToVectors(one.properties))
}
