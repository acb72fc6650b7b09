import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { key } from '../../src/core/keys.ts'
import { CHECK_REPEAT_MS } from '../../src/core/limits.ts'
import { createMemory } from '../../src/state/memory.ts'

describe('memory', () => {
  it('remembers a check for its period, and not for more than two', () => {
    const memory = createMemory()
    memory.keepRepeat('envoy 1', { kind: 'admitted' }, 1_000_000)
    expect(memory.repeatOf('envoy 1', 1_000_000 + CHECK_REPEAT_MS - 1)).toEqual({ kind: 'admitted' })
    expect(memory.repeatOf('envoy 2', 1_000_000)).toBeUndefined()
    expect(memory.repeatOf('envoy 1', 1_000_000 + 2 * CHECK_REPEAT_MS)).toBeUndefined()
  })

  it('a check that was kept just before a turn is still there after it', () => {
    const memory = createMemory()
    memory.keepRepeat('a', { kind: 'admitted' }, 1_000_000)
    memory.keepRepeat('b', { kind: 'admitted' }, 1_000_000 + CHECK_REPEAT_MS - 1)
    expect(memory.repeatOf('b', 1_000_000 + CHECK_REPEAT_MS + 10)).toBeDefined()
  })

  it('stays bounded when checks come faster than the period', () => {
    const memory = createMemory({ budgets: 10, repeats: 10 })
    for (let at = 0; at < 100; at++) memory.keepRepeat(`check ${at}`, { kind: 'admitted' }, 1_000_000)
    const kept = Array.from({ length: 100 }, (_, at) => memory.repeatOf(`check ${at}`, 1_000_000)).filter((one) => one !== undefined)
    expect(kept.length).toBeLessThanOrEqual(20)
    expect(memory.repeatOf('check 99', 1_000_000)).toBeDefined()
  })

  it('a full table drops budgets that are full again, and otherwise says no', () => {
    const memory = createMemory({ budgets: 2, repeats: 10 })
    expect(memory.keepBudget('a', 2_000, 1_000)).toBe(true)
    expect(memory.keepBudget('b', 3_000, 1_000)).toBe(true)
    expect(memory.keepBudget('c', 3_000, 1_000)).toBe(false)
    expect(memory.keepBudget('a', 2_500, 1_000)).toBe(true)
    expect(memory.keepBudget('c', 4_000, 2_600)).toBe(true)
    expect(memory.budgetOf('a')).toBeUndefined()
    expect(memory.budgetOf('b')).toBe(3_000)
  })
})

describe('keys', () => {
  it('two different lists of parts never give one key (property)', () => {
    const parts = fc.array(fc.string({ maxLength: 4, unit: fc.constantFrom('a', '1', ':', '_') }), { maxLength: 4 })
    fc.assert(
      fc.property(parts, parts, (one, other) => {
        expect(key(...one) === key(...other)).toBe(JSON.stringify(one) === JSON.stringify(other))
      }),
      { numRuns: 20_000 }
    )
  })
})
