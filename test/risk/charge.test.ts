import { describe, expect, it } from 'vitest'
import type { Grant } from '../../src/core/decision.ts'
import { charge, chargeRefusal, overdrawn } from '../../src/risk/charge.ts'
import { createMemory } from '../../src/state/memory.ts'
import { callerOf, callOf } from '../support/grants.ts'

const caller = callerOf('spiffe://demo.vecauthz.test/acme/support')
const other = callerOf('spiffe://demo.vecauthz.test/acme/indexer')
const BUDGET = { per_second: 10, burst: 5 }
const MIB = 1024 * 1024
const grantOf = (queries: number, who = caller) =>
  ({ kind: 'tenant', caller: who, call: callOf('search', 'acme', 'handbook', { queries }) }) as unknown as Grant

describe('charging', () => {
  it('a batch costs its queries, and a batch above the burst never fits', () => {
    const memory = createMemory()
    expect(charge(grantOf(4), BUDGET, 'a', 0, memory)).toEqual({ ok: true })
    expect(charge(grantOf(2), BUDGET, 'b', 0, memory)).toMatchObject({ reason: { kind: 'rate-exceeded' }, retryAfterMs: 100 })
    expect(charge(grantOf(6), BUDGET, 'c', 0, memory)).toMatchObject({ reason: { kind: 'cost-exceeded' } })
  })

  it('a process that has a share of all budgets admits no more than that, of its tenants and collections either', () => {
    const share = 0.5
    const memory = { ...createMemory(), share: () => share }
    const wide = { per_second: 1_000, burst: 1_000 }
    const further = {
      tenant: { perSecond: 10, burst: 10 },
      collection: undefined,
      operations: undefined,
      bytes: { perSecond: 1, burst: 1 }
    }
    const terms = { further, database: 'demo', bytes: 0, share, whole: share }
    const grant = { ...grantOf(1), tenant: 'acme', targets: [] } as unknown as Grant
    let admitted = 0
    for (let at = 0; at < 20; at++) if (charge(grant, wide, '', 0, memory, terms).ok) admitted++
    expect(admitted).toBe(5)
    expect(charge(grant, wide, '', 200, memory, terms).ok).toBe(true)
    expect(charge(grant, wide, '', 200, memory, terms)).toMatchObject({ reason: { kind: 'rate-exceeded' }, retryAfterMs: 200 })
  })

  it('a repeat of one check is charged once, and answered as before', () => {
    const memory = createMemory()
    for (let at = 0; at < 20; at++) expect(charge(grantOf(5), BUDGET, 'same', 0, memory)).toEqual({ ok: true })
    expect(charge(grantOf(1), BUDGET, 'next', 0, memory)).toMatchObject({ ok: false })
    expect(charge(grantOf(1), BUDGET, 'next', 1_000, memory)).toMatchObject({ ok: false })
    expect(charge(grantOf(1), BUDGET, 'another', 1_000, memory)).toEqual({ ok: true })
  })

  it('a check without a name counts each time', () => {
    const memory = createMemory()
    for (let at = 0; at < 5; at++) expect(charge(grantOf(1), BUDGET, '', 0, memory).ok).toBe(true)
    expect(charge(grantOf(1), BUDGET, '', 0, memory).ok).toBe(false)
  })

  it('a refusal costs too: after as many as the burst, nothing of this workload is read, and others are not touched', () => {
    const memory = createMemory()
    for (let at = 0; at < 5; at++) {
      expect(overdrawn(caller, BUDGET, `check ${at}`, 0, memory)).toBeUndefined()
      chargeRefusal(caller, BUDGET, `check ${at}`, 0, 0, memory)
    }
    expect(overdrawn(caller, BUDGET, 'check 5', 0, memory)).toMatchObject({ reason: { kind: 'rate-exceeded' }, retryAfterMs: 100 })
    expect(overdrawn(other, BUDGET, 'check 6', 0, memory)).toBeUndefined()
    expect(overdrawn(caller, BUDGET, 'check 7', 100, memory)).toBeUndefined()
  })

  it('a large refused body costs more, but the debt is never above the burst', () => {
    const memory = createMemory()
    chargeRefusal(caller, BUDGET, 'a', MIB, 0, memory)
    expect(overdrawn(caller, BUDGET, 'b', 0, memory)).toMatchObject({ retryAfterMs: 100 })
    expect(overdrawn(caller, BUDGET, 'b', 100, memory)).toBeUndefined()
  })

  it('a clock that went an hour ahead and came back makes nobody wait for an hour, and gives nothing away', () => {
    const memory = createMemory()
    expect(charge(grantOf(5), BUDGET, '', 3_600_000, memory).ok).toBe(true)
    expect(charge(grantOf(1), BUDGET, '', 1_000, memory)).toMatchObject({ retryAfterMs: 100 })
    expect(charge(grantOf(5), BUDGET, '', 1_400, memory)).toMatchObject({ retryAfterMs: 100 })
    expect(charge(grantOf(5), BUDGET, '', 1_500, memory).ok).toBe(true)
  })

  it('a repeat of a charged check is not kept out by a budget that is spent since', () => {
    const memory = createMemory()
    expect(charge(grantOf(5), BUDGET, 'first', 0, memory).ok).toBe(true)
    expect(overdrawn(caller, BUDGET, 'second', 0, memory)).toBeDefined()
    expect(overdrawn(caller, BUDGET, 'first', 0, memory)).toBeUndefined()
  })
})
