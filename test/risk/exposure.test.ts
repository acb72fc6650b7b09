import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ExposureQuery } from '../../src/core/exposure.ts'
import { dailyBudget, exposureCost, exposurePace, learntPace, mergeVisited, newExposure, spend } from '../../src/risk/exposure.ts'

const DAY = 86_400_000
const NOON = 20_000 * DAY + DAY / 2
const query = (cells: readonly number[], more: Partial<ExposureQuery> = {}): ExposureQuery => ({
  cells: Int16Array.from(cells),
  unseen: 0,
  topK: 10,
  vectorsOut: false,
  weight: 1,
  ...more
})

describe('what a query may show costs', () => {
  it.each([
    ['a new neighbourhood: top_k', query([3]), 10],
    ['the same again in one call: a fifth', query([3, 3]), 12],
    ['two neighbourhoods', query([3, 4]), 20],
    ['with vectors: four times', query([3], { vectorsOut: true }), 40],
    ['data of weight 10: ten times', query([3, 3], { weight: 10 }), 120],
    ['a query nobody could look at: as a new neighbourhood', query([], { unseen: 1 }), 10],
    ['one without a neighbourhood: never known', query([-1, -1]), 20],
    ['a cell beyond all: never known', query([32_000, 32_000]), 20],
    ['nothing asked for', query([3], { topK: 0 }), 0]
  ])('%s', (_, asked, want) => {
    expect(exposureCost(newExposure(), asked, NOON)).toBeCloseTo(want, 9)
  })

  it('where the workload has been today costs a fifth; tomorrow it is new again, and yesterday does not come back', () => {
    const exposure = newExposure()
    expect(spend(exposure, query([3]), 500, NOON)).toEqual({ kind: 'admitted', cost: 10 })
    expect(exposureCost(exposure, query([3]), NOON)).toBeCloseTo(2, 9)
    expect(exposureCost(exposure, query([4]), NOON)).toBe(10)
    expect(exposureCost(exposure, query([3]), NOON + DAY)).toBe(10)
    expect(exposureCost(exposure, query([3]), NOON - DAY)).toBeCloseTo(2, 9)
  })

  it('a refused call has been nowhere', () => {
    const exposure = newExposure()
    expect(spend(exposure, query([1, 2, 3, 4], { topK: 100 }), 500, NOON).kind).toBe('never')
    expect(exposureCost(exposure, query([1]), NOON)).toBe(10)
  })

  it('replicas know of each other where a workload was, on the later day', () => {
    const [one, other] = [newExposure(), newExposure()]
    spend(one, query([1]), 500, NOON)
    spend(other, query([2]), 500, NOON)
    mergeVisited(one, other)
    expect(exposureCost(one, query([1, 2]), NOON)).toBeCloseTo(4, 9)
    const later = newExposure()
    spend(later, query([5]), 500, NOON + DAY)
    mergeVisited(one, later)
    expect(exposureCost(one, query([1]), NOON + DAY)).toBe(10)
    mergeVisited(one, other)
    expect(exposureCost(one, query([2]), NOON + DAY)).toBe(10)
  })
})

describe('what replicas know together', () => {
  const calls = fc.array(
    fc.record({ at: fc.nat(2), pause: fc.nat(20 * 3_600_000), cells: fc.array(fc.integer({ min: -1, max: 1279 }), { maxLength: 4 }) }),
    { minLength: 1, maxLength: 60 }
  )
  it('of where a workload was is what one that saw all knows, in whatever order they tell each other (property)', () => {
    fc.assert(
      fc.property(calls, fc.shuffledSubarray([0, 1, 2], { minLength: 3 }), (all, order) => {
        const one = newExposure()
        const replicas = [newExposure(), newExposure(), newExposure()]
        let now = NOON
        for (const { at, pause, cells } of all) {
          now += pause
          for (const exposure of [one, replicas[at] as typeof one]) spend(exposure, query(cells), 1e9, now)
        }
        const together = newExposure()
        for (const at of order) mergeVisited(together, replicas[at] as typeof one)
        expect([together.day, together.visited]).toEqual([one.day, one.visited])
        // Told twice is told once.
        for (const replica of replicas) mergeVisited(together, replica)
        expect(together.visited).toEqual(one.visited)
      })
    )
  })
})

describe('the budget of a day', () => {
  it('is empty, and no more, after a clock that was ahead for a year', () => {
    const exposure = newExposure()
    spend(exposure, query([1]), 500, NOON + 365 * DAY)
    expect(spend(exposure, query([2]), 500, NOON).kind).toBe('exhausted')
    expect(spend(exposure, query([2]), 500, NOON + 2 * DAY).kind).toBe('admitted')
  })

  it('in any 24 hours at most so much is admitted, whatever is asked when', () => {
    const calls = fc.array(
      fc.record({
        pause: fc.integer({ min: 0, max: 4 * 3_600_000 }),
        cell: fc.nat(1279),
        topK: fc.integer({ min: 1, max: 200 }),
        weight: fc.integer({ min: 1, max: 10 })
      }),
      {
        minLength: 1,
        maxLength: 60
      }
    )
    fc.assert(
      fc.property(calls, (all) => {
        const exposure = newExposure()
        let at = NOON
        const admitted = all.flatMap(({ pause, cell, topK, weight }) => {
          at += pause
          const spent = spend(exposure, query([cell], { topK, weight }), 600, at)
          return spent.kind === 'admitted' ? [{ at, cost: spent.cost }] : []
        })
        for (const { at: from } of admitted) {
          const within = admitted.filter((one) => one.at >= from && one.at < from + DAY).reduce((sum, { cost }) => sum + cost, 0)
          expect(within).toBeLessThanOrEqual(600 + 1e-6)
        }
      })
    )
  })

  it('a reader who goes from neighbourhood to neighbourhood is stopped; one who stays gets five times as far', () => {
    const asked = (cellOf: (at: number) => number) => {
      const exposure = newExposure()
      for (let at = 0; ; at++) if (spend(exposure, query([cellOf(at)]), 600, NOON + at).kind !== 'admitted') return at
    }
    expect(asked((at) => at)).toBe(40)
    expect(asked(() => 7)).toBe(196)
  })

  it('found empty counts once an hour, for a day', () => {
    const exposure = newExposure()
    const times = [0, 1000, 3_600_000, 3_601_000, DAY + 3_599_000].map((after) => {
      const spent = spend(exposure, query([1], { topK: 10_000 }), 600, NOON + after)
      return spent.kind === 'admitted' ? 0 : spent.times
    })
    expect(times).toEqual([1, 1, 2, 2, 2])
  })

  it('says when the same call fits', () => {
    const exposure = newExposure()
    for (let at = 0; at < 40; at++) spend(exposure, query([at]), 600, NOON)
    const spent = spend(exposure, query([999]), 600, NOON)
    if (spent.kind !== 'exhausted') throw new Error(spent.kind)
    expect(spend(exposure, query([999]), 600, NOON + spent.retryAfterMs - 1000).kind).toBe('exhausted')
    expect(spend(exposure, query([999]), 600, NOON + spent.retryAfterMs).kind).toBe('admitted')
  })

  it('is learnt: three times what nearly all need, and never below 500', () => {
    expect(dailyBudget([])).toBe(500)
    expect(dailyBudget([10, 20, 30])).toBe(500)
    expect(dailyBudget([...Array.from({ length: 98 }, () => 100), 400, 5000])).toBe(15_000)
    expect(exposurePace(600)).toEqual({ burst: 400, perSecond: expect.closeTo(200 / 86_400, 9) })
  })

  it('bursts as they were learnt fit twice at once', () => {
    const pace = learntPace([5, 6, 7, 40], 3_600_000)
    expect(pace.burst).toBe(80)
    expect(pace.perSecond).toBeCloseTo((3 * 58) / 3600, 9)
    expect(learntPace([], 0)).toEqual({ burst: 1, perSecond: 1 / 60 })
  })
})
