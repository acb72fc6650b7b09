/**
 * The messages that are served, as in milvus.proto, schema.proto and common.proto (August 2026). A field that is left out here is
 * refused by the reader: replication, external sources, aggregations and function chains.
 */
import {
  bigint,
  bigints,
  bool,
  bools,
  bytes,
  bytesList,
  double,
  doubles,
  enumeration,
  inOneof,
  int,
  type MessageOf,
  type MessageTable,
  many,
  map,
  one,
  table,
  text,
  texts,
  uint32s
} from './protobuf-fields.ts'

const BASE = table(
  'MsgBase',
  enumeration(1, 'msg_type'),
  bigint(2, 'msgID'),
  bigint(3, 'timestamp'),
  bigint(4, 'sourceID'),
  bigint(5, 'targetID'),
  map(6, 'properties', text(2, 'value'))
)
export const base = one(1, 'base', () => BASE)
export const database = text(2, 'db_name')
export const collection = text(3, 'collection_name')
export const partition = text(4, 'partition_name')

export const PAIR = table('KeyValuePair', text(1, 'key'), text(2, 'value'))
export type Pair = MessageOf<typeof PAIR>

export const LONGS = table('LongArray', bigints(1, 'data'))
export const STRINGS = table('StringArray', texts(1, 'data'))
export const BYTES = table('BytesArray', bytesList(1, 'data'))
export const BOOLS = table('BoolArray', bools(1, 'data'))
export const DOUBLES = table('DoubleArray', doubles(1, 'data'))

interface TemplateArrays {
  readonly data: readonly TemplateArray[] | undefined
}
interface TemplateArray {
  readonly array_data: TemplateArrays | undefined
}
const TEMPLATE_ARRAYS: MessageTable<TemplateArrays> = table(
  'TemplateArrayValueArray',
  many(1, 'data', () => TEMPLATE_ARRAY)
)
const TEMPLATE_ARRAY: MessageTable<TemplateArray> = table(
  'TemplateArrayValue',
  inOneof(
    'data',
    one(1, 'bool_data', () => BOOLS)
  ),
  inOneof(
    'data',
    one(2, 'long_data', () => LONGS)
  ),
  inOneof(
    'data',
    one(3, 'double_data', () => DOUBLES)
  ),
  inOneof(
    'data',
    one(4, 'string_data', () => STRINGS)
  ),
  inOneof(
    'data',
    one(5, 'array_data', () => TEMPLATE_ARRAYS)
  ),
  inOneof(
    'data',
    one(6, 'json_data', () => BYTES)
  )
)
/** Without `bytes_val`, a filter that is built by the client and that nobody here can read. */
const TEMPLATE = table(
  'TemplateValue',
  inOneof('val', bool(1, 'bool_val')),
  inOneof('val', bigint(2, 'int64_val')),
  inOneof('val', double(3, 'float_val')),
  inOneof('val', text(4, 'string_val')),
  inOneof(
    'val',
    one(5, 'array_val', () => TEMPLATE_ARRAY)
  )
)
const templates = (number: number) =>
  map(
    number,
    'expr_template_values',
    one(2, 'value', () => TEMPLATE)
  )

const IDS = table(
  'IDs',
  inOneof(
    'id',
    one(1, 'int_id', () => LONGS)
  ),
  inOneof(
    'id',
    one(2, 'str_id', () => STRINGS)
  )
)

export const FUNCTION = table(
  'FunctionSchema',
  text(1, 'name'),
  bigint(2, 'id'),
  text(3, 'description'),
  enumeration(4, 'type'),
  texts(5, 'input_field_names'),
  bigints(6, 'input_field_ids'),
  texts(7, 'output_field_names'),
  bigints(8, 'output_field_ids'),
  many(9, 'params', () => PAIR)
)
export type FunctionSchema = MessageOf<typeof FUNCTION>
const FUNCTION_SCORE = table(
  'FunctionScore',
  many(1, 'functions', () => FUNCTION),
  many(2, 'params', () => PAIR)
)
export type FunctionScore = MessageOf<typeof FUNCTION_SCORE>

export const SEARCH = table(
  'SearchRequest',
  base,
  database,
  collection,
  texts(4, 'partition_names'),
  text(5, 'dsl'),
  inOneof('search_input', bytes(6, 'placeholder_group')),
  inOneof(
    'search_input',
    one(22, 'ids', () => IDS)
  ),
  enumeration(7, 'dsl_type', [0, 1]),
  texts(8, 'output_fields'),
  many(9, 'search_params', () => PAIR),
  bigint(10, 'travel_timestamp'),
  bigint(11, 'guarantee_timestamp'),
  int(12, 'nq'),
  bool(13, 'not_return_all_meta'),
  enumeration(14, 'consistency_level'),
  bool(15, 'use_default_consistency'),
  templates(18),
  one(19, 'function_score', () => FUNCTION_SCORE),
  text(20, 'namespace'),
  text(25, 'rls_principal'),
  bool(26, 'skip_rls')
)
export type SearchRequest = MessageOf<typeof SEARCH>

export const HYBRID_SEARCH = table(
  'HybridSearchRequest',
  base,
  database,
  collection,
  texts(4, 'partition_names'),
  many(5, 'requests', () => SEARCH),
  many(6, 'rank_params', () => PAIR),
  bigint(7, 'travel_timestamp'),
  bigint(8, 'guarantee_timestamp'),
  bool(9, 'not_return_all_meta'),
  texts(10, 'output_fields'),
  enumeration(11, 'consistency_level'),
  bool(12, 'use_default_consistency'),
  one(13, 'function_score', () => FUNCTION_SCORE),
  text(14, 'namespace'),
  text(16, 'rls_principal'),
  bool(17, 'skip_rls')
)

export const QUERY = table(
  'QueryRequest',
  base,
  database,
  collection,
  text(4, 'expr'),
  texts(5, 'output_fields'),
  texts(6, 'partition_names'),
  bigint(7, 'travel_timestamp'),
  bigint(8, 'guarantee_timestamp'),
  many(9, 'query_params', () => PAIR),
  bool(10, 'not_return_all_meta'),
  enumeration(11, 'consistency_level'),
  bool(12, 'use_default_consistency'),
  templates(13),
  text(14, 'namespace'),
  text(15, 'rls_principal'),
  bool(16, 'skip_rls')
)

export const DELETE = table(
  'DeleteRequest',
  base,
  database,
  collection,
  partition,
  text(5, 'expr'),
  uint32s(6, 'hash_keys'),
  enumeration(7, 'consistency_level'),
  templates(8),
  text(9, 'namespace'),
  text(10, 'rls_principal'),
  bool(11, 'skip_rls')
)

const PLACEHOLDER = table('PlaceholderValue', text(1, 'tag'), enumeration(2, 'type'), bytesList(3, 'values'), bool(4, 'element_level'))
export const PLACEHOLDER_GROUP = table(
  'PlaceholderGroup',
  many(1, 'placeholders', () => PLACEHOLDER)
)
