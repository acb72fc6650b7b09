/** `vecauthz tail` and `vecauthz revoke` as people use them: over real TLS, on what a server shows and keeps. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { type AdminPort, startAdminPort } from '../../src/admin/admin-port.ts'
import type { AdminRoute } from '../../src/admin/admin-route.ts'
import { jsonLine } from '../../src/admin/approvals-lines.ts'
import { revokeCommand } from '../../src/admin/revoke-command.ts'
import { decisionLine, tailCommand } from '../../src/admin/tail-command.ts'
import { operatorActLine } from '../../src/audit/act-record.ts'
import { edgesOf } from '../support/admin-edges.ts'
import { type Authority, bundlesOf, issueSvid, makeAuthority } from '../support/ca.ts'
import { consoleDesk, decidedBy } from '../support/console-desk.ts'
import { POLICY, policyOf } from '../support/policy.ts'

// Conditions are waited for, on whatever machine.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

const DOMAIN = 'spiffe://demo.vecauthz.test'
const A = `${DOMAIN}/acme/support`
const B = `${DOMAIN}/globex/trials`
/** For conditions; nothing here takes long by itself. */
const WAIT = { timeout: 30_000, interval: 20 }

const folder = mkdtempSync(join(tmpdir(), 'vecauthz-tail-'))
const policy = policyOf(POLICY)
const acts: Record<string, unknown>[] = []
let root: Authority
let own: { readonly keyPem: string; readonly pem: string }
let desk: ReturnType<typeof consoleDesk>
const ports: AdminPort[] = []

beforeAll(async () => {
  root = await makeAuthority({ trustDomain: 'demo.vecauthz.test' })
  own = await issueSvid(root, { id: `${DOMAIN}/vecauthz` })
  writeFileSync(join(folder, 'ca.pem'), root.pem)
  for (const [name, path] of Object.entries({ ops: 'ops/night', agent: 'acme/support' })) {
    const { pem, keyPem } = await issueSvid(root, { id: `${DOMAIN}/${path}` })
    writeFileSync(join(folder, `${name}.pem`), pem)
    writeFileSync(join(folder, `${name}.key`), keyPem)
  }
})
beforeEach(() => {
  acts.length = 0
  desk = consoleDesk()
})
afterEach(async () => {
  for (const one of ports.splice(0)) await one.close()
})
afterAll(() => rmSync(folder, { recursive: true }))

async function open(its: { readonly port?: number; readonly connectionMs?: number; readonly desk?: typeof desk } = {}): Promise<AdminPort> {
  const port = await startAdminPort(
    { key: own.keyPem, cert: own.pem },
    {
      host: '127.0.0.1',
      port: its.port ?? 0,
      operators: [`${DOMAIN}/ops/*`],
      routes: (its.desk ?? desk).routes,
      trust: () => bundlesOf([root]),
      policy: () => policy,
      now: Date.now,
      record: (act) => acts.push(JSON.parse(operatorActLine(act))) > 0,
      onRefused: () => undefined,
      onFault: (cause) => {
        throw cause
      },
      ...(its.connectionMs === undefined ? {} : { connectionMs: its.connectionMs })
    }
  )
  ports.push(port)
  return port
}

async function close(port: AdminPort): Promise<void> {
  ports.splice(ports.indexOf(port), 1)
  await port.close()
}

const filesOf = (who: string) => [
  '--svid',
  join(folder, `${who}.pem`),
  '--key',
  join(folder, `${who}.key`),
  '--bundle',
  join(folder, 'ca.pem')
]

/** A tail that has begun. */
async function tail(who: string, where: readonly AdminPort[], ...args: readonly string[]) {
  const { said, edges } = edgesOf()
  const stop = Promise.withResolvers<void>()
  const places = where.flatMap(({ port }) => ['--admin', `127.0.0.1:${port}`])
  const code = tailCommand([...args, ...places, ...filesOf(who)], edges, () => stop.promise)
  const joined = () => said.err.split('decisions from now on').length - 1 + (said.out.split('"event":"joined"').length - 1)
  await vi.waitFor(() => expect(joined()).toBe(where.length), WAIT)
  const end = () => {
    stop.resolve()
    return code
  }
  const lines = () => said.out.split('\n').slice(0, -1)
  return { said, end, lines, shows: (text: string) => vi.waitFor(() => expect(said.out).toContain(text), WAIT) }
}

/** A tail that ends by itself. */
async function refused(args: readonly string[]) {
  const { said, edges } = edgesOf()
  return { code: await tailCommand(args, edges, () => new Promise(() => undefined)), ...said }
}

describe('vecauthz tail', () => {
  it('a decision is one line: when, who, what, for whom, and why not', async () => {
    const its = await tail('ops', [await open()])
    const [yes, no] = [decidedBy(A), decidedBy(B, { deny: 'tenant-not-allowed', tenant: 'acme', score: 0.4 })]
    desk.seen.decided(yes)
    desk.seen.decided(no)
    await its.shows(no.decisionId)
    expect(its.lines()).toEqual([
      `${new Date(yes.at).toISOString()} allowed ${A}: search demo/rag/handbook for acme [${yes.decisionId}]`,
      `${new Date(no.at).toISOString()} denied  ${B}: search demo/rag/handbook for acme: tenant-not-allowed: ${B} may not; stands slowed [${no.decisionId}]`
    ])
    expect(await its.end()).toBe(0)
    expect(its.said.err).toMatch(/^vecauthz: 127\.0\.0\.1:\d+: decisions from now on\n$/)
  })

  it('what callers chose moves no cursor and opens no line', () => {
    const hostile = '\u001b[2Jx\nspiffe'
    const line = decisionLine({
      at: 't',
      verdict: 'deny',
      workload: hostile,
      collections: [hostile],
      reason: hostile,
      because: hostile,
      id: 'd'
    })
    expect(line).toMatch(/^[\x20-\x7e]+$/)
  })

  it('nor in JSON, which says the same', () => {
    const hostile = { 'x\u009b2J': 'a\u001b[2J\u009b31m\u202e\u007f naïve 😀' }
    expect(jsonLine(hostile)).toMatch(/^[\x20-\x7e]+$/)
    expect(JSON.parse(jsonLine(hostile))).toEqual(hostile)
  })

  it.each([
    { given: ['--verdict', 'deny'], wants: ['b', 'c'] },
    { given: ['--verdict', 'allow'], wants: ['a'] },
    { given: ['--workload', B], wants: ['c'] },
    { given: ['--workload', `${DOMAIN}/acme/**`], wants: ['a', 'b'] },
    { given: ['--workload', A, '--workload', B, '--reason', 'rate-exceeded'], wants: ['c'] },
    { given: ['--reason', 'rate-exceeded', '--reason', 'tenant-not-allowed'], wants: ['b', 'c'] },
    { given: ['--tenant', 'globex'], wants: ['c'] },
    { given: ['--tenant', 'globex', '--verdict', 'allow'], wants: [] }
  ])('shows what was asked for: $given', async ({ given, wants }) => {
    const its = await tail('ops', [await open()], ...given, '--json')
    // The last one is let through by every filter at hand, and so everything before it was looked at.
    const last = await tail('ops', ports, '--json')
    const made = {
      a: decidedBy(A),
      b: decidedBy(A, { deny: 'tenant-not-allowed' }),
      c: decidedBy(B, { deny: 'rate-exceeded', tenant: 'globex' })
    }
    for (const one of Object.values(made)) desk.seen.decided(one)
    await last.shows(made.c.decisionId)
    const want = wants.map((name) => made[name as keyof typeof made].decisionId)
    const got = () =>
      its
        .lines()
        .map((line) => JSON.parse(line))
        .flatMap(({ id, event }) => (event === undefined ? [id] : []))
    await vi.waitFor(() => expect(got()).toEqual(want), WAIT)
    await last.end()
    await its.end()
    expect(got()).toEqual(want)
  })

  it('what shadow let through is shown for both', async () => {
    const port = await open()
    const all = await Promise.all(['would-deny', 'allow', 'deny'].map((verdict) => tail('ops', [port], '--verdict', verdict)))
    const { decision, ...one } = decidedBy(A)
    const judged = { kind: 'tenant-not-allowed', because: 'x' } as const
    desk.seen.decided({ ...one, decision: { ...decision, judged } as typeof decision })
    const denied = decidedBy(A, { deny: 'rate-exceeded' })
    desk.seen.decided(denied)
    await all[0]?.shows('shadow let it through: tenant-not-allowed')
    await all[1]?.shows(one.decisionId)
    await all[2]?.shows(denied.decisionId)
    expect(all[2]?.said.out).not.toContain('shadow')
    for (const its of all) await its.end()
  })

  it('goes on when connections end, and shows what was decided meanwhile', async () => {
    let joins = 0
    const counted = (one: AdminRoute): AdminRoute => ({
      ...one,
      handle: (visit) => {
        joins++
        return one.handle(visit)
      }
    })
    const routes = desk.routes.map((one) => (one.path === '/v1/tail' ? counted(one) : one))
    const port = await open({ connectionMs: 5_000, desk: { ...desk, routes } })
    const its = await tail('ops', [port], '--json')
    const made: string[] = []
    await vi.waitFor(() => {
      const one = decidedBy(A)
      made.push(one.decisionId)
      desk.seen.decided(one)
      expect(joins).toBe(2)
    }, WAIT)
    const ids = () => its.lines().flatMap((line) => JSON.parse(line).id ?? [])
    await vi.waitFor(() => expect(ids()).toEqual(made), WAIT)
    await its.end()
  })

  it('a server that was away: what it still has is shown, the rest is counted', async () => {
    const port = await open()
    const its = await tail('ops', [port])
    await close(port)
    await vi.waitFor(() => expect(its.said.err).toContain('the connection is lost, and tried again'), WAIT)
    for (let at = 0; at < 600; at++) desk.seen.decided(decidedBy(A))
    await open({ port: port.port })
    await vi.waitFor(
      () => expect(its.said.err).toContain('back: 600 decisions meanwhile; 100 of them are shown nowhere but in the audit record'),
      WAIT
    )
    expect(its.lines()).toHaveLength(500)
    expect(its.said.err.split('is lost').length).toBe(2)
    await its.end()
  })

  it('a server that began anew: it says so, and shows what the new one decided before', async () => {
    const port = await open()
    const its = await tail('ops', [port], '--json')
    const [first, second, third] = [decidedBy(A), decidedBy(A), decidedBy(A)]
    desk.seen.decided(first)
    await its.shows(first.decisionId)
    await close(port)
    const next = consoleDesk()
    next.seen.decided(second)
    await open({ port: port.port, desk: next })
    await its.shows('"event":"anew"')
    next.seen.decided(third)
    await its.shows(third.decisionId)
    const lines = its.lines().map((line) => JSON.parse(line))
    expect(lines.flatMap(({ id }) => id ?? [])).toEqual([first, second, third].map(({ decisionId }) => decisionId))
    expect(lines.find(({ event }) => event === 'anew')).toMatchObject({ made: 1, shown: 1 })
    await its.end()
  })

  it('of more than is told at once, refusals stay, and the rest is counted', async () => {
    const its = await tail('ops', [await open()])
    const denied = decidedBy(A, { deny: 'rate-exceeded' })
    desk.seen.decided(denied)
    // So many that they are told together, whatever the time.
    for (let at = 0; at < 255; at++) desk.seen.decided(decidedBy(B))
    await its.shows(denied.decisionId)
    await vi.waitFor(() => expect(its.lines()).toHaveLength(100), WAIT)
    expect(await its.end()).toBe(0)
    expect(its.said.err).toContain('left out 156 decisions')
  })

  it('several servers, each line with its own', async () => {
    const other = consoleDesk()
    const [one, two] = [await open(), await open({ desk: other })]
    const its = await tail('ops', [one, two])
    const [here, there] = [decidedBy(A), decidedBy(B)]
    desk.seen.decided(here)
    other.seen.decided(there)
    await its.shows(here.decisionId)
    await its.shows(there.decisionId)
    expect(its.lines().sort()).toEqual(
      [`127.0.0.1:${one.port} ${decisionLineOf(here)}`, `127.0.0.1:${two.port} ${decisionLineOf(there)}`].sort()
    )
    await its.end()
  })

  it('of several servers one that is down hides no other, and is followed once it is there; that none is there is said at once', async () => {
    const [one, two] = [await open(), await open()]
    await close(two)
    const { said, edges } = edgesOf()
    const stop = Promise.withResolvers<void>()
    const places = ['--admin', `127.0.0.1:${one.port}`, '--admin', `127.0.0.1:${two.port}`]
    const code = tailCommand([...places, ...filesOf('ops')], edges, () => stop.promise)
    await vi.waitFor(() => expect(said.err).toContain(`127.0.0.1:${one.port}: decisions from now on`), WAIT)
    await vi.waitFor(() => expect(said.err).toContain(`127.0.0.1:${two.port}: the connection is lost`), WAIT)
    const here = decidedBy(A)
    desk.seen.decided(here)
    await vi.waitFor(() => expect(said.out).toContain(here.decisionId), WAIT)
    const other = consoleDesk()
    await open({ port: two.port, desk: other })
    await vi.waitFor(() => expect(said.err).toContain(`127.0.0.1:${two.port}: decisions from now on`), WAIT)
    const there = decidedBy(B)
    other.seen.decided(there)
    await vi.waitFor(() => expect(said.out).toContain(there.decisionId), WAIT)
    stop.resolve()
    expect(await code).toBe(0)
    for (const port of ports.slice()) await close(port)
    expect(await refused([...places, ...filesOf('ops')])).toMatchObject({ code: 2, err: expect.stringContaining('cannot be reached') })
  })

  it('says at once what cannot work', async () => {
    const { port } = await open()
    const at = ['--admin', `127.0.0.1:${port}`]
    expect(await refused([...at, ...filesOf('agent')])).toMatchObject({ code: 2, err: expect.stringContaining('You may not do this here') })
    expect(await refused([...at, ...filesOf('ops'), '--server', `${DOMAIN}/other`])).toMatchObject({
      code: 2,
      err: expect.stringContaining('and not')
    })
    for (const [given, says] of [
      [['--reason', 'none'], 'no reason of a denial'],
      [['--verdict', 'maybe'], 'none of: allow, deny, would-deny'],
      [['--workload', 'acme'], 'not a SPIFFE ID pattern'],
      [[...at], 'names one place twice'],
      [['word'], 'one word too many']
    ] as const)
      expect(await refused([...given, ...at, ...filesOf('ops')])).toMatchObject({ code: 2, err: expect.stringContaining(says) })
    expect(await refused(filesOf('ops'))).toMatchObject({ code: 2, err: expect.stringContaining('--admin') })
  })
})

/** As this desk tells it. */
function decisionLineOf(one: ReturnType<typeof decidedBy>): string {
  const who = one.account.caller?.id.text
  return `${new Date(one.at).toISOString()} allowed ${who}: search demo/rag/handbook for acme [${one.decisionId}]`
}

describe('vecauthz revoke', () => {
  const run = async (who: string, port: AdminPort, ...args: readonly string[]) => {
    const { said, edges } = edgesOf()
    const code = await revokeCommand([...args, '--admin', `127.0.0.1:${port.port}`, ...filesOf(who)], edges)
    return { code, ...said }
  }

  it('adds, lists and ends, and each is on record with its reason', async () => {
    const port = await open()
    expect((await run('ops', port, 'list')).out).toBe('Nothing is revoked, beside what the policy says.\n')
    for (const what of [A, 'serial:00:7F:3A', 'token:jti-1'])
      expect((await run('ops', port, 'add', what, '--reason', 'stolen')).code).toBe(0)
    expect(desk.revocations.list().map(({ kind, value, by, reason }) => [kind, value, by, reason])).toEqual([
      ['spiffe_id', A, `${DOMAIN}/ops/night`, 'stolen'],
      ['serial', '7f3a', `${DOMAIN}/ops/night`, 'stolen'],
      ['token_id', 'jti-1', `${DOMAIN}/ops/night`, 'stolen']
    ])
    expect((await run('ops', port, 'list')).out.split('\n').map((line) => line.split(' ')[0])).toEqual([
      A,
      'serial:7f3a',
      'token:jti-1',
      ''
    ])
    expect((await run('ops', port, 'end', 'serial:7f3a', '--reason', 'found')).out).toContain('ended: serial:7f3a')
    expect(desk.revocations.list().map(({ kind }) => kind)).toEqual(['spiffe_id', 'token_id'])
    expect(await run('ops', port, 'end', 'serial:7f3a', '--reason', 'again')).toMatchObject({
      code: 1,
      err: expect.stringContaining('No such')
    })
    expect(acts.filter(({ stage }) => stage !== 'begun').map(({ act, stage, reason }) => [act, stage, reason])).toEqual([
      ['identity.revoke', 'done', 'stolen'],
      ['identity.revoke', 'done', 'stolen'],
      ['identity.revoke', 'done', 'stolen'],
      ['identity.reinstate', 'done', 'found'],
      ['identity.reinstate', 'refused', 'again']
    ])
  })

  it('takes a certificate or a token out of a file', async () => {
    const port = await open()
    const token = join(folder, 'token.jwt')
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
    writeFileSync(token, `${part({ alg: 'ES256' })}.${part({ jti: 'jti-7' })}.c2ln\n`)
    expect((await run('ops', port, 'add', '--of', token, '--reason', 'leaked')).code).toBe(0)
    expect((await run('ops', port, 'add', '--of', join(folder, 'agent.pem'), '--reason', 'leaked')).code).toBe(0)
    const serial = desk.revocations.list().find(({ kind }) => kind === 'serial')?.value ?? ''
    expect(desk.revocations.list().map(({ kind }) => kind)).toEqual(['token_id', 'serial'])
    expect(serial).toMatch(/^[0-9a-f]{2,}$/)
    writeFileSync(token, `${part({ alg: 'ES256' })}.${part({})}.c2ln\n`)
    expect(await run('ops', port, 'add', '--of', token, '--reason', 'leaked')).toMatchObject({
      code: 2,
      err: expect.stringContaining('jti')
    })
  })

  it('nobody else does, and nothing is done without a reason', async () => {
    const port = await open()
    for (const verb of ['add', 'end']) {
      expect(await run('agent', port, verb, A, '--reason', 'x')).toMatchObject({ code: 1, err: expect.stringContaining('may not') })
      expect(await run('ops', port, verb, A)).toMatchObject({ code: 2, err: expect.stringContaining('Say why') })
      expect((await run('ops', port, verb, '--reason', 'x')).code).toBe(2)
    }
    expect((await run('agent', port, 'list')).code).toBe(1)
    for (const args of [
      [],
      ['drop', A],
      ['list', A],
      ['list', '--reason', 'x'],
      ['add', 'acme', '--reason', 'x'],
      ['add', 'serial:xyz', '--reason', 'x']
    ])
      expect([args, (await run('ops', port, ...args)).code]).toEqual([args, 2])
    expect(desk.revocations.list()).toEqual([])
  })
})
