import { describe, expect, it } from 'vitest'
import type { Baseline } from '../../src/core/drift.ts'
import { DRIFT_THRESHOLDS } from '../../src/core/drift.ts'
import { clearWorkload, newWorkloadState, placeOf, suspicionOf, trackOf } from '../../src/risk/workload-state.ts'

const NOW = Date.UTC(2026, 10, 21)
const baselineOf = (collection: string) =>
  ({ key: { tenant: 'acme', agentType: 'support', collection }, version: 'v1' }) as unknown as Baseline

function visited(state: ReturnType<typeof newWorkloadState>, collection: string, score: number, tat: number) {
  const { key } = baselineOf(collection)
  const place = placeOf(state, collection, 'support', () => ({ key, place: { ...key, database: 'demo' } }))
  const track = trackOf(state, place, baselineOf(collection), DRIFT_THRESHOLDS, false)
  Object.assign(track, { score })
  place.exposure.tat = tat
  return place
}

describe('what is known of a workload', () => {
  it('is not lost by going to many collections, and calm ones give way', () => {
    const state = newWorkloadState(0)
    const suspicious = visited(state, 'secrets', 0.2, NOW)
    const calm = visited(state, 'handbook', 0, NOW)
    for (let at = 0; at < 200; at++) visited(state, `decoy-${at}`, 0, NOW + at)
    expect(state.places.get('secrets')).toBe(suspicious)
    expect([state.places.get('handbook') === calm, state.places.size]).toEqual([false, 64])
  })

  it('stays when it is forgotten, whatever its last call was about, and not when it was cleared', () => {
    const state = newWorkloadState(0)
    visited(state, 'secrets', 0.4, NOW)
    expect([state.score, suspicionOf(state, NOW)]).toEqual([0, 102])
    clearWorkload(state)
    expect(suspicionOf(state, NOW)).toBe(0)
  })
})
