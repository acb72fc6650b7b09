import { describe, expect, it } from 'vitest'
import { DRIFT_THRESHOLDS, type DriftCall, type Outlier } from '../../src/core/drift.ts'
import { SLOTS, slotOf } from '../../src/risk/drift-bets.ts'
import { backgroundOf } from '../../src/risk/drift-freeze.ts'
import { newDriftState, observe } from '../../src/risk/drift-observe.ts'
import { adopt, candidatesOf, doubt, doubtsAbout, isSupported, newProbation, propose } from '../../src/risk/drift-probation.ts'
import { isOutlier, prepare, type ReadyBaseline } from '../../src/risk/drift-ready.ts'
import { startKernel } from '../../src/risk/kernel-wasm.ts'
import { callsOf, learntFrom, worldOf } from './drift-material.ts'

const kernel = startKernel()
const world = worldOf(96, 3)
const { readies, space } = learntFrom(world, 60, kernel)
const ready = readies[0] as ReadyBaseline
const { baseline } = ready
const background = backgroundOf(
  readies.slice(1).map((other) => ({ ...other.baseline, version: other.baseline.version.replace('v', 'alone') })),
  kernel
)

/** A topic that no department has had. */
const topic = worldOf(96, 1, 99).topics[0]?.[0] as Float32Array
const around = (count: number, seed: number, from = 0): DriftCall[] => callsOf({ ...world, topics: [[topic]] }, 0, count, seed, from)

function outliersOf(calls: readonly DriftCall[], of = ready): Outlier[] {
  const state = newDriftState()
  return calls.flatMap((call) => [...observe(of, state, call, DRIFT_THRESHOLDS).verdict.outliers])
}

describe('new neighbourhoods', () => {
  it('are proposed when three workloads came there, none of them with most of the queries', () => {
    const probation = newProbation(baseline)
    const outliers = outliersOf(around(6, 1)).slice(0, 12)
    expect(outliers.length).toBe(12)
    outliers.slice(0, 8).forEach((outlier, at) => {
      propose(probation, baseline, `workload-${at % 2}`, [outlier], at)
    })
    expect(candidatesOf(probation)).toEqual([])
    outliers.slice(8).forEach((outlier, at) => {
      propose(probation, baseline, 'workload-2', [outlier], 8 + at)
    })
    const [candidate] = candidatesOf(probation)
    expect(candidate?.supporters.size).toBe(3)
    expect(candidate?.queries).toBeGreaterThanOrEqual(6)
  })

  it('are not proposed when one workload has more than 60 % of them, however many there are', () => {
    const probation = newProbation(baseline)
    outliersOf(around(20, 2)).forEach((outlier, at) => {
      propose(probation, baseline, at < 4 ? `workload-${at % 2}` : 'pushy', [outlier], at)
    })
    expect(candidatesOf(probation)).toEqual([])
  })

  it('stay few: the weakest give way', () => {
    const probation = newProbation(baseline)
    const [one] = outliersOf(around(3, 3)) as [Outlier]
    for (let at = 0; at < 40; at++) {
      const row = new Int8Array(64)
      row[at] = 127
      propose(probation, baseline, 'noise', [{ row, scale: 1 / 127, background: 0, residual: 0 }], at)
      propose(probation, baseline, `workload-${at % 3}`, [one], at)
    }
    expect(probation.neighbourhoods.length).toBe(16)
    expect(candidatesOf(probation)).toHaveLength(1)
  })

  it('once approved no longer alarm, and everything else still does', () => {
    const probation = newProbation(baseline)
    outliersOf(around(12, 4)).forEach((outlier, at) => {
      propose(probation, baseline, `workload-${at % 4}`, [outlier], at)
    })
    const [candidate] = candidatesOf(probation)
    if (candidate === undefined) throw new Error('nothing was proposed')
    const after = prepare(adopt(baseline, probation, candidate, 'v-0+1', 5), space, { ...background, version: baseline.background }, kernel)
    const noveltyOf = (of: ReadyBaseline, calls: readonly DriftCall[]) => {
      const state = newDriftState()
      return Math.max(...calls.map((call) => observe(of, state, call, DRIFT_THRESHOLDS).verdict.novelty))
    }
    const [fresh, foreign] = [around(4, 5), callsOf(world, 2, 6, 6).map((call, at) => ({ ...call, at }))]
    expect(noveltyOf(ready, fresh)).toBeGreaterThan(300)
    expect(noveltyOf(after, fresh)).toBeLessThan(30)
    expect(noveltyOf(after, foreign)).toBeGreaterThan(300)
    expect(after.baseline.counts.bursts).toBe(baseline.counts.bursts)
  })

  it('are gathered by each score that can raise an alarm: what cannot be proposed could never be let in', () => {
    const limits = [...ready.outlierAt]
    expect(limits).toHaveLength(3)
    expect(isOutlier(ready, Float64Array.from(limits))).toBe(false)
    for (const [score, limit] of limits.entries()) {
      const only = Float64Array.from(limits, (value) => value - 1)
      only[score] = limit + 1e-6
      expect(isOutlier(ready, only)).toBe(true)
      // A twentieth of what is normal lies beyond it, and it is no bin that everything reaches.
      const slot = slotOf(score, limit + 1e-6, baseline.ranges)
      expect(ready.pValues[score * SLOTS + slot]).toBeLessThan(0.15)
    }
    expect(isOutlier(ready, new Float64Array(3).fill(Number.NaN))).toBe(false)
  })

  describe('that workloads supported which were slowed, challenged or quarantined meanwhile', () => {
    const [OWN, FOREIGN] = [outliersOf(around(12, 4)).slice(0, 9), outliersOf(around(12, 8)).slice(0, 9)]
    const three = () => {
      const probation = newProbation(baseline)
      OWN.forEach((outlier, at) => {
        propose(probation, baseline, `workload-${at % 3}`, [outlier], at)
      })
      return probation
    }

    it('count for nothing from the moment they were raised, what was before it included', () => {
      const probation = three()
      expect(candidatesOf(probation).map(isSupported)).toEqual([true])
      expect(doubtsAbout(candidatesOf(probation)[0] as never)).toBeUndefined()
      doubt(probation, 'workload-1')
      const [one] = candidatesOf(probation)
      if (one === undefined) throw new Error('it is shown all the same')
      expect(isSupported(one)).toBe(false)
      expect(doubtsAbout(one)).toMatch(/^2 of 3 workloads speak for it, .*: workload-1 was slowed, challenged or quarantined/)
      propose(probation, baseline, 'workload-1', OWN.slice(0, 1), 20)
      expect(isSupported(one)).toBe(false)
      // Somebody else who was not raised speaks for it.
      propose(probation, baseline, 'workload-3', OWN.slice(0, 2), 21)
      expect(isSupported(one)).toBe(true)
    })

    it('count where they were raised before it began, and not where that was since', () => {
      const when = (raisedAt: number) => {
        const probation = newProbation(baseline)
        OWN.forEach((outlier, at) => {
          propose(probation, baseline, `workload-${at % 3}`, [outlier], 100 + at, at % 3 === 2 ? raisedAt : undefined)
        })
        return candidatesOf(probation).map(isSupported)
      }
      expect(when(99)).toEqual([true])
      expect(when(100)).toEqual([false])
    })

    it('do not move what becomes normal', () => {
      const [calm, joined] = [three(), three()]
      for (let at = 0; at < 5; at++) propose(joined, baseline, 'hijacked', FOREIGN.slice(at, at + 1), 20 + at, 20 + at)
      const adopted = (probation: typeof calm) => {
        const one = candidatesOf(probation)[0]
        if (one === undefined) throw new Error('nothing is proposed')
        return adopt(baseline, probation, one, 'next', 0)
      }
      expect(joined.neighbourhoods[0]?.queries).toBeGreaterThan(calm.neighbourhoods[0]?.queries ?? 0)
      expect(adopted(joined)).toEqual(adopted(calm))
      doubt(joined, 'workload-0')
      // Too few are left: who insists takes all that are named.
      expect(adopted(joined)).not.toEqual(adopted(calm))
    })

    it('take no place from those who count', () => {
      const probation = newProbation(baseline)
      const [one] = OWN as [Outlier]
      for (let at = 0; at < 40; at++) propose(probation, baseline, `raised-${at}`, [one], at, at)
      for (let at = 0; at < 9; at++) propose(probation, baseline, `calm-${at % 3}`, [one], 50 + at)
      for (let at = 0; at < 40; at++) propose(probation, baseline, `raised-${at}`, [one], 60 + at, 60 + at)
      expect(candidatesOf(probation).map(isSupported)).toEqual([true])
      expect(probation.neighbourhoods[0]?.supporters.size).toBe(16)
    })
  })

  it('are adopted by the version they were proposed for only, and while there is room', () => {
    const probation = newProbation(baseline)
    const [one] = outliersOf(around(3, 3)) as [Outlier]
    propose(probation, baseline, 'workload', [one], 0)
    const [neighbourhood] = probation.neighbourhoods
    if (neighbourhood === undefined) throw new Error('nothing on probation')
    expect(() => adopt({ ...baseline, version: 'other' }, probation, neighbourhood, 'next', 0)).toThrow(/proposal is for/)
    let grown = baseline
    for (let at = 0; grown.centroids.scales.length < 80; at++)
      grown = adopt(grown, { ...probation, version: grown.version }, neighbourhood, `next-${at}`, at)
    expect(() => adopt(grown, { ...probation, version: grown.version }, neighbourhood, 'last', 0)).toThrow(/no more fit/)
  })
})
