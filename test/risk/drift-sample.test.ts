import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { queriesOf } from '../../src/risk/drift-queries.ts'
import { queriesIn, sampled, sampledCall, seedOfText } from '../../src/risk/drift-sample.ts'

const rowOf = (value: number) => Float32Array.of(value, 1)

describe('the sample of a large call', () => {
  it('is of the size asked for, in order, each of its own part, and the same for the same seed', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 6_000 }), fc.integer({ min: 1, max: 300 }), fc.integer(), (count, most, seed) => {
        const all = Array.from({ length: count }, (_, at) => at)
        const some = sampled(all, most, seed)
        expect(some).toHaveLength(Math.min(count, most))
        if (count > most)
          for (const [part, at] of some.entries()) {
            expect(at).toBeGreaterThanOrEqual(Math.floor((part * count) / most))
            expect(at).toBeLessThan(Math.floor(((part + 1) * count) / most))
          }
        expect(sampled(all, most, seed)).toEqual(some)
      })
    )
  })

  it('leaves no place where a query would never be seen', () => {
    const all = Array.from({ length: 2_048 }, (_, at) => at)
    const seen = new Map<number, number>()
    const decisions = 400
    for (let n = 0; n < decisions; n++)
      for (const at of sampled(all, 256, seedOfText(`decision-${n}`))) seen.set(at, (seen.get(at) ?? 0) + 1)
    expect(seen.size).toBe(all.length)
    // Each is seen in an eighth of the calls, give or take.
    expect(Math.min(...seen.values())).toBeGreaterThan(decisions / 8 / 3)
    expect(Math.max(...seen.values())).toBeLessThan((decisions / 8) * 2)
  })

  it('keeps a call as it is that is small enough', () => {
    const call = { vectors: [1, 2, 3].map(rowOf), at: 0 }
    expect(sampledCall(call, 3, 1)).toBe(call)
    expect(sampledCall(call, 2, 1).vectors).toHaveLength(2)
  })

  it('bounds the rows of multi-vectors too, and keeps queries whole in their number', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 40 }),
        fc.integer({ min: 1, max: 256 }),
        fc.integer(),
        (rows, most, seed) => {
          const vectors = rows.flatMap((count, query) => Array.from({ length: count }, () => rowOf(query)))
          const some = sampledCall({ vectors, rows, at: 0 }, most, seed)
          expect(queriesIn(some)).toBe(Math.min(rows.length, most))
          expect(some.vectors.length).toBeLessThanOrEqual(1_024)
          expect(some.rows?.reduce((sum, count) => sum + count, 0)).toBe(some.vectors.length)
          // No row strayed to another query.
          for (const mean of queriesOf(some))
            expect(Number.isInteger(Math.round(1e4 * ((mean[0] as number) / (mean[1] as number))) / 1e4)).toBe(true)
        }
      )
    )
  })
})
