/** Two replicas and one store: who takes turns between them is judged as if there were one. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { DRIFT_THRESHOLDS, type DriftCall } from '../../src/core/drift.ts'
import type { Store } from '../../src/core/store.ts'
import { createEvidenceSync } from '../../src/learning/evidence-sync.ts'
import { clearEvidence } from '../../src/risk/drift-evidence.ts'
import { observe } from '../../src/risk/drift-observe.ts'
import type { ReadyBaseline } from '../../src/risk/drift-ready.ts'
import { exposurePace, spend } from '../../src/risk/exposure.ts'
import { startKernel } from '../../src/risk/kernel-wasm.ts'
import { newWorkloadState, placeOf, trackOf } from '../../src/risk/workload-state.ts'
import { createMemoryStore } from '../../src/state/store-memory.ts'
import { openSqliteStore } from '../../src/state/store-sqlite.ts'
import { callsOf, learntFrom, worldOf } from '../risk/drift-material.ts'

const ID = 'spiffe://demo.vecauthz.test/acme/support'
const kernel = startKernel()
const world = worldOf(96, 2)
const ready = learntFrom(world, 60, kernel).readies[0] as ReadyBaseline
const { key } = ready.baseline
const DAILY = 1_000

const folder = mkdtempSync(join(tmpdir(), 'vecauthz-evidence-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function replica(store: Store, now: { at: number }) {
  const state = newWorkloadState(0)
  const place = placeOf(state, 'place', 'agent-0', () => ({
    key,
    place: { tenant: 'acme', agentType: 'agent-0', database: 'demo', collection: 'docs' }
  }))
  const track = trackOf(state, place, ready.baseline, DRIFT_THRESHOLDS, true)
  const troubles: (string | undefined)[] = []
  const sync = createEvidenceSync({
    store,
    now: () => now.at,
    stateOf: (id) => (id === ID ? state : undefined),
    readyOf: () => ready,
    dailyOf: () => DAILY,
    onTrouble: (because) => void troubles.push(because)
  })
  return {
    place,
    track,
    troubles,
    sync,
    see(call: DriftCall) {
      now.at = call.at
      const { verdict } = observe(ready, track.drift, call, DRIFT_THRESHOLDS)
      sync.note(ID)
      return verdict
    },
    show(cost: number) {
      const spent = spend(place.exposure, { cells: new Int16Array(0), unseen: 1, topK: cost, vectorsOut: false, weight: 1 }, DAILY, now.at)
      if (spent.kind === 'admitted') {
        place.day = Math.floor(now.at / 86_400_000)
        place.shown += spent.cost
        sync.note(ID)
      }
      return spent.kind
    }
  }
}

const AT = 1_000 * 86_400_000
const later = (calls: readonly DriftCall[]) => calls.map((call) => ({ ...call, at: call.at + AT }))
const STORES = {
  memory: () => createMemoryStore(),
  sqlite: () => openSqliteStore({ file: join(folder, 'state.db'), onEvent: () => undefined, answerMsMax: 10_000 })
}

describe.each(Object.entries(STORES))('over %s', (_, open) => {
  it('taking turns between two replicas is found as one would find it', async () => {
    const store = open()
    const now = { at: AT }
    const [a, b, one, apart, other] = [replica(store, now), replica(store, now), ...[1, 2, 3].map(() => replica(createMemoryStore(), now))]
    if (one === undefined || apart === undefined || other === undefined) throw new Error('three')
    const calls = later(callsOf(world, 1, 2, 5)).slice(0, 8)
    let [together, alone, half] = [0, 0, 0]
    for (const [at, call] of calls.entries()) {
      together = (at % 2 === 0 ? a : b).see(call).novelty
      alone = one.see(call).novelty
      half = (at % 2 === 0 ? apart : other).see(call).novelty
      // What was told in a round is heard in the next one.
      for (const { sync } of [a, b, a, b]) await sync.round()
    }
    // Closeness to queries that another replica saw is all that is missing, and that is not novelty.
    expect(together / alone).toBeGreaterThan(0.99)
    expect(together / alone).toBeLessThan(1.01)
    expect(half).toBeLessThan(together / 10)
    expect([a.troubles, b.troubles]).toEqual([[], []])
    await store.close()
  })
})

describe('what is shared', () => {
  it('a proof that one replica took clears the evidence of the other', async () => {
    const now = { at: AT }
    const store = createMemoryStore()
    const [a, b] = [replica(store, now), replica(store, now)]
    const [foreign, usual] = [later(callsOf(world, 1, 1, 5)), later(callsOf(world, 0, 1, 5))]
    for (const call of foreign) a.see(call)
    await a.sync.round()
    b.see(usual[0] as DriftCall)
    await b.sync.round()
    expect(b.track.drift.evidence.queries).toBeGreaterThan(foreign.length / 2)
    clearEvidence(a.track.drift)
    a.see({ ...(usual[0] as DriftCall), at: now.at + 100 })
    await a.sync.round()
    b.see({ ...(usual[1] ?? (usual[0] as DriftCall)), at: now.at + 200 })
    await b.sync.round()
    expect([b.track.drift.evidence.epoch, b.track.drift.evidence.queries]).toEqual([1, 1])
  })

  it('what is shown here and there comes out of one budget', async () => {
    const now = { at: AT }
    const store = createMemoryStore()
    const [a, b] = [replica(store, now), replica(store, now)]
    const most = exposurePace(DAILY).burst
    let shown = 0
    for (let turn = 0; turn < 60; turn++) {
      const one = turn % 2 === 0 ? a : b
      if (one.show(50) === 'admitted') shown += 50
      await Promise.all([a.sync.round(), b.sync.round()])
    }
    expect(shown).toBeGreaterThan(most - 51)
    // What the other has admitted since the last round is the overshoot.
    expect(shown).toBeLessThanOrEqual(most + 50)
    expect([a.show(50), b.show(50)]).toEqual(['exhausted', 'exhausted'])
  })

  it('a clock that was ahead for a month leaves the shared budget empty, and no more', async () => {
    const [ahead, now] = [{ at: AT + 30 * 86_400_000 }, { at: AT }]
    const store = createMemoryStore()
    const [a, b] = [replica(store, ahead), replica(store, now)]
    const round = () => Promise.all([a.sync.round(), b.sync.round()])
    a.show(50)
    b.show(1)
    await round()
    await round()
    expect(b.show(50)).toBe('exhausted')
    ahead.at = AT
    now.at = AT + 1.9 * 86_400_000
    b.sync.note(ID)
    await round()
    expect(b.show(50)).toBe('admitted')
  })

  it('a store that is away is said once, and is told everything when it is back', async () => {
    const now = { at: AT }
    const inner = createMemoryStore()
    let away = true
    const gone = { kind: 'unavailable', because: 'gone' } as const
    const store: Store = { ...inner, get: (...asked) => (away ? gone : inner.get(...asked)) }
    const [a, b] = [replica(store, now), replica(store, now)]
    for (const call of later(callsOf(world, 1, 1, 5))) {
      a.see(call)
      await a.sync.round()
    }
    expect(a.troubles).toEqual(['gone'])
    away = false
    const [usual] = later(callsOf(world, 0, 1, 9))
    a.see({ ...(usual as DriftCall), at: now.at })
    await a.sync.round()
    expect(a.troubles).toEqual(['gone', undefined])
    b.see({ ...(usual as DriftCall), at: now.at })
    await b.sync.round()
    expect(b.track.drift.evidence.queries).toBe(a.track.drift.evidence.queries + 1)
  })

  it('what cannot be read is not written over, nor believed', async () => {
    const now = { at: AT }
    const store = createMemoryStore()
    const a = replica(store, now)
    const usual = later(callsOf(world, 0, 2, 9))
    a.see(usual[0] as DriftCall)
    await a.sync.round()
    const listed = await store.list('', now.at, 10)
    const entry = listed.kind === 'entries' ? listed.entries.find(({ key: at }) => at.includes('evidence')) : undefined
    if (entry === undefined) throw new Error('nothing was written')
    await store.replace(entry.key, entry.value, '{"epoch":0}', entry.until, now.at)
    const before = a.track.drift.evidence.queries
    a.see({ ...(usual[1] as DriftCall), at: now.at + 100 })
    await a.sync.round()
    expect(a.troubles.at(-1)).toContain('cannot be read')
    expect([a.track.drift.evidence.queries, (await store.get(entry.key, now.at)).kind]).toEqual([before + 1, 'value'])
  })
})
