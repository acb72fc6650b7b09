/** The endpoints of Qdrant 1.19 that are served over REST: its OpenAPI document, and the older searches that it leaves out. */
import type { ServedRoute } from './dialect.ts'
import type { JsonReader } from './json-reader.ts'
import { DEFINE_BODIES } from './qdrant-define.ts'
import { readBatch, readQuery, readQueryGroups } from './qdrant-query.ts'
import type { Reach } from './qdrant-reach.ts'
import { readCountBody, readFacet, readPoints, readScroll } from './qdrant-records.ts'
import type { Rpc } from './qdrant-rpc.ts'
import { readDiscover, readMatrix, readRecommend, readRecommendGroups, readSearch, readSearchGroups } from './qdrant-search.ts'
import {
  readClearPayload,
  readDelete,
  readDeletePayload,
  readDeleteVectors,
  readOperations,
  readOverwritePayload,
  readSetPayload,
  readUpdateVectors,
  readUpsert
} from './qdrant-writes.ts'

type JsonBody = (json: JsonReader, reach: Reach) => void

export interface QdrantRoute extends ServedRoute {
  /** What the call is about; with `name`, the path has that parameter or the message that field. */
  readonly about: 'nothing' | 'every' | 'name'
  /** Query keys that the endpoint has. */
  readonly query?: readonly string[]
  /** Reads a JSON body; a REST route without it must have none. */
  readonly body?: JsonBody
  /** Reads a gRPC message. */
  readonly rpc?: Rpc
  /** The call answers with raw vectors whatever it says. */
  readonly vectorsOut?: boolean
}

const C = '/collections/{collection}'
const READ = ['consistency', 'timeout'] as const
const WRITE = ['wait', 'ordering', 'timeout'] as const
const DEFINE = ['timeout'] as const

function batchOf(read: JsonBody): JsonBody {
  return (json, reach) => readBatch(json, reach, read)
}

function probe(name: string, template: string): QdrantRoute {
  return { name, method: 'GET', template, operation: 'probe', about: 'nothing' }
}

function search(name: string, path: string, body: JsonBody): QdrantRoute {
  return { name: `points.${name}`, method: 'POST', template: `${C}/points/${path}`, operation: 'search', about: 'name', query: READ, body }
}

function read(name: string, path: string, body: JsonBody): QdrantRoute {
  return { name, method: 'POST', template: `${C}/${path}`, operation: 'read', about: 'name', query: READ, body }
}

function write(name: string, method: 'POST' | 'PUT', path: string, operation: 'write' | 'delete', body: JsonBody): QdrantRoute {
  return { name, method, template: `${C}/${path}`, operation, about: 'name', query: WRITE, body }
}

function observe(name: string, template: string, about: 'every' | 'name'): QdrantRoute {
  return { name, method: 'GET', template, operation: 'observe', about }
}

const POINT: QdrantRoute = {
  name: 'points.get-one',
  method: 'GET',
  template: `${C}/points/{id}`,
  operation: 'read',
  about: 'name',
  query: READ,
  vectorsOut: true
}

const DEFINITIONS: readonly QdrantRoute[] = [
  { name: 'collection.create', method: 'PUT', template: C, operation: 'define', about: 'name', query: DEFINE, body: DEFINE_BODIES.create },
  {
    name: 'collection.update',
    method: 'PATCH',
    template: C,
    operation: 'define',
    about: 'name',
    query: DEFINE,
    body: DEFINE_BODIES.update
  },
  { name: 'collection.drop', method: 'DELETE', template: C, operation: 'drop', about: 'name', query: DEFINE },
  {
    name: 'index.create',
    method: 'PUT',
    template: `${C}/index`,
    operation: 'define',
    about: 'name',
    query: WRITE,
    body: DEFINE_BODIES.createIndex
  },
  { name: 'index.delete', method: 'DELETE', template: `${C}/index/{field}`, operation: 'define', about: 'name', query: WRITE },
  {
    name: 'vector.create',
    method: 'PUT',
    template: `${C}/vectors/{vector}`,
    operation: 'define',
    about: 'name',
    query: WRITE,
    body: DEFINE_BODIES.createVector
  },
  // All vectors of that name go with it.
  { name: 'vector.drop', method: 'DELETE', template: `${C}/vectors/{vector}`, operation: 'drop', about: 'name', query: WRITE }
]

export const REST_ROUTES: readonly QdrantRoute[] = [
  probe('system.root', '/'),
  probe('system.healthz', '/healthz'),
  probe('system.livez', '/livez'),
  probe('system.readyz', '/readyz'),

  search('query', 'query', readQuery),
  search('query-batch', 'query/batch', batchOf(readQuery)),
  search('query-groups', 'query/groups', readQueryGroups),
  search('search', 'search', readSearch),
  search('search-batch', 'search/batch', batchOf(readSearch)),
  search('search-groups', 'search/groups', readSearchGroups),
  search('recommend', 'recommend', readRecommend),
  search('recommend-batch', 'recommend/batch', batchOf(readRecommend)),
  search('recommend-groups', 'recommend/groups', readRecommendGroups),
  search('discover', 'discover', readDiscover),
  search('discover-batch', 'discover/batch', batchOf(readDiscover)),
  search('matrix-pairs', 'search/matrix/pairs', readMatrix),
  search('matrix-offsets', 'search/matrix/offsets', readMatrix),

  read('points.scroll', 'points/scroll', readScroll),
  read('points.count', 'points/count', readCountBody),
  read('points.facet', 'facet', readFacet),
  read('points.get', 'points', readPoints),
  POINT,

  write('points.upsert', 'PUT', 'points', 'write', readUpsert),
  write('points.delete', 'POST', 'points/delete', 'delete', readDelete),
  write('points.batch', 'POST', 'points/batch', 'write', readOperations),
  write('vectors.update', 'PUT', 'points/vectors', 'write', readUpdateVectors),
  write('vectors.delete', 'POST', 'points/vectors/delete', 'delete', readDeleteVectors),
  write('payload.set', 'POST', 'points/payload', 'write', readSetPayload),
  write('payload.overwrite', 'PUT', 'points/payload', 'write', readOverwritePayload),
  write('payload.delete', 'POST', 'points/payload/delete', 'write', readDeletePayload),
  write('payload.clear', 'POST', 'points/payload/clear', 'write', readClearPayload),

  observe('collection.list', '/collections', 'every'),
  observe('collection.get', C, 'name'),
  observe('collection.exists', `${C}/exists`, 'name'),
  ...DEFINITIONS
]
