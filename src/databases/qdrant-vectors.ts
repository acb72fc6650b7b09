/** Vectors in Qdrant's REST bodies: as stored in records, and as examples of a query. */
import { VECTORS_MAX } from '../core/limits.ts'
import { isNull, readArray, readMap, readObject, skipValue } from './json.ts'
import { keys } from './json-keys.ts'
import { readCount, readNumber } from './json-number.ts'
import { fail, type JsonReader, peek } from './json-reader.ts'
import { readVector } from './json-vector.ts'
import { readPointId } from './qdrant-fields.ts'
import { addVector, type Examples, type Reach } from './qdrant-reach.ts'

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
function readRows(json: JsonReader, reach: Reach): void {
  if (nextInArray(json) !== BRACKET) addVector(reach, readVector(json, 'a vector'))
  else readArray(json, 'a multi-vector', () => addVector(reach, readVector(json, 'a row of a multi-vector')), VECTORS_MAX)
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
function readNamed(json: JsonReader, reach: Reach): void {
  const byte = peek(json)
  if (byte === QUOTE) refuseInference()
  if (byte === BRACE) readSparse(json)
  else if (byte === BRACKET) readRows(json, reach)
  else fail('call-unreadable', 'a vector is neither an array nor an object')
}

/** The vectors of one record: one without a name, or an object of named ones. */
export function readStored(json: JsonReader, reach: Reach): void {
  if (peek(json) === BRACE) readMap(json, 'the vectors of a record', () => readNamed(json, reach))
  else if (peek(json) === BRACKET) readRows(json, reach)
  else fail('call-unreadable', 'the vectors of a record are neither an array nor an object')
}

/** `vectors` of a batch in columns. @returns how many records have one, for each name */
export function readColumns(json: JsonReader, reach: Reach): number[] {
  const column = (what: string) => readArray(json, what, () => readNamed(json, reach), VECTORS_MAX)
  if (peek(json) !== BRACE) return [column('the vectors of a batch')]
  const lengths: number[] = []
  readMap(json, 'the vectors of a batch', () => void lengths.push(column('the vectors of a name')))
  return lengths
}

/** An example in the older calls: an id, a dense or a sparse vector. */
export function readExample(json: JsonReader, reach: Reach, examples: Examples): void {
  const byte = peek(json)
  if (byte === BRACE) readSparse(json)
  else if (byte === BRACKET) readRows(json, reach)
  else {
    readPointId(json, 'an example')
    examples.ids = true
  }
}

export function readExamples(json: JsonReader, what: string, reach: Reach, examples: Examples): void {
  readArray(json, what, () => readExample(json, reach, examples), VECTORS_MAX)
}

const PAIR = keys('positive', 'negative')

/** Pairs of examples: one, a list, or (where a query has them) none. */
export function readContext(json: JsonReader, reach: Reach, examples: Examples): void {
  const pair = () => {
    let parts = 0
    readObject(json, 'a pair', PAIR, () => {
      parts++
      readExample(json, reach, examples)
    })
    if (parts !== 2) fail('call-unreadable', 'a pair has not both positive and negative')
  }
  if (isNull(json)) return
  if (peek(json) === BRACKET) readArray(json, 'context', pair, VECTORS_MAX)
  else pair()
}

const NAMED_QUERY = keys('name', 'vector')

/** `vector` of the older search: `[…]`, `{name, vector: […]}` or `{name, vector: {indices, values}}`. */
export function readSearchVector(json: JsonReader, reach: Reach) {
  if (peek(json) === BRACKET) return addVector(reach, readVector(json, 'the query vector'))
  let vectors = 0
  readObject(json, 'the query vector', NAMED_QUERY, (key) => {
    if (key === 'name') return skipValue(json, key)
    vectors++
    if (peek(json) === BRACE) readSparse(json)
    else addVector(reach, readVector(json, 'the query vector'))
  })
  if (vectors === 0) fail('call-unreadable', 'the call has no query vector')
}
