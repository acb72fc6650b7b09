/** The admin port over real TLS, asked by the commands that people use. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request as plainRequest } from 'node:http'
import { Agent, request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { type AdminOptions, type AdminPort, startAdminPort } from '../../src/admin/admin-port.ts'
import { route } from '../../src/admin/admin-route.ts'
import { approvalRoutes } from '../../src/admin/approval-routes.ts'
import { approvalsCommand } from '../../src/admin/approvals-command.ts'
import { approvalLine, operatorActLine } from '../../src/audit/act-record.ts'
import type { ApprovalNeed } from '../../src/core/approval.ts'
import type { TrustBundles } from '../../src/core/trust.ts'
import { mayApprove } from '../../src/policy/approval-need.ts'
import type { Policy } from '../../src/policy/policy.ts'
import { createApprovalDesk } from '../../src/state/approval-desk.ts'
import { createApprovals } from '../../src/state/approvals.ts'
import { createMemoryStore } from '../../src/state/store-memory.ts'
import { edgesOf } from '../support/admin-edges.ts'
import { type Authority, bundlesOf, issueSvid, makeAuthority, type Svid } from '../support/ca.ts'
import { POLICY, policyOf } from '../support/policy.ts'

const TEXT = `${POLICY}approvals: { actions: [drop], approvers: [spiffe://demo.vecauthz.test/people/*] }\n`
const SERVER = 'spiffe://demo.vecauthz.test/vecauthz'

const folder = mkdtempSync(join(tmpdir(), 'vecauthz-admin-'))
const svids: Record<string, Svid> = {}
let root: Authority
let port: AdminPort
let options: AdminOptions
let server: Svid
let policy: Policy = policyOf(TEXT)
let trust: TrustBundles | undefined
let recording = true
let skewMs = 0
const lines: Record<string, unknown>[] = []
const refused: string[] = []
const faults: unknown[] = []
const record = (line: string) => {
  if (recording) lines.push(JSON.parse(line))
  return recording
}

const parts = {
  store: createMemoryStore(),
  mayApprove: (id: Parameters<typeof mayApprove>[0]) => mayApprove(id, policy),
  onStep: (what: 'asked' | 'used', entry: Parameters<typeof approvalLine>[1], now: number) => record(approvalLine(what, entry, now))
}
const approvals = createApprovals(parts)

beforeAll(async () => {
  root = await makeAuthority({ trustDomain: 'demo.vecauthz.test' })
  const stranger = await makeAuthority({ trustDomain: 'demo.vecauthz.test', name: 'another root' })
  trust = bundlesOf([root])
  server = await issueSvid(root, { id: SERVER })
  const people = { alice: 'people/alice', ops: 'ops/night', indexer: 'acme/indexer', support: 'acme/support', nobody: 'nobody' }
  for (const [name, path] of Object.entries(people)) svids[name] = await issueSvid(root, { id: `spiffe://demo.vecauthz.test/${path}` })
  svids['forged'] = await issueSvid(stranger, { id: 'spiffe://demo.vecauthz.test/people/alice' })
  writeFileSync(join(folder, 'ca.pem'), root.pem)
  for (const [name, { pem, keyPem }] of Object.entries(svids)) {
    writeFileSync(join(folder, `${name}.pem`), pem)
    writeFileSync(join(folder, `${name}.key`), keyPem)
  }
  const fails = route({ method: 'GET', path: '/v1/fails', who: 'anybody', handle: () => Promise.reject(new Error('secret detail')) })
  const acts = route({
    method: 'POST',
    path: '/v1/acts',
    who: 'operator',
    body: z.strictObject({ reason: z.string() }),
    act: 'test.act',
    handle: async () => ({ status: 200, body: {} })
  })
  options = {
    host: '127.0.0.1',
    port: 0,
    operators: ['spiffe://demo.vecauthz.test/ops/*'],
    routes: [...approvalRoutes(createApprovalDesk(parts)), fails, acts],
    trust: () => trust,
    policy: () => policy,
    now: () => Date.now() + skewMs,
    record: (act) => record(operatorActLine(act)),
    onRefused: (_, because) => refused.push(because),
    onFault: (cause) => faults.push(cause)
  }
  port = await startAdminPort({ key: server.keyPem, cert: server.pem }, options)
})

afterAll(async () => {
  await port.close()
  rmSync(folder, { recursive: true })
})

const need = (digest: string, change: Partial<ApprovalNeed> = {}): ApprovalNeed => ({
  steps: ['approval'],
  caller: 'spiffe://demo.vecauthz.test/acme/indexer',
  blocked: ['spiffe://demo.vecauthz.test/acme/indexer'],
  operation: 'drop',
  endpoint: 'collection.drop',
  database: 'demo',
  tenant: 'acme',
  targets: ['rag/handbook'],
  digest,
  run: undefined,
  because: 'approvals lists drop',
  approvalMs: 60_000,
  grantMs: 60_000,
  ...change
})

async function askedFor(digest: string, change: Partial<ApprovalNeed> = {}): Promise<string> {
  const answer = await approvals.use(need(digest, change), '', Date.now())
  if (answer.kind !== 'required') throw new Error(answer.kind)
  return answer.id
}

async function run(who: string, command: string, ...args: readonly string[]) {
  const { said, edges } = edgesOf()
  const files = ['--svid', join(folder, `${who}.pem`), '--key', join(folder, `${who}.key`), '--bundle', join(folder, 'ca.pem')]
  const code = await approvalsCommand(command, [...args, '--admin', `127.0.0.1:${port.port}`, ...files], edges)
  return { code, ...said }
}

describe('approve', () => {
  it('listed, approved with a reason, used, and each step is on record', async () => {
    const id = await askedFor('story')
    expect((await run('alice', 'approvals')).out).toContain(`${id}  approval, waiting`)
    lines.length = 0
    const { code, out } = await run('alice', 'approve', id, '--reason', 'ticket 7', '--server', SERVER)
    expect([code, out]).toEqual([0, expect.stringContaining('approved')])
    expect((await approvals.use(need('story'), 'c', Date.now())).kind).toBe('approved')
    const by = 'spiffe://demo.vecauthz.test/people/alice'
    expect(lines).toMatchObject([
      { kind: 'operator_act', stage: 'begun', act: 'approval.approve', by, about: id, reason: 'ticket 7' },
      { kind: 'operator_act', stage: 'done', by, status: 200, caller: need('').caller, operation: 'drop', targets: ['rag/handbook'] },
      { kind: 'approval', stage: 'used', id, by, reason: 'ticket 7', digest: 'story' }
    ])
    expect(lines[0]?.['act_id']).toBe(lines[1]?.['act_id'])
  })

  it.each<[string, string, number, string]>([
    ['the caller itself', 'indexer', 1, 'You may not do this here.'],
    ['an operator who is no approver', 'ops', 1, 'You may not do this here.'],
    ['a proven stranger', 'nobody', 1, 'You may not do this here.'],
    ['an approver under another authority', 'forged', 2, 'ended the connection']
  ])('not by %s', async (_, who, status, sentence) => {
    const id = await askedFor(`by ${who}`)
    const { code, err } = await run(who, 'approve', id, '--reason', 'mine')
    expect([code, err]).toEqual([status, expect.stringContaining(sentence)])
    expect((await approvals.use(need(`by ${who}`), 'c', Date.now())).kind).toBe('required')
  })

  it('not by an approver in whose name it is', async () => {
    const id = await askedFor('chain', { blocked: ['spiffe://demo.vecauthz.test/people/alice'] })
    const { code, err } = await run('alice', 'approve', id, '--reason', 'mine')
    expect([code, err]).toEqual([1, expect.stringContaining('Nobody decides about what it asked for itself')])
  })

  it('refused is refused, and a second decision comes too late', async () => {
    const id = await askedFor('no')
    expect((await run('alice', 'refuse', id, '--reason', 'not today')).code).toBe(0)
    expect(await run('alice', 'approve', id, '--reason', 'yes')).toMatchObject({ code: 1, err: expect.stringContaining('refused already') })
  })

  it('nothing is done that cannot be recorded first', async () => {
    const id = await askedFor('unrecorded')
    recording = false
    const { code, err } = await run('alice', 'approve', id, '--reason', 'yes')
    recording = true
    expect([code, err]).toEqual([2, expect.stringContaining('cannot be recorded')])
    expect((await approvals.use(need('unrecorded'), 'c', Date.now())).kind).toBe('required')
  })

  it('what is not allowed is on record too', async () => {
    const id = await askedFor('denied')
    lines.length = 0
    await run('indexer', 'approve', id, '--reason', 'mine')
    expect(lines).toMatchObject([{ stage: 'begun' }, { stage: 'refused', status: 403 }])
  })
})

describe('who sees what', () => {
  it('a caller its own, approvers and operators all', async () => {
    const id = await askedFor('seen')
    const seen = async (who: string) => (await run(who, 'approvals', '--json')).out.includes(id)
    expect([await seen('indexer'), await seen('support'), await seen('alice'), await seen('ops')]).toEqual([true, false, true, true])
  })

  it('names of callers cannot move a cursor', async () => {
    await askedFor('evil', { targets: ['rag/"\u001b[2J\u202e"'] })
    const { out } = await run('alice', 'approvals')
    expect(out).toContain('\\u001b[2J\\u202e')
    expect(/[^\n\x20-\x7e]/.test(out)).toBe(false)
  })
})

describe('grants and runs', () => {
  const asking = [
    'request',
    '--database',
    'demo',
    '--tenant',
    'acme',
    '--operation',
    'search',
    '--target',
    'rag/handbook',
    '--run',
    'job-1'
  ]

  it('requested, approved, listed, released', async () => {
    const { out } = await run('indexer', 'grants', ...asking, '--json')
    const { id, state } = JSON.parse(out)
    expect(state).toBe('waiting')
    expect((await run('alice', 'approve', id, '--reason', 'step 1')).code).toBe(0)
    expect((await run('indexer', 'grants')).out).toContain(`${id}  grant, approved`)
    const its = need('', { steps: ['grant'], operation: 'search', run: 'job-1' })
    expect((await approvals.use(its, '', Date.now())).kind).toBe('approved')
    expect(await run('support', 'grants', 'release', id)).toMatchObject({ code: 1 })
    expect(await run('indexer', 'grants', 'release', id)).toMatchObject({ code: 0 })
    expect((await approvals.use(its, '', Date.now())).kind).toBe('required')
  })

  it.each<[string, readonly string[]]>([
    ['nobody', asking],
    ['support', asking.map((one) => (one === 'acme' ? 'globex' : one))]
  ])('not for %s without the right to call at all', async (who, args) => {
    expect((await run(who, 'grants', ...args)).code).toBe(1)
  })

  it('a run is ended by an operator for everybody, by a caller for itself', async () => {
    await askedFor('of run', { run: 'job-2' })
    expect((await run('support', 'end-run', 'job-2')).code).toBe(1)
    expect((await run('ops', 'end-run', 'job-2')).out).toBe('ended: job-2, of everybody\n')
    expect(await approvals.use(need('of run', { run: 'job-2' }), '', Date.now())).toEqual({ kind: 'ended', run: 'job-2' })
  })
})

function raw(options: {
  who?: string
  method?: string
  path?: string
  body?: string
  type?: string | undefined
  agent?: Agent
  port?: number
  more?: Readonly<Record<string, string>>
}): Promise<{ status: number; text: string }> {
  const {
    who = 'alice',
    method = 'POST',
    path = '/v1/grants',
    body,
    type = 'application/json',
    agent = false,
    port: at = port.port,
    more = {}
  } = options
  const pem = svids[who]
  const headers = { ...more, ...(body !== undefined && { 'content-type': type, 'content-length': Buffer.byteLength(body) }) }
  return new Promise((resolve, reject) => {
    const tls = { cert: pem?.pem, key: pem?.keyPem, rejectUnauthorized: false }
    const call = request({ host: '127.0.0.1', port: at, method, path, headers, agent, ...tls }, (response) => {
      let text = ''
      response.on('data', (chunk) => {
        text += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
    })
    call.on('error', reject)
    call.end(body)
  })
}

describe('the port', () => {
  it.each<[string, Parameters<typeof raw>[0], number]>([
    ['an unknown path', { method: 'GET', path: '/v1/other' }, 404],
    ['a query', { method: 'GET', path: '/v1/approvals?all' }, 404],
    ['a trailing slash', { method: 'GET', path: '/v1/approvals/' }, 404],
    ['another method', { method: 'GET', path: '/v1/runs/x/end' }, 405],
    ['a body that is no JSON', { body: '{' }, 400],
    ['a name twice', { path: '/v1/acts', who: 'ops', body: '{"reason":"a","reason":"b"}' }, 400],
    ['another name', { path: '/v1/acts', who: 'ops', body: '{"reason":"a","more":1}' }, 400],
    ['the right one', { path: '/v1/acts', who: 'ops', body: '{"reason":"a"}' }, 200],
    ['the right one by an approver', { path: '/v1/acts', who: 'alice', body: '{"reason":"a"}' }, 403],
    ['another type', { path: '/v1/acts', who: 'ops', body: '{"reason":"a"}', type: 'text/plain' }, 415],
    ['a long body', { path: '/v1/acts', who: 'ops', body: `{"reason":"${'a'.repeat(17_000)}"}` }, 413],
    ['a body where none is', { path: '/v1/runs/x/end', who: 'ops', body: '{}' }, 400],
    ['a run that is none', { path: '/v1/runs/a%20b/end', who: 'ops' }, 400],
    ['a reason of two lines', { path: '/v1/approvals/x/approve', body: '{"reason":"a\\nb"}' }, 400]
  ])('%s', async (_, options, status) => {
    expect((await raw(options)).status).toBe(status)
  })

  it.each<[string, Readonly<Record<string, string>>]>([
    ['for a page of another site', { 'sec-fetch-site': 'cross-site' }],
    ['for a page of another origin', { origin: 'https://evil.test' }],
    ['for a page without one', { origin: 'null' }]
  ])("a person's certificate, shown by a browser %s, changes nothing", async (_, more) => {
    lines.length = 0
    expect((await raw({ path: '/v1/acts', who: 'ops', body: '{"reason":"a"}', more })).status).toBe(403)
    expect((await raw({ path: '/v1/runs/x/end', who: 'ops', more })).status).toBe(403)
    expect(lines).toEqual([])
    expect((await raw({ path: '/v1/acts', who: 'ops', body: '{"reason":"a"}', more: { 'sec-fetch-site': 'same-origin' } })).status).toBe(
      200
    )
  })

  it('a fault of its own tells nothing', async () => {
    const { status, text } = await raw({ method: 'GET', path: '/v1/fails' })
    expect([status, text.includes('secret detail'), faults.length]).toEqual([500, false, 1])
  })

  it('nobody without a certificate, with a foreign one, or in plain text', async () => {
    refused.length = 0
    await expect(raw({ who: 'none' })).rejects.toThrow()
    await expect(raw({ who: 'forged' })).rejects.toThrow()
    expect(refused).toEqual([expect.stringContaining('no certificate'), expect.stringMatching(/^X-/)])
    const plain = new Promise((resolve, reject) => plainRequest({ host: '127.0.0.1', port: port.port }, resolve).on('error', reject).end())
    await expect(plain).rejects.toThrow()
  })

  it('nobody whom the policy revokes, nor whose trust domain it does not list', async () => {
    const before = policy
    policy = policyOf(`${TEXT}revoked: { spiffe_ids: ['spiffe://demo.vecauthz.test/people/alice'] }\n`)
    await expect(raw({ method: 'GET', path: '/v1/grants' })).rejects.toThrow()
    expect((await raw({ who: 'ops', method: 'GET', path: '/v1/grants' })).status).toBe(200)
    policy = { ...before, trustDomains: new Set(['other.test']) }
    await expect(raw({ who: 'ops', method: 'GET', path: '/v1/grants' })).rejects.toThrow()
    policy = before
  })

  it('nobody without bundles, nor after the end of an SVID', async () => {
    const before = trust
    trust = undefined
    await expect(raw({ method: 'GET', path: '/v1/grants' })).rejects.toThrow()
    trust = before
    skewMs = 30 * 86_400_000
    await expect(raw({ method: 'GET', path: '/v1/grants' })).rejects.toThrow()
    skewMs = 0
    expect((await raw({ method: 'GET', path: '/v1/grants' })).status).toBe(200)
  })

  it('whoever opens many connections and finishes no request keeps nobody else out, and is cut off', async () => {
    const other = await startAdminPort({ key: server.keyPem, cert: server.pem }, { ...options, connectionMs: 1_500 })
    refused.length = 0
    const at = { host: '127.0.0.1', port: other.port, cert: svids['nobody']?.pem, key: svids['nobody']?.keyPem, rejectUnauthorized: false }
    const open = Array.from({ length: 18 }, () => {
      const socket = connect(at, () => socket.write('POST /v1/acts HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n{'))
      return new Promise((resolve) => socket.on('error', resolve).on('close', resolve))
    })
    await expect.poll(() => refused.length).toBe(2)
    expect((await raw({ method: 'GET', path: '/v1/grants', port: other.port })).status).toBe(200)
    await Promise.all(open)
    await other.close()
  })

  it('one identity asks so often, and no more; others go on', async () => {
    const at = Date.now()
    const other = await startAdminPort({ key: server.keyPem, cert: server.pem }, { ...options, now: () => at + skewMs })
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const ask = async (who: string, its?: Agent) =>
      (await raw({ method: 'GET', path: '/v1/other', who, port: other.port, ...(its === undefined ? {} : { agent: its }) })).status
    const statuses = new Set<number>()
    for (let nth = 0; nth < 100; nth++) statuses.add(await ask('nobody', agent))
    expect([...statuses, await ask('nobody', agent), await ask('alice')]).toEqual([404, 429, 404])
    skewMs = 10_000
    expect(await ask('nobody', agent)).toBe(404)
    skewMs = 0
    agent.destroy()
    await other.close()
  })

  it('a connection that stays open is judged at each request', async () => {
    const before = policy
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const ask = () => raw({ method: 'GET', path: '/v1/grants', agent })
    refused.length = 0
    expect((await ask()).status).toBe(200)
    expect((await ask()).status).toBe(200)
    policy = policyOf(`${TEXT}revoked: { spiffe_ids: ['spiffe://demo.vecauthz.test/people/alice'] }\n`)
    await expect(ask()).rejects.toThrow()
    // It was the open connection that ended, not a new one that was refused.
    expect(refused).toEqual([])
    policy = before
    agent.destroy()
  })

  it('goes on with a new certificate', async () => {
    const next = await issueSvid(root, { id: `${SERVER}-2` })
    port.renew({ key: next.keyPem, cert: next.pem })
    expect(await run('alice', 'approvals', '--server', SERVER)).toMatchObject({ code: 2, err: expect.stringContaining(`is ${SERVER}-2`) })
    port.renew({ key: server.keyPem, cert: server.pem })
  })
})

describe('the command line', () => {
  it.each<[string, readonly string[], string]>([
    ['no id', ['approve', '--reason', 'x'], 'Something is missing'],
    ['an id that is none', ['approve', '../x', '--reason', 'x'], 'is no id'],
    ['no reason', ['approve', 'abcdef12'], '--reason'],
    ['a word too many', ['approvals', 'now'], 'one word too many'],
    ['an option of another command', ['approvals', '--run', 'x'], 'does not go with'],
    ['a run with spaces', ['end-run', 'a b'], 'without spaces'],
    ['half a grant', ['grants', 'request', '--database', 'demo'], '--target'],
    ['another verb', ['grants', 'burn'], 'neither request nor release']
  ])('%s', async (_, [command = '', ...args], sentence) => {
    expect(await run('alice', command, ...args)).toMatchObject({ code: 2, err: expect.stringContaining(sentence) })
  })

  it.each(['approvals', 'approve', 'refuse', 'grants', 'end-run'])('%s --help teaches', async (command) => {
    const { code, out } = await run('alice', command, '--help')
    expect([code, out.includes('Usage: vecauthz'), out.includes('Exit codes: 0')]).toEqual([0, true, true])
  })

  it('does not talk to a server that is not proven, and says what cannot be reached', async () => {
    writeFileSync(join(folder, 'ca.pem'), (await makeAuthority({ trustDomain: 'demo.vecauthz.test' })).pem)
    expect(await run('alice', 'approvals')).toMatchObject({ code: 2, err: expect.stringContaining('is not proven') })
    writeFileSync(join(folder, 'ca.pem'), root.pem)
    const edges = {
      print: () => undefined,
      complain: () => undefined,
      now: Date.now,
      identityFrom: () => Promise.reject({ unreadable: 'no agent' })
    }
    expect(await approvalsCommand('approvals', ['--admin', '127.0.0.1:1', '--workload-api', 'unix:///none'], edges)).toBe(2)
  })
})
