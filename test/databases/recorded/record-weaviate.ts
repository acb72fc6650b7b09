/**
 * Records what the official JavaScript client sends, for `weaviate.recorded.test.ts`, against a server 1.35 of one's own:
 *
 *   go install github.com/weaviate/weaviate/cmd/weaviate-server@v1.35.2
 *   PERSISTENCE_DATA_PATH=DIR CLUSTER_HOSTNAME=node1 CLUSTER_ADVERTISE_ADDR=127.0.0.1 RAFT_BOOTSTRAP_EXPECT=1 RAFT_JOIN=node1:8300 \
 *     AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED=true weaviate-server --host 127.0.0.1 --port 18080 --scheme http
 *   node test/databases/recorded/record-weaviate.ts http://127.0.0.1:18080 http://127.0.0.1:50051
 *   UPDATE=1 vitest run --project unit test/databases/weaviate.recorded.test.ts     # writes what the dialect reads; review it
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, request } from 'node:http'
import http2, { type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import weaviate, { Filters, type WeaviateClient } from 'weaviate-client'

interface Recorded {
  readonly method: string
  readonly target: string
  readonly headers: Record<string, string>
  readonly body: string | null
  /** Of a gRPC call: its frames. */
  readonly base64?: string
}

const rest = new URL(process.argv[2] ?? 'http://127.0.0.1:18080')
const grpc = process.argv[3] ?? 'http://127.0.0.1:50051'
const version = JSON.parse(readFileSync(new URL('../../../node_modules/weaviate-client/package.json', import.meta.url), 'utf8')).version
const folder = new URL(`weaviate/${version}/`, import.meta.url)
const heard: Recorded[] = []

const restRecorder = createServer(async (incoming, answer) => {
  const body = await bytesOf(incoming)
  const { method = '', url = '', rawHeaders } = incoming
  const headers: Record<string, string> = {}
  for (let index = 0; index < rawHeaders.length; index += 2) headers[(rawHeaders[index] ?? '').toLowerCase()] = rawHeaders[index + 1] ?? ''
  heard.push({ method, target: url, headers, body: body.length === 0 ? null : body.toString() })
  const { hostname, port } = rest
  const forward = request({ hostname, port, method, path: url, headers: incoming.headers }, (from) => {
    answer.writeHead(from.statusCode ?? 502, from.headers)
    from.pipe(answer)
  })
  forward.end(body)
})

const grpcRecorder = http2.createServer()
const upstream = http2.connect(grpc)
grpcRecorder.on('stream', async (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
  const body = await bytesOf(stream)
  const plain = Object.entries(headers).flatMap(([name, value]) => (name.startsWith(':') ? [] : [[name, String(value)] as const]))
  heard.push({
    method: String(headers[':method']),
    target: String(headers[':path']),
    headers: Object.fromEntries(plain),
    body: null,
    base64: body.toString('base64')
  })
  const forward = upstream.request({ ':method': 'POST', ':path': String(headers[':path']), ...Object.fromEntries(plain) })
  // An error comes as headers alone.
  forward.on('response', (from) => stream.respond(from, from['grpc-status'] === undefined ? { waitForTrailers: true } : { endStream: true }))
  let trailers: IncomingHttpHeaders = {}
  forward.on('trailers', (from) => {
    trailers = from
  })
  stream.on('wantTrailers', () => stream.sendTrailers(trailers))
  forward.on('data', (chunk) => stream.write(chunk))
  forward.on('end', () => stream.closed || stream.end())
  forward.end(body)
})

async function bytesOf(message: AsyncIterable<Buffer> | IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of message) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** Writes the requests of one step; what the local server does not do is recorded all the same. */
async function step<T>(name: string, act: () => Promise<T> | T): Promise<T | undefined> {
  heard.length = 0
  let result: T | undefined
  try {
    result = await act()
  } catch (cause) {
    process.stdout.write(`${name}: ${String((cause as Error).message).slice(0, 200)}\n`)
  }
  for (const [index, one] of heard.entries()) {
    const file = new URL(heard.length === 1 ? `${name}.json` : `${name}-${index + 1}.json`, folder)
    writeFileSync(file, `${JSON.stringify({ request: one, want: null }, null, 2)}\n`)
  }
  return result
}

const ID = (last: number) => `00000000-0000-4000-8000-${String(last).padStart(12, '0')}`
const VECTOR = [0.25, -0.5, 1]

async function record(port: number, grpcPort: number): Promise<void> {
  const client = await step('connect', () =>
    weaviate.connectToCustom({ httpHost: '127.0.0.1', httpPort: port, httpSecure: false, grpcHost: '127.0.0.1', grpcPort, grpcSecure: false })
  )
  if (client === undefined) throw new Error('no client to go on with')
  await step('is-live', () => client.isLive())
  await step('is-ready', () => client.isReady())
  await step('meta', () => client.getMeta())
  await define(client)
  await write(client)
  await refer(client)
  await search(client)
  await searchOddly(client)
  await aggregate(client)
  await operate(client)
  await step('delete-class', () => client.collections.delete('Pair'))
  await client.close()
}

async function define(client: WeaviateClient): Promise<void> {
  const { configure } = weaviate
  await step('create-class', () =>
    client.collections.create({
      name: 'Author',
      properties: [{ name: 'name', dataType: configure.dataType.TEXT }],
      vectorizers: configure.vectors.selfProvided(),
      multiTenancy: configure.multiTenancy({ enabled: true, autoTenantCreation: true })
    })
  )
  await step('create-class-full', () =>
    client.collections.create({
      name: 'Doc',
      description: 'pages',
      properties: [
        { name: 'title', dataType: configure.dataType.TEXT, indexSearchable: true, tokenization: 'word' },
        { name: 'page', dataType: configure.dataType.INT, indexRangeFilters: true },
        { name: 'tags', dataType: configure.dataType.TEXT_ARRAY },
        { name: 'scores', dataType: configure.dataType.NUMBER_ARRAY },
        { name: 'place', dataType: configure.dataType.GEO_COORDINATES },
        { name: 'origin', dataType: configure.dataType.OBJECT, nestedProperties: [{ name: 'shelf', dataType: configure.dataType.TEXT }] }
      ],
      references: [{ name: 'hasAuthor', targetCollection: 'Author' }],
      vectorizers: configure.vectors.selfProvided({ vectorIndexConfig: configure.vectorIndex.hnsw({ distanceMetric: 'cosine' }) }),
      multiTenancy: configure.multiTenancy({ enabled: true, autoTenantCreation: true })
    })
  )
  const named = [configure.vectors.selfProvided({ name: 'title' }), configure.vectors.selfProvided({ name: 'body' })]
  await step('create-class-named-vectors', () => client.collections.create({ name: 'Couple', vectorizers: named }))
  // Sent with the keys multiVector and multivector in one object.
  await step('create-class-multi-vectors', () =>
    client.collections.create({ name: 'Pair', vectorizers: [...named, configure.multiVectors.selfProvided({ name: 'parts' })] })
  )
  await step('create-class-with-module', () =>
    client.collections.create({ name: 'Moduled', vectorizers: configure.vectors.text2VecOpenAI({ baseURL: 'https://models.example.org' }) })
  )
  await step('list-classes', () => client.collections.listAll())
  await step('class-exists', () => client.collections.exists('Doc'))
  const docs = client.collections.use('Doc')
  await step('get-class', () => docs.config.get())
  await step('add-property', () => docs.config.addProperty({ name: 'source', dataType: 'text' }))
  await step('add-reference', () => docs.config.addReference({ name: 'cites', targetCollection: 'Doc' }))
  await step('update-class', () => docs.config.update({ invertedIndex: weaviate.reconfigure.invertedIndex({ bm25k1: 1.3 }) }))
  await step('create-tenants', () => docs.tenants.create([{ name: 'acme' }, { name: 'globex' }]))
  await step('list-tenants', () => docs.tenants.get())
  await step('get-tenants', () => docs.tenants.getByNames(['acme', 'globex']))
  await step('get-tenant', () => docs.tenants.getByName('acme'))
  await step('update-tenants', () => docs.tenants.update([{ name: 'globex', activityStatus: 'INACTIVE' }]))
  await step('remove-tenants', () => docs.tenants.remove(['globex']))
}

async function write(client: WeaviateClient): Promise<void> {
  const acme = client.collections.use('Doc').withTenant('acme')
  await step('insert', () => acme.data.insert({ id: ID(1), properties: { title: 'one', page: 1, tags: ['x', 'y'] }, vectors: VECTOR }))
  await step('insert-geo', () =>
    acme.data.insert({ id: ID(2), properties: { place: { latitude: 1.5, longitude: 2.5 }, origin: { shelf: 'A' } }, vectors: VECTOR })
  )
  await step('insert-many', () =>
    acme.data.insertMany([
      { id: ID(3), properties: { title: 'three', page: 3, tags: ['x'], scores: [0.5, 1.5], origin: { shelf: 'B' } }, vectors: VECTOR },
      { id: ID(4), properties: { title: 'zwei äöü', page: 4, tags: [], place: { latitude: 1.5, longitude: 2.5 } }, vectors: [1, 2, 3] }
    ])
  )
  await step('replace', () => acme.data.replace({ id: ID(1), properties: { title: 'uno' }, vectors: [1, 0, 0] }))
  await step('update', () => acme.data.update({ id: ID(1), properties: { page: 2 } }))
  await step('exists', () => acme.data.exists(ID(1)))
  await step('delete-by-id', () => acme.data.deleteById(ID(2)))
  await step('delete-many', () => acme.data.deleteMany(acme.filter.byProperty('page').greaterThan(3)))
  await step('delete-many-verbose', () => acme.data.deleteMany(acme.filter.byId().equal(ID(9)), { verbose: true, dryRun: true }))
  const pairs = client.collections.use('Pair')
  await step('insert-named-vectors', () => pairs.data.insert({ id: ID(5), vectors: { title: VECTOR, body: [1, 0], parts: [[1, 2], [3, 4]] } }))
  await step('insert-many-named-vectors', () => pairs.data.insertMany([{ id: ID(6), vectors: { title: VECTOR, body: [0, 1] } }]))
  // Sent as two vectors with one name, of which the server keeps the last.
  await step('insert-many-multi-vectors', () => pairs.data.insertMany([{ id: ID(6), vectors: { parts: [[1, 2], [3, 4]] } }]))
}

async function refer(client: WeaviateClient): Promise<void> {
  const authors = client.collections.use('Author').withTenant('acme')
  await step('insert-author', () => authors.data.insert({ id: ID(20), properties: { name: 'Ada' } }))
  const acme = client.collections.use('Doc').withTenant('acme')
  const to = ID(20)
  await step('insert-with-reference', () => acme.data.insert({ id: ID(7), properties: { title: 'seven' }, references: { hasAuthor: to } }))
  await step('insert-many-with-reference', () =>
    acme.data.insertMany([{ id: ID(8), properties: { title: 'eight' }, references: { hasAuthor: to } }])
  )
  await step('reference-add', () => acme.data.referenceAdd({ fromProperty: 'hasAuthor', fromUuid: ID(3), to }))
  await step('reference-add-to-class', () =>
    acme.data.referenceAdd({ fromProperty: 'hasAuthor', fromUuid: ID(3), to: { uuids: to, targetCollection: 'Author' } })
  )
  await step('reference-add-many', () => acme.data.referenceAddMany([{ fromProperty: 'hasAuthor', fromUuid: ID(3), to }]))
  await step('reference-replace', () => acme.data.referenceReplace({ fromProperty: 'hasAuthor', fromUuid: ID(3), to }))
  await step('reference-delete', () => acme.data.referenceDelete({ fromProperty: 'hasAuthor', fromUuid: ID(3), to }))
}

async function search(client: WeaviateClient): Promise<void> {
  const acme = client.collections.use('Doc').withTenant('acme')
  await step('fetch-objects', () => acme.query.fetchObjects({ limit: 3, offset: 1, sort: acme.sort.byProperty('page' as never, false) }))
  await step('fetch-object-by-id', () => acme.query.fetchObjectById(ID(3), { includeVector: true }))
  await step('iterate', async () => {
    for await (const _ of acme.iterator()) break
  })
  await step('near-vector', () => acme.query.nearVector(VECTOR, { limit: 5, returnMetadata: ['distance'], returnProperties: ['title'] }))
  await step('near-vector-with-vectors', () =>
    acme.query.nearVector(VECTOR, {
      limit: 5,
      distance: 0.7,
      includeVector: true,
      filters: Filters.and(acme.filter.byProperty('page').greaterThan(0), acme.filter.byProperty('tags').containsAny(['x']))
    })
  )
  await step('near-vector-grouped', () =>
    acme.query.nearVector(VECTOR, { limit: 10, groupBy: { property: 'title', numberOfGroups: 4, objectsPerGroup: 5 } })
  )
  await step('near-object', () => acme.query.nearObject(ID(3), { limit: 2 }))
  await step('bm25', () => acme.query.bm25('three', { limit: 4, queryProperties: ['title'] }))
  await step('hybrid', () => acme.query.hybrid('three', { vector: VECTOR, alpha: 0.5, limit: 4 }))
  await step('hybrid-keywords', () => acme.query.hybrid('three', { alpha: 0, limit: 4 }))
  await step('with-references', () =>
    acme.query.fetchObjects({ limit: 2, returnReferences: [{ linkOn: 'hasAuthor', returnProperties: ['name'], includeVector: true }] })
  )
  const pairs = client.collections.use('Pair')
  await step('near-named-vector', () => pairs.query.nearVector(VECTOR, { targetVector: 'title', includeVector: ['title'] }))
  await step('near-several-vectors', () =>
    pairs.query.nearVector({ title: VECTOR, body: [1, 0] }, { targetVector: pairs.multiTargetVector.average(['title', 'body']) })
  )
  await step('near-multi-vector', () => pairs.query.nearVector([[1, 2], [3, 4]], { targetVector: 'parts' }))
}

/** What a module would have to answer, or what walks elsewhere. */
async function searchOddly(client: WeaviateClient): Promise<void> {
  const acme = client.collections.use('Doc').withTenant('acme')
  await step('near-text', () => acme.query.nearText('three', { limit: 2 }))
  await step('near-image', () => acme.query.nearImage(Buffer.from('hello')))
  await step('hybrid-without-vector', () => acme.query.hybrid('three', { limit: 2 }))
  await step('generate', () => acme.generate.fetchObjects({ singlePrompt: 'Tell me about {title}' }, { limit: 1 }))
  await step('rerank', () => acme.query.bm25('three', { rerank: { property: 'title', query: 'x' } }))
  await step('filter-by-reference', () =>
    acme.query.fetchObjects({ filters: acme.filter.byRef('hasAuthor').byProperty('name').equal('Ada') })
  )
  await step('filter-by-reference-count', () => acme.query.fetchObjects({ filters: acme.filter.byRefCount('hasAuthor').greaterThan(0) }))
}

async function aggregate(client: WeaviateClient): Promise<void> {
  const acme = client.collections.use('Doc').withTenant('acme')
  await step('aggregate-over-all', () => acme.aggregate.overAll())
  await step('aggregate-properties', () =>
    acme.aggregate.overAll({
      returnMetrics: [acme.metrics.aggregate('page').integer(['mean', 'maximum']), acme.metrics.aggregate('title').text(['count', 'topOccurrencesValue'])]
    })
  )
  await step('aggregate-near-vector', () => acme.aggregate.nearVector(VECTOR, { objectLimit: 10 }))
  await step('aggregate-grouped', () => acme.aggregate.groupBy.overAll({ groupBy: { property: 'title', limit: 7 } }))
  await step('count', () => acme.length())
}

/** What is for operators. */
async function operate(client: WeaviateClient): Promise<void> {
  await step('alias-create', () => client.alias.create({ alias: 'Pages', collection: 'Doc' }))
  await step('alias-list', () => client.alias.listAll())
  await step('nodes', () => client.cluster.nodes())
  await step('shards', () => client.collections.use('Doc').config.getShards())
  await step('backup', () => client.backup.create({ backupId: 'one', backend: 'filesystem' }))
}

mkdirSync(folder, { recursive: true })
restRecorder.listen(0, '127.0.0.1', () => {
  grpcRecorder.listen(0, '127.0.0.1', async () => {
    await record((restRecorder.address() as AddressInfo).port, (grpcRecorder.address() as AddressInfo).port)
    process.exit()
  })
})
