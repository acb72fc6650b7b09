/** Every endpoint of Weaviate 1.35's REST API and gRPC services, served or refused on purpose (openapi-specs/schema.json, grpc/proto). */
import type { Result } from '../core/deny-reason.ts'
import type { RefusedRoute, ServedRoute } from './dialect.ts'
import type { JsonReader } from './json-reader.ts'
import type { Facts, Place } from './weaviate-facts.ts'
import { readAggregate } from './weaviate-grpc-aggregate.ts'
import { readGrpcDelete, readHealthCheck, readTenantsGet } from './weaviate-grpc-calls.ts'
import { readSearch } from './weaviate-grpc-search.ts'
import { readGrpcObjects, readGrpcReferences } from './weaviate-grpc-write.ts'
import { readBatch, readChanged, readCreated } from './weaviate-objects.ts'
import { readReference, readReferenceBatch, readReferenceList } from './weaviate-references.ts'
import { readChangedClass, readNewClass, readNewProperty } from './weaviate-schema.ts'
import { readBatchDelete } from './weaviate-where.ts'

export interface WeaviateRoute extends ServedRoute {
  /**
   * What path and query say the call is about; with `class` the path has that parameter, `listed`: the query names the class;
   * `body`: the body names all. */
  readonly about: 'nothing' | 'class' | 'listed' | 'every' | 'body'
  /** Query keys that the endpoint has. */
  readonly query?: readonly string[]
  /** Reads a JSON body; a route without it or `message` must have none. */
  readonly body?: (json: JsonReader, place: Place) => Facts
  /** Reads the message of a gRPC call. */
  readonly message?: (message: Uint8Array) => Result<Facts>
}

const CLASS_SCHEMA = '/v1/schema/{class}'
const TENANTS = `${CLASS_SCHEMA}/tenants`
const OBJECT = '/v1/objects/{class}/{id}'
const REFERENCES = `${OBJECT}/references/{property}`
const RPC = '/weaviate.v1.Weaviate'

const LEVEL = ['consistency_level']
const LEVEL_TENANT = ['consistency_level', 'tenant']

const SERVED: readonly WeaviateRoute[] = [
  // What clients call when they start: nothing of a tenant is in the answers.
  { name: 'system.root', method: 'GET', template: '/v1', operation: 'probe', about: 'nothing' },
  { name: 'system.live', method: 'GET', template: '/v1/.well-known/live', operation: 'probe', about: 'nothing' },
  { name: 'system.ready', method: 'GET', template: '/v1/.well-known/ready', operation: 'probe', about: 'nothing' },
  { name: 'system.openid', method: 'GET', template: '/v1/.well-known/openid-configuration', operation: 'probe', about: 'nothing' },
  { name: 'system.meta', method: 'GET', template: '/v1/meta', operation: 'probe', about: 'nothing' },
  {
    name: 'system.health',
    method: 'POST',
    template: '/grpc.health.v1.Health/Check',
    operation: 'probe',
    about: 'nothing',
    message: readHealthCheck
  },

  { name: 'class.list', method: 'GET', template: '/v1/schema', operation: 'observe', about: 'every' },
  { name: 'class.create', method: 'POST', template: '/v1/schema', operation: 'define', about: 'body', body: readNewClass },
  { name: 'class.get', method: 'GET', template: CLASS_SCHEMA, operation: 'observe', about: 'class' },
  { name: 'class.change', method: 'PUT', template: CLASS_SCHEMA, operation: 'define', about: 'class', body: readChangedClass },
  { name: 'class.drop', method: 'DELETE', template: CLASS_SCHEMA, operation: 'drop', about: 'class' },
  {
    name: 'class.add-property',
    method: 'POST',
    template: `${CLASS_SCHEMA}/properties`,
    operation: 'define',
    about: 'class',
    body: readNewProperty
  },
  { name: 'tenant.get', method: 'GET', template: `${TENANTS}/{tenant}`, operation: 'observe', about: 'class' },
  { name: 'tenant.exists', method: 'HEAD', template: `${TENANTS}/{tenant}`, operation: 'observe', about: 'class' },
  { name: 'tenant.find', method: 'POST', template: `${RPC}/TenantsGet`, operation: 'observe', about: 'body', message: readTenantsGet },

  {
    name: 'objects.list',
    method: 'GET',
    template: '/v1/objects',
    operation: 'read',
    about: 'listed',
    query: ['class', 'tenant', 'limit', 'offset', 'after', 'include', 'sort', 'order']
  },
  { name: 'objects.get', method: 'GET', template: OBJECT, operation: 'read', about: 'class', query: [...LEVEL_TENANT, 'include'] },
  { name: 'objects.exists', method: 'HEAD', template: OBJECT, operation: 'read', about: 'class', query: LEVEL_TENANT },
  { name: 'objects.create', method: 'POST', template: '/v1/objects', operation: 'write', about: 'body', query: LEVEL, body: readCreated },
  { name: 'objects.validate', method: 'POST', template: '/v1/objects/validate', operation: 'write', about: 'body', body: readCreated },
  { name: 'objects.replace', method: 'PUT', template: OBJECT, operation: 'write', about: 'class', query: LEVEL, body: readChanged },
  { name: 'objects.update', method: 'PATCH', template: OBJECT, operation: 'write', about: 'class', query: LEVEL, body: readChanged },
  { name: 'objects.delete', method: 'DELETE', template: OBJECT, operation: 'delete', about: 'class', query: LEVEL_TENANT },
  {
    name: 'batch.objects',
    method: 'POST',
    template: '/v1/batch/objects',
    operation: 'write',
    about: 'body',
    query: LEVEL,
    body: readBatch
  },
  {
    name: 'batch.delete',
    method: 'DELETE',
    template: '/v1/batch/objects',
    operation: 'delete',
    about: 'body',
    query: LEVEL_TENANT,
    body: readBatchDelete
  },

  {
    name: 'references.add',
    method: 'POST',
    template: REFERENCES,
    operation: 'write',
    about: 'class',
    query: LEVEL_TENANT,
    body: readReference
  },
  {
    name: 'references.replace',
    method: 'PUT',
    template: REFERENCES,
    operation: 'write',
    about: 'class',
    query: LEVEL_TENANT,
    body: readReferenceList
  },
  {
    name: 'references.delete',
    method: 'DELETE',
    template: REFERENCES,
    operation: 'write',
    about: 'class',
    query: LEVEL_TENANT,
    body: readReference
  },
  {
    name: 'batch.references',
    method: 'POST',
    template: '/v1/batch/references',
    operation: 'write',
    about: 'body',
    query: LEVEL,
    body: readReferenceBatch
  },

  { name: 'grpc.search', method: 'POST', template: `${RPC}/Search`, operation: 'search', about: 'body', message: readSearch },
  { name: 'grpc.aggregate', method: 'POST', template: `${RPC}/Aggregate`, operation: 'search', about: 'body', message: readAggregate },
  {
    name: 'grpc.batch-objects',
    method: 'POST',
    template: `${RPC}/BatchObjects`,
    operation: 'write',
    about: 'body',
    message: readGrpcObjects
  },
  {
    name: 'grpc.batch-references',
    method: 'POST',
    template: `${RPC}/BatchReferences`,
    operation: 'write',
    about: 'body',
    message: readGrpcReferences
  },
  { name: 'grpc.batch-delete', method: 'POST', template: `${RPC}/BatchDelete`, operation: 'delete', about: 'body', message: readGrpcDelete }
]

const OPERATORS = 'Ask the operators of the database.'
const GRPC_INSTEAD = 'Use the gRPC API: the official clients from version 3 (JavaScript) and 4 (Python) on do.'

/** Refused in one sentence for every method. */
const refusal = (name: string, template: string, refused: string, remedy: string, method = '*'): RefusedRoute => ({
  name,
  method,
  template,
  refused,
  remedy
})

const REFUSED: readonly RefusedRoute[] = [
  refusal('graphql', '/v1/graphql', 'GraphQL is not served', GRPC_INSTEAD),
  refusal('graphql.more', '/v1/graphql/{*rest}', 'GraphQL is not served', GRPC_INSTEAD),
  refusal('grpc-web', '/v1/grpc-web/{*rest}', 'gRPC over the REST port is not served', 'Send gRPC calls to the gRPC port.'),
  refusal('mcp', '/v1/mcp', 'MCP is not served', GRPC_INSTEAD),
  refusal('mcp.more', '/v1/mcp/{*rest}', 'MCP is not served', GRPC_INSTEAD),
  refusal('search', '/v1/search/{*rest}', 'searches by REST are not served', GRPC_INSTEAD),
  refusal('aggregate', '/v1/aggregate/{*rest}', 'aggregations by REST are not served', GRPC_INSTEAD),
  refusal('export', '/v1/export', 'an export leaves by another way', OPERATORS),
  refusal('export.more', '/v1/export/{*rest}', 'an export leaves by another way', OPERATORS),
  refusal(
    'grpc.batch-stream',
    `${RPC}/BatchStream`,
    'a stream cannot be read before it runs',
    'Write batches with BatchObjects: insertMany.'
  ),
  refusal('grpc.v0', '/weaviategrpc.Weaviate/{*rest}', 'the v0 API is gone', GRPC_INSTEAD),
  refusal('grpc.files', '/weaviate.v1.FileReplicationService/{*rest}', 'files of the database are for its own nodes', OPERATORS),
  refusal('grpc.reflection', '/grpc.reflection.v1.ServerReflection/{*rest}', 'a stream cannot be read before it runs', OPERATORS),
  refusal(
    'grpc.reflection-alpha',
    '/grpc.reflection.v1alpha.ServerReflection/{*rest}',
    'a stream cannot be read before it runs',
    OPERATORS
  ),
  refusal('system.health-watch', '/grpc.health.v1.Health/Watch', 'a watch never ends', 'Ask with grpc.health.v1.Health/Check.'),

  // Without a class in the path the server looks in every class; some of these cannot name a tenant.
  refusal(
    'objects.any-class',
    '/v1/objects/{id}',
    'the object is looked for in every class',
    'Write the class into the path: /v1/objects/{Class}/{id}.'
  ),
  refusal(
    'references.any-class',
    '/v1/objects/{id}/references/{property}',
    'the object is looked for in every class',
    'Write the class into the path: /v1/objects/{Class}/{id}/references/{property}.'
  ),
  // The names of tenants are other people's.
  refusal('tenant.list', TENANTS, 'a list of all tenants', 'Look at one tenant by its name.', 'GET'),
  refusal('tenant.create', TENANTS, 'tenants are made by operators', OPERATORS, 'POST'),
  refusal('tenant.change', TENANTS, 'tenants are put to sleep by operators', OPERATORS, 'PUT'),
  refusal('tenant.drop', TENANTS, 'tenants are dropped by operators', OPERATORS, 'DELETE'),
  refusal('shard.list', `${CLASS_SCHEMA}/shards`, 'the shards of a class are its tenants', OPERATORS),
  refusal('shard.change', `${CLASS_SCHEMA}/shards/{shard}`, 'shards are changed by operators', OPERATORS),

  refusal('class.more', `${CLASS_SCHEMA}/{*rest}`, 'indexes are changed by operators', OPERATORS),

  refusal('alias', '/v1/aliases', 'an alias gives a collection a second name', OPERATORS),
  refusal('alias.one', '/v1/aliases/{*rest}', 'an alias gives a collection a second name', OPERATORS),
  refusal('backup', '/v1/backups/{*rest}', 'a backup holds every tenant', OPERATORS),
  refusal('classification', '/v1/classifications', 'a classification runs later and writes unseen', OPERATORS),
  refusal('classification.one', '/v1/classifications/{*rest}', 'a classification runs later and writes unseen', OPERATORS),
  refusal('cluster', '/v1/cluster/{*rest}', 'the cluster is for operators', OPERATORS),
  refusal('nodes', '/v1/nodes', 'nodes and shards are for operators', OPERATORS),
  refusal('nodes.one', '/v1/nodes/{*rest}', 'nodes and shards are for operators', OPERATORS),
  refusal('tasks', '/v1/tasks', 'the cluster is for operators', OPERATORS),
  refusal('replication', '/v1/replication/{*rest}', 'the cluster is for operators', OPERATORS),
  refusal('users', '/v1/users/{*rest}', 'users are for operators', OPERATORS),
  refusal('authz', '/v1/authz/{*rest}', 'roles are for operators', OPERATORS),
  refusal('namespace', '/v1/namespaces', 'namespaces are for operators', OPERATORS),
  refusal('namespaces', '/v1/namespaces/{*rest}', 'namespaces are for operators', OPERATORS),
  refusal('modules', '/v1/modules/{*rest}', 'a module sends data elsewhere', OPERATORS),
  refusal('tokenize', '/v1/tokenize', 'tokenization is not served', OPERATORS)
]

export const WEAVIATE_ROUTES: readonly (WeaviateRoute | RefusedRoute)[] = [...SERVED, ...REFUSED]
