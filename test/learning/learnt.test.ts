import { describe, expect, it } from 'vitest'
import { createLearnt } from '../../src/learning/learnt.ts'

const KEY = { tenant: 'acme', agentType: 'support', collection: 'chroma/docs' }
const newLearnt = () =>
  createLearnt({
    book: { of: () => undefined, learn: () => undefined, seedOf: () => 1, propose: () => undefined },
    approvedDaily: () => undefined,
    sequenceOf: () => undefined
  })

describe('the exposure budget of a day', () => {
  it('is not trebled by who spends all of it, day after day', () => {
    const learnt = newLearnt()
    for (let day = 0; day < 10; day++) learnt.noteDay(KEY, 1_000)
    expect(learnt.dailyOf(KEY, 1)).toBe(3_000)
    for (let day = 1; day <= 10; day++) {
      learnt.noteDay(KEY, learnt.dailyOf(KEY, 1) ?? 0)
      expect(learnt.dailyOf(KEY, 1)).toBeLessThanOrEqual(3_000 * 1.1 ** day + 1e-6)
    }
  })

  it('grows with the weight of the data as what is needed does; what everybody has at least does not', () => {
    const [busy, idle] = [newLearnt(), newLearnt()]
    for (let day = 0; day < 10; day++) {
      busy.noteDay(KEY, 1_000)
      idle.noteDay(KEY, 1)
    }
    expect([1, 10].map((weight) => busy.dailyOf(KEY, weight))).toEqual([3_000, 30_000])
    // 500 records of weight 1, and 50 of weight 10.
    expect([1, 10].map((weight) => idle.dailyOf(KEY, weight))).toEqual([500, 500])
  })

  it('still follows what is needed more', () => {
    const learnt = newLearnt()
    for (let day = 0; day < 10; day++) learnt.noteDay(KEY, 20)
    for (let day = 0; day < 20; day++) learnt.noteDay(KEY, 400)
    expect(learnt.dailyOf(KEY, 1)).toBeCloseTo(1_200, 6)
  })
})
