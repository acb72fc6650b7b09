/**
 * What budgets, ladder, order and monitored figures cost a decision. `node bench/risk.ts [ROUNDS]`: microseconds of CPU per call, the
 * median of the rounds and their range; exit code 1 when budgets and ladder together are over 1.5 µs in every round. What else the machine does
 * makes rounds slower and none faster.
 */
import { cpus } from 'node:os'
import type { Caller } from '../src/core/caller.ts'
import type { Grant } from '../src/core/decision.ts'
import { BYTES_PACE, type MonitoringRule, RISK_DEFAULTS } from '../src/core/risk-rules.ts'
import { NO_SHAPE, type ResolvedTarget, type VectorCall } from '../src/core/vector-call.ts'
import { learnFrom, newBurstRun, newBurstTally } from '../src/risk/burst-learning.ts'
import { charge, type Terms } from '../src/risk/charge.ts'
import { raise } from '../src/risk/cohort.ts'
import { heldRecord, shareOf } from '../src/risk/held.ts'
import { countCall, figuresFor, findingsOf, monitoringPlan } from '../src/risk/monitoring.ts'
import { newSequenceState, observeSequence, readySequence } from '../src/risk/sequence.ts'
import { eventName, newSequenceModel } from '../src/risk/sequence-model.ts'
import { createMemory } from '../src/state/memory.ts'
import { createStandings } from '../src/state/standings.ts'
import { median } from './load.ts'

const TARGET_US = 1.5
const CALLS = 20_000
const WORKLOADS = 1_000
const BUDGET = { per_second: 1e6, burst: 1e6 }
const now = Date.UTC(2026, 10, 21)

/** Strings as a parser makes them: new ones for each call, so that nothing is found by being the same object. */
const fresh = (text: string) => Buffer.from(text).toString('latin1')

const callers = Array.from({ length: WORKLOADS }, (_, at) => {
  const id = {
    text: `spiffe://demo.vecauthz.test/ns/acme/sa/agent-${at}`,
    trustDomain: 'demo.vecauthz.test',
    path: `/ns/acme/sa/agent-${at}`
  }
  return { id } as unknown as Caller
})
const call: VectorCall = {
  database: 'qdrant',
  endpoint: 'points.query',
  operation: 'search',
  targets: [],
  shape: { ...NO_SHAPE, queries: 1, topK: 10 }
}

function grants(): Grant[] {
  return Array.from({ length: CALLS }, (_, at) => {
    const targets: ResolvedTarget[] = [
      { tenant: fresh('acme'), namespace: undefined, collection: { kind: 'name', name: fresh(`docs-${at % 8}`) } }
    ]
    return { kind: 'tenant', caller: callers[at % WORKLOADS], call, tenant: fresh('acme'), targets } as unknown as Grant
  })
}

const all: Terms = {
  further: {
    tenant: { perSecond: 1e6, burst: 1e8 },
    collection: { perSecond: 1e6, burst: 1e8 },
    operations: { search: { perSecond: 1e6, burst: 1e6 } },
    bytes: BYTES_PACE
  },
  database: 'main',
  bytes: 17_500,
  share: 1,
  whole: 1
}

function standingsOf(raised: number) {
  const standings = createStandings({
    store: undefined,
    run: 'bench',
    now: () => now,
    tick: () => performance.now(),
    onMove: () => undefined,
    onTrouble: () => undefined
  })
  const alarm = { level: 'slowed', cause: 'drift', evidence: { says: '', decisionIds: [], figures: {} } } as const
  for (let at = 0; at < raised; at++) {
    const id = at < WORKLOADS ? callers[at]?.id.text : `spiffe://demo.vecauthz.test/other-${at}`
    raise(standings, { kind: 'workload', id: id ?? '' }, alarm, RISK_DEFAULTS, now)
  }
  return standings
}

const rule = (metric: MonitoringRule['metric']): MonitoringRule => ({
  metric,
  signal: undefined,
  windowMs: 60_000,
  threshold: 1e9,
  action: 'slow',
  agentTypes: undefined,
  source: ''
})

interface Measured {
  readonly name: string
  /** Is to be within the target. */
  readonly counts: boolean
  readonly one: (grant: Grant, at: number) => unknown
}

function measured(): Measured[] {
  const [memory, plainMemory, tally] = [createMemory(), createMemory(), newBurstTally()]
  const [normal, crowded] = [standingsOf(0), standingsOf(100_000)]
  const plan = monitoringPlan([rule('request_rate'), rule('deny_rate'), rule('distinct_collections'), rule('bytes')])
  const figures = callers.map(() => figuresFor(plan))
  const runs = callers.map(newBurstRun)
  const states = callers.map(newSequenceState)
  const model = newSequenceModel()
  const learning = readySequence(model)
  for (let at = 0; at < 5000; at++)
    observeSequence(learning, states[0] as never, eventName('search', 'main', [target(at % 8)]), now + at * 40_000, true)
  model.frozen = true
  const ready = readySequence(model)
  const where = { agentType: 'support', tenant: 'acme', database: 'main' }
  const decide = (standings: ReturnType<typeof standingsOf>, grant: Grant, at: number) => {
    const held = heldRecord(standings, grant.caller.id.text, { ...where, targets: grant.targets })
    const share = held === undefined ? 1 : shareOf('slowed', RISK_DEFAULTS)
    return charge(grant, BUDGET, `envoy ${at}`, now + at, memory, { ...all, share })
  }
  return [
    { name: "the workload's own budget", counts: false, one: (grant, at) => charge(grant, BUDGET, '', now + at, plainMemory) },
    { name: 'four budgets', counts: false, one: (grant, at) => charge(grant, BUDGET, '', now + at, memory, all) },
    { name: 'ladder and four budgets, repeats kept', counts: true, one: (grant, at) => decide(normal, grant, at) },
    { name: 'the same, slowed, among 100,000 standings', counts: false, one: (grant, at) => decide(crowded, grant, at) },
    { name: 'learning a budget', counts: false, one: (_, at) => learnFrom(tally, runs[at % WORKLOADS] as never, now + at * 10, 1) },
    {
      name: 'four monitored figures',
      counts: false,
      one: ({ targets }, at) => {
        const its = figures[at % WORKLOADS] as never
        const collections = targets.map(({ collection }) => (collection.kind === 'name' ? collection.name : ''))
        countCall(its, { denied: false, collections, queries: 1, topK: 10, bytes: 17_500, vectorsOut: false }, plan, now + at)
        return findingsOf(its, plan, 'support', new Map(), now + at)
      }
    },
    {
      name: 'the order of calls',
      counts: false,
      one: ({ targets }, at) =>
        observeSequence(ready, states[at % WORKLOADS] as never, eventName('search', 'main', targets), now + at, false)
    }
  ]
}

function target(at: number): ResolvedTarget {
  return { tenant: 'acme', namespace: undefined, collection: { kind: 'name', name: `docs-${at}` } }
}

/** Of this thread, collecting its garbage included: what other processes take meanwhile is not ours. */
function cpuMicros(): number {
  const { user, system } = process.threadCpuUsage()
  return user + system
}

function main(args: readonly string[]): number {
  const rounds = Number(args[0] ?? 40)
  if (args.length > 1 || !Number.isInteger(rounds) || rounds < 1) {
    process.stderr.write('node bench/risk.ts [ROUNDS]: what budgets, ladder, order and monitored figures cost a decision\n')
    return 2
  }
  process.stdout.write(
    `node ${process.version}, ${cpus().length} × ${cpus()[0]?.model ?? 'unknown CPU'}; ${rounds} rounds of ${CALLS} calls\n`
  )
  let missed = 0
  let at = 0
  for (const { name, counts, one } of measured()) {
    const times: number[] = []
    for (let round = -5; round < rounds; round++) {
      const made = grants()
      const began = cpuMicros()
      for (const grant of made) one(grant, at++)
      if (round >= 0) times.push((cpuMicros() - began) / CALLS)
    }
    const middle = median(times)
    const isSlow = counts && Math.min(...times) > TARGET_US
    if (isSlow) missed++
    const range = `${Math.min(...times).toFixed(2)} to ${Math.max(...times).toFixed(2)}`
    process.stdout.write(
      `${name.padEnd(46)} ${middle.toFixed(2)} µs (${range})${counts ? `, at most ${TARGET_US}` : ''}${isSlow ? '  TOO SLOW' : ''}\n`
    )
  }
  return missed === 0 ? 0 : 1
}

process.exitCode = main(process.argv.slice(2))
