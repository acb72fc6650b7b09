import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Store } from '../../src/core/store.ts'
import { createSharedSpentTokens } from '../../src/state/spent-tokens-shared.ts'
import { createMemoryStore } from '../../src/state/store-memory.ts'

const T = 1_000_000
const LIFE = 30_000

describe('used tokens that several processes know of', () => {
  const two = (store: Store = createMemoryStore({ begun: 0 }), leewayMs = 0) =>
    [createSharedSpentTokens(store, leewayMs), createSharedSpentTokens(store, leewayMs)] as const

  it('a token is used once among all of them, and the same check may ask again anywhere', () => {
    const [one, other] = two()
    expect(one.spend('t', 'check 1', T + LIFE, T)).toBe('ours')
    expect(one.spend('t', 'check 1', T + LIFE, T + 1)).toBe('ours')
    expect(other.spend('t', 'check 1', T + LIFE, T + 1)).toBe('ours')
    expect(other.spend('t', 'check 2', T + LIFE, T + LIFE - 1)).toBe('spent')
    expect(other.spend('u', 'check 2', T + LIFE, T)).toBe('ours')
  })

  it('a check without a name is never the same check', () => {
    const [one, other] = two()
    expect(one.spend('t', '', T + LIFE, T)).toBe('ours')
    expect(other.spend('t', '', T + LIFE, T)).toBe('spent')
  })

  it('no room, no answer, and a token that is over are no use', async () => {
    const full = createMemoryStore({ begun: 0, entriesMax: 1 })
    const [one] = two(full)
    expect(one.spend('t', 'check 1', T + LIFE, T)).toBe('ours')
    expect(one.spend('u', 'check 1', T + LIFE, T)).toBe('full')
    expect(one.spend('v', 'check 1', T, T)).toBe('unavailable')
    await full.close()
    expect(one.spend('t', 'check 1', T + LIFE, T)).toBe('unavailable')
  })

  it('a promise is given where the store gives one', async () => {
    const store = createMemoryStore({ begun: 0 })
    const [one] = two({ ...store, putOnce: async (...asked) => store.putOnce(...asked) })
    const spending = one.spend('t', 'check 1', T + LIFE, T)
    expect(spending).toBeInstanceOf(Promise)
    expect(await spending).toBe('ours')
  })

  it.each([
    ['issued before the store began', 0, T - 1, 'unavailable'],
    ['issued as it began', 0, T, 'ours'],
    ['issued as it began, by a clock that may be ahead', 5_000, T, 'unavailable'],
    ['issued when no clock can be so far ahead', 5_000, T + 5_000, 'ours']
  ])('a token that may have been used and forgotten is not taken for unused: %s', (_, leewayMs, issued, want) => {
    const [one, other] = two(createMemoryStore({ begun: T }), leewayMs)
    const until = issued + LIFE + leewayMs
    expect(one.spend('t', 'check 1', until, T)).toBe(want)
    // Nor when it is asked again.
    expect(other.spend('t', 'check 1', until, T)).toBe(want)
    expect(other.spend('t', 'check 2', until, T)).toBe('spent')
  })

  it('whatever comes, no token passes for two checks (property)', () => {
    const use = fc.record({
      token: fc.constantFrom('a', 'b', 'c'),
      check: fc.nat({ max: 9 }),
      who: fc.nat({ max: 1 }),
      step: fc.integer({ min: -9, max: 9 })
    })
    fc.assert(
      fc.property(fc.array(use, { maxLength: 60 }), fc.integer({ min: 1, max: 3 }), (uses, entriesMax) => {
        const both = two(createMemoryStore({ begun: 0, entriesMax }))
        const passed = new Map<string, number>()
        let now = T
        for (const { token, check, who, step } of uses) {
          now += step
          if (both[who]?.spend(token, String(check), T + LIFE, now) !== 'ours') continue
          expect(passed.get(token) ?? check).toBe(check)
          passed.set(token, check)
        }
      }),
      { numRuns: 300 }
    )
  })
})
