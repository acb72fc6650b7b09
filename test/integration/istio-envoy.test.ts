import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type RunningEnvoy, startEnvoy } from '../../demo/envoy.ts'
import { type Config, httpFilterOf, named, readBootstrap, renderBootstrap } from '../../demo/envoy-config.ts'
import { envoyBinary } from '../../setup/components.ts'
import { type Authority, issueSvid, makeAuthority, type Svid } from '../support/ca.ts'
import { EXT_AUTHZ, GATEWAY_FILE, GUARD, STRIP, writeSecrets } from './support/gateway-bench.ts'
import { applyEnvoyFilters, bootstrapOf, customFilters, documentsOf, inbound, outbound, VECAUTHZ } from './support/istio.ts'
import { allow, deny, type ScriptedAuthorizer, startAuthorizer } from './support/scripted-authorizer.ts'
import { startRecorder, type UpstreamRecorder } from './support/upstream-recorder.ts'
import { type Http1Request, http1, tlsOptions } from './support/wire-client.ts'

/**
 * envoy/istio in a real Envoy: a sidecar as istiod writes it, with the EnvoyFilters merged in. Each row has its control on the same
 * sidecar without them: what Istio alone lets through.
 */

const FOLDER = join(import.meta.dirname, '../../envoy/istio')
const VALUES = join(FOLDER, 'mesh-values.yaml')
const DOMAIN = 'example.org'
const AGENT = `spiffe://${DOMAIN}/ns/rag-acme/sa/support`
const SIDECAR = `spiffe://${DOMAIN}/ns/data/sa/qdrant`
const FILTERS = documentsOf(join(FOLDER, 'envoy-filters.yaml'))
const RULE = documentsOf(join(FOLDER, 'policies.yaml')).find(({ kind }) => kind === 'DestinationRule') as Config
/** `rules: [{}]`, and one that leaves a path out. */
const EVERYTHING = { and_rules: { rules: [{ any: true }] } }
const BUT_PUBLIC = { not_rule: { url_path: { path: { prefix: '/public' } } } }

let folder: string
let authority: Authority
let agent: Svid
let authorizer: ScriptedAuthorizer
let upstream: UpstreamRecorder
let envoy: RunningEnvoy
let applied: number[]

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'istio-'))
  authority = await makeAuthority({ trustDomain: DOMAIN })
  agent = await issueSvid(authority, { id: AGENT })
  authorizer = await startAuthorizer(await issueSvid(authority, { id: `spiffe://${DOMAIN}/ns/vecauthz/sa/vecauthz` }), authority.pem)
  upstream = await startRecorder()
  const [whole, carved] = [customFilters(VALUES, EVERYTHING), customFilters(VALUES, BUT_PUBLIC)]
  const shipped = [inbound('shipped', whole), inbound('carved', carved), inbound('unasked', [])]
  const bare = [inbound('bare', whole), inbound('bare_carved', carved), inbound('bare_unasked', [])]
  const database = {
    name: 'inbound|6333||',
    type: 'STATIC',
    connect_timeout: '1s',
    load_assignment: outbound('inbound|6333||', RULE)['load_assignment']
  }
  const clusters = [database, outbound(VECAUTHZ, RULE)]
  applied = applyEnvoyFilters(FILTERS, shipped, clusters)
  const configFile = join(folder, 'sidecar.yaml')
  writeFileSync(configFile, renderBootstrap(bootstrapOf([...shipped, ...bare], clusters)))
  writeSecrets(folder, await issueSvid(authority, { id: SIDECAR }), [authority])
  const upstreams = {
    [VECAUTHZ]: { address: '127.0.0.1', port: authorizer.port },
    'inbound|6333||': { address: '127.0.0.1', port: upstream.port }
  }
  envoy = await startEnvoy({ binary: envoyBinary(), configFile, folder, overrides: { upstreams } })
})

afterAll(async () => {
  await envoy?.stop()
  await Promise.all([authorizer?.stop(), upstream?.stop()])
  rmSync(folder, { recursive: true, force: true })
})

beforeEach(() => {
  authorizer.reset()
  upstream.reset()
})

const HOST = ['host', 'qdrant.data.svc.cluster.local:6333'] as const
const ask = (listener: string, request: Http1Request = {}) =>
  http1(envoy.port(listener), agent, { ...request, headers: [HOST, ...(request.headers ?? [])] })
const post = (headers: readonly (readonly [string, string])[] = [], body: Buffer | string = '{}'): Http1Request => ({
  method: 'POST',
  target: '/collections/handbook/points/query',
  headers: [['content-type', 'application/json'], ...headers],
  body
})

describe('the patches', () => {
  it('each find their place: on every listener, or on the one cluster', () => {
    // The third merges into ext_authz, which one of the three listeners has not; and here is no second port.
    expect(applied).toEqual([3, 3, 2, 3, 3, 3, 3, 3, 3, 3, 0, 1, 1])
  })

  it('say what gateway.yaml says', () => {
    const gateway = named(readBootstrap(GATEWAY_FILE).static_resources.listeners, 'gateway_in')
    const patched = inbound('x', customFilters(VALUES, EVERYTHING))
    applyEnvoyFilters(FILTERS, [patched], [])
    const own = httpFilterOf(patched, EXT_AUTHZ)
    const shipped = httpFilterOf(gateway, EXT_AUTHZ)
    const { metadata_context_namespaces: _, clear_route_cache: __, ...wanted } = shipped
    expect(own).toMatchObject({
      ...wanted,
      grpc_service: { timeout: shipped['grpc_service'].timeout, retry_policy: shipped['grpc_service'].retry_policy }
    })
    expect(httpFilterOf(patched, 'vecauthz.strip')).toEqual(httpFilterOf(gateway, STRIP))
    expect(httpFilterOf(patched, 'vecauthz.guard')).toEqual(httpFilterOf(gateway, GUARD))
  })
})

describe('a check', () => {
  it('has the certificate of the caller, its headers as they came, and the bytes of the body', async () => {
    expect(
      (
        await ask(
          'shipped',
          post(
            [
              ['x-a', '1'],
              ['x-a', '2']
            ],
            Buffer.from([0xff, 0x00])
          )
        )
      ).status
    ).toBe(200)
    const [check] = authorizer.checks
    expect(decodeURIComponent(check?.attributes?.source?.certificate ?? '')).toContain('BEGIN CERTIFICATE')
    expect(check?.attributes?.source?.principal).toBe(AGENT)
    const http = check?.attributes?.request?.http
    expect(http?.headerMap?.headers.filter(({ key }) => key === 'x-a').map(({ rawValue }) => rawValue.toString())).toEqual(['1', '2'])
    expect(http?.rawBody).toEqual(Buffer.from([0xff, 0x00]))
  })

  it('control: with the provider alone it has neither certificate nor single headers', async () => {
    await ask(
      'bare',
      post([
        ['x-a', '1'],
        ['x-a', '2']
      ])
    )
    const [check] = authorizer.checks
    expect(check?.attributes?.source?.certificate).toBe('')
    expect(check?.attributes?.request?.http?.headers['x-a']).toBe('1,2')
  })

  it('is asked on mTLS with the SVID of the sidecar', async () => {
    await ask('shipped')
    expect(authorizer.peer?.toString('latin1')).toContain(SIDECAR)
  })

  it('that denies keeps the call from the database', async () => {
    authorizer.answer = () => deny()
    expect((await ask('shipped', post())).status).toBe(403)
    expect(upstream.seen).toEqual([])
  })

  it('whose answer would change what the database reads ends in an error', async () => {
    authorizer.answer = () => allow({ set: { 'content-length': '1' } })
    expect((await ask('shipped', post())).status).toBe(500)
    expect(upstream.seen).toEqual([])
  })
})

const FORGED = [
  ['x-tenant-id', 'globex'],
  ['x-vecauthz-decision', 'forged'],
  ['api-key', 'permanent'],
  ['x-envoy-original-path', '/x']
] as const

describe('what a client may not say', () => {
  it.each(FORGED)('%s is taken away before the check and the database', async (name, value) => {
    await ask('shipped', post([[name, value]]))
    expect(upstream.seen[0]?.all(name)).toEqual([])
    expect(authorizer.checks[0]?.attributes?.request?.http?.headerMap?.headers.map(({ key }) => key)).not.toContain(name)
  })

  it.each(FORGED.slice(0, 3))('control: without the patches %s arrives', async (name, value) => {
    await ask('bare', post([[name, value]]))
    expect(upstream.seen[0]?.all(name)).toEqual([value])
  })

  const forgery = ['x-forwarded-client-cert', 'By=x;URI=spiffe://example.org/admin'] as const
  it('a certificate of its own making is replaced', async () => {
    await ask('shipped', post([forgery]))
    const header = authorizer.checks[0]?.attributes?.request?.http?.headerMap?.headers.find(({ key }) => key === 'x-forwarded-client-cert')
    expect(header?.rawValue.toString()).not.toContain('admin')
    expect(header?.rawValue.toString()).toContain('Chain=')
  })

  it('control: without the patches it stands first', async () => {
    await ask('bare', post([forgery]))
    expect(authorizer.checks[0]?.attributes?.request?.http?.headers['x-forwarded-client-cert']).toMatch(
      /^By=x;URI=spiffe:\/\/example.org\/admin,/
    )
  })
})

describe('what Envoy reads otherwise than a database', () => {
  it.each([
    { name: '%2F in a path', request: { target: '/collections/a%2Fb' }, status: 400 },
    { name: 'an underscore in a name', request: post([['x_tenant_id', 'globex']]), status: 400 }
  ])('$name: $status, and nobody is asked', async ({ request, status }) => {
    expect((await ask('shipped', request)).status).toBe(status)
    expect(authorizer.checks).toEqual([])
    expect((await ask('bare', request)).status).toBe(200)
  })

  const upgrade = post([
    ['upgrade', 'websocket'],
    ['connection', 'upgrade']
  ])
  it('an upgrade is refused before anybody is asked', async () => {
    expect((await ask('shipped', upgrade)).status).toBe(403)
    expect([authorizer.checks, upstream.seen]).toEqual([[], []])
  })

  it('control: without the patches it is asked about without its body', async () => {
    await ask('bare', upgrade).catch(() => undefined)
    expect(authorizer.checks).toHaveLength(1)
    expect(authorizer.checks[0]?.attributes?.request?.http?.rawBody.length).toBe(0)
  })
})

it('a host that nobody listed is nobody to ask about', async () => {
  const request = { headers: [['host', 'rebound.example.org']] } as const
  // Without a route ext_authz asks nobody, and the guard has no verdict.
  expect((await http1(envoy.port('shipped'), agent, request)).status).toBe(403)
  expect([authorizer.checks, upstream.seen]).toEqual([[], []])
  expect((await http1(envoy.port('bare'), agent, request)).status).toBe(200)
})

it('a client that stops at TLS 1.2 is refused, and vecauthz is asked over 1.3', async () => {
  const handshake = (maxVersion: 'TLSv1.2' | 'TLSv1.3') => connectTls(tlsOptions(envoy.port('shipped'), agent, { maxVersion }))
  await expect(once(handshake('TLSv1.2'), 'secureConnect')).rejects.toThrow(/alert protocol version/)
  const good = handshake('TLSv1.3')
  await once(good, 'secureConnect')
  good.destroy()
  const cluster = outbound(VECAUTHZ, RULE)
  applyEnvoyFilters(FILTERS, [], [cluster])
  expect(cluster['transport_socket'].typed_config.common_tls_context.tls_params.tls_minimum_protocol_version).toBe('TLSv1_3')
  expect(cluster['health_checks']).toHaveLength(1)
})

describe('the guard', () => {
  it.each([
    { name: 'a path that the AuthorizationPolicy leaves out', listener: 'carved', target: '/public' },
    { name: 'no AuthorizationPolicy at all', listener: 'unasked', target: '/collections' }
  ])('$name: nothing reaches the database', async ({ listener, target }) => {
    expect((await ask(listener, { target })).status).toBe(403)
    expect([authorizer.checks, upstream.seen]).toEqual([[], []])
    expect((await ask(`bare_${listener}`, { target })).status).toBe(200)
    expect([authorizer.checks, upstream.seen.length]).toEqual([[], 1])
  })

  it('an allowed call passes', async () => {
    expect((await ask('carved', post())).status).toBe(200)
    expect(upstream.seen).toHaveLength(1)
  })

  it('a yes without a verdict does not', async () => {
    authorizer.answer = () => allow({ metadata: undefined })
    expect((await ask('shipped', post())).status).toBe(403)
  })
})
