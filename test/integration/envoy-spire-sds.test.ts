import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { type RunningEnvoy, startEnvoy } from '../../demo/envoy.ts'
import { type Bootstrap, named } from '../../demo/envoy-config.ts'
import { envoyBinary } from '../../setup/components.ts'
import { type DevIssuer, startDevIssuer } from '../../src/spire/dev-issuer.ts'
import { allow, deny, type ScriptedAuthorizer, startAuthorizer } from './support/scripted-authorizer.ts'
import { startRecorder, type UpstreamRecorder } from './support/upstream-recorder.ts'
import { http1, http1On, tlsOptions } from './support/wire-client.ts'

/**
 * envoy/spire/*.yaml in real Envoys, with every secret over SDS from a socket, as from a SPIRE agent: the embedded issuer serves it
 * under the agent's names. What a real agent does as well is in spire-real.test.ts.
 */

const SPIRE = join(import.meta.dirname, '../../envoy/spire')
const DOMAIN = 'demo.vecauthz.test'
const id = (path: string) => `spiffe://${DOMAIN}/${path}`
const AGENT = id('acme/agent/support')
const [GATEWAY, INDEX] = [id('envoy/gateway'), id('envoy/index')]
const SERVERS = { gateway: id('vecauthz/gateway'), egress: id('vecauthz/egress'), index: id('vecauthz/index') } as const

let folder: string
let issuer: DevIssuer
let asked: Record<keyof typeof SERVERS, ScriptedAuthorizer>
let upstream: UpstreamRecorder
let gateway: RunningEnvoy
let index: RunningEnvoy
let egress: RunningEnvoy
let sidecar: RunningEnvoy

const here = (port: number) => ({ address: '127.0.0.1', port })

/** Where the agent's socket is, for the workload with this identity: one socket each, since nobody is attested here. */
const from = (spiffeId: string) => (bootstrap: Bootstrap) => pipeTo(bootstrap, issuer.socketOf(spiffeId).slice('unix://'.length))

function pipeTo(bootstrap: Bootstrap, path: string): void {
  const agent = named(bootstrap.static_resources.clusters, 'spire_agent')
  agent['load_assignment'].endpoints[0].lb_endpoints[0].endpoint.address.pipe.path = path
}

function start(file: string, spiffeId: string, upstreams: Record<string, { address: string; port: number }>, edit = from(spiffeId)) {
  const home = mkdtempSync(join(folder, 'e'))
  return startEnvoy({ binary: envoyBinary(), configFile: join(SPIRE, file), folder: home, overrides: { upstreams, edit } })
}

const openIssuer = () =>
  startDevIssuer({
    folder: join(folder, 'i'),
    trustDomains: [DOMAIN, 'partner.test'],
    entries: [...[AGENT, GATEWAY, INDEX, ...Object.values(SERVERS)].map((one) => ({ id: one })), { id: 'spiffe://partner.test/job' }],
    environment: {},
    say: () => undefined,
    stepEveryMs: 0
  })

const certificateOf = (spiffeId: string) => {
  const { chainPem, keyPem } = issuer.issueX509(spiffeId)
  return { pem: chainPem, keyPem }
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sds-'))
  mkdirSync(join(folder, 'i'), { mode: 0o700 })
  issuer = await openIssuer()
  const authorizer = (name: keyof typeof SERVERS) => startAuthorizer(certificateOf(SERVERS[name]), issuer.bundlePem(DOMAIN))
  asked = { gateway: await authorizer('gateway'), egress: await authorizer('egress'), index: await authorizer('index') }
  upstream = await startRecorder()
  const to = (name: keyof typeof SERVERS) => ({ vecauthz: here(asked[name].port), vecauthz_writes: here(asked[name].port) })
  gateway = await start('gateway.yaml', GATEWAY, { ...to('gateway'), chroma: here(upstream.port) })
  index = await start('index.yaml', INDEX, { ...to('index'), chroma: here(upstream.port) })
  const next = here(index.port('index_in'))
  egress = await start('egress.yaml', AGENT, { ...to('egress'), index: next, index_grpc: next })
  const gatewayIn = here(gateway.port('gateway_in'))
  sidecar = await start('agent-sidecar.yaml', AGENT, { gateway: gatewayIn, gateway_grpc: gatewayIn })
}, 60_000)

afterAll(async () => {
  for (const one of [sidecar, egress, index, gateway]) await one?.stop()
  await Promise.all([...Object.values(asked ?? {}), upstream].map((one) => one?.stop()))
  await issuer?.close()
  rmSync(folder, { recursive: true, force: true })
})

beforeEach(() => {
  for (const one of [...Object.values(asked), upstream]) one.reset()
})

/** What a listener shows of itself. */
async function serialShown(port: number): Promise<string> {
  const socket = connectTls(tlsOptions(port, certificateOf(AGENT)))
  await once(socket, 'secureConnect')
  const { serialNumber } = socket.getPeerCertificate()
  socket.on('error', () => undefined).destroy()
  return serialNumber
}

const plain = async (port: number) => http1On(await opened(port), { target: '/api/v2/heartbeat' })
async function opened(port: number) {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  return socket
}

describe('the gateway with secrets from an agent', () => {
  const ask = (as = AGENT) => http1(gateway.port('gateway_in'), certificateOf(as), { target: '/api/v2/heartbeat' })

  it('asks with its own SVID, tells the caller, and lets an allowed call through', async () => {
    expect((await ask()).status).toBe(200)
    expect(asked.gateway.checks[0]?.attributes?.source?.principal).toBe(AGENT)
    expect(upstream.seen).toHaveLength(1)
  })

  it('lets a denied one not', async () => {
    asked.gateway.answer = () => deny()
    expect((await ask()).status).toBe(403)
    expect(upstream.seen).toEqual([])
  })

  it('takes nobody of a trust domain that it does not federate with', async () => {
    await expect(ask('spiffe://partner.test/job')).rejects.toThrow()
    expect(asked.gateway.checks).toEqual([])
  })

  it('takes a caller of one that it federates with, as soon as the agent says so, and not after', async () => {
    const partner = () => ask('spiffe://partner.test/job')
    issuer.federate(GATEWAY, ['partner.test'])
    await vi.waitFor(async () => expect((await partner()).status).toBe(200), 10_000)
    issuer.federate(GATEWAY, [])
    await vi.waitFor(() => expect(partner()).rejects.toThrow(), 10_000)
    expect((await ask()).status).toBe(200)
  })

  it('shows a new SVID as soon as the agent has one', async () => {
    const before = await serialShown(gateway.port('gateway_in'))
    issuer.rotate(GATEWAY)
    await vi.waitFor(async () => expect(await serialShown(gateway.port('gateway_in'))).not.toBe(before), 10_000)
    expect((await ask()).status).toBe(200)
  })
})

describe('the sidecar and the pair with secrets from an agent', () => {
  it('the sidecar calls the gateway as its agent', async () => {
    expect((await plain(sidecar.port('agent_in'))).status).toBe(200)
    expect(asked.gateway.checks[0]?.attributes?.source?.principal).toBe(AGENT)
  })

  it('egress asks as its agent, and so does it call the index', async () => {
    asked.egress.answer = () => allow({ set: { 'x-vecauthz-policy-token': 'a.b.c' } })
    const socket = await opened(egress.port('egress_in'))
    expect((await http1On(socket, { target: '/api/v2/heartbeat' })).status).toBe(200)
    expect(asked.egress.peer?.toString('latin1')).toContain(AGENT)
    expect(asked.index.checks[0]?.attributes?.source?.principal).toBe(AGENT)
    expect(upstream.seen).toHaveLength(1)
  })
})

describe('an Envoy without its secrets', () => {
  it('is not ready however long that lasts, and is as soon as the agent is there', async () => {
    const late = join(folder, 'late.sock')
    let ready = false
    const starting = start('gateway.yaml', GATEWAY, {}, (bootstrap) => pipeTo(bootstrap, late)).then((envoy) => {
      ready = true
      return envoy
    })
    // Two seconds are long beside the fifth of one that this takes with an agent.
    await sleep(2_000)
    expect(ready).toBe(false)
    symlinkSync(issuer.socketOf(GATEWAY).slice('unix://'.length), late)
    const envoy = await starting
    expect(await serialShown(envoy.port('gateway_in'))).not.toBe('')
    await envoy.stop()
  })
})
