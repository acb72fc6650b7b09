/** Every RPC of MilvusService that is served (milvus.proto, August 2026), with what reads its message. */
import type { Operation } from '../core/vector-call.ts'
import { NO_SHAPE } from '../core/vector-call.ts'
import type { RefusedRoute, ServedRoute } from './dialect.ts'
import {
  readCreateCollection,
  readDescribe,
  readFlush,
  readLoadPartitions,
  readLoadState,
  readPartition,
  readPartitions,
  readShowCollections,
  readShowPartitions
} from './milvus-collections.ts'
import { onCollection, type ReadFacts, read } from './milvus-place.ts'
import { MILVUS_REFUSED } from './milvus-refused.ts'
import { readInsert, readUpsert } from './milvus-rows.ts'
import {
  COLLECTION,
  CONNECT,
  CREATE_INDEX,
  DESCRIBE_INDEX,
  DROP_INDEX,
  HAS_COLLECTION,
  HEARTBEAT,
  INDEX_STATISTICS,
  LOAD_COLLECTION,
  NOTHING
} from './milvus-schema.ts'
import { readDelete, readHybridSearch, readQuery, readSearch } from './milvus-search.ts'
import type { MessageTable } from './protobuf-fields.ts'

export interface MilvusRoute extends ServedRoute {
  readonly read: ReadFacts
}

const SERVICE = '/milvus.proto.milvus.MilvusService'
const TELEMETRY = '/milvus.proto.milvus.ClientTelemetryService'

const rpc = (name: string, method: string, operation: Operation, readFacts: ReadFacts): MilvusRoute => ({
  name,
  method: 'POST',
  template: `${SERVICE}/${method}`,
  operation,
  read: readFacts
})

/** A message that is about nothing of a tenant's; it is read all the same. */
const quiet =
  (table: MessageTable<unknown>): ReadFacts =>
  (message) => {
    read(message, table)
    return { targets: [], shape: NO_SHAPE }
  }

export const MILVUS_ROUTES: readonly (MilvusRoute | RefusedRoute)[] = [
  // What SDKs call when they start, and then every half minute.
  rpc('system.connect', 'Connect', 'probe', quiet(CONNECT)),
  rpc('system.version', 'GetVersion', 'probe', quiet(NOTHING)),
  rpc('system.health', 'CheckHealth', 'probe', quiet(NOTHING)),
  {
    name: 'system.heartbeat',
    method: 'POST',
    template: `${TELEMETRY}/ClientHeartbeat`,
    operation: 'probe',
    read: quiet(HEARTBEAT)
  },

  rpc('records.search', 'Search', 'search', readSearch),
  rpc('records.hybrid-search', 'HybridSearch', 'search', readHybridSearch),
  rpc('records.query', 'Query', 'read', readQuery),
  rpc('records.insert', 'Insert', 'write', readInsert),
  rpc('records.upsert', 'Upsert', 'write', readUpsert),
  rpc('records.delete', 'Delete', 'delete', readDelete),

  rpc('collection.list', 'ShowCollections', 'observe', readShowCollections),
  rpc('collection.create', 'CreateCollection', 'define', readCreateCollection),
  rpc('collection.describe', 'DescribeCollection', 'observe', readDescribe),
  rpc('collection.has', 'HasCollection', 'observe', onCollection(HAS_COLLECTION)),
  rpc('collection.statistics', 'GetCollectionStatistics', 'observe', onCollection(COLLECTION)),
  rpc('collection.load', 'LoadCollection', 'define', onCollection(LOAD_COLLECTION)),
  rpc('collection.load-state', 'GetLoadState', 'observe', readLoadState),
  rpc('collection.loading-progress', 'GetLoadingProgress', 'observe', readLoadState),
  rpc('collection.release', 'ReleaseCollection', 'define', onCollection(COLLECTION)),
  rpc('collection.flush', 'Flush', 'define', readFlush),
  // Every record in it goes with it.
  rpc('collection.drop', 'DropCollection', 'drop', onCollection(COLLECTION)),

  // Where a partition is a tenant, the list is that of all tenants: more than a look at what they share.
  rpc('partition.list', 'ShowPartitions', 'read', readShowPartitions),
  rpc('partition.create', 'CreatePartition', 'define', readPartition),
  rpc('partition.has', 'HasPartition', 'observe', readPartition),
  rpc('partition.statistics', 'GetPartitionStatistics', 'observe', readPartition),
  rpc('partition.load', 'LoadPartitions', 'define', readLoadPartitions),
  rpc('partition.release', 'ReleasePartitions', 'define', readPartitions),
  rpc('partition.drop', 'DropPartition', 'drop', readPartition),

  rpc('index.create', 'CreateIndex', 'define', onCollection(CREATE_INDEX)),
  rpc('index.describe', 'DescribeIndex', 'observe', onCollection(DESCRIBE_INDEX)),
  rpc('index.statistics', 'GetIndexStatistics', 'observe', onCollection(INDEX_STATISTICS)),
  // Both are older names of DescribeIndex.
  rpc('index.state', 'GetIndexState', 'observe', onCollection(DROP_INDEX)),
  rpc('index.progress', 'GetIndexBuildProgress', 'observe', onCollection(DROP_INDEX)),
  rpc('index.drop', 'DropIndex', 'define', onCollection(DROP_INDEX)),

  ...MILVUS_REFUSED
]
