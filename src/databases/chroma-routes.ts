/** Every endpoint of Chroma 1.5.9's server (v2 API), served or refused on purpose (rust/frontend/src/server.rs). */
import { readChange, readCreate, readCreateDatabase } from './chroma-collections.ts'
import { type BodyFacts, readDelete, readGet, readQuery, readUpdate, readWrite } from './chroma-records.ts'
import { readSearch } from './chroma-search.ts'
import type { RefusedRoute, ServedRoute } from './dialect.ts'
import type { JsonReader } from './json-reader.ts'

export interface ChromaRoute extends ServedRoute {
  /** What the call is about; with `id` and `name`, the path has that parameter. */
  readonly about: 'nothing' | 'tenant' | 'database' | 'every' | 'name' | 'id'
  /** Query keys that the endpoint has. */
  readonly query?: readonly string[]
  /** Reads the body; a route without it must have none. */
  readonly body?: (json: JsonReader) => BodyFacts
  /** What the body's new name is for. */
  readonly names?: 'collection' | 'database'
}

const API = '/api/v2'
const TENANT = `${API}/tenants/{tenant}`
const DATABASE = `${TENANT}/databases/{database}`
const COLLECTIONS = `${DATABASE}/collections`
const BY_NAME = `${COLLECTIONS}/{name}`
const BY_ID = `${COLLECTIONS}/{id}`
const PAGE = ['limit', 'offset']

const OUT_OF_BAND = 'Ask the operators of the database.'
const NO_FUNCTIONS = 'Attached functions are not served here.'

export const CHROMA_ROUTES: readonly (ChromaRoute | RefusedRoute)[] = [
  // What clients call when they start: nothing of a tenant is in the answers.
  { name: 'system.root', method: 'GET', template: API, operation: 'probe', about: 'nothing' },
  { name: 'system.heartbeat', method: 'GET', template: `${API}/heartbeat`, operation: 'probe', about: 'nothing' },
  { name: 'system.health', method: 'GET', template: `${API}/healthcheck`, operation: 'probe', about: 'nothing' },
  { name: 'system.version', method: 'GET', template: `${API}/version`, operation: 'probe', about: 'nothing' },
  { name: 'system.pre-flight', method: 'GET', template: `${API}/pre-flight-checks`, operation: 'probe', about: 'nothing' },
  // 1.5.9 answers everybody with default_tenant (tried).
  { name: 'system.identity', method: 'GET', template: `${API}/auth/identity`, operation: 'probe', about: 'nothing' },

  { name: 'tenant.get', method: 'GET', template: TENANT, operation: 'observe', about: 'tenant' },
  { name: 'database.list', method: 'GET', template: `${TENANT}/databases`, operation: 'observe', about: 'every', query: PAGE },
  {
    name: 'database.create',
    method: 'POST',
    template: `${TENANT}/databases`,
    operation: 'define',
    about: 'tenant',
    body: readCreateDatabase,
    names: 'database'
  },
  { name: 'database.get', method: 'GET', template: DATABASE, operation: 'observe', about: 'database' },
  // Every collection in it goes with it.
  { name: 'database.drop', method: 'DELETE', template: DATABASE, operation: 'drop', about: 'every' },

  { name: 'collection.list', method: 'GET', template: COLLECTIONS, operation: 'observe', about: 'every', query: PAGE },
  { name: 'collection.count-all', method: 'GET', template: `${DATABASE}/collections_count`, operation: 'observe', about: 'every' },
  {
    name: 'collection.create',
    method: 'POST',
    template: COLLECTIONS,
    operation: 'define',
    about: 'database',
    body: readCreate,
    names: 'collection'
  },
  // GET and DELETE take a name in this place, PUT an id (tried).
  { name: 'collection.get', method: 'GET', template: BY_NAME, operation: 'observe', about: 'name' },
  { name: 'collection.drop', method: 'DELETE', template: BY_NAME, operation: 'drop', about: 'name' },
  { name: 'collection.change', method: 'PUT', template: BY_ID, operation: 'define', about: 'id', body: readChange, names: 'collection' },
  { name: 'collection.get-by-id', method: 'GET', template: `${COLLECTIONS}/by-id/{id}`, operation: 'observe', about: 'id' },
  { name: 'collection.fork', method: 'POST', template: `${BY_ID}/fork`, refused: 'a fork copies every record unseen', remedy: OUT_OF_BAND },
  { name: 'collection.fork-count', method: 'GET', template: `${BY_ID}/fork_count`, operation: 'observe', about: 'id' },
  { name: 'collection.indexing-status', method: 'GET', template: `${BY_ID}/indexing_status`, operation: 'observe', about: 'id' },

  { name: 'records.count', method: 'GET', template: `${BY_ID}/count`, operation: 'read', about: 'id', query: ['read_level'] },
  { name: 'records.get', method: 'POST', template: `${BY_ID}/get`, operation: 'read', about: 'id', body: readGet },
  // Its documented query keys limit and offset have no effect (tried), so that two readings are possible: none is taken.
  { name: 'records.query', method: 'POST', template: `${BY_ID}/query`, operation: 'search', about: 'id', body: readQuery },
  { name: 'records.search', method: 'POST', template: `${BY_ID}/search`, operation: 'search', about: 'id', body: readSearch },
  { name: 'records.add', method: 'POST', template: `${BY_ID}/add`, operation: 'write', about: 'id', body: readWrite },
  { name: 'records.upsert', method: 'POST', template: `${BY_ID}/upsert`, operation: 'write', about: 'id', body: readWrite },
  { name: 'records.update', method: 'POST', template: `${BY_ID}/update`, operation: 'write', about: 'id', body: readUpdate },
  { name: 'records.delete', method: 'POST', template: `${BY_ID}/delete`, operation: 'delete', about: 'id', body: readDelete },

  { name: 'tenant.create', method: 'POST', template: `${API}/tenants`, refused: 'tenants are made by operators', remedy: OUT_OF_BAND },
  { name: 'tenant.change', method: 'PATCH', template: TENANT, refused: 'a resource name reaches across tenants', remedy: OUT_OF_BAND },
  { name: 'system.reset', method: 'POST', template: `${API}/reset`, refused: 'reset empties the whole server', remedy: OUT_OF_BAND },
  {
    name: 'collection.get-by-crn',
    method: 'GET',
    template: `${API}/collections/{crn}`,
    refused: 'a resource name reaches across tenants',
    remedy: 'Get the collection by its name, with tenant and database in the path.'
  },
  // They run later and for ever, on what this server never sees.
  {
    name: 'function.attach',
    method: 'POST',
    template: `${BY_ID}/functions/attach`,
    refused: 'a function writes unseen',
    remedy: NO_FUNCTIONS
  },
  {
    name: 'function.get',
    method: 'GET',
    template: `${BY_ID}/functions/{function}`,
    refused: 'functions are not served',
    remedy: NO_FUNCTIONS
  },
  {
    name: 'function.detach',
    method: 'POST',
    template: `${BY_ID}/attached_functions/{function}/detach`,
    refused: 'a detach can drop a collection that it does not name',
    remedy: NO_FUNCTIONS
  },
  {
    name: 'v1',
    method: '*',
    template: '/api/v1/{*rest}',
    refused: 'the v1 API is gone (410)',
    remedy: 'Use a client for the v2 API (chromadb 1.0 or newer).'
  }
]
