/** Bodies of the calls that define a class or a property. */
import { NO_SHAPE } from '../core/vector-call.ts'
import { isNull, readArray, readBoolean, readMap, readObject, skipValue } from './json.ts'
import { keys } from './json-keys.ts'
import { fail, type JsonReader, peek } from './json-reader.ts'
import { readString, skipString } from './json-text.ts'
import { type Facts, nothingTouched, type Place, type Touched, targetsOf, touch } from './weaviate-facts.ts'
import { checkClass } from './weaviate-names.ts'

const CLASS = keys(
  'class',
  'description',
  'properties',
  'vectorConfig',
  'vectorizer',
  'moduleConfig',
  'vectorIndexType',
  'vectorIndexConfig',
  'shardingConfig',
  'replicationConfig',
  'invertedIndexConfig',
  'multiTenancyConfig',
  'objectTtlConfig',
  // Leavings of the JavaScript client, which the server has no field for.
  'references',
  'vectorizers'
)

export function readNewClass(json: JsonReader): Facts {
  const touched = nothingTouched()
  readClass(json, touched)
  return { shape: NO_SHAPE, targets: targetsOf(touched) }
}

export function readChangedClass(json: JsonReader, { collection }: Place): Facts {
  const touched = nothingTouched()
  if (readClass(json, touched) !== collection)
    fail('call-ambiguous', 'path and body name different classes', 'Write the class of the path into the body.')
  return { shape: NO_SHAPE, targets: targetsOf(touched) }
}

function readClass(json: JsonReader, touched: Touched): string {
  let collection: string | undefined
  readObject(json, 'a class', CLASS, (name) => {
    if (name === 'class') collection = checkClass(readString(json, name))
    else if (isNull(json)) return
    else if (name === 'properties') readArray(json, name, () => readProperty(json, touched))
    else if (name === 'vectorizer') readVectorizer(readString(json, name))
    else if (name === 'moduleConfig') readModules(json)
    else if (name === 'vectorConfig') readMap(json, name, () => readVectorConfig(json))
    else if (name === 'description' || name === 'vectorIndexType') skipString(json, name)
    else if (name === 'references' || name === 'vectorizers') skipValue(json, name)
    else readMap(json, name, () => skipValue(json, name))
  })
  if (collection === undefined) return fail('call-unreadable', 'the new class has no name')
  touch(touched, collection)
  return collection
}

const VECTOR = keys('vectorizer', 'vectorIndexType', 'vectorIndexConfig')

function readVectorConfig(json: JsonReader): void {
  readObject(json, 'a vector configuration', VECTOR, (name) => {
    if (isNull(json)) return
    if (name === 'vectorizer') {
      readMap(json, name, (module) => {
        readVectorizer(module)
        skipValue(json, 'a vectorizer')
      })
    } else if (name === 'vectorIndexType') skipString(json, name)
    else readMap(json, name, () => skipValue(json, name))
  })
}

/** A module sends what is written and asked to a service of its configuration's choice: to anybody's. */
function readVectorizer(name: string): void {
  if (name !== 'none')
    fail('operation-unknown', 'the class has a vectorizer', 'Classes with modules are made by the operators; bring your own vectors.')
}

/** The JavaScript client writes settings of a module called none to each property. */
function readModules(json: JsonReader): void {
  readMap(json, 'moduleConfig', (module) => {
    if (module !== 'none')
      fail('operation-unknown', 'the class configures a module', 'Leave out moduleConfig; modules are set up by the operators.')
    skipValue(json, 'moduleConfig')
  })
}

const PROPERTY = keys(
  'name',
  'dataType',
  'description',
  'indexInverted',
  'indexFilterable',
  'indexSearchable',
  'indexRangeFilters',
  'tokenization',
  'moduleConfig',
  'nestedProperties',
  // Leavings of the Python client, which the server has no field for.
  'skip_vectorization',
  'vectorize_property_name'
)

/** POST of a property: one object. */
export function readNewProperty(json: JsonReader, { collection }: Place): Facts {
  const touched = nothingTouched()
  touch(touched, collection as string)
  readProperty(json, touched)
  return { shape: NO_SHAPE, targets: targetsOf(touched) }
}

function readProperty(json: JsonReader, touched: Touched): void {
  readObject(json, 'a property', PROPERTY, (name) => {
    if (isNull(json)) return
    if (name === 'dataType') readDataType(json, touched)
    else if (name === 'moduleConfig') readModules(json)
    else if (name === 'nestedProperties') readArray(json, name, () => readProperty(json, touched))
    else if (peek(json) === 0x22) skipString(json, name)
    else readBoolean(json, name)
  })
}

const PRIMITIVE = /^[a-z][a-zA-Z]*(\[\])?$/

/** A reference property names the classes that it may lead to: whoever defines it decides what its readers reach. */
function readDataType(json: JsonReader, touched: Touched): void {
  readArray(json, 'a data type', () => {
    const type = readString(json, 'a data type')
    if (!PRIMITIVE.test(type)) touch(touched, type)
  })
}
