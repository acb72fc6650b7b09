import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BETS, DRIFT_THRESHOLDS, DRIFT_TIERS, type DriftTier, type Evidence, type EvidenceSegment } from '../../src/core/drift.ts'
import {
  adoptEvidence,
  beginBurst,
  clearEvidence,
  evidenceOf,
  mergeEvidence,
  newEvidence,
  noteUnsent,
  startsBurst,
  takeUnsent
} from '../../src/risk/drift-evidence.ts'
import { newDriftState } from '../../src/risk/drift-observe.ts'
import { scoreOf, tierOf } from '../../src/risk/drift-tiers.ts'

const rules = { gapMs: 5000, rates: new Float64Array(BETS).fill(0.5) }

interface Query {
  readonly at: number
  readonly logs: Float64Array
  /** Which replica sees it. */
  readonly replica: number
}

/** One replica as it runs: its own evidence decides where its segments end. */
function runReplica(queries: readonly Query[]): { readonly evidence: Evidence; readonly segments: EvidenceSegment[] } {
  const evidence = newEvidence()
  const segments: EvidenceSegment[] = []
  for (const { at, logs } of queries) {
    const fresh = startsBurst(evidence, at, rules.gapMs)
    if (fresh) beginBurst(evidence, at, rules.rates)
    evidence.queries++
    evidence.lastAt = Math.max(evidence.lastAt, at)
    logs.forEach((log, bet) => {
      evidence.logs[bet] = (evidence.logs[bet] as number) + log
    })
    noteUnsent(segments, fresh, evidence.epoch, at, logs)
  }
  return { evidence, segments }
}

const logsOf = (value: number) => Float64Array.from({ length: BETS }, (_, bet) => value * (1 + bet / 10))
function expectSame(evidence: Evidence, wanted: Evidence): void {
  const [got, want] = [values(evidence), values(wanted)]
  expect(Math.max(...got.map((value, bet) => Math.abs(value / (want[bet] as number) - 1)))).toBeLessThan(1e-9)
}

const values = (evidence: Evidence) => Array.from({ length: BETS }, (_, bet) => evidenceOf(evidence, bet))

/** Bursts of up to eight queries within a second of each other, minutes apart; each query at one of two replicas. */
const bursts = fc.array(
  fc.array(fc.record({ pause: fc.integer({ min: 0, max: 1000 }), log: fc.double({ min: -1, max: 1, noNaN: true }), replica: fc.nat(1) }), {
    minLength: 1,
    maxLength: 8
  }),
  { minLength: 1, maxLength: 10 }
)

function queriesOf(shape: readonly (readonly { pause: number; log: number; replica: number }[])[]): Query[][] {
  return shape.map((burst, index) => {
    let at = index * 300_000
    return burst.map(({ pause, log, replica }) => {
      at += pause
      return { at, logs: logsOf(log), replica }
    })
  })
}

describe('evidence of two replicas', () => {
  it('is what one replica that saw all would have, when they report by the burst, in any order', () => {
    fc.assert(
      fc.property(bursts, fc.array(fc.boolean(), { minLength: 10, maxLength: 10 }), (shape, turned) => {
        const all = queriesOf(shape)
        const one = runReplica(all.flat()).evidence
        const shared = newEvidence()
        all.forEach((burst, index) => {
          const parts = [0, 1].map((replica) => runReplica(burst.filter((query) => query.replica === replica)).segments)
          for (const segments of turned[index] ? parts.reverse() : parts) mergeEvidence(shared, segments, rules)
        })
        expectSame(shared, one)
        expect(shared.bursts).toBe(one.bursts)
      })
    )
  })

  it('is the same also when one reports a burst later than the other', () => {
    fc.assert(
      fc.property(bursts, (shape) => {
        const all = queriesOf(shape)
        const one = runReplica(all.flat()).evidence
        const shared = newEvidence()
        let late: EvidenceSegment[] = []
        for (const burst of all) {
          const [now, then] = [0, 1].map((replica) => runReplica(burst.filter((query) => query.replica === replica)).segments)
          mergeEvidence(shared, now ?? [], rules)
          mergeEvidence(shared, late, rules)
          late = then ?? []
        }
        mergeEvidence(shared, late, rules)
        expectSame(shared, one)
      })
    )
  })

  it('a replica that takes over the shared evidence keeps what it has not sent', () => {
    const state = newDriftState(true)
    noteUnsent(state.unsent ?? [], true, 0, 1000, logsOf(1))
    const shared = mergeEvidence(newEvidence(), runReplica([{ at: 900, logs: logsOf(2), replica: 0 }]).segments, rules)
    adoptEvidence(state, shared, rules)
    expect(evidenceOf(state.evidence, 0)).toBeCloseTo(Math.exp(3), 9)
    expect(evidenceOf(shared, 0)).toBeCloseTo(Math.exp(2), 9)
    expect(takeUnsent(state)).toHaveLength(1)
    expect(takeUnsent(state)).toHaveLength(0)
  })

  it('what was seen before the evidence was cleared does not come back', () => {
    const state = newDriftState(true)
    const before = runReplica([{ at: 1000, logs: logsOf(5), replica: 0 }]).segments
    clearEvidence(state)
    mergeEvidence(state.evidence, before, rules)
    expect(values(state.evidence)).toEqual(new Array(BETS).fill(0))
    expect(startsBurst(state.evidence, 1001, rules.gapMs)).toBe(true)
  })

  it('clearing reaches a store that has not heard of it, with the next segment', () => {
    const shared = mergeEvidence(newEvidence(), runReplica([{ at: 1000, logs: logsOf(5), replica: 0 }]).segments, rules)
    mergeEvidence(shared, [{ epoch: 1, firstAt: 1200, lastAt: 1200, queries: 1, logs: logsOf(1) }], rules)
    expect(evidenceOf(shared, 0)).toBeCloseTo(Math.exp(1), 9)
  })

  it('unsent segments stay few when nobody asks for them, and lose no bet', () => {
    const unsent: EvidenceSegment[] = []
    for (let burst = 0; burst < 100; burst++) noteUnsent(unsent, true, 0, burst * 300_000, logsOf(0.1))
    expect(unsent.length).toBeLessThanOrEqual(16)
    expect(unsent.reduce((sum, { logs }) => sum + (logs[0] as number), 0)).toBeCloseTo(10, 9)
    expect(unsent.reduce((sum, { queries }) => sum + queries, 0)).toBe(100)
  })

  it('a clock that goes back ends no burst; a pause, or 64 queries, do', () => {
    const evidence = newEvidence()
    expect(startsBurst(evidence, 0, 5000)).toBe(true)
    beginBurst(evidence, 100_000, rules.rates)
    for (const [at, want] of [
      [0, false],
      [105_000, false],
      [105_001, true]
    ] as const)
      expect(startsBurst(evidence, at, 5000), `${at}`).toBe(want)
    evidence.queries = 63
    expect(startsBurst(evidence, 100_000, 5000)).toBe(false)
    evidence.queries = 64
    expect(startsBurst(evidence, 100_000, 5000)).toBe(true)
  })
})

describe('tiers', () => {
  const graveness = (tier: DriftTier) => DRIFT_TIERS.indexOf(tier)
  const evidence = fc.double({ min: 0, max: 1e12, noNaN: true })
  const thresholds = fc
    .uniqueArray(fc.double({ min: 2, max: 1e6, noNaN: true }), { minLength: 3, maxLength: 3 })
    .map((three) => three.sort((a, b) => a - b) as [number, number, number])
    .map(([watch, stepUp, quarantine]) => ({ watch, stepUp, quarantine, coherenceStepUp: 3000 }))

  it('more evidence is never gentler, in score nor in tier, whatever the thresholds', () => {
    fc.assert(
      fc.property(evidence, evidence, evidence, evidence, thresholds, (a, b, c, d, limits) => {
        const less = scoreOf(Math.min(a, b), Math.min(c, d), limits)
        const more = scoreOf(Math.max(a, b), Math.max(c, d), limits)
        expect(more).toBeGreaterThanOrEqual(less)
        expect(graveness(tierOf(more))).toBeGreaterThanOrEqual(graveness(tierOf(less)))
      }),
      { numRuns: 500 }
    )
  })

  it.each([
    [29.99, 0, 'normal'],
    [30, 0, 'watch'],
    [299.99, 0, 'watch'],
    [300, 0, 'step-up'],
    [99_999, 0, 'step-up'],
    [1e5, 0, 'quarantine'],
    [0, 2999.99, 'normal'],
    [0, 3000, 'step-up'],
    [0, 1e30, 'step-up']
  ] as const)('novelty %d and coherence %d: %s', (novelty, coherence, want) => {
    expect(tierOf(scoreOf(novelty, coherence, DRIFT_THRESHOLDS))).toBe(want)
  })
})
