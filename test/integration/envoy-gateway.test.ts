import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type RunningEnvoy, startEnvoy } from '../../demo/envoy.ts'
import { type Config, httpFilterOf, named, readBootstrap, renderBootstrap } from '../../demo/envoy-config.ts'
import { envoyBinary } from '../../setup/components.ts'
import { type Authority, issueSvid, makeAuthority, type Svid } from '../support/ca.ts'
import { applyPatches, bootstrapOf, clustersOf, LISTENER, listenerOf, type Manifests, VECAUTHZ } from './support/envoy-gateway.ts'
import { EXT_AUTHZ, GATEWAY_FILE, GUARD, STRIP, writeSecrets } from './support/gateway-bench.ts'
import { documentsOf } from './support/istio.ts'
import { allow, deny, type ScriptedAuthorizer, startAuthorizer } from './support/scripted-authorizer.ts'
import { startRecorder, type UpstreamRecorder } from './support/upstream-recorder.ts'
import { type Http1Request, http1 } from './support/wire-client.ts'

/** envoy/gateway-api in a real Envoy: the listener that Envoy Gateway makes of the policies, with the patches and, as a control, without. */

const FOLDER = join(import.meta.dirname, '../../envoy/gateway-api')
const DOMAIN = 'example.org'
const AGENT = `spiffe://${DOMAIN}/ns/rag-acme/tenant/acme/sa/support`
const POLICIES = documentsOf(join(FOLDER, 'policies.yaml'))
const kind = (name: string) => POLICIES.find((one) => one['kind'] === name) as Config
const MANIFESTS: Manifests = { client: kind('ClientTrafficPolicy'), security: kind('SecurityPolicy'), backendTls: kind('BackendTLSPolicy') }
const [PATCHES] = documentsOf(join(FOLDER, 'patches.yaml')) as [Config]

let folder: string
let authority: Authority
let agent: Svid
let authorizer: ScriptedAuthorizer
let upstream: UpstreamRecorder
let envoy: RunningEnvoy
let applied: number[]

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'eg-'))
  authority = await makeAuthority({ trustDomain: DOMAIN })
  agent = await issueSvid(authority, { id: AGENT })
  authorizer = await startAuthorizer(await issueSvid(authority, { id: `spiffe://${DOMAIN}/vecauthz/gateway` }), authority.pem)
  upstream = await startRecorder()
  const shipped = listenerOf(LISTENER, MANIFESTS)
  const clusters = clustersOf(MANIFESTS)
  applied = applyPatches(PATCHES, [shipped], clusters)
  const configFile = join(folder, 'gateway.yaml')
  writeFileSync(configFile, renderBootstrap(bootstrapOf([shipped, listenerOf('bare', MANIFESTS)], clusters)))
  writeSecrets(folder, await issueSvid(authority, { id: `spiffe://${DOMAIN}/envoy/gateway` }), [authority])
  const upstreams = { [VECAUTHZ]: { address: '127.0.0.1', port: authorizer.port }, qdrant: { address: '127.0.0.1', port: upstream.port } }
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

const ask = (listener: string, request: Http1Request = {}) => http1(envoy.port(listener), agent, request)
const post = (
  headers: readonly (readonly [string, string])[] = [],
  body: Buffer | string = '{}',
  target = '/collections/a/points/query'
) => ({
  method: 'POST',
  target,
  headers: [['content-type', 'application/json'], ...headers] as const,
  body
})

describe('the patches', () => {
  it('find their one place each, and are for the listener of the Gateway and the cluster that it asks', () => {
    expect(applied).toEqual(applied.map(() => 1))
    expect(new Set(PATCHES['spec'].jsonPatches.map(({ name }: Config) => name))).toEqual(new Set([LISTENER, VECAUTHZ]))
  })

  it('with the policies say what gateway.yaml says', () => {
    const gateway = named(readBootstrap(GATEWAY_FILE).static_resources.listeners, 'gateway_in')
    const patched = listenerOf(LISTENER, MANIFESTS)
    applyPatches(PATCHES, [patched], [])
    const { metadata_context_namespaces: _, ...wanted } = httpFilterOf(gateway, EXT_AUTHZ)
    const { grpc_service: service, with_request_body: body, ...rest } = wanted
    const own = httpFilterOf(patched, 'envoy.filters.http.ext_authz/securitypolicy/data/vectordb')
    expect(own).toMatchObject(rest)
    expect(own['grpc_service']).toMatchObject({ timeout: service.timeout, retry_policy: service.retry_policy })
    // What is false is left out by Envoy Gateway.
    expect({ allow_partial_message: false, ...own['with_request_body'] }).toEqual(body)
    expect(httpFilterOf(patched, 'vecauthz.strip')).toEqual(httpFilterOf(gateway, STRIP))
    expect(httpFilterOf(patched, 'vecauthz.guard')).toEqual(httpFilterOf(gateway, GUARD))
  })
})

describe('a check', () => {
  const bytes = Buffer.from([0xff, 0x00, 0x80])

  it('has the certificate, each header, and the bytes of the body', async () => {
    expect(
      (
        await ask(
          LISTENER,
          post(
            [
              ['x-a', '1'],
              ['x-a', '2']
            ],
            bytes
          )
        )
      ).status
    ).toBe(200)
    const [check] = authorizer.checks
    expect(decodeURIComponent(check?.attributes?.source?.certificate ?? '')).toContain('BEGIN CERTIFICATE')
    expect(check?.attributes?.request?.http?.rawBody).toEqual(bytes)
    const repeated = check?.attributes?.request?.http?.headerMap?.headers.filter(({ key }) => key === 'x-a')
    expect(repeated?.map(({ rawValue }) => rawValue.toString())).toEqual(['1', '2'])
  })

  it('control: without the patches it has none of these, and a body with other bytes', async () => {
    await ask(
      'bare',
      post(
        [
          ['x-a', '1'],
          ['x-a', '2']
        ],
        bytes
      )
    )
    const [check] = authorizer.checks
    expect(check?.attributes?.source?.certificate).toBe('')
    expect(check?.attributes?.request?.http?.rawBody.length).toBe(0)
    expect(check?.attributes?.request?.http?.body).toBe('!\u0000!')
    expect(check?.attributes?.request?.http?.headers['x-a']).toBe('1,2')
  })

  it('that denies keeps the call from the database', async () => {
    authorizer.answer = () => deny()
    expect((await ask(LISTENER, post())).status).toBe(403)
    expect(upstream.seen).toEqual([])
  })

  it('whose answer would change what the database reads ends in an error; control: without the patches it does not', async () => {
    authorizer.answer = () => allow({ set: { 'x-mine': '1' } })
    expect((await ask(LISTENER, post())).status).toBe(500)
    expect((await ask('bare', post())).status).toBe(200)
  })
})

describe('what a client may not say', () => {
  it.each([
    ['x-tenant-id', 'globex', true],
    ['api-key', 'permanent', true],
    ['x-vecauthz-decision', 'forged', false],
    ['x-forwarded-host', 'other', false]
  ])('%s is taken away', async (name, value, byPolicy) => {
    await ask(LISTENER, post([[name, value]]))
    expect(upstream.seen[0]?.all(name)).toEqual([])
    expect(authorizer.checks[0]?.attributes?.request?.http?.headerMap?.headers.map(({ key }) => key)).not.toContain(name)
    upstream.reset()
    await ask('bare', post([[name, value]]))
    // The API has exact names and prefixes; what it cannot say is in the patch.
    expect(upstream.seen[0]?.all(name)).toEqual(byPolicy ? [] : [value])
  })
})

describe('what may be read in two ways', () => {
  it.each([
    ['%2F in a path', { target: '/collections/a%2Fb' }],
    ['an underscore in a name', post([['x_tenant_id', 'globex']])]
  ])('%s is refused by the policies alone', async (_, request) => {
    for (const listener of [LISTENER, 'bare']) expect((await ask(listener, request)).status).toBe(400)
    expect(authorizer.checks).toEqual([])
  })

  it('a call of grpc-web reaches the database as it was judged; control: without the patches it is unpacked on the way', async () => {
    const packed = Buffer.from('AAAAAAIIAQ==')
    const call = {
      method: 'POST',
      target: '/qdrant.Points/Search',
      headers: [['content-type', 'application/grpc-web-text']] as const,
      body: packed
    }
    await ask(LISTENER, call)
    expect([upstream.seen[0]?.all('content-type'), upstream.seen[0]?.body]).toEqual([['application/grpc-web-text'], packed])
    upstream.reset()
    await ask('bare', call).catch(() => undefined)
    expect([upstream.seen[0]?.all('content-type'), upstream.seen[0]?.body]).toEqual([
      ['application/grpc'],
      Buffer.from([0, 0, 0, 0, 2, 8, 1])
    ])
  })

  it('an upgrade is refused before anybody is asked', async () => {
    const upgrade = post([
      ['upgrade', 'websocket'],
      ['connection', 'upgrade']
    ])
    expect((await ask(LISTENER, upgrade)).status).toBe(403)
    expect([authorizer.checks, upstream.seen]).toEqual([[], []])
  })
})

describe('the guard', () => {
  it('a route whose own policy took the check away: nothing reaches the database; control: without the patches it does', async () => {
    expect((await ask(LISTENER, post([], '{}', '/unasked'))).status).toBe(403)
    expect([authorizer.checks, upstream.seen]).toEqual([[], []])
    expect((await ask('bare', post([], '{}', '/unasked'))).status).toBe(200)
    expect([authorizer.checks, upstream.seen.length]).toEqual([[], 1])
  })

  it('a yes without a verdict does not pass', async () => {
    authorizer.answer = () => allow({ metadata: undefined })
    expect((await ask(LISTENER, post())).status).toBe(403)
  })
})
