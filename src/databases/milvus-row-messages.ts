/** The messages that write records: rows come as columns (schema.proto, FieldData). */
import { BOOLS, BYTES, base, collection, DOUBLES, database, LONGS, partition, STRINGS } from './milvus-messages.ts'
import {
  bigint,
  bool,
  bools,
  bytes,
  bytesList,
  enumeration,
  floats,
  inOneof,
  int,
  int32s,
  type MessageOf,
  type MessageTable,
  many,
  one,
  table,
  text,
  uint32,
  uint32s
} from './protobuf-fields.ts'

const INTS = table('IntArray', int32s(1, 'data'))
const FLOATS = table('FloatArray', floats(1, 'data'))

interface ArrayOfScalars {
  readonly data: readonly Scalars[] | undefined
  readonly element_type: number | undefined
}
const ARRAYS: MessageTable<ArrayOfScalars> = table(
  'ArrayArray',
  many(1, 'data', () => SCALARS),
  enumeration(2, 'element_type')
)
interface Texts {
  readonly data: readonly string[] | undefined
}
interface Bytes {
  readonly data: readonly Uint8Array[] | undefined
}
export interface Scalars {
  readonly bool_data: object | undefined
  readonly float_data: object | undefined
  readonly double_data: object | undefined
  readonly array_data: object | undefined
  readonly string_data: Texts | undefined
  readonly json_data: Bytes | undefined
  readonly valid_data: readonly boolean[] | undefined
}
const SCALARS: MessageTable<Scalars> = table(
  'ScalarField',
  inOneof(
    'data',
    one(1, 'bool_data', () => BOOLS)
  ),
  inOneof(
    'data',
    one(2, 'int_data', () => INTS)
  ),
  inOneof(
    'data',
    one(3, 'long_data', () => LONGS)
  ),
  inOneof(
    'data',
    one(4, 'float_data', () => FLOATS)
  ),
  inOneof(
    'data',
    one(5, 'double_data', () => DOUBLES)
  ),
  inOneof(
    'data',
    one(6, 'string_data', () => STRINGS)
  ),
  inOneof(
    'data',
    one(7, 'bytes_data', () => BYTES)
  ),
  inOneof(
    'data',
    one(8, 'array_data', () => ARRAYS)
  ),
  inOneof(
    'data',
    one(9, 'json_data', () => BYTES)
  ),
  inOneof(
    'data',
    one(10, 'geometry_data', () => BYTES)
  ),
  inOneof(
    'data',
    one(11, 'timestamptz_data', () => LONGS)
  ),
  inOneof(
    'data',
    one(12, 'geometry_wkt_data', () => STRINGS)
  ),
  bools(17, 'valid_data')
)
export interface Vectors {
  readonly dim: number | undefined
  readonly float_vector: { readonly data: Float32Array | undefined } | undefined
  readonly binary_vector: Uint8Array | undefined
  readonly float16_vector: Uint8Array | undefined
  readonly bfloat16_vector: Uint8Array | undefined
  readonly sparse_float_vector: { readonly contents: readonly Uint8Array[] | undefined } | undefined
  readonly int8_vector: Uint8Array | undefined
  readonly vector_array: { readonly data: readonly Vectors[] | undefined } | undefined
  readonly valid_data: readonly boolean[] | undefined
}
const SPARSE = table('SparseFloatArray', bytesList(1, 'contents'), int(2, 'dim'))
const VECTOR_ARRAY: MessageTable<{ readonly data: readonly Vectors[] | undefined }> = table(
  'VectorArray',
  int(1, 'dim'),
  many(2, 'data', () => VECTORS),
  enumeration(3, 'element_type')
)
const VECTORS: MessageTable<Vectors> = table(
  'VectorField',
  int(1, 'dim'),
  inOneof(
    'data',
    one(2, 'float_vector', () => FLOATS)
  ),
  inOneof('data', bytes(3, 'binary_vector')),
  inOneof('data', bytes(4, 'float16_vector')),
  inOneof('data', bytes(5, 'bfloat16_vector')),
  inOneof(
    'data',
    one(6, 'sparse_float_vector', () => SPARSE)
  ),
  inOneof('data', bytes(7, 'int8_vector')),
  inOneof(
    'data',
    one(8, 'vector_array', () => VECTOR_ARRAY)
  ),
  bools(9, 'valid_data')
)
export interface FieldData {
  readonly type: number | undefined
  readonly field_name: string | undefined
  readonly scalars: Scalars | undefined
  readonly vectors: Vectors | undefined
  readonly struct_arrays: { readonly fields: readonly FieldData[] | undefined } | undefined
  readonly is_dynamic: boolean | undefined
  readonly valid_data: readonly boolean[] | undefined
}
const STRUCTS: MessageTable<{ readonly fields: readonly FieldData[] | undefined }> = table(
  'StructArrayField',
  many(1, 'fields', () => FIELD_DATA)
)
/** Without `field_id`, a second name for the column. */
const FIELD_DATA: MessageTable<FieldData> = table(
  'FieldData',
  enumeration(1, 'type'),
  text(2, 'field_name'),
  inOneof(
    'field',
    one(3, 'scalars', () => SCALARS)
  ),
  inOneof(
    'field',
    one(4, 'vectors', () => VECTORS)
  ),
  bool(6, 'is_dynamic'),
  bools(7, 'valid_data'),
  inOneof(
    'field',
    one(8, 'struct_arrays', () => STRUCTS)
  )
)

const rows = [
  base,
  database,
  collection,
  partition,
  many(5, 'fields_data', () => FIELD_DATA),
  uint32s(6, 'hash_keys'),
  uint32(7, 'num_rows'),
  bigint(8, 'schema_timestamp')
] as const

export const INSERT = table('InsertRequest', ...rows, text(9, 'namespace'), text(10, 'rls_principal'), bool(11, 'skip_rls'))
export type InsertRequest = MessageOf<typeof INSERT>

const FIELD_OP = table('FieldPartialUpdateOp', text(1, 'field_name'), enumeration(2, 'op', [0, 1, 2]))

export const UPSERT = table(
  'UpsertRequest',
  ...rows,
  bool(9, 'partial_update'),
  text(10, 'namespace'),
  many(11, 'field_ops', () => FIELD_OP),
  text(12, 'rls_principal'),
  bool(13, 'skip_rls')
)
