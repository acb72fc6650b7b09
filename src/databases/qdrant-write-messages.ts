/** What the writing RPCs of `qdrant.Points` take (lib/api/src/grpc/proto/points.proto of 1.19). */
import { bool, enumeration, type MessageOf, many, one, table, text, texts, uint } from './protobuf-fields.ts'
import { choice, FILTER, POINT_ID, payload, shardKeys, VECTORS_SELECTOR, WRITE_ORDERING } from './qdrant-messages.ts'
import { VECTORS } from './qdrant-vector-messages.ts'

const COLLECTION = text(1, 'collection_name')
const WAIT = bool(2, 'wait')

const POINT = table('PointStruct', one(1, 'id', POINT_ID), payload(3, 'payload'), one(4, 'vectors', VECTORS))
const POINT_STRUCT = () => POINT
export type Point = MessageOf<typeof POINT>
const OWN_VECTORS = table('PointVectors', one(1, 'id', POINT_ID), one(2, 'vectors', VECTORS))
const POINT_VECTORS = () => OWN_VECTORS
const IDS = table('PointsIdsList', many(1, 'ids', POINT_ID))
const SELECTED = table(
  'PointsSelector',
  choice(1, 'points', () => IDS),
  choice(2, 'filter', FILTER)
)
const SELECTOR = () => SELECTED
export type Selector = MessageOf<typeof SELECTED>
/** Upsert, insert only, update only. */
const UPDATE_MODES = [0, 1, 2]
export const INSERT_ONLY = 1

export const UPSERT_POINTS = table(
  'UpsertPoints',
  COLLECTION,
  WAIT,
  many(3, 'points', POINT_STRUCT),
  one(4, 'ordering', WRITE_ORDERING),
  shardKeys(5),
  one(6, 'update_filter', FILTER),
  uint(7, 'timeout'),
  enumeration(8, 'update_mode', UPDATE_MODES)
)

export const UPDATE_VECTORS = table(
  'UpdatePointVectors',
  COLLECTION,
  WAIT,
  many(3, 'points', POINT_VECTORS),
  one(4, 'ordering', WRITE_ORDERING),
  shardKeys(5),
  one(6, 'update_filter', FILTER),
  uint(7, 'timeout')
)

/** Two messages with the same fields. */
const selecting = (name: string) =>
  table(name, COLLECTION, WAIT, one(3, 'points', SELECTOR), one(4, 'ordering', WRITE_ORDERING), shardKeys(5), uint(6, 'timeout'))

export const DELETE_POINTS = selecting('DeletePoints')
export const CLEAR_PAYLOAD = selecting('ClearPayloadPoints')

export const DELETE_VECTORS = table(
  'DeletePointVectors',
  COLLECTION,
  WAIT,
  one(3, 'points_selector', SELECTOR),
  one(4, 'vectors', VECTORS_SELECTOR),
  one(5, 'ordering', WRITE_ORDERING),
  shardKeys(6),
  uint(7, 'timeout')
)

export const SET_PAYLOAD = table(
  'SetPayloadPoints',
  COLLECTION,
  WAIT,
  payload(3, 'payload'),
  one(5, 'points_selector', SELECTOR),
  one(6, 'ordering', WRITE_ORDERING),
  shardKeys(7),
  text(8, 'key'),
  uint(9, 'timeout')
)

export const DELETE_PAYLOAD = table(
  'DeletePayloadPoints',
  COLLECTION,
  WAIT,
  texts(3, 'keys'),
  one(5, 'points_selector', SELECTOR),
  one(6, 'ordering', WRITE_ORDERING),
  shardKeys(7),
  uint(8, 'timeout')
)

const UPSERT_PART = table(
  'PointStructList',
  many(1, 'points', POINT_STRUCT),
  shardKeys(2),
  one(3, 'update_filter', FILTER),
  enumeration(4, 'update_mode', UPDATE_MODES)
)
const PAYLOAD_PART = table('SetPayload', payload(1, 'payload'), one(2, 'points_selector', SELECTOR), shardKeys(3), text(4, 'key'))
const KEYS_PART = table('DeletePayload', texts(1, 'keys'), one(2, 'points_selector', SELECTOR), shardKeys(3))
const VECTORS_PART = table('UpdateVectors', many(1, 'points', POINT_VECTORS), shardKeys(2), one(3, 'update_filter', FILTER))
const NAMES_PART = table('DeleteVectors', one(1, 'points_selector', SELECTOR), one(2, 'vectors', VECTORS_SELECTOR), shardKeys(3))
const POINTS_PART = table('DeletePoints', one(1, 'points', SELECTOR), shardKeys(2))

const OPERATION = table(
  'PointsUpdateOperation',
  choice(1, 'upsert', () => UPSERT_PART),
  choice(2, 'delete_deprecated', SELECTOR),
  choice(3, 'set_payload', () => PAYLOAD_PART),
  choice(4, 'overwrite_payload', () => PAYLOAD_PART),
  choice(5, 'delete_payload', () => KEYS_PART),
  choice(6, 'clear_payload_deprecated', SELECTOR),
  choice(7, 'update_vectors', () => VECTORS_PART),
  choice(8, 'delete_vectors', () => NAMES_PART),
  choice(9, 'delete_points', () => POINTS_PART),
  choice(10, 'clear_payload', () => POINTS_PART)
)
export type Operation = MessageOf<typeof OPERATION>

export const UPDATE_BATCH = table(
  'UpdateBatchPoints',
  COLLECTION,
  WAIT,
  many(3, 'operations', () => OPERATION),
  one(4, 'ordering', WRITE_ORDERING),
  uint(5, 'timeout')
)
