/** Every route of the admin API, attacked in every way: nothing is done, and every answer is clear. */
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { request as plainRequest } from 'node:http'
import { Agent, request } from 'node:https'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { z } from 'zod'
import { adminRoutes } from '../../docs/openapi.ts'
import { type AdminPort, startAdminPort } from '../../src/admin/admin-port.ts'
import { type AdminRoute, match, route } from '../../src/admin/admin-route.ts'
import { type LocalPort, startLocalPort } from '../../src/admin/local-port.ts'
import type { OperatorAct } from '../../src/core/operator-act.ts'
import { bundlesOf, issueSvid, makeAuthority, type Svid } from '../support/ca.ts'
import { idOf } from '../support/ids.ts'
import { POLICY, policyOf } from '../support/policy.ts'

// Conditions are waited for, on whatever machine.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

const DOMAIN = 'spiffe://demo.vecauthz.test'
const WAIT = { timeout: 30_000, interval: 20 }
const JSON_TYPE = { 'content-type': 'application/json' }
const folder = mkdtempSync(join(tmpdir(), 'adm-'))
const acts: OperatorAct[] = []
const done: string[] = []
const faults: unknown[] = []
const people: Record<string, Svid> = {}
let recording = true
let ports: { readonly admin: AdminPort; readonly local: LocalPort }
let own: Svid

const nameOf = ({ method, path }: AdminRoute) => `${method} ${path}`
/** The very routes, with who may, their bodies and bounds; what they would do is written down. */
const routes = adminRoutes().map(
  (one): AdminRoute => ({
    ...one,
    handle: async () => {
      done.push(nameOf(one))
      return { status: 200, body: {} }
    }
  })
)
const posts = routes.filter(({ method }) => method === 'POST')
const withBody = posts.filter(({ body }) => body !== undefined)
const pathOf = ({ path }: AdminRoute) => path.replace(/\{[^}]+\}/g, 'x1')
const rowsOf = (some: readonly AdminRoute[]) => some.map((one) => ({ name: nameOf(one), one }))

const policy = policyOf(`${POLICY}approvals: { actions: [drop], approvers: [${DOMAIN}/people/*] }\n`)
const options = {
  routes,
  policy: () => policy,
  now: Date.now,
  record: (act: OperatorAct) => recording && acts.push(act) > 0,
  onFault: (cause: unknown) => void faults.push(cause),
  onRefused: () => undefined
}
const tls = { host: '127.0.0.1', port: 0, operators: [`${DOMAIN}/ops/*`] }
let trust: ReturnType<typeof bundlesOf>

beforeAll(async () => {
  const root = await makeAuthority({ trustDomain: 'demo.vecauthz.test' })
  trust = bundlesOf([root])
  own = await issueSvid(root, { id: `${DOMAIN}/vecauthz` })
  const paths = { ops: 'ops/night', lead: 'people/lead', nobody: 'nobody' }
  for (const [name, path] of Object.entries(paths)) people[name] = await issueSvid(root, { id: `${DOMAIN}/${path}` })
  const admin = await startAdminPort({ key: own.keyPem, cert: own.pem }, { ...options, ...tls, trust: () => trust })
  const listen = { kind: 'loopback', host: '127.0.0.1', port: 0, tokenFile: join(folder, 'token') } as const
  const local = await startLocalPort({ ...options, listen, as: idOf(`${DOMAIN}/people/grace`) })
  ports = { admin, local }
})
afterAll(async () => {
  await ports.admin.close()
  await ports.local.close()
  rmSync(folder, { recursive: true })
})
beforeEach(() => {
  for (const list of [acts, done, faults]) list.length = 0
  recording = true
})

interface Ask {
  readonly method?: string
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  readonly proven?: boolean
}
interface Said {
  readonly status: number
  readonly text: string
}

/** On loopback, by whoever has the token. */
function ask({ method = 'GET', path, headers = {}, body, proven = true }: Ask): Promise<Said> {
  const bearer = proven ? { authorization: `Bearer ${readFileSync(join(folder, 'token'), 'utf8').trim()}` } : {}
  return new Promise((resolve, reject) => {
    const where = { host: '127.0.0.1', port: ports.local.port, method, path, headers: { ...bearer, ...headers }, agent: false as const }
    const call = plainRequest(where, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (more) => (text += more))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
    })
    call.on('error', reject)
    call.end(body)
  })
}

/** Over mTLS, with a body where one is taken. */
function askAs(who: string, one: AdminRoute, agent: Agent, port: number): Promise<Said> {
  const { pem: cert, keyPem: key } = people[who] as Svid
  const headers = one.body === undefined ? {} : JSON_TYPE
  return new Promise((resolve, reject) => {
    const where = { host: '127.0.0.1', port, method: one.method, path: pathOf(one), headers, cert, key, rejectUnauthorized: false, agent }
    const call = request(where, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (more) => (text += more))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
    })
    call.on('error', reject)
    call.end(one.body === undefined ? undefined : '{"reason":"x"}')
  })
}

async function refused(asked: Ask, status: number): Promise<void> {
  const said = await ask(asked)
  expect([asked.path, said.status, done]).toEqual([asked.path, status, []])
  expect(JSON.parse(said.text)).toMatchObject({ status, detail: expect.stringMatching(/\w/) })
  expect(acts).toEqual([])
}

describe('every route of the OpenAPI document', () => {
  it('is in the table, and whatever changes something is a POST with a name in the record', () => {
    expect(routes.length).toBeGreaterThan(30)
    expect(routes.filter(({ method, act }) => (method === 'POST') !== (act !== undefined)).map(nameOf)).toEqual([])
    expect(routes.filter(({ isPage }) => isPage === true)).toEqual([])
  })

  it.each(rowsOf(routes))('$name: not without the token, nor with another', async ({ one }) => {
    const asked = { method: one.method, path: pathOf(one) }
    await refused({ ...asked, proven: false }, 401)
    await refused({ ...asked, proven: false, headers: { authorization: `Bearer ${'x'.repeat(43)}` } }, 401)
  })

  it.each(rowsOf(routes))('$name: not for a page of another site', async ({ one }) => {
    const asked = { method: one.method, path: pathOf(one) }
    for (const headers of [
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { origin: 'https://evil.test' },
      { origin: 'null' }
    ])
      await refused({ ...asked, headers }, 403)
    await refused({ ...asked, headers: { host: 'evil.test' } }, 421)
  })

  it.each(rowsOf(routes))('$name: not at another spelling of its path', async ({ one }) => {
    const path = pathOf(one)
    const escaped = path.replace(/[a-z](?=[^/]*$)/, (letter) => `%${letter.charCodeAt(0).toString(16)}`)
    const spellings = [
      `${path}/`,
      `/${path}`,
      `${path}?x=1`,
      `${path}%00`,
      path.replace('/v1/', '/v1/../v1/'),
      path.replace('/v1', '/V1'),
      `${path};a`
    ]
    // What stands for an id may be spelt with escapes: it is one then.
    const ofNames = one.path.endsWith('}') ? [] : [escaped]
    for (const odd of [...spellings.filter((odd) => !one.path.endsWith('}') || !odd.startsWith(path)), ...ofNames]) {
      const said = await ask({ method: one.method, path: odd })
      expect([odd, said.status >= 400 && said.status < 500, done]).toEqual([odd, true, []])
    }
    expect(acts).toEqual([])
  })

  it.each(rowsOf(routes))('$name: not by another method', async ({ one }) => {
    const isTaken = (method: string) => match(routes, method, pathOf(one)).kind === 'route'
    const others = ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'].filter((method) => !isTaken(method))
    expect(others.length).toBeGreaterThan(3)
    for (const method of others) await refused({ method, path: pathOf(one) }, 405)
  })

  it.each(rowsOf(posts))('$name: not with a body that is too large, or that says so', async ({ one }) => {
    const most = one.bodyBytesMax ?? 16 * 1024
    await refused({ method: 'POST', path: pathOf(one), headers: JSON_TYPE, body: ' '.repeat(most + 1) }, 413)
    await refused(
      { method: 'POST', path: pathOf(one), headers: { ...JSON_TYPE, 'transfer-encoding': 'chunked' }, body: ' '.repeat(most + 1) },
      413
    )
  })

  it.each(rowsOf(withBody))('$name: not with a body of another type, broken, deep, with a name twice, or one too many', async ({ one }) => {
    const asked = { method: 'POST', path: pathOf(one) }
    await refused({ ...asked, headers: { 'content-type': 'text/plain' }, body: '{}' }, 415)
    await refused({ ...asked, headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: 'reason=x' }, 415)
    for (const body of [
      '',
      '{',
      '[]',
      'null',
      '{"reason":"x","reason":"x"}',
      '{"reason":"x","__proto__":{}}',
      '[[[[[[[]]]]]]]',
      '{"surprise":1}',
      '\xff'
    ])
      await refused({ ...asked, headers: JSON_TYPE, body }, 400)
  })

  it.each(rowsOf(posts.filter(({ body }) => body === undefined)))('$name: takes no body', async ({ one }) => {
    await refused({ method: 'POST', path: pathOf(one), headers: JSON_TYPE, body: '{}' }, 400)
  })

  it('not by an identity that may not: each is refused, and each act that was tried is on record', async () => {
    const agents: Record<string, Agent> = {}
    const agent = (who: string) => {
      agents[who] ??= new Agent({ keepAlive: true, maxSockets: 1 })
      return agents[who]
    }
    const of = (only: string) => routes.filter(({ who }) => who === only)
    const open = routes.filter(({ who }) => who === 'anybody').map(nameOf)
    // These look at who asks themselves, or tell what everybody may know.
    expect(open.sort()).toEqual(
      [
        'GET /v1/approvals',
        'GET /v1/grants',
        'GET /v1/openapi.json',
        'POST /v1/figures',
        'POST /v1/grants',
        'POST /v1/signals',
        'POST /v1/grants/{id}/release',
        'POST /v1/runs/{run}/end',
        'POST /v1/step-ups/{id}/answer',
        'POST /v1/step-ups/{id}/end-user'
      ].sort()
    )
    // Whatever a body says, it is who asks that is looked at.
    const whatever = routes.map((one) => (one.body === undefined ? one : { ...one, body: z.unknown() }))
    const port = await startAdminPort({ key: own.keyPem, cert: own.pem }, { ...options, ...tls, routes: whatever, trust: () => trust })
    const mayNot = { nobody: routes.filter(({ who }) => who !== 'anybody'), lead: of('operator'), ops: of('approver') }
    expect(Object.values(mayNot).map((some) => some.length > 0)).toEqual([true, true, true])
    for (const [who, some] of Object.entries(mayNot)) {
      for (const one of some) {
        const said = await askAs(who, one, agent(who), port.port)
        expect([who, nameOf(one), said.status]).toEqual([who, nameOf(one), 403])
        expect(JSON.parse(said.text)).toMatchObject({ status: 403, detail: 'You may not do this here.' })
      }
    }
    for (const one of Object.values(agents)) one.destroy()
    const tried = Object.values(mayNot).flatMap((some) => some.flatMap(({ act }) => (act === undefined ? [] : [act, act])))
    expect(acts.map(({ act }) => act)).toEqual(tried)
    expect(new Set(acts.map(({ stage }) => stage))).toEqual(new Set(['begun', 'refused']))
    expect(done).toEqual([])
    await port.close()
  })

  it('nothing at all without a certificate', async () => {
    const socket = connectTls({ host: '127.0.0.1', port: ports.admin.port, rejectUnauthorized: false })
    socket.on('error', () => undefined)
    socket.write(routes.map((one) => `${one.method} ${pathOf(one)} HTTP/1.1\r\nhost: x\r\n\r\n`).join(''))
    let said = ''
    socket.on('data', (more) => {
      said += more
    })
    await once(socket, 'close')
    expect([said, done, acts]).toEqual(['', [], []])
  })

  it.each(rowsOf(withBody))('$name: a body that never ends does nothing', async ({ one }) => {
    const socket = connect(ports.local.port, '127.0.0.1')
    socket.on('error', () => undefined)
    const token = readFileSync(join(folder, 'token'), 'utf8').trim()
    const head = `POST ${pathOf(one)} HTTP/1.1\r\nhost: 127.0.0.1:${ports.local.port}\r\nauthorization: Bearer ${token}\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n`
    socket.write(`${head}{"reason":`)
    // Whoever goes in the middle of a sentence has asked for nothing.
    await vi.waitFor(() => expect(socket.bytesWritten).toBeGreaterThan(head.length), WAIT)
    socket.destroy()
    await ask({ path: '/v1/openapi.json' })
    expect([done, acts]).toEqual([['GET /v1/openapi.json'], []])
  })
})

describe('nothing is done that cannot be recorded first', () => {
  it.each(rowsOf(posts.filter(({ body }) => body === undefined)))('$name', async ({ one }) => {
    recording = false
    const said = await ask({ method: 'POST', path: pathOf(one) })
    expect([said.status, done]).toEqual([503, []])
  })
})

describe('what takes long', () => {
  it('is answered when it is done, however long that is, while whoever says nothing is cut off', async () => {
    const release = Promise.withResolvers<void>()
    const begun = Promise.withResolvers<void>()
    const slow = route({
      method: 'POST',
      path: '/v1/slow',
      who: 'operator',
      act: 'test.slow',
      handle: async () => {
        begun.resolve()
        await release.promise
        return { status: 200, body: { slow: true } }
      }
    })
    // Long enough for a machine that does other things as well.
    const short = { requestMs: 3_000, connectionMs: 5_000 }
    const port = await startAdminPort(
      { key: own.keyPem, cert: own.pem },
      { ...options, ...tls, ...short, routes: [slow], trust: () => trust }
    )
    const { pem: cert, keyPem: key } = people['ops'] as Svid
    const where = { host: '127.0.0.1', port: port.port, cert, key, rejectUnauthorized: false }
    const answer = new Promise<number>((resolve, reject) => {
      const call = request({ ...where, method: 'POST', path: '/v1/slow', agent: false }, (response) =>
        resolve(response.resume().statusCode ?? 0)
      )
      call.on('error', reject).end()
    })
    await begun.promise
    // Others begin after it, and are cut off before it is done: by silence in the middle of a request, and by age.
    const half = connectTls(where)
    half.on('error', () => undefined).write('POST /v1/slow HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n')
    const dripping = connectTls(where)
    dripping.on('error', () => undefined).write('POST /v1/slow HTTP/1.1\r\nhost: x\r\ncontent-length: 5000\r\n\r\n')
    const drip = setInterval(() => dripping.write(' '), 50)
    await Promise.all([once(half, 'close'), once(dripping, 'close')])
    clearInterval(drip)
    expect(acts.map(({ stage }) => stage)).toEqual(['begun'])
    release.resolve()
    expect(await answer).toBe(200)
    expect(acts.map(({ stage }) => stage)).toEqual(['begun', 'done'])
    await port.close()
  })
})
