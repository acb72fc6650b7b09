/** Vectors in Qdrant's REST bodies: as stored in records, and as examples of a query. */
import { VECTORS_MAX } from '../core/limits.ts'
import { isNull, readArray, readMap, readObject, skipValue } from './json.ts'
import { keys } from './json-keys.ts'
import { readCount, readNumber } from './json-number.ts'
import { fail, type JsonReader, peek } from './json-reader.ts'
import { readVector } from './json-vector.ts'
import { readPointId } from './qdrant-fields.ts'
import { addExample, addNamedVectors, addVectors, type Bucket, type Examples, type Reach } from './qdrant-reach.ts'

const QUOTE = 0x22
const BRACKET = 0x5b
const BRACE = 0x7b
const U32_MAX = 0xffff_ffff

/** A text, image or object that the server would turn into a vector: nobody could see where it leads. */
export function refuseInference(): never {
  const remedy = 'Make the embedding in the application and send the vector.'
  return fail('operation-unknown', 'inference inputs carry no vector, so drift cannot be judged', remedy)
}

/** `[0.1, …]` or `[[0.1, …], …]`. */
function readRows(json: JsonReader, into: Float32Array[]): void {
  if (nextInArray(json) !== BRACKET) into.push(readVector(json, 'a vector'))
  else readArray(json, 'a multi-vector', () => void into.push(readVector(json, 'a row of a multi-vector')), VECTORS_MAX)
}

/** The byte behind the bracket that stands here. */
function nextInArray(json: JsonReader): number | undefined {
  const { at } = json
  json.at++
  const byte = peek(json)
  json.at = at
  return byte
}

const SPARSE = keys('indices', 'values')
const INFERENCE = new Set(['text', 'image', 'object', 'model', 'options'])
const SPARSE_OR_INFERENCE = keys('indices', 'values', 'text', 'image', 'object', 'model', 'options')

function readSparse(json: JsonReader): void {
  const lengths: number[] = []
  readObject(json, 'a vector', SPARSE_OR_INFERENCE, (key) => {
    if (INFERENCE.has(key)) refuseInference()
    lengths.push(readSparsePart(json, key))
  })
  checkSparse(lengths)
}

export function readSparsePart(json: JsonReader, key: string): number {
  if (key === 'indices') return readArray(json, key, () => void readCount(json, 'an index', U32_MAX))
  return readArray(json, key, () => void readNumber(json, 'a value'))
}

export function checkSparse(lengths: readonly number[]): void {
  if (lengths.length !== SPARSE.names.length || lengths[0] !== lengths[1])
    fail('call-unreadable', 'a sparse vector has not as many indices as values')
}

/** A vector with a name of its own: dense, sparse or multi. */
function readNamed(json: JsonReader, into: Float32Array[]): void {
  const byte = peek(json)
  if (byte === QUOTE) refuseInference()
  if (byte === BRACE) readSparse(json)
  else if (byte === BRACKET) readRows(json, into)
  else fail('call-unreadable', 'a vector is neither an array nor an object')
}

/** The vectors of one record: one without a name, or an object of named ones. */
export function readStored(json: JsonReader, reach: Reach): void {
  const byte = peek(json)
  if (byte === BRACKET) {
    const rows: Float32Array[] = []
    readRows(json, rows)
    addVectors(reach, rows)
  } else if (byte === BRACE) readByName(json, reach, 'the vectors of a record', (into) => readNamed(json, into))
  else fail('call-unreadable', 'the vectors of a record are neither an array nor an object')
}

function readByName(json: JsonReader, reach: Reach, what: string, read: (into: Float32Array[]) => void): void {
  const named: [string, Float32Array[]][] = []
  readMap(json, what, (name) => {
    const vectors: Float32Array[] = []
    named.push([name, vectors])
    read(vectors)
  })
  addNamedVectors(reach, named)
}

/** `vectors` of a batch in columns. @returns how many records have one, for each name */
export function readColumns(json: JsonReader, reach: Reach): number[] {
  const lengths: number[] = []
  const column = (into: Float32Array[]) => {
    lengths.push(readArray(json, 'the vectors of a batch', () => readNamed(json, into), VECTORS_MAX))
  }
  if (peek(json) === BRACE) readByName(json, reach, 'the vectors of a batch', column)
  else {
    const vectors: Float32Array[] = []
    column(vectors)
    addVectors(reach, vectors)
  }
  return lengths
}

/** An example: an id, a dense, sparse or multi-vector. */
export function readExample(json: JsonReader, examples: Examples, bucket: Bucket): void {
  const byte = peek(json)
  if (byte === BRACE) readSparse(json)
  else if (byte === BRACKET) addExample(examples, bucket, (into) => readRows(json, into))
  else {
    readPointId(json, 'an example')
    examples.ids = true
  }
}

export function readExamples(json: JsonReader, what: string, examples: Examples, bucket: Bucket): void {
  readArray(json, what, () => readExample(json, examples, bucket), VECTORS_MAX)
}

const PAIR = keys('positive', 'negative')

/** Pairs of examples: one, a list, or (where a query has them) none. */
export function readContext(json: JsonReader, examples: Examples): void {
  const pair = () => {
    let parts = 0
    readObject(json, 'a pair', PAIR, (key) => {
      parts++
      readExample(json, examples, key === 'positive' ? 1 : 2)
    })
    if (parts !== 2) fail('call-unreadable', 'a pair has not both positive and negative')
  }
  if (isNull(json)) return
  if (peek(json) === BRACKET) readArray(json, 'context', pair, VECTORS_MAX)
  else pair()
}

const NAMED_QUERY = keys('name', 'vector')

/** `vector` of the older search: `[…]`, `{name, vector: […]}` or `{name, vector: {indices, values}}`. */
export function readSearchVector(json: JsonReader, examples: Examples): void {
  let vectors = 0
  const read = () => {
    vectors++
    addExample(examples, 0, (into) => into.push(readVector(json, 'the query vector')))
  }
  if (peek(json) === BRACKET) read()
  else {
    readObject(json, 'the query vector', NAMED_QUERY, (key) => {
      if (key === 'name') skipValue(json, key)
      else if (peek(json) !== BRACE) read()
      else {
        vectors++
        readSparse(json)
      }
    })
  }
  if (vectors === 0) fail('call-unreadable', 'the call has no query vector')
}
