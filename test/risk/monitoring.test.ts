import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { MonitoringRule } from '../../src/core/risk-rules.ts'
import {
  countCall,
  figuresFor,
  findingsOf,
  forgettableAt,
  type MonitoredCall,
  monitoringAlarm,
  monitoringPlan,
  type Signals
} from '../../src/risk/monitoring.ts'
import { POLICY, policyOf } from '../support/policy.ts'

const T0 = Date.UTC(2026, 10, 21)
const NO_SIGNALS: Signals = new Map()
const rule = (metric: MonitoringRule['metric'], threshold: number, change: Partial<MonitoringRule> = {}): MonitoringRule => ({
  metric,
  signal: undefined,
  windowMs: 60_000,
  threshold,
  action: 'slow',
  agentTypes: undefined,
  source: 'policy.yaml:40 monitoring[0]',
  ...change
})
const call = (change: Partial<MonitoredCall> = {}): MonitoredCall => ({
  denied: false,
  collections: ['docs'],
  queries: 1,
  topK: 10,
  bytes: 1000,
  vectorsOut: false,
  ...change
})

/** What one rule measures after these calls, a second apart; undefined when it does not act on a threshold below everything. */
function measured(metric: MonitoringRule['metric'], calls: readonly MonitoredCall[], windowMs = 60_000): number | undefined {
  const plan = monitoringPlan([rule(metric, -1, { windowMs })])
  const figures = figuresFor(plan)
  for (const [at, one] of calls.entries()) countCall(figures, one, plan, T0 + at * 1000)
  return findingsOf(figures, plan, undefined, NO_SIGNALS, T0 + (calls.length - 1) * 1000)[0]?.value
}

describe('a monitored figure', () => {
  const many = (count: number, change: (at: number) => Partial<MonitoredCall> = () => ({})) =>
    Array.from({ length: count }, (_, at) => call(change(at)))

  it.each<readonly [string, number | undefined, number | undefined]>([
    ['calls a second', measured('request_rate', many(30)), 0.5],
    [
      'queries a second',
      measured(
        'queries',
        many(30, () => ({ queries: 4 }))
      ),
      2
    ],
    ['bytes a second', measured('bytes', many(30)), 500],
    [
      'the share of denials',
      measured(
        'deny_rate',
        many(20, (at) => ({ denied: at % 4 === 0 }))
      ),
      0.25
    ],
    [
      'no share of nine calls',
      measured(
        'deny_rate',
        many(9, () => ({ denied: true }))
      ),
      undefined
    ],
    [
      'different collections',
      measured(
        'distinct_collections',
        many(30, (at) => ({ collections: [`c${at % 7}`, 'docs'] }))
      ),
      8
    ],
    ['results asked for, by query', measured('top_k_mean', [call({ topK: 10, queries: 3 }), call({ topK: 50 })]), 20],
    ['no mean without searches', measured('top_k_mean', [call({ queries: 0 })]), undefined],
    [
      'calls for raw vectors',
      measured(
        'vectors_out',
        many(10, (at) => ({ vectorsOut: at < 3 }))
      ),
      3
    ]
  ])('is %s', (_, value, want) => expect(value).toBe(want))

  it('acts above its threshold and not at it', () => {
    const above = (threshold: number) => {
      const plan = monitoringPlan([rule('request_rate', threshold)])
      const figures = figuresFor(plan)
      for (let at = 0; at < 60; at++) countCall(figures, call(), plan, T0)
      return findingsOf(figures, plan, undefined, NO_SIGNALS, T0).length
    }
    expect([above(0.99), above(1)]).toEqual([1, 0])
  })

  it('is forgotten with its window', () => {
    const plan = monitoringPlan([rule('request_rate', 0), rule('distinct_collections', 0)])
    const figures = figuresFor(plan)
    countCall(figures, call(), plan, T0)
    const at = (ms: number) => findingsOf(figures, plan, undefined, NO_SIGNALS, T0 + ms).length
    expect([at(54_999), at(60_000)]).toEqual([2, 0])
    expect(forgettableAt(figures)).toBe(T0 + 60_000)
  })

  it('is for some agent types, or for all', () => {
    const plan = monitoringPlan([rule('request_rate', 0, { agentTypes: new Set(['support']) })])
    const figures = figuresFor(plan)
    countCall(figures, call(), plan, T0)
    const of = (type: string | undefined) => findingsOf(figures, plan, type, NO_SIGNALS, T0).length
    expect([of('support'), of('indexer'), of(undefined)]).toEqual([1, 0, 0])
  })

  it('can be pushed, and holds as long as it is pushed', () => {
    const plan = monitoringPlan([rule('signal', 90, { signal: 'cpu', action: 'page' })])
    const at = (value: number, ageMs: number, name = 'cpu') =>
      findingsOf(figuresFor(plan), plan, undefined, new Map([[name, { value, at: T0 - ageMs }]]), T0).length
    expect([at(91, 0), at(90, 0), at(91, 60_000), at(91, 60_001), at(91, 0, 'memory')]).toEqual([1, 0, 1, 0, 0])
    expect(plan.windowsMs).toEqual([])
  })

  it('asks the ladder for what the policy says, the sternest first; a flag and a page ask for nothing', () => {
    const actions = ['flag', 'slow', 'quarantine', 'page', 'step-up'] as const
    const plan = monitoringPlan(actions.map((action) => rule('request_rate', 0, { action })))
    const figures = figuresFor(plan)
    countCall(figures, call(), plan, T0)
    const findings = findingsOf(figures, plan, undefined, NO_SIGNALS, T0)
    const levels = findings.map((one) => monitoringAlarm(one, { decisionIds: ['d'] })?.level)
    expect(levels).toEqual(['quarantine', 'step-up', 'slowed', undefined, undefined])
    expect(monitoringAlarm(findings[0] as never, { decisionIds: ['d'] })?.evidence.says).toBe(
      'request_rate is 0.01667, above 0 (policy.yaml:40 monitoring[0])'
    )
  })

  it('keeps its counts under a new policy with the same window', () => {
    const plan = monitoringPlan([rule('request_rate', 0)])
    const figures = figuresFor(plan)
    countCall(figures, call(), plan, T0)
    const next = monitoringPlan([rule('bytes', 0, { windowMs: 10_000 }), rule('queries', 0)])
    const after = figuresFor(next, figures)
    expect(findingsOf(after, next, undefined, NO_SIGNALS, T0).map((one) => one.rule.metric)).toEqual(['queries'])
  })

  it('a clock that went an hour ahead and came back does not count that hour as one moment', () => {
    const plan = monitoringPlan([rule('request_rate', 1.1)])
    const figures = figuresFor(plan)
    countCall(figures, call(), plan, T0 + 3_600_000)
    for (let at = 0; at < 600; at++) countCall(figures, call(), plan, T0 + at * 1000)
    expect(findingsOf(figures, plan, undefined, NO_SIGNALS, T0 + 599_000)).toEqual([])
  })

  it('takes the same memory for a call and for a million', () => {
    const plan = monitoringPlan([rule('distinct_collections', 0)])
    const figures = figuresFor(plan)
    for (let at = 0; at < 10_000; at++) countCall(figures, call({ collections: [`c${at}`] }), plan, T0 + at)
    expect(figures.windows[0]?.collections.size).toBe(256)
    expect(findingsOf(figures, plan, undefined, NO_SIGNALS, T0 + 9999)[0]?.value).toBe(256)
  })

  it('is between what eleven twelfths of the window held and what all of it held, also when the clock steps (property)', () => {
    const pauses = fc.array(fc.integer({ min: -5_000, max: 20_000 }), { minLength: 1, maxLength: 80 })
    fc.assert(
      fc.property(pauses, (steps) => {
        const plan = monitoringPlan([rule('vectors_out', -1)])
        const figures = figuresFor(plan)
        const times: number[] = []
        let [now, newest] = [T0, T0]
        for (const pause of steps) {
          now += pause
          newest = Math.max(newest, now)
          times.push(newest)
          countCall(figures, call({ vectorsOut: true }), plan, now)
        }
        const value = findingsOf(figures, plan, undefined, NO_SIGNALS, newest)[0]?.value as number
        expect(value).toBeGreaterThanOrEqual(times.filter((at) => at > newest - 55_000).length)
        expect(value).toBeLessThanOrEqual(times.filter((at) => at > newest - 60_000).length)
      })
    )
  })
})

describe('risk in a policy', () => {
  const compiled = (text: string) => policyOf(`${POLICY}${text}`)

  it('is what it says, and the defaults where it says nothing', () => {
    const { risk, monitoring, budgets } = compiled(`
risk:
  denials: { slowed: 5 }
  step_up: { supervisors: [spiffe://demo.vecauthz.test/ops/*], acr_values: [urn:mfa], strikes: 2 }
  quarantine: { seconds: 600, identities_together: 3 }
budgets: { tenant: { per_second: 100, burst: 500 }, operations: { export: { per_second: 1, burst: 2 } } }
monitoring: [{ metric: signal, signal: cpu, window_seconds: 60, threshold: 90, action: slow }]
`)
    expect(risk).toMatchObject({
      denials: { slowed: 5, 'step-up': 20, quarantine: 40 },
      strikes: 2,
      quarantineMs: 600_000,
      slowedMs: 900_000
    })
    expect([risk.supervisors[0]?.text, [...(risk.acrValues ?? [])], risk.identitiesTogether]).toEqual([
      'spiffe://demo.vecauthz.test/ops/*',
      ['urn:mfa'],
      3
    ])
    expect(monitoring).toMatchObject([{ metric: 'signal', signal: 'cpu', windowMs: 60_000, threshold: 90, action: 'slow' }])
    expect(budgets).toMatchObject({ tenant: { perSecond: 100, burst: 500 }, operations: { export: { perSecond: 1, burst: 2 } } })
    expect(compiled('').risk.identitiesTogether).toBeUndefined()
  })

  it.each([
    ['scores that do not rise', 'risk: { denials: { slowed: 30 } }', /do not rise: 30, 20, 40/],
    ['a signal without a name', 'monitoring: [{ metric: signal, window_seconds: 60, threshold: 1, action: flag }]', /A signal has a name/],
    [
      'a name without a signal',
      'monitoring: [{ metric: bytes, signal: x, window_seconds: 60, threshold: 1, action: flag }]',
      /A signal has/
    ],
    [
      'an agent type that nobody is',
      'monitoring: [{ metric: bytes, window_seconds: 60, threshold: 1, action: flag, agent_types: [robot] }]',
      /No workload has the agent type \\"robot\\"/
    ],
    [
      'nine windows',
      `monitoring: [${[10, 11, 12, 13, 14, 15, 16, 17, 18].map((at) => `{ metric: bytes, window_seconds: ${at}, threshold: 1, action: flag }`)}]`,
      /9 different windows/
    ],
    ['a supervisor of nowhere', 'risk: { step_up: { supervisors: [spiffe://elsewhere.test/x] } }', /Trust domain \\"elsewhere.test\\"/],
    ['a metric that is not on the list', 'monitoring: [{ metric: mood, window_seconds: 60, threshold: 1, action: flag }]', /metric/]
  ])('is not loaded with %s', (_, text, fault) => expect(() => compiled(text)).toThrow(fault))
})
