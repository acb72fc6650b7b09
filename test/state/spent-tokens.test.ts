import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createSpentTokens } from '../../src/state/spent-tokens.ts'

describe('tokens that were used', () => {
  it('a token is used once, and the same check may ask again', () => {
    const tokens = createSpentTokens()
    expect(tokens.spend('t', 'check 1', 2_000, 1_000)).toBe('ours')
    expect(tokens.spend('t', 'check 1', 2_000, 1_001)).toBe('ours')
    expect(tokens.spend('t', 'check 2', 2_000, 1_999)).toBe('spent')
    expect(tokens.spend('u', 'check 2', 2_000, 1_999)).toBe('ours')
  })

  it('nothing is forgotten to make room, and room comes back with time', () => {
    const tokens = createSpentTokens(2)
    expect(tokens.spend('a', '1', 2_000, 1_000)).toBe('ours')
    expect(tokens.spend('b', '2', 3_000, 1_000)).toBe('ours')
    expect(tokens.spend('c', '3', 3_000, 1_999)).toBe('full')
    expect(tokens.spend('a', '4', 2_000, 1_999)).toBe('spent')
    expect(tokens.spend('c', '3', 3_000, 2_000)).toBe('ours')
    expect(tokens.spend('b', '5', 3_000, 2_999)).toBe('spent')
  })

  it('a clock that is no number forgets nothing', () => {
    const tokens = createSpentTokens()
    tokens.spend('a', '1', 2_000, 1_000)
    expect(tokens.spend('a', '2', 2_000, Number.NaN)).toBe('spent')
  })

  it('whatever comes, no token passes for two checks before its end (property)', () => {
    const use = fc.record({
      token: fc.constantFrom('a', 'b', 'c', 'd'),
      check: fc.nat({ max: 9 }),
      life: fc.nat({ max: 40 }),
      step: fc.nat({ max: 9 })
    })
    fc.assert(
      fc.property(fc.array(use, { maxLength: 60 }), fc.integer({ min: 1, max: 4 }), (uses, tokensMax) => {
        const tokens = createSpentTokens(tokensMax)
        const passed = new Map<string, { check: number; until: number }>()
        let now = 0
        for (const { token, check, life, step } of uses) {
          now += step
          const before = passed.get(token)
          if (tokens.spend(token, String(check), now + life, now) !== 'ours') continue
          if (before !== undefined && now < before.until) expect(before.check).toBe(check)
          else passed.set(token, { check, until: now + life })
        }
      }),
      { numRuns: 300 }
    )
  })
})
