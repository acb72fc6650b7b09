/** What an agent of acme does with the official clients of Qdrant, and what it tries; both fit a real server. */
import { QdrantClient as GrpcClient } from '@qdrant/js-client-grpc'
import { QdrantClient as RestClient } from '@qdrant/js-client-rest'

export interface Step {
  readonly name: string
  readonly run: () => Promise<unknown>
}

export interface Refused extends Step {
  readonly reason: string
}

/** The clients add a key of their own, as they would when talking to Qdrant itself: it must not arrive. */
const apiKey = 'a-key-of-the-client'
const vector = [0.25, -0.5, 1, 0.0078125]
/** More than a kilobyte, from where on the gRPC client compresses. */
const LONG = 384
const long = Array.from({ length: LONG }, (_, at) => Math.fround(Math.sin(at)))
const OWN = 'docs_acme'
const mine = { must: [{ key: 'tenant_id', match: { value: 'acme' } }] }
const theirs = { must: [{ key: 'tenant_id', match: { value: 'globex' } }] }
const records = [
  { id: 1, vector, payload: { tenant_id: 'acme', page: 1, text: 'äöü' } },
  { id: 2, vector: [1, 0, 0, 0], payload: { tenant_id: 'acme', page: 2, tags: ['a', 'b'] } }
]

export function restSteps(port: number): { readonly allowed: readonly Step[]; readonly refused: readonly Refused[] } {
  const client = new RestClient({ url: `http://127.0.0.1:${port}`, apiKey, checkCompatibility: false })
  const allowed: Step[] = [
    { name: 'create collection', run: () => client.createCollection(OWN, { vectors: { size: 4, distance: 'Cosine' } }) },
    { name: 'get collection', run: () => client.getCollection(OWN) },
    { name: 'upsert', run: () => client.upsert(OWN, { wait: true, points: records }) },
    { name: 'query', run: () => client.query(OWN, { query: vector, limit: 3, with_payload: true }) },
    {
      name: 'query, filtered',
      run: () => client.query(OWN, { query: vector, limit: 3, filter: { must: [{ key: 'page', range: { gt: 1 } }] } })
    },
    {
      name: 'query in two ways',
      run: () =>
        client.query(OWN, {
          prefetch: [
            { query: vector, limit: 5 },
            { query: [1, 0, 0, 0], limit: 5 }
          ],
          query: { fusion: 'rrf' },
          limit: 5
        })
    },
    { name: 'query batch', run: () => client.queryBatch(OWN, { searches: [{ query: vector, limit: 2 }] }) },
    { name: 'retrieve', run: () => client.retrieve(OWN, { ids: [1, 2] }) },
    { name: 'scroll', run: () => client.scroll(OWN, { limit: 7 }) },
    { name: 'count', run: () => client.count(OWN, { exact: true }) },
    { name: 'delete', run: () => client.delete(OWN, { wait: true, points: [1] }) },
    { name: 'drop collection', run: () => client.deleteCollection(OWN) },
    { name: 'insert, shared', run: () => client.upsert('shared', { wait: true, points: records, update_mode: 'insert_only' }) },
    { name: 'upsert, shared', run: () => client.upsert('shared', { wait: true, points: records, update_filter: mine }) },
    { name: 'query, shared', run: () => client.query('shared', { query: vector, filter: mine, limit: 3 }) },
    {
      name: 'scroll by id, shared',
      run: () => client.scroll('shared', { limit: 2, filter: { must: [...mine.must, { has_id: [1, 2] }] } })
    },
    { name: 'count, shared', run: () => client.count('shared', { filter: mine }) },
    { name: 'delete, shared', run: () => client.delete('shared', { wait: true, filter: { must: [...mine.must, { has_id: [1] }] } }) }
  ]
  const refused: Refused[] = [
    { name: "globex's collection", run: () => client.query('docs_globex', { query: vector, limit: 3 }), reason: 'tenant-not-allowed' },
    { name: "globex's collection, dropped", run: () => client.deleteCollection('docs_globex'), reason: 'tenant-not-allowed' },
    {
      name: 'a lookup there',
      run: () => client.query(OWN, { query: 1, lookup_from: { collection: 'docs_globex' } }),
      reason: 'tenant-not-allowed'
    },
    {
      name: "globex's filter",
      run: () => client.query('shared', { query: vector, filter: theirs, limit: 3 }),
      reason: 'tenant-not-allowed'
    },
    { name: 'no filter', run: () => client.query('shared', { query: vector, limit: 3 }), reason: 'tenant-not-named' },
    {
      name: 'one of two',
      run: () => client.query('shared', { query: vector, limit: 3, filter: { should: [...mine.must, ...theirs.must] } }),
      reason: 'tenant-not-named'
    },
    {
      name: 'a prefetch of all',
      run: () =>
        client.query('shared', { prefetch: [{ query: vector, filter: mine }, { query: vector }], query: { fusion: 'rrf' }, limit: 3 }),
      reason: 'tenant-not-named'
    },
    { name: 'a record by id', run: () => client.retrieve('shared', { ids: [1] }), reason: 'tenant-not-named' },
    { name: 'a query by id', run: () => client.query('shared', { query: 1, filter: mine, limit: 3 }), reason: 'tenant-not-named' },
    { name: 'an upsert over an id', run: () => client.upsert('shared', { points: records }), reason: 'tenant-not-named' },
    { name: 'a deletion by id', run: () => client.delete('shared', { points: [1] }), reason: 'tenant-not-named' },
    {
      name: 'the tenant changed',
      run: () => client.setPayload('shared', { payload: { tenant_id: 'globex' }, filter: mine }),
      reason: 'write-not-allowed'
    },
    { name: 'all collections', run: () => client.getCollections(), reason: 'tenant-not-named|collection-not-allowed' },
    { name: 'a snapshot', run: () => client.createSnapshot(OWN), reason: 'operation-unknown' }
  ]
  return { allowed, refused }
}

/** The client takes plain objects for messages, but its types want those within messages branded. */
function plain<T extends object>(api: T): { readonly [method in keyof T]: (message: object) => Promise<unknown> } {
  return api as never
}

export function grpcSteps(port: number): { readonly allowed: readonly Step[]; readonly refused: readonly Refused[] } {
  const client = new GrpcClient({ url: `http://127.0.0.1:${port}`, apiKey, checkCompatibility: false })
  const [points, collections] = [plain(client.api('points')), plain(client.api('collections'))]
  const own = { collectionName: OWN }
  const shared = { collectionName: 'shared' }
  const dense = (data: readonly number[]) => ({ variant: { case: 'nearest', value: { variant: { case: 'dense', value: { data } } } } })
  const text = (value: string) => ({ kind: { case: 'stringValue', value } })
  const pin = (tenant: string) => ({
    must: [{ conditionOneOf: { case: 'field', value: { key: 'tenant_id', match: { matchValue: { case: 'keyword', value: tenant } } } } }]
  })
  const id = { pointIdOptions: { case: 'num', value: 1n } }
  const point = (data: readonly number[]) => ({
    id,
    payload: { tenant_id: text('acme'), page: { kind: { case: 'integerValue', value: 1n } } },
    vectors: { vectorsOptions: { case: 'vector', value: { vector: { case: 'dense', value: { data } } } } }
  })
  const size = { vectorsConfig: { config: { case: 'params', value: { size: BigInt(LONG), distance: 1 } } } }
  const allowed: Step[] = [
    { name: 'create collection', run: () => collections.create({ ...own, ...size }) },
    { name: 'get collection', run: () => collections.get(own) },
    { name: 'upsert, compressed', run: () => points.upsert({ ...own, wait: true, points: [point(long)] }) },
    { name: 'query, compressed', run: () => points.query({ ...own, query: dense(long), limit: 3n }) },
    { name: 'get', run: () => points.get({ ...own, ids: [id] }) },
    { name: 'scroll', run: () => points.scroll({ ...own, limit: 7 }) },
    { name: 'count', run: () => points.count({ ...own, exact: true }) },
    { name: 'drop collection', run: () => collections.delete(own) },
    { name: 'insert, shared', run: () => points.upsert({ ...shared, points: [point(vector)], updateMode: 1 }) },
    { name: 'query, shared', run: () => points.query({ ...shared, query: dense(vector), filter: pin('acme'), limit: 3n }) },
    {
      name: 'delete, shared',
      run: () => points.delete({ ...shared, points: { pointsSelectorOneOf: { case: 'filter', value: pin('acme') } } })
    }
  ]
  const refused: Refused[] = [
    {
      name: "globex's collection",
      run: () => points.query({ collectionName: 'docs_globex', query: dense(vector), limit: 3n }),
      reason: 'tenant-not-allowed'
    },
    {
      name: "globex's collection, compressed",
      run: () => points.query({ collectionName: 'docs_globex', query: dense(long), limit: 3n }),
      reason: 'tenant-not-allowed'
    },
    {
      name: "globex's filter",
      run: () => points.query({ ...shared, query: dense(vector), filter: pin('globex'), limit: 3n }),
      reason: 'tenant-not-allowed'
    },
    { name: 'no filter', run: () => points.query({ ...shared, query: dense(vector), limit: 3n }), reason: 'tenant-not-named' },
    { name: 'a record by id', run: () => points.get({ ...shared, ids: [id] }), reason: 'tenant-not-named' },
    { name: 'all collections', run: () => collections.list({}), reason: 'tenant-not-named|collection-not-allowed' }
  ]
  return { allowed, refused }
}
