import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, createServer } from 'node:tls'
import { promisify } from 'node:util'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { type RunningEnvoy, startEnvoy } from '../../demo/envoy.ts'
import { ENVOY_VERSION, envoyBinary } from '../../setup/components.ts'
import { BODY_BYTES_MAX } from '../../src/core/limits.ts'
import { issueSvid } from '../support/ca.ts'
import {
  AGENT_ID,
  GATEWAY_FILE,
  GATEWAY_ID,
  type GatewayBench,
  PARTNER_DOMAIN,
  SIDECAR_FILE,
  startBench,
  writeSecrets
} from './support/gateway-bench.ts'
import { deny, requestOf } from './support/scripted-authorizer.ts'
import { AUTHORITY, http1, tlsOptions } from './support/wire-client.ts'

/** The shipped files as a whole: valid for this Envoy, both hops together, rotation, logs, and the launcher around them. */

const run = promisify(execFile)

let bench: GatewayBench
let sidecar: RunningEnvoy
let folder: string

beforeAll(async () => {
  bench = await startBench()
  folder = mkdtempSync(join(tmpdir(), 'vecauthz-sidecar-'))
  writeSecrets(folder, bench.agent, [bench.authority])
  const gateway = { address: '127.0.0.1', port: bench.envoy.port('gateway_in') }
  sidecar = await startEnvoy({ binary: envoyBinary(), configFile: SIDECAR_FILE, folder, overrides: { upstreams: { gateway } } })
})
afterAll(async () => {
  await sidecar?.stop()
  await bench?.stop()
  rmSync(folder, { recursive: true, force: true })
})
beforeEach(() => bench.reset())

describe('the files', () => {
  const validate = (file: string) => run(envoyBinary(), ['--mode', 'validate', '-c', file, '--use-dynamic-base-id'], { cwd: folder })

  it('are for Envoy 1.40.0', async () => {
    expect(ENVOY_VERSION).toBe('1.40.0')
    expect((await run(envoyBinary(), ['--version'])).stdout).toContain('/1.40.0/')
  })

  it.each([GATEWAY_FILE, SIDECAR_FILE])('%s is valid as it is shipped', async (file) => {
    await expect(validate(file)).resolves.toBeDefined()
  })

  it.each(['gateway', 'agent-sidecar', 'egress', 'index'])('spire/%s.yaml is valid as it is shipped', async (name) => {
    await expect(validate(join(import.meta.dirname, `../../envoy/spire/${name}.yaml`))).resolves.toBeDefined()
  })

  it('control: a misspelt field is not', async () => {
    const file = join(folder, 'misspelt.yaml')
    writeFileSync(file, readFileSync(GATEWAY_FILE, 'utf8').replace('failure_mode_allow:', 'failure_mode_alow:'))
    await expect(validate(file)).rejects.toThrow('failure_mode_alow')
  })
})

describe('agent sidecar', () => {
  const url = (path: string) => `http://127.0.0.1:${sidecar.port('agent_in')}${path}`

  it("gives an unchanged client the agent's identity, under the name that the gateway knows", async () => {
    const answer = await fetch(url('/api/v2/heartbeat?x=1'), { method: 'POST', body: '{}' })
    expect(answer.status).toBe(200)
    expect(bench.authorizer.checks[0]?.attributes?.source?.principal).toBe(AGENT_ID)
    expect(requestOf(bench.authorizer.checks[0])).toMatchObject({ host: AUTHORITY, path: '/api/v2/heartbeat?x=1', protocol: 'HTTP/1.1' })
    expect(bench.upstream.seen[0]?.body.toString()).toBe('{}')
  })

  it('passes a denial on as it is', async () => {
    bench.authorizer.answer = () => deny({ http: 403, headers: { 'x-vecauthz-decision': 'd-7' }, body: 'no' })
    const answer = await fetch(url('/'))
    expect([answer.status, answer.headers.get('x-vecauthz-decision'), await answer.text()]).toEqual([403, 'd-7', 'no'])
  })

  it('has a body that is too large refused by the gateway, since it speaks HTTP/1.1 to it', async () => {
    const answer = await fetch(url('/'), { method: 'POST', body: Buffer.alloc(BODY_BYTES_MAX + 100) })
    expect(answer.status).toBe(413)
    expect(bench.authorizer.checks).toHaveLength(0)
  })

  it('does not answer to a name that is not its own', async () => {
    const status = new Promise((done) => get(url('/'), { headers: { host: 'evil.test' } }, (answer) => done(answer.resume().statusCode)))
    expect(await status).toBe(404)
    expect(bench.authorizer.checks).toHaveLength(0)
  })

  it.each([
    { name: 'sends nothing to another workload in the place of the gateway', id: AGENT_ID, status: 503, requests: 0 },
    { name: 'control: but to whoever has the name of the gateway', id: GATEWAY_ID, status: 502, requests: 1 }
  ])('$name', async ({ id, status, requests }) => {
    const svid = await issueSvid(bench.authority, { id })
    let heard = 0
    const options = { cert: svid.pem, key: svid.keyPem, ca: bench.authority.pem, requestCert: true, ALPNProtocols: ['http/1.1'] }
    const impostor = createServer(options, (socket) => {
      socket.on('error', () => undefined)
      socket.once('data', () => {
        heard += 1
        socket.end('HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n')
      })
    })
    impostor.on('tlsClientError', () => undefined)
    await new Promise<void>((done) => impostor.listen(0, '127.0.0.1', done))
    const gateway = { address: '127.0.0.1', port: (impostor.address() as { port: number }).port }
    const own = await startEnvoy({ binary: envoyBinary(), configFile: SIDECAR_FILE, folder, overrides: { upstreams: { gateway } } })
    try {
      expect((await fetch(`http://127.0.0.1:${own.port('agent_in')}/`)).status).toBe(status)
      expect(heard).toBe(requests)
    } finally {
      await own.stop()
      impostor.close()
    }
  })
})

describe('rotation without a restart', () => {
  const served = () =>
    new Promise<Buffer>((done, failed) => {
      const socket = connect(tlsOptions(bench.envoy.port('gateway_in'), bench.agent), () => {
        done(socket.getPeerCertificate().raw)
        socket.destroy()
      })
      socket.once('error', failed)
    })

  it('a new SVID is served by the next handshake', async () => {
    const next = await issueSvid(bench.authority, { id: GATEWAY_ID })
    expect(await served()).toEqual(Buffer.from(bench.gateway.der))
    writeSecrets(bench.folder, next, [bench.authority, bench.partner])
    await vi.waitFor(async () => expect(await served()).toEqual(Buffer.from(next.der)), { timeout: 5_000 })
  })

  it('a trust domain whose bundle is taken away is refused by the next handshake', async () => {
    const guest = await issueSvid(bench.partner, { id: `spiffe://${PARTNER_DOMAIN}/job` })
    const call = () => http1(bench.envoy.port('gateway_in'), guest)
    expect((await call()).status).toBe(200)
    writeSecrets(bench.folder, bench.gateway, [bench.authority])
    await vi.waitFor(() => expect(call()).rejects.toThrow(), { timeout: 5_000 })
    expect((await bench.http1()).status).toBe(200)
  })
})

describe('access log', () => {
  it('tells who asked and what was decided, and holds no credential, query or body', async () => {
    bench.authorizer.answer = () => ({ ...deny(), dynamicMetadata: { verdict: 'deny', decision_id: 'd-42', reason: 'tenant-not-allowed' } })
    const headers: [string, string][] = [
      ['x-chroma-token', 'secret-1'],
      ['authorization', 'Bearer secret-2'],
      ['x-vecauthz-policy-token', 'secret-3']
    ]
    await bench.http1({ target: '/api/v2/x?q=secret-4', body: 'secret-5', headers })
    // By the field: 'd-42' can stand in a request id of another line, which are random UUIDs.
    const [line, text] = await vi.waitFor(() => {
      const all = readFileSync(bench.envoy.accessLogFile, 'utf8')
      const lines = all.split('\n').flatMap((one) => (one.endsWith('}') ? [JSON.parse(one)] : []))
      const found = lines.find((one) => one.decision_id === 'd-42')
      expect(found).toBeDefined()
      return [found, all] as const
    })
    expect(line).toMatchObject({
      hop: 'gateway',
      code: 403,
      path: '/api/v2/x',
      verdict: 'deny',
      reason: 'tenant-not-allowed',
      decision_id: 'd-42',
      peer: AGENT_ID,
      peer_cert_end: expect.stringMatching(/^\d{4}-/),
      permanent_key: { 'x-chroma-token': 'sent' },
      tls: 'TLSv1.3'
    })
    expect(text).not.toMatch(/secret-[1-5]/)
  })
})

describe('launcher', () => {
  const start = (overrides: Parameters<typeof startEnvoy>[0]['overrides']) =>
    startEnvoy({ binary: envoyBinary(), configFile: SIDECAR_FILE, folder, overrides: overrides ?? {} })

  it('says what Envoy said when it does not start', async () => {
    const edit = (bootstrap: { admin: object }) => Object.assign(bootstrap.admin, { no_such_field: 1 })
    await expect(start({ edit })).rejects.toThrow(/did not start .*exit code 1.*no_such_field/s)
    await expect(start({ ports: { agent_in: bench.upstream.port } })).rejects.toThrow(/did not start .*Address already in use/s)
  })

  it('refuses an override that leads nowhere', async () => {
    await expect(start({ upstreams: { gatewy: { address: '127.0.0.1', port: 1 } } })).rejects.toThrow(
      'There is no cluster gatewy to override, but: gateway'
    )
    await expect(start({ ports: { agent: 1 } })).rejects.toThrow('There is no listener agent to override, but: admin, agent_in')
  })

  it('opens only the reading part of the admin interface', async () => {
    const status = async (path: string, method = 'GET') => (await fetch(sidecar.adminUrl + path, { method })).status
    expect(await status('/stats')).toBe(200)
    expect(await status('/config_dump')).toBe(200)
    expect(await status('/quitquitquit', 'POST')).toBe(403)
    expect(await status('/runtime_modify?x=1', 'POST')).toBe(403)
  })

  it('leaves no Envoy behind, not even when its own process is killed', async () => {
    const script = `
      import { startEnvoy } from ${JSON.stringify(join(import.meta.dirname, '../../demo/envoy.ts'))}
      const envoy = await startEnvoy(${JSON.stringify({ binary: envoyBinary(), configFile: SIDECAR_FILE, folder })})
      console.log(envoy.adminUrl)
    `
    const child = execFile(process.execPath, ['--input-type=module', '-e', script])
    const url = await new Promise<string>((done) => child.stdout?.once('data', (text) => done(String(text).trim())))
    expect((await fetch(`${url}/ready`)).status).toBe(200)
    child.kill('SIGKILL')
    await vi.waitFor(() => expect(fetch(`${url}/ready`)).rejects.toThrow())
  })

  it('may be told to stop twice', async () => {
    const envoy = await start({})
    await envoy.stop()
    await envoy.stop()
    expect(() => process.kill(envoy.pid, 0)).toThrow('ESRCH')
  })
})
