/** Standings, step-ups and baselines by hand: the commands that people use, over real TLS, on the real desk. */
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type AdminPort, startAdminPort } from '../../src/admin/admin-port.ts'
import { baselineRoutes } from '../../src/admin/baseline-routes.ts'
import { riskCommand } from '../../src/admin/risk-command.ts'
import { standingRoutes } from '../../src/admin/standing-routes.ts'
import { stepUpId } from '../../src/admin/step-up-client.ts'
import { operatorActLine, standingLine } from '../../src/audit/act-record.ts'
import { RISK_DEFAULTS } from '../../src/core/risk-rules.ts'
import { type Raised, standingOf } from '../../src/core/standing.ts'
import { type Baselines, openBaselines } from '../../src/learning/baselines.ts'
import { createLearnt, type HabitsLearnt } from '../../src/learning/learnt.ts'
import { type Orders, openOrders } from '../../src/learning/orders.ts'
import { raise } from '../../src/risk/cohort.ts'
import { startKernel } from '../../src/risk/kernel-wasm.ts'
import { newSequenceState, observeSequence } from '../../src/risk/sequence.ts'
import { createRiskDesk } from '../../src/risk-desk.ts'
import { createSignIns } from '../../src/state/sign-ins.ts'
import { createStandings, type SharedStandings } from '../../src/state/standings.ts'
import { createMemoryStore } from '../../src/state/store-memory.ts'
import { callsOf, worldOf } from '../risk/drift-material.ts'
import { edgesOf } from '../support/admin-edges.ts'
import { bundlesOf, issueSvid, makeAuthority } from '../support/ca.ts'
import { POLICY, policyOf } from '../support/policy.ts'

const DOMAIN = 'spiffe://demo.vecauthz.test'
const AGENT = `${DOMAIN}/acme/support`
const KEY = { tenant: 'acme', agentType: 'support', collection: 'demo/handbook' }
const NAMED = ['--tenant', 'acme', '--agent-type', 'support', '--collection', 'demo/handbook', '--reason', 'looked at it']

const folder = mkdtempSync(join(tmpdir(), 'vecauthz-risk-admin-'))
const lines: Record<string, unknown>[] = []
const cleared: string[] = []
let port: AdminPort
let standings: SharedStandings
let baselines: Baselines
let orders: Orders
let learnt: HabitsLearnt

const SUPERVISED = `${POLICY}risk: { step_up: { supervisors: [${DOMAIN}/people/lead, ${AGENT}] } }\n`
const policy = policyOf(SUPERVISED)

beforeAll(async () => {
  const root = await makeAuthority({ trustDomain: 'demo.vecauthz.test' })
  const own = await issueSvid(root, { id: `${DOMAIN}/vecauthz` })
  writeFileSync(join(folder, 'ca.pem'), root.pem)
  for (const [name, path] of Object.entries({ ops: 'ops/night', lead: 'people/lead', agent: 'acme/support', nobody: 'nobody' })) {
    const { pem, keyPem } = await issueSvid(root, { id: `${DOMAIN}/${path}` })
    writeFileSync(join(folder, `${name}.pem`), pem)
    writeFileSync(join(folder, `${name}.key`), keyPem)
  }
  standings = createStandings({
    store: undefined,
    run: 'run',
    now: Date.now,
    tick: () => performance.now(),
    onMove: (move) => void lines.push(JSON.parse(standingLine(move))),
    onTrouble: () => undefined
  })
  baselines = await openBaselines({
    folder: join(folder, 'risk'),
    owner: 'one',
    kernel: startKernel(),
    freezeAfterBursts: 40,
    approveByItself: false,
    now: Date.now,
    onTrouble: () => undefined,
    onFrozen: () => undefined
  })
  orders = await openOrders({
    folder: join(folder, 'risk'),
    freezeAfterBursts: 40,
    approveByItself: false,
    now: Date.now,
    onTrouble: () => undefined,
    onFrozen: () => undefined
  })
  learnt = createLearnt({ ...baselines, sequenceOf: orders.sequenceOf })
  const desk = createRiskDesk({
    standings,
    baselines,
    orders,
    learnt,
    stage: { clear: (id) => void cleared.push(id) },
    rules: () => policy.risk,
    signIns: createSignIns(createMemoryStore())
  })
  port = await startAdminPort(
    { key: own.keyPem, cert: own.pem },
    {
      host: '127.0.0.1',
      port: 0,
      operators: [`${DOMAIN}/ops/*`],
      routes: [...standingRoutes(desk), ...baselineRoutes(desk)],
      trust: () => bundlesOf([root]),
      policy: () => policy,
      now: Date.now,
      record: (act) => lines.push(JSON.parse(operatorActLine(act))) > 0,
      onRefused: () => undefined,
      onFault: (cause) => {
        throw cause
      }
    }
  )
})
afterAll(async () => {
  await port.close()
  await baselines.stop()
  await orders.stop()
  rmSync(folder, { recursive: true })
})
beforeEach(() => {
  lines.length = 0
  cleared.length = 0
})

async function run(who: string, command: string, ...args: readonly string[]) {
  const { said, edges } = edgesOf()
  const files = ['--svid', join(folder, `${who}.pem`), '--key', join(folder, `${who}.key`), '--bundle', join(folder, 'ca.pem')]
  const code = await riskCommand(command, [...args, '--admin', `127.0.0.1:${port.port}`, ...files], edges)
  return { code, ...said }
}

/** @returns the id of the standing */
function raised(level: Raised, id = AGENT): string {
  const evidence = { says: 'novelty 412', decisionIds: ['d1', 'd2'], figures: { novelty: 412 } }
  raise(standings, { kind: 'workload', id }, { level, cause: 'drift', evidence }, RISK_DEFAULTS, Date.now())
  return standings.list(Date.now()).find(({ scope }) => scope.kind === 'workload' && scope.id === id)?.id ?? ''
}
const standing = (id = AGENT) => standingOf(standings.ofWorkload(id))
const releaseAll = () => Promise.all(standings.list(Date.now()).map(({ scope }) => standings.release(scope, 'test', 'test', Date.now())))

describe('standings and release', () => {
  it('an operator sees why, and releases; both are on record', async () => {
    raised('quarantine')
    const { code, out } = await run('ops', 'standings')
    expect([code, out]).toEqual([0, expect.stringContaining(`${AGENT}  quarantine\n  why         drift: novelty 412`)])
    expect(out).toContain('shown by    d1 d2')
    const released = await run('ops', 'release', AGENT, '--reason', 'a drill')
    expect([released.code, released.out]).toEqual([0, expect.stringContaining('it was quarantine, and stands normal')])
    expect([standing(), cleared]).toEqual(['normal', [AGENT]])
    expect(lines).toMatchObject([
      { kind: 'standing', to: 'quarantine', cause: 'drift', decision_ids: ['d1', 'd2'] },
      { kind: 'operator_act', stage: 'begun', act: 'standing.release', by: `${DOMAIN}/ops/night`, reason: 'a drill' },
      { kind: 'standing', from: 'quarantine', to: 'normal' },
      { kind: 'operator_act', stage: 'done', status: 200, scope: { kind: 'workload', id: AGENT }, was: 'quarantine' }
    ])
    expect((await run('ops', 'standings')).out).toBe('Everybody stands normal.\n')
  })

  it('nobody else releases, and what stands normal is not released', async () => {
    raised('quarantine')
    for (const who of ['lead', 'agent', 'nobody']) expect([who, (await run(who, 'release', AGENT, '--reason', 'x')).code]).toEqual([who, 1])
    for (const who of ['agent', 'nobody']) expect([who, (await run(who, 'standings')).code]).toEqual([who, 1])
    expect(standing()).toBe('quarantine')
    await releaseAll()
    expect(await run('ops', 'release', AGENT, '--reason', 'x')).toMatchObject({
      code: 1,
      err: expect.stringContaining('nothing to release')
    })
    expect((await run('ops', 'release', 'acme/support', '--reason', 'x')).code).toBe(2)
    expect((await run('ops', 'release', AGENT)).err).toContain('Say why')
  })
})

describe('step-up', () => {
  it('is answered by a supervisor or an operator, once', async () => {
    for (const who of ['lead', 'ops']) {
      const id = raised('step-up')
      expect((await run('ops', 'standings')).out).toContain(`vecauthz step-up answer ${id}`)
      expect(await run(who, 'step-up', 'answer', id, '--reason', 'it is me')).toMatchObject({
        code: 0,
        out: `${AGENT} now stands: slowed\n`
      })
      expect([standing(), cleared.at(-1)]).toEqual(['slowed', AGENT])
      expect((await run(who, 'step-up', 'answer', id, '--reason', 'again')).code).toBe(1)
      await releaseAll()
    }
  })

  it('frees the workload that it is of, and none that was challenged just like it', async () => {
    const other = `${DOMAIN}/acme/other`
    const [first, second] = [raised('step-up'), raised('step-up', other)]
    expect(second).not.toBe(first)
    expect((await run('lead', 'step-up', 'answer', second, '--reason', 'it is the other')).out).toBe(`${other} now stands: slowed\n`)
    expect([standing(), standing(other), cleared]).toEqual(['step-up', 'slowed', [other]])
    await releaseAll()
  })

  it('is not answered by itself, by a stranger, or for another challenge', async () => {
    const id = raised('step-up')
    // The policy names it as a supervisor, and it is still the one that was challenged.
    expect(await run('agent', 'step-up', 'answer', id, '--reason', 'x')).toMatchObject({ code: 1, err: expect.stringContaining('itself') })
    expect(await run('nobody', 'step-up', 'answer', id, '--reason', 'x')).toMatchObject({
      code: 1,
      err: expect.stringContaining('supervisors')
    })
    expect(await run('nobody', 'step-up', 'refuse', id, '--reason', 'x')).toMatchObject({ code: 1 })
    expect((await run('ops', 'step-up', 'answer', 'run.99', '--reason', 'x')).err).toContain('No step-up of that id')
    expect((await run('ops', 'step-up', 'answer', '../x', '--reason', 'x')).code).toBe(2)
    expect(standing()).toBe('step-up')
    await releaseAll()
  })

  it('is not answered by a supervisor who is held himself, nor is anybody released by itself', async () => {
    const id = raised('step-up')
    raised('slowed', `${DOMAIN}/people/lead`)
    for (const verdict of ['answer', 'refuse'])
      expect(await run('lead', 'step-up', verdict, id, '--reason', 'x')).toMatchObject({
        code: 1,
        err: expect.stringContaining('stand normal')
      })
    raised('quarantine', `${DOMAIN}/ops/night`)
    expect(await run('ops', 'release', `${DOMAIN}/ops/night`, '--reason', 'x')).toMatchObject({
      code: 1,
      err: expect.stringContaining('itself')
    })
    expect([standing(), standing(`${DOMAIN}/ops/night`)]).toEqual(['step-up', 'quarantine'])
    await releaseAll()
  })

  it('is refused, and then it is a quarantine', async () => {
    const id = raised('step-up')
    expect(await run('lead', 'step-up', 'refuse', id, '--reason', 'never heard of it')).toMatchObject({ code: 0 })
    expect([standing(), cleared]).toEqual(['quarantine', []])
    await releaseAll()
  })

  it.each([
    ['Bearer error="insufficient_user_authentication", error_description="a, b", max_age=3, request_id="ab12.7"', 'ab12.7'],
    ['Bearer error="insufficient_user_authentication", error_description="request_id=\\"", request_id="ab.1"', undefined],
    ['Bearer error="insufficient_user_authentication", error_description="request_id=ab.9"', undefined],
    ['Bearer error="invalid_token", request_id="ab12.7"', undefined],
    ['Basic realm="x"', undefined]
  ])('%s has the id %s', (header, id) => {
    expect(stepUpId(header)).toBe(id)
  })
})

describe('baselines', () => {
  it('are shown from the first query on, frozen, approved, exported, reset and taken in again', async () => {
    expect((await run('ops', 'baselines')).out).toBe('Nothing was searched yet, so nothing is learnt.\n')
    const teach = (bursts: number, seed: number) => {
      for (const call of callsOf(worldOf(96, 1), 0, bursts, seed)) baselines.book.learn(KEY, AGENT, call)
    }
    teach(1, 1)
    expect((await run('ops', 'baselines')).out).toMatch(
      /acme {2}support {2}demo\/handbook {2}learning\n {2}learnt .* in 1 bursts of 1 workloads: 11 bursts/
    )
    expect(await run('ops', 'baselines', 'freeze', ...NAMED)).toMatchObject({
      code: 1,
      err: expect.stringContaining('1 bursts are too few')
    })
    teach(20, 2)
    expect((await run('lead', 'baselines', 'freeze', ...NAMED)).code).toBe(1)
    expect((await run('ops', 'baselines', 'freeze', ...NAMED)).code).toBe(0)
    expect((await run('ops', 'baselines')).out).toContain('waiting')
    expect(baselines.book.of(KEY, 'dense', 96)).toBeUndefined()
    expect((await run('ops', 'baselines', 'approve', ...NAMED, '--records-a-day', '700')).code).toBe(0)
    expect([baselines.book.of(KEY, 'dense', 96) === undefined, learnt.dailyOf(KEY, 1)]).toEqual([false, 700])
    const file = join(folder, 'exported.json')
    expect((await run('ops', 'baselines', 'export', file, ...NAMED)).code).toBe(0)
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect((await run('ops', 'baselines', 'export', file, ...NAMED)).err).toContain('already')
    expect((await run('ops', 'baselines', 'reset', ...NAMED)).code).toBe(0)
    expect(baselines.book.of(KEY, 'dense', 96)).toBeUndefined()
    expect(await run('ops', 'baselines', 'import', file, '--reason', 'a backup')).toMatchObject({ code: 0 })
    expect((await run('ops', 'baselines', 'approve', ...NAMED)).code).toBe(0)
    expect(baselines.book.of(KEY, 'dense', 96)).toBeDefined()
    const acts = lines.filter(({ stage }) => stage === 'done').map(({ act, tenant, agentType }) => [act, tenant, agentType])
    expect(acts).toContainEqual(['baseline.approve', 'acme', 'support'])
    // What was exported has a secret in it: no record has it.
    expect(JSON.stringify(lines)).not.toContain('projection')
  }, 60_000)

  it('orders of calls are frozen, approved and reset in the same way', async () => {
    const order = ['--tenant', '*', '--agent-type', 'support', '--collection', 'order of calls', '--reason', 'looked at it']
    expect(await run('ops', 'baselines', 'freeze', ...order)).toMatchObject({ code: 1, err: expect.stringContaining('Nothing was learnt') })
    const its = newSequenceState()
    for (let at = 0; at < 1_000; at++) {
      const ready = orders.sequenceOf('support')
      if (ready !== undefined) observeSequence(ready, its, `call ${at % 3}`, at % 10 === 0 ? at * 60_000 : its.lastAt + 1, true)
    }
    expect((await run('ops', 'baselines')).out).toMatch(
      /\* {2}support {2}order of calls {2}learning\n {2}learnt +1000 calls in \d+ bursts: enough/
    )
    expect((await run('lead', 'baselines', 'freeze', ...order)).code).toBe(1)
    expect((await run('ops', 'baselines', 'freeze', ...order)).code).toBe(0)
    expect(orders.sequenceOf('support')?.cold).toBe(true)
    expect((await run('ops', 'baselines', 'approve', ...order, '--records-a-day', '5')).err).toContain('no budget of records')
    expect((await run('ops', 'baselines', 'approve', ...order)).code).toBe(0)
    expect(orders.sequenceOf('support')?.cold).toBe(false)
    expect((await run('ops', 'baselines')).out).toMatch(/in force +[0-9a-f]{12}: 1000 calls in \d+ bursts, 3 kinds of calls; by/)
    expect((await run('ops', 'baselines', 'reset', ...order)).code).toBe(0)
    expect(orders.sequenceOf('support')?.cold).toBe(true)
  })

  it('what makes no sense is said before anything is asked', async () => {
    for (const args of [
      ['adopt', ...NAMED],
      ['bake', ...NAMED],
      ['approve'],
      ['reset', ...NAMED, '--add'],
      ['reset', ...NAMED, '--anyway'],
      ['freeze', ...NAMED, '--records-a-day', '5']
    ])
      expect([args, (await run('ops', 'baselines', ...args)).code]).toEqual([args, 2])
    expect((await run('ops', 'baselines', 'adopt', 'x-1', ...NAMED)).code).toBe(1)
  })
})
