/** Filters in REST bodies, and the delete that has one. Filters tell no tenants apart here: they are read to see where they lead. */
import { NO_SHAPE } from '../core/vector-call.ts'
import { isNull, readArray, readBoolean, readObject, skipValue } from './json.ts'
import { keys } from './json-keys.ts'
import { readCount } from './json-number.ts'
import { fail, type JsonReader, quote } from './json-reader.ts'
import { readString, skipString } from './json-text.ts'
import { type Facts, nothingTouched, type Place, targetsOf, touch } from './weaviate-facts.ts'
import { checkClass, checkProperty } from './weaviate-names.ts'

const BATCH_DELETE = keys('match', 'output', 'dryRun', 'deletionTimeUnixMilli')

export function readBatchDelete(json: JsonReader, { tenant }: Place): Facts {
  let collection: string | undefined
  readObject(json, 'the body', BATCH_DELETE, (name) => {
    if (name === 'match') collection = readMatch(json)
    else if (isNull(json)) return
    else if (name === 'dryRun') readBoolean(json, name)
    else if (name === 'output') readString(json, name)
    else readCount(json, name, Number.MAX_SAFE_INTEGER)
  })
  if (collection === undefined) return fail('call-unreadable', 'the delete matches nothing')
  const touched = nothingTouched()
  touch(touched, collection, tenant)
  return { shape: NO_SHAPE, targets: targetsOf(touched) }
}

const MATCH = keys('class', 'where')

function readMatch(json: JsonReader): string {
  let collection: string | undefined
  let filtered = false
  readObject(json, 'match', MATCH, (name) => {
    if (name === 'class') collection = checkClass(readString(json, name))
    else {
      readWhere(json)
      filtered = true
    }
  })
  if (collection === undefined) return fail('call-unreadable', 'the delete names no class')
  if (!filtered) fail('call-ambiguous', 'the delete has no filter', 'Say in match.where which objects to delete.')
  return collection
}

const COMPOSITES = new Set(['And', 'Or', 'Not'])
const COMPARISONS = new Set([
  'Equal',
  'NotEqual',
  'GreaterThan',
  'GreaterThanEqual',
  'LessThan',
  'LessThanEqual',
  'Like',
  'WithinGeoRange',
  'IsNull',
  'ContainsAny',
  'ContainsAll',
  'ContainsNone'
])

const WHERE = keys(
  'operator',
  'path',
  'operands',
  'valueText',
  'valueString',
  'valueInt',
  'valueNumber',
  'valueBoolean',
  'valueDate',
  'valueTextArray',
  'valueStringArray',
  'valueIntArray',
  'valueNumberArray',
  'valueBooleanArray',
  'valueDateArray',
  'valueGeoRange'
)

function readWhere(json: JsonReader): void {
  let operator = ''
  let operands = 0
  let path = 0
  readObject(json, 'where', WHERE, (name) => {
    if (name === 'operator') operator = readString(json, name)
    else if (isNull(json)) return
    else if (name === 'operands') operands = readArray(json, name, () => readWhere(json))
    else if (name === 'path') path = readPath(json)
    else if (name === 'valueText' || name === 'valueString') skipString(json, name)
    else skipValue(json, name)
  })
  if (COMPOSITES.has(operator)) {
    // Of nothing, all is true: such a filter would match every object.
    if (operands === 0) fail('call-ambiguous', 'a filter that combines nothing', 'Leave out filters without operands.')
    if (path > 0) fail('call-ambiguous', 'a filter that combines others and compares itself')
  } else if (!COMPARISONS.has(operator)) fail('call-unreadable', `unknown filter operator ${quote(operator)}`)
  else if (path === 0) fail('call-unreadable', 'a filter without a path')
  else if (operands > 0) fail('call-ambiguous', 'a filter that compares and combines')
}

function readPath(json: JsonReader): number {
  const parts = readArray(json, 'a path', () => checkPathPart(readString(json, 'a path')))
  if (parts > 1) walksAlongReferences()
  return parts
}

/** A property, one that the server adds (`_id`), or the length of one. */
export function checkPathPart(part: string): void {
  const length = /^len\((.*)\)$/.exec(part)
  checkProperty(length?.[1] ?? part)
}

export function walksAlongReferences(): never {
  return fail(
    'operation-unknown',
    'a filter walks along references',
    'Filter on properties of the collection itself; ask the referred one apart.'
  )
}
