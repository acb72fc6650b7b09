/** Bodies of the REST calls that write objects (`Object` of the server's OpenAPI). Go ignores the case of their keys (tried); `keys` does not. */
import { VECTORS_MAX } from '../core/limits.ts'
import { NO_SHAPE } from '../core/vector-call.ts'
import { isNull, readArray, readMap, readObject, skipValue } from './json.ts'
import { foldCase, keys } from './json-keys.ts'
import { readCount } from './json-number.ts'
import { fail, type JsonReader, peek } from './json-reader.ts'
import { readString, skipString } from './json-text.ts'
import { readVector } from './json-vector.ts'
import { type Facts, longest, nothingTouched, type Place, type Touched, targetsOf, touch, touchReferred } from './weaviate-facts.ts'
import { checkClass, checkUuid, readBeacon } from './weaviate-names.ts'

const OBJECT = keys('class', 'id', 'properties', 'tenant', 'vector', 'vectors', 'creationTimeUnix', 'lastUpdateTimeUnix', 'vectorWeights')

/** One object as its body writes it. */
interface Written {
  readonly collection: string
  readonly vectors: readonly Float32Array[]
}

/** POST of an object, and its validation. */
export function readCreated(json: JsonReader): Facts {
  const touched = nothingTouched()
  return factsOf(touched, [readWritten(json, touched)])
}

/** PUT and PATCH: the server looks in the class of the path with the tenant of the body, whatever class the body names (tried). */
export function readChanged(json: JsonReader, { collection }: Place): Facts {
  const touched = nothingTouched()
  const written = readWritten(json, touched)
  if (written.collection !== collection)
    fail('call-ambiguous', 'path and body name different classes', 'Write the class of the path into the body.')
  return factsOf(touched, [written])
}

const BATCH = keys('fields', 'objects')

export function readBatch(json: JsonReader): Facts {
  const touched = nothingTouched()
  const all: Written[] = []
  readObject(json, 'the body', BATCH, (name) => {
    if (name === 'fields') isNull(json) || readArray(json, name, () => skipString(json, 'a field'))
    else readArray(json, name, () => void all.push(readWritten(json, touched)), VECTORS_MAX)
  })
  if (all.length === 0) fail('call-unreadable', 'the batch has no objects')
  return factsOf(touched, all)
}

function factsOf(touched: Touched, all: readonly Written[]): Facts {
  const vectors = all.flatMap((one) => one.vectors)
  if (vectors.length > VECTORS_MAX) fail('call-too-large', `more than ${VECTORS_MAX} vectors`)
  return { shape: { ...NO_SHAPE, records: all.length, dimensions: longest(vectors), vectors }, targets: targetsOf(touched) }
}

function readWritten(json: JsonReader, touched: Touched): Written {
  let collection: string | undefined
  let tenant = ''
  const vectors: Float32Array[] = []
  const referred: (string | undefined)[] = []
  readObject(json, 'an object', OBJECT, (name) => {
    if (name === 'class') collection = checkClass(readString(json, name))
    else if (isNull(json)) return
    else if (name === 'tenant') tenant = readString(json, name)
    else if (name === 'id') checkUuid(readString(json, name))
    else if (name === 'properties') readProperties(json, referred)
    else if (name === 'vector') readPlainVector(json, name, vectors)
    else if (name === 'vectors') readMap(json, name, () => readNamedVector(json, vectors))
    else if (name === 'vectorWeights') fail('call-unreadable', 'an object has vector weights', 'Leave out the key "vectorWeights".')
    else readCount(json, name, Number.MAX_SAFE_INTEGER)
  })
  if (collection === undefined) return fail('call-unreadable', 'an object names no class')
  touch(touched, collection, tenant)
  for (const one of referred) touchReferred(touched, one, tenant)
  return { collection, vectors }
}

/** A vector, or several of one record (a multi-vector). An empty list is no vector. */
function readNamedVector(json: JsonReader, into: Float32Array[]): void {
  if (isNull(json)) return
  if (isNested(json)) readArray(json, 'a multi-vector', () => void into.push(readVector(json, 'a vector')), VECTORS_MAX)
  else readPlainVector(json, 'a vector', into)
}

function readPlainVector(json: JsonReader, what: string, into: Float32Array[]): void {
  if (firstIn(json) === 0x5d) readArray(json, what, () => undefined)
  else into.push(readVector(json, what))
}

function isNested(json: JsonReader): boolean {
  return firstIn(json) === 0x5b
}

/** The byte that begins the first element of the array that stands here; nothing is read. */
function firstIn(json: JsonReader): number | undefined {
  if (peek(json) !== 0x5b) return undefined
  const start = json.at++
  const byte = peek(json)
  json.at = start
  return byte
}

/**
 * Properties may have any form, and references hide among them: where an object has a `beacon`, the server takes it for one, and
 * makes a reference property of it if there is none yet (auto-schema).
 */
export function readProperties(json: JsonReader, referred: (string | undefined)[]): void {
  readMap(json, 'properties', () => readProperty(json, referred))
}

function readProperty(json: JsonReader, referred: (string | undefined)[]): void {
  const byte = peek(json)
  if (byte === 0x5b) readArray(json, 'a property', () => readProperty(json, referred))
  else if (byte === 0x7b) readMap(json, 'a property', (name) => readNested(json, name, referred))
  else skipValue(json, 'a property')
}

function readNested(json: JsonReader, name: string, referred: (string | undefined)[]): void {
  if (!isBeacon(name)) readProperty(json, referred)
  else referred.push(readBeacon(readString(json, 'a beacon')))
}

/** Whether a key of an object within the properties is the one that makes a reference. */
export function isBeacon(name: string): boolean {
  if (name === 'beacon') return true
  if (foldCase(name) === 'beacon') fail('call-ambiguous', 'a key differs from "beacon" in case only')
  return false
}
