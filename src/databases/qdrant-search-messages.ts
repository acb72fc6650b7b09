/** What the searching and reading RPCs of `qdrant.Points` take (lib/api/src/grpc/proto/points.proto of 1.19). */
import { bool, enumeration, float, floats, type MessageTable, many, one, table, text, uint, uint32 } from './protobuf-fields.ts'
import { choice, FILTER, POINT_ID, READ_CONSISTENCY, shardKeys, WITH_PAYLOAD, WITH_VECTORS } from './qdrant-messages.ts'
import { LOOKUP_FROM, ORDER_BY, PARAMS, PREFETCH, QUERY, WITH_LOOKUP } from './qdrant-query-messages.ts'
import { SPARSE_INDICES, VECTOR } from './qdrant-vector-messages.ts'

const COLLECTION = text(1, 'collection_name')

export const QUERY_POINTS = table(
  'QueryPoints',
  COLLECTION,
  many(2, 'prefetch', PREFETCH),
  one(3, 'query', QUERY),
  text(4, 'using'),
  one(5, 'filter', FILTER),
  one(6, 'params', PARAMS),
  float(7, 'score_threshold'),
  uint(8, 'limit'),
  uint(9, 'offset'),
  one(10, 'with_vectors', WITH_VECTORS),
  one(11, 'with_payload', WITH_PAYLOAD),
  one(12, 'read_consistency', READ_CONSISTENCY),
  shardKeys(13),
  one(14, 'lookup_from', LOOKUP_FROM),
  uint(15, 'timeout')
)

export const QUERY_GROUPS = table(
  'QueryPointGroups',
  COLLECTION,
  many(2, 'prefetch', PREFETCH),
  one(3, 'query', QUERY),
  text(4, 'using'),
  one(5, 'filter', FILTER),
  one(6, 'params', PARAMS),
  float(7, 'score_threshold'),
  one(8, 'with_payload', WITH_PAYLOAD),
  one(9, 'with_vectors', WITH_VECTORS),
  one(10, 'lookup_from', LOOKUP_FROM),
  uint(11, 'limit'),
  uint(12, 'group_size'),
  text(13, 'group_by'),
  one(14, 'read_consistency', READ_CONSISTENCY),
  one(15, 'with_lookup', WITH_LOOKUP),
  uint(16, 'timeout'),
  shardKeys(17)
)

export const SEARCH_POINTS = table(
  'SearchPoints',
  COLLECTION,
  floats(2, 'vector'),
  one(3, 'filter', FILTER),
  uint(4, 'limit'),
  one(6, 'with_payload', WITH_PAYLOAD),
  one(7, 'params', PARAMS),
  float(8, 'score_threshold'),
  uint(9, 'offset'),
  text(10, 'vector_name'),
  one(11, 'with_vectors', WITH_VECTORS),
  one(12, 'read_consistency', READ_CONSISTENCY),
  uint(13, 'timeout'),
  shardKeys(14),
  one(15, 'sparse_indices', SPARSE_INDICES)
)

export const SEARCH_GROUPS = table(
  'SearchPointGroups',
  COLLECTION,
  floats(2, 'vector'),
  one(3, 'filter', FILTER),
  uint(4, 'limit'),
  one(5, 'with_payload', WITH_PAYLOAD),
  one(6, 'params', PARAMS),
  float(7, 'score_threshold'),
  text(8, 'vector_name'),
  one(9, 'with_vectors', WITH_VECTORS),
  text(10, 'group_by'),
  uint(11, 'group_size'),
  one(12, 'read_consistency', READ_CONSISTENCY),
  one(13, 'with_lookup', WITH_LOOKUP),
  uint(14, 'timeout'),
  shardKeys(15),
  one(16, 'sparse_indices', SPARSE_INDICES)
)

export const RECOMMEND_POINTS = table(
  'RecommendPoints',
  COLLECTION,
  many(2, 'positive', POINT_ID),
  many(3, 'negative', POINT_ID),
  one(4, 'filter', FILTER),
  uint(5, 'limit'),
  one(7, 'with_payload', WITH_PAYLOAD),
  one(8, 'params', PARAMS),
  float(9, 'score_threshold'),
  uint(10, 'offset'),
  text(11, 'using'),
  one(12, 'with_vectors', WITH_VECTORS),
  one(13, 'lookup_from', LOOKUP_FROM),
  one(14, 'read_consistency', READ_CONSISTENCY),
  enumeration(16, 'strategy', [0, 1, 2]),
  many(17, 'positive_vectors', VECTOR),
  many(18, 'negative_vectors', VECTOR),
  uint(19, 'timeout'),
  shardKeys(20)
)

export const RECOMMEND_GROUPS = table(
  'RecommendPointGroups',
  COLLECTION,
  many(2, 'positive', POINT_ID),
  many(3, 'negative', POINT_ID),
  one(4, 'filter', FILTER),
  uint(5, 'limit'),
  one(6, 'with_payload', WITH_PAYLOAD),
  one(7, 'params', PARAMS),
  float(8, 'score_threshold'),
  text(9, 'using'),
  one(10, 'with_vectors', WITH_VECTORS),
  one(11, 'lookup_from', LOOKUP_FROM),
  text(12, 'group_by'),
  uint(13, 'group_size'),
  one(14, 'read_consistency', READ_CONSISTENCY),
  one(15, 'with_lookup', WITH_LOOKUP),
  enumeration(17, 'strategy', [0, 1, 2]),
  many(18, 'positive_vectors', VECTOR),
  many(19, 'negative_vectors', VECTOR),
  uint(20, 'timeout'),
  shardKeys(21)
)

const EXAMPLE = table('VectorExample', choice(1, 'id', POINT_ID), choice(2, 'vector', VECTOR))
const EXAMPLES = () => EXAMPLE
const TARGET = table('TargetVector', choice(1, 'single', EXAMPLES))
const PAIR = table('ContextExamplePair', one(1, 'positive', EXAMPLES), one(2, 'negative', EXAMPLES))
export const DISCOVER_POINTS = table(
  'DiscoverPoints',
  COLLECTION,
  one(2, 'target', () => TARGET),
  many(3, 'context', () => PAIR),
  one(4, 'filter', FILTER),
  uint(5, 'limit'),
  one(6, 'with_payload', WITH_PAYLOAD),
  one(7, 'params', PARAMS),
  uint(8, 'offset'),
  text(9, 'using'),
  one(10, 'with_vectors', WITH_VECTORS),
  one(11, 'lookup_from', LOOKUP_FROM),
  one(12, 'read_consistency', READ_CONSISTENCY),
  uint(13, 'timeout'),
  shardKeys(14)
)

/** A batch: the collection stands outside, and again in each part, where the server does not read it. */
function batch<const N extends string, T>(name: string, field: N, part: MessageTable<T>) {
  return table(
    name,
    COLLECTION,
    many(2, field, () => part),
    one(3, 'read_consistency', READ_CONSISTENCY),
    uint(4, 'timeout')
  )
}

export const QUERY_BATCH = batch('QueryBatchPoints', 'query_points', QUERY_POINTS)
export const SEARCH_BATCH = batch('SearchBatchPoints', 'search_points', SEARCH_POINTS)
export const RECOMMEND_BATCH = batch('RecommendBatchPoints', 'recommend_points', RECOMMEND_POINTS)
export const DISCOVER_BATCH = batch('DiscoverBatchPoints', 'discover_points', DISCOVER_POINTS)

export const MATRIX_POINTS = table(
  'SearchMatrixPoints',
  COLLECTION,
  one(2, 'filter', FILTER),
  uint(3, 'sample'),
  uint(4, 'limit'),
  text(5, 'using'),
  uint(6, 'timeout'),
  one(7, 'read_consistency', READ_CONSISTENCY),
  shardKeys(8)
)

export const SCROLL_POINTS = table(
  'ScrollPoints',
  COLLECTION,
  one(2, 'filter', FILTER),
  one(3, 'offset', POINT_ID),
  uint32(4, 'limit'),
  one(6, 'with_payload', WITH_PAYLOAD),
  one(7, 'with_vectors', WITH_VECTORS),
  one(8, 'read_consistency', READ_CONSISTENCY),
  shardKeys(9),
  one(10, 'order_by', ORDER_BY),
  uint(11, 'timeout')
)

export const COUNT_POINTS = table(
  'CountPoints',
  COLLECTION,
  one(2, 'filter', FILTER),
  bool(3, 'exact'),
  one(4, 'read_consistency', READ_CONSISTENCY),
  shardKeys(5),
  uint(6, 'timeout')
)

export const FACET_COUNTS = table(
  'FacetCounts',
  COLLECTION,
  text(2, 'key'),
  one(3, 'filter', FILTER),
  uint(4, 'limit'),
  bool(5, 'exact'),
  uint(6, 'timeout'),
  one(7, 'read_consistency', READ_CONSISTENCY),
  shardKeys(8)
)

export const GET_POINTS = table(
  'GetPoints',
  COLLECTION,
  many(2, 'ids', POINT_ID),
  one(4, 'with_payload', WITH_PAYLOAD),
  one(5, 'with_vectors', WITH_VECTORS),
  one(6, 'read_consistency', READ_CONSISTENCY),
  shardKeys(7),
  uint(8, 'timeout')
)
