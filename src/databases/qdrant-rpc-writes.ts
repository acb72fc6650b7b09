/** What Qdrant's writing RPCs come to: the same as their REST twins. */
import { VECTORS_MAX } from '../core/limits.ts'
import { fail } from './json-reader.ts'
import type { MessageOf } from './protobuf-fields.ts'
import type { Filter, ShardSelector, Value } from './qdrant-messages.ts'
import { either, isPlainKey, type Pins } from './qdrant-pins.ts'
import { addChange, addWrite, type Reach, type Selected } from './qdrant-reach.ts'
import { addStoredVectors, filterPins, type Rpc, rpc, selectedShards } from './qdrant-rpc.ts'
import type { StoredVectors } from './qdrant-vector-messages.ts'
import {
  CLEAR_PAYLOAD,
  DELETE_PAYLOAD,
  DELETE_POINTS,
  DELETE_VECTORS,
  INSERT_ONLY,
  type Operation,
  type Point,
  SET_PAYLOAD,
  type Selector,
  UPDATE_BATCH,
  UPDATE_VECTORS,
  UPSERT_POINTS
} from './qdrant-write-messages.ts'
import { changedFields, deletedFields } from './qdrant-writes.ts'

type Payload = ReadonlyMap<string, Value> | undefined

function payloadPins(payload: Payload): Pins {
  const pins = new Map<string, string>()
  collect(payload, '', pins)
  return pins
}

function collect(payload: Payload, above: string, pins: Map<string, string>): void {
  for (const [key, { string_value, struct_value }] of payload ?? []) {
    if (!isPlainKey(key)) continue
    if (string_value !== undefined) pins.set(above + key, string_value)
    else if (struct_value !== undefined) collect(struct_value.fields, `${above}${key}.`, pins)
  }
}

interface Sharded {
  readonly shard_key_selector: ShardSelector | undefined
}

interface Upserting extends Sharded {
  readonly points: readonly Point[] | undefined
  readonly update_filter: Filter | undefined
  readonly update_mode: number | undefined
}

function upsert({ points = [], update_filter, update_mode, shard_key_selector }: Upserting, reach: Reach): void {
  checkCount(points.length)
  for (const { vectors } of points) addStoredVectors(reach, vectors)
  addWrite(reach, {
    records: points.length,
    payloads: either(points.map((point) => payloadPins(point.payload))),
    filter: update_filter === undefined ? undefined : filterPins(update_filter),
    insertOnly: update_mode === INSERT_ONLY,
    shards: selectedShards(shard_key_selector)
  })
}

interface Updating extends Sharded {
  readonly points: readonly { readonly vectors: StoredVectors | undefined }[] | undefined
  readonly update_filter: Filter | undefined
}

function updateVectors({ points = [], update_filter, shard_key_selector }: Updating, reach: Reach): void {
  checkCount(points.length)
  for (const { vectors } of points) addStoredVectors(reach, vectors)
  addWrite(reach, {
    records: points.length,
    payloads: undefined,
    filter: update_filter === undefined ? undefined : filterPins(update_filter),
    insertOnly: false,
    shards: selectedShards(shard_key_selector)
  })
}

function checkCount(count: number): void {
  if (count > VECTORS_MAX) fail('call-too-large', `more than ${VECTORS_MAX} records`)
}

function selected(selector: Selector | undefined, { shard_key_selector }: Sharded): Selected {
  return {
    ids: selector?.points === undefined ? undefined : (selector.points.ids ?? []).length,
    filter: selector?.filter === undefined ? undefined : filterPins(selector.filter),
    shards: selectedShards(shard_key_selector)
  }
}

interface Selecting extends Sharded {
  readonly points_selector: Selector | undefined
}

interface Changing extends Selecting {
  readonly payload: Payload
  readonly key: string | undefined
}

function changePayload(message: Changing, reach: Reach, whole: boolean): void {
  const { payload, key, points_selector } = message
  addChange(reach, 'write', selected(points_selector, message), changedFields([...(payload?.keys() ?? [])], key, whole))
}

function deletePayload(message: Selecting & { readonly keys: readonly string[] | undefined }, reach: Reach): void {
  addChange(reach, 'write', selected(message.points_selector, message), deletedFields(message.keys ?? []))
}

interface Pointing extends Sharded {
  readonly points: Selector | undefined
}

function clearPayload(message: Pointing, reach: Reach): void {
  addChange(reach, 'write', selected(message.points, message), ['*'])
}

function deletePoints(message: Pointing, reach: Reach): void {
  addChange(reach, 'delete', selected(message.points, message), [])
}

function deleteVectors(message: Selecting, reach: Reach): void {
  addChange(reach, 'delete', selected(message.points_selector, message), [])
}

/** The older forms of two operations have a selector and no shard key. */
const UNSHARDED: Sharded = { shard_key_selector: undefined }

function operate(operation: Operation, reach: Reach): void {
  const { set_payload, overwrite_payload, delete_payload, update_vectors, delete_vectors } = operation
  const { delete_deprecated, clear_payload_deprecated, delete_points, clear_payload } = operation
  if (operation.upsert !== undefined) upsert(operation.upsert, reach)
  else if (set_payload !== undefined) changePayload(set_payload, reach, false)
  else if (overwrite_payload !== undefined) changePayload(overwrite_payload, reach, true)
  else if (delete_payload !== undefined) deletePayload(delete_payload, reach)
  else if (update_vectors !== undefined) updateVectors(update_vectors, reach)
  else if (delete_vectors !== undefined) deleteVectors(delete_vectors, reach)
  else if (delete_points !== undefined) deletePoints(delete_points, reach)
  else if (clear_payload !== undefined) clearPayload(clear_payload, reach)
  else if (delete_deprecated !== undefined) addChange(reach, 'delete', selected(delete_deprecated, UNSHARDED), [])
  else if (clear_payload_deprecated !== undefined) addChange(reach, 'write', selected(clear_payload_deprecated, UNSHARDED), ['*'])
  else fail('call-unreadable', 'an operation is empty')
}

function updateBatch({ operations = [] }: MessageOf<typeof UPDATE_BATCH>, reach: Reach): void {
  for (const operation of operations) operate(operation, reach)
}

export const WRITE_RPCS = {
  upsert: rpc(UPSERT_POINTS, upsert),
  updateVectors: rpc(UPDATE_VECTORS, updateVectors),
  delete: rpc(DELETE_POINTS, deletePoints),
  deleteVectors: rpc(DELETE_VECTORS, deleteVectors),
  setPayload: rpc(SET_PAYLOAD, (message, reach) => changePayload(message, reach, false)),
  overwritePayload: rpc(SET_PAYLOAD, (message, reach) => changePayload(message, reach, true)),
  deletePayload: rpc(DELETE_PAYLOAD, deletePayload),
  clearPayload: rpc(CLEAR_PAYLOAD, clearPayload),
  updateBatch: rpc(UPDATE_BATCH, updateBatch)
} as const satisfies Record<string, Rpc>
