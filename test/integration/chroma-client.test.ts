/** The official chromadb client, unchanged, through an agent's Envoy and the gateway: its whole life, and what it is refused. */
import { join } from 'node:path'
import { ChromaClient, type Collection } from 'chromadb'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { admin, gatewayDesk } from '../../demo/approve.ts'
import { APPROVER, INDEXER, SUPPORT } from '../../demo/identities.ts'
import { startSidecar } from '../../demo/keep.ts'
import { type Stack, startStack } from '../../demo/stack.ts'
import { question } from '../../demo/step.ts'

let stack: Stack
let supportPort: number
let support: ChromaClient
let indexer: ChromaClient
const stops: (() => Promise<void>)[] = []

async function sidecarOf(id: string): Promise<number> {
  const sidecar = await startSidecar(stack, id)
  stops.push(sidecar.stop)
  return sidecar.port
}

function clientOf(port: number, tenant: string): ChromaClient {
  return new ChromaClient({ host: '127.0.0.1', port, ssl: false, tenant, database: 'rag' })
}

beforeAll(async () => {
  stack = await startStack({ folder: join(import.meta.dirname, '../../.run/test-client'), say: () => undefined })
  supportPort = await sidecarOf(SUPPORT)
  support = clientOf(supportPort, 'acme')
  indexer = clientOf(await sidecarOf(INDEXER), 'acme')
})

afterAll(async () => {
  for (const stop of stops) await stop()
  await stack?.stop()
})

describe('the life of the official client', () => {
  let scratch: Collection

  it('heartbeat and version', async () => {
    expect(await indexer.heartbeat()).toBeGreaterThan(0)
    expect(await indexer.version()).toBe('1.0.0')
  })

  it('creates a collection, and finds it again', async () => {
    scratch = await indexer.createCollection({ name: 'scratch-life', embeddingFunction: null })
    expect(scratch.name).toBe('scratch-life')
    const again = await indexer.getOrCreateCollection({ name: 'scratch-life', embeddingFunction: null })
    expect(again.id).toBe(scratch.id)
    expect((await indexer.getCollection({ name: 'scratch-life' })).id).toBe(scratch.id)
  })

  it('adds, counts, upserts, updates', async () => {
    const vectors = Array.from({ length: 100 }, (_, at) => [Math.cos(at), Math.sin(at), at / 100])
    await scratch.add({
      ids: vectors.map((_, at) => `r${at}`),
      embeddings: vectors,
      documents: vectors.map((_, at) => `record ${at}`),
      metadatas: vectors.map((_, at) => ({ at }))
    })
    expect(await scratch.count()).toBe(100)
    await scratch.upsert({
      ids: ['r0', 'new'],
      embeddings: [
        [9, 9, 9],
        [8, 8, 8]
      ],
      documents: ['zero', 'new']
    })
    await scratch.update({ ids: ['r1'], embeddings: [[7, 7, 7]], documents: ['one'], metadatas: [{ at: 1000 }] })
    expect(await scratch.count()).toBe(101)
  })

  it('queries, plain and filtered', async () => {
    const plain = await scratch.query({ queryEmbeddings: [[9, 9, 9]], nResults: 1 })
    expect(plain.ids).toEqual([['r0']])
    expect(plain.documents).toEqual([['zero']])
    const filtered = await scratch.query({
      queryEmbeddings: [[1, 0, 0]],
      nResults: 5,
      where: { at: { $gte: 98 } },
      whereDocument: { $contains: 'record' }
    })
    expect(new Set(filtered.ids[0])).toEqual(new Set(['r98', 'r99']))
  })

  it('gets by id, by filter, with embeddings where policy allows them', async () => {
    expect((await scratch.get({ ids: ['r1'] })).documents).toEqual(['one'])
    expect((await scratch.get({ where: { at: 1000 }, limit: 10 })).ids).toEqual(['r1'])
    expect((await scratch.get({ ids: ['new'], include: ['embeddings'] })).embeddings).toEqual([[8, 8, 8]])
    expect((await scratch.peek({ limit: 3 })).ids).toHaveLength(3)
  })

  it('renames, deletes records', async () => {
    await scratch.modify({ name: 'scratch-renamed' })
    expect((await indexer.getCollection({ name: 'scratch-renamed' })).id).toBe(scratch.id)
    await scratch.delete({ ids: ['r2', 'r3'] })
    await scratch.delete({ where: { at: { $lt: 10 } } })
    expect(await scratch.count()).toBeLessThan(100)
  })

  it('drops the collection, as soon as somebody else has approved that', async () => {
    const dropping = () => indexer.deleteCollection({ name: 'scratch-renamed' })
    await expect(dropping()).rejects.toThrow(/do not have permission/)
    const desk = gatewayDesk(stack.server)
    const { out } = await admin(stack, APPROVER, desk, 'approvals', '--json')
    const [waiting] = (JSON.parse(out) as { approvals: { id: string }[] }).approvals
    expect(waiting).toMatchObject({ caller: INDEXER, operation: 'drop', targets: ['rag/scratch-renamed'] })
    expect(await admin(stack, APPROVER, desk, 'approve', waiting?.id ?? '', '--reason', 'the test is over')).toMatchObject({ exit: 0 })
    await dropping()
    await expect(scratch.count()).rejects.toThrow()
  })
})

describe('what policy denies the client gets as an error it can read', () => {
  it('searches as allowed', async () => {
    const handbook = await support.getCollection({ name: 'handbook' })
    const found = await handbook.query({ queryEmbeddings: [Array.from(question('acme').vector)], nResults: 3 })
    expect(found.ids[0]?.[0]).toBe(question('acme').expected)
  })

  const denied: readonly { name: string; run: (client: ChromaClient) => Promise<unknown>; says: RegExp }[] = [
    {
      name: 'a write',
      run: async (client) => (await client.getCollection({ name: 'handbook' })).add({ ids: ['x'], embeddings: [[1]] }),
      says: /do not have permission/
    },
    {
      name: 'a collection of its own',
      run: (client) => client.createCollection({ name: 'mine', embeddingFunction: null }),
      says: /do not have permission/
    },
    { name: 'a drop', run: (client) => client.deleteCollection({ name: 'handbook' }), says: /do not have permission/ },
    { name: 'a listing', run: (client) => client.listCollections(), says: /do not have permission/ },
    {
      name: 'too many results',
      run: async (client) =>
        (await client.getCollection({ name: 'handbook' })).query({ queryEmbeddings: [Array.from(question('acme').vector)], nResults: 21 }),
      says: /at most 20 results.*decision [0-9a-f-]{36}/
    },
    {
      name: 'embeddings',
      run: async (client) => (await client.getCollection({ name: 'handbook' })).get({ limit: 1, include: ['embeddings'] }),
      says: /do not have permission/
    }
  ]
  it.each(denied)('$name', async ({ run, says }) => {
    await expect(run(support)).rejects.toThrow(says)
  })

  it("another tenant's collection", async () => {
    const other = clientOf(supportPort, 'globex')
    await expect(other.getCollection({ name: 'handbook' })).rejects.toThrow(/do not have permission/)
  })
})
