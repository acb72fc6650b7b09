import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { BudgetDocument } from '../../src/core/policy-document.ts'
import { learnFrom, learntBudget, mergedTallies, newBurstRun, newBurstTally } from '../../src/risk/burst-learning.ts'
import { admit } from '../../src/risk/rate.ts'

const WRITTEN: BudgetDocument = { per_second: 50, burst: 1000, learn: true }

/** A rhythm of bursts and pauses; `next` is a number in [0, 1). */
interface Rhythm {
  readonly size: number
  readonly pauseMs: number
  readonly clusters: number
}

function* calls({ size, pauseMs, clusters }: Rhythm, next: () => number, from = 0): Generator<number> {
  for (let now = from; ; ) {
    for (let burst = 0; burst < clusters; burst++) {
      const many = Math.max(1, Math.round(size * (0.5 + next())))
      for (let call = 0; call < many; call++) {
        now += 20 + 200 * next()
        yield Math.round(now)
      }
      now += 6_000 + pauseMs * next()
    }
    now += clusters > 1 ? 3_600_000 * next() : 0
  }
}

function dice(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

const take = (stream: Generator<number>, count: number) => Array.from({ length: count }, () => stream.next().value as number)

function taught(stream: Generator<number>, count: number) {
  const [tally, run] = [newBurstTally(), newBurstRun()]
  for (const now of take(stream, count)) learnFrom(tally, run, now, 1)
  return tally
}

function refusedOf(times: readonly number[], { per_second: perSecond, burst }: BudgetDocument): number {
  let [tat, refused] = [undefined as number | undefined, 0]
  for (const now of times) {
    const admission = admit(tat, now, 1, { perSecond, burst })
    if (admission.kind === 'admitted') tat = admission.tat
    else refused++
  }
  return refused
}

describe('learning a budget', () => {
  it('500 calls in ten minutes, in bursts, cost nothing: before and after it is learnt', () => {
    // A burst of 42 every 50 seconds.
    const day = Array.from({ length: 12 }, (_, burst) => Array.from({ length: 42 }, (_, call) => burst * 50_000 + call * 40)).flat()
    expect(day.length).toBeGreaterThan(500)
    expect(refusedOf(day, WRITTEN)).toBe(0)
    const [tally, run] = [newBurstTally(), newBurstRun()]
    for (let again = 0; again < 10; again++) for (const at of day) learnFrom(tally, run, again * 600_000 + at, 1)
    const learnt = learntBudget(tally, WRITTEN)
    expect(learnt.burst).toBeLessThan(300)
    expect(learnt.per_second).toBeLessThan(5)
    expect(refusedOf(day, learnt)).toBe(0)
  })

  it('a workload that goes on at the same rhythm is refused at most one call in fifty, whatever the rhythm (property)', () => {
    const rhythm = fc.record({
      size: fc.integer({ min: 1, max: 80 }),
      pauseMs: fc.integer({ min: 0, max: 120_000 }),
      clusters: fc.integer({ min: 1, max: 12 })
    })
    fc.assert(
      fc.property(rhythm, fc.integer(), (its, seed) => {
        const stream = calls(its, dice(seed))
        const tally = taught(stream, 100 * its.size + 100)
        expect(tally.bursts).toBeGreaterThanOrEqual(40)
        const later = take(stream, 100 * its.size + 100)
        expect(refusedOf(later, learntBudget(tally, { ...WRITTEN, per_second: 1e5, burst: 1e6 }))).toBeLessThanOrEqual(later.length / 50)
      }),
      { numRuns: 60 }
    )
  })

  it('a flood far above the rhythm is refused', () => {
    const tally = taught(calls({ size: 20, pauseMs: 60_000, clusters: 1 }, dice(7)), 3000)
    const flood = Array.from({ length: 2000 }, (_, call) => call * 20)
    expect(refusedOf(flood, learntBudget(tally, WRITTEN))).toBeGreaterThan(1700)
    expect(refusedOf(flood, WRITTEN)).toBe(0)
  })

  it('what is written is the most, and holds until enough was seen or where nothing is to be learnt', () => {
    const stream = () => calls({ size: 60, pauseMs: 1000, clusters: 1 }, dice(3))
    const tally = taught(stream(), 6000)
    const tight: BudgetDocument = { per_second: 2, burst: 5, learn: true }
    expect(learntBudget(tally, tight)).toMatchObject({ per_second: 2, burst: 5 })
    const pinned = { per_second: 50, burst: 1000 }
    expect(learntBudget(tally, pinned)).toBe(pinned)
    expect(learntBudget(taught(stream(), 500), WRITTEN)).toBe(WRITTEN)
    expect(learntBudget(undefined, WRITTEN)).toBe(WRITTEN)
  })

  it('one workload teaches no more than its part', () => {
    const [tally, loud, quiet] = [newBurstTally(), newBurstRun(), newBurstRun()]
    for (let burst = 0; burst < 5000; burst++) learnFrom(tally, loud, burst * 10_000, 500)
    expect(tally.bursts).toBe(512)
    for (let burst = 0; burst < 100; burst++) learnFrom(tally, quiet, burst * 10_000, 1)
    expect(tally.bursts).toBe(611)
  })

  it('a clock that steps teaches nothing strange', () => {
    const [tally, run] = [newBurstTally(), newBurstRun()]
    for (let burst = 0; burst < 100; burst++) {
      const step = burst % 10 === 0 ? -3_600_000 : 0
      for (let call = 0; call < 5; call++) learnFrom(tally, run, burst * 20_000 + call * 100 + step, 1)
    }
    const learnt = learntBudget(tally, WRITTEN)
    expect(learnt.per_second).toBeGreaterThan(0)
    expect(learnt.per_second).toBeLessThanOrEqual(WRITTEN.per_second)
  })

  it('two replicas together know what both saw', () => {
    const [a, b] = [dice(1), dice(2)].map((next) => taught(calls({ size: 10, pauseMs: 30_000, clusters: 1 }, next), 2000)) as [never, never]
    expect(mergedTallies(a, b)).toEqual(mergedTallies(b, a))
    expect(learntBudget(mergedTallies(a, b), WRITTEN).burst).toBeGreaterThan(20)
  })
})
