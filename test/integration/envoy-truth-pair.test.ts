import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { type RunningEnvoy, startEnvoy } from '../../demo/envoy.ts'
import { type Bootstrap, named } from '../../demo/envoy-config.ts'
import { envoyBinary } from '../../setup/components.ts'
import { type Authority, issueSvid, makeAuthority, type Svid } from '../support/ca.ts'
import { writeSecrets } from './support/gateway-bench.ts'
import { allow, deny, requestOf, type ScriptedAuthorizer, startAuthorizer } from './support/scripted-authorizer.ts'
import { startRecorder, type UpstreamRecorder } from './support/upstream-recorder.ts'
import { type Heard, type Http1Request, http1, http1On } from './support/wire-client.ts'

/** The shipped egress.yaml and index.yaml in real Envoys, each with a scripted ext_authz server: what the one passes on to the other. */

const run = promisify(execFile)
const FILES = ['egress.yaml', 'index.yaml'].map((name) => join(import.meta.dirname, '../../envoy', name)) as [string, string]
const [EGRESS_FILE, INDEX_FILE] = FILES
const TRUST_DOMAIN = 'demo.vecauthz.test'
const id = (path: string) => `spiffe://${TRUST_DOMAIN}${path}`
const AGENT = id('/acme/agent/support')
const HOST = 'chroma.demo.vecauthz.test:8200'
const TOKEN = 'x-vecauthz-policy-token'

let folder: string
let authority: Authority
let agent: Svid
let asked: Record<'egress' | 'index', ScriptedAuthorizer>
let upstream: UpstreamRecorder
let index: RunningEnvoy
let egress: RunningEnvoy

const here = (port: number) => ({ address: '127.0.0.1', port })
const home = (name: string, svid: Svid) => {
  const its = join(folder, name)
  mkdirSync(its)
  writeSecrets(its, svid, [authority])
  return its
}
const svidOf = (path: string) => issueSvid(authority, { id: id(path) })
/** The agent's Envoy, with what it asks and what it leads to. */
const startEgress = (name: string, to: { vecauthz?: number; index?: number; edit?: (bootstrap: Bootstrap) => void } = {}) => {
  const [server, next] = [here(to.vecauthz ?? asked.egress.port), here(to.index ?? index.port('index_in'))]
  const upstreams = { vecauthz: server, vecauthz_writes: server, index: next, index_grpc: next }
  const overrides = { upstreams, ...(to.edit === undefined ? {} : { edit: to.edit }) }
  return startEnvoy({ binary: envoyBinary(), configFile: EGRESS_FILE, folder: home(name, agent), overrides })
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'vecauthz-pair-'))
  authority = await makeAuthority({ trustDomain: TRUST_DOMAIN })
  agent = await issueSvid(authority, { id: AGENT })
  asked = {
    egress: await startAuthorizer(await svidOf('/vecauthz/egress'), authority.pem),
    index: await startAuthorizer(await svidOf('/vecauthz/index'), authority.pem)
  }
  upstream = await startRecorder()
  const server = here(asked.index.port)
  index = await startEnvoy({
    binary: envoyBinary(),
    configFile: INDEX_FILE,
    folder: home('index', await svidOf('/envoy/index')),
    overrides: { upstreams: { chroma: here(upstream.port), vecauthz: server, vecauthz_writes: server } }
  })
  egress = await startEgress('egress')
})
afterAll(async () => {
  await egress?.stop()
  await index?.stop()
  await Promise.all([asked?.egress.stop(), asked?.index.stop(), upstream?.stop()])
  rmSync(folder, { recursive: true, force: true })
})
beforeEach(() => {
  asked.egress.reset()
  asked.index.reset()
  upstream.reset()
  asked.egress.answer = () => allow({ set: { [TOKEN]: 'e.g.t', 'x-tenant-id': 'acme' } })
})

function send(request: Http1Request, port = egress.port('egress_in')): Promise<Heard> {
  const { headers = [], body } = request
  const length = body === undefined ? [] : [['content-length', String(body.length)] as const]
  return http1On(connect(port, '127.0.0.1'), {
    ...request,
    bare: true,
    headers: [['host', HOST], ['connection', 'close'], ...length, ...headers]
  })
}

describe('the files', () => {
  const validate = (file: string) =>
    run(envoyBinary(), ['--mode', 'validate', '-c', file, '--use-dynamic-base-id'], { cwd: join(folder, 'egress') })

  it.each(FILES)('%s is valid as it is shipped', async (file) => {
    await expect(validate(file)).resolves.toBeDefined()
  })
})

describe('a call through both', () => {
  const call: Http1Request = {
    method: 'POST',
    target: '/api/v2//x/../y?q=%41',
    headers: [
      ['content-type', 'application/json'],
      ['x-vecauthz-purpose', 'inference'],
      ['x-vecauthz-subject-token', 'u.s.r'],
      ['x-vecauthz-run', 'r-1']
    ],
    body: Buffer.from('{"a":1}')
  }

  it('is asked about first under the SVID of the agent, with its whole body, and with no certificate of anybody', async () => {
    expect((await send(call)).status).toBe(200)
    const [check] = asked.egress.checks
    expect(asked.egress.peer).toEqual(Buffer.from(agent.der))
    expect(check?.attributes?.source).toMatchObject({ certificate: '', principal: '' })
    const { rawBody, body, headers, path, host } = requestOf(check)
    expect([Buffer.from(rawBody).toString(), body, headers, path, host]).toEqual(['{"a":1}', '', {}, '/api/v2/y?q=%41', HOST])
  })

  it('is the same request at the index, with the token and the agent as its peer', async () => {
    expect((await send(call)).status).toBe(200)
    const [first, second] = [requestOf(asked.egress.checks[0]), requestOf(asked.index.checks[0])]
    const digested = ({ method, path, host, rawBody, all }: typeof first) => [
      method,
      path,
      host,
      Buffer.from(rawBody).toString(),
      ...['content-type', 'content-encoding', 'x-vecauthz-purpose', 'x-vecauthz-subject-token', 'x-vecauthz-run'].map(all)
    ]
    expect(digested(second)).toEqual(digested(first))
    expect(second.all('x-vecauthz-purpose')).toEqual(['inference'])
    expect(second.all(TOKEN)).toEqual(['e.g.t'])
    expect(asked.index.checks[0]?.attributes?.source?.principal).toBe(AGENT)
    expect(decodeURIComponent(asked.index.checks[0]?.attributes?.source?.certificate ?? '')).toContain('BEGIN CERTIFICATE')
    // What egress set for the index to see is not believed there, so it does not get as far.
    expect(second.all('x-tenant-id')).toEqual([])
  })

  it('reaches the database without any of our input, though the index server here removes nothing', async () => {
    asked.index.answer = () => allow({ set: { 'x-tenant-id': 'acme' } })
    await send(call)
    const [arrived] = upstream.seen
    expect(arrived?.body.toString()).toBe('{"a":1}')
    expect(arrived?.target).toBe('/api/v2/y?q=%41')
    const ours = [TOKEN, 'x-vecauthz-purpose', 'x-vecauthz-subject-token', 'x-vecauthz-run'].flatMap((name) => arrived?.all(name))
    expect(ours).toEqual([])
    expect(arrived?.all('x-tenant-id')).toEqual(['acme'])
  })

  it.each([TOKEN, 'x-vecauthz-tenant', 'x-tenant-id', 'x-forwarded-client-cert', 'x-envoy-auth-partial-body', 'api-key', 'forwarded'])(
    'a %s of the agent is asked about by nobody',
    async (name) => {
      asked.egress.answer = () => allow()
      expect(
        (
          await send({
            headers: [
              [name, 'mine'],
              ['x-request-tag', 'kept']
            ]
          })
        ).status
      ).toBe(200)
      for (const check of [asked.egress.checks[0], asked.index.checks[0]]) {
        expect(
          requestOf(check)
            .all(name)
            .filter((value) => value.includes('mine'))
        ).toEqual([])
        expect(requestOf(check).all('x-request-tag')).toEqual(['kept'])
      }
    }
  )

  it('of a gRPC client is HTTP/2 all the way, and the same request', async () => {
    asked.index.answer = () => deny()
    const session = connectHttp2(`http://127.0.0.1:${egress.port('egress_in')}`)
    try {
      await grpc(session, '/milvus.proto.milvus.MilvusService/Search', Buffer.from([0, 0, 0, 0, 1, 7]))
    } finally {
      session.destroy()
    }
    const [first, second] = [requestOf(asked.egress.checks[0]), requestOf(asked.index.checks[0])]
    expect([second.path, second.host, Buffer.from(second.rawBody)]).toEqual([first.path, first.host, Buffer.from(first.rawBody)])
    expect([first.protocol, second.protocol, second.all(TOKEN)]).toEqual(['HTTP/2', 'HTTP/2', ['e.g.t']])
  })

  it('that the database fails is not repeated by either: a token for a write is good once', async () => {
    upstream.status = 503
    expect((await send({ method: 'POST', body: '{}' })).status).toBe(503)
    expect([asked.egress.checks.length, asked.index.checks.length, upstream.seen.length]).toEqual([1, 1, 1])
  })
})

describe('a call ends', () => {
  it('at the first hop, when egress says no', async () => {
    asked.egress.answer = () => deny({ http: 403, headers: { 'x-vecauthz-decision': 'd-1' }, body: 'no' })
    const heard = await send({})
    expect([heard.status, heard.headers['x-vecauthz-decision'], heard.body]).toEqual([403, 'd-1', 'no'])
    expect(asked.index.checks).toEqual([])
  })

  it('at the first hop, when egress gives no verdict', async () => {
    asked.egress.answer = () => allow({ metadata: undefined })
    expect((await send({})).status).toBe(403)
    expect(asked.index.checks).toEqual([])
  })

  it('at the first hop, when egress would change the path that the token is for', async () => {
    asked.egress.answer = () => allow({ set: { ':path': '/other' } })
    expect((await send({})).status).toBe(500)
    expect(asked.index.checks).toEqual([])
  })

  it('at the first hop, when egress does not answer: 503, and never more', async () => {
    asked.egress.answer = () => ({ code: 14, details: 'gone' })
    expect((await send({})).status).toBe(503)
    expect(asked.index.checks).toEqual([])
  })

  it('at the second hop, when the index gives no verdict', async () => {
    asked.index.answer = () => allow({ metadata: undefined })
    expect((await send({})).status).toBe(403)
    expect(asked.index.checks).toHaveLength(1)
    expect(upstream.seen).toEqual([])
  })

  it('at the second hop, for an agent that goes there without a certificate', async () => {
    await expect(http1(index.port('index_in'), undefined, { headers: [['host', HOST]], bare: true })).rejects.toThrow()
    expect(asked.index.checks).toEqual([])
  })

  it.each(['localhost', '127.0.0.1', 'chroma', 'evil.test'])('before anybody is asked, under the name %s', async (host) => {
    const heard = await http1On(connect(egress.port('egress_in'), '127.0.0.1'), {
      bare: true,
      headers: [
        ['host', host],
        ['connection', 'close']
      ]
    })
    expect(heard.status).toBe(403)
    expect(asked.egress.checks).toEqual([])
  })
})

describe('the Envoy of an agent', () => {
  it.each([
    { name: 'asks nobody else in the place of vecauthz', as: '/vecauthz/gateway', status: 503, checks: 0 },
    { name: 'control: but whoever has its name', as: '/vecauthz/egress', status: 200, checks: 1 }
  ])('$name', async ({ as, status, checks }) => {
    const other = await startAuthorizer(await svidOf(as), authority.pem)
    const own = await startEgress(`asks-${checks}`, { vecauthz: other.port })
    try {
      expect((await send({}, own.port('egress_in'))).status).toBe(status)
      expect(other.checks).toHaveLength(checks)
    } finally {
      await own.stop()
      await other.stop()
    }
  })

  it('leads to nobody else in the place of the index: here the Envoy of a gateway', async () => {
    const its = home('impostor', await svidOf('/envoy/gateway'))
    const overrides = {
      upstreams: { chroma: here(upstream.port), vecauthz: here(asked.index.port), vecauthz_writes: here(asked.index.port) }
    }
    const impostor = await startEnvoy({ binary: envoyBinary(), configFile: INDEX_FILE, folder: its, overrides })
    const own = await startEgress('misled', { index: impostor.port('index_in') })
    try {
      expect((await send({}, own.port('egress_in'))).status).toBe(503)
      expect(asked.egress.checks).toHaveLength(1)
      expect(asked.index.checks).toEqual([])
    } finally {
      await own.stop()
      await impostor.stop()
    }
  })

  it('can have a socket that only its user opens in the place of the port, as the file says', async () => {
    const path = join(folder, 'egress.sock')
    const said = /#\s+address: (\{ pipe: .*\}) #/.exec(readFileSync(EGRESS_FILE, 'utf8'))?.[1] ?? ''
    const edit = (bootstrap: Bootstrap) => {
      const { pipe } = parse(said)
      named(bootstrap.static_resources.listeners, 'egress_in').address = { pipe: { ...pipe, path } }
    }
    const own = await startEgress('piped', { edit })
    try {
      expect(statSync(path).mode & 0o777).toBe(0o600)
      const heard = await http1On(connect(path), {
        bare: true,
        headers: [
          ['host', HOST],
          ['connection', 'close']
        ]
      })
      expect(heard.status).toBe(200)
      expect(asked.egress.peer).toEqual(Buffer.from(agent.der))
    } finally {
      await own.stop()
    }
  })
})

function grpc(session: ClientHttp2Session, path: string, body: Buffer): Promise<void> {
  const authority = 'milvus.demo.vecauthz.test:8200'
  const headers = { ':method': 'POST', ':path': path, ':authority': authority, 'content-type': 'application/grpc', te: 'trailers' }
  return new Promise((resolve, reject) => {
    const stream = session.request(headers)
    stream.on('error', reject)
    stream.on('end', () => resolve())
    stream.resume()
    stream.end(body)
  })
}
