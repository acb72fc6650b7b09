import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Grant, ProbeGrant } from '../../src/core/decision.ts'
import { BYTES_PACE, type FurtherBudgets, type Pace } from '../../src/core/risk-rules.ts'
import type { Operation, Shape } from '../../src/core/vector-call.ts'
import { collectionKey, keysOf, operationKey, tenantKey } from '../../src/risk/budget-keys.ts'
import { charge, chargeRefusal, overdrawn, rateLeft, type Terms } from '../../src/risk/charge.ts'
import { costOf } from '../../src/risk/price.ts'
import { admit, rateFacts } from '../../src/risk/rate.ts'
import { createMemory } from '../../src/state/memory.ts'
import { callerOf, callOf, targetOf } from '../support/grants.ts'

const CALLERS = [callerOf('spiffe://demo.vecauthz.test/acme/support'), callerOf('spiffe://demo.vecauthz.test/acme/indexer')] as const
const [caller, other] = CALLERS
const WIDE = { per_second: 1000, burst: 10_000 }
const pace = (perSecond: number, burst: number): Pace => ({ perSecond, burst })
const terms = (further: Partial<FurtherBudgets>, change: Partial<Terms> = {}): Terms => ({
  further: { tenant: undefined, collection: undefined, operations: undefined, bytes: BYTES_PACE, ...further },
  database: 'main',
  bytes: 0,
  share: 1,
  whole: 1,
  ...change
})

interface Asks {
  readonly who?: typeof caller
  readonly tenant?: string
  readonly collections?: readonly string[]
  readonly operation?: Operation
  readonly shape?: Partial<Shape>
}

function grantOf({ who = caller, tenant = 'acme', collections = ['handbook'], operation = 'search', shape = {} }: Asks = {}): Grant {
  const targets = collections.map((one) => targetOf(tenant, one))
  return { kind: 'tenant', caller: who, call: callOf(operation, tenant, 'handbook', shape), tenant, targets } as unknown as Grant
}

describe('the price of a call', () => {
  it.each<readonly [string, Operation, Partial<Shape>, number]>([
    ['a search', 'search', { queries: 1, topK: 10 }, 1],
    ['a batch of four', 'search', { queries: 4, topK: 10 }, 4],
    ['a hundred results', 'search', { queries: 1, topK: 100 }, 1],
    ['a thousand results', 'search', { queries: 1, topK: 1000 }, 10],
    ['a search with raw vectors', 'search', { queries: 1, topK: 10, vectorsOut: true }, 4],
    ['two searches for a thousand with raw vectors', 'search', { queries: 2, topK: 1000, vectorsOut: true }, 80],
    ['a thousand records by id', 'read', { records: 1000 }, 10],
    ['a thousand records written', 'write', { records: 1000 }, 1],
    ['a listing', 'observe', {}, 1]
  ])('of %s', (_, operation, shape, cost) => expect(costOf(callOf(operation, 'acme', 'handbook', shape))).toBe(cost))
})

describe('budgets beside the workload’s own', () => {
  it('a tenant shares one, and another tenant has its own', () => {
    const [memory, with3] = [createMemory(), terms({ tenant: pace(1, 3) })]
    for (const who of [caller, other, caller]) expect(charge(grantOf({ who }), WIDE, '', 0, memory, with3).ok).toBe(true)
    expect(charge(grantOf({ who: other }), WIDE, '', 0, memory, with3)).toMatchObject({
      reason: { kind: 'rate-exceeded', because: 'cost 1 is over the budget for tenant of 1/s, burst 3' },
      retryAfterMs: 1000
    })
    expect(charge(grantOf({ tenant: 'globex' }), WIDE, '', 0, memory, with3).ok).toBe(true)
  })

  it('a collection shares one; a call for two pays in both, and one that names a collection twice pays once', () => {
    const [memory, with3] = [createMemory(), terms({ collection: pace(1, 3) })]
    expect(charge(grantOf({ collections: ['a', 'a'] }), WIDE, '', 0, memory, with3).ok).toBe(true)
    expect(charge(grantOf({ collections: ['a', 'b'], shape: { queries: 2 } }), WIDE, '', 0, memory, with3).ok).toBe(true)
    expect(charge(grantOf({ who: other, collections: ['a'] }), WIDE, '', 0, memory, with3).ok).toBe(false)
    expect(charge(grantOf({ who: other, collections: ['b'] }), WIDE, '', 0, memory, with3).ok).toBe(true)
    const elsewhere = { ...with3, database: 'second' }
    expect(charge(grantOf({ collections: ['a'] }), WIDE, '', 0, memory, elsewhere).ok).toBe(true)
  })

  it('one kind of call has its own for each workload', () => {
    const [memory, with1] = [createMemory(), terms({ operations: { export: pace(1, 1) } })]
    const ask = (who: typeof caller, operation: Operation) => charge(grantOf({ who, operation }), WIDE, '', 0, memory, with1).ok
    expect([ask(caller, 'export'), ask(caller, 'export'), ask(caller, 'search'), ask(other, 'export')]).toEqual([true, false, true, true])
  })

  it('large bodies have one, so that nobody holds a lane; small ones do not, and no body is too long for it', () => {
    const [memory, tight] = [createMemory(), { bytes: pace(100_000, 200_000) }]
    const send = (bytes: number, now: number) => charge(grantOf({ operation: 'write' }), WIDE, '', now, memory, terms(tight, { bytes }))
    expect(send(32_000_000, 0).ok).toBe(true)
    expect(send(65_537, 0)).toMatchObject({ reason: { kind: 'rate-exceeded' }, retryAfterMs: 656 })
    expect(send(65_536, 0).ok).toBe(true)
    expect(send(65_537, 656).ok).toBe(true)
  })

  it('a call that is over one budget is charged to none', () => {
    const [memory, both] = [createMemory(), terms({ tenant: pace(1, 10), collection: pace(1, 2) })]
    const large = grantOf({ shape: { queries: 2 } })
    expect(charge(large, WIDE, '', 0, memory, both).ok).toBe(true)
    for (let time = 0; time < 20; time++) expect(charge(large, WIDE, '', 0, memory, both).ok).toBe(false)
    const elsewhere = grantOf({ collections: ['b'], shape: { queries: 2 } })
    for (let time = 0; time < 4; time++)
      expect(charge({ ...elsewhere, targets: [targetOf('acme', `b${time}`)] } as Grant, WIDE, '', 0, memory, both).ok).toBe(true)
    expect(charge(grantOf({ collections: ['b9'], shape: { queries: 2 } }), WIDE, '', 0, memory, both).ok).toBe(false)
  })

  it('a call without a tenant pays no tenant', () => {
    const probe = { kind: 'probe', caller, call: callOf('probe', undefined) } as unknown as ProbeGrant
    const memory = createMemory()
    for (let time = 0; time < 5; time++) expect(charge(probe, WIDE, '', 0, memory, terms({ tenant: pace(1, 1) })).ok).toBe(true)
  })

  it('a repeat is charged once in all of them', () => {
    const [memory, with1] = [createMemory(), terms({ tenant: pace(1, 1), collection: pace(1, 1), operations: { search: pace(1, 1) } })]
    for (let time = 0; time < 9; time++) expect(charge(grantOf(), WIDE, 'same', 0, memory, with1).ok).toBe(true)
    for (let time = 0; time < 2; time++)
      expect(charge(grantOf(), WIDE, 'next', time, memory, with1)).toMatchObject({ reason: { because: /for search/ } })
  })

  it('without room for a budget a call is refused', () => {
    const memory = createMemory({ budgets: 1, repeats: 10 })
    expect(charge(grantOf(), WIDE, '', 0, memory, terms({ tenant: pace(1, 9) }))).toMatchObject({ reason: { kind: 'state-unavailable' } })
  })

  it('names of budgets never meet, and are the same for the same', () => {
    const names = CALLERS.flatMap((who) => [
      ...['acme', 'globex'].flatMap((tenant) => [
        tenantKey(keysOf(who), tenant),
        ...['a', 'b'].flatMap((name) => ['main', 'second'].map((database) => collectionKey(keysOf(who), database, targetOf(tenant, name)))),
        collectionKey(keysOf(who), 'main', targetOf(tenant, 'a', 'other'))
      ]),
      keysOf(who).bytes,
      operationKey(keysOf(who), 'search'),
      operationKey(keysOf(who), 'read')
    ])
    const shared = 2 * (1 + 4 + 1)
    expect(new Set(names).size).toBe(shared + 2 * 3)
    for (let at = 0; at < 1000; at++) collectionKey(keysOf(caller), 'main', targetOf('acme', `c${at}`))
    expect(collectionKey(keysOf(caller), 'main', targetOf('acme', 'a'))).toBe(collectionKey(keysOf(other), 'main', targetOf('acme', 'a')))
    expect(collectionKey(keysOf(caller), 'main', { tenant: 'acme', namespace: '', collection: { kind: 'every' } })).toBeUndefined()
  })
})

describe('a slowed workload', () => {
  it('has its share of rate and burst, and a call that fits in the burst still fits after a pause', () => {
    const budget = { per_second: 10, burst: 8 }
    const memory = createMemory()
    const half = terms({}, { share: 0.5 })
    for (let time = 0; time < 4; time++) expect(charge(grantOf(), budget, '', 0, memory, half).ok).toBe(true)
    expect(charge(grantOf(), budget, '', 0, memory, half)).toMatchObject({ retryAfterMs: 200 })
    expect(charge(grantOf({ shape: { queries: 8 } }), budget, '', 800, memory, half).ok).toBe(true)
    expect(overdrawn(caller, budget, '', 800, memory, 0.5)).toMatchObject({ retryAfterMs: 1000 })
    expect(overdrawn(caller, budget, '', 1800, memory, 0.5)).toBeUndefined()
    chargeRefusal(caller, budget, '', 0, 1800, memory, 0.5)
    expect(overdrawn(caller, budget, '', 1800, memory, 0.5)).toMatchObject({ retryAfterMs: 200 })
  })
})

describe('what is left', () => {
  it('is what the next calls find', () => {
    const [memory, budget] = [createMemory(), { per_second: 10, burst: 30 }]
    expect(rateLeft(caller, budget, 0, memory)).toEqual({ limit: 30, windowSeconds: 3, remaining: 30, resetSeconds: 0 })
    charge(grantOf({ shape: { queries: 12 } }), budget, '', 0, memory)
    expect(rateLeft(caller, budget, 0, memory)).toEqual({ limit: 30, windowSeconds: 3, remaining: 18, resetSeconds: 2 })
  })

  it('as many calls as remain are admitted, and not one more (property)', () => {
    fc.assert(
      fc.property(fc.nat(5000), fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 40 }), (debt, perSecond, burst) => {
        const budget = pace(perSecond, burst)
        let tat: number | undefined = Math.min(debt, (burst * 1000) / perSecond)
        const { remaining } = rateFacts(tat, 0, budget)
        let calls = 0
        for (; calls <= burst; calls++) {
          const admission = admit(tat, 0, 1, budget)
          if (admission.kind !== 'admitted') break
          tat = admission.tat
        }
        expect(calls).toBe(remaining)
      })
    )
  })
})

/** The model: what was admitted, by the budget that it was charged to. A bound must hold in each, over every window. */
describe('in every window and every budget', () => {
  const further: Partial<FurtherBudgets> = {
    tenant: pace(20, 12),
    collection: pace(10, 8),
    operations: { export: pace(2, 5) },
    bytes: pace(50_000, 300_000)
  }
  const own = { per_second: 15, burst: 10 }
  const step = fc.record({
    pause: fc.nat(300),
    who: fc.nat(1),
    tenant: fc.constantFrom('acme', 'globex'),
    collections: fc.subarray(['a', 'b'], { minLength: 1 }),
    operation: fc.constantFrom<Operation>('search', 'export'),
    queries: fc.integer({ min: 1, max: 4 }),
    bytes: fc.constantFrom(100, 70_000, 250_000),
    repeats: fc.nat(2)
  })

  it('the admitted cost is at most burst plus rate × window (property)', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 80 }), (steps) => {
        const memory = createMemory()
        const admitted = new Map<string, { readonly pace: Pace; readonly calls: { at: number; cost: number }[] }>()
        const note = (name: string, its: Pace | undefined, at: number, cost: number) => {
          if (its === undefined) return
          const found = admitted.get(name) ?? { pace: its, calls: [] }
          admitted.set(name, found)
          found.calls.push({ at, cost })
        }
        let now = 0
        for (const [index, { pause, who, tenant, collections, operation, queries, bytes, repeats }] of steps.entries()) {
          now += pause
          const grant = grantOf({ who: CALLERS[who] as typeof caller, tenant, collections, operation, shape: { queries } })
          const answers = Array.from({ length: repeats + 1 }, () =>
            charge(grant, own, `check ${index}`, now, memory, terms(further, { bytes }))
          )
          expect(new Set(answers.map((one) => one.ok)).size).toBe(1)
          if (answers[0]?.ok !== true) continue
          note(`own ${who}`, pace(own.per_second, own.burst), now, queries)
          note(`tenant ${tenant}`, further.tenant, now, queries)
          for (const one of collections) note(`collection ${tenant} ${one}`, further.collection, now, queries)
          if (operation === 'export') note(`export ${who}`, further.operations?.export, now, queries)
          if (bytes > 65_536) note(`bytes ${who}`, further.bytes, now, bytes)
        }
        for (const { pace: its, calls } of admitted.values()) {
          for (const [from, first] of calls.entries()) {
            let sum = 0
            for (const one of calls.slice(from)) {
              sum += one.cost
              expect(sum).toBeLessThanOrEqual(its.burst + (its.perSecond * (one.at - first.at)) / 1000 + 0.01 + its.perSecond * 1e-6)
            }
          }
        }
      }),
      { numRuns: 300 }
    )
  })
})
