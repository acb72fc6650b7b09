/** Bodies of the REST calls about references between objects. A reference leads into another class, which is a target too. */
import { VECTORS_MAX } from '../core/limits.ts'
import { NO_SHAPE } from '../core/vector-call.ts'
import { isNull, readArray, readObject } from './json.ts'
import { keys } from './json-keys.ts'
import { fail, type JsonReader } from './json-reader.ts'
import { readString } from './json-text.ts'
import { type Facts, nothingTouched, type Place, type Touched, targetsOf, touch, touchReferred } from './weaviate-facts.ts'
import { readBeacon, readSource } from './weaviate-names.ts'

/** POST and DELETE: one reference. */
export function readReference(json: JsonReader, place: Place): Facts {
  const touched = touchedBy(place)
  readOne(json, place, touched)
  return factsOf(touched, 1)
}

/** PUT: all references of the property. */
export function readReferenceList(json: JsonReader, place: Place): Facts {
  const touched = touchedBy(place)
  return factsOf(
    touched,
    Math.max(
      1,
      readArray(json, 'the body', () => readOne(json, place, touched), VECTORS_MAX)
    )
  )
}

function touchedBy({ collection, tenant }: Place): Touched {
  const touched = nothingTouched()
  touch(touched, collection as string, tenant)
  return touched
}

/** The server's other keys (`class`, `href`, `schema`, `classification`) are its own to write. */
const REFERENCE = keys('beacon')

function readOne(json: JsonReader, { tenant }: Place, touched: Touched): void {
  let named = false
  readObject(json, 'a reference', REFERENCE, (name) => {
    touchReferred(touched, readBeacon(readString(json, name)), tenant)
    named = true
  })
  if (!named) fail('call-unreadable', 'a reference without a beacon')
}

const BATCHED = keys('from', 'to', 'tenant')

export function readReferenceBatch(json: JsonReader): Facts {
  const touched = nothingTouched()
  const count = readArray(json, 'the body', () => readBatched(json, touched), VECTORS_MAX)
  if (count === 0) fail('call-unreadable', 'the batch has no references')
  return factsOf(touched, count)
}

function readBatched(json: JsonReader, touched: Touched): void {
  let from = ''
  let to = ''
  let tenant = ''
  readObject(json, 'a reference', BATCHED, (name) => {
    if (name === 'from') from = readString(json, name)
    else if (name === 'to') to = readString(json, name)
    else if (!isNull(json)) tenant = readString(json, name)
  })
  if (from === '' || to === '') fail('call-unreadable', 'a reference without from or to')
  touch(touched, readSource(from), tenant)
  touchReferred(touched, readBeacon(to), tenant)
}

function factsOf(touched: Touched, records: number): Facts {
  return { shape: { ...NO_SHAPE, records }, targets: targetsOf(touched) }
}
