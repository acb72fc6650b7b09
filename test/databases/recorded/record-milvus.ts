/**
 * Records what the official Node SDK sends, for `milvus.recorded.test.ts`:
 *
 *   milvus-lite server --data-dir DIR --host 127.0.0.1 --port 19530
 *   node test/databases/recorded/record-milvus.ts http://127.0.0.1:19530
 *   UPDATE=1 vitest run --project unit test/databases/milvus.recorded.test.ts     # writes what the dialect reads; review it
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect, createServer, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { DataType, MilvusClient, RRFRanker } from '@zilliz/milvus2-sdk-node'

const sdk = JSON.parse(readFileSync(new URL('../../../node_modules/@zilliz/milvus2-sdk-node/package.json', import.meta.url), 'utf8'))
const folder = new URL(`milvus/${sdk.version}/`, import.meta.url)
const upstream = connect(process.argv[2] ?? 'http://127.0.0.1:19530')
let heard: { readonly target: string; readonly headers: Record<string, string>; readonly body: string }[] = []

const recorder = createServer()
recorder.on('stream', (stream, headers) => void pass(stream, headers))

async function pass(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): Promise<void> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  const body = Buffer.concat(chunks)
  const plain = Object.entries(headers).filter(([name]) => !name.startsWith(':') && name !== 'authorization') as [string, string][]
  heard.push({ target: String(headers[':path']), headers: Object.fromEntries(plain), body: body.toString('base64') })
  const forward = upstream.request({ ...headers, ':authority': undefined })
  forward.on('response', (answer) => {
    stream.respond({ ':status': 200, ...Object.fromEntries(Object.entries(answer).filter(([name]) => !name.startsWith(':'))) }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers(trailers))
    forward.pipe(stream)
  })
  let trailers: Record<string, string> = {}
  forward.on('trailers', (sent) => {
    trailers = Object.fromEntries(Object.entries(sent)) as Record<string, string>
  })
  forward.end(body)
}

/** Writes the calls of one step; what the local server does not do is recorded all the same. */
async function step<T>(name: string, act: () => Promise<T>): Promise<void> {
  heard = []
  await act().catch((cause: Error) => process.stdout.write(`${name}: ${cause.message.split('\n')[0]}\n`))
  for (const [index, request] of heard.entries()) {
    const file = new URL(heard.length === 1 ? `${name}.json` : `${name}-${index + 1}.json`, folder)
    writeFileSync(file, `${JSON.stringify({ request, want: null }, null, 2)}\n`)
  }
}

const name = 'handbook'
/** As docs/milvus.md asks for it: everything but the tenant and the vector in one JSON object. */
const row = (page: number) => ({ tenant: 'acme', doc: { page, text: `page ${page} äöü` }, embedding: [0.25, -0.5, page, 1] })
const pinned = 'tenant == "acme"'

async function collections(client: MilvusClient): Promise<void> {
  await client.dropCollection({ collection_name: name })
  await step('create-collection', () =>
    client.createCollection({
      collection_name: name,
      fields: [
        { name: 'id', data_type: DataType.Int64, is_primary_key: true, autoID: true },
        { name: 'tenant', data_type: DataType.VarChar, max_length: 64, is_partition_key: true },
        { name: 'embedding', data_type: DataType.FloatVector, dim: 4 }
      ],
      enable_dynamic_field: true,
      consistency_level: 'Strong'
    })
  )
  await step('create-index', () =>
    client.createIndex({ collection_name: name, field_name: 'embedding', index_name: 'e', index_type: 'FLAT', metric_type: 'COSINE' })
  )
  await step('describe-index', () => client.describeIndex({ collection_name: name }))
  await step('load', () => client.loadCollection({ collection_name: name }))
  await step('load-sync', () => client.loadCollectionSync({ collection_name: name }))
  await step('load-state', () => client.getLoadState({ collection_name: name }))
  await step('loading-progress', () => client.getLoadingProgress({ collection_name: name }))
  await step('has-collection', () => client.hasCollection({ collection_name: name }))
  await step('describe-collection', () => client.describeCollection({ collection_name: name, cache: false }))
  await step('list-collections', () => client.showCollections())
  await step('statistics', () => client.getCollectionStatistics({ collection_name: name }))
}

async function records(client: MilvusClient): Promise<void> {
  const where = { collection_name: name }
  await step('insert', () => client.insert({ ...where, data: [row(1), row(2), row(3)] }))
  await step('insert-flat', () => client.insert({ ...where, data: [{ tenant: 'acme', page: 1, embedding: [1, 2, 3, 4] }] }))
  await step('flush', () => client.flush({ collection_names: [name] }))
  await step('search', () => client.search({ ...where, data: [0.5, 1, 0, -1], limit: 3, filter: pinned }))
  await step('search-full', () =>
    client.search({
      ...where,
      data: [
        [0.5, 1, 0, -1],
        [1, 0, 0, 0]
      ],
      anns_field: 'embedding',
      limit: 5,
      offset: 1,
      filter: `${pinned} and doc["page"] in [1, 2]`,
      params: { nprobe: 8 },
      output_fields: ['doc', 'id'],
      metric_type: 'COSINE'
    })
  )
  await step('search-templates', () =>
    client.search({ ...where, data: [0.5, 1, 0, -1], limit: 3, filter: `${pinned} and doc["page"] in {pages}`, exprValues: { pages: [1, 2] } })
  )
  await step('search-vectors', () => client.search({ ...where, data: [0.5, 1, 0, -1], limit: 3, output_fields: ['*'] }))
  await step('hybrid-search', () =>
    client.hybridSearch({
      ...where,
      data: [
        { data: [0.5, 1, 0, -1], anns_field: 'embedding', expr: pinned, params: { nprobe: 2 } },
        { data: [1, 0, 0, 0], anns_field: 'embedding', expr: `doc["page"] > 1 && ${pinned}` }
      ],
      limit: 4,
      rerank: RRFRanker(60),
      output_fields: ['doc']
    })
  )
  await step('query', () => client.query({ ...where, filter: `${pinned} and doc["page"] > 1`, output_fields: ['doc'], limit: 10 }))
  await step('count', () => client.count({ ...where, expr: pinned }))
  await step('get', () => client.get({ ...where, ids: [1, 2], output_fields: ['doc'] }))
  await step('query-iterator', async () => {
    for await (const _ of await client.queryIterator({ ...where, batchSize: 2, filter: pinned, output_fields: ['doc'] })) break
  })
  await step('search-iterator', async () => {
    for await (const _ of await client.searchIterator({ ...where, data: [0.5, 1, 0, -1], batchSize: 2, expr: pinned })) break
  })
  await step('upsert', () => client.upsert({ ...where, data: [{ id: 1, ...row(4) }] }))
  await step('delete', () => client.delete({ ...where, filter: `${pinned} and doc["page"] == 4` }))
  await step('delete-ids', () => client.delete({ ...where, ids: [1] }))
}

async function partitions(client: MilvusClient): Promise<void> {
  const where = { collection_name: 'shared', partition_name: 'acme' }
  await client.dropCollection({ collection_name: 'shared' })
  await client.createCollection({
    collection_name: 'shared',
    fields: [
      { name: 'id', data_type: DataType.Int64, is_primary_key: true },
      { name: 'vector', data_type: DataType.FloatVector, dim: 4 }
    ]
  })
  await step('create-partition', () => client.createPartition(where))
  await step('has-partition', () => client.hasPartition(where))
  await step('list-partitions', () => client.showPartitions({ collection_name: 'shared' }))
  await step('load-partitions', () => client.loadPartitions({ collection_name: 'shared', partition_names: ['acme'] }))
  await step('insert-partition', () => client.insert({ ...where, data: [{ id: 1, vector: [1, 2, 3, 4] }] }))
  await step('search-partition', () =>
    client.search({ collection_name: 'shared', partition_names: ['acme'], data: [1, 2, 3, 4], limit: 2 })
  )
  await step('release-partitions', () => client.releasePartitions({ collection_name: 'shared', partition_names: ['acme'] }))
  await step('drop-partition', () => client.dropPartition(where))
}

async function record(port: number): Promise<void> {
  mkdirSync(folder, { recursive: true })
  const address = `127.0.0.1:${port}`
  let client = new MilvusClient({ address })
  await step('connect', async () => {
    await client.connectPromise
    await new Promise((wake) => setTimeout(wake, 3000))
  })
  await collections(client)
  await records(client)
  await partitions(client)
  await step('health', () => client.checkHealth())
  await step('version', () => client.getVersion())
  await step('create-alias', () => client.createAlias({ collection_name: name, alias: 'books' }))
  await step('list-databases', () => client.listDatabases())
  await step('release', () => client.releaseCollection({ collection_name: name }))
  await step('drop-index', () => client.dropIndex({ collection_name: name, index_name: 'e' }))
  await step('drop-collection', () => client.dropCollection({ collection_name: name }))
  await client.closeConnection()
  client = new MilvusClient({ address, database: 'acme', username: 'recorder', password: 'not-a-secret' })
  await step('database-connect', () => client.connectPromise)
  await step('database-search', () => client.search({ collection_name: name, data: [1, 2, 3, 4], limit: 2 }))
  await client.closeConnection()
}

recorder.listen(0, '127.0.0.1', async () => {
  await record((recorder.address() as AddressInfo).port)
  recorder.close()
  upstream.close()
  process.exit(0)
})
