/**
 * Records what the official JavaScript clients send, for `qdrant.recorded.test.ts`; no Qdrant is needed, for it answers itself:
 *
 *   node test/databases/recorded/record-qdrant.ts
 *   UPDATE=1 vitest run --project unit test/databases/qdrant.recorded.test.ts     # writes what the dialect reads; review it
 *
 * Files whose name begins with `filter-` hold the call as a tenant of a shared collection writes it.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import { createServer as createHttp2Server, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { QdrantClient as GrpcClient } from '@qdrant/js-client-grpc'
import { QdrantClient } from '@qdrant/js-client-rest'

interface Recorded {
  readonly method: string
  readonly target: string
  readonly headers: Record<string, string>
  /** Text of a JSON body; gRPC frames in base64. */
  readonly body: string | null
}

const API_KEY = 'the-database-s-own-key'
let heard: Recorded[] = []

function versionOf(client: string): string {
  return JSON.parse(readFileSync(new URL(`../../../node_modules/@qdrant/${client}/package.json`, import.meta.url), 'utf8')).version
}

async function bytesOf(message: IncomingMessage | ServerHttp2Stream): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of message) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

/** Answers everything in the affirmative; what the client makes of it does not matter. */
const rest = createServer(async (incoming, answer) => {
  const body = await bytesOf(incoming)
  const { method = '', url = '', rawHeaders } = incoming
  const headers: Record<string, string> = {}
  for (let index = 0; index < rawHeaders.length; index += 2) headers[(rawHeaders[index] ?? '').toLowerCase()] = rawHeaders[index + 1] ?? ''
  heard.push({ method, target: url, headers, body: body.length === 0 ? null : body.toString() })
  answer.writeHead(200, { 'content-type': 'application/json' })
  answer.end(JSON.stringify({ title: 'recorder', version: '1.19.0', status: 'ok', time: 0, result: url.endsWith('/exists') ? { exists: true } : true }))
})

/** An empty message is a valid answer of every type. */
const grpc = createHttp2Server()
grpc.on('stream', async (stream, all) => {
  const body = await bytesOf(stream)
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(all)) if (!name.startsWith(':')) headers[name] = String(value)
  heard.push({ method: String(all[':method']), target: String(all[':path']), headers, body: body.toString('base64') })
  stream.respond({ ':status': 200, 'content-type': 'application/grpc+proto' }, { waitForTrailers: true })
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
  stream.end(Buffer.alloc(5))
})

/** Does one step and writes down its requests. */
type Step = (name: string, act: () => Promise<unknown>) => Promise<void>

function stepInto(folder: URL): Step {
  mkdirSync(folder, { recursive: true })
  return async (name, act) => {
    heard = []
    await act().catch((cause: Error) => void process.stdout.write(`${name}: ${cause.message}\n`))
    for (const [index, one] of heard.entries()) {
      const file = new URL(heard.length === 1 ? `${name}.json` : `${name}-${index + 1}.json`, folder)
      // The port changes with every run.
      const headers = { ...one.headers, ...('host' in one.headers && { host: '127.0.0.1:6333' }) }
      writeFileSync(file, `${JSON.stringify({ request: { ...one, headers }, want: null }, null, 2)}\n`)
    }
  }
}

const vector = [0.25, -0.5, 1, 0.0078125]
const tenant = { must: [{ key: 'tenant_id', match: { value: 'acme' } }] }
const records = [
  { id: 1, vector, payload: { tenant_id: 'acme', page: 1, metadata: { source: 'handbook' } } },
  { id: '5c56c793-69f3-4fbf-87e6-c4bf54c28c26', vector, payload: { tenant_id: 'acme', tags: ['a', 'b'] } }
]

async function recordRest(url: string, step: Step): Promise<void> {
  const client = new QdrantClient({ url, apiKey: API_KEY, checkCompatibility: false })
  await step('start', async () => {
    new QdrantClient({ url, apiKey: API_KEY })
    await new Promise((resolve) => setTimeout(resolve, 200))
  })
  await step('version', () => client.versionInfo())
  await step('list-collections', () => client.getCollections())
  await step('create-collection', () => client.createCollection('docs', { vectors: { size: 4, distance: 'Cosine' } }))
  await step('create-collection-named', () =>
    client.createCollection('docs', {
      vectors: { text: { size: 4, distance: 'Dot' } },
      sparse_vectors: { words: { modifier: 'idf' } },
      hnsw_config: { payload_m: 16, m: 0 },
      sharding_method: 'custom'
    })
  )
  await step('create-index', () =>
    client.createPayloadIndex('docs', { field_name: 'tenant_id', field_schema: { type: 'keyword', is_tenant: true }, wait: true })
  )
  await step('collection-exists', () => client.collectionExists('docs'))
  await step('get-collection', () => client.getCollection('docs'))
  await step('update-collection', () => client.updateCollection('docs', { optimizers_config: { indexing_threshold: 10_000 } }))
  await step('upsert', () => client.upsert('docs', { wait: true, points: records }))
  await step('upsert-batch', () =>
    client.upsert('docs', { batch: { ids: [1, 2], vectors: [vector, vector], payloads: [{ page: 1 }, null] }, ordering: 'strong' })
  )
  await step('upsert-named', () =>
    client.upsert('docs', { points: [{ id: 3, vector: { text: vector, words: { indices: [1, 7], values: [0.5, 2] }, rows: [vector, vector] } }] })
  )
  await step('update-vectors', () => client.updateVectors('docs', { points: [{ id: 1, vector }] }))
  await step('query', () => client.query('docs', { query: vector, limit: 3, with_payload: true }))
  await step('query-id', () => client.query('docs', { query: 1 }))
  await step('query-recommend', () => client.query('docs', { query: { recommend: { positive: [1, vector], strategy: 'best_score' } } }))
  await step('query-groups', () => client.queryGroups('docs', { query: vector, group_by: 'page', group_size: 2, limit: 4 }))
  await step('query-lookup', () => client.query('docs', { query: 1, lookup_from: { collection: 'other', vector: 'text' } }))
  await step('hybrid', () =>
    client.query('docs', {
      prefetch: [
        { query: vector, using: 'text', limit: 20 },
        { query: { indices: [1, 7], values: [0.5, 2] }, using: 'words', limit: 20 }
      ],
      query: { fusion: 'rrf' },
      limit: 5
    })
  )
  await step('scroll', () => client.scroll('docs', { limit: 7, with_vector: true, offset: 4 }))
  await step('retrieve', () => client.retrieve('docs', { ids: [1, 2], with_vector: ['text'] }))
  await step('count', () => client.count('docs', { exact: true }))
  await step('delete', () => client.delete('docs', { wait: true, points: [1, 2] }))
  await step('clear-payload', () => client.clearPayload('docs', { points: [1] }))
  await step('collection-of-shard', () => client.query('docs', { query: vector, shard_key: 'acme' }))

  await step('filter-query', () => client.query('docs', { query: vector, filter: tenant, limit: 3, score_threshold: 0.2 }))
  await step('filter-query-batch', () =>
    client.queryBatch('docs', {
      searches: [
        { query: vector, filter: tenant },
        { query: vector, filter: { ...tenant, must_not: [{ key: 'page', range: { gt: 3 } }] }, limit: 30 }
      ]
    })
  )
  await step('filter-hybrid', () =>
    client.query('docs', {
      prefetch: [
        { query: vector, using: 'text', filter: tenant },
        { query: { indices: [1, 7], values: [0.5, 2] }, using: 'words', filter: tenant }
      ],
      query: { fusion: 'dbsf' }
    })
  )
  await step('filter-scroll', () => client.scroll('docs', { filter: tenant, order_by: 'page' }))
  await step('filter-retrieve', () => client.scroll('docs', { filter: { must: [...tenant.must, { has_id: [1, 2] }] } }))
  await step('filter-count', () => client.count('docs', { filter: tenant }))
  await step('filter-facet', () => client.facet('docs', { key: 'page', filter: tenant }))
  await step('filter-matrix', () => client.searchMatrixPairs('docs', { filter: tenant, sample: 5, limit: 2 }))
  await step('filter-upsert', () => client.upsert('docs', { points: records, update_filter: tenant }))
  await step('filter-insert', () => client.upsert('docs', { points: records, update_mode: 'insert_only' }))
  await step('filter-set-payload', () => client.setPayload('docs', { payload: { page: 2 }, filter: tenant }))
  await step('filter-delete-payload', () => client.deletePayload('docs', { keys: ['page'], filter: tenant }))
  await step('filter-delete', () => client.delete('docs', { filter: { must: [...tenant.must, { has_id: [1] }] } }))
  await step('filter-delete-vectors', () => client.deleteVectors('docs', { vector: ['words'], filter: tenant }))
  await step('filter-batch', () =>
    client.batchUpdate('docs', {
      operations: [
        { upsert: { points: records, update_filter: tenant } },
        { set_payload: { payload: { seen: true }, filter: tenant } }
      ]
    })
  )
  await step('delete-collection', () => client.deleteCollection('docs'))
}

/** The client takes plain objects for messages, but its types want those within messages branded. */
function plain<T extends object>(api: T): { readonly [method in keyof T]: (message: object) => Promise<unknown> } {
  return api as never
}

const DIMENSIONS = 384

async function recordGrpc(baseUrl: string, step: Step): Promise<void> {
  const client = new GrpcClient({ url: baseUrl, apiKey: API_KEY, checkCompatibility: false })
  await step('start', async () => {
    new GrpcClient({ url: baseUrl, apiKey: API_KEY })
    await new Promise((resolve) => setTimeout(resolve, 300))
  })
  const points = plain(client.api('points'))
  const collections = plain(client.api('collections'))
  const collectionName = 'docs'
  const pinned = {
    must: [{ conditionOneOf: { case: 'field', value: { key: 'tenant_id', match: { matchValue: { case: 'keyword', value: 'acme' } } } } }]
  } as const
  const dense = (data: number[]) => ({ variant: { case: 'nearest', value: { variant: { case: 'dense', value: { data } } } } }) as const
  const long = Array.from({ length: DIMENSIONS }, (_, index) => Math.fround(Math.sin(index)))
  const text = (value: string) => ({ kind: { case: 'stringValue', value } }) as const
  const point = {
    id: { pointIdOptions: { case: 'num', value: 1n } },
    payload: { tenant_id: text('acme'), page: { kind: { case: 'integerValue', value: 1n } } },
    vectors: { vectorsOptions: { case: 'vector', value: { vector: { case: 'dense', value: { data: vector } } } } }
  } as const

  await step('list-collections', () => collections.list({}))
  await step('create-collection', () =>
    collections.create({ collectionName, vectorsConfig: { config: { case: 'params', value: { size: 4n, distance: 1 } } } })
  )
  await step('create-index', () => points.createFieldIndex({ collectionName, fieldName: 'tenant_id', fieldType: 0, wait: true }))
  await step('collection-exists', () => collections.collectionExists({ collectionName }))
  await step('get-collection', () => collections.get({ collectionName }))
  await step('upsert', () => points.upsert({ collectionName, wait: true, points: [point] }))
  await step('query', () => points.query({ collectionName, query: dense(vector), limit: 3n }))
  await step('query-long', () => points.query({ collectionName, query: dense(long), withPayload: { selectorOptions: { case: 'enable', value: true } } }))
  await step('search', () => points.search({ collectionName, vector, limit: 3n }))
  await step('hybrid', () =>
    points.query({
      collectionName,
      prefetch: [
        { query: dense(vector), using: 'text', limit: 20n },
        {
          query: { variant: { case: 'nearest', value: { variant: { case: 'sparse', value: { indices: [1, 7], values: [0.5, 2] } } } } },
          using: 'words'
        }
      ],
      query: { variant: { case: 'fusion', value: 0 } }
    })
  )
  await step('scroll', () => points.scroll({ collectionName, limit: 7, withVectors: { selectorOptions: { case: 'enable', value: true } } }))
  await step('get', () => points.get({ collectionName, ids: [{ pointIdOptions: { case: 'num', value: 1n } }] }))
  await step('delete', () =>
    points.delete({
      collectionName,
      points: { pointsSelectorOneOf: { case: 'points', value: { ids: [{ pointIdOptions: { case: 'num', value: 1n } }] } } }
    })
  )
  await step('filter-query', () => points.query({ collectionName, query: dense(vector), filter: pinned, limit: 3n }))
  await step('filter-query-long', () => points.query({ collectionName, query: dense(long), filter: pinned }))
  await step('filter-search', () => points.search({ collectionName, vector, filter: pinned, limit: 3n }))
  await step('filter-query-batch', () =>
    points.queryBatch({ collectionName, queryPoints: [{ collectionName, query: dense(vector), filter: pinned }, { query: dense(vector), filter: pinned }] })
  )
  await step('filter-scroll', () => points.scroll({ collectionName, filter: pinned }))
  await step('filter-count', () => points.count({ collectionName, filter: pinned, exact: true }))
  await step('filter-upsert', () => points.upsert({ collectionName, points: [point], updateFilter: pinned }))
  await step('filter-insert', () => points.upsert({ collectionName, points: [point], updateMode: 1 }))
  await step('filter-set-payload', () =>
    points.setPayload({ collectionName, payload: { page: text('two') }, pointsSelector: { pointsSelectorOneOf: { case: 'filter', value: pinned } } })
  )
  await step('filter-delete', () =>
    points.delete({ collectionName, points: { pointsSelectorOneOf: { case: 'filter', value: pinned } } })
  )
  await step('delete-collection', () => collections.delete({ collectionName }))
}

function portOf(server: { address(): unknown }): number {
  return (server.address() as AddressInfo).port
}

await new Promise<void>((resolve) => rest.listen(0, '127.0.0.1', resolve))
await new Promise<void>((resolve) => grpc.listen(0, '127.0.0.1', resolve))
const base = import.meta.url
await recordRest(`http://127.0.0.1:${portOf(rest)}`, stepInto(new URL(`qdrant-rest/${versionOf('js-client-rest')}/`, base)))
await recordGrpc(`http://127.0.0.1:${portOf(grpc)}`, stepInto(new URL(`qdrant-grpc/${versionOf('js-client-grpc')}/`, base)))
process.exit(0)
