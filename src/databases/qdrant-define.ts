/** Calls that define something, over REST and gRPC: collections, payload indexes, named vectors. */
import { readObject, skipValue } from './json.ts'
import { type Keys, keys } from './json-keys.ts'
import type { JsonReader } from './json-reader.ts'
import { bool, bytes, enumeration, inOneof, one, table, text, uint, uint32 } from './protobuf-fields.ts'
import { payload, WRITE_ORDERING } from './qdrant-messages.ts'
import { type Rpc, rpc, rpcOf } from './qdrant-rpc.ts'

const CREATE = keys(
  'vectors',
  'sparse_vectors',
  'shard_number',
  'sharding_method',
  'replication_factor',
  'write_consistency_factor',
  'on_disk_payload',
  'payload',
  'hnsw_config',
  'wal_config',
  'optimizers_config',
  'quantization_config',
  'strict_mode_config',
  'metadata'
)
const UPDATE = keys(
  'vectors',
  'sparse_vectors',
  'params',
  'optimizers_config',
  'hnsw_config',
  'quantization_config',
  'strict_mode_config',
  'metadata'
)

/** What is within these keys tunes storage and indexes, names no other collection, and changes with every version. */
function settings(known: Keys<string>): (json: JsonReader) => void {
  return (json) => readObject(json, 'the body', known, (key) => skipValue(json, key))
}

export const DEFINE_BODIES = {
  create: settings(CREATE),
  update: settings(UPDATE),
  createIndex: settings(keys('field_name', 'field_schema')),
  createVector: settings(keys('dense', 'sparse'))
} as const

const COLLECTION = text(1, 'collection_name')
const NAMED = table('CollectionName', COLLECTION)

/** The nested messages are settings like those of the JSON bodies, so they are not taken apart. */
const CREATE_COLLECTION = table(
  'CreateCollection',
  COLLECTION,
  bytes(4, 'hnsw_config'),
  bytes(5, 'wal_config'),
  bytes(6, 'optimizers_config'),
  uint32(7, 'shard_number'),
  bool(8, 'on_disk_payload'),
  uint(9, 'timeout'),
  bytes(10, 'vectors_config'),
  uint32(11, 'replication_factor'),
  uint32(12, 'write_consistency_factor'),
  bytes(14, 'quantization_config'),
  enumeration(15, 'sharding_method', [0, 1]),
  bytes(16, 'sparse_vectors_config'),
  bytes(17, 'strict_mode_config'),
  payload(18, 'metadata'),
  bytes(19, 'payload')
)
const UPDATE_COLLECTION = table(
  'UpdateCollection',
  COLLECTION,
  bytes(2, 'optimizers_config'),
  uint(3, 'timeout'),
  bytes(4, 'params'),
  bytes(5, 'hnsw_config'),
  bytes(6, 'vectors_config'),
  bytes(7, 'quantization_config'),
  bytes(8, 'sparse_vectors_config'),
  bytes(9, 'strict_mode_config'),
  payload(10, 'metadata')
)
const DELETE_COLLECTION = table('DeleteCollection', COLLECTION, uint(2, 'timeout'))
const CREATE_INDEX = table(
  'CreateFieldIndexCollection',
  COLLECTION,
  bool(2, 'wait'),
  text(3, 'field_name'),
  enumeration(4, 'field_type'),
  bytes(5, 'field_index_params'),
  one(6, 'ordering', WRITE_ORDERING),
  uint(7, 'timeout')
)
const DELETE_INDEX = table(
  'DeleteFieldIndexCollection',
  COLLECTION,
  bool(2, 'wait'),
  text(3, 'field_name'),
  one(4, 'ordering', WRITE_ORDERING),
  uint(5, 'timeout')
)
const CREATE_VECTOR = table(
  'CreateVectorNameRequest',
  COLLECTION,
  bool(2, 'wait'),
  text(3, 'vector_name'),
  inOneof('kind', bytes(4, 'dense_config')),
  inOneof('kind', bytes(5, 'sparse_config')),
  uint(6, 'timeout'),
  one(7, 'ordering', WRITE_ORDERING)
)
const DELETE_VECTOR = table(
  'DeleteVectorNameRequest',
  COLLECTION,
  bool(2, 'wait'),
  text(3, 'vector_name'),
  uint(4, 'timeout'),
  one(5, 'ordering', WRITE_ORDERING)
)
const EMPTY = table('Empty')
const HEALTH = table('HealthCheckRequest', text(1, 'service'))

const nothingMore = (): void => undefined

export const DEFINE_RPCS = {
  named: rpc(NAMED, nothingMore),
  empty: rpcOf(EMPTY),
  health: rpcOf(HEALTH),
  create: rpc(CREATE_COLLECTION, nothingMore),
  update: rpc(UPDATE_COLLECTION, nothingMore),
  drop: rpc(DELETE_COLLECTION, nothingMore),
  createIndex: rpc(CREATE_INDEX, nothingMore),
  deleteIndex: rpc(DELETE_INDEX, nothingMore),
  createVector: rpc(CREATE_VECTOR, nothingMore),
  deleteVector: rpc(DELETE_VECTOR, nothingMore)
} as const satisfies Record<string, Rpc>
