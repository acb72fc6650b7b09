import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { admit } from '../../src/risk/rate.ts'

const BUDGET = { perSecond: 10, burst: 5 }

describe('GCRA', () => {
  it('admits the whole burst at once and not one more', () => {
    let tat: number | undefined
    for (let call = 0; call < 5; call++) {
      const admission = admit(tat, 1_000, 1, BUDGET)
      expect(admission.kind).toBe('admitted')
      if (admission.kind === 'admitted') tat = admission.tat
    }
    expect(admit(tat, 1_000, 1, BUDGET)).toEqual({ kind: 'wait', retryAfterMs: 100 })
    expect(admit(tat, 1_099, 1, BUDGET).kind).toBe('wait')
    expect(admit(tat, 1_100, 1, BUDGET).kind).toBe('admitted')
  })

  it('a pause earns the burst back and no more', () => {
    expect(admit(1_500, 100_000, 5, BUDGET).kind).toBe('admitted')
    expect(admit(1_500, 100_000, 6, BUDGET).kind).toBe('never')
  })

  it('a cost of zero, below it, or not a number is never admitted', () => {
    for (const cost of [0, -1, Number.NaN]) expect(admit(undefined, 0, cost, BUDGET).kind).toBe('never')
  })

  it('a clock that runs backwards admits nothing more', () => {
    const first = admit(undefined, 10_000, 5, BUDGET)
    expect(first.kind === 'admitted' && admit(first.tat, 5_000, 1, BUDGET).kind).toBe('wait')
  })

  it('in every window the admitted cost is at most burst plus rate × window (property)', () => {
    const steps = fc.array(fc.record({ pause: fc.nat(400), cost: fc.integer({ min: 1, max: 5 }) }), { minLength: 1, maxLength: 60 })
    fc.assert(
      fc.property(steps, (calls) => {
        let [now, tat] = [0, undefined as number | undefined]
        const admitted: { at: number; cost: number }[] = []
        for (const { pause, cost } of calls) {
          now += pause
          const admission = admit(tat, now, cost, BUDGET)
          if (admission.kind !== 'admitted') continue
          tat = admission.tat
          admitted.push({ at: now, cost })
        }
        for (const [from, first] of admitted.entries()) {
          let sum = 0
          for (const one of admitted.slice(from)) {
            sum += one.cost
            expect(sum).toBeLessThanOrEqual(BUDGET.burst + (BUDGET.perSecond * (one.at - first.at)) / 1000 + 0.001)
          }
        }
      })
    )
  })

  it('waiting as long as it says is enough, and a millisecond less is not (property)', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 100_000 }), fc.integer({ min: 1, max: 5 }), (ahead, cost) => {
        const first = admit(ahead, 0, cost, BUDGET)
        if (first.kind !== 'wait') return
        expect(admit(ahead, first.retryAfterMs, cost, BUDGET).kind).toBe('admitted')
        expect(admit(ahead, first.retryAfterMs - 1, cost, BUDGET).kind).toBe('wait')
      })
    )
  })
})
