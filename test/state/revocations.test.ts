/** Revocations: at once where they are said, soon elsewhere, after a restart, and until they are taken back. */
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Revocation } from '../../src/core/revocation.ts'
import type { Store } from '../../src/core/store.ts'
import { findId } from '../../src/policy/id-index.ts'
import { withRevoked } from '../../src/policy/revoke.ts'
import { createRevocations, type SharedRevocations } from '../../src/state/revocations.ts'
import { createMemoryStore } from '../../src/state/store-memory.ts'
import { idOf } from '../support/ids.ts'
import { POLICY, policyOf } from '../support/policy.ts'

const A = 'spiffe://demo.vecauthz.test/acme/support'
const ONE: Revocation = { kind: 'spiffe_id', value: A, by: 'spiffe://demo.vecauthz.test/people/grace', reason: 'a drill', at: 1 }
const WAIT = { timeout: 5_000, interval: 10 }
const started: SharedRevocations[] = []
const start = (store: Store) => {
  const one = createRevocations(store, Date.now)
  one.start()
  started.push(one)
  return one
}
afterEach(async () => {
  for (const one of started.splice(0)) await one.stop()
})

describe('revocations', () => {
  it('one replica says it, the other knows it, and a new one does from its first answer on', async () => {
    const store = createMemoryStore()
    const [here, there] = [start(store), start(store)]
    await vi.waitFor(() => expect(there.isLoaded()).toBe(true), WAIT)
    expect(await here.add(ONE)).toBe('everywhere')
    expect(here.list()).toEqual([ONE])
    await vi.waitFor(() => expect(there.list()).toEqual([ONE]), WAIT)
    const later = start(store)
    expect(later.isLoaded()).toBe(false)
    await vi.waitFor(() => expect(later.isLoaded()).toBe(true), WAIT)
    expect(later.list()).toEqual([ONE])
  })

  it('taken back is taken back everywhere, and not by a round that was under way', async () => {
    const store = createMemoryStore()
    const [here, there] = [start(store), start(store)]
    await here.add(ONE)
    await vi.waitFor(() => expect(there.list()).toEqual([ONE]), WAIT)
    expect(await there.lift('spiffe_id', A, Date.now())).toBe(true)
    expect(await there.lift('spiffe_id', A, Date.now())).toBe(false)
    await vi.waitFor(() => expect(here.list()).toEqual([]), WAIT)
    expect(there.list()).toEqual([])
  })

  it('without a store it is in force here, and told to it later', async () => {
    const store = createMemoryStore()
    let away = true
    const flaky: Store = { ...store, putOnce: (...words) => (away ? { kind: 'unavailable', because: 'away' } : store.putOnce(...words)) }
    const [here, there] = [start(flaky), start(store)]
    await vi.waitFor(() => expect(here.isLoaded()).toBe(true), WAIT)
    expect(await here.add(ONE)).toBe('here')
    await new Promise((resolve) => setTimeout(resolve, 600))
    expect([here.list(), there.list()]).toEqual([[ONE], []])
    away = false
    await vi.waitFor(() => expect(there.list()).toEqual([ONE]), WAIT)
    expect(here.list()).toEqual([ONE])
  })

  it('a policy with them refuses what they name, and the policy itself is as it was', () => {
    const policy = policyOf(POLICY)
    const other: Revocation = { ...ONE, kind: 'serial', value: '0a' }
    const revoked = withRevoked(policy, [ONE, other, { ...ONE, kind: 'token_id', value: 'jti-1' }])
    expect(findId(revoked.revoked.ids, idOf(A))).toBe(A)
    expect(findId(revoked.revoked.ids, idOf(`${A}/b`))).toBeUndefined()
    expect([...revoked.revoked.serials, ...revoked.revoked.tokenIds]).toEqual(expect.arrayContaining(['0a', 'jti-1']))
    expect(findId(policy.revoked.ids, idOf(A))).toBeUndefined()
    expect(withRevoked(policy, [])).toBe(policy)
  })
})
