/** Bodies of the calls that define something: create and change a collection, create a database. */
import { NO_SHAPE } from '../core/vector-call.ts'
import { readName } from './chroma-names.ts'
import { type BodyFacts, readMetadata } from './chroma-records.ts'
import { isNull, readBoolean, readMap, readObject, skipValue } from './json.ts'
import { keys } from './json-keys.ts'
import { fail, type JsonReader } from './json-reader.ts'

const CREATE = keys('name', 'metadata', 'configuration', 'schema', 'get_or_create')

export function readCreate(json: JsonReader): BodyFacts {
  let named = ''
  readObject(json, 'the body', CREATE, (key) => {
    if (key === 'name') named = readName(json, 'collection')
    else if (key === 'get_or_create') readBoolean(json, key)
    else readOptional(json, key)
  })
  if (named === '') fail('call-unreadable', 'the new collection has no name')
  return { shape: NO_SHAPE, named }
}

const CHANGE = keys('new_name', 'new_metadata', 'new_configuration')

/** A rename gives a second name: both it and the old one must be granted. */
export function readChange(json: JsonReader): BodyFacts {
  let named: string | undefined
  readObject(json, 'the body', CHANGE, (key) => {
    if (key !== 'new_name') readOptional(json, key)
    else if (!isNull(json)) named = readName(json, 'collection')
  })
  return named === undefined ? { shape: NO_SHAPE } : { shape: NO_SHAPE, named }
}

const DATABASE = keys('name')

export function readCreateDatabase(json: JsonReader): BodyFacts {
  let named = ''
  readObject(json, 'the body', DATABASE, () => {
    named = readName(json, 'database')
  })
  if (named === '') fail('call-unreadable', 'the new database has no name')
  return { shape: NO_SHAPE, named }
}

/** Metadata is read strictly; configuration and schema tune an index, name no other collection, and change with every version. */
function readOptional(json: JsonReader, key: string): void {
  if (isNull(json)) return
  if (key === 'metadata' || key === 'new_metadata') readMetadata(json)
  else readMap(json, key, () => skipValue(json, key))
}
