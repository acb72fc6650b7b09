/** Risk, from the bytes that Envoy sends to the bytes it gets: who is slowed, challenged and quarantined, and who is left alone. */
import { beforeAll, describe, expect, it } from 'vitest'
import type { DriftCall } from '../../src/core/drift.ts'
import { RISK_DEFAULTS } from '../../src/core/risk-rules.ts'
import { STANDINGS, subjectKey } from '../../src/core/standing.ts'
import { raise } from '../../src/risk/cohort.ts'
import type { ReadyBaseline } from '../../src/risk/drift-ready.ts'
import { startKernel } from '../../src/risk/kernel-wasm.ts'
import { createRisk } from '../../src/risk-stage.ts'
import { createSignIns } from '../../src/state/sign-ins.ts'
import { createStandings, type SharedStandings } from '../../src/state/standings.ts'
import { createMemoryStore } from '../../src/state/store-memory.ts'
import { callsOf, learntFrom, worldOf } from '../risk/drift-material.ts'
import type { Svid } from '../support/ca.ts'
import { jwkOf, keySet, other } from '../support/jwt.ts'
import { testLearnt } from '../support/learnt.ts'
import { pairOf } from '../support/pair.ts'
import { POLICY } from '../support/policy.ts'
import { type Answer, NOON, type Scene, sceneOf, searchFor, svidOf } from '../support/risky.ts'
import { IDP, subjectToken } from '../support/subject.ts'
import { HANDBOOK, type TestWorld, testWorld } from '../support/world.ts'

const AGENTS = `${POLICY.replace('acme/support\n    tenants: [acme]', 'acme/support\n    tenants: [acme]\n    agent_type: support')}
subjects:
  - { issuer: '${IDP}', audience: vecauthz, tenant_claim: tenant, tenants: [acme] }
`
const DIMENSIONS = 96
const material = worldOf(DIMENSIONS, 2)
const HOUR = 3_600_000

let test: TestWorld
let support: Svid
let baselines: ReadonlyMap<string, ReadyBaseline>

beforeAll(async () => {
  const keys = keySet(jwkOf(other))
  test = await testWorld({ subjectKeys: { generation: 1, keysOf: () => keys, askAgain: () => false } })
  support = await svidOf(test, '/acme/support')
  const { readies } = learntFrom(material, 80, startKernel())
  baselines = new Map([['support demo/rag/handbook', readies[0] as ReadyBaseline]])
}, 30_000)

/** In the pace of the calls, from the scene's now on. */
async function go(scene: Scene, calls: readonly DriftCall[], who = support): Promise<Answer[]> {
  const from = scene.now - (calls[0]?.at ?? 0)
  const answers: Answer[] = []
  for (const { vectors, at } of calls) {
    scene.now = from + at
    answers.push(await scene.ask(who, searchFor(vectors[0] ?? [])))
  }
  return answers
}

const reasonsOf = (answers: readonly Answer[]) => [...new Set(answers.map(({ reason }) => reason))]
const normal = (bursts: number, seed: number) => callsOf(material, 0, bursts, seed)
const foreign = (seed: number) => callsOf(material, 1, 40, seed).map((call, at) => ({ ...call, at: at * 400 }))
const standing = (scene: Scene) => scene.standings.list(scene.now)[0]?.standing ?? 'normal'

/** Until something is refused. */
async function untilRefused(scene: Scene, calls: readonly DriftCall[], who = support): Promise<Answer[]> {
  const answers: Answer[] = []
  for (const call of calls) {
    scene.now += 400
    answers.push(await scene.ask(who, searchFor(call.vectors[0] ?? [])))
    if (answers.at(-1)?.reason !== 'allow') return answers
  }
  return answers
}

describe('drift', () => {
  it('a day of honest bursts passes untouched, and is judged from the first query on', async () => {
    const scene = sceneOf(test, AGENTS, { baselines })
    const answers = await go(scene, normal(60, 900))
    expect(answers.length).toBeGreaterThan(300)
    expect(reasonsOf(answers)).toEqual(['allow'])
    expect(scene.moves).toEqual([])
    expect(answers[0]?.record).toMatchObject({
      vectors: 'seen',
      risk: { standing_before: 'normal', standing_after: 'normal', learning: 'judging' }
    })
    expect(answers[0]?.metadata).toMatchObject({ standing: 'normal', risk_score: '0' })
  })

  it('a foreign burst is slowed, then challenged; unanswered it becomes a quarantine', async () => {
    const scene = sceneOf(test, AGENTS, { baselines })
    await go(scene, normal(4, 901))
    const answers = await untilRefused(scene, foreign(1))
    expect(answers.length).toBeLessThan(20)
    expect(scene.moves.map(({ to }) => to).slice(0, 2)).toEqual(expect.arrayContaining(['step-up']))
    const last = answers.at(-1) as Answer
    expect(last).toMatchObject({ reason: 'step-up-required', grpc: 16, metadata: { verdict: 'deny', standing: 'step-up' } })
    expect(last.record).toMatchObject({ risk: { standing_after: 'step-up', causes: [{ cause: 'drift' }] } })
    const id = last.headers.get('x-vecauthz-step-up')
    expect(id).toMatch(/^run-\d+-[0-9a-f]{16}\.\d+$/)
    expect(last.headers.get('www-authenticate')).toBe(
      `Bearer error="insufficient_user_authentication", error_description="A supervisor or an operator has to approve", request_id="${id}"`
    )
    expect(last.body).toMatchObject({ step_up: { id, by: ['supervisor', 'operator'], seconds_left: 300 } })
    expect(last.body.detail).toContain(`vecauthz step-up answer ${id}`)
    scene.now += 299_000
    expect((await scene.ask(support, searchFor(normal(1, 5)[0]?.vectors[0] ?? []))).reason).toBe('step-up-required')
    scene.now += 2_000
    expect((await scene.ask(support, searchFor(normal(1, 5)[0]?.vectors[0] ?? []))).reason).toBe('quarantined')
  })

  it('a gRPC caller gets status 16 and the challenge', async () => {
    const scene = sceneOf(test, AGENTS, { baselines })
    await untilRefused(scene, foreign(2))
    const answer = await scene.ask(support, { method: 'POST', path: '/x', headers: [['content-type', 'application/grpc']] })
    expect([answer.reason, answer.grpc]).toEqual(['step-up-required', 16])
    expect(answer.headers.get('grpc-status')).toBe('16')
    expect(answer.headers.get('www-authenticate')).toContain('insufficient_user_authentication')
  })

  it('the third step-up in a day is a quarantine; released, it begins anew', async () => {
    const scene = sceneOf(test, AGENTS, { baselines })
    const scope = { kind: 'workload', id: support.id } as const
    for (const [seed, want] of [
      [3, 'step-up-required'],
      [4, 'step-up-required'],
      [5, 'quarantined']
    ] as const) {
      expect((await untilRefused(scene, foreign(seed))).at(-1)?.reason).toBe(want)
      const was = await scene.standings.release(scope, 'operator', 'looked at it', scene.now)
      expect(was.kind).toBe('done')
      scene.now += HOUR
      expect(reasonsOf(await go(scene, normal(3, 100 + seed)))).toEqual(['allow'])
      expect(standing(scene)).toBe('normal')
    }
  })

  it('Envoy asking again about a check moves nothing', async () => {
    const [once, often] = [sceneOf(test, AGENTS, { baselines }), sceneOf(test, AGENTS, { baselines })]
    for (const [at, { vectors }] of foreign(6).slice(0, 2).entries()) {
      const parts = searchFor(vectors[0] ?? [], { id: `same-${at}` })
      const first = await once.ask(support, parts)
      for (let times = 0; times < 5; times++) expect((await often.ask(support, parts)).record.risk).toEqual(first.record.risk)
      once.now += 400
      often.now += 400
    }
    const next = searchFor(foreign(6)[2]?.vectors[0] ?? [])
    expect((await often.ask(support, next)).record.risk).toEqual((await once.ask(support, next)).record.risk)
  })

  it('in shadow it is recorded, and nothing else happens', async () => {
    const scene = sceneOf(test, `mode: shadow\n${AGENTS}`, { baselines })
    const answers = await go(scene, foreign(7).slice(0, 40))
    expect(reasonsOf(answers)).toEqual(['allow'])
    expect(answers.some(({ record }) => record.judged_reason === 'step-up-required')).toBe(true)
    expect(answers.at(-1)?.record).toMatchObject({ risk: { standing_before: 'normal', standing_after: 'normal' } })
    expect(scene.moves).toEqual([])
  })

  it('without a baseline queries are noted; of other workloads, and of none', async () => {
    const scene = sceneOf(test, AGENTS)
    const [answer] = await go(scene, normal(1, 1).slice(0, 1))
    expect(answer?.record).toMatchObject({ risk: { learning: 'learning' } })
    expect(scene.told.noted).toMatchObject([
      { key: { tenant: 'acme', agentType: 'support', collection: 'demo/rag/handbook' }, workload: support.id }
    ])
    await scene.ask(await svidOf(test, '/shared/reporter'), searchFor([1, 2]))
    expect(scene.told.noted.length).toBe(1)
  })

  it('what has no vector to look at is labelled', async () => {
    const scene = sceneOf(test, AGENTS, { baselines })
    const get: Parameters<Scene['ask']>[1] = {
      path: `/api/v2/tenants/acme/databases/rag/collections/${HANDBOOK}/get`,
      body: JSON.stringify({ limit: 5 })
    }
    expect((await scene.ask(support, get)).record).toMatchObject({ vectors: 'unseen', verdict: 'allow' })
  })
})

describe('a step-up', () => {
  const asked = async () => {
    const scene = sceneOf(test, AGENTS, { baselines })
    const user = (authTime: number, sub = 'user-4711') =>
      [
        'x-vecauthz-subject-token',
        subjectToken({
          claims: { sub, auth_time: Math.floor(authTime / 1000), iat: Math.floor(NOON / 1000), exp: Math.floor(NOON / 1000) + 7200 }
        })
      ] as const
    const early = user(NOON - HOUR)
    for (const { vectors } of foreign(8)) {
      scene.now += 400
      const { reason } = await scene.ask(support, searchFor(vectors[0] ?? [], { headers: [early] }))
      if (reason !== 'allow') break
    }
    const ask = (header?: readonly [string, string]) =>
      scene.ask(support, searchFor(normal(1, 2)[0]?.vectors[0] ?? [], header === undefined ? {} : { headers: [header] }))
    return { scene, user, ask, early }
  }

  it('is answered by its end user who signs in again, and by no older sign-in and no other user', async () => {
    const { scene, user, ask, early } = await asked()
    scene.now += 10_000
    const refused = await ask(early)
    expect(refused.reason).toBe('step-up-required')
    expect(refused.headers.get('www-authenticate')).toContain('max_age="10"')
    expect(refused.body).toMatchObject({ step_up: { by: ['end-user', 'supervisor', 'operator'] } })
    expect((await ask()).reason).toBe('step-up-required')
    const another = await ask(user(scene.now, 'user-1'))
    expect([another.reason, another.body.detail]).toEqual(['step-up-required', expect.stringContaining('Another end user')])
    expect(refused.body.detail).toContain('has not authenticated since the challenge')
    expect(refused.body.detail).toContain(`vecauthz step-up answer ${refused.headers.get('x-vecauthz-step-up')}`)
    expect(standing(scene)).toBe('step-up')
    const good = await ask(user(scene.now))
    expect(good).toMatchObject({ reason: 'allow', metadata: { standing: 'slowed' } })
    expect(standing(scene)).toBe('slowed')
  })

  it('of another workload is not answered by a sign-in that has answered one', async () => {
    const { take } = createSignIns(createMemoryStore())
    const scene = sceneOf(test, AGENTS, {}, { takeSignIn: take })
    const indexer = await svidOf(test, '/acme/indexer')
    const subject = subjectKey(IDP, 'user-4711')
    const evidence = { says: 'novelty 412', decisionIds: [], figures: {}, subject }
    for (const { id } of [support, indexer])
      raise(scene.standings, { kind: 'workload', id }, { level: 'step-up', cause: 'drift', evidence }, RISK_DEFAULTS, scene.now)
    const signedIn = (at: number) =>
      ['x-vecauthz-subject-token', subjectToken({ claims: { auth_time: at / 1000, iat: NOON / 1000, exp: NOON / 1000 + 7_200 } })] as const
    scene.now += 10_000
    const ask = (who: Svid, at: number) => scene.ask(who, searchFor([1, 2], { headers: [signedIn(at)] }))
    expect((await ask(support, NOON + 5_000)).metadata.standing).toBe('slowed')
    const second = await ask(indexer, NOON + 5_000)
    expect([second.reason, second.body.detail]).toEqual(['step-up-required', expect.stringContaining('has answered another step-up')])
    expect((await ask(indexer, NOON + 6_000)).metadata.standing).toBe('slowed')
  })

  it('a fresh SVID does not answer it, and clears slowed', async () => {
    const { scene, ask } = await asked()
    const fresh = await svidOf(test, '/acme/support', scene.now + 1_000)
    scene.now += 2_000
    expect((await scene.ask(fresh, searchFor(normal(1, 2)[0]?.vectors[0] ?? []))).reason).toBe('step-up-required')
    expect((await ask()).reason).toBe('step-up-required')
    const slowed = sceneOf(test, AGENTS)
    slowed.standings.change(
      { kind: 'workload', id: support.id },
      (record, run) => ({
        ...record,
        terms: [
          {
            dot: { run, n: 1 },
            level: 'slowed',
            cause: 'drift',
            evidence: { says: '', decisionIds: [], figures: {} },
            since: NOON,
            durationMs: 900_000,
            servedMs: 0,
            ended: undefined
          }
        ]
      }),
      NOON
    )
    slowed.now += 5_000
    expect((await slowed.ask(support, searchFor([1, 2]))).metadata.standing).toBe('slowed')
    expect((await slowed.ask(fresh, searchFor([1, 2]))).metadata.standing).toBe('normal')
  })
})

describe('denials of a proven identity', () => {
  const pivot = (tenant: string) => searchFor([1, 2], { path: `/api/v2/tenants/${tenant}/databases/rag/collections/${HANDBOOK}/query` })

  it('raise its standing, each different one as much, and a loop no further than slowed', async () => {
    const scene = sceneOf(test, AGENTS)
    const standings: unknown[] = []
    for (let at = 0; at < 12; at++) {
      scene.now += 2_000
      standings.push((await scene.ask(support, pivot(`tenant-${at}`))).record.risk?.standing_after)
    }
    expect([...new Set(standings)]).toEqual(['normal', 'slowed', 'step-up'])
    expect(scene.moves[0]).toMatchObject({ to: 'slowed', term: { cause: 'risk_spike' } })
    const loop = sceneOf(test, AGENTS)
    for (let at = 0; at < 100; at++) {
      loop.now += 5_000
      await loop.ask(support, pivot('globex'))
    }
    expect(standing(loop)).toBe('slowed')
  })

  it('count once for each check, and not in shadow', async () => {
    const scene = sceneOf(test, AGENTS)
    for (let at = 0; at < 40; at++) await scene.ask(support, { ...pivot('globex'), id: 'the-same' })
    expect(standing(scene)).toBe('normal')
    const shadow = sceneOf(test, `mode: shadow\n${AGENTS}`)
    for (let at = 0; at < 12; at++) await shadow.ask(support, pivot(`tenant-${at}`))
    expect(standing(shadow)).toBe('normal')
  })
})

describe('budgets', () => {
  it('say how much is left, and when to come back', async () => {
    const scene = sceneOf(test, AGENTS)
    const answers = await Promise.all(Array.from({ length: 31 }, () => scene.ask(support, searchFor([1, 2]))))
    const last = answers.at(-1) as Answer
    expect(last).toMatchObject({ reason: 'rate-exceeded', grpc: 8 })
    expect(last.headers.get('retry-after')).toBe('1')
    expect(last.headers.get('ratelimit-policy')).toBe('"workload";q=30;w=3')
    expect(last.headers.get('ratelimit')).toBe('"workload";r=0;t=3')
  })

  it('are halved for a slowed workload', async () => {
    const scene = sceneOf(test, AGENTS)
    expect((await scene.ask(support, searchFor([1, 2]))).metadata.standing).toBe('normal')
    for (let at = 0; at < 4; at++) {
      scene.now += 10_000
      await scene.ask(support, searchFor([1, 2], { path: `/api/v2/tenants/t-${at}/databases/rag/collections/${HANDBOOK}/query` }))
    }
    expect(standing(scene)).toBe('slowed')
    scene.now += 60_000
    const answers: Answer[] = []
    for (let at = 0; at < 31; at++) answers.push(await scene.ask(support, searchFor([1, 2])))
    expect(answers.filter(({ reason }) => reason === 'allow').length).toBe(15)
    expect(answers[0]?.metadata.standing).toBe('slowed')
    // And is not read any more.
    expect((await scene.ask(support, { path: '/nothing' })).reason).toBe('rate-exceeded')
  })

  it('of exposure: a slow reader is slowed when it is spent, and quarantined when it is spent again', async () => {
    const scene = sceneOf(test, AGENTS, { baselines, daily: 60 })
    const vectors = normal(20, 77).map((call) => call.vectors[0] as Float32Array)
    const ask = (at: number) => scene.ask(support, searchFor(vectors[at] as Float32Array))
    let at = 0
    let answer = await ask(at++)
    for (; answer.reason === 'allow' && at < 60; scene.now += 30_000) answer = await ask(at++)
    expect(answer).toMatchObject({ reason: 'cost-exceeded', record: { risk: { causes: [{ cause: 'exposure' }] } } })
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(60)
    expect(standing(scene)).toBe('slowed')
    scene.now += HOUR
    for (at = 0; answer.reason !== 'quarantined' && at < 60; scene.now += 1_000) answer = await ask(at++)
    expect(answer.reason).toBe('quarantined')
  })
})

describe('monitored figures', () => {
  it('do what the policy says, and page once', async () => {
    const policy = `${AGENTS}monitoring:
  - { metric: request_rate, window_seconds: 60, threshold: 0.1, action: slow }
  - { metric: queries, window_seconds: 60, threshold: 0.1, action: page }
`
    const scene = sceneOf(test, policy)
    for (let at = 0; at < 10; at++) await scene.ask(support, searchFor([1, 2]))
    expect(scene.moves.map(({ to, term }) => [to, term?.cause])).toEqual([['slowed', 'monitoring']])
    expect(scene.findings).toEqual(['page'])
  })
})

describe('the roles', () => {
  it('without risk nothing is said of it', async () => {
    const scene = sceneOf(test, AGENTS, { baselines }, { risk: undefined, role: { kind: 'egress' } })
    const answer = await scene.ask(support, searchFor([1, 2]))
    expect(answer.record.risk).toBeUndefined()
    expect(answer.metadata.standing).toBeUndefined()
  })
})

describe('two vecauthz, one behind the other', () => {
  it('the one before the database owns standings: it refuses what its end user has to answer for, and egress says nothing', async () => {
    const { risk, standings, denied } = stageForPair()
    const pair = await pairOf({ index: { risk } })
    const who = await pair.issue('/acme/support')
    const call = { path: `/api/v2/tenants/acme/databases/rag/collections/${HANDBOOK}/query`, body: searchFor([1, 2]).body ?? '' }
    const first = await pair.through(who, call)
    expect(first.record.account.risk).toMatchObject({ before: 'normal', after: 'normal', vectors: 'seen' })
    expect((await pair.egress(who, call)).record.account.risk).toBeUndefined()
    denied(standings, who.id)
    expect((await pair.egress(who, call)).reason).toBe('allow')
    expect((await pair.through(who, call)).reason).toBe('quarantined')
  })
})

function stageForPair() {
  const standings = createStandings({
    store: undefined,
    run: 'pair',
    now: Date.now,
    tick: () => performance.now(),
    onMove: () => undefined,
    onTrouble: () => undefined
  })
  const risk = createRisk({ standings, learnt: testLearnt().learnt, shared: false, staleMsMax: 5_000, onFinding: () => undefined })
  const evidence = { says: 'a test', decisionIds: [], figures: {} }
  const denied = (of: SharedStandings, id: string) =>
    raise(of, { kind: 'workload', id }, { level: 'quarantine', cause: 'operator', evidence }, RISK_DEFAULTS, Date.now())
  return { standings, risk, denied }
}

describe('a cohort', () => {
  it('that is quarantined in one collection is refused there, whichever of its workloads asks', async () => {
    const scene = sceneOf(
      test,
      AGENTS.replace('acme/indexer\n    tenants: [acme]', 'acme/indexer\n    tenants: [acme]\n    agent_type: support')
    )
    const indexer = await svidOf(test, '/acme/indexer')
    const reporter = await svidOf(test, '/shared/reporter')
    const scope = { kind: 'cohort', tenant: 'acme', agentType: 'support', database: 'demo', collection: 'handbook' } as const
    const evidence = { says: 'a test', decisionIds: [], figures: {} }
    raise(scene.standings, scope, { level: 'quarantine', cause: 'identities-together', evidence }, RISK_DEFAULTS, scene.now)
    for (const who of [support, indexer]) {
      const answer = await scene.ask(who, searchFor([1, 2]))
      // Refused before it is looked at.
      expect([answer.reason, answer.record.risk?.score]).toEqual(['quarantined', undefined])
    }
    expect((await scene.ask(reporter, searchFor([1, 2]))).reason).toBe('allow')
    const heartbeat = { path: '/api/v2/heartbeat' }
    expect((await scene.ask(support, heartbeat)).reason).toBe('allow')
  })
})

describe('a higher score', () => {
  it('never goes with a gentler standing', async () => {
    for (const seed of [11, 12, 13]) {
      const scene = sceneOf(test, AGENTS, { baselines })
      const answers = [...(await go(scene, normal(2, seed))), ...(await untilRefused(scene, foreign(seed)))]
      const seen = answers.map(({ record: { risk } }) => ({
        score: risk?.score ?? 0,
        rank: STANDINGS.indexOf(risk?.standing_after as never)
      }))
      for (const { score, rank } of seen) expect(rank).toBeGreaterThanOrEqual(score >= 1 ? 3 : score >= 0.5 ? 2 : score >= 0.25 ? 1 : 0)
    }
  })
})
