/** What a real Envoy tells of answers: how much came back to whom, and a route around ext_authz, which is an alarm. */
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { parse } from 'yaml'
import { call } from '../../demo/client.ts'
import { type Bootstrap, httpOf, named } from '../../demo/envoy-config.ts'
import { GATEWAY_ENVOY, SUPPORT } from '../../demo/identities.ts'
import { type Stack, startStack } from '../../demo/stack.ts'
import { collectionPath, namedPath, type Scene, sceneOf, searchBody } from '../../demo/step.ts'

const FOLDER = join(import.meta.dirname, '../../.run/test-answers')
const SHIPPED = join(import.meta.dirname, '../../envoy/access-log.yaml')
const WAIT = { timeout: 20_000, interval: 100 }
const ROUND_ABOUT = '/api/v2/version'

/** Of the lane that decides searches: figures of a workload are known where they are told. */
function accessLogPort(): number {
  const lines = readFileSync(join(FOLDER, 'vecauthz.log'), 'utf8').split('\n')
  const serving = lines.filter((one) => one.includes('"msg":"serving"')).map((one) => JSON.parse(one))
  const its = serving.find(({ pid }) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('/vecauthz.yaml'))
  return its?.access_log_port ?? 0
}

/** As envoy/access-log.yaml says it is added, and the hole that it is to find: a route that nobody is asked about. */
function edit(bootstrap: Bootstrap): void {
  const { access_log: logger, cluster } = parse(readFileSync(SHIPPED, 'utf8'))
  cluster.load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address.port_value = accessLogPort()
  bootstrap.static_resources.clusters.push(cluster)
  const http = httpOf(named(bootstrap.static_resources.listeners, 'gateway_in'))
  http['access_log'].push(logger)
  http['route_config'].virtual_hosts[0].routes.unshift({
    match: { path: ROUND_ABOUT },
    route: { cluster: 'chroma' },
    typed_per_filter_config: {
      'envoy.filters.http.ext_authz': {
        '@type': 'type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute',
        disabled: true
      },
      'envoy.filters.http.rbac': { '@type': 'type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBACPerRoute' }
    }
  })
}

let stack: Stack
let scene: Scene

beforeAll(async () => {
  stack = await startStack({
    folder: FOLDER,
    say: () => undefined,
    // biome-ignore lint/suspicious/noExplicitAny: the document as YAML gives it
    settings: (document: any) => {
      document.access_log = { listen: '127.0.0.1:0' }
    },
    // biome-ignore lint/suspicious/noExplicitAny: the document as YAML gives it
    policy: (document: any) => {
      document.monitoring = [{ metric: 'signal', signal: 'answer_bytes', window_seconds: 60, threshold: 10, action: 'flag' }]
    },
    envoy: { edit }
  })
  scene = sceneOf(stack)
})
afterAll(() => stack?.stop())

/** Both lanes together: which one is told is Envoy's matter. */
async function metric(name: string): Promise<number> {
  const texts = await Promise.all(
    [stack.server, stack.writes].map(async ({ healthPort }) => (await fetch(`http://127.0.0.1:${healthPort}/metrics`)).text())
  )
  const values = texts.flatMap((text) => text.split('\n').filter((line) => line.startsWith(`${name} `)))
  return values.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
}
function records(kind: string): Record<string, unknown>[] {
  const files = ['audit.jsonl', 'audit-writes.jsonl'].map((name) => join(FOLDER, name)).filter(existsSync)
  const lines = files.flatMap((file) => readFileSync(file, 'utf8').split('\n')).filter((line) => line !== '')
  return lines.map((line) => JSON.parse(line)).filter((one) => one.kind === kind)
}
const ask = (target: string, body?: object) => call(stack.door, scene.who.support, { target, ...(body && { body }) })
const search = () => ask(collectionPath('acme', stack.collections['acme'] ?? '', 'query'), searchBody('acme'))

describe('answers, as Envoy tells of them', () => {
  it('what came back is counted, and no checked call is an alarm', async () => {
    expect((await search()).status).toBe(200)
    expect((await ask(namedPath('globex', 'handbook'))).status).toBe(403)
    await vi.waitFor(async () => expect(await metric('vecauthz_answers_total{database="demo",status="2xx"}')).toBe(1), WAIT)
    await vi.waitFor(async () => expect(await metric('vecauthz_answers_total{database="none",status="4xx"}')).toBe(1), WAIT)
    expect(await metric('vecauthz_answer_bytes_total{database="demo"}')).toBeGreaterThan(100)
    expect(records('unchecked_call')).toEqual([])
  })

  it('how much came back to a workload is a figure that its policy can watch', async () => {
    expect((await search()).status).toBe(200)
    await vi.waitFor(
      () => expect(records('monitoring')[0]).toMatchObject({ workload: SUPPORT, metric: 'signal', signal: 'answer_bytes' }),
      WAIT
    )
  })

  it('a route around ext_authz is counted, logged and on record, with who used it', async () => {
    expect((await ask(ROUND_ABOUT)).status).toBe(200)
    await vi.waitFor(async () => expect(await metric('vecauthz_unchecked_calls_total{database="demo"}')).toBe(1), WAIT)
    await vi.waitFor(
      () =>
        expect(records('unchecked_call')).toEqual([
          expect.objectContaining({ envoy: GATEWAY_ENVOY, workload: SUPPORT, database: 'demo', verdict: '', status: 200 })
        ]),
      WAIT
    )
    expect(readFileSync(stack.server.logFile, 'utf8')).toContain('without a decision that allows it')
  })

  it('nobody else may tell of answers', async () => {
    const { cert, key } = stack.credentials(SUPPORT)
    const socket = connect({ host: '127.0.0.1', port: accessLogPort(), cert, key, rejectUnauthorized: false, ALPNProtocols: ['h2'] })
    socket.on('error', () => undefined)
    await once(socket, 'close')
    await vi.waitFor(
      () => expect(readFileSync(stack.server.logFile, 'utf8')).toMatch(/is not one of the settings' envoys.*access log port was refused/),
      WAIT
    )
  })
})
