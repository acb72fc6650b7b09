/** What Qdrant's gRPC messages have in common (lib/api/src/grpc/proto of 1.19: qdrant_common, json_with_int, parts of points). */
import {
  bigint,
  bigints,
  bool,
  double,
  enumeration,
  type FieldSpec,
  float,
  inOneof,
  type MessageTable,
  many,
  map,
  one,
  table,
  text,
  texts,
  uint,
  uint32
} from './protobuf-fields.ts'

/** A member of a message's only oneof. */
export function choice<const N extends string, T>(number: number, name: N, message: () => MessageTable<T>): FieldSpec<N, T> {
  return inOneof('kind', one(number, name, message))
}

/** Ids are not looked into: which record one names proves nothing. */
const ID = table('PointId', inOneof('kind', bigint(1, 'num')), inOneof('kind', text(2, 'uuid')))
export const POINT_ID = () => ID

export interface Value {
  readonly string_value?: string | undefined
  readonly struct_value?: Struct | undefined
}
interface Struct {
  readonly fields?: ReadonlyMap<string, Value> | undefined
}
const JSON_VALUE: MessageTable<Value> = table(
  'Value',
  inOneof('kind', enumeration(1, 'null_value', [0])),
  inOneof('kind', double(2, 'double_value')),
  inOneof('kind', bigint(3, 'integer_value')),
  inOneof('kind', text(4, 'string_value')),
  inOneof('kind', bool(5, 'bool_value')),
  choice(6, 'struct_value', () => STRUCT),
  choice(7, 'list_value', () => LIST)
)
const AS_VALUE = one(2, 'value', (): MessageTable<Value> => JSON_VALUE)
const STRUCT: MessageTable<Struct> = table('Struct', map(1, 'fields', AS_VALUE))
const LIST = table(
  'ListValue',
  many(1, 'values', (): MessageTable<Value> => JSON_VALUE)
)

export const VALUE = () => JSON_VALUE

/** `map<string, Value>`: a payload, or metadata. */
export function payload<const N extends string>(number: number, name: N): FieldSpec<N, ReadonlyMap<string, Value>> {
  return map(number, name, AS_VALUE)
}

const SHARD_KEY = table('ShardKey', inOneof('kind', text(1, 'keyword')), inOneof('kind', bigint(2, 'number')))
export interface ShardKey {
  readonly keyword: string | undefined
  readonly number: bigint | undefined
}
const SHARD_SELECTOR = table(
  'ShardKeySelector',
  many(1, 'shard_keys', () => SHARD_KEY),
  one(2, 'fallback', () => SHARD_KEY)
)
export interface ShardSelector {
  readonly shard_keys: readonly ShardKey[] | undefined
  readonly fallback: ShardKey | undefined
}

/** `shard_key_selector`, in most messages. */
export function shardKeys<const N extends number>(number: N): FieldSpec<'shard_key_selector', ShardSelector> {
  return one(number, 'shard_key_selector', () => SHARD_SELECTOR)
}

export interface Filter {
  readonly must: readonly Condition[] | undefined
}
interface Condition {
  readonly field: FieldCondition | undefined
}
/** Every check that the condition can have; anything but `match` beside it takes away what it proves. */
export interface FieldCondition {
  readonly key: string | undefined
  readonly match: { readonly keyword: string | undefined } | undefined
}

const MATCH_TEXTS = table('RepeatedStrings', texts(1, 'strings'))
const MATCH_INTEGERS = table('RepeatedIntegers', bigints(1, 'integers'))
const MATCH = table(
  'Match',
  inOneof('kind', text(1, 'keyword')),
  inOneof('kind', bigint(2, 'integer')),
  inOneof('kind', bool(3, 'boolean')),
  inOneof('kind', text(4, 'text')),
  choice(5, 'keywords', () => MATCH_TEXTS),
  choice(6, 'integers', () => MATCH_INTEGERS),
  choice(7, 'except_integers', () => MATCH_INTEGERS),
  choice(8, 'except_keywords', () => MATCH_TEXTS),
  inOneof('kind', text(9, 'phrase')),
  inOneof('kind', text(10, 'text_any')),
  inOneof('kind', text(11, 'prefix'))
)
const TIMESTAMP = table('Timestamp', bigint(1, 'seconds'), bigint(2, 'nanos'))
export const TIME = () => TIMESTAMP
const GEO_POINT = table('GeoPoint', double(1, 'lon'), double(2, 'lat'))
export const GEO = () => GEO_POINT
const LINE = table('GeoLineString', many(1, 'points', GEO))
const RANGE = table('Range', double(1, 'lt'), double(2, 'gt'), double(3, 'gte'), double(4, 'lte'))
const DATES = table('DatetimeRange', one(1, 'lt', TIME), one(2, 'gt', TIME), one(3, 'gte', TIME), one(4, 'lte', TIME))
const COUNTS = table('ValuesCount', uint(1, 'lt'), uint(2, 'gt'), uint(3, 'gte'), uint(4, 'lte'))
const BOX = table('GeoBoundingBox', one(1, 'top_left', GEO), one(2, 'bottom_right', GEO))
const RADIUS = table('GeoRadius', one(1, 'center', GEO), float(2, 'radius'))
const POLYGON = table(
  'GeoPolygon',
  one(1, 'exterior', () => LINE),
  many(2, 'interiors', () => LINE)
)
const FIELD_CONDITION = table(
  'FieldCondition',
  text(1, 'key'),
  one(2, 'match', () => MATCH),
  one(3, 'range', () => RANGE),
  one(4, 'geo_bounding_box', () => BOX),
  one(5, 'geo_radius', () => RADIUS),
  one(6, 'values_count', () => COUNTS),
  one(7, 'geo_polygon', () => POLYGON),
  one(8, 'datetime_range', () => DATES),
  bool(9, 'is_empty'),
  bool(10, 'is_null')
)
const KEY = table('IsEmptyCondition', text(1, 'key'))
const HAS_ID = table('HasIdCondition', many(1, 'has_id', POINT_ID))
const HAS_VECTOR = table('HasVectorCondition', text(1, 'has_vector'))
const SLICE = table('SliceCondition', uint32(1, 'total'), uint32(2, 'index'))
const CONDITIONS: MessageTable<Condition> = table(
  'Condition',
  choice(1, 'field', () => FIELD_CONDITION),
  choice(2, 'is_empty', () => KEY),
  choice(3, 'has_id', () => HAS_ID),
  choice(4, 'filter', () => FILTERS),
  choice(5, 'is_null', () => KEY),
  choice(6, 'nested', () => NESTED),
  choice(7, 'has_vector', () => HAS_VECTOR),
  choice(8, 'slice', () => SLICE)
)
export const CONDITION = () => CONDITIONS
const MIN_SHOULD = table('MinShould', many(1, 'conditions', CONDITION), uint(2, 'min_count'))
const FILTERS: MessageTable<Filter> = table(
  'Filter',
  many(1, 'should', CONDITION),
  many(2, 'must', CONDITION),
  many(3, 'must_not', CONDITION),
  one(4, 'min_should', () => MIN_SHOULD)
)
export const FILTER = () => FILTERS
const NESTED: MessageTable<unknown> = table('NestedCondition', text(1, 'key'), one(2, 'filter', FILTER))

const CONSISTENCY = table('ReadConsistency', inOneof('kind', enumeration(1, 'type', [0, 1, 2])), inOneof('kind', uint(2, 'factor')))
/** Which replicas answer. */
export const READ_CONSISTENCY = () => CONSISTENCY
const ORDERING = table('WriteOrdering', enumeration(1, 'type', [0, 1, 2]))
export const WRITE_ORDERING = () => ORDERING

const FIELDS = table('PayloadIncludeSelector', texts(1, 'fields'))
const PAYLOAD_SELECTOR = table(
  'WithPayloadSelector',
  inOneof('kind', bool(1, 'enable')),
  choice(2, 'include', () => FIELDS),
  choice(3, 'exclude', () => FIELDS)
)
export const WITH_PAYLOAD = () => PAYLOAD_SELECTOR
const NAMES = table('VectorsSelector', texts(1, 'names'))
export const VECTORS_SELECTOR = () => NAMES
const VECTORS_OUT = table('WithVectorsSelector', inOneof('kind', bool(1, 'enable')), choice(2, 'include', VECTORS_SELECTOR))
export const WITH_VECTORS = () => VECTORS_OUT
export interface WithVectors {
  readonly enable: boolean | undefined
  readonly include: { readonly names: readonly string[] | undefined } | undefined
}
