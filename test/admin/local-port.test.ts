/** The admin API for people on the host, attacked: nothing changes, and every answer is clear. */
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { type LocalPort, startLocalPort } from '../../src/admin/local-port.ts'
import type { OperatorAct } from '../../src/core/operator-act.ts'
import { consoleDesk, decidedBy } from '../support/console-desk.ts'
import { idOf } from '../support/ids.ts'
import { POLICY, policyOf } from '../support/policy.ts'

const A = 'spiffe://demo.vecauthz.test/acme/support'
const folder = mkdtempSync(join(tmpdir(), 'vc-'))
const tokenFile = join(folder, 'token')
const acts: OperatorAct[] = []
const faults: unknown[] = []
const desk = consoleDesk()
const answering = {
  routes: desk.routes,
  policy: () => policyOf(POLICY),
  now: Date.now,
  record: (act: OperatorAct) => acts.push(act) > 0,
  onFault: (cause: unknown) => void faults.push(cause),
  as: idOf('spiffe://demo.vecauthz.test/people/grace'),
  headersMs: 400
}
let port: LocalPort

const loopback = { kind: 'loopback', host: '127.0.0.1', port: 0, tokenFile } as const
beforeAll(async () => {
  desk.revocations.start()
  port = await startLocalPort({ ...answering, listen: loopback })
})
afterAll(async () => {
  await port.close()
  await desk.revocations.stop()
  rmSync(folder, { recursive: true, force: true })
})

const token = () => readFileSync(tokenFile, 'utf8').trim()
interface Ask {
  readonly method?: string
  readonly path?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  readonly proven?: boolean
  readonly socketPath?: string
}
function ask({
  method = 'GET',
  path = '/v1/state',
  headers = {},
  body = '',
  proven = true,
  socketPath
}: Ask): Promise<{ status: number; text: string; headers: IncomingMessage['headers'] }> {
  const where = socketPath === undefined ? { host: '127.0.0.1', port: port.port } : { socketPath }
  const bearer = proven ? { authorization: `Bearer ${token()}` } : {}
  return new Promise((resolve, reject) => {
    const call = request({ ...where, method, path, headers: { ...bearer, ...headers }, agent: false }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk) => (text += chunk))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text, headers: response.headers }))
    })
    call.on('error', reject)
    call.end(body)
  })
}
const JSON_TYPE = { 'content-type': 'application/json' }
const REVOKE = { method: 'POST', path: '/v1/revocations', headers: JSON_TYPE, body: JSON.stringify({ spiffe_id: A, reason: 'a drill' }) }

describe('the admin API on loopback', () => {
  it('answers whoever has the token, and only on this host by its own name', async () => {
    const { status, text, headers } = await ask({})
    expect(status).toBe(200)
    expect(JSON.parse(text)).toMatchObject({ ready: true, role: 'gateway' })
    expect(headers['content-security-policy']).toContain("default-src 'none'")
    expect(headers['access-control-allow-origin']).toBeUndefined()
    expect(statSync(tokenFile).mode & 0o777).toBe(0o600)
  })

  it.each<[string, Ask, number]>([
    ['no token', { proven: false }, 401],
    ['a wrong token', { proven: false, headers: { authorization: `Bearer ${'x'.repeat(43)}` } }, 401],
    ['the token as basic credentials', { proven: false, headers: { authorization: `Basic ${'x'.repeat(43)}` } }, 401],
    ['no token, for a path that is not there', { proven: false, path: '/v1/secret' }, 401],
    ['another host name (DNS rebinding)', { headers: { host: 'evil.test' } }, 421],
    ['another port in the host name', { headers: { host: '127.0.0.1:1' } }, 421],
    ['a page of another site', { ...REVOKE, headers: { ...JSON_TYPE, 'sec-fetch-site': 'cross-site' } }, 403],
    ['a page of a sister site', { ...REVOKE, headers: { ...JSON_TYPE, 'sec-fetch-site': 'same-site' } }, 403],
    ['another origin', { ...REVOKE, headers: { ...JSON_TYPE, origin: 'https://evil.test' } }, 403],
    ['a sandboxed page', { ...REVOKE, headers: { ...JSON_TYPE, origin: 'null' } }, 403],
    ['a form', { ...REVOKE, headers: { 'content-type': 'application/x-www-form-urlencoded' } }, 415],
    ['text that is JSON', { ...REVOKE, headers: { 'content-type': 'text/plain' } }, 415],
    ['no body', { ...REVOKE, body: '' }, 400],
    ['a key twice', { ...REVOKE, body: `{"spiffe_id":"${A}","spiffe_id":"${A}","reason":"x"}` }, 400],
    ['a key too many', { ...REVOKE, body: JSON.stringify({ spiffe_id: A, reason: 'x', force: true }) }, 400],
    ['no reason', { ...REVOKE, body: JSON.stringify({ spiffe_id: A, reason: ' ' }) }, 400],
    ['a reason that forges a line', { ...REVOKE, body: JSON.stringify({ spiffe_id: A, reason: 'x\ny' }) }, 400],
    ['what is no SPIFFE ID', { ...REVOKE, body: JSON.stringify({ spiffe_id: 'https://x', reason: 'x' }) }, 400],
    ['a body of 100 KB', { ...REVOKE, body: `{"reason":"${'x'.repeat(100_000)}"}` }, 413],
    ['dots in the path', { ...REVOKE, path: '/v1/approvals/../revocations' }, 404],
    ['two slashes', { ...REVOKE, path: '//v1/revocations' }, 404],
    ['a slash behind it', { ...REVOKE, path: '/v1/revocations/' }, 404],
    ['an escaped letter', { ...REVOKE, path: '/v1/%72evocations' }, 404],
    ['a query', { ...REVOKE, path: '/v1/revocations?x=1' }, 404],
    ['an absolute target', { ...REVOKE, path: 'http://127.0.0.1/v1/revocations' }, 404],
    ['another method', { path: '/v1/revocations', method: 'DELETE' }, 405],
    ['files beside the page', { path: '/../admin-port.ts' }, 404],
    ['files beside the page, escaped', { path: '/%2e%2e/admin-port.ts' }, 404]
  ])('refuses %s', async (_, asked, status) => {
    const before = acts.length
    const answer = await ask(asked)
    expect(answer.status).toBe(status)
    expect(JSON.parse(answer.text)).toMatchObject({ status, detail: expect.stringMatching(/\w/) })
    expect(answer.text).not.toContain(token())
    expect(desk.revocations.list()).toEqual([])
    expect(acts.slice(before)).toEqual([])
  })

  it('the page and its files are for anybody, show nothing, and run nothing that is not theirs', async () => {
    for (const path of ['/', '/console.js', '/views.js', '/elements.js', '/console.css']) {
      const { status, text, headers } = await ask({ path, proven: false, headers: { 'sec-fetch-site': 'cross-site' } })
      expect(status).toBe(200)
      expect(headers['content-security-policy']).toContain("require-trusted-types-for 'script'")
      expect(headers['x-frame-options']).toBe('DENY')
      expect(text).not.toMatch(
        /https?:\/\/(?!www\.w3\.org)|innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|<script>|style="|onclick="/
      )
    }
  })

  it('a revocation is in force, on record with who and why, and taken back the same way', async () => {
    const done = await ask(REVOKE)
    expect(done.status).toBe(200)
    expect(desk.revocations.list()).toMatchObject([{ kind: 'spiffe_id', value: A, reason: 'a drill', by: answering.as.text }])
    expect(acts.slice(-2)).toMatchObject([
      { stage: 'begun', act: 'identity.revoke', by: answering.as.text, serial: 'token file', reason: 'a drill' },
      { stage: 'done', facts: { spiffe_id: A, kept: 'everywhere' } }
    ])
    expect((await ask({ ...REVOKE, path: '/v1/revocations/lift' })).status).toBe(200)
    expect(desk.revocations.list()).toEqual([])
    expect((await ask({ ...REVOKE, path: '/v1/revocations/lift' })).status).toBe(409)
  })

  it('who says the head of a request slowly is cut off, and others are answered meanwhile', async () => {
    const socket = connect(port.port, '127.0.0.1')
    socket.on('error', () => undefined)
    const closed = new Promise((resolve) => socket.once('close', resolve))
    socket.write('GET /v1/state HTTP/1.1\r\nhost: 127')
    socket.resume()
    expect((await ask({})).status).toBe(200)
    await closed
  })

  it('the token stays, until its file is removed; one that others may read is none', async () => {
    const before = token()
    const other = await startLocalPort({ ...answering, listen: loopback })
    expect(token()).toBe(before)
    await other.close()
    chmodSync(tokenFile, 0o644)
    await expect(startLocalPort({ ...answering, listen: loopback })).rejects.toThrow('may be read by others')
    await port.close()
    rmSync(tokenFile)
    port = await startLocalPort({ ...answering, listen: loopback })
    expect(token()).not.toBe(before)
    expect((await ask({ proven: false, headers: { authorization: `Bearer ${before}` } })).status).toBe(401)
    expect((await ask({})).status).toBe(200)
    expect(faults).toEqual([])
  })
})

describe('the admin API on a unix socket', () => {
  it('is for its owner, without a token', async () => {
    const path = join(folder, 'a.sock')
    const other = await startLocalPort({ ...answering, listen: { kind: 'socket', path } })
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect((await ask({ socketPath: path, proven: false })).status).toBe(200)
    expect((await ask({ socketPath: path, proven: false, ...REVOKE, headers: { ...JSON_TYPE, origin: 'http://x.test' } })).status).toBe(403)
    await other.close()
  })
})

describe('the live tail', () => {
  const open = (onText: (text: string) => void) =>
    new Promise<IncomingMessage>((resolve, reject) => {
      const headers = { authorization: `Bearer ${token()}` }
      const call = request({ host: '127.0.0.1', port: port.port, path: '/v1/tail', headers, agent: false }, (response) => {
        response.setEncoding('utf8')
        response.on('error', () => undefined)
        response.on('data', onText)
        resolve(response)
      })
      call.on('error', reject)
      call.end()
    })

  it('decisions arrive in order, and who leaves is forgotten', async () => {
    let text = ''
    const tail = await open((more) => {
      text += more
    })
    desk.seen.decided(decidedBy(A))
    desk.seen.decided(decidedBy(A, { deny: 'tenant-not-allowed', tenant: 'globex' }))
    await vi.waitFor(() => expect(text.match(/^data: /gm)).toHaveLength(3), { timeout: 30_000 })
    const [hello, first, second] = text
      .split('\n')
      .filter((line) => line.startsWith('data: '))
      .map((line) => JSON.parse(line.slice(6)))
    // Which process it is, and where it stands: whoever comes again knows what was missed.
    expect([text.includes('event: joined\n'), hello]).toEqual([true, { run: expect.stringMatching(/^[0-9a-f-]{36}$/), last: first.n - 1 }])
    expect(first).toMatchObject({ verdict: 'allow', workload: A, collections: ['rag/handbook'] })
    expect(second).toMatchObject({ verdict: 'deny', reason: 'tenant-not-allowed', tells: expect.stringContaining('tenant') })
    tail.destroy()
  })

  it('who does not read is let go, and others get theirs', async () => {
    let text = ''
    const [deaf, other] = [await open(() => undefined), await open((more) => (text += more))]
    deaf.pause()
    // More than what the kernel keeps for a reader that does not read.
    for (let round = 0; round < 40; round++) {
      for (let at = 0; at < 256; at++) desk.seen.decided(decidedBy(A, { collection: 'x'.repeat(4_000) }))
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    const closed = new Promise((resolve) => deaf.once('close', resolve))
    deaf.resume()
    await closed
    desk.seen.decided(decidedBy(A, { collection: 'the-last-one' }))
    await vi.waitFor(() => expect(text).toContain('the-last-one'), { timeout: 10_000 })
    expect(text).toContain('event: skipped')
    other.destroy()
  }, 30_000)
})
