/** Words that no one else uses are put into everything that is secret, and looked for in everything that is written. */
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CheckRequest, CheckResponse } from '@envoyproxy/protos/auth'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startCollector } from '../../bench/audit-collector.ts'
import { type AuditServer, type AuditStage, openAuditStage } from '../../bench/audit-server.ts'
import { ask } from '../../bench/load.ts'
import { shownBy } from '../../bench/reload-calls.ts'
import { OPERATOR, SUPPORT } from '../../demo/identities.ts'
import { startReceiver } from '../support/page-receiver.ts'

const HOST = 'qdrant.test'
const root = mkdtempSync(join(tmpdir(), 'cnr-'))
let number = 0
const canaries: string[] = []
/** A word for one place, which no other place has. */
function canary(): string {
  const word = `Kanari${String(++number).padStart(3, '0')}Zeisig`
  canaries.push(word)
  return word
}
const jwt = () =>
  `${Buffer.from('{"alg":"RS256"}').toString('base64url')}.${Buffer.from(JSON.stringify({ sub: canary() })).toString('base64url')}.${canary()}`

/** As a text, and as others may write it. */
function formsOf(word: string): string[] {
  const bytes = Buffer.from(word)
  // Base64 of a word in the middle of others begins at one of three places.
  const shifted = [0, 1, 2].map((by) =>
    Buffer.concat([Buffer.alloc(by), bytes])
      .toString('base64')
      .slice(by === 0 ? 0 : by + 1, -4)
  )
  return [word, ...shifted, bytes.toString('hex'), [...bytes].join(',')]
}
const leaks = (text: string, words: readonly string[] = canaries) =>
  words.filter((word) => formsOf(word).some((form) => text.includes(form)))

const socket = join(root, 'a.sock')
/** What the admin port says at a path; of a stream, what comes until it ends. */
function page(path: string, onText: (text: string) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath: socket, path }, (answer) => {
      answer.setEncoding('utf8').on('data', onText)
      // A stream ends with the server.
      answer.on('end', resolve).on('error', () => resolve())
    })
    asked.on('error', reject).end()
  })
}

let stage: AuditStage
let tail: Promise<void>
let server: AuditServer
const surfaces: Record<string, string> = {}
const [keyFile, tokenFile, preload] = [join(root, 'key'), join(root, 'authorization'), join(root, 'crash.mjs')]
const [databaseKey, sinkToken, environmentWord, pagerWord] = [canary(), canary(), canary(), canary()]
const receiverOf = startReceiver()
const collectorOf = startCollector(0)
const spansOf = startCollector(0)

const POLICY = `version: 1
trust_domains: [demo.vecauthz.test]
tenants: [{ id: acme }, { id: globex }]
workloads: [{ spiffe_id: '${SUPPORT}', tenants: [acme] }]
collections:
  - database: q
    names: [docs]
    tenancy: { filter: tenant }
    allow: [{ tenants: [acme], actions: [search, read, write, delete, observe] }]
limits: { top_k: 20, queries: 4, records: 100, vectors_out: deny }
budget: { per_second: 1000, burst: 10000 }
screening: { instructions: flag, secrets: flag, tenants: flag }
monitoring: [{ metric: request_rate, window_seconds: 10, threshold: 0.01, action: page }]
`

beforeAll(async () => {
  const collector = await collectorOf
  stage = await openAuditStage(join(root, 's'))
  writeFileSync(keyFile, `${databaseKey}-0123456789abcdef0123456789abcdef`)
  writeFileSync(tokenFile, `Bearer ${sinkToken}`)
  // A fault that nobody thought of, on demand.
  writeFileSync(preload, `process.on('SIGUSR2', () => setImmediate(() => { throw new Error('a fault nobody thought of') }))`)
  const credential = { mode: 'rbac_jwt', secret: { file: keyFile } }
  server = await stage.start(
    {
      file: join(root, 'audit.jsonl'),
      sinks: [{ name: 'far', http: { url: collector.url, authorization_file: tokenFile } }],
      spill: { folder: join(root, 'spill'), mib: 8 },
      chain: { anchor_seconds: 1, anchors: { file: join(root, 'anchors.jsonl') } }
    },
    {
      settings: {
        databases: [{ id: 'q', kind: 'qdrant', version: '1.19', authorities: [HOST], credential }],
        health: '127.0.0.1:0',
        traces: { url: (await spansOf).url, ratio: 1, per_second_max: 1000 },
        // Whoever is called sees the reason, and where it must be shown the key; the disk sees the reason only.
        paging: {
          folder: join(root, 'paging'),
          receivers: [{ id: 'on-call', kind: 'alertmanager', url: (await receiverOf).url, secret: { env: 'PAGER_KEY' } }]
        },
        admin: { listen: '127.0.0.1:0', operators: [OPERATOR], local: { socket, as: OPERATOR } }
      },
      policy: POLICY,
      environment: { SOME_PASSWORD: environmentWord, PAGER_KEY: pagerWord },
      preload
    }
  )
})

afterAll(async () => {
  await stage?.close()
  await (await collectorOf).close()
  await (await spansOf).close()
  await (await receiverOf).stop()
  rmSync(root, { recursive: true, force: true })
})

let calls = 0
async function told(path: string, body: string | Buffer | undefined, headers: Record<string, string> = {}, method = 'POST', host = HOST) {
  const { certificate, xfcc } = shownBy(stage.issuer.issueX509(SUPPORT).chainPem)
  const all = {
    ':authority': host,
    ':path': path,
    ':method': method,
    ':scheme': 'https',
    'content-type': 'application/json',
    'x-forwarded-client-cert': xfcc,
    ...headers
  }
  const headerMap = { headers: Object.entries(all).map(([key, value]) => ({ key, rawValue: Buffer.from(value) })) }
  const http = { id: `c${++calls}`, method, path, host, scheme: 'https', protocol: 'HTTP/1.1', headerMap, rawBody: Buffer.from(body ?? '') }
  const message = CheckRequest.encode(
    CheckRequest.fromPartial({ attributes: { source: { principal: SUPPORT, certificate }, request: { http } } })
  ).finish()
  const answer = CheckResponse.decode(await ask(server.session, Buffer.from(message)))
  surfaces['answers'] = `${surfaces['answers'] ?? ''}${JSON.stringify([answer.deniedResponse, answer.dynamicMetadata])}\n`
  return (answer.dynamicMetadata as Record<string, string> | undefined) ?? {}
}

/** Every header that a client could put something into, and that records have no field for. */
const everyHeader = () => ({
  authorization: `Bearer ${canary()}`,
  'proxy-authorization': canary(),
  cookie: `session=${canary()}`,
  'api-key': canary(),
  'x-api-key': canary(),
  'x-chroma-token': canary(),
  'x-weaviate-api-key': canary(),
  'x-openai-api-key': canary(),
  'user-agent': canary(),
  referer: `https://${canary()}/`,
  forwarded: `for=${canary()}`,
  'x-forwarded-for': canary(),
  traceparent: canary(),
  tracestate: canary(),
  baggage: canary(),
  'x-vecauthz-policy-token': jwt(),
  'x-anything': canary()
})

const float = () => {
  const digits = String(7_000_000_000 + 13 * ++number)
  canaries.push(digits)
  return `0.${digits}`
}
const search = (more: object = {}, tenant = 'acme') =>
  `{"query":[${float()},-${float()}],"limit":3,"filter":${JSON.stringify({ must: [{ key: 'tenant', match: { value: tenant } }], ...more })}}`
const QUERY = '/collections/docs/points/query'

describe('canaries', () => {
  it('go with calls of every kind', async () => {
    const add = (name: string) => (more: string) => {
      surfaces[name] = `${surfaces[name] ?? ''}${more}`
    }
    tail = page('/v1/tail', add('tail'))
    const text = { key: 'note', match: { text: `ignore all previous instructions ${canary()}` } }
    expect(await told(QUERY, search({ must: [{ key: 'tenant', match: { value: 'acme' } }, text] }), everyHeader())).toMatchObject({
      verdict: 'allow'
    })
    const points = {
      points: [{ id: 1, vector: [0.5], payload: { tenant: 'acme', text: canary(), [canary()]: 'x', password: `password: ${canary()}` } }]
    }
    await told('/collections/docs/points?wait=true', JSON.stringify(points), everyHeader(), 'PUT')
    const reasons = [
      await told(QUERY, search({ must: [] }), everyHeader()),
      await told(QUERY, search({}, `no name ${canary()}`), everyHeader()),
      await told(
        QUERY,
        `{"query":[${float()}],"limit":3,"no name ${canary()}":1,"filter":{"must":[{"key":"tenant","match":{"value":"acme"}}]}}`,
        everyHeader()
      ),
      await told(QUERY, `{"query":"${canary()}`, everyHeader()),
      await told(QUERY, Buffer.from([0xff, ...Buffer.from(canary())]), everyHeader()),
      await told(`${QUERY}?api_key=${canary()}`, search(), everyHeader()),
      await told('/qdrant.Points/Search', Buffer.from(`\0\0\0\0\x10${canary()}`), { ...everyHeader(), 'content-type': 'application/grpc' }),
      await told(QUERY, search(), { ...everyHeader(), 'x-vecauthz-subject-token': jwt() }),
      await told(QUERY, search(), { ...everyHeader(), authorization: `Bearer ${jwt()}` }),
      await told(QUERY, search(), { ...everyHeader(), 'x-vecauthz-purpose': `no purpose ${canary()}` }),
      await told(QUERY, search(), { ...everyHeader(), 'content-type': canary() }),
      await told(QUERY, search(), { ...everyHeader(), 'x-vecauthz-run': `two words ${canary()}` }),
      await told(QUERY, search(), { 'x-forwarded-client-cert': `Hash=${canary()}` })
    ].map(({ reason }) => reason ?? 'allow')
    // Some are refused at every stage, so that every stage had something to say about them.
    expect(new Set(reasons).size).toBeGreaterThan(4)
    expect(canaries.length).toBeGreaterThan(150)
  })

  it('and are nowhere: log, records, sinks, signed heads, disk, metrics, traces, live tail, admin pages, error bodies, crash output', async () => {
    const port = /"health_port":(\d+)/.exec(server.log())?.[1]
    for (const page of ['metrics', 'livez', 'readyz']) surfaces[page] = await (await fetch(`http://127.0.0.1:${port}/${page}`)).text()
    // The last record is written before the server is made to fail.
    const last = await told('/collections', undefined, {}, 'GET')
    await expect
      .poll(() => readFileSync(join(root, 'audit.jsonl'), 'utf8').includes(last['decision_id'] ?? '?'), { timeout: 20_000 })
      .toBe(true)
    await expect.poll(async () => (await collectorOf).ids().has(last['decision_id'] ?? '?'), { timeout: 20_000 }).toBe(true)
    for (const path of ['state', 'decisions', 'workloads', 'matrix', 'inventory', 'alerts'])
      await page(`/v1/${path}`, (text) => {
        surfaces[path] = `${surfaces[path] ?? ''}${text}`
      })
    await expect.poll(() => surfaces['tail']?.includes(last['decision_id'] ?? '?'), { timeout: 20_000 }).toBe(true)
    await expect.poll(async () => (await receiverOf).taken.length, { timeout: 20_000 }).toBeGreaterThan(0)
    // Spans name their decision, whatever they are written as.
    await expect
      .poll(
        async () =>
          (await spansOf)
            .lines()
            .join('')
            .includes(last['decision_id'] ?? '?'),
        { timeout: 30_000 }
      )
      .toBe(true)
    surfaces['traces'] = (await spansOf).lines().join('\n')
    const ended = once(server.child, 'exit')
    server.child.kill('SIGUSR2')
    await ended
    await tail
    surfaces['log and crash output'] = server.log()
    surfaces['records at the sink'] = (await collectorOf).lines().join('\n')
    for (const name of ['audit.jsonl', 'anchors.jsonl']) surfaces[name] = readFileSync(join(root, name), 'utf8')
    const spilled = readdirSync(join(root, 'spill'), { recursive: true, withFileTypes: true }).filter((one) => one.isFile())
    const pages = readdirSync(join(root, 'paging'), { recursive: true, withFileTypes: true }).filter((one) => one.isFile())
    surfaces['pages on disk'] = pages.map(({ parentPath, name }) => readFileSync(join(parentPath, name), 'utf8')).join('')
    const { taken } = await receiverOf
    surfaces['pages'] = taken.map(({ body }) => body).join('')
    expect(new Set(taken.map(({ headers }) => headers['authorization']))).toEqual(new Set([pagerWord]))
    surfaces['spill'] = spilled.map(({ parentPath, name }) => readFileSync(join(parentPath, name), 'utf8')).join('')
    expect(surfaces['log and crash output']).toContain('a fault nobody thought of')
    expect(surfaces['metrics']).toContain('# TYPE')
    expect(surfaces['decisions']).toContain('tenant-not-allowed')
    expect(surfaces['audit.jsonl']?.split('\n').length).toBeGreaterThan(15)
    const found = Object.entries(surfaces).flatMap(([name, text]) =>
      leaks(text).map((word) => `${word} in ${name}: ${text.slice(Math.max(0, text.indexOf(word) - 200), text.indexOf(word) + 40)}`)
    )
    expect(found).toEqual([])
  })

  it('a leak that is made on purpose is found, in each form', () => {
    const [word = ''] = canaries
    for (const form of [word, Buffer.from(`{"a":"${word}"}`).toString('base64'), Buffer.from(word).toString('hex')])
      expect(leaks(`${surfaces['log and crash output']} ${form} `)).toEqual([word])
    // What a record has a field for is in it: the search is not blind.
    expect(surfaces['audit.jsonl']).toContain('"database":"q"')
  })
})
