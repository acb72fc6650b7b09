/** `Weaviate/Aggregate` (grpc/proto/v1/aggregate.proto): counts and statistics over a class, or over what a search in it finds. */
import { NO_SHAPE } from '../core/vector-call.ts'
import { fail } from './json-reader.ts'
import { bool, bytes, inOneof, type MessageOf, many, one, table, text, uint32 } from './protobuf-fields.ts'
import { type Facts, nothingTouched, targetsOf, touch } from './weaviate-facts.ts'
import { checkFilters } from './weaviate-grpc-filters.ts'
import { readerOf } from './weaviate-grpc-read.ts'
import { FILTERS, HYBRID, NEAR_OBJECT, NEAR_VECTOR } from './weaviate-grpc-tables.ts'
import {
  asksModule,
  nothingQueried,
  type Queried,
  queriedShape,
  readHybrid,
  readNearObject,
  readNearVector
} from './weaviate-grpc-vectors.ts'

/** Integers and numbers have eight of these, dates and booleans six; a reference has two. */
const NUMBERS = table(
  'Aggregation.Number',
  bool(1, 'count'),
  bool(2, 'type'),
  bool(3, 'sum'),
  bool(4, 'mean'),
  bool(5, 'mode'),
  bool(6, 'median'),
  bool(7, 'maximum'),
  bool(8, 'minimum')
)
const TEXT = table('Aggregation.Text', bool(1, 'count'), bool(2, 'type'), bool(3, 'top_occurences'), uint32(4, 'top_occurences_limit'))
const SIX = table(
  'Aggregation.Date',
  bool(1, 'count'),
  bool(2, 'type'),
  bool(3, 'third'),
  bool(4, 'fourth'),
  bool(5, 'fifth'),
  bool(6, 'sixth')
)
const REFERENCE = table('Aggregation.Reference', bool(1, 'type'), bool(2, 'pointing_to'))

const AGGREGATION = table(
  'Aggregation',
  text(1, 'property'),
  inOneof(
    'aggregation',
    one(2, 'int', () => NUMBERS)
  ),
  inOneof(
    'aggregation',
    one(3, 'number', () => NUMBERS)
  ),
  inOneof(
    'aggregation',
    one(4, 'text', () => TEXT)
  ),
  inOneof(
    'aggregation',
    one(5, 'boolean', () => SIX)
  ),
  inOneof(
    'aggregation',
    one(6, 'date', () => SIX)
  ),
  inOneof(
    'aggregation',
    one(7, 'reference', () => REFERENCE)
  )
)

const GROUP_BY = table('Aggregate.GroupBy', text(1, 'collection'), text(2, 'property'))

const AGGREGATE = table(
  'AggregateRequest',
  text(1, 'collection'),
  text(10, 'tenant'),
  bool(20, 'objects_count'),
  many(21, 'aggregations', () => AGGREGATION),
  uint32(30, 'object_limit'),
  one(31, 'group_by', () => GROUP_BY),
  uint32(32, 'limit'),
  one(40, 'filters', () => FILTERS),
  inOneof(
    'search',
    one(41, 'hybrid', () => HYBRID)
  ),
  inOneof(
    'search',
    one(42, 'near_vector', () => NEAR_VECTOR)
  ),
  inOneof(
    'search',
    one(43, 'near_object', () => NEAR_OBJECT)
  ),
  inOneof('search', bytes(44, 'near_text')),
  inOneof('search', bytes(45, 'near_image')),
  inOneof('search', bytes(46, 'near_audio')),
  inOneof('search', bytes(47, 'near_video')),
  inOneof('search', bytes(48, 'near_depth')),
  inOneof('search', bytes(49, 'near_thermal')),
  inOneof('search', bytes(50, 'near_imu'))
)
type Aggregate = MessageOf<typeof AGGREGATE>

const OF_MODULES = ['near_text', 'near_image', 'near_audio', 'near_video', 'near_depth', 'near_thermal', 'near_imu'] as const

export const readAggregate = readerOf(AGGREGATE, (aggregate): Facts => {
  for (const name of OF_MODULES) if (aggregate[name] !== undefined) asksModule(name)
  if (aggregate.filters !== undefined) checkFilters(aggregate.filters)
  const queried = nothingQueried()
  const queries = readQueries(aggregate, queried)
  const touched = nothingTouched()
  touch(touched, aggregate.collection ?? '', aggregate.tenant)
  const grouped = aggregate.group_by?.collection ?? ''
  if (grouped !== '' && grouped !== aggregate.collection) fail('call-ambiguous', 'an aggregation is grouped by another class')
  return {
    shape: { ...NO_SHAPE, queries, topK: topKOf(aggregate), ...queriedShape(queried) },
    operation: queries === 0 ? 'read' : 'search',
    targets: targetsOf(touched)
  }
})

function readQueries({ hybrid, near_vector, near_object }: Aggregate, into: Queried): number {
  if (near_vector !== undefined) return readNearVector(near_vector, into)
  if (hybrid !== undefined) return readHybrid(hybrid, into)
  return near_object === undefined ? 0 : readNearObject(near_object.id, near_object.targets?.target_vectors?.length ?? 0)
}

/** What the server lists of a text's most frequent values when nobody says how many. */
const OCCURRENCES_DEFAULT = 5
/** And of groups: QUERY_DEFAULTS_LIMIT_GRAPHQL. */
const GROUPS_DEFAULT = 100

/** Statistics give no records away, but the most frequent values and the values of groups are taken out of them. */
function topKOf({ aggregations = [], group_by, limit }: Aggregate): number {
  let most = group_by === undefined ? 0 : (limit ?? GROUPS_DEFAULT)
  for (const { text: asked } of aggregations) {
    if (asked?.top_occurences === true) most = Math.max(most, asked.top_occurences_limit ?? OCCURRENCES_DEFAULT)
  }
  return most
}
