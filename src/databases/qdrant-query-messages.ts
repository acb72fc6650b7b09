/** The messages of Qdrant's searches and reads (lib/api/src/grpc/proto/points.proto of 1.19). */
import {
  bool,
  double,
  enumeration,
  float,
  floats,
  inOneof,
  int,
  type MessageTable,
  many,
  one,
  table,
  text,
  uint,
  uint32
} from './protobuf-fields.ts'
import {
  CONDITION,
  choice,
  FILTER,
  type Filter,
  GEO,
  POINT_ID,
  payload,
  shardKeys,
  TIME,
  WITH_PAYLOAD,
  WITH_VECTORS
} from './qdrant-messages.ts'
import { DENSE_VECTOR, INFERENCE, INFERENCE_IMAGE, INFERENCE_TEXT, MULTI_VECTOR, SPARSE_VECTOR } from './qdrant-vector-messages.ts'

const INPUT = table(
  'VectorInput',
  choice(1, 'id', POINT_ID),
  choice(2, 'dense', DENSE_VECTOR),
  choice(3, 'sparse', SPARSE_VECTOR),
  choice(4, 'multi_dense', MULTI_VECTOR),
  choice(5, 'document', INFERENCE_TEXT),
  choice(6, 'image', INFERENCE_IMAGE),
  choice(7, 'object', INFERENCE)
)
const VECTOR_INPUT = () => INPUT
const RECOMMEND_INPUT = table(
  'RecommendInput',
  many(1, 'positive', VECTOR_INPUT),
  many(2, 'negative', VECTOR_INPUT),
  enumeration(3, 'strategy', [0, 1, 2])
)
const INPUT_PAIR = table('ContextInputPair', one(1, 'positive', VECTOR_INPUT), one(2, 'negative', VECTOR_INPUT))
const CONTEXT_INPUT = table(
  'ContextInput',
  many(1, 'pairs', () => INPUT_PAIR)
)
const DISCOVER_INPUT = table(
  'DiscoverInput',
  one(1, 'target', VECTOR_INPUT),
  one(2, 'context', () => CONTEXT_INPUT)
)
const NAIVE = table('NaiveFeedbackStrategy', float(1, 'a'), float(2, 'b'), float(3, 'c'))
const STRATEGY = table(
  'FeedbackStrategy',
  choice(1, 'naive', () => NAIVE)
)
const FEEDBACK_ITEM = table('FeedbackItem', one(1, 'example', VECTOR_INPUT), float(2, 'score'))
const FEEDBACK = table(
  'RelevanceFeedbackInput',
  one(1, 'target', VECTOR_INPUT),
  many(2, 'feedback', () => FEEDBACK_ITEM),
  one(3, 'strategy', () => STRATEGY)
)
const MMR = table('Mmr', float(2, 'diversity'), uint32(3, 'candidates_limit'))
const WITH_MMR = table(
  'NearestInputWithMmr',
  one(1, 'nearest', VECTOR_INPUT),
  one(2, 'mmr', () => MMR)
)
const RRF = table('Rrf', uint32(1, 'k'), floats(2, 'weights'))

const START = table(
  'StartFrom',
  inOneof('kind', double(1, 'float')),
  inOneof('kind', int(2, 'integer')),
  choice(3, 'timestamp', TIME),
  inOneof('kind', text(4, 'datetime'))
)
const ORDERED = table(
  'OrderBy',
  text(1, 'key'),
  enumeration(2, 'direction', [0, 1]),
  one(3, 'start_from', () => START)
)
const ORDER_BY = () => ORDERED

/** A formula ranks what prefetches found: it is read to its end, and nothing in it counts. */
const EXPRESSIONS: MessageTable<unknown> = table(
  'Expression',
  inOneof('kind', float(1, 'constant')),
  inOneof('kind', text(2, 'variable')),
  choice(3, 'condition', CONDITION),
  choice(4, 'geo_distance', () => GEO_DISTANCE),
  inOneof('kind', text(5, 'datetime')),
  inOneof('kind', text(6, 'datetime_key')),
  choice(7, 'mult', () => PRODUCT),
  choice(8, 'sum', () => SUM),
  choice(9, 'div', () => QUOTIENT),
  choice(10, 'neg', () => EXPRESSIONS),
  choice(11, 'abs', () => EXPRESSIONS),
  choice(12, 'sqrt', () => EXPRESSIONS),
  choice(13, 'pow', () => POWER),
  choice(14, 'exp', () => EXPRESSIONS),
  choice(15, 'log10', () => EXPRESSIONS),
  choice(16, 'ln', () => EXPRESSIONS),
  choice(17, 'exp_decay', () => DECAY),
  choice(18, 'gauss_decay', () => DECAY),
  choice(19, 'lin_decay', () => DECAY)
)
const EXPRESSION = () => EXPRESSIONS
const GEO_DISTANCE = table('GeoDistance', one(1, 'origin', GEO), text(2, 'to'))
const PRODUCT: MessageTable<unknown> = table('MultExpression', many(1, 'mult', EXPRESSION))
const SUM: MessageTable<unknown> = table('SumExpression', many(1, 'sum', EXPRESSION))
const QUOTIENT: MessageTable<unknown> = table(
  'DivExpression',
  one(1, 'left', EXPRESSION),
  one(2, 'right', EXPRESSION),
  float(3, 'by_zero_default')
)
const POWER: MessageTable<unknown> = table('PowExpression', one(1, 'base', EXPRESSION), one(2, 'exponent', EXPRESSION))
const DECAY: MessageTable<unknown> = table(
  'DecayParamsExpression',
  one(1, 'x', EXPRESSION),
  one(2, 'target', EXPRESSION),
  float(3, 'scale'),
  float(4, 'midpoint')
)
const FORMULA = table('Formula', one(1, 'expression', EXPRESSION), payload(2, 'defaults'))

const QUERIES = table(
  'Query',
  choice(1, 'nearest', VECTOR_INPUT),
  choice(2, 'recommend', () => RECOMMEND_INPUT),
  choice(3, 'discover', () => DISCOVER_INPUT),
  choice(4, 'context', () => CONTEXT_INPUT),
  choice(5, 'order_by', ORDER_BY),
  inOneof('kind', enumeration(6, 'fusion', [0, 1])),
  inOneof('kind', enumeration(7, 'sample', [0])),
  choice(8, 'formula', () => FORMULA),
  choice(9, 'nearest_with_mmr', () => WITH_MMR),
  choice(10, 'rrf', () => RRF),
  choice(11, 'relevance_feedback', () => FEEDBACK)
)
const QUERY = () => QUERIES

const QUANTIZATION = table('QuantizationSearchParams', bool(1, 'ignore'), bool(2, 'rescore'), double(3, 'oversampling'))
const ACORN = table('AcornSearchParams', bool(1, 'enable'), double(2, 'max_selectivity'))
const IDF = table('IdfParams', one(1, 'corpus', FILTER))
const SEARCH_PARAMS = table(
  'SearchParams',
  uint(1, 'hnsw_ef'),
  bool(2, 'exact'),
  one(3, 'quantization', () => QUANTIZATION),
  bool(4, 'indexed_only'),
  one(5, 'acorn', () => ACORN),
  one(6, 'idf', () => IDF)
)
const PARAMS = () => SEARCH_PARAMS
const LOOKUP_LOCATION = table('LookupLocation', text(1, 'collection_name'), text(2, 'vector_name'), shardKeys(3))
const LOOKUP_FROM = () => LOOKUP_LOCATION
const LOOKED_UP = table('WithLookup', text(1, 'collection'), one(2, 'with_payload', WITH_PAYLOAD), one(3, 'with_vectors', WITH_VECTORS))
const WITH_LOOKUP = () => LOOKED_UP

type InputMessage = typeof INPUT extends MessageTable<infer M> ? M : never
type QueryMessage = typeof QUERIES extends MessageTable<infer M> ? M : never
type ParamsMessage = typeof SEARCH_PARAMS extends MessageTable<infer M> ? M : never
type LookupMessage = typeof LOOKUP_LOCATION extends MessageTable<infer M> ? M : never
/** A prefetch, or the part of a query that is like one. */
export interface NodeMessage {
  readonly params: ParamsMessage | undefined
  readonly prefetch: readonly NodeMessage[] | undefined
  readonly query: QueryMessage | undefined
  readonly filter: Filter | undefined
  readonly limit: number | undefined
  readonly lookup_from: LookupMessage | undefined
}
const PREFETCHES: MessageTable<NodeMessage> = table(
  'PrefetchQuery',
  many(1, 'prefetch', () => PREFETCHES),
  one(2, 'query', QUERY),
  text(3, 'using'),
  one(4, 'filter', FILTER),
  one(5, 'params', PARAMS),
  float(6, 'score_threshold'),
  uint(7, 'limit'),
  one(8, 'lookup_from', LOOKUP_FROM)
)
const PREFETCH = () => PREFETCHES

export type { InputMessage, LookupMessage, ParamsMessage, QueryMessage }
export { LOOKUP_FROM, ORDER_BY, PARAMS, PREFETCH, QUERY, WITH_LOOKUP }
