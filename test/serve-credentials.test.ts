/** From settings to the header that a database gets; and what must never be seen of it anywhere else. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CheckResponse } from '@envoyproxy/protos/auth'
import { createLocalJWKSet, decodeJwt, jwtVerify } from 'jose'
import pino from 'pino'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createMetrics } from '../src/admin/metrics.ts'
import { auditLine } from '../src/audit/record.ts'
import { settingsSchema } from '../src/config/settings-schema.ts'
import { SERVED } from '../src/databases/dialects.ts'
import { createDecider, type Decided } from '../src/envoy/decide.ts'
import { compilePolicy } from '../src/policy/compile.ts'
import { openCredentials, type ServedCredentials } from '../src/serve-credentials.ts'
import { serveDatabases } from '../src/serve-databases.ts'
import { clientCopies } from '../src/verdict/client-headers.ts'
import { search as milvusSearch, SERVICE } from './databases/milvus-call.ts'
import { frame } from './databases/protobuf-write.ts'
import { startFake } from './spire/fake-workload-api.ts'
import { envoyPem, issueSvid, type Svid } from './support/ca.ts'
import { type CheckParts, checkRequest } from './support/check-request.ts'
import { documentOf } from './support/policy.ts'
import { startVault } from './support/vault.ts'
import { type TestWorld, testWorld } from './support/world.ts'

const TD = 'spiffe://demo.vecauthz.test'
const CANARY = 'canary-0f3a9d51e7b24c68-do-not-log-me'
const FROM_CLIENT = 'canary-of-a-client-77d0c2'
const ENVOY = { ok: true, id: `${TD}/envoy/gateway` } as const
const POLICY = `
version: 1
trust_domains: [demo.vecauthz.test]
tenants: [{ id: acme }, { id: globex }]
workloads:
  - { spiffe_id: ${TD}/acme/agent, tenants: [acme] }
  - { spiffe_id: ${TD}/globex/agent, tenants: [globex] }
collections:
  - { database: qdrant, names: ['docs_{tenant}'], tenancy: collection, allow: [{ tenants: [acme, globex], actions: [search, read, write, define] }] }
  - { database: weaviate, names: [Docs], tenancy: native, allow: [{ tenants: [acme, globex], actions: [search, read] }] }
  - { database: milvus, namespace: 'db_{tenant}', names: ['*'], tenancy: database, allow: [{ tenants: [acme, globex], actions: [search] }] }
limits: { top_k: 20, queries: 4, records: 100, vectors_out: deny }
budget: { per_second: 100, burst: 300 }
`

let test: TestWorld
const agents: Record<'acme' | 'globex', Svid> = {} as never
let folder: string
let log: string[]
const closing: (() => unknown)[] = []

beforeAll(async () => {
  test = await testWorld()
  for (const tenant of ['acme', 'globex'] as const) agents[tenant] = await issueSvid(test.root, { id: `${TD}/${tenant}/agent` })
})
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'credentials-'))
  log = []
})
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
  rmSync(folder, { recursive: true })
})

async function open(credentials: Readonly<Record<string, object>>, environment: Readonly<Record<string, string>> = {}) {
  const settings = settingsSchema.parse({
    version: 1,
    role: 'gateway',
    listen: '127.0.0.1:0',
    workload_api: `unix://${folder}/agent.sock`,
    envoys: [ENVOY.id],
    policy: 'policy.yaml',
    databases: ['qdrant', 'weaviate', 'milvus'].map((kind) => ({
      id: kind,
      kind,
      version: '1',
      authorities: [`${kind}.test`],
      credential: credentials[kind]
    })),
    audit: { file: 'stdout' },
    svid_ttl_seconds: 600,
    bundle_max_age_seconds: 600,
    deadline_ms: 400
  })
  const logger = pino({ level: 'trace' }, { write: (line: string) => void log.push(line) })
  const edges = { settingsFile: join(folder, 'settings.yaml'), environment: (name: string) => environment[name], log: logger }
  const served = openCredentials(settings, edges)
  closing.push(() => served.close())
  served.want(['acme', 'globex'])
  const compiled = compilePolicy(
    documentOf(POLICY),
    { databases: SERVED.map((one) => ({ id: one.kind, ...one })), subjectIssuers: [] },
    'r',
    (path) => path.join('.')
  )
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.faults))
  const records: string[] = []
  const metrics = createMetrics(() => ({
    svidNotAfter: undefined,
    trustBundleAgeMs: undefined,
    jwtBundleAgeMs: undefined,
    generation: undefined,
    subjectKeyAgesMs: [],
    credentials: served.counts()
  }))
  const world = { ...test.world, policy: compiled.policy, served: serveDatabases(settings, served.headersFor) }
  const decider = createDecider({
    now: Date.now,
    tick: () => 0,
    newDecisionId: () => 'aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee',
    world: () => world,
    credentials: served.of,
    record: (decided: Decided) => {
      for (const header of clientCopies(decided.inbound?.headers ?? new Map(), decided.inbound?.strippedCredentials ?? [], false))
        metrics.clientCredential(decided.account.database ?? '', header)
      return records.push(auditLine(decided)) > 0
    },
    onFault: (_, cause) => {
      throw cause
    },
    bodyBytesMax: 1_000_000,
    deadlineMs: 400,
    pendingMax: 9
  })
  let checks = 0
  const ask = async (parts: CheckParts, tenant: 'acme' | 'globex' = 'acme') => {
    const who = agents[tenant]
    const evidence = { certificate: envoyPem(who.chain[0] as Uint8Array), principal: who.id }
    const response = CheckResponse.decode(await decider.decide(checkRequest({ id: String(++checks), ...evidence, ...parts }), ENVOY))
    const set = Object.fromEntries((response.okResponse?.headers ?? []).map(({ header }) => [header?.key ?? '', header?.value ?? '']))
    return { response, set, removed: response.okResponse?.headersToRemove ?? [], body: response.deniedResponse?.body ?? '' }
  }
  return { served, ask, records, metrics }
}

async function ready(served: ServedCredentials): Promise<void> {
  for (let at = 0; at < 400 && (served.fault() !== undefined || served.counts().some(({ missing }) => missing > 0)); at++)
    await new Promise((resolve) => setTimeout(resolve, 5))
  expect(served.fault()).toBeUndefined()
}

const qdrant = (tenant = 'acme', more: Partial<CheckParts> = {}): CheckParts => ({
  host: 'qdrant.test',
  path: `/collections/docs_${tenant}/points/query`,
  body: '{"query":[0.1,0.2],"limit":3}',
  ...more
})
const weaviate = (tenant = 'acme'): CheckParts => ({
  host: 'weaviate.test',
  path: `/v1/objects/Docs/11111111-2222-4333-8444-555555555555?tenant=${tenant}`
})
const milvus = (headers: readonly (readonly [string, string])[] = [], rpc = 'Search', message = milvusSearch('')): CheckParts => ({
  host: 'milvus.test',
  path: `${SERVICE}/${rpc}`,
  body: frame(message),
  headers: [['content-type', 'application/grpc'], ...headers]
})
const basic = (text: string) => Buffer.from(text).toString('base64')

describe('what a database is shown', () => {
  it('Qdrant: its API key from the environment, instead of the client’s', async () => {
    const { served, ask } = await open({ qdrant: { mode: 'api_key', secret: { env: 'QDRANT_KEY' } } }, { QDRANT_KEY: CANARY })
    await ready(served)
    const { set, removed } = await ask(
      qdrant('acme', {
        headers: [
          ['api-key', FROM_CLIENT],
          ['authorization', `Bearer ${FROM_CLIENT}`]
        ]
      })
    )
    expect(set).toMatchObject({ 'api-key': CANARY, 'x-tenant-id': 'acme' })
    expect(removed).toContain('authorization')
    expect(removed).not.toContain('api-key')
  })

  it('Qdrant: a token for this caller’s collection that lives 30 s', async () => {
    writeFileSync(join(folder, 'qdrant.key'), `${CANARY}\n`)
    const { served, ask } = await open({ qdrant: { mode: 'rbac_jwt', secret: { file: 'qdrant.key' } } })
    await ready(served)
    const before = Math.floor(Date.now() / 1000)
    const { set } = await ask(qdrant())
    const { payload } = await jwtVerify(set['api-key'] ?? '', Buffer.from(CANARY))
    expect(payload).toMatchObject({ access: [{ collection: 'docs_acme', access: 'r' }], subject: agents.acme.id })
    expect((payload.exp ?? 0) - before).toBeGreaterThanOrEqual(30)
    expect((payload.exp ?? 0) - before).toBeLessThanOrEqual(32)
    expect((await ask(qdrant())).set['api-key']).toBe(set['api-key'])
    expect(decodeJwt((await ask(qdrant('globex'), 'globex')).set['api-key'] ?? '')['access']).toEqual([
      { collection: 'docs_globex', access: 'r' }
    ])
  })

  it('Weaviate: a token of this tenant, verified by the keys that are published', async () => {
    const { served, ask } = await open({ weaviate: { mode: 'oidc', issuer: 'https://vecauthz.test', audience: 'weaviate' } })
    await ready(served)
    const { set } = await ask(weaviate())
    const keys = createLocalJWKSet(JSON.parse(served.jwks?.() ?? ''))
    const { payload } = await jwtVerify((set['authorization'] ?? '').replace('Bearer ', ''), keys, {
      issuer: 'https://vecauthz.test',
      audience: 'weaviate'
    })
    expect(payload).toMatchObject({ sub: agents.acme.id, groups: ['acme'] })
    expect(decodeJwt(((await ask(weaviate('globex'), 'globex')).set['authorization'] ?? '').replace('Bearer ', ''))['groups']).toEqual([
      'globex'
    ])
  })

  it('Milvus: the tenant’s own user, and the database that was judged, whatever the client says', async () => {
    mkdirSync(join(folder, 'keys'))
    for (const tenant of ['acme', 'globex']) writeFileSync(join(folder, 'keys', tenant), `${CANARY}-${tenant}\n`)
    const { served, ask } = await open({
      milvus: { mode: 'user_password', user: 'u_{tenant}', secret: { file: 'keys/{tenant}' }, probe_user: 'probe', probe_secret: { env: 'PROBE' } }
    }, { PROBE: CANARY }) // biome-ignore format: one call
    await ready(served)
    const { set, removed } = await ask(
      milvus([
        ['dbname', 'db_acme'],
        ['authorization', basic(`root:${FROM_CLIENT}`)]
      ])
    )
    expect(set).toMatchObject({ authorization: basic(`u_acme:${CANARY}-acme`), dbname: 'db_acme' })
    expect(removed).toEqual(expect.arrayContaining(['db-name', 'api-key']))
    expect((await ask(milvus([['dbname', 'db_globex']]), 'globex')).set).toMatchObject({
      authorization: basic(`u_globex:${CANARY}-globex`),
      dbname: 'db_globex'
    })
    expect((await ask(milvus([['dbname', 'db_globex']]))).body).toContain('not-allowed')
    const start = await ask(milvus([['dbname', 'db_globex']], 'GetVersion', Buffer.alloc(0)))
    expect(start.set).toMatchObject({ authorization: basic(`probe:${CANARY}`), dbname: 'default', 'x-tenant-id': 'none' })
  })

  it('nothing, where the settings say nothing', async () => {
    const { ask } = await open({})
    const { set, removed } = await ask(qdrant('acme', { headers: [['api-key', FROM_CLIENT]] }))
    expect(Object.keys(set).sort()).toEqual(['x-tenant-id', 'x-vecauthz-caller', 'x-vecauthz-decision', 'x-vecauthz-tenant'])
    expect(removed).toEqual(expect.arrayContaining(['api-key', 'authorization', 'dbname']))
  })

  it('headers of a trusted proxy go with the others, from a template or not', async () => {
    const { ask } = await open({})
    const plain = await ask(qdrant())
    const proxied = await ask(qdrant('acme', { headers: [['x-proxy-ext-tenant', 'globex']] }))
    const proxy = 'x-proxy-ext-tenant'
    expect(new Set(proxied.removed)).toEqual(new Set([...plain.removed, proxy]))
    expect(plain.removed).not.toContain(proxy)
    expect((await ask(qdrant())).removed).toEqual(plain.removed)
  })
})

describe('without a secret', () => {
  it('a call that was granted is refused, and the record says why', async () => {
    const { served, ask, records } = await open({ qdrant: { mode: 'api_key', secret: { file: 'qdrant.key' } } })
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(served.fault()).toMatch(/^database qdrant: no credential for the database: file .*qdrant.key: cannot be read \(ENOENT\)$/)
    const { response, body } = await ask(qdrant())
    expect(response.status?.code).toBeGreaterThan(0)
    expect(JSON.parse(body)).toMatchObject({ reason: 'state-unavailable' })
    expect(body).not.toContain('qdrant.key')
    expect(JSON.parse(records.at(-1) ?? '')).toMatchObject({
      verdict: 'deny',
      reason: 'state-unavailable',
      because: expect.stringContaining('ENOENT')
    })
  })

  it('a call that was not granted is refused for that', async () => {
    const { ask } = await open({ qdrant: { mode: 'api_key', secret: { file: 'qdrant.key' } } })
    expect(JSON.parse((await ask(qdrant('globex'))).body)).not.toMatchObject({ reason: 'state-unavailable' })
  })

  it('the other databases go on', async () => {
    const { ask } = await open({ qdrant: { mode: 'api_key', secret: { file: 'qdrant.key' } } })
    expect((await ask(weaviate())).response.status?.code).toBe(0)
  })
})

describe('Vault', () => {
  it('is entered with a JWT-SVID of this process, and gives each tenant’s password; then it is left', async () => {
    const workload = await startFake(join(folder, 'agent.sock'))
    closing.push(workload.stop)
    workload.jwtSvid.behave(() => ({ svids: [{ spiffeId: `${TD}/vecauthz`, svid: 'aGVhZA.Ym9keQ.c2ln', hint: '' }] }))
    const vault = await startVault({ jwt: 'aGVhZA.Ym9keQ.c2ln' })
    closing.push(vault.close)
    for (const tenant of ['acme', 'globex']) vault.kv.set(`milvus/${tenant}`, { password: `${CANARY}-${tenant}` })
    const kv = { address: vault.address, role: 'vecauthz', jwt_audience: 'vault', path: 'milvus/{tenant}', field: 'password' }
    const { served, ask } = await open({ milvus: { mode: 'user_password', user: 'u_{tenant}', secret: { vault: kv } } })
    await ready(served)
    expect((await ask(milvus([['dbname', 'db_acme']]))).set).toMatchObject({ authorization: basic(`u_acme:${CANARY}-acme`) })
    expect(workload.jwtSvid.calls[0]?.request.audience).toEqual(['vault'])
    expect(vault.logins).toHaveLength(1)
    await served.close()
    expect(vault.tokens.size).toBe(0)
    expectClean([...log, ...vault.calls.map(({ line }) => line)])
  })
})

/** The ways in which a secret can be written without looking like itself. */
function spellings(secret: string): readonly string[] {
  const bytes = Buffer.from(secret)
  // In base64 the text begins at any of three places; what is in the middle stays the same.
  const shifted = ['', 'x', 'xx'].map((before) =>
    Buffer.from(before + secret)
      .toString('base64')
      .slice(4, -6)
  )
  return [secret, bytes.toString('hex'), encodeURIComponent(secret), ...shifted]
}

function leaksIn(texts: readonly string[]): string[] {
  const known = [CANARY, FROM_CLIENT].flatMap(spellings)
  return texts.filter((text) => known.some((one) => text.includes(one)))
}

function expectClean(texts: readonly string[]): void {
  expect(texts.length).toBeGreaterThan(0)
  expect(leaksIn(texts)).toEqual([])
}

describe('secrets are seen by nobody but their database', () => {
  it('a leak would be found, also in base64 within something longer, and in hex', () => {
    const leaks = [
      CANARY,
      `{"key":"${CANARY}"}`,
      basic(`user:${CANARY}`),
      basic(`u:${CANARY}!`),
      basic(CANARY),
      Buffer.from(`a${CANARY}`).toString('hex')
    ]
    expect(leaksIn(leaks)).toEqual(leaks)
    expect(leaksIn(['canary', basic('user:another')])).toEqual([])
  })

  it('not in the log, the records, the metrics, the readiness, the published keys or an answer to a caller', async () => {
    writeFileSync(join(folder, 'qdrant.key'), CANARY)
    const { served, ask, records, metrics } = await open(
      {
        qdrant: { mode: 'rbac_jwt', secret: { file: 'qdrant.key' }, refresh_seconds: 1 },
        weaviate: { mode: 'api_key', secret: { env: 'WEAVIATE' } },
        milvus: { mode: 'user_password', user: 'u_{tenant}', secret: { file: 'keys/{tenant}' } }
      },
      // What cannot be a secret is told, and not shown.
      { WEAVIATE: `${CANARY}\u0007` }
    )
    await new Promise((resolve) => setTimeout(resolve, 30))
    const sent = [
      ['api-key', FROM_CLIENT],
      ['authorization', `Bearer ${FROM_CLIENT}`],
      ['x-api-key', CANARY]
    ] as const
    const answers = [
      await ask(qdrant('acme', { headers: sent })),
      await ask(qdrant('globex', { headers: sent })),
      await ask({ ...weaviate(), headers: sent }),
      await ask(
        milvus([
          ['dbname', 'db_acme'],
          ['authorization', basic(`root:${FROM_CLIENT}`)]
        ])
      ),
      await ask(
        qdrant('acme', { headers: sent, path: '/collections/docs_acme', method: 'PUT', body: '{"vectors":{"size":2,"distance":"Dot"}}' })
      )
    ]
    expect(answers.map(({ response }) => response.status?.code === 0)).toEqual([true, false, false, false, false])
    const text = await metrics.text()
    expect(text).toContain('vecauthz_client_credentials_total{database="qdrant",header="api-key"} 3')
    expect(text).toContain('vecauthz_credentials_missing{database="milvus"} 2')
    expect(log.join('')).toContain('has other characters than printable ASCII')
    expectClean([...log, ...records, text, served.fault() ?? '', ...answers.map(({ body }) => body)])
    // The token of the allowed call is for Qdrant alone.
    const token = answers[0]?.set['api-key'] ?? ''
    expect(token).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+$/)
    expect([...log, ...records, text].filter((one) => one.includes(token))).toEqual([])
  })

  it('what a client sent is counted under names from a closed list', () => {
    const headers = new Map([
      ['api-key', 'x'],
      ['authorization', 'x'],
      ['x-mine-key', 'x'],
      ['dbname', 'x']
    ])
    expect(clientCopies(headers, ['x-chroma-token', 'x-anything-goes'], false)).toEqual([
      'x-chroma-token',
      'other',
      'authorization',
      'api-key'
    ])
    expect(clientCopies(headers, [], true)).toEqual(['api-key'])
    expect(clientCopies(new Map(), [], false)).toEqual([])
  })
})
