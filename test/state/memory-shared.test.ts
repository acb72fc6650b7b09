import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { key } from '../../src/core/keys.ts'
import type { Store } from '../../src/core/store.ts'
import { admit } from '../../src/risk/rate.ts'
import { createMemory } from '../../src/state/memory.ts'
import { shareMemory } from '../../src/state/memory-shared.ts'
import { createMemoryStore } from '../../src/state/store-memory.ts'
import { openSqliteStore } from '../../src/state/store-sqlite.ts'

const folder = mkdtempSync(join(tmpdir(), 'vecauthz-budgets-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const PACE = { perSecond: 10, burst: 30 }
const START = 1_700_000_000_000

function replicas(count: number, store: Store, clock: { now: number }) {
  const troubles: (string | undefined)[] = []
  const all = Array.from({ length: count }, () =>
    shareMemory(createMemory(), { store, now: () => clock.now, onTrouble: (because) => void troubles.push(because) })
  )
  /** @returns whether a call of that cost was admitted */
  const call = (at: number, cost: number, name = 'one') => {
    const memory = all[at] as (typeof all)[number]
    const admission = admit(memory.budgetOf(name), clock.now, cost, PACE)
    return admission.kind === 'admitted' && memory.keepBudget(name, admission.tat, clock.now)
  }
  const round = async () => {
    for (const memory of all) await memory.round()
  }
  return { all, call, round, troubles }
}

describe.each([
  ['memory', () => createMemoryStore()],
  ['sqlite', () => openSqliteStore({ file: join(folder, 'state.db'), onEvent: () => undefined, answerMsMax: 10_000 })]
] as const)('budgets over %s', (_, open) => {
  it('what is spent at one replica is spent at the other', async () => {
    const clock = { now: START }
    const store = open()
    const { call, round } = replicas(2, store, clock)
    for (let spent = 0; spent < 29; spent++) expect(call(0, 1)).toBe(true)
    await round()
    // Not yet heard there: that is the overshoot, and it is over with the next round.
    expect(call(1, 1)).toBe(true)
    await round()
    expect(call(1, 1)).toBe(false)
    clock.now += 100
    expect(call(1, 1)).toBe(true)
    await store.close()
  })
})

describe('budgets of several replicas', () => {
  it('admit together at most replicas × burst + rate × time, whoever is called, and whenever they tell each other', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ at: fc.nat(2), cost: fc.integer({ min: 1, max: 30 }), wait: fc.nat(300) }), {
          minLength: 200,
          maxLength: 400
        }),
        async (calls) => {
          const clock = { now: START }
          const { call, round } = replicas(3, createMemoryStore(), clock)
          let admitted = 0
          for (const { at, cost, wait } of calls) {
            clock.now += wait
            if (call(at, cost)) admitted += cost
            await round()
          }
          expect(admitted).toBeLessThanOrEqual(3 * PACE.burst + (PACE.perSecond * (clock.now - START)) / 1000 + 30)
        }
      ),
      { numRuns: 20 }
    )
  })

  it('go on alone while the store is away, and tell it all when it is back', async () => {
    const clock = { now: START }
    const inner = createMemoryStore()
    let away = true
    const gone = { kind: 'unavailable', because: 'gone' } as const
    const { call, round, troubles } = replicas(2, { ...inner, get: (...asked) => (away ? gone : inner.get(...asked)) }, clock)
    for (let spent = 0; spent < 30; spent++) expect(call(0, 1)).toBe(true)
    expect(call(0, 1)).toBe(false)
    await round()
    await round()
    expect(troubles).toEqual(['gone'])
    away = false
    expect(call(1, 1)).toBe(true)
    await round()
    expect([troubles, call(1, 1)]).toEqual([['gone', undefined], false])
  })

  it('are empty, and no more, after a clock that was ahead for an hour', async () => {
    const clock = { now: START + 3_600_000 }
    const { all, call, round } = replicas(2, createMemoryStore(), clock)
    expect(call(0, 30)).toBe(true)
    await round()
    clock.now = START
    const full = START + (PACE.burst * 1000) / PACE.perSecond
    // As charge.ts does it, who knows the budget.
    expect([all[0]?.budgetOf('one'), all[0]?.keepBudget('one', full, clock.now)]).toEqual([START + 3_603_000, true])
    await round()
    clock.now += 3_000
    for (let at = 0; at < 10; at++) {
      clock.now += 500
      expect([call(0, 1), call(1, 1)]).toEqual([true, true])
      await round()
    }
    expect(all[0]?.budgetOf('one')).toBeLessThan(START + 60_000)
  })

  it('do not believe an account that is no number, and leave it as it is', async () => {
    const clock = { now: START }
    const store = createMemoryStore()
    const { call, round, troubles } = replicas(1, store, clock)
    call(0, 1)
    await round()
    const listed = await store.list('', START, 10)
    const [entry] = listed.kind === 'entries' ? listed.entries : []
    if (entry === undefined) throw new Error('nothing was written')
    await store.replace(entry.key, entry.value, 'never', entry.until, START)
    call(0, 1)
    await round()
    expect([troubles, (await store.get(entry.key, START)) as object]).toMatchObject([
      ['an account in the store cannot be read'],
      { value: 'never' }
    ])
  })

  it('open no more accounts than leave room for what must be kept', async () => {
    const clock = { now: START }
    const store = createMemoryStore()
    const { all, call, round, troubles } = replicas(1, store, clock)
    for (let at = 0; at < 10_050; at++) expect(call(0, 1, `workload ${at}`)).toBe(true)
    for (let rounds = 0; rounds < 160; rounds++) await round()
    expect(troubles).toEqual(['there are more than 10000 accounts'])
    expect(await store.get(key('budget', 'workload 9999'), START)).toMatchObject({ kind: 'value' })
    expect(await store.get(key('budget', 'workload 10001'), START)).toMatchObject({ kind: 'none' })
    // Here each one counts all the same.
    expect(all[0]?.budgetOf('workload 10049')).toBeGreaterThan(START)
  })
})
