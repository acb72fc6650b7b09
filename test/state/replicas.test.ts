import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import type { Store } from '../../src/core/store.ts'
import { admit } from '../../src/risk/rate.ts'
import { createMemory } from '../../src/state/memory.ts'
import { shareMemory } from '../../src/state/memory-shared.ts'
import { createReplicas } from '../../src/state/replicas.ts'
import { createMemoryStore } from '../../src/state/store-memory.ts'
import { openSqliteStore } from '../../src/state/store-sqlite.ts'

const folder = mkdtempSync(join(tmpdir(), 'vecauthz-replicas-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const START = 1_700_000_000_000
const GONE = { kind: 'unavailable', because: 'gone' } as const

/** A store that can be taken away. */
function awayable(inner: Store) {
  const its = { away: false }
  const store: Store = {
    ...inner,
    putOnce: (...asked) => (its.away ? GONE : inner.putOnce(...asked)),
    get: (...asked) => (its.away ? GONE : inner.get(...asked)),
    replace: (...asked) => (its.away ? 'unavailable' : inner.replace(...asked)),
    list: (...asked) => (its.away ? GONE : inner.list(...asked))
  }
  return { its, store }
}

describe.each([
  ['memory', () => createMemoryStore()],
  ['sqlite', () => openSqliteStore({ file: join(folder, 'state.db'), onEvent: () => undefined, answerMsMax: 10_000 })]
] as const)('replicas over %s', (_, open) => {
  it('are counted while they say that they are there, and no longer', async () => {
    const clock = { now: START }
    const store = open()
    const [one, other, third] = ['a', 'b', 'c'].map((run) => createReplicas({ store, run, now: () => clock.now }))
    if (one === undefined || other === undefined || third === undefined) throw new Error('three were asked for')
    expect(one.count()).toBe(1)
    for (const each of [one, other, third, one]) await each.round()
    expect([one.count(), third.count()]).toEqual([3, 3])
    // It says so when it ends; one that is killed is forgotten.
    await third.stop()
    await one.round()
    expect(one.count()).toBe(2)
    clock.now += 29_000
    await one.round()
    expect(one.count()).toBe(2)
    clock.now += 2_000
    await one.round()
    expect(one.count()).toBe(1)
    // And it is there again.
    await other.round()
    await one.round()
    expect([one.count(), other.count()]).toEqual([2, 2])
    await store.close()
  })
})

describe('while the store is away', () => {
  it('as many are reckoned with as were there before', async () => {
    const { its, store } = awayable(createMemoryStore())
    const clock = { now: START }
    const all = ['a', 'b', 'c'].map((run) => createReplicas({ store, run, now: () => clock.now }))
    for (const each of [...all, ...all]) await each.round()
    its.away = true
    clock.now += 600_000
    for (const each of all) await each.round()
    expect(all.map((each) => each.count())).toEqual([3, 3, 3])
    its.away = false
    for (const each of [...all, ...all]) await each.round()
    expect(all.map((each) => each.count())).toEqual([3, 3, 3])
  })

  it('all of them admit together at most burst + rate × time, and one call that fits in an untouched budget each', async () => {
    const [perSecond, burst, largest] = [10, 30, 5]
    await fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 4 }),
        fc.array(fc.record({ at: fc.nat(3), cost: fc.integer({ min: 1, max: largest }), wait: fc.nat(200) }), {
          minLength: 200,
          maxLength: 300
        }),
        (count, calls) => {
          let now = START
          const { store } = awayable(createMemoryStore())
          const share = () => 1 / count
          const all = Array.from({ length: count }, () =>
            shareMemory(createMemory(), { store, now: () => now, share, onTrouble: () => undefined })
          )
          let admitted = 0
          for (const { at, cost, wait } of calls) {
            now += wait
            const memory = all[at % count] as (typeof all)[number]
            const admission = admit(memory.budgetOf('one'), now, cost, { perSecond, burst }, memory.share())
            if (admission.kind === 'admitted' && memory.keepBudget('one', admission.tat, now)) admitted += cost
          }
          expect(admitted).toBeLessThanOrEqual(burst + (perSecond * (now - START)) / 1000 + count * largest)
        }
      ),
      { numRuns: 30 }
    )
  })
})
