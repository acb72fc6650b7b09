/** The risk stage by itself: what holds whatever comes, who is forgotten, and what a standing elsewhere means. */
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import type { Grant } from '../src/core/decision.ts'
import type { Judgement, RiskCall, RiskPlace } from '../src/core/risk.ts'
import { BYTES_PACE, type MonitoringRule, RISK_DEFAULTS, type RiskRules } from '../src/core/risk-rules.ts'
import { rankOf, STANDINGS } from '../src/core/standing.ts'
import type { ResolvedTarget, Shape } from '../src/core/vector-call.ts'
import { raise } from '../src/risk/cohort.ts'
import type { ReadyBaseline } from '../src/risk/drift-ready.ts'
import type { Kernel } from '../src/risk/kernel.ts'
import { startKernel } from '../src/risk/kernel-wasm.ts'
import { createRisk, type RiskParts } from '../src/risk-stage.ts'
import { createStandings } from '../src/state/standings.ts'
import { callsOf, learntFrom, worldOf } from './risk/drift-material.ts'
import { callerOf, callOf, targetOf } from './support/grants.ts'
import { type LearntParts, testLearnt } from './support/learnt.ts'

const T0 = Date.UTC(2026, 10, 21, 12)
const material = worldOf(96, 2)
const vectors = [0, 1].map((department) => callsOf(material, department, 40, 300 + department).flatMap((call) => call.vectors))
let baseline: ReadyBaseline

beforeAll(() => {
  baseline = learntFrom(material, 60, startKernel()).readies[0] as ReadyBaseline
}, 30_000)

function stageOf(
  learnt: LearntParts = {},
  change: Partial<RiskParts> = {},
  rules: Partial<RiskRules> = {},
  monitoring: MonitoringRule[] = []
) {
  const clock = { now: T0 }
  const standings = createStandings({
    store: undefined,
    run: 'run',
    now: () => clock.now,
    tick: () => clock.now,
    onMove: () => undefined,
    onTrouble: () => undefined
  })
  const told = testLearnt(learnt)
  const risk = createRisk({ standings, learnt: told.learnt, shared: false, staleMsMax: 5_000, onFinding: () => undefined, ...change })
  const risks = { ...RISK_DEFAULTS, ...rules }
  const policy = {
    risk: risks,
    monitoring,
    budgets: { tenant: undefined, collection: undefined, operations: undefined, bytes: BYTES_PACE }
  }
  let ids = 0
  const callBy = (name: string): RiskCall => ({
    caller: callerOf(`spiffe://demo.vecauthz.test/acme/${name}`),
    agentType: 'support',
    budget: { per_second: 10, burst: 30 },
    policy,
    check: `check-${++ids}`,
    decisionId: `decision-${ids}`,
    shadow: false,
    now: clock.now
  })
  const place: RiskPlace = { tenant: 'acme', database: 'demo', targets: [targetOf('acme')] }
  const search = (name: string, shape: Partial<Shape> = {}, call = callBy(name)): Judgement => {
    const own = { queries: 1, topK: 5, ...shape }
    const grant = {
      kind: 'tenant',
      caller: call.caller,
      call: callOf('search', 'acme', 'handbook', own),
      tenant: 'acme',
      targets: place.targets
    }
    return risk.observe(grant as unknown as Grant, call, 'demo', undefined)
  }
  const queryOf = (vector: Float32Array | undefined) => ({ vectors: [vector ?? new Float32Array(96)], dimensions: 96 })
  const denied = (name: string, target: string) =>
    risk.refused({ kind: 'tenant-not-allowed', because: '' }, target, callBy(name), place, 100)
  return { clock, standings, risk, told, callBy, place, search, queryOf, denied, rules: risks }
}

const known = () => ({ baselines: new Map([['support demo/rag/handbook', baseline]]) })

describe('whatever comes', () => {
  const ops = fc.array(
    fc.oneof(
      { weight: 6, arbitrary: fc.record({ op: fc.constant('search' as const), department: fc.constantFrom(0, 1), at: fc.nat(200) }) },
      { weight: 2, arbitrary: fc.record({ op: fc.constant('denied' as const), at: fc.nat(30) }) },
      { weight: 1, arbitrary: fc.record({ op: fc.constant('wait' as const), at: fc.nat(3_600_000) }) },
      { weight: 1, arbitrary: fc.record({ op: fc.constant('release' as const) }) }
    ),
    { maxLength: 120 }
  )

  it('a higher score never goes with a gentler standing, and nobody above slowed passes', async () => {
    await fc.assert(
      fc.asyncProperty(ops, async (all) => {
        const { clock, search, queryOf, denied, standings, risk, callBy } = stageOf(known())
        const scope = { kind: 'workload', id: callBy('support').caller.id.text } as const
        for (const one of all) {
          clock.now += 300
          if (one.op === 'wait') clock.now += one.at
          if (one.op === 'denied') denied('support', `tenant ${one.at}`)
          if (one.op === 'release') await standings.release(scope, 'operator', 'a test', clock.now)
          if (one.op !== 'search') continue
          const held = risk.held(callBy('support'), undefined)
          expect(held.refusal === undefined).toBe(rankOf(held.standing) < rankOf('step-up'))
          if (held.refusal !== undefined) continue
          const its = search('support', queryOf(vectors[one.department]?.[one.at]))
          const least = its.score >= 1 ? 3 : its.score >= 0.5 ? 2 : its.score >= 0.25 ? 1 : 0
          expect(rankOf(its.after)).toBeGreaterThanOrEqual(least)
          expect(its.refusal === undefined).toBe(rankOf(its.after) < 2)
        }
      }),
      { numRuns: 60, seed: 7 }
    )
  })
})

describe('who is forgotten', () => {
  it('keeps its standing, and does not come back as one that was never seen', () => {
    const { search, queryOf, risk, standings, clock } = stageOf(known(), { workloadsMax: 4 })
    const id = 'spiffe://demo.vecauthz.test/acme/bad'
    for (let at = 0; at < 60 && standings.ofWorkload(id) === undefined; at++) {
      clock.now += 400
      search('bad', queryOf(vectors[1]?.[at]))
    }
    const before = STANDINGS.indexOf(search('bad', queryOf(vectors[1]?.[9])).after)
    expect(before).toBeGreaterThanOrEqual(1)
    for (let at = 0; at < 20; at++) search(`other-${at}`, queryOf(vectors[0]?.[at]))
    expect(risk.workloads.peek(id)).toBeUndefined()
    const again = search('bad', queryOf(vectors[0]?.[0]))
    expect(STANDINGS.indexOf(again.before)).toBe(before)
    expect(risk.workloads.peek(id)?.suspicion).toBeGreaterThan(60)
    const fresh = search('new', queryOf(vectors[0]?.[0]))
    expect(again.score).toBeGreaterThan(fresh.score)
    expect(again.score).toBeLessThan(0.25)
  })
})

describe('who was only ever denied', () => {
  it('does not come back as one that was never seen', () => {
    const denials = { slowed: 5, 'step-up': 20, quarantine: 40 } as const
    const { search, queryOf, risk, callBy } = stageOf(known(), { workloadsMax: 4 }, { denials })
    const nowhere = { tenant: undefined, database: 'demo', targets: [] }
    const denied = (name: string, what: string) =>
      risk.refused({ kind: 'tenant-not-allowed', because: 'a pivot' }, what, callBy(name), nowhere, 0)
    expect(denied('bad', 'one')?.after).toBe('normal')
    for (let at = 0; at < 20; at++) search(`other-${at}`, queryOf(vectors[0]?.[at]))
    expect(risk.workloads.peek('spiffe://demo.vecauthz.test/acme/bad')).toBeUndefined()
    expect(denied('bad', 'two')?.after).toBe('slowed')
    expect(denied('new', 'two')?.after).toBe('normal')
  })
})

describe('standings of others', () => {
  it('before they are known nobody passes, and who is known to be held is told so', () => {
    const { standings } = stageOf()
    const { risk, callBy } = stageOf({}, { standings: { ...standings, isLoaded: () => false } })
    expect(risk.held(callBy('anybody'), undefined).refusal).toMatchObject({ kind: 'state-unavailable' })
    const evidence = { says: 'here', decisionIds: [], figures: {} }
    const held = callBy('held')
    raise(standings, { kind: 'workload', id: held.caller.id.text }, { level: 'quarantine', cause: 'operator', evidence }, RISK_DEFAULTS, T0)
    expect(risk.held(held, undefined).refusal).toMatchObject({ kind: 'quarantined' })
    expect(stageOf().risk.held(callBy('anybody'), undefined).refusal).toBeUndefined()
  })

  it('an agent type quarantined in a collection is refused there, whoever of it asks, and nowhere else', () => {
    const { standings, risk, callBy, place, rules } = stageOf({}, {}, { identitiesTogether: 2 })
    const where = { tenant: 'acme', agentType: 'support', database: 'demo', collection: 'handbook' }
    const evidence = { says: 'x', decisionIds: [], figures: {}, place: where }
    for (const name of ['one', 'two'])
      raise(standings, { kind: 'workload', id: callBy(name).caller.id.text }, { level: 'quarantine', cause: 'drift', evidence }, rules, T0)
    expect(risk.held(callBy('three'), undefined).refusal).toBeUndefined()
    expect(risk.held(callBy('three'), place).refusal).toMatchObject({
      kind: 'quarantined',
      because: expect.stringContaining('agent type support in handbook')
    })
    expect(risk.held(callBy('three'), { ...place, targets: [targetOf('acme', 'other')] }).refusal).toBeUndefined()
    expect(risk.held({ ...callBy('three'), agentType: 'other' }, place).refusal).toBeUndefined()
  })

  it('whoever is quarantined does not go on with the token of somebody else', () => {
    const { risk, callBy, standings, rules, clock, place } = stageOf()
    const found = { says: 'seen', decisionIds: [], figures: {} }
    const gone = callBy('gone')
    raise(
      standings,
      { kind: 'workload', id: gone.caller.id.text },
      { level: 'quarantine', cause: 'drift', evidence: found },
      rules,
      clock.now
    )
    const call = callBy('other')
    const carriedBy = (carrier: RiskCall) => ({ ...call, caller: { ...call.caller, carrier: carrier.caller.id } })
    for (const where of [undefined, place]) {
      expect(risk.held(carriedBy(gone), where).refusal?.kind).toBe('quarantined')
      expect(risk.held(carriedBy(callBy('fine')), where).refusal).toBeUndefined()
    }
  })

  it('while they are not known, what shows much is refused, and what shows little is not', () => {
    const { standings } = stageOf()
    const { search } = stageOf({}, { standings: { ...standings, staleMs: () => 5_001 } })
    expect(search('support', { topK: 100 }).refusal).toBeUndefined()
    expect(search('support', { topK: 101 }).refusal).toMatchObject({ kind: 'state-unavailable' })
    expect(search('support', { vectorsOut: true }).refusal).toMatchObject({ kind: 'state-unavailable' })
  })

  it('without room for a standing the call is refused', () => {
    const { standings } = stageOf()
    const { search, queryOf } = stageOf(known(), { standings: { ...standings, change: () => 'full' } })
    const reasons = Array.from({ length: 60 }, (_, at) => search('support', queryOf(vectors[1]?.[at])).refusal?.kind)
    expect(new Set(reasons)).toEqual(new Set([undefined, 'state-unavailable']))
  })

  it('whoever came down from a quarantine elsewhere begins anew', async () => {
    const { search, queryOf, standings, clock, callBy } = stageOf(known())
    for (let at = 0; at < 60; at++) {
      clock.now += 400
      search('support', queryOf(vectors[1]?.[at]))
    }
    const scope = { kind: 'workload', id: callBy('support').caller.id.text } as const
    await standings.release(scope, 'operator', 'a test', clock.now)
    expect(search('support', queryOf(vectors[0]?.[0]))).toMatchObject({ before: 'normal', after: 'normal', causes: [] })
  })
})

describe('what is learnt', () => {
  it('calm workloads propose what is new to them, suspicious ones do not', () => {
    const { search, queryOf, told, clock } = stageOf(known())
    for (let at = 0; at < 200; at++) {
      clock.now += 60_000
      search('support', queryOf(vectors[0]?.[at]))
    }
    expect(told.proposed.length).toBeGreaterThan(0)
    const before = told.proposed.length
    for (let at = 0; at < 60; at++) search('bad', queryOf(vectors[1]?.[at]))
    const during = told.proposed.length - before
    expect(during).toBeLessThan(10)
    expect(told.raised).not.toContain(true)
  })

  it('one that was raised and vouched for proposes, as one that does not count', () => {
    const { search, queryOf, told, standings, rules, clock, callBy } = stageOf(known())
    const scope = { kind: 'workload', id: callBy('support').caller.id.text } as const
    const evidence = { says: 'x', decisionIds: [], figures: {} }
    raise(standings, scope, { level: 'slowed', cause: 'drift', evidence }, rules, T0)
    const honest = () => {
      for (let at = 0; at < 100; at++) {
        clock.now += 1_000
        search('support', queryOf(vectors[0]?.[at]))
      }
    }
    honest()
    expect(told.proposed).toEqual([])
    const vouch = { at: clock.now - 1, until: clock.now + 3_600_000, by: 'somebody' }
    standings.change(scope, (record) => ({ ...record, vouch }), clock.now)
    honest()
    expect(told.proposed.length).toBeGreaterThan(0)
    expect(told.raised).not.toContain(false)
  })

  it('a day is told when the next one begins', () => {
    const { search, queryOf, told, clock } = stageOf(known())
    search('support', queryOf(vectors[0]?.[0]))
    search('support', queryOf(vectors[0]?.[0]))
    clock.now += 86_400_000
    search('support', queryOf(vectors[0]?.[1]))
    expect(told.days).toEqual([6])
  })
})

describe('the parts of a call', () => {
  const rule = (change: Partial<MonitoringRule>): MonitoringRule => ({
    metric: 'signal',
    signal: 'cpu',
    windowMs: 60_000,
    threshold: 90,
    action: 'quarantine',
    agentTypes: undefined,
    source: 'monitoring[0]',
    ...change
  })

  it('a figure of another system raises a standing as the policy says', () => {
    const signals = new Map([['cpu', { value: 95, at: T0 }]])
    expect(stageOf({ signals }, {}, {}, [rule({})]).search('support')).toMatchObject({ score: 1, after: 'quarantine' })
    expect(stageOf({ signals }, {}, {}, [rule({ threshold: 95 })]).search('support')).toMatchObject({ score: 0, after: 'normal' })
    const late = stageOf({ signals }, {}, {}, [rule({})])
    late.clock.now += 60_001
    expect(late.search('support').after).toBe('normal')
  })

  it('a call of more than the exposure budget ever holds is refused for its size, however often', () => {
    const { search, queryOf, clock } = stageOf({ ...known(), daily: 60 })
    for (let at = 0; at < 3; at++) {
      clock.now += 3_700_000
      expect(search('support', { ...queryOf(vectors[0]?.[at]), topK: 41 })).toMatchObject({
        after: 'normal',
        refusal: { kind: 'cost-exceeded' }
      })
    }
  })

  it('is judged in all collections that it goes to: decoys stand before none', () => {
    const { risk, callBy, clock } = stageOf({ ...known() })
    const decoys = Array.from({ length: 40 }, (_, at) => targetOf('acme', `decoy-${at}`))
    const asked = (targets: readonly ResolvedTarget[], at: number) => {
      const call = callBy(`agent-${targets.length}`)
      const shape = { queries: 1, topK: 5, vectors: [vectors[1]?.[at] as Float32Array], dimensions: 96 }
      const grant = { kind: 'tenant', caller: call.caller, call: callOf('search', 'acme', 'handbook', shape), tenant: 'acme', targets }
      return risk.observe(grant as unknown as Grant, call, 'demo', undefined).score
    }
    const scores = [[targetOf('acme')], [...decoys, targetOf('acme')]].map((targets) =>
      Array.from({ length: 6 }, (_, at) => {
        clock.now += 400
        return asked(targets, at)
      })
    )
    expect(scores[0]?.at(-1)).toBeGreaterThan(0)
    expect(scores[1]).toEqual(scores[0])
  })

  describe('of many queries', () => {
    /** Counts what is projected: the work of a query, whatever the machine. */
    const counting = () => {
      const work = { projections: 0 }
      const kernel: Kernel = Object.assign(Object.create(baseline.kernel), {
        project(...args: Parameters<Kernel['project']>) {
          work.projections++
          return baseline.kernel.project(...args)
        }
      })
      const parts: LearntParts = { baselines: new Map([['support demo/rag/handbook', { ...baseline, kernel }]]), daily: 1e6 }
      return { work, told: stageOf(parts) }
    }
    const many = (count: number) => ({
      queries: count,
      vectors: Array.from({ length: count }, (_, at) => vectors[0]?.[at % 200] as Float32Array),
      dimensions: 96
    })

    it.each([
      [256, 256, 'seen'],
      [257, 256, 'unseen'],
      [2_048, 256, 'unseen'],
      [5_461, 256, 'unseen']
    ])('%i: %i of them are judged, and the others are shown as unseen', (count, judged, label) => {
      const { work, told } = counting()
      expect(told.search('a', many(count)).vectors).toBe(label)
      expect(work.projections).toBe(judged)
    })

    it('each is priced, judged or not', () => {
      const { told } = counting()
      told.search('a', many(2_048))
      told.clock.now += 86_400_000
      told.search('a', many(1))
      const [shown = 0] = told.told.days
      // What is not judged is new ground; what is, at least a fifth of it.
      expect(shown).toBeGreaterThanOrEqual(5 * (2_048 - 256 + 256 / 5))
      expect(shown).toBeLessThanOrEqual(5 * 2_048)
    })

    it('at several places: no more in all, and some of them at each', () => {
      const { work, told } = counting()
      const call = told.callBy('a')
      const targets = Array.from({ length: 4 }, () => targetOf('acme'))
      const grant = {
        kind: 'tenant',
        caller: call.caller,
        call: callOf('search', 'acme', 'handbook', { ...many(2_048), topK: 5 }),
        tenant: 'acme',
        targets
      }
      told.risk.observe(grant as unknown as Grant, call, 'demo', undefined)
      expect(work.projections).toBe(256)
    })

    it('which are judged depends on the decision, which no caller knows before', () => {
      // Foreign queries at every eighth place: a caller who knew the places would hide them all.
      const share = (decision: number) => {
        const { search, callBy } = stageOf(known())
        const hidden = { ...many(2_048) }
        hidden.vectors = hidden.vectors.map((vector, at) => (at % 8 === 0 ? (vectors[1]?.[at % 200] as Float32Array) : vector))
        return search('a', hidden, { ...callBy('a'), decisionId: `decision ${decision}` }).score
      }
      const scores = Array.from({ length: 6 }, (_, decision) => share(decision))
      expect(new Set(scores).size).toBeGreaterThan(1)
      expect(share(0)).toBe(scores[0])
    })
  })

  it('a multi-vector is one query, by the direction of its mean; what has no vector beside it is charged', () => {
    const parts = (): LearntParts => ({ ...known(), daily: 1e6 })
    const [one, other] = [vectors[1]?.[0] as Float32Array, vectors[1]?.[1] as Float32Array]
    const mean = one.map((value, at) => value / Math.hypot(...one) + (other[at] as number) / Math.hypot(...other))
    const scoreOf = (shape: Partial<Shape>) => stageOf(parts()).search('a', { dimensions: 96, ...shape }).score
    expect(scoreOf({ vectors: [one, other], rows: [2] })).toBeCloseTo(scoreOf({ vectors: [mean] }), 6)
    expect(scoreOf({ vectors: [one, other], rows: [2] })).not.toBeCloseTo(scoreOf({ vectors: [one, other] }), 3)
    const shown = (shape: Partial<Shape>) => {
      const { search, told, clock } = stageOf(parts())
      search('a', { dimensions: 96, ...shape })
      clock.now += 86_400_000
      search('a', { dimensions: 96, vectors: [one] })
      return told.days
    }
    expect(shown({ queries: 1, vectors: [one, other], rows: [2] })).toEqual([5])
    // Two queries, one of them by words: the rows of the other one do not pay for it.
    expect(shown({ queries: 2, vectors: [one, other], rows: [2] })).toEqual([10])
  })

  it('teaches 64 queries at most', () => {
    const { search, told } = stageOf()
    search('a', { vectors: Array.from({ length: 4_096 }, () => new Float32Array(96).fill(1)), dimensions: 96 })
    expect(told.noted.map(({ call }) => call.vectors.length)).toEqual([64])
  })

  it('queries without vectors are charged as new ground', () => {
    const { search } = stageOf({ ...known(), daily: 60 })
    const reasons = Array.from({ length: 9 }, () => search('support').refusal?.kind)
    expect(reasons).toEqual([...Array.from({ length: 8 }, () => undefined), 'cost-exceeded'])
  })
})

describe('the weight of the data', () => {
  const shown = (weights: readonly number[] | undefined, daily = 60) => {
    const { risk, callBy, told, clock } = stageOf({ ...known(), daily })
    const asked = () => {
      const call = callBy('a')
      const shape = { queries: 1, topK: 5, vectors: [vectors[0]?.[0] as Float32Array], dimensions: 96 }
      const its = { kind: 'tenant', caller: call.caller, call: callOf('search', 'acme', 'handbook', shape), tenant: 'acme' }
      const grant = { ...its, targets: [targetOf('acme')], ...(weights === undefined ? {} : { weights }) }
      return risk.observe(grant as unknown as Grant, call, 'demo', undefined)
    }
    const first = asked()
    clock.now += 86_400_000
    return { first, second: asked(), days: told.days }
  }

  it('is in the price of what is shown, and not in what is learnt of need', () => {
    expect(shown(undefined).first.refusal).toBeUndefined()
    expect(shown([8]).first.refusal).toBeUndefined()
    // Five records of weight 9 are 45, and two thirds of 60 can be spent at once.
    expect(shown([9]).first.refusal).toMatchObject({ kind: 'cost-exceeded', because: expect.stringContaining('counts as 9') })
    expect(shown([9], 600).days).toEqual([5])
    expect(shown(undefined, 600).days).toEqual([5])
  })
})

describe('what counts once, and what goes on', () => {
  const rate = (threshold: number): MonitoringRule => ({
    metric: 'request_rate',
    signal: undefined,
    windowMs: 60_000,
    threshold,
    action: 'slow',
    agentTypes: undefined,
    source: 'monitoring[0]'
  })
  const idOf = (name: string) => ({ kind: 'workload', id: callerOf(`spiffe://demo.vecauthz.test/acme/${name}`).id.text }) as const

  it('a check that comes again is not charged again', () => {
    const { search, callBy } = stageOf({ ...known(), daily: 60 })
    const call = callBy('support')
    for (let at = 0; at < 20; at++) expect(search('support', {}, call).refusal).toBeUndefined()
    const unnamed = Array.from({ length: 9 }, () => search('other', {}, { ...callBy('other'), check: '' }).refusal?.kind)
    expect(unnamed.at(-1)).toBe('cost-exceeded')
  })

  it('a call that is looked at and then refused is one call', () => {
    const { search, callBy, risk, place } = stageOf({}, {}, {}, [rate(0.2)])
    for (let at = 0; at < 10; at++) {
      const call = callBy('support')
      expect(search('support', {}, call).after).toBe('normal')
      expect(risk.refused({ kind: 'approval-required', because: '' }, 'x', call, place, 0)?.after).toBe('normal')
    }
  })

  it('denials slow again while they have not faded, and begin from nothing after a step-up', async () => {
    const { denied, standings, search, clock } = stageOf()
    for (let at = 0; at < 3; at++) denied('support', `tenant ${at}`)
    await standings.release(idOf('support'), 'operator', 'a test', clock.now)
    expect(search('support')).toMatchObject({ before: 'normal', after: 'slowed', causes: [{ cause: 'risk_spike' }] })
    for (let at = 3; at < 5; at++) denied('support', `tenant ${at}`)
    expect(search('support').after).toBe('step-up')
    await standings.release(idOf('support'), 'operator', 'a test', clock.now)
    expect(denied('support', 'tenant 6')).toMatchObject({ before: 'normal', after: 'normal' })
    expect(search('support').score).toBeLessThan(0.25)
  })

  it('a vouch for a figure that lasts is none for denials', () => {
    const signals = new Map([['cpu', { value: 95, at: T0 }]])
    const cpu: MonitoringRule = { ...rate(90), metric: 'signal', signal: 'cpu', action: 'step-up' }
    const { denied, standings } = stageOf({ signals }, {}, {}, [cpu])
    standings.change(idOf('support'), (record) => ({ ...record, vouch: { at: T0 - 1, until: T0 + 3_600_000, by: 'somebody' } }), T0)
    expect(denied('support', 'tenant 0')?.after).toBe('slowed')
    for (let at = 1; at < 5; at++) denied('support', `tenant ${at}`)
    expect(denied('support', 'tenant 5')?.after).toBe('step-up')
  })

  it('what was spent before a release does not make the next time the second', () => {
    const { search, risk, clock } = stageOf({ ...known(), daily: 60 })
    for (let at = 0; at < 9; at++) search('support')
    risk.clear(idOf('support').id)
    clock.now += 3_700_000
    const refused = [search('support'), search('support')].find(({ refusal }) => refusal !== undefined)
    expect(refused).toMatchObject({ after: 'slowed', refusal: { kind: 'cost-exceeded' } })
  })

  it('a baseline that a person approved anew is judged anew', () => {
    const baselines = new Map([['support demo/rag/handbook', baseline]])
    const { search, queryOf, clock } = stageOf({ baselines })
    for (let at = 0; at < 4; at++) {
      clock.now += 400
      search('support', queryOf(vectors[1]?.[at]))
    }
    const before = search('support', queryOf(vectors[0]?.[0])).score
    expect(before).toBeGreaterThan(0.1)
    const { baseline: plain } = baseline
    baselines.set('support demo/rag/handbook', { ...baseline, baseline: { ...plain, version: 'another' } })
    expect(search('support', queryOf(vectors[0]?.[1])).score).toBeLessThan(before / 2)
  })

  it('in shadow nothing is raised, ended or learnt from what would be refused', () => {
    const { risk, search, queryOf, callBy, standings, told, rules, clock } = stageOf(known())
    for (let at = 0; at < 60; at++) search('bad', queryOf(vectors[1]?.[at]), { ...callBy('bad'), shadow: true })
    expect(told.proposed.length).toBeLessThan(10)
    expect(standings.ofWorkload(idOf('bad').id)).toBeUndefined()
    const evidence = { says: 'x', decisionIds: [], figures: {} }
    raise(standings, idOf('slow'), { level: 'slowed', cause: 'drift', evidence }, rules, T0)
    clock.now += 10_000
    const call = callBy('slow')
    const fresh = { ...call, caller: { ...call.caller, issuedAt: T0 + 5_000 } as typeof call.caller }
    expect(risk.held({ ...fresh, shadow: true }, undefined).standing).toBe('slowed')
    expect(risk.held(fresh, undefined).standing).toBe('normal')
  })
})
