/**
 * The official Node SDK of Milvus, unchanged, through an agent's Envoy and the gateway, to a real server (milvus-lite): what it must be
 * able to do for two tenants, and each way to reach another tenant that works on the bare server.
 */
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { DataType, MilvusClient, RRFRanker } from '@zilliz/milvus2-sdk-node'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { SUPPORT, TRIALS } from '../../demo/identities.ts'
import { startSidecar } from '../../demo/keep.ts'
import { type Stack, startStack } from '../../demo/stack.ts'
import { MILVUS_LITE_VERSION, whyLeftOut } from '../../setup/components.ts'
import { BODY_BYTES_MAX } from '../../src/core/limits.ts'
import { group, named, pair, SERVICE } from '../databases/milvus-call.ts'
import { chunk, frame, number } from '../databases/protobuf-write.ts'
import { callGrpc, type GrpcAsk } from './support/grpc-call.ts'

const leftOut = whyLeftOut('milvus-lite')
const AUTHORITY = 'milvus.demo.vecauthz.test'
const TENANTS = { acme: SUPPORT, globex: TRIALS } as const
type Tenant = keyof typeof TENANTS

let stack: Stack
const ports = new Map<Tenant, number>()
/** Each in the tenant's own database. */
const clients = new Map<Tenant, MilvusClient>()
/** Of acme, in the database with the shared collection: the SDK writes its database beside every call. */
let acme: MilvusClient
const stops: (() => Promise<unknown>)[] = []

async function connected(as: Tenant, database: string): Promise<MilvusClient> {
  const client = new MilvusClient({ address: `127.0.0.1:${ports.get(as)}`, database, maxRetries: 1, logLevel: 'error' })
  stops.push(() => client.closeConnection())
  await client.connectPromise
  return client
}

beforeAll(async () => {
  if (leftOut !== undefined) return
  stack = await startStack({
    folder: join(import.meta.dirname, '../../.run/test-milvus'),
    say: () => undefined,
    databases: ['milvus'],
    policy: (document) => {
      document.budget = { per_second: 1000, burst: 10_000 }
      // What it takes to drop something is in approvals.test.ts.
      delete document.approvals
    }
  })
  for (const [tenant, id] of Object.entries(TENANTS) as [Tenant, string][]) {
    const sidecar = await startSidecar(stack, id)
    stops.push(sidecar.stop)
    ports.set(tenant, sidecar.portOf('milvus'))
    clients.set(tenant, await connected(tenant, `db_${tenant}`))
  }
  acme = await connected('acme', 'default')
})
afterAll(async () => {
  for (const stop of stops.reverse()) await stop()
  await stack?.stop()
})
beforeEach(({ skip }) => {
  skip(leftOut !== undefined, leftOut)
  stack.database('milvus').clear()
})

const clientOf = (tenant: Tenant) => clients.get(tenant) as MilvusClient
/** Calls about records that reached the server: not what a collection looks like, which clients ask first, nor signs of life. */
const reached = () =>
  stack
    .database('milvus')
    .seen()
    .filter(({ target }) => !/\/(DescribeCollection|ClientHeartbeat|Connect)$/.test(target))
const VECTOR = [1, 4, 1, 0]
const SHARED = { collection_name: 'shared' }
const pin = (tenant: string) => `tenant == "${tenant}"`
const good = <T extends { readonly status: { readonly error_code: unknown; readonly reason: string } }>(answer: T): T => {
  expect(answer.status).toMatchObject({ error_code: 'Success' })
  return answer
}
/** In an answer to a query a dynamic field comes inside of `$meta`. */
// biome-ignore lint/suspicious/noExplicitAny: the SDK gives rows as they come
const texts = (rows: readonly any[]): string[] => rows.map((row) => String(row.text ?? (row.doc ?? row.$meta?.doc)?.text))

describe.each(Object.keys(TENANTS) as Tenant[])('the client as %s, in a database of its own', (tenant) => {
  const own = { collection_name: 'books' }

  it('connects, and is told what the server is', async () => {
    expect(await clientOf(tenant).getVersion()).toMatchObject({ version: `milvus_lite-${MILVUS_LITE_VERSION}` })
    expect((await clientOf(tenant).checkHealth()).isHealthy).toBe(true)
  })

  it('makes a collection, indexes and loads it', async () => {
    const made = await clientOf(tenant).createCollection({
      ...own,
      fields: [
        { name: 'id', data_type: DataType.Int64, is_primary_key: true },
        { name: 'text', data_type: DataType.VarChar, max_length: 200 },
        { name: 'page', data_type: DataType.Int64 },
        { name: 'embedding', data_type: DataType.FloatVector, dim: 4 }
      ],
      consistency_level: 'Strong'
    })
    expect(made.error_code).toBe('Success')
    const index = { ...own, field_name: 'embedding', index_type: 'FLAT', metric_type: 'L2' }
    expect((await clientOf(tenant).createIndex(index)).error_code).toBe('Success')
    expect((await clientOf(tenant).loadCollectionSync(own)).error_code).toBe('Success')
    expect((await clientOf(tenant).hasCollection(own)).value).toBe(true)
    expect(good(await clientOf(tenant).describeCollection(own)).collection_name).toBe('books')
    expect(
      good(await clientOf(tenant).showCollections())
        .data.map(({ name }) => name)
        .sort()
    ).toEqual(['books', 'docs'])
  })

  it('inserts', async () => {
    const data = Array.from({ length: 200 }, (_, at) => ({ id: at, text: `${tenant} record ${at}`, page: at, embedding: [at, 1, 0, 0] }))
    expect(good(await clientOf(tenant).insert({ ...own, data })).insert_cnt).toBe('200')
    expect(good(await clientOf(tenant).count(own)).data).toBe(200)
  })

  it('searches, plain and filtered', async () => {
    const plain = good(await clientOf(tenant).search({ ...own, data: [5, 1, 0, 0], limit: 3, output_fields: ['text'] }))
    expect(texts(plain.results)[0]).toBe(`${tenant} record 5`)
    const found = await clientOf(tenant).search({
      ...own,
      data: [5, 1, 0, 0],
      limit: 3,
      filter: 'page > 7 and page < 9',
      output_fields: ['text']
    })
    expect(texts(good(found).results)).toEqual([`${tenant} record 8`])
  })

  it('searches in two ways at once', async () => {
    const hybrid = await clientOf(tenant).hybridSearch({
      ...own,
      data: [
        { data: [5, 1, 0, 0], anns_field: 'embedding', params: {} },
        { data: [6, 1, 0, 0], anns_field: 'embedding', expr: 'page > 5', params: {} }
      ],
      limit: 4,
      rerank: RRFRanker(60),
      output_fields: ['text']
    })
    expect(texts(good(hybrid).results)).toContain(`${tenant} record 6`)
  })

  it('queries, gets, upserts, deletes', async () => {
    const query = await clientOf(tenant).query({ ...own, filter: 'page in [1, 2]', output_fields: ['text'], limit: 10 })
    expect(texts(good(query).data).sort()).toEqual([`${tenant} record 1`, `${tenant} record 2`])
    expect(texts(good(await clientOf(tenant).get({ ...own, ids: [3], limit: 1, output_fields: ['text'] })).data)).toEqual([
      `${tenant} record 3`
    ])
    good(await clientOf(tenant).upsert({ ...own, data: [{ id: 3, text: `${tenant} new`, page: 3, embedding: VECTOR }] }))
    expect(texts(good(await clientOf(tenant).get({ ...own, ids: [3], limit: 1, output_fields: ['text'] })).data)).toEqual([`${tenant} new`])
    good(await clientOf(tenant).delete({ ...own, filter: 'page >= 100' }))
    good(await clientOf(tenant).delete({ ...own, ids: [3] }))
    expect(good(await clientOf(tenant).count(own)).data).toBe(99)
  })

  it('drops what it made', async () => {
    expect((await clientOf(tenant).releaseCollection(own)).error_code).toBe('Success')
    expect((await clientOf(tenant).dropCollection(own)).error_code).toBe('Success')
  })

  it('goes to the database that was judged, whatever the client says beside it', async () => {
    const found = good(await clientOf(tenant).query({ collection_name: 'docs', filter: 'page > 0', output_fields: ['text'], limit: 10 }))
    expect(texts(found.data).every((text) => text.startsWith(tenant))).toBe(true)
    expect(reached().map(({ headers }) => headers['dbname'])).toEqual([`db_${tenant}`])
  })
})

describe.each(Object.keys(TENANTS) as Tenant[])('the client as %s, in a collection shared by a field', (tenant) => {
  let client: MilvusClient
  beforeAll(async () => {
    if (leftOut === undefined) client = await connected(tenant, 'default')
  })
  const shared = { collection_name: 'shared' }
  const own = pin(tenant)

  it('searches, plain and filtered, and in two ways at once', async () => {
    const plain = good(await client.search({ ...shared, data: VECTOR, limit: 10, filter: own, output_fields: ['doc'] }))
    expect(texts(plain.results).sort()).toEqual([1, 2, 3].map((page) => `${tenant} page ${page}`))
    const found = good(
      await client.search({ ...shared, data: VECTOR, limit: 10, filter: `${own} and doc["page"] > 2`, output_fields: ['doc'] })
    )
    expect(texts(found.results)).toEqual([`${tenant} page 3`])
    const hybrid = await client.hybridSearch({
      ...shared,
      data: [
        { data: VECTOR, anns_field: 'embedding', expr: own, params: {} },
        { data: [3, 4, 1, 0], anns_field: 'embedding', expr: `doc["page"] > 1 && ${own}`, params: {} }
      ],
      limit: 10,
      rerank: RRFRanker(60),
      output_fields: ['doc']
    })
    expect(texts(good(hybrid).results).sort()).toEqual([1, 2, 3].map((page) => `${tenant} page ${page}`))
  })

  it('inserts, queries, counts, deletes', async () => {
    const data = Array.from({ length: 100 }, (_, at) => ({
      tenant,
      embedding: [at, 1, 0, 0],
      doc: { page: 100 + at, text: `${tenant} ${at}` }
    }))
    expect(good(await client.insert({ ...shared, data })).insert_cnt).toBe('100')
    expect(good(await client.count({ ...shared, expr: own })).data).toBe(103)
    const query = good(await client.query({ ...shared, filter: `${own} and doc["page"] == 105`, output_fields: ['doc'], limit: 10 }))
    expect(texts(query.data)).toEqual([`${tenant} 5`])
    good(await client.delete({ ...shared, filter: `${own} and doc["page"] >= 100` }))
    expect(good(await client.count({ ...shared, expr: own })).data).toBe(3)
  })
})

/** Hits of acme's own search, as many as there are records; none may be another tenant's. */
async function ownHits(): Promise<number> {
  stack.database('milvus').clear()
  const answer = await acme.search({ ...SHARED, data: VECTOR, limit: 10, filter: pin('acme'), output_fields: ['doc'] })
  const found = texts(good(answer).results)
  expect(found.filter((text) => !text.startsWith('acme'))).toEqual([])
  expect(reached()).toHaveLength(1)
  return found.length
}

const query = (more: object) => acme.query({ ...SHARED, output_fields: ['doc'], limit: 10, ...more } as never)
const inner = (expr: string) => ({ data: VECTOR, anns_field: 'embedding', expr, params: {} })
const hybrid = (...filters: readonly string[]) =>
  acme.hybridSearch({ ...SHARED, data: filters.map(inner), limit: 10, rerank: RRFRanker(60), output_fields: ['doc'] })
const record = (tenant: string) => ({ tenant, embedding: VECTOR, doc: { page: 9 } })
/** The SDK then writes two databases, its own and this. */
const foreign = { db_name: 'db_globex', collection_name: 'docs' }

const BY_CLIENT: readonly { readonly name: string; readonly run: () => Promise<unknown>; readonly reason: string }[] = [
  { name: 'a filter undone by or', run: () => query({ filter: `${pin('acme')} or id > 0` }), reason: 'tenant-not-named' },
  {
    name: 'a search undone by or',
    run: () => acme.search({ ...SHARED, data: VECTOR, limit: 9, filter: `${pin('acme')} or id > 0`, output_fields: ['doc'] }),
    reason: 'tenant-not-named'
  },
  { name: 'no filter', run: () => query({ filter: '' }), reason: 'tenant-not-named' },
  { name: "globex's filter", run: () => query({ filter: pin('globex') }), reason: 'tenant-not-allowed' },
  { name: 'a filter for both', run: () => query({ filter: 'tenant in ["acme", "globex"]' }), reason: 'tenant-not-named' },
  { name: 'a hybrid search with one request for globex', run: () => hybrid(pin('acme'), pin('globex')), reason: 'tenant-not' },
  { name: 'a hybrid search with one request for all', run: () => hybrid(pin('acme'), ''), reason: 'tenant-not' },
  {
    name: 'an upsert over a key',
    run: () => acme.upsert({ ...SHARED, data: [{ id: 1, ...record('acme') }] }),
    reason: 'tenant-not-named'
  },
  {
    name: 'a record of globex among its own',
    run: () => acme.insert({ ...SHARED, data: [record('acme'), record('globex')] }),
    reason: 'tenant-not-named'
  },
  { name: 'a get by keys', run: () => acme.get({ ...SHARED, ids: [1], output_fields: ['doc'] }), reason: 'tenant-not-named' },
  { name: 'a deletion by keys', run: () => acme.delete({ ...SHARED, ids: [1] }), reason: 'tenant-not-named' },
  { name: 'a shared collection dropped', run: () => acme.dropCollection(SHARED), reason: 'tenant-not-named' },
  {
    name: "a search in globex's database",
    run: () => acme.search({ ...foreign, data: VECTOR, limit: 3, output_fields: ['text'] }),
    reason: 'call-ambiguous'
  },
  {
    name: "globex's database described",
    run: () => acme.describeCollection({ ...foreign, cache: false }),
    reason: 'call-ambiguous'
  },
  { name: 'all databases listed', run: () => acme.listDatabases(), reason: 'operation-unknown' },
  { name: 'an alias made', run: () => acme.createAlias({ collection_name: 'docs', alias: 'shared2' }), reason: 'operation-unknown' }
]

describe("globex's records, asked for by acme's client", () => {
  it.each(BY_CLIENT)('$name', async ({ run, reason }) => {
    await expect(run()).rejects.toThrow(new RegExp(`(PERMISSION_DENIED|INVALID_ARGUMENT): .*"reason":"[a-z-]*(${reason})`))
    expect(reached()).toEqual([])
    expect(await ownHits()).toBe(3)
  })

  it("a client of globex's database", async () => {
    const client = await connected('acme', 'db_globex')
    stack.database('milvus').clear()
    await expect(client.query({ collection_name: 'docs', filter: 'page > 0', output_fields: ['text'], limit: 3 })).rejects.toThrow(
      /PERMISSION_DENIED: .*"reason":"tenant-not-allowed"/
    )
    expect(
      stack
        .database('milvus')
        .seen()
        .filter(({ target }) => !target.endsWith('/ClientHeartbeat'))
    ).toEqual([])
  })

  it('left everything where it was', async () => {
    const client = await connected('globex', 'default')
    expect(good(await client.count({ collection_name: 'shared', expr: pin('globex') })).data).toBe(3)
    expect(good(await clientOf('globex').count({ collection_name: 'docs' })).data).toBe(3)
  })
})

const grpc = ({ message, ...ask }: Partial<Omit<GrpcAsk, 'message'>> & { readonly message: readonly Uint8Array[] | Uint8Array }) =>
  callGrpc(stack.door, stack.credentials(SUPPORT), {
    authority: AUTHORITY,
    path: `${SERVICE}/Search`,
    message: message instanceof Uint8Array ? message : Buffer.concat(message),
    ...ask
  })
/** A search of four dimensions as the SDK writes it, in `docs`; which database says the caller. */
const inDocs = [named('docs'), chunk(6, group([VECTOR])), number(7, 1), number(12, 1), chunk(8, 'text')]
const params = [pair(9, 'anns_field', 'embedding'), pair(9, 'topk', '3'), pair(9, 'metric_type', 'L2'), pair(9, 'params', '{}')]
const search = [...inDocs, ...params]
const gzip = (message: readonly Uint8Array[], headers: Record<string, string>) => ({
  message: Buffer.alloc(0),
  body: frame(gzipSync(Buffer.concat(message)), 1),
  headers: { 'grpc-encoding': 'gzip', ...headers }
})

const BY_GRPC: readonly {
  readonly name: string
  readonly ask: () => Parameters<typeof grpc>[0]
  readonly grpc: number
  readonly says: string
}[] = [
  {
    name: "globex's database in the metadata",
    ask: () => ({ message: search, headers: { dbname: 'db_globex' } }),
    grpc: 7,
    says: 'tenant-not-allowed'
  },
  {
    name: 'the metadata and the message apart',
    ask: () => ({ message: [...search, chunk(2, 'db_globex')], headers: { dbname: 'db_acme' } }),
    grpc: 3,
    says: 'call-ambiguous'
  },
  {
    name: 'the database twice',
    ask: () => ({ message: [...search, chunk(2, 'db_acme'), chunk(2, 'db_globex')] }),
    grpc: 3,
    says: 'call-ambiguous'
  },
  {
    name: "globex's database in a compressed frame",
    ask: () => gzip(search, { dbname: 'db_globex' }),
    grpc: 7,
    says: 'tenant-not-allowed'
  },
  {
    name: 'a field of no version',
    ask: () => ({ message: [...search, number(99, 1)], headers: { dbname: 'db_acme' } }),
    grpc: 3,
    says: 'call-unreadable'
  },
  {
    name: 'two frames',
    ask: () => ({
      message: [],
      body: Buffer.concat([frame(Buffer.concat(search)), frame(Buffer.concat(search))]),
      headers: { dbname: 'db_acme' }
    }),
    grpc: 3,
    says: 'call-ambiguous'
  },
  { name: 'the REST interface', ask: () => ({ message: [], path: '/v2/vectordb/entities/search' }), grpc: 7, says: 'operation-unknown' }
]

describe('what works on the bare server, over gRPC', () => {
  it.each(BY_GRPC)('$name', async ({ ask, grpc: code, says }) => {
    const answer = await grpc(ask())
    expect([answer.http, answer.grpc, answer.said]).toEqual([200, code, expect.stringContaining(says)])
    expect(reached()).toEqual([])
    for (const own of [
      { message: search, headers: { dbname: 'db_acme' } },
      { message: [...search, chunk(2, 'db_acme')] },
      gzip(search, { dbname: 'db_acme' })
    ]) {
      const found = await grpc(own)
      expect([found.grpc, found.body.toString('latin1')]).toEqual([0, expect.stringContaining('acme page 1')])
      expect(found.body.toString('latin1')).not.toContain('globex')
    }
    expect(reached().map(({ headers }) => headers['dbname'])).toEqual(['db_acme', 'db_acme', 'db_acme'])
  })

  // Over HTTP/2 Envoy may ask with the beginning of a body only: vecauthz refuses that.
  it('a search that is larger than its lane takes', async () => {
    const answer = await grpc({ message: [...search, chunk(5, 'x'.repeat(BODY_BYTES_MAX))], headers: { dbname: 'db_acme' } })
    expect([answer.http, answer.grpc > 0, answer.said]).toEqual([200, true, expect.stringContaining('call-too-large')])
    expect(reached()).toEqual([])
  })

  it('an insert that is larger than a search may be takes the lane for writes', async () => {
    const text = 'x'.repeat(180)
    const data = Array.from({ length: 1000 }, (_, at) => ({ id: 1000 + at, text, page: at, embedding: VECTOR, more: 'y'.repeat(1_500) }))
    good(await clientOf('acme').insert({ collection_name: 'docs', data }))
    expect(reached().map(({ bodyBytes }) => bodyBytes > BODY_BYTES_MAX)).toEqual([true])
    good(await clientOf('acme').delete({ collection_name: 'docs', filter: 'id >= 1000' }))
  })
})
