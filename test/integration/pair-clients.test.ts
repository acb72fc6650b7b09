/** Official clients, unchanged, through both hops: what they do at first, and a whole life of records, in databases of two kinds. */
import dns from 'node:dns'
import { join } from 'node:path'
import { DataType, MilvusClient } from '@zilliz/milvus2-sdk-node'
import { ChromaClient } from 'chromadb'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { HOST } from '../../demo/identities.ts'
import { type Pair, type PairAgent, startPair } from '../../demo/pair.ts'
import { type Stack, startStack } from '../../demo/stack.ts'
import { question } from '../../demo/step.ts'
import { whyLeftOut } from '../../setup/components.ts'
import { WRITE_BODY_BYTES_MAX } from '../../src/core/limits.ts'

const leftOut = whyLeftOut('milvus-lite')
const databases = leftOut === undefined ? (['milvus'] as const) : []

let stack: Stack
let pair: Pair

beforeAll(async () => {
  const say = () => undefined
  const policy = (document: { budget: object; approvals?: object }) => {
    document.budget = { per_second: 1000, burst: 10_000 }
    // What it takes to drop something is in approvals.test.ts.
    delete document.approvals
  }
  stack = await startStack({ folder: join(import.meta.dirname, '../../.run/test-pair-clients'), say, policy, databases })
  pair = await startPair(stack, { say, databases })
})
afterAll(async () => {
  await pair?.stop()
  await stack?.stop()
})

const portOf = (agent: PairAgent) => pair.agents[agent].port('egress_in')

describe('the client of Chroma', () => {
  const clientOf = (agent: PairAgent, tenant: string) =>
    new ChromaClient({ host: HOST, port: portOf(agent), ssl: false, tenant, database: 'rag' })

  // What a line in the hosts file does: the name of the database leads to the agent's own Envoy.
  const lookup = dns.lookup as (name: string, ...more: unknown[]) => void
  beforeAll(() => {
    const atHome = (name: string, ...more: unknown[]) => lookup(name === HOST ? '127.0.0.1' : name, ...more)
    dns.lookup = atHome as typeof dns.lookup
  })
  afterAll(() => {
    dns.lookup = lookup as typeof dns.lookup
  })

  it('is told that the database is there', async () => {
    expect(await clientOf('indexer', 'acme').heartbeat()).toBeGreaterThan(0)
    expect(await clientOf('trials', 'globex').version()).toBe('1.0.0')
  })

  it('searches its handbook by name, and finds none of another tenant', async () => {
    const { vector, expected } = question('globex')
    const handbook = await clientOf('trials', 'globex').getCollection({ name: 'handbook' })
    const hits = await handbook.query({ queryEmbeddings: [Array.from(vector)], nResults: 3 })
    expect(hits.ids[0]?.[0]).toBe(expected)
    await expect(clientOf('trials', 'acme').getCollection({ name: 'handbook' })).rejects.toThrow('permission')
  })

  it('makes a collection, fills, changes, counts and drops it', async () => {
    const client = clientOf('indexer', 'acme')
    const scratch = await client.createCollection({ name: 'scratch-both', embeddingFunction: null })
    const ids = Array.from({ length: 50 }, (_, at) => `r${at}`)
    await scratch.add({ ids, embeddings: ids.map((_, at) => [Math.cos(at), Math.sin(at), 1]), documents: ids })
    await scratch.update({ ids: ['r1'], metadatas: [{ page: 7 }] })
    await scratch.delete({ ids: ['r0'] })
    expect(await scratch.count()).toBe(49)
    expect((await scratch.get({ ids: ['r1'] })).metadatas).toEqual([{ page: 7 }])
    await client.deleteCollection({ name: 'scratch-both' })
    await expect(client.getCollection({ name: 'scratch-both' })).rejects.toThrow()
  })

  it('sends a batch that is larger than a search may be, by the write lane of both hops', async () => {
    const scratch = await clientOf('indexer', 'acme').createCollection({ name: 'scratch-large', embeddingFunction: null })
    const ids = Array.from({ length: 1_000 }, (_, at) => `r${at}`)
    const documents = ids.map((id) => id.repeat(800))
    const bytes = documents.join('').length
    expect(bytes).toBeGreaterThan(2 * 1_048_576)
    expect(bytes).toBeLessThan(WRITE_BODY_BYTES_MAX)
    await scratch.add({ ids, embeddings: ids.map((_, at) => [at, 1, 0]), documents })
    expect(await scratch.count()).toBe(1_000)
  })
})

describe('the client of Milvus, over gRPC', () => {
  beforeEach(({ skip }) => skip(leftOut !== undefined, leftOut))

  const stops: (() => Promise<unknown>)[] = []
  const connected = async (agent: PairAgent, database?: string) => {
    const channelOptions = { 'grpc.default_authority': `milvus.demo.vecauthz.test:${portOf(agent)}` }
    const address = `127.0.0.1:${portOf(agent)}`
    const client = new MilvusClient({
      address,
      ...(database === undefined ? {} : { database }),
      maxRetries: 1,
      logLevel: 'error',
      channelOptions
    })
    stops.push(() => client.closeConnection())
    await client.connectPromise
    return client
  }
  afterAll(async () => {
    for (const stop of stops) await stop()
  })
  const good = <T extends { readonly status: { readonly error_code: unknown; readonly reason: string } }>(answer: T): T => {
    expect(answer.status).toMatchObject({ error_code: 'Success' })
    return answer
  }

  it.each([
    { agent: 'indexer', tenant: 'acme' },
    { agent: 'trials', tenant: 'globex' }
  ] as const)('searches in the database of $tenant, which it names in a header that the token is about', async ({ agent, tenant }) => {
    const client = await connected(agent, `db_${tenant}`)
    const found = good(await client.search({ collection_name: 'docs', data: [[1, 4, 1, 0]], limit: 3, output_fields: ['text'] }))
    expect(found.results.map(({ text }) => String(text)).filter((text) => !text.startsWith(tenant))).toEqual([])
    expect(found.results).toHaveLength(3)
  })

  it('names no database, and gets to the default one, where each record says whose it is', async () => {
    const client = await connected('indexer')
    const rows = good(await client.query({ collection_name: 'shared', filter: 'tenant == "acme"', limit: 10, output_fields: ['tenant'] }))
    expect(rows.data.length).toBeGreaterThan(0)
    expect(new Set(rows.data.map(({ tenant }) => tenant))).toEqual(new Set(['acme']))
  })

  it('makes a collection in its database, writes and reads', async () => {
    const client = await connected('indexer', 'db_acme')
    const own = { collection_name: 'pairs' }
    const fields = [
      { name: 'id', data_type: DataType.Int64, is_primary_key: true },
      { name: 'embedding', data_type: DataType.FloatVector, dim: 4 }
    ]
    expect((await client.createCollection({ ...own, fields, consistency_level: 'Strong' })).error_code).toBe('Success')
    const index = { ...own, field_name: 'embedding', index_type: 'FLAT', metric_type: 'L2' }
    expect((await client.createIndex(index)).error_code).toBe('Success')
    expect((await client.loadCollectionSync(own)).error_code).toBe('Success')
    good(await client.insert({ ...own, data: [{ id: 1, embedding: [1, 0, 0, 0] }] }))
    expect(good(await client.query({ ...own, filter: 'id > 0', limit: 10, output_fields: ['id'] })).data).toHaveLength(1)
  })

  it("is refused another tenant's database at the first hop", async () => {
    const client = await connected('indexer', 'db_globex')
    stack.database('milvus').clear()
    await expect(client.query({ collection_name: 'docs', filter: 'id > 0', limit: 10 })).rejects.toThrow('tenant-not-allowed')
    expect(
      stack
        .database('milvus')
        .seen()
        .filter(({ target }) => target.endsWith('/Query'))
    ).toEqual([])
  })
})
