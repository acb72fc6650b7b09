/**
 * The official weaviate-client, unchanged, through an agent's Envoy and the gateway, to the real Weaviate: what it must be able to do
 * for two tenants, and each way to reach another tenant that works on the bare server.
 */
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import weaviate, { type Collection, type WeaviateClient } from 'weaviate-client'
import { type Ask, call } from '../../demo/client.ts'
import { SUPPORT, TRIALS } from '../../demo/identities.ts'
import { startSidecar } from '../../demo/keep.ts'
import { objectId } from '../../demo/seed-weaviate.ts'
import { type Stack, startStack } from '../../demo/stack.ts'
import { whyLeftOut } from '../../setup/components.ts'
import { chunk, floatBytes, frame, number } from '../databases/protobuf-write.ts'
import { callGrpc, type GrpcAsk } from './support/grpc-call.ts'
import { sendRaw } from './support/raw.ts'

const leftOut = whyLeftOut('weaviate-server')
const AUTHORITY = 'weaviate.demo.vecauthz.test'
const TENANTS = { acme: SUPPORT, globex: TRIALS } as const
type Tenant = keyof typeof TENANTS

let stack: Stack
const clients = new Map<Tenant, WeaviateClient>()
const stops: (() => Promise<unknown>)[] = []

beforeAll(async () => {
  if (leftOut !== undefined) return
  stack = await startStack({
    folder: join(import.meta.dirname, '../../.run/test-weaviate'),
    say: () => undefined,
    databases: ['weaviate'],
    policy: (document) => {
      document.budget = { per_second: 1000, burst: 10_000 }
      // What it takes to drop something is in approvals.test.ts.
      delete document.approvals
    }
  })
  for (const [tenant, id] of Object.entries(TENANTS) as [Tenant, string][]) {
    const sidecar = await startSidecar(stack, id)
    stops.push(sidecar.stop)
    const port = sidecar.portOf('weaviate')
    const client = await weaviate.connectToCustom({
      httpHost: '127.0.0.1',
      httpPort: port,
      httpSecure: false,
      grpcHost: '127.0.0.1',
      grpcPort: port,
      grpcSecure: false
    })
    stops.push(() => client.close())
    clients.set(tenant, client)
  }
})
afterAll(async () => {
  for (const stop of stops.reverse()) await stop()
  await stack?.stop()
})
beforeEach(({ skip }) => {
  skip(leftOut !== undefined, leftOut)
  stack.database('weaviate').clear()
})

const clientOf = (tenant: Tenant) => clients.get(tenant) as WeaviateClient
const docs = (tenant: Tenant, of: string = tenant): Collection => clientOf(tenant).collections.use('Docs').withTenant(of)
const reached = () => stack.database('weaviate').seen()
/** A full-length vector near the first page. */
const VECTOR = [1, 4, 1, 0]
const newId = (last: number) => `00000000-0000-4000-8000-c${String(last).padStart(11, '0')}`
const pagesOf = (objects: readonly { properties: Record<string, unknown> }[]) => objects.map((one) => String(one.properties['text']))

describe.each(Object.keys(TENANTS) as Tenant[])('the client as %s', (tenant) => {
  it('connects, and is told that the server is there', async () => {
    expect(await clientOf(tenant).isReady()).toBe(true)
    expect(await clientOf(tenant).isLive()).toBe(true)
    expect((await clientOf(tenant).getMeta()).version).toBe('1.35.2')
  })

  it('inserts one, and many at once', async () => {
    await docs(tenant).data.insert({ id: newId(0), properties: { text: `${tenant} inserted`, page: 100 }, vectors: VECTOR })
    const many = Array.from({ length: 200 }, (_, at) => ({
      id: newId(at + 1),
      properties: { text: `${tenant} record ${at}`, page: 200 + at },
      vectors: [at, 1, 0, 0]
    }))
    const { hasErrors, uuids } = await docs(tenant).data.insertMany(many)
    expect([hasErrors, Object.keys(uuids)]).toEqual([false, expect.objectContaining({ length: 200 })])
    expect(await docs(tenant).length()).toBe(204)
  })

  it('searches, plain and filtered, and by words', async () => {
    const plain = await docs(tenant).query.nearVector(VECTOR, { limit: 3, returnMetadata: ['distance'] })
    expect(plain.objects).toHaveLength(3)
    expect(pagesOf(plain.objects).every((text) => text.startsWith(tenant))).toBe(true)
    const page = docs(tenant).filter.byProperty('page')
    const filtered = await docs(tenant).query.nearVector(VECTOR, { limit: 5, filters: page.lessOrEqual(2) })
    expect(pagesOf(filtered.objects).sort()).toEqual([`${tenant} page 1`, `${tenant} page 2`])
    expect(pagesOf((await docs(tenant).query.bm25('inserted', { limit: 2 })).objects)).toEqual([`${tenant} inserted`])
  })

  it('searches in two ways at once', async () => {
    const hybrid = await docs(tenant).query.hybrid('inserted', { vector: VECTOR, alpha: 0.5, limit: 3 })
    expect(pagesOf(hybrid.objects)).toContain(`${tenant} inserted`)
  })

  it('gets by id, lists, counts', async () => {
    const one = await docs(tenant).query.fetchObjectById(objectId(tenant, 2))
    expect(one?.properties['text']).toBe(`${tenant} page 2`)
    expect((await docs(tenant).query.fetchObjects({ limit: 5 })).objects).toHaveLength(5)
    expect(await docs(tenant).data.exists(newId(0))).toBe(true)
    expect((await docs(tenant).aggregate.overAll()).totalCount).toBe(204)
  })

  it('replaces, updates, deletes', async () => {
    await docs(tenant).data.replace({ id: newId(0), properties: { text: `${tenant} replaced`, page: 1 }, vectors: VECTOR })
    await docs(tenant).data.update({ id: newId(0), properties: { page: 99 } })
    expect((await docs(tenant).query.fetchObjectById(newId(0)))?.properties).toMatchObject({ text: `${tenant} replaced`, page: 99 })
    expect(await docs(tenant).data.deleteById(newId(0))).toBe(true)
    const gone = await docs(tenant).data.deleteMany(docs(tenant).filter.byProperty('page').greaterOrEqual(200))
    expect(gone.successful).toBe(200)
    expect(await docs(tenant).length()).toBe(3)
  })

  it('makes a class of its own, fills it and drops it', async () => {
    const name = `Own_${tenant}`
    await clientOf(tenant).collections.delete(name)
    const { configure } = weaviate
    const own = await clientOf(tenant).collections.create({
      name,
      properties: [{ name: 'text', dataType: configure.dataType.TEXT }],
      vectorizers: configure.vectors.selfProvided()
    })
    await own.data.insert({ properties: { text: `${tenant} own` }, vectors: VECTOR })
    expect(pagesOf((await own.query.nearVector(VECTOR, { limit: 1 })).objects)).toEqual([`${tenant} own`])
    expect((await own.config.get()).name).toBe(name)
  })
})

interface Row {
  readonly name: string
  readonly run: () => Promise<unknown>
  readonly reason: string
}

/** What an acme agent tries with the unchanged client. */
const BY_CLIENT: readonly Row[] = [
  {
    name: 'search',
    run: () => docs('acme', 'globex').query.nearVector(VECTOR, { limit: 3 }),
    reason: 'tenant-not-allowed'
  },
  { name: 'listing', run: () => docs('acme', 'globex').query.fetchObjects({ limit: 3 }), reason: 'tenant-not-allowed' },
  { name: 'hybrid', run: () => docs('acme', 'globex').query.hybrid('page', { alpha: 0, limit: 3 }), reason: 'tenant-not-allowed' },
  { name: 'count', run: () => docs('acme', 'globex').aggregate.overAll(), reason: 'tenant-not-allowed' },
  { name: 'get', run: () => docs('acme', 'globex').query.fetchObjectById(objectId('globex', 1)), reason: 'tenant-not-allowed' },
  {
    name: 'insert',
    run: () => docs('acme', 'globex').data.insert({ properties: { text: 'x' }, vectors: VECTOR }),
    reason: 'tenant-not-allowed'
  },
  { name: 'insertMany', run: () => docs('acme', 'globex').data.insertMany([{ text: 'x' }]), reason: 'tenant-not-allowed' },
  { name: 'deletion', run: () => docs('acme', 'globex').data.deleteById(objectId('globex', 1)), reason: 'tenant-not-allowed' },
  {
    name: 'deletion by filter',
    run: () => docs('acme', 'globex').data.deleteMany(docs('acme').filter.byProperty('page').greaterThan(0)),
    reason: 'tenant-not-allowed'
  },
  {
    name: 'search without a tenant',
    run: () => clientOf('acme').collections.use('Docs').query.nearVector(VECTOR, { limit: 3 }),
    reason: 'tenant-not-named'
  },
  {
    name: 'class',
    run: () => clientOf('acme').collections.use('Own_globex').query.fetchObjects({ limit: 3 }),
    reason: 'tenant-not-allowed'
  },
  { name: 'class, dropped', run: () => clientOf('acme').collections.delete('Own_globex'), reason: 'tenant-not-allowed' },
  {
    name: 'list of tenants',
    run: () => clientOf('acme').collections.use('Docs').tenants.getByNames(['globex']),
    reason: 'tenant-not-allowed'
  },
  { name: 'list of classes', run: () => clientOf('acme').collections.listAll(), reason: 'collection-not-allowed' }
]

describe("globex's records, asked for by acme's client", () => {
  it.each(BY_CLIENT)('$name', async ({ run, reason }) => {
    // What the client shows its user: the status in its own words, and why.
    await expect(run()).rejects.toThrow(new RegExp(`(PERMISSION_DENIED|Forbidden): .*"reason":"${reason}"`))
    expect(reached()).toEqual([])
    expect((await docs('acme').query.nearVector(VECTOR, { limit: 3 })).objects).toHaveLength(3)
    expect(reached()).toHaveLength(1)
  })

  it('left everything where it was', async () => {
    expect(await docs('globex').length()).toBe(3)
    expect(await clientOf('globex').collections.use('Own_globex').length()).toBe(1)
  })
})

const rest = (ask: Ask) => call(stack.door, stack.credentials(SUPPORT), { ...ask, headers: { host: AUTHORITY, ...ask.headers } })
const object = (tenant: Tenant) => `/v1/objects/Docs/${objectId(tenant, 1)}`
const written = (tenant: string, more: object = {}) => ({ class: 'Docs', tenant, properties: { text: 'acme x' }, vector: VECTOR, ...more })
const OWN = { target: `${object('acme')}?tenant=acme` }
const json = (text: string): Ask => ({ target: '/v1/objects', body: text })

/** Seen to work on the bare server; none may reach it. */
const BY_REST: readonly { readonly name: string; readonly ask: Ask; readonly reason: string }[] = [
  { name: 'a tenant twice', ask: { target: `${object('globex')}?tenant=acme&tenant=globex` }, reason: 'call-ambiguous' },
  { name: 'a tenant twice, the other way', ask: { target: `${object('acme')}?tenant=globex&tenant=acme` }, reason: 'call-ambiguous' },
  { name: "globex's tenant", ask: { target: `${object('globex')}?tenant=globex` }, reason: 'tenant-not-allowed' },
  {
    name: 'YAML',
    ask: { ...json('class: Docs\ntenant: globex\n'), headers: { 'content-type': 'application/yaml' } },
    reason: 'call-ambiguous'
  },
  { name: 'a key in capitals beside it', ask: json(JSON.stringify(written('acme', { Tenant: 'globex' }))), reason: 'call-ambiguous' },
  {
    name: 'a key in capitals',
    ask: json(JSON.stringify(written('acme')).replace('"tenant":"acme"', '"Tenant":"globex"')),
    reason: 'call-ambiguous'
  },
  { name: 'a key twice', ask: json(JSON.stringify(written('acme')).replace('{', '{"tenant":"globex",')), reason: 'call-ambiguous' },
  { name: 'a key with a long s', ask: json(JSON.stringify(written('acme')).replace('"class"', '"cla\u017fs"')), reason: 'call-ambiguous' },
  { name: 'a class folded from //', ask: { target: '//v1//objects?class=Docs&tenant=globex' }, reason: 'tenant-not-allowed' },
  { name: 'a way round', ask: { target: `/v1/meta/../objects/Docs/${objectId('globex', 1)}?tenant=globex` }, reason: 'tenant-not-allowed' },
  { name: 'the schema by /./', ask: { target: '/v1/./schema' }, reason: 'collection-not-allowed' },
  { name: 'the schema with a slash', ask: { target: '/v1/schema/' }, reason: 'call-ambiguous' },
  { name: 'no class', ask: { target: `/v1/objects/${objectId('globex', 1)}?tenant=globex` }, reason: 'operation-unknown' },
  {
    name: "another tenant's object in a batch",
    ask: { target: '/v1/batch/objects', body: { objects: [written('acme'), written('globex')] } },
    reason: 'tenant-not-allowed'
  },
  {
    name: 'the contents to a server of the caller',
    ask: { ...json(JSON.stringify(written('acme'))), headers: { 'x-azure-resource-name': 'evil' } },
    reason: 'operation-unknown'
  },
  ...[
    ['an alias', '{ Get { mine: Docs(tenant: "globex") { text } } }'],
    ['a fragment', '{ Get { ...f } } fragment f on GetObjectsObj { Docs(tenant: "globex") { text } }'],
    ['an inline fragment', '{ Get { ... on GetObjectsObj { Docs(tenant: "globex") { text } } } }'],
    ['a default', 'query ($t: String = "globex") { Get { Docs(tenant: $t) { text } } }'],
    ['a condition', '{ Get { Docs(tenant: "globex") @include(if: true) { text } } }'],
    ['a block string', '{ Get { Docs(tenant: """globex""") { text } } }'],
    ['an escape', '{ Get { Docs(tenant: "glob\\u0065x") { text } } }'],
    ['two operations', 'query a { Get { Docs(tenant: "acme") { text } } } query b { Get { Docs(tenant: "globex") { text } } }']
  ].map(([name, query]) => ({
    name: `GraphQL with ${name}`,
    ask: { target: '/v1/graphql', body: { query } },
    reason: 'operation-unknown'
  })),
  {
    name: 'a batch of GraphQL',
    ask: { target: '/v1/graphql/batch', body: [{ query: '{ Get { Docs(tenant: "globex") { text } } }' }] },
    reason: 'operation-unknown'
  }
]

describe('what works on the bare server, over REST', () => {
  it.each(BY_REST)('$name', async ({ ask, reason }) => {
    const answer = await rest(ask)
    expect(answer.reason, answer.body).toBe(reason)
    expect(reached()).toEqual([])
    const own = await rest(OWN)
    expect([own.status, JSON.parse(own.body).properties.text]).toEqual([200, 'acme page 1'])
    expect(reached()).toHaveLength(1)
  })

  it('what other databases read from headers does not arrive', async () => {
    const headers = { dbname: 'db_globex', 'db-name': 'db_globex', 'api-key': 'a-key-of-the-client' }
    expect((await rest({ ...OWN, headers })).status).toBe(200)
    expect(Object.keys(reached()[0]?.headers ?? {}).filter((name) => name in headers)).toEqual([])
  })

  it('a method in small letters is no method', async () => {
    const lines = [`get ${OWN.target} HTTP/1.1`, `host: ${AUTHORITY}`]
    expect((await sendRaw(stack.door, stack.credentials(SUPPORT), lines)).status).toBe(400)
    expect(reached()).toEqual([])
  })
})

const grpc = (ask: Partial<GrpcAsk> & { readonly message: Buffer }) =>
  callGrpc(stack.door, stack.credentials(SUPPORT), { authority: AUTHORITY, path: '/weaviate.v1.Weaviate/Search', ...ask })
const near = chunk(43, chunk(4, floatBytes(VECTOR)))
const search = (...fields: readonly Uint8Array[]) =>
  Buffer.concat([chunk(1, 'Docs'), number(30, 3), near, number(101, 1), number(102, 1), ...fields])
const gzip = (message: Uint8Array) => ({
  message: Buffer.alloc(0),
  body: frame(gzipSync(message), 1),
  headers: { 'grpc-encoding': 'gzip' }
})
const [acme, globex] = [chunk(10, 'acme'), chunk(10, 'globex')]

const BY_GRPC: readonly {
  readonly name: string
  readonly ask: () => Parameters<typeof grpc>[0]
  readonly grpc: number
  readonly says: string
}[] = [
  { name: 'a tenant twice', ask: () => ({ message: search(acme, globex) }), grpc: 3, says: 'call-ambiguous' },
  { name: 'a tenant twice, the other way', ask: () => ({ message: search(globex, acme) }), grpc: 3, says: 'call-ambiguous' },
  { name: 'an empty vector more', ask: () => ({ message: search(acme, chunk(43, '')) }), grpc: 3, says: 'call-ambiguous' },
  { name: "globex's tenant in a compressed frame", ask: () => gzip(search(globex)), grpc: 7, says: 'tenant-not-allowed' },
  {
    name: 'two frames',
    ask: () => ({ message: acme, body: Buffer.concat([frame(search(acme)), frame(search(globex))]) }),
    grpc: 3,
    says: 'call-ambiguous'
  },
  { name: 'a field of no version', ask: () => ({ message: search(acme, number(99, 1)) }), grpc: 3, says: 'call-unreadable' },
  {
    name: 'a stream that writes',
    ask: () => ({ message: acme, path: '/weaviate.v1.Weaviate/BatchStream' }),
    grpc: 7,
    says: 'operation-unknown'
  }
]

describe('what works on the bare server, over gRPC', () => {
  it.each(BY_GRPC)('$name', async ({ ask, grpc: code, says }) => {
    const answer = await grpc(ask())
    expect([answer.http, answer.grpc, answer.said]).toEqual([200, code, expect.stringContaining(says)])
    expect(reached()).toEqual([])
    for (const own of [{ message: search(acme) }, gzip(search(acme))]) {
      const found = await grpc(own)
      expect([found.grpc, found.body.toString('latin1')]).toEqual([0, expect.stringContaining('acme page 1')])
      expect(found.body.toString('latin1')).not.toContain('globex')
    }
    expect(reached()).toHaveLength(2)
  })
})
