/**
 * Records what the official JavaScript client sends, for `chroma.recorded.test.ts`:
 *
 *   chroma run --path DIR --host 127.0.0.1 --port 8000
 *   node test/databases/recorded/record-chroma.ts http://127.0.0.1:8000
 *   UPDATE=1 vitest run --project unit test/databases/chroma.recorded.test.ts     # writes what the dialect reads; review it
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { AdminClient, ChromaClient, K, Knn, Search } from 'chromadb'

interface Recorded {
  readonly method: string
  readonly target: string
  readonly headers: Record<string, string>
  readonly body: string | null
}

const upstream = new URL(process.argv[2] ?? 'http://127.0.0.1:8000')
const version = JSON.parse(readFileSync(new URL('../../../node_modules/chromadb/package.json', import.meta.url), 'utf8')).version
const folder = new URL(`chroma/${version}/`, import.meta.url)
const heard: Recorded[] = []

const recorder = createServer(async (incoming, answer) => {
  const body = await bytesOf(incoming)
  heard.push(recordOf(incoming, body))
  const { hostname, port } = upstream
  const forward = request({ hostname, port, method: incoming.method, path: incoming.url, headers: incoming.headers }, (from) => {
    answer.writeHead(from.statusCode ?? 502, from.headers)
    from.pipe(answer)
  })
  forward.end(body)
})

async function bytesOf(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of message) chunks.push(chunk)
  return Buffer.concat(chunks)
}

function recordOf({ method = '', url = '', rawHeaders }: IncomingMessage, body: Buffer): Recorded {
  const headers: Record<string, string> = {}
  for (let index = 0; index < rawHeaders.length; index += 2) headers[(rawHeaders[index] ?? '').toLowerCase()] = rawHeaders[index + 1] ?? ''
  return { method, target: url, headers, body: body.length === 0 ? null : body.toString() }
}

/** Writes the requests of one step; what the local server does not implement is recorded all the same. */
async function step<T>(name: string, act: () => Promise<T>): Promise<T | undefined> {
  heard.length = 0
  const result = await act().catch((cause: Error) => void process.stdout.write(`${name}: ${cause.message}\n`))
  for (const [index, one] of heard.entries()) {
    const file = new URL(heard.length === 1 ? `${name}.json` : `${name}-${index + 1}.json`, folder)
    writeFileSync(file, `${JSON.stringify({ request: one, want: null }, null, 2)}\n`)
  }
  return result
}

async function record(port: number): Promise<void> {
  const where = { host: '127.0.0.1', port, ssl: false }
  const admin = new AdminClient(where)
  const tenant = `acme-${Date.now()}`
  await step('create-tenant', () => admin.createTenant({ name: tenant }))
  await step('create-database', () => admin.createDatabase({ name: 'rag', tenant }))
  await step('get-tenant', () => admin.getTenant({ name: tenant }))
  await step('get-database', () => admin.getDatabase({ name: 'rag', tenant }))
  await step('list-databases', () => admin.listDatabases({ tenant, limit: 10, offset: 0 }))

  const client = new ChromaClient({ ...where, tenant, database: 'rag' })
  await step('heartbeat', () => client.heartbeat())
  await step('version', () => client.version())
  await step('create-collection', () => client.createCollection({ name: 'handbook', embeddingFunction: null, metadata: { owner: 'kb' } }))
  const books = await step('get-or-create-collection', () => client.getOrCreateCollection({ name: 'handbook', embeddingFunction: null }))
  if (books === undefined) throw new Error('no collection to go on with')
  await step('get-collection', () => client.getCollection({ name: 'handbook' }))
  await step('list-collections', () => client.listCollections({ limit: 5, offset: 0 }))
  await step('count-collections', () => client.countCollections())

  const ids = ['a', 'b']
  const embeddings = [
    [0.25, -0.5, 1],
    [0.0078125, 3, -1.5]
  ]
  await step('add', () =>
    books.add({
      ids,
      embeddings,
      documents: ['one', 'zwei äöü'],
      metadatas: [
        { page: 1, tags: ['x', 'y'] },
        { page: 2.5, draft: true }
      ]
    })
  )
  await step('upsert', () => books.upsert({ ids, embeddings, uris: ['file:///a', 'file:///b'] }))
  await step('update', () => books.update({ ids: ['a'], metadatas: [{ page: 3 }] }))
  await step('update-embeddings', () => books.update({ ids: ['a'], embeddings: [[1, 2, 3]] }))
  await step('count', () => books.count())
  await step('peek', () => books.peek({ limit: 3 }))
  await step('get', () => books.get({ ids: ['a'], include: ['documents', 'embeddings'] }))
  await step('get-where', () =>
    books.get({ where: { $and: [{ page: { $gte: 1 } }, { tags: { $contains: 'x' } }] }, whereDocument: { $contains: 'uno' }, limit: 7 })
  )
  await step('query', () => books.query({ queryEmbeddings: [[0.1, 0.2, 0.30000001192092896]] }))
  await step('query-full', () =>
    books.query({
      queryEmbeddings: embeddings,
      nResults: 4,
      where: { page: { $in: [1, 2] } },
      ids,
      include: ['distances', 'embeddings', 'metadatas']
    })
  )
  await step('search', () =>
    books.search(
      new Search()
        .where(K('page').gt(0))
        .rank(Knn({ query: [0.1, 0.2, 0.3], limit: 50 }))
        .limit(5)
        .select(K.DOCUMENT, K.SCORE, 'page')
    )
  )
  await step('search-hybrid', () =>
    books.search([
      new Search()
        .rank(
          Knn({ query: [0.1, 0.2, 0.3] })
            .multiply(0.7)
            .add(Knn({ query: { indices: [1, 9], values: [0.5, 0.25] }, key: 'sparse', default: 0 }))
        )
        .limit(3)
        .select(K.EMBEDDING)
    ])
  )
  await step('modify', () => books.modify({ name: 'handbook-2', metadata: { owner: 'team' } }))
  await step('delete', () => books.delete({ ids: ['a'] }))
  await step('delete-where', () => books.delete({ where: { page: { $lt: 9 } } }))
  await step('delete-collection', () => client.deleteCollection({ name: 'handbook-2' }))
  await step('reset', () => client.reset())
  await step('delete-database', () => admin.deleteDatabase({ name: 'rag', tenant }))
}

mkdirSync(folder, { recursive: true })
recorder.listen(0, '127.0.0.1', async () => {
  await record((recorder.address() as AddressInfo).port)
  recorder.close()
  recorder.closeAllConnections()
})
