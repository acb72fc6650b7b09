import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { parse } from 'yaml'
import { type RunningEnvoy, startEnvoy } from '../../demo/envoy.ts'
import { type Config, renderBootstrap } from '../../demo/envoy-config.ts'
import { envoyBinary } from '../../setup/components.ts'
import { judge, type Report } from '../../src/doctor/judge.ts'
import { readSource } from '../../src/doctor/read-source.ts'
import { type Authority, issueSvid, makeAuthority, type Svid } from '../support/ca.ts'
import { SHIPPED } from '../support/shipped-envoy.ts'
import { applyEnvoyFilters, customFilters, documentsOf, inbound } from './support/istio.ts'
import { type Mesh, type Pod, registerPod, serveSecrets, sidecarBootstrap, startMesh, whyNoIstiod } from './support/istiod.ts'
import { type Manifest, pathOf } from './support/kubernetes.ts'
import { allow, deny, type ScriptedAuthorizer, startAuthorizer } from './support/scripted-authorizer.ts'
import { startRecorder, type UpstreamRecorder } from './support/upstream-recorder.ts'
import { type Http1Request, http1On, tlsOptions } from './support/wire-client.ts'

/**
 * envoy/istio through a real istiod into a real Envoy, over ADS: what istiod makes of the manifests, and calls through it. It runs where
 * VECAUTHZ_PILOT_DISCOVERY_BIN, VECAUTHZ_KUBE_APISERVER_BIN and VECAUTHZ_ETCD_BIN name the programs; docs/istio-run.md says what was seen.
 */

const FOLDER = join(import.meta.dirname, '../../envoy/istio')
const VALUES = join(FOLDER, 'mesh-values.yaml')
const missing = whyNoIstiod()
const DOMAIN = 'example.org'
const AGENT = `spiffe://${DOMAIN}/ns/rag-acme/sa/support`
const SIDECAR = `spiffe://${DOMAIN}/ns/data/sa/qdrant`
const HOST = ['host', 'qdrant.data.svc.cluster.local:6333'] as const
/** Nothing redirects connections here, so one listener is bound by name. The port is that of the manifests. */
const BOUND = { address: '127.0.77.1', port: 6333 }
const POD: Pod = { name: 'qdrant-0', namespace: 'data', address: '10.1.0.5', labels: { app: 'qdrant' }, account: 'qdrant' }
const ORDER = [
  'vecauthz.no-upgrade',
  'vecauthz.strip',
  'envoy.filters.http.rbac',
  'envoy.filters.http.ext_authz',
  'envoy.filters.http.rbac',
  'envoy.filters.http.grpc_stats',
  'envoy.filters.http.fault',
  'envoy.filters.http.cors',
  'vecauthz.guard',
  'envoy.filters.http.router'
]
const SETTLE = { timeout: 60_000, interval: 200 }

const manifests = ['policies.yaml', 'envoy-filters.yaml'].flatMap((name) => documentsOf(join(FOLDER, name))) as Manifest[]
const custom = manifests.find(({ kind, metadata }) => kind === 'AuthorizationPolicy' && metadata.name === 'qdrant-vecauthz') as Manifest
const requests = manifests.find(({ kind, metadata }) => kind === 'EnvoyFilter' && metadata.name === 'vecauthz-requests') as Manifest

let folder: string
let mesh: Mesh
let envoy: RunningEnvoy
let authority: Authority
let agent: Svid
let authorizer: ScriptedAuthorizer
let upstream: UpstreamRecorder
const stops: (() => unknown)[] = []

const core = (kind: string, metadata: Manifest['metadata'], more: object = {}): Manifest => ({ apiVersion: 'v1', kind, metadata, ...more })
const remove = (one: Manifest) => mesh.kubernetes.ask('admin', 'DELETE', pathOf(one).replace(/\?.*/, ''))

beforeAll(async () => {
  if (missing !== undefined) return
  folder = mkdtempSync(join(tmpdir(), 'im-'))
  stops.push(() => rmSync(folder, { recursive: true, force: true }))
  authority = await makeAuthority({ trustDomain: DOMAIN })
  agent = await issueSvid(authority, { id: AGENT })
  authorizer = await startAuthorizer(await issueSvid(authority, { id: `spiffe://${DOMAIN}/ns/vecauthz/sa/vecauthz` }), authority.pem)
  upstream = await startRecorder()
  stops.push(authorizer.stop, upstream.stop)
  const { meshConfig, env } = parse(readFileSync(VALUES, 'utf8'))
  mesh = await startMesh(folder, meshConfig, env)
  stops.push(mesh.stop)
  for (const name of ['data', 'vecauthz']) await mesh.apply(core('Namespace', { name }))
  const ports = [6333, 6334].map((port) => ({ name: port === 6333 ? 'http' : 'grpc', port }))
  await mesh.apply(core('Service', { name: 'qdrant', namespace: 'data' }, { spec: { selector: { app: 'qdrant' }, ports } }))
  // In the place of a pod of vecauthz: the API server takes no loopback address for one.
  const labels = { 'app.kubernetes.io/name': 'vecauthz' }
  const entry = { apiVersion: 'networking.istio.io/v1', kind: 'WorkloadEntry', metadata: { name: 'vecauthz', namespace: 'vecauthz' } }
  await mesh.apply({ ...entry, spec: { address: '127.0.0.1', labels, ports: { 'grpc-authz': authorizer.port } } })
  await registerPod(mesh, POD)
  for (const one of manifests) await mesh.apply(one)
  stops.push(await serveSecrets(join(folder, 'sds.sock'), await issueSvid(authority, { id: SIDECAR }), authority))
  const configFile = join(folder, 'sidecar.yaml')
  writeFileSync(configFile, renderBootstrap(sidecarBootstrap(POD, mesh.xdsPort, join(folder, 'sds.sock'))))
  envoy = await startEnvoy({ binary: envoyBinary(), configFile, folder })
  stops.push(envoy.stop)
}, 240_000)

afterAll(async () => {
  for (const stop of stops.reverse()) await stop()
}, 60_000)

beforeEach(({ skip }) => {
  skip(missing !== undefined, missing)
  authorizer.reset()
  upstream.reset()
})

const dumped = async (kind: string) => {
  const { configs } = (await (await fetch(`${envoy.adminUrl}/config_dump`)).json()) as { configs: Config[] }
  return configs.find((one) => String(one['@type']).endsWith(`.${kind}`)) ?? {}
}
/** Filter chains of a listener that is in use. */
const chainsOf = async (listener: string): Promise<Config[]> => {
  const all: Config[] = (await dumped('ListenersConfigDump'))['dynamic_listeners'] ?? []
  return all.find(({ name }) => name === listener)?.['active_state']?.listener.filter_chains ?? []
}
const filtersOf = (chain: Config | undefined): string[] =>
  (chain?.['filters'].at(-1).typed_config.http_filters ?? []).map(({ name }: Config) => name)
const clusterOf = async (name: string): Promise<Config> => {
  const all: Config[] = (await dumped('ClustersConfigDump'))['dynamic_active_clusters'] ?? []
  return all.find(({ cluster }) => cluster.name === name)?.['cluster'] ?? {}
}
const FIRST: readonly unknown[] = ['ALLOW', 'DYNAMIC', 'AUTO', 'KEEP_UNCHANGED']
/** JSON of protobuf has several ways to write a duration, and leaves out what is false or an enum's first. */
const plain = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value === 'string' && /^\d+(\.\d+)?s$/.test(value)) return Number.parseFloat(value)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, one]) => one !== false && !FIRST.includes(one))
      .map(([key, one]) => [key, plain(one)])
  )
}

describe('what istiod makes of the manifests', () => {
  it('leads to the ports of the Service only, and each asks, with our filters in their places', async () => {
    const chains = await vi.waitFor(async () => {
      const found = await chainsOf('virtualInbound')
      expect(found.map(({ name }) => name)).toEqual(['virtualInbound-blackhole', '0.0.0.0_6333', '0.0.0.0_6334'])
      return found
    }, SETTLE)
    expect(chains.slice(1).map(filtersOf)).toEqual([ORDER, ORDER])
  })

  it('is what the tests without an istiod build', async () => {
    const [, chain] = await chainsOf('virtualInbound')
    const built = inbound('x', customFilters(VALUES, { and_rules: { rules: [{ any: true }] } }))
    applyEnvoyFilters(manifests, [built], [])
    const wanted = (built['filter_chains'] as Config[])[0]?.['filters'][0].typed_config
    const real = chain?.['filters'].at(-1).typed_config
    const own = (one: Config) => plain(one['http_filters'].filter(({ name }: Config) => /^vecauthz|ext_authz|cors/.test(name)))
    expect(own(real)).toEqual(own(wanted))
    expect(plain(real.http_filters[2])).toEqual(plain(wanted.http_filters[2]))
    const { stat_prefix: _, access_log: __, http_filters: ___, route_config: routes, ...rest } = wanted
    expect(plain(real)).toMatchObject(plain(rest) as object)
    expect(plain(real.route_config.virtual_hosts)).toEqual(plain(routes.virtual_hosts))
  })

  it('asks each replica, over TLS 1.3, proven by name, its health looked at', async () => {
    const cluster = await clusterOf('outbound|9901||vecauthz-mesh.vecauthz.svc.cluster.local')
    const tls = cluster['transport_socket'].typed_config.common_tls_context
    expect([cluster['type'], tls.tls_params.tls_minimum_protocol_version, cluster['health_checks'].length]).toEqual(['EDS', 'TLSv1_3', 1])
    expect(tls.combined_validation_context.default_validation_context.match_subject_alt_names).toEqual([
      { exact: `spiffe://${DOMAIN}/ns/vecauthz/sa/vecauthz` }
    ])
  })

  it('control: of the headless Service it makes a cluster that no question reaches', async () => {
    const headless = { clusterIP: 'None', selector: { app: 'x' }, ports: [{ name: 'grpc-authz', port: 9901 }] }
    await mesh.apply(core('Service', { name: 'headless', namespace: 'vecauthz' }, { spec: headless }))
    await vi.waitFor(async () => {
      expect((await clusterOf('outbound|9901||headless.vecauthz.svc.cluster.local'))['type']).toBe('ORIGINAL_DST')
    }, SETTLE)
  })

  it('passes every line of the doctor but those that a sidecar cannot pass', async () => {
    const of = ({ judged }: Report, wanted: string) => judged.filter(({ verdict }) => verdict === wanted).map(({ check }) => check.id)
    const [first] = SHIPPED['gateway.yaml'].servers
    const settings = { ...first?.settings, listen: `127.0.0.1:${authorizer.port}` } as NonNullable<typeof first>['settings']
    const report = judge(await readSource(envoy.adminUrl), [{ file: 'x', settings }])
    expect([of(report, 'fail'), of(report, 'cannot-tell'), report.ownCalls > 0]).toEqual([['admin-reads-only'], ['database-private'], true])
  })
})

const ask = (request: Http1Request = {}) => {
  const socket = connect(tlsOptions(BOUND.port, agent, { host: BOUND.address, ALPNProtocols: ['http/1.1'] }))
  const host = request.headers?.some(([name]) => name === 'host') === true ? [] : [HOST]
  return http1On(socket, { ...request, headers: [...host, ...(request.headers ?? [])] })
}
const post = (headers: readonly (readonly [string, string])[] = [], body: Buffer | string = '{}'): Http1Request => ({
  method: 'POST',
  target: '/collections/handbook/points/query',
  headers: [['content-type', 'application/json'], ...headers],
  body
})
const boundFilters = async () => filtersOf((await chainsOf(`${BOUND.address}_${BOUND.port}`))[0])

describe('calls', () => {
  it('come through a listener of their own, which has the same filters', async () => {
    if (missing !== undefined) return
    const ingress = [
      {
        port: { number: BOUND.port, protocol: 'HTTP', name: 'http' },
        bind: BOUND.address,
        captureMode: 'NONE',
        defaultEndpoint: `127.0.0.1:${upstream.port}`
      }
    ]
    const sidecar = { apiVersion: 'networking.istio.io/v1', kind: 'Sidecar', metadata: { name: 'qdrant', namespace: 'data' } }
    await mesh.apply({ ...sidecar, spec: { workloadSelector: { labels: POD.labels }, ingress } })
    await vi.waitFor(async () => expect(await boundFilters()).toEqual(ORDER), SETTLE)
    await vi.waitFor(async () => expect((await ask()).status).toBe(200), SETTLE)
  })

  it('are asked about with the certificate of the caller, headers as they came, and the bytes of the body', async () => {
    const twice = [
      ['x-a', '1'],
      ['x-a', '2']
    ] as const
    expect((await ask(post(twice, Buffer.from([0xff, 0x00])))).status).toBe(200)
    const check = authorizer.checks[0]?.attributes
    expect(decodeURIComponent(check?.source?.certificate ?? '')).toContain('BEGIN CERTIFICATE')
    expect([check?.source?.principal, check?.destination?.principal]).toEqual([AGENT, SIDECAR])
    const http = check?.request?.http
    expect(http?.headerMap?.headers.filter(({ key }) => key === 'x-a').map(({ rawValue }) => rawValue.toString())).toEqual(['1', '2'])
    expect(http?.rawBody).toEqual(Buffer.from([0xff, 0x00]))
    expect(authorizer.peer?.toString('latin1')).toContain(SIDECAR)
  })

  it.each([
    ['x-tenant-id', 'globex'],
    ['x-vecauthz-decision', 'forged'],
    ['api-key', 'permanent'],
    ['x-envoy-original-path', '/x']
  ] as const)('lose %s before the check and the database', async (name, value) => {
    await ask(post([[name, value]]))
    expect(upstream.seen[0]?.all(name)).toEqual([])
    expect(authorizer.checks[0]?.attributes?.request?.http?.headerMap?.headers.map(({ key }) => key)).not.toContain(name)
  })

  it('have the certificate that the connection proved, not one that they bring', async () => {
    await ask(post([['x-forwarded-client-cert', `By=x;URI=spiffe://${DOMAIN}/admin`]]))
    const header = authorizer.checks[0]?.attributes?.request?.http?.headerMap?.headers.find(({ key }) => key === 'x-forwarded-client-cert')
    expect(header?.rawValue.toString()).not.toContain('admin')
    expect(header?.rawValue.toString()).toContain('Chain=')
  })

  it.each([
    { name: '%2F in a path', request: { target: '/collections/a%2Fb' }, status: 400 },
    { name: 'an underscore in a name', request: post([['x_tenant_id', 'globex']]), status: 400 },
    {
      name: 'an upgrade',
      request: post([
        ['upgrade', 'websocket'],
        ['connection', 'upgrade']
      ]),
      status: 403
    },
    { name: 'a host that nobody listed', request: post([['host', 'rebound.example.org']]), status: 403 }
  ])('end with $status before anybody is asked: $name', async ({ request, status }) => {
    expect((await ask(request)).status).toBe(status)
    expect([authorizer.checks, upstream.seen]).toEqual([[], []])
  })

  it('that wait for a word before they send their body get it, and are asked about with that', async () => {
    const socket = connect(tlsOptions(BOUND.port, agent, { host: BOUND.address, ALPNProtocols: ['http/1.1'] }))
    const [name, value] = HOST
    socket.write(`POST /x HTTP/1.1\r\n${name}: ${value}\r\nexpect: 100-continue\r\ncontent-length: 2\r\nconnection: close\r\n\r\n`)
    const heard: string[] = []
    socket.on('data', (chunk) => heard.push(String(chunk)))
    await vi.waitFor(() => expect(heard.join('')).toContain('HTTP/1.1 100 Continue'), SETTLE)
    expect(authorizer.checks).toEqual([])
    socket.write('{}')
    await vi.waitFor(() => expect(heard.join('')).toContain('HTTP/1.1 200 OK'), SETTLE)
    expect(authorizer.checks[0]?.attributes?.request?.http?.rawBody.toString()).toBe('{}')
    socket.destroy()
  })

  it('that are denied, or allowed without a verdict, or changed beyond the list, do not arrive', async () => {
    authorizer.answer = () => deny()
    expect((await ask(post())).status).toBe(403)
    authorizer.answer = () => allow({ metadata: undefined })
    expect((await ask(post())).status).toBe(403)
    authorizer.answer = () => allow({ set: { 'content-length': '1' } })
    expect((await ask(post())).status).toBe(500)
    expect(upstream.seen).toEqual([])
  })

  it('of another namespace are kept away by Istio itself, verdict or not', async () => {
    const other = await issueSvid(authority, { id: `spiffe://${DOMAIN}/ns/elsewhere/sa/support` })
    const socket = connect(tlsOptions(BOUND.port, other, { host: BOUND.address, ALPNProtocols: ['http/1.1'] }))
    expect((await http1On(socket, { ...post(), headers: [HOST] })).status).toBe(403)
    expect([authorizer.checks.length, upstream.seen]).toEqual([1, []])
  })

  it('do not arrive when the policy that asks is deleted, and do once it is back', async () => {
    await remove(custom)
    await vi.waitFor(async () => expect(await boundFilters()).toEqual(ORDER.filter((_, index) => index !== 2 && index !== 3)), SETTLE)
    expect((await ask(post())).status).toBe(403)
    expect([authorizer.checks, upstream.seen]).toEqual([[], []])
    await mesh.apply(custom)
    await vi.waitFor(async () => expect((await ask(post())).status).toBe(200), SETTLE)
  })

  it('control: without the patches what a client forges arrives, and vecauthz has no certificate', async () => {
    await remove(requests)
    await vi.waitFor(async () => expect(await boundFilters()).toEqual(ORDER.filter((name) => !name.startsWith('vecauthz.'))), SETTLE)
    await vi.waitFor(async () => {
      authorizer.reset()
      upstream.reset()
      await ask(post([['x-tenant-id', 'globex']]))
      expect(upstream.seen[0]?.all('x-tenant-id')).toEqual(['globex'])
      expect(authorizer.checks[0]?.attributes?.source?.certificate).toBe('')
    }, SETTLE)
  })
})
