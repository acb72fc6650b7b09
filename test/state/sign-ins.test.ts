/** One sign-in, one step-up: in one process, over a store, and when that is away. */
import { describe, expect, it } from 'vitest'
import { createSignIns } from '../../src/state/sign-ins.ts'
import { createMemoryStore } from '../../src/state/store-memory.ts'

const NOW = Date.UTC(2026, 10, 21, 12)
const signIn = { subject: 'user-1', at: NOW }

describe('a sign-in', () => {
  it('answers one challenge, again and again, and no other one', async () => {
    const one = createSignIns(createMemoryStore())
    expect([one.take(signIn, 'a', NOW), one.take(signIn, 'a', NOW), one.take(signIn, 'b', NOW)]).toEqual([true, true, false])
    expect([await one.takeEverywhere(signIn, 'a', NOW), await one.takeEverywhere(signIn, 'b', NOW)]).toEqual(['taken', 'spent'])
  })

  it('of another time, or of another user, is another one', () => {
    const one = createSignIns(createMemoryStore())
    expect(one.take(signIn, 'a', NOW)).toBe(true)
    expect(one.take({ ...signIn, at: NOW + 1_000 }, 'b', NOW)).toBe(true)
    expect(one.take({ ...signIn, subject: 'user-2' }, 'c', NOW)).toBe(true)
  })

  it('that was taken elsewhere is spent, whichever way', async () => {
    const store = createMemoryStore()
    const [one, other] = [createSignIns(store), createSignIns(store)]
    expect(one.take(signIn, 'a', NOW)).toBe(true)
    expect(await other.takeEverywhere(signIn, 'b', NOW)).toBe('spent')
    // And known there from then on.
    expect(other.take(signIn, 'b', NOW)).toBe(false)
    expect(other.take(signIn, 'a', NOW)).toBe(true)
  })

  it('is not taken everywhere where that cannot be known', async () => {
    const store = createMemoryStore()
    await store.close()
    const one = createSignIns(store)
    expect(await one.takeEverywhere(signIn, 'a', NOW)).toBe('unavailable')
    expect(one.take(signIn, 'b', NOW)).toBe(true)
  })
})
