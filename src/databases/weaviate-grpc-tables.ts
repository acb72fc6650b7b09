/** Messages that several calls of `weaviate.v1` have in common (grpc/proto/v1/base.proto, base_search.proto). */
import {
  bigint,
  bigints,
  bool,
  bools,
  bytes,
  double,
  doubles,
  enumeration,
  float,
  floats,
  inOneof,
  int32,
  type MessageOf,
  type MessageTable,
  many,
  map,
  one,
  table,
  text,
  texts,
  uint
} from './protobuf-fields.ts'

/** `ConsistencyLevel` of base.proto. */
export const LEVELS = [0, 1, 2, 3]

export const VECTORS = table('Vectors', text(1, 'name'), uint(2, 'index'), bytes(3, 'vector_bytes'), enumeration(4, 'type', [0, 1, 2]))
export type Vectors = MessageOf<typeof VECTORS>

const WEIGHT = table('WeightsForTarget', text(1, 'target'), float(2, 'weight'))
const TARGETS = table(
  'Targets',
  texts(1, 'target_vectors'),
  enumeration(2, 'combination', [0, 1, 2, 3, 4, 5]),
  many(4, 'weights_for_targets', () => WEIGHT)
)

const VECTOR_FOR_TARGET = table(
  'VectorForTarget',
  text(1, 'name'),
  bytes(2, 'vector_bytes'),
  many(3, 'vectors', () => VECTORS)
)

export const NEAR_VECTOR = table(
  'NearVector',
  floats(1, 'vector'),
  double(2, 'certainty'),
  double(3, 'distance'),
  bytes(4, 'vector_bytes'),
  texts(5, 'target_vectors'),
  one(6, 'targets', () => TARGETS),
  map(7, 'vector_per_target', bytes(2, 'value')),
  many(8, 'vector_for_targets', () => VECTOR_FOR_TARGET),
  many(9, 'vectors', () => VECTORS)
)
export type NearVector = MessageOf<typeof NEAR_VECTOR>

export const NEAR_OBJECT = table(
  'NearObject',
  text(1, 'id'),
  double(2, 'certainty'),
  double(3, 'distance'),
  texts(4, 'target_vectors'),
  one(5, 'targets', () => TARGETS)
)

const OPERATOR_OPTIONS = table('SearchOperatorOptions', enumeration(1, 'operator', [0, 1, 2]), int32(2, 'minimum_or_tokens_match'))

export const HYBRID = table(
  'Hybrid',
  text(1, 'query'),
  texts(2, 'properties'),
  floats(3, 'vector'),
  float(4, 'alpha'),
  enumeration(5, 'fusion_type', [0, 1, 2]),
  bytes(6, 'vector_bytes'),
  texts(7, 'target_vectors'),
  bytes(8, 'near_text'),
  one(9, 'near_vector', () => NEAR_VECTOR),
  one(10, 'targets', () => TARGETS),
  one(11, 'bm25_search_operator', () => OPERATOR_OPTIONS),
  float(20, 'vector_distance'),
  many(21, 'vectors', () => VECTORS)
)
export type Hybrid = MessageOf<typeof HYBRID>

export const BM25 = table(
  'BM25',
  text(1, 'query'),
  texts(2, 'properties'),
  one(3, 'search_operator', () => OPERATOR_OPTIONS)
)

const TEXT_ARRAY = table('TextArray', texts(1, 'values'))
const INT_ARRAY = table('IntArray', bigints(1, 'values'))
const BOOLEAN_ARRAY = table('BooleanArray', bools(1, 'values'))
const NUMBER_ARRAY = table('NumberArray', doubles(1, 'values'))
const GEO = table('GeoCoordinatesFilter', float(1, 'latitude'), float(2, 'longitude'), float(3, 'distance'))

const COUNT = table('FilterReferenceCount', text(1, 'on'))
/** The two targets that lead into another class are refused unread. */
const FILTER_TARGET = table(
  'FilterTarget',
  inOneof('target', text(1, 'property')),
  inOneof('target', bytes(2, 'single_target')),
  inOneof('target', bytes(3, 'multi_target')),
  inOneof(
    'target',
    one(4, 'count', () => COUNT)
  )
)

export interface Filters {
  readonly operator: number | undefined
  readonly on: readonly string[] | undefined
  readonly filters: readonly Filters[] | undefined
  readonly target: MessageOf<typeof FILTER_TARGET> | undefined
}

export const FILTERS: MessageTable<Filters> = table(
  'Filters',
  enumeration(1, 'operator', [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]),
  texts(2, 'on'),
  many(3, 'filters', () => FILTERS),
  inOneof('test_value', text(4, 'value_text')),
  inOneof('test_value', bigint(5, 'value_int')),
  inOneof('test_value', bool(6, 'value_boolean')),
  inOneof('test_value', double(7, 'value_number')),
  inOneof(
    'test_value',
    one(9, 'value_text_array', () => TEXT_ARRAY)
  ),
  inOneof(
    'test_value',
    one(10, 'value_int_array', () => INT_ARRAY)
  ),
  inOneof(
    'test_value',
    one(11, 'value_boolean_array', () => BOOLEAN_ARRAY)
  ),
  inOneof(
    'test_value',
    one(12, 'value_number_array', () => NUMBER_ARRAY)
  ),
  inOneof(
    'test_value',
    one(13, 'value_geo', () => GEO)
  ),
  one(20, 'target', () => FILTER_TARGET)
)
