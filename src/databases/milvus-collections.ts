/** Calls about collections, partitions and indexes: names, and what else could change which data is meant. */
import { PLACES_MAX } from '../core/limits.ts'
import { type Bounds, NO_SHAPE } from '../core/vector-call.ts'
import { fail } from './json-reader.ts'
import type { FunctionSchema, Pair } from './milvus-messages.ts'
import { databaseOf, type Facts, NO_PINS, partitionOf, partitionsOf, type ReadFacts, read, targetOf } from './milvus-place.ts'
import {
  COLLECTION_SCHEMA,
  CREATE_COLLECTION,
  DESCRIBE_COLLECTION,
  FLUSH,
  LOAD_PARTITIONS,
  LOAD_STATE,
  PARTITION,
  PARTITIONS,
  SHOW_COLLECTIONS,
  SHOW_PARTITIONS
} from './milvus-schema.ts'
import type { MessageTable } from './protobuf-fields.ts'

/** BM25 and MinHash compute here; the others send texts to a model elsewhere. */
const LOCAL_FUNCTIONS = [1, 4]

export function readCreateCollection(message: Uint8Array, header: string | undefined): Facts {
  const request = read(message, CREATE_COLLECTION)
  const target = targetOf(request, header)
  const schema = read(request.schema ?? new Uint8Array(), COLLECTION_SCHEMA)
  // The server goes by the outer name, older ones by the one in the schema.
  if (schema.name !== request.collection_name) fail('call-ambiguous', 'the name in the schema is not that of the collection')
  if ((schema.dbName ?? '') !== '' && schema.dbName !== target.namespace) fail('call-ambiguous', 'the schema names another database')
  if ((schema.file_resource_ids ?? []).length > 0) fail('call-unreadable', 'the schema reads files of the server')
  if (schema.enable_namespace === true) fail('call-unreadable', 'the schema has namespaces', 'Leave enable_namespace out.')
  checkProperties([...(request.properties ?? []), ...(schema.properties ?? [])])
  checkFunctions(schema.functions ?? [])
  return { targets: [target], shape: NO_SHAPE }
}

function checkFunctions(functions: readonly FunctionSchema[]): void {
  if (functions.every(({ type = 0 }) => LOCAL_FUNCTIONS.includes(type))) return
  fail('call-unreadable', 'the schema has a function that calls a model elsewhere', 'Embed texts before they are written.')
}

/** The properties that clients set when they create a collection; each bounds or places its own collection only. */
const PROPERTIES = new Set([
  'collection.ttl.seconds',
  'mmap.enabled',
  'partitionkey.isolation',
  'dynamicfield.enabled',
  'allow_insert_auto_id',
  'timezone',
  'lazyload.enabled'
])

function checkProperties(properties: readonly Pair[]): void {
  const seen = new Set<string>()
  for (const { key = '' } of properties) {
    if (!PROPERTIES.has(key)) fail('call-unreadable', 'a property that is not served', 'Ask the operators to set it.')
    if (seen.has(key)) fail('call-ambiguous', 'a property stands twice')
    seen.add(key)
  }
}

export function readDescribe(message: Uint8Array, header: string | undefined): Facts {
  const request = read(message, DESCRIBE_COLLECTION)
  refuseId(request.collectionID)
  return { targets: [targetOf(request, header)], shape: NO_SHAPE }
}

/** An id is unique in the whole cluster, so it leads into any database. */
function refuseId(id = 0): void {
  if (id !== 0) fail('call-unreadable', 'the call names a collection by id', 'Name the collection by its name.')
}

export function readShowCollections(message: Uint8Array, header: string | undefined): Facts {
  const { db_name } = read(message, SHOW_COLLECTIONS)
  return { targets: [{ tenant: { kind: 'none' }, namespace: databaseOf(db_name, header), collection: { kind: 'every' } }], shape: NO_SHAPE }
}

export function readFlush(message: Uint8Array, header: string | undefined): Facts {
  const { db_name, collection_names = [] } = read(message, FLUSH)
  if (collection_names.length === 0) fail('call-unreadable', 'a flush without collections')
  const names = [...new Set(collection_names)]
  if (names.length > PLACES_MAX) fail('call-too-large', `a flush of more than ${PLACES_MAX} collections`, 'Flush fewer at once.')
  return { targets: names.map((collection_name) => targetOf({ db_name, collection_name }, header)), shape: NO_SHAPE }
}

export function readLoadState(message: Uint8Array, header: string | undefined): Facts {
  const request = read(message, LOAD_STATE)
  return { targets: [targetOf(request, header, within(partitionsOf(request.partition_names)))], shape: NO_SHAPE }
}

export function readShowPartitions(message: Uint8Array, header: string | undefined): Facts {
  const request = read(message, SHOW_PARTITIONS)
  refuseId(request.collectionID)
  // Names in the message say whose progress is wanted; the answer lists them all.
  partitionsOf(request.partition_names)
  return { targets: [targetOf(request, header)], shape: NO_SHAPE }
}

export function readPartition(message: Uint8Array, header: string | undefined): Facts {
  const request = read(message, PARTITION)
  const shards = partitionOf(request.partition_name)
  if (shards === undefined) fail('call-unreadable', 'the call names no partition')
  return { targets: [targetOf(request, header, within(shards))], shape: NO_SHAPE }
}

export const readPartitions = onPartitions(PARTITIONS)
export const readLoadPartitions = onPartitions(LOAD_PARTITIONS)

interface WithPartitions {
  readonly db_name: string | undefined
  readonly collection_name: string | undefined
  readonly partition_names: readonly string[] | undefined
}

function onPartitions(table: MessageTable<WithPartitions>): ReadFacts {
  return (message, header) => {
    const request = read(message, table)
    const shards = partitionsOf(request.partition_names)
    if (shards === undefined) fail('call-unreadable', 'the call names no partition')
    return { targets: [targetOf(request, header, within(shards))], shape: NO_SHAPE }
  }
}

/** Partitions are whole or not at all, so no field of their records is held to anything. */
function within(shards: readonly string[] | undefined): Bounds {
  return { shards, pins: NO_PINS, changes: [], unpinned: undefined, unsharded: undefined }
}
