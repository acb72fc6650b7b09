/** The endpoints of Qdrant 1.19 that are refused on purpose, over REST and gRPC. */
import type { RefusedRoute } from './dialect.ts'

const C = '/collections/{collection}'
const SHARD = `${C}/shards/{shard}`

interface Why {
  readonly refused: string
  readonly remedy: string
}

const SNAPSHOT: Why = {
  refused: 'a snapshot holds every record and every vector of all tenants, and a recovery replaces them',
  remedy: 'Ask the operators of the database for a snapshot; read records with a scroll.'
}
const ALIAS: Why = {
  refused: 'an alias makes one name mean another collection, behind the names that the policy judges',
  remedy: 'Ask the operators of the database to change aliases.'
}
const CLUSTER: Why = {
  refused: 'shards and replicas are the operators’ business',
  remedy: 'Ask the operators of the database; tenants name their shard in shard_key.'
}
const BY_SHARD: Why = {
  refused: 'a shard that is named by its number goes past shard keys',
  remedy: 'Use the endpoint of the collection, with shard_key.'
}
const OPERATORS: Why = {
  refused: 'the endpoint shows or changes the whole server',
  remedy: 'Ask the operators of the database.'
}
const FILES: Why = {
  refused: 'StorageRead gives out the bytes of segment files, every record and vector of all tenants among them',
  remedy: 'Read records with Points/Scroll or Points/Query.'
}
const REFLECTION: Why = {
  refused: 'reflection is a stream, of which one check sees only the beginning',
  remedy: 'Use the proto files that come with Qdrant.'
}
const STREAM: Why = {
  refused: 'a stream of health reports, of which one check sees only the beginning',
  remedy: 'Ask with Health/Check.'
}

const REST: readonly (readonly [string, string, Why])[] = [
  [`GET ${C}/snapshots`, 'snapshot.list', SNAPSHOT],
  [`POST ${C}/snapshots`, 'snapshot.create', SNAPSHOT],
  [`POST ${C}/snapshots/upload`, 'snapshot.upload', SNAPSHOT],
  [`PUT ${C}/snapshots/recover`, 'snapshot.recover', SNAPSHOT],
  [`GET ${C}/snapshots/{snapshot}`, 'snapshot.download', SNAPSHOT],
  [`DELETE ${C}/snapshots/{snapshot}`, 'snapshot.delete', SNAPSHOT],
  ['GET /snapshots', 'full-snapshot.list', SNAPSHOT],
  ['POST /snapshots', 'full-snapshot.create', SNAPSHOT],
  ['GET /snapshots/{snapshot}', 'full-snapshot.download', SNAPSHOT],
  ['DELETE /snapshots/{snapshot}', 'full-snapshot.delete', SNAPSHOT],
  [`GET ${SHARD}/snapshots`, 'shard-snapshot.list', SNAPSHOT],
  [`POST ${SHARD}/snapshots`, 'shard-snapshot.create', SNAPSHOT],
  [`GET ${SHARD}/snapshot`, 'shard-snapshot.stream', SNAPSHOT],
  [`PUT ${SHARD}/snapshots/recover`, 'shard-snapshot.recover', SNAPSHOT],
  [`POST ${SHARD}/snapshots/upload`, 'shard-snapshot.upload', SNAPSHOT],
  [`GET ${SHARD}/snapshots/{snapshot}`, 'shard-snapshot.download', SNAPSHOT],
  [`DELETE ${SHARD}/snapshots/{snapshot}`, 'shard-snapshot.delete', SNAPSHOT],
  [`POST ${SHARD}/snapshot/partial/create`, 'partial-snapshot.create', SNAPSHOT],
  [`POST ${SHARD}/snapshot/partial/recover`, 'partial-snapshot.recover', SNAPSHOT],
  [`POST ${SHARD}/snapshot/partial/recover_from`, 'partial-snapshot.recover-from', SNAPSHOT],
  [`GET ${SHARD}/snapshot/partial/manifest`, 'partial-snapshot.manifest', SNAPSHOT],

  ['POST /collections/aliases', 'alias.change', ALIAS],
  ['GET /aliases', 'alias.list', ALIAS],
  [`GET ${C}/aliases`, 'alias.list-of-collection', ALIAS],

  [`GET ${C}/shards`, 'shard-key.list', CLUSTER],
  [`PUT ${C}/shards`, 'shard-key.create', CLUSTER],
  [`POST ${C}/shards/delete`, 'shard-key.delete', CLUSTER],
  [`GET ${C}/cluster`, 'collection.cluster', CLUSTER],
  [`POST ${C}/cluster`, 'collection.change-cluster', CLUSTER],
  ['GET /cluster', 'cluster.get', CLUSTER],
  ['GET /cluster/telemetry', 'cluster.telemetry', CLUSTER],
  ['POST /cluster/recover', 'cluster.recover', CLUSTER],
  ['DELETE /cluster/peer/{peer}', 'cluster.remove-peer', CLUSTER],
  ['GET /cluster/metadata/keys', 'cluster.metadata-list', CLUSTER],
  ['GET /cluster/metadata/keys/{key}', 'cluster.metadata-get', CLUSTER],
  ['PUT /cluster/metadata/keys/{key}', 'cluster.metadata-set', CLUSTER],
  ['DELETE /cluster/metadata/keys/{key}', 'cluster.metadata-delete', CLUSTER],

  [`POST ${SHARD}/points`, 'shard.points', BY_SHARD],
  [`POST ${SHARD}/points/scroll`, 'shard.scroll', BY_SHARD],
  [`POST ${SHARD}/points/count`, 'shard.count', BY_SHARD],
  [`POST ${SHARD}/cleanup`, 'shard.cleanup', BY_SHARD],
  [`GET ${SHARD}/wal`, 'shard.wal', BY_SHARD],
  [`GET ${SHARD}/recovery_point`, 'shard.recovery-point', BY_SHARD],

  [`GET ${C}/optimizations`, 'collection.optimizations', OPERATORS],
  [`GET ${C}/memory`, 'collection.memory', OPERATORS],
  [`POST ${C}/truncate_unapplied_wal`, 'collection.truncate-wal', OPERATORS],
  [`POST ${C}/debug`, 'collection.debug', OPERATORS],
  ['GET /telemetry', 'system.telemetry', OPERATORS],
  ['GET /metrics', 'system.metrics', OPERATORS],
  ['GET /stacktrace', 'system.stacktrace', OPERATORS],
  ['GET /logger', 'system.logger', OPERATORS],
  ['POST /logger', 'system.change-logger', OPERATORS],
  ['GET /issues', 'system.issues', OPERATORS],
  ['DELETE /issues', 'system.clear-issues', OPERATORS],
  ['GET /quotas', 'system.quotas', OPERATORS],
  ['PUT /quotas', 'system.change-quotas', OPERATORS],
  ['GET /profiler/slow_requests', 'system.slow-requests', OPERATORS],
  ['GET /debugger', 'system.debugger', OPERATORS],
  ['PATCH /debugger', 'system.change-debugger', OPERATORS],
  ['POST /audit/logs', 'system.audit-logs', OPERATORS],
  ['* /dashboard', 'system.dashboard', OPERATORS],
  ['* /dashboard/{*rest}', 'system.dashboard-pages', OPERATORS]
]

const RPC: readonly (readonly [string, readonly string[], Why])[] = [
  ['qdrant.Snapshots', ['Create', 'List', 'Delete', 'CreateFull', 'ListFull', 'DeleteFull'], SNAPSHOT],
  ['qdrant.Collections', ['UpdateAliases', 'ListCollectionAliases', 'ListAliases'], ALIAS],
  [
    'qdrant.Collections',
    ['CollectionClusterInfo', 'UpdateCollectionClusterSetup', 'CreateShardKey', 'DeleteShardKey', 'ListShardKeys'],
    CLUSTER
  ],
  ['qdrant.StorageRead', ['ListFiles', 'FileExists', 'FileLength', 'ReadBytes', 'ReadBytesStream', 'ReadWhole', 'ReadBatch'], FILES],
  ['grpc.health.v1.Health', ['Watch'], STREAM],
  ['grpc.reflection.v1.ServerReflection', ['ServerReflectionInfo'], REFLECTION],
  ['grpc.reflection.v1alpha.ServerReflection', ['ServerReflectionInfo'], REFLECTION]
]

export const REFUSED_ROUTES: readonly RefusedRoute[] = [
  ...REST.map(([endpoint, name, why]) => {
    const [method = '', template = ''] = endpoint.split(' ')
    return { name, method, template, ...why }
  }),
  ...RPC.flatMap(([service, methods, why]) =>
    methods.map((method) => ({
      name: `${service.slice(service.startsWith('qdrant.') ? 7 : 0)}/${method}`,
      method: 'POST',
      template: `/${service}/${method}`,
      ...why
    }))
  )
]
