/** Insert and Upsert: rows come as columns, one for each field. */
import { VECTORS_MAX } from '../core/limits.ts'
import { type Bounds, NO_SHAPE, type Shape } from '../core/vector-call.ts'
import { readJson, readMap, skipValue } from './json.ts'
import { fail, type JsonReader, peek, quote } from './json-reader.ts'
import { accepted, type Facts, partitionOf, read, refuseAsides, targetOf } from './milvus-place.ts'
import { type FieldData, INSERT, type InsertRequest, type Scalars, UPSERT, type Vectors } from './milvus-row-messages.ts'
import { bfloat16, checkSparse, float16, int8 } from './milvus-vectors.ts'

/** schemapb.DataType: String, VarChar, Text. */
const TEXT_TYPES = [20, 21, 25]
const DYNAMIC = '$meta'

/** What the columns of a call come to. */
interface Columns {
  readonly pins: Map<string, string>
  /** Fields that could be the primary key, by what they hold. */
  readonly keys: Set<string>
  /** Names that dynamic fields have in some row. */
  readonly dynamic: Set<string>
  readonly vectors: Float32Array[]
}

export function readInsert(message: Uint8Array, header: string | undefined): Facts {
  const request = read(message, INSERT)
  refuseAsides(request)
  const { pins, vectors, keys } = readColumns(request)
  // Whoever has the key is replaced (tried on Milvus Lite), or is deleted with this record later (the server keeps both). A lone
  // field that holds one text is its own pin, so that even as the key it meets the same tenant's records only.
  const [only] = keys
  const stranger = keys.size > 1 || (only !== undefined && !pins.has(only))
  const why = stranger
    ? `a field could be the primary key of another tenant's record: ${[...keys].slice(0, 4).map(quote).join(', ')}`
    : undefined
  const bounds: Bounds = {
    shards: partitionOf(request.partition_name),
    pins,
    changes: [],
    unpinned: why,
    unsharded: keys.size > 0 ? KEYED : undefined
  }
  return { targets: [targetOf(request, header, bounds)], shape: shapeOf(request, vectors) }
}

const KEYED = 'a record replaces the one with the same primary key, in whatever partition that is'

export function readUpsert(message: Uint8Array, header: string | undefined): Facts {
  const request = read(message, UPSERT)
  refuseAsides(request)
  const { pins, vectors } = readColumns(request)
  const unpinned = 'an upsert replaces the record that has the primary key, whoever owns it'
  const bounds: Bounds = { shards: partitionOf(request.partition_name), pins, changes: ['*'], unpinned, unsharded: KEYED }
  return { targets: [targetOf(request, header, bounds)], shape: shapeOf(request, vectors) }
}

function shapeOf({ num_rows = 0 }: InsertRequest, vectors: readonly Float32Array[]): Shape {
  const dimensions = vectors.reduce((most, { length }) => Math.max(most, length), 0)
  return { ...NO_SHAPE, records: num_rows, dimensions, vectors }
}

function readColumns({ fields_data = [], num_rows = 0 }: InsertRequest): Columns {
  if (num_rows === 0) fail('call-unreadable', 'a write without rows')
  if (num_rows > VECTORS_MAX) fail('call-too-large', `more than ${VECTORS_MAX} rows`)
  const columns: Columns = { pins: new Map(), keys: new Set(), dynamic: new Set(), vectors: [] }
  const names = new Set<string>()
  for (const field of fields_data) {
    const name = field.is_dynamic === true ? DYNAMIC : (field.field_name ?? '')
    if (names.has(name)) fail('call-ambiguous', `two columns are called ${quote(name)}`)
    names.add(name)
    readColumn(columns, name, field, num_rows)
  }
  // A dynamic field of the same name is a second value for the field.
  for (const name of columns.dynamic) columns.pins.delete(name)
  return columns
}

function readColumn(columns: Columns, name: string, field: FieldData, rows: number): void {
  const { scalars, vectors } = field
  if (name === DYNAMIC) {
    readDynamic(columns, field, rows)
  } else if (vectors !== undefined) {
    addRows(columns, rowsOf(vectors, rows, whole(field)))
  } else if (scalars !== undefined) {
    if (couldBeKey(scalars, rows)) columns.keys.add(name)
    const value = TEXT_TYPES.includes(field.type ?? 0) && whole(field) ? onlyText(scalars, rows) : undefined
    if (value !== undefined) columns.pins.set(name, value)
  }
}

/** Asked column by column: a vector of one component takes a hundred times the memory that it has in the message. */
function addRows({ vectors }: Columns, rows: readonly Float32Array[]): void {
  if (vectors.length + rows.length > VECTORS_MAX) fail('call-too-large', `more than ${VECTORS_MAX} vectors`)
  vectors.push(...rows)
}

/** The text that every row has. */
function onlyText({ string_data }: Scalars, rows: number): string | undefined {
  const texts = string_data?.data ?? []
  return texts.length === rows && texts.every((text) => text === texts[0]) ? texts[0] : undefined
}

/** Whether every row has a value, so that the values are the rows. */
function whole({ valid_data, scalars, vectors }: FieldData): boolean {
  const valid = [...(valid_data ?? []), ...(scalars?.valid_data ?? []), ...(vectors?.valid_data ?? [])]
  return valid.every((one) => one)
}

/**
 * Whether a column holds what a primary key can be: an integer or a text. Milvus Lite takes both from a column of any integer type
 * and from JSON (tried), so what a column says of its type does not matter.
 */
function couldBeKey({ bool_data, float_data, double_data, array_data, json_data }: Scalars, rows: number): boolean {
  if (json_data !== undefined) return json_data.data?.length !== rows || !json_data.data.every(isComposite)
  return (bool_data ?? float_data ?? double_data ?? array_data) === undefined
}

/** Whether a JSON text is an object or an array; read whole, so that it is one. */
function isComposite(bytes: Uint8Array): boolean {
  return accepted(
    readJson(bytes, (json) => {
      const first = peek(json)
      skipValue(json, 'a JSON value')
      return first === OBJECT || first === ARRAY
    })
  )
}

const OBJECT = 0x7b
const ARRAY = 0x5b
/** The first letters of true, false and null. */
const WORDS = [0x74, 0x66, 0x6e]

/** The JSON objects that hold the fields which no column is there for; Milvus Lite takes a primary key from them, too (tried). */
function readDynamic({ dynamic, keys }: Columns, { scalars }: FieldData, rows: number): void {
  const objects = scalars?.json_data?.data
  if (objects === undefined || objects.length !== rows) fail('call-unreadable', 'the dynamic fields are not a JSON object for each row')
  const member = (json: JsonReader, key: string) => {
    const first = peek(json) ?? 0
    dynamic.add(key)
    if (first !== OBJECT && first !== ARRAY && !WORDS.includes(first)) keys.add(key)
    skipValue(json, 'a dynamic field')
  }
  for (const object of objects) accepted(readJson(object, (json) => readMap(json, 'dynamic fields', (key) => member(json, key))))
}

/** @returns the rows of a dense column; every other kind is checked only */
function rowsOf(vectors: Vectors, rows: number, complete: boolean): Float32Array[] {
  const { dim = 0, float_vector, float16_vector, bfloat16_vector, int8_vector, sparse_float_vector } = vectors
  for (const row of sparse_float_vector?.contents ?? []) checkSparse(row)
  const data = float_vector === undefined ? (float16_vector ?? bfloat16_vector ?? int8_vector) : (float_vector.data ?? new Float32Array())
  if (data === undefined) return []
  const size = float_vector !== undefined || int8_vector !== undefined ? 1 : 2
  const step = dim * size
  const count = data.length / step
  if (step <= 0 || !Number.isInteger(count) || (complete ? count !== rows : count > rows))
    fail('call-unreadable', 'a column of vectors has not one vector for each row')
  const decode = float16_vector !== undefined ? float16 : bfloat16_vector !== undefined ? bfloat16 : int8
  return Array.from({ length: count }, (_, row) => {
    const part = data.subarray(row * step, row * step + step)
    return part instanceof Float32Array ? part : decode(part, 'a vector')
  })
}
