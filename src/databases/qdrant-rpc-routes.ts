/** The RPCs of Qdrant 1.19 that are served (lib/api/src/grpc/proto). Each is a POST to `/package.Service/Method`. */
import type { Operation } from '../core/vector-call.ts'
import { DEFINE_RPCS } from './qdrant-define.ts'
import type { QdrantRoute } from './qdrant-routes.ts'
import type { Rpc } from './qdrant-rpc.ts'
import { SEARCH_RPCS } from './qdrant-rpc-search.ts'
import { WRITE_RPCS } from './qdrant-rpc-writes.ts'

/** Names end in the RPC's own, so that an audit record tells the two ways apart. */
function points(method: string, operation: Operation, rpc: Rpc): QdrantRoute {
  return { name: `Points/${method}`, method: 'POST', template: `/qdrant.Points/${method}`, operation, about: 'name', rpc }
}

function collections(method: string, operation: Operation, rpc: Rpc, about: 'every' | 'name' = 'name'): QdrantRoute {
  return { name: `Collections/${method}`, method: 'POST', template: `/qdrant.Collections/${method}`, operation, about, rpc }
}

function health(name: string, template: string, rpc: Rpc): QdrantRoute {
  return { name, method: 'POST', template, operation: 'probe', about: 'nothing', rpc }
}

export const RPC_ROUTES: readonly QdrantRoute[] = [
  health('Qdrant/HealthCheck', '/qdrant.Qdrant/HealthCheck', DEFINE_RPCS.empty),
  health('Health/Check', '/grpc.health.v1.Health/Check', DEFINE_RPCS.health),

  points('Query', 'search', SEARCH_RPCS.query),
  points('QueryBatch', 'search', SEARCH_RPCS.queryBatch),
  points('QueryGroups', 'search', SEARCH_RPCS.queryGroups),
  points('Search', 'search', SEARCH_RPCS.search),
  points('SearchBatch', 'search', SEARCH_RPCS.searchBatch),
  points('SearchGroups', 'search', SEARCH_RPCS.searchGroups),
  points('Recommend', 'search', SEARCH_RPCS.recommend),
  points('RecommendBatch', 'search', SEARCH_RPCS.recommendBatch),
  points('RecommendGroups', 'search', SEARCH_RPCS.recommendGroups),
  points('Discover', 'search', SEARCH_RPCS.discover),
  points('DiscoverBatch', 'search', SEARCH_RPCS.discoverBatch),
  points('SearchMatrixPairs', 'search', SEARCH_RPCS.matrix),
  points('SearchMatrixOffsets', 'search', SEARCH_RPCS.matrix),
  points('Scroll', 'read', SEARCH_RPCS.scroll),
  points('Count', 'read', SEARCH_RPCS.count),
  points('Facet', 'read', SEARCH_RPCS.facet),
  points('Get', 'read', SEARCH_RPCS.get),

  points('Upsert', 'write', WRITE_RPCS.upsert),
  points('UpdateVectors', 'write', WRITE_RPCS.updateVectors),
  points('SetPayload', 'write', WRITE_RPCS.setPayload),
  points('OverwritePayload', 'write', WRITE_RPCS.overwritePayload),
  points('DeletePayload', 'write', WRITE_RPCS.deletePayload),
  points('ClearPayload', 'write', WRITE_RPCS.clearPayload),
  points('Delete', 'delete', WRITE_RPCS.delete),
  points('DeleteVectors', 'delete', WRITE_RPCS.deleteVectors),
  points('UpdateBatch', 'write', WRITE_RPCS.updateBatch),
  points('CreateFieldIndex', 'define', DEFINE_RPCS.createIndex),
  points('DeleteFieldIndex', 'define', DEFINE_RPCS.deleteIndex),
  points('CreateVectorName', 'define', DEFINE_RPCS.createVector),
  points('DeleteVectorName', 'drop', DEFINE_RPCS.deleteVector),

  collections('List', 'observe', DEFINE_RPCS.empty, 'every'),
  collections('Get', 'observe', DEFINE_RPCS.named),
  collections('CollectionExists', 'observe', DEFINE_RPCS.named),
  collections('Create', 'define', DEFINE_RPCS.create),
  collections('Update', 'define', DEFINE_RPCS.update),
  collections('Delete', 'drop', DEFINE_RPCS.drop)
]
