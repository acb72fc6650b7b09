/** Bodies that write, change or delete records (lib/api/src/rest/schema.rs and lib/shard/src/operations of 1.19). */
import { VECTORS_MAX } from '../core/limits.ts'
import { isNull, readArray, readMap, readObject, skipValue } from './json.ts'
import { keys } from './json-keys.ts'
import { fail, type JsonReader, peek } from './json-reader.ts'
import { readString, skipString } from './json-text.ts'
import { readFields, readPointId, readPointIds, readShards, readStrings } from './qdrant-fields.ts'
import { readFilter } from './qdrant-filter.ts'
import { either, isPlainKey, isPlainPath, NO_PINS, type Pins } from './qdrant-pins.ts'
import { ALL_SHARDS, addChange, addWrite, type Reach, type Selected, type Shards } from './qdrant-reach.ts'
import { readColumns, readStored } from './qdrant-vectors.ts'

const QUOTE = 0x22
const BRACE = 0x7b
/** Longer than any tenant's name: what is above it is a document, and nobody's field to be told apart by. */
const PINNED_BYTES_MAX = 256

/** A payload. @returns its fields that are text, by path */
function readPayload(json: JsonReader): Pins {
  const pins = new Map<string, string>()
  payloadFields(json, '', pins)
  return pins
}

function payloadFields(json: JsonReader, above: string, pins: Map<string, string>): void {
  readMap(json, 'a payload', (key) => {
    const byte = peek(json)
    if (!isPlainKey(key) || (byte !== QUOTE && byte !== BRACE)) return skipValue(json, 'a payload')
    const path = above + key
    if (byte === BRACE) return payloadFields(json, `${path}.`, pins)
    const { at } = json
    skipString(json, path)
    if (json.at - at > PINNED_BYTES_MAX) return
    json.at = at
    pins.set(path, readString(json, path))
  })
}

const UPSERT = keys('points', 'batch', 'shard_key', 'update_filter', 'update_mode')
const POINT = keys('id', 'vector', 'vectors', 'payload')
const UPDATE_MODES = new Set(['upsert', 'insert_only', 'update_only'])

export function readUpsert(json: JsonReader, reach: Reach): void {
  const payloads: Pins[] = []
  let forms = 0
  let filter: Pins | undefined
  let mode = 'upsert'
  let shards = ALL_SHARDS
  readFields(json, 'the write', UPSERT, (key) => {
    if (key === 'shard_key') shards = readShards(json, key)
    else if (key === 'update_filter') filter = readFilter(json, key)
    else if (key === 'update_mode') mode = readString(json, key)
    else {
      forms++
      if (key === 'batch') readColumnForm(json, reach, payloads)
      else readArray(json, key, () => void payloads.push(readPoint(json, reach)), VECTORS_MAX)
    }
  })
  if (forms > 1) fail('call-ambiguous', 'the write has both points and batch', 'Write the records in one of the two forms.')
  if (forms === 0) fail('call-unreadable', 'the write has no records')
  if (!UPDATE_MODES.has(mode)) fail('call-unreadable', 'unknown update_mode')
  addWrite(reach, { records: payloads.length, payloads: either(payloads), filter, insertOnly: mode === 'insert_only', shards })
}

function readPoint(json: JsonReader, reach: Reach): Pins {
  let payload = NO_PINS
  readFields(json, 'a point', POINT, (key) => {
    if (key === 'id') readPointId(json, key)
    else if (key === 'payload') payload = readPayload(json)
    else readStored(json, reach)
  })
  return payload
}

const COLUMNS = keys('ids', 'vectors', 'payloads')

/** Records in columns, with a payload or null for each. */
function readColumnForm(json: JsonReader, reach: Reach, payloads: Pins[]): void {
  let ids: number | undefined
  let lengths: readonly number[] = []
  const read: Pins[] = []
  readFields(json, 'the batch', COLUMNS, (key) => {
    if (key === 'ids') ids = readPointIds(json, key)
    else if (key === 'vectors') lengths = readColumns(json, reach)
    else readArray(json, key, () => void read.push(isNull(json) ? NO_PINS : readPayload(json)), VECTORS_MAX)
  })
  if (ids === undefined) fail('call-unreadable', 'the batch has no ids')
  const columns = read.length === 0 ? lengths : [...lengths, read.length]
  // The server pairs what it can and says nothing.
  if (columns.some((length) => length !== ids)) fail('call-unreadable', 'the columns of the batch have not one length')
  for (let index = 0; index < ids; index++) payloads.push(read[index] ?? NO_PINS)
}

const UPDATE_VECTORS = keys('points', 'shard_key', 'update_filter')
const POINT_VECTORS = keys('id', 'vector', 'vectors')

export function readUpdateVectors(json: JsonReader, reach: Reach): void {
  let records = 0
  let filter: Pins | undefined
  let shards = ALL_SHARDS
  readFields(json, 'the update', UPDATE_VECTORS, (key) => {
    if (key === 'shard_key') shards = readShards(json, key)
    else if (key === 'update_filter') filter = readFilter(json, key)
    else {
      records = readArray(
        json,
        key,
        () => {
          readFields(json, 'a point', POINT_VECTORS, (part) => (part === 'id' ? readPointId(json, part) : readStored(json, reach)))
        },
        VECTORS_MAX
      )
    }
  })
  addWrite(reach, { records, payloads: undefined, filter, insertOnly: false, shards })
}

interface Selection extends Selected {
  ids: number | undefined
  filter: Pins | undefined
  shards: Shards
}

function selection(): Selection {
  return { ids: undefined, filter: undefined, shards: ALL_SHARDS }
}

function selectPart(json: JsonReader, key: 'points' | 'filter' | 'shard_key', selected: Selection): void {
  if (key === 'points') selected.ids = readPointIds(json, key)
  else if (key === 'filter') selected.filter = readFilter(json, key)
  else selected.shards = readShards(json, key)
}

const SELECTOR = keys('points', 'filter', 'shard_key')

export function readDelete(json: JsonReader, reach: Reach): void {
  const selected = selection()
  readFields(json, 'the deletion', SELECTOR, (key) => selectPart(json, key, selected))
  addChange(reach, 'delete', selected, [])
}

export function readClearPayload(json: JsonReader, reach: Reach): void {
  const selected = selection()
  readFields(json, 'the change', SELECTOR, (key) => selectPart(json, key, selected))
  addChange(reach, 'write', selected, ['*'])
}

const DELETE_VECTORS = keys('points', 'filter', 'shard_key', 'vector', 'vectors')

export function readDeleteVectors(json: JsonReader, reach: Reach): void {
  const selected = selection()
  readFields(json, 'the deletion', DELETE_VECTORS, (key) => {
    if (key === 'vector' || key === 'vectors') readStrings(json, key)
    else selectPart(json, key, selected)
  })
  addChange(reach, 'delete', selected, [])
}

const SET_PAYLOAD = keys('payload', 'points', 'filter', 'shard_key', 'key')

export function readSetPayload(json: JsonReader, reach: Reach): void {
  changePayload(json, reach, false)
}

export function readOverwritePayload(json: JsonReader, reach: Reach): void {
  changePayload(json, reach, true)
}

/** @param whole whether all of a payload is replaced where no `key` says which part */
function changePayload(json: JsonReader, reach: Reach, whole: boolean): void {
  const selected = selection()
  const fields: string[] = []
  let below: string | undefined
  readFields(json, 'the change', SET_PAYLOAD, (key) => {
    if (key === 'key') below = readString(json, key)
    else if (key === 'payload') {
      readMap(json, key, (field) => {
        fields.push(field)
        skipValue(json, key)
      })
    } else selectPart(json, key, selected)
  })
  addChange(reach, 'write', selected, changedFields(fields, below, whole))
}

/** @param below the path that `key` names */
export function changedFields(fields: readonly string[], below: string | undefined, whole: boolean): readonly string[] {
  if (below !== undefined) return [isPlainPath(below) ? below : '*']
  return whole ? ['*'] : fields
}

const DELETE_PAYLOAD = keys('keys', 'points', 'filter', 'shard_key')

export function readDeletePayload(json: JsonReader, reach: Reach): void {
  const selected = selection()
  let fields: readonly string[] = []
  readFields(json, 'the change', DELETE_PAYLOAD, (key) => {
    if (key === 'keys') fields = deletedFields(readStrings(json, key))
    else selectPart(json, key, selected)
  })
  addChange(reach, 'write', selected, fields)
}

/** Any path that is not plain may lead anywhere. */
export function deletedFields(paths: readonly string[]): readonly string[] {
  return paths.every(isPlainPath) ? paths : ['*']
}

const OPERATIONS = keys('operations')
const READS = {
  upsert: readUpsert,
  delete: readDelete,
  set_payload: readSetPayload,
  overwrite_payload: readOverwritePayload,
  delete_payload: readDeletePayload,
  clear_payload: readClearPayload,
  update_vectors: readUpdateVectors,
  delete_vectors: readDeleteVectors
} as const
const OPERATION = keys(...(Object.keys(READS) as (keyof typeof READS)[]))

export function readOperations(json: JsonReader, reach: Reach): void {
  readObject(json, 'the body', OPERATIONS, (key) => {
    readArray(
      json,
      key,
      () => {
        let kinds = 0
        readObject(json, 'an operation', OPERATION, (kind) => {
          kinds++
          READS[kind](json, reach)
        })
        if (kinds !== 1) fail('call-ambiguous', 'an operation has not exactly one kind', 'Write one operation in each object.')
      },
      VECTORS_MAX
    )
  })
}
