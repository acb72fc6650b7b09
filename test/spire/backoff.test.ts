import { describe, expect, it } from 'vitest'
import { BACKOFF, backoffMs } from '../../src/spire/backoff.ts'

describe('E-11: back-off', () => {
  it('doubles from the first delay to the cap', () => {
    const almostOne = 1 - Number.EPSILON
    expect([1, 2, 3, 4, 7, 8, 1_000].map((n) => backoffMs(n, 500, 30_000, almostOne))).toEqual([
      500, 1_000, 2_000, 4_000, 30_000, 30_000, 30_000
    ])
  })

  it('is spread over the upper half of its ceiling', () => {
    expect(backoffMs(3, 500, 30_000, 0)).toBe(1_000)
    expect(backoffMs(3, 500, 30_000, 0.5)).toBe(1_500)
  })

  it('A-1: the first try comes in less than a second, E-8: a denied one at least every ten, E-13: an absent agent is missed for one', () => {
    expect(backoffMs(1, BACKOFF.firstMs, BACKOFF.mostMs, 0.99)).toBeLessThan(1_000)
    expect(backoffMs(99, BACKOFF.firstMs, BACKOFF.deniedMs, 0.99)).toBeLessThanOrEqual(10_000)
    expect(backoffMs(99, BACKOFF.firstMs, BACKOFF.unreachableMs, 0.99)).toBeLessThanOrEqual(1_000)
  })
})
