/** Figures that the study's own code (numpy, double precision) gives for the same made-up numbers. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { BETS, BETS_PER_CHANNEL, HISTOGRAM_BINS, NOVELTY_BETS, SCORES, SKETCH_DIMENSIONS } from '../../src/core/drift.ts'
import { nearBets, SLOTS, shiftBets, slotOf, slotPValues, tailBets } from '../../src/risk/drift-bets.ts'
import { newCounts } from '../../src/risk/drift-calibrate.ts'
import { beginBurst, meanEvidence, newEvidence } from '../../src/risk/drift-evidence.ts'
import { normsOf } from '../../src/risk/drift-freeze.ts'
import { addBlock, addBurst, BLOCK_BURSTS, ratesOf } from '../../src/risk/drift-lundberg.ts'
import { distances, endBurst, newRings, noDistances, pushRow } from '../../src/risk/drift-rings.ts'
import { novelty, standardise } from '../../src/risk/drift-score.ts'
import { quantise } from '../../src/risk/drift-sketch.ts'
import { codebookBlock } from '../../src/risk/kernel.ts'
import { startKernel } from '../../src/risk/kernel-wasm.ts'
import { numbers, oneBehindTheOther, unitRows } from './drift-material.ts'

interface Golden {
  readonly tail: readonly [number, number[]][]
  readonly shift: readonly [number, number[]][]
  readonly near: readonly [number, number[], number[]][]
  readonly p: { readonly x: number[]; readonly tail: number[]; readonly mid: number[] }
  readonly rates: readonly (number | null)[]
  readonly norms: { readonly mean: number[][]; readonly sd: number[][]; readonly z: number[][] }
  readonly coherence: readonly [number | null, number | null][]
  readonly evidence: readonly [number, number][]
}

/** The study knew nothing of the distance to the query before: its bets, and where they are in ours. */
const STUDY_BETS = BETS - BETS_PER_CHANNEL
const SUCCESSIVE = SCORES.indexOf('successive') * BETS_PER_CHANNEL
const isOurs = (bet: number) => bet >= SUCCESSIVE && bet < SUCCESSIVE + BETS_PER_CHANNEL
const inStudy = (bet: number) => (bet < SUCCESSIVE ? bet : bet - BETS_PER_CHANNEL)

const golden = JSON.parse(readFileSync(new URL('drift-golden.json', import.meta.url), 'utf8')) as Golden

/** Largest difference of two lists of numbers of the same length. */
function apart(one: ArrayLike<number>, other: ArrayLike<number>): number {
  expect(one.length).toBe(other.length)
  return Math.max(...Array.from(one, (value, at) => Math.abs(value - (other[at] as number))))
}

describe('the same figures as the study', () => {
  it('bets', () => {
    for (const [p, want] of golden.tail) expect(apart(tailBets(p), want)).toBeLessThan(1e-6)
    for (const [q, want] of golden.shift) expect(apart(shiftBets(q), want)).toBeLessThan(1e-6)
    for (const [usual, miss, hit] of golden.near) {
      expect(apart(nearBets(false, usual), miss)).toBeLessThan(1e-6)
      expect(apart(nearBets(true, usual), hit)).toBeLessThan(1e-6)
    }
  })

  it('p-values, within one bin of the histogram: never smaller, and not larger than those of the bin below', () => {
    const [cubic, cal] = [numbers(12, 400), numbers(11, 400)]
    const values = cal.map((value, at) => value + 0.5 * (cubic[at] as number) ** 3)
    const low = Math.min(...values)
    const ranges = Float32Array.from(SCORES.flatMap(() => [low, (Math.max(...values) + 1e-6 - low) / HISTOGRAM_BINS]))
    const counts = newCounts(1)
    for (const value of values)
      for (let score = 0; score < SCORES.length; score++) {
        const bin = score * (HISTOGRAM_BINS + 1) + Math.max(0, slotOf(score, value, ranges) - 1)
        counts.histograms[bin] = (counts.histograms[bin] as number) + 1
      }
    const pValues = slotPValues(counts)
    const inBins = (score: number, value: number) => pValues[score * SLOTS + slotOf(score, value, ranges)] as number
    const width = ranges[1] as number
    const halfBin = Math.max(...counts.histograms) / 2 / 401
    golden.p.x.forEach((x, at) => {
      const exact = golden.p.tail[at] as number
      expect(inBins(0, x), `tail at ${x}`).toBeGreaterThanOrEqual(exact - 1e-6)
      expect(inBins(0, x + width), `tail at ${x}`).toBeLessThanOrEqual(exact + 1e-6)
      expect(Math.abs(inBins(3, x) - (golden.p.mid[at] as number)), `mid at ${x}`).toBeLessThanOrEqual(halfBin + 1e-6)
    })
  })

  it('burst corrections; where not even the smallest is fair, the bet is muted', () => {
    const bursts = 60
    const [a, b, c] = [21, 22, 23].map((seed) => numbers(seed, bursts * STUDY_BETS)) as [Float64Array, Float64Array, Float64Array]
    const along = (from: number, to: number, at: number) => from + ((to - from) * at) / (STUDY_BETS - 1)
    const sums = Array.from({ length: bursts }, (_, burst) =>
      Float64Array.from({ length: BETS }, (_, ours) => {
        const bet = inStudy(ours)
        const at = burst * STUDY_BETS + bet
        return ((a[at] as number) + (b[at] as number) + (c[at] as number)) * along(0.3, 6, bet) - along(0.2, 1.5, bet)
      })
    )
    const counts = newCounts(1)
    for (const burst of sums) addBurst(counts, burst)
    for (let from = 0; from + BLOCK_BURSTS <= bursts; from += BLOCK_BURSTS)
      addBlock(
        counts,
        Float64Array.from({ length: BETS }, (_, bet) =>
          sums.slice(from, from + BLOCK_BURSTS).reduce((sum, burst) => sum + (burst[bet] as number), 0)
        )
      )
    expect([...ratesOf(counts)].filter((_, bet) => !isOurs(bet))).toEqual(golden.rates.map((rate) => rate ?? 0))
    expect(new Set(golden.rates).size).toBeGreaterThan(5)
  })

  it('normalisers and standardised scores', () => {
    const kernel = startKernel()
    const queries = unitRows(numbers(31, 200 * SKETCH_DIMENSIONS), SKETCH_DIMENSIONS)
    const [own, other] = [32, 33].map((seed, at) => unitRows(numbers(seed, (at === 0 ? 8 : 5) * SKETCH_DIMENSIONS), SKETCH_DIMENSIONS))
    const codebook = { block: codebookBlock(oneBehindTheOther([...(own ?? []), ...(other ?? [])])), centroids: 8, all: 13 }
    const scores = new Float64Array(200 * 3)
    const nearest = queries.map((query, at) => {
      kernel.sketch.set(query)
      return novelty(codebook, 0.5, kernel, scores.subarray(3 * at, 3 * at + 3))
    })
    const members = new Uint32Array(8)
    for (const centroid of nearest) members[centroid] = (members[centroid] as number) + 1
    const norms = normsOf(scores, nearest, members)
    for (let centroid = 0; centroid < 8; centroid++) {
      const [mean, sd] = [golden.norms.mean[centroid] ?? [], golden.norms.sd[centroid] ?? []]
      const want = [mean[0], sd[0], mean[1], sd[1]].map(Number)
      expect(apart(norms.subarray(6 * centroid, 6 * centroid + 4), want)).toBeLessThan(1e-5)
    }
    golden.norms.z.forEach((want, at) => {
      const z = scores.slice(3 * at, 3 * at + 3)
      standardise(z, norms, nearest[at] as number)
      expect(apart(z.subarray(0, 2), want)).toBeLessThan(1e-3)
    })
  })

  it('distances inside and across bursts, and to the query before, within what a byte a dimension can hold', () => {
    const kernel = startKernel()
    const [centre, noise] = [numbers(41, SKETCH_DIMENSIONS), numbers(42, 60 * SKETCH_DIMENSIONS)]
    const rows = unitRows(
      noise.map((value, at) => (centre[at % SKETCH_DIMENSIONS] as number) + 0.35 * value),
      SKETCH_DIMENSIONS
    )
    const rings = newRings()
    const out = noDistances()
    rows.forEach((row, at) => {
      if (at % 9 === 0) endBurst(rings)
      const bytes = new Int8Array(SKETCH_DIMENSIONS)
      const scale = quantise(row, bytes)
      distances(rings, bytes, scale, kernel, out)
      pushRow(rings, bytes, scale, { low: at, high: at })
      const before = rows[at - 1]
      if (at % 9 === 0 || before === undefined) expect(out.successive).toBeNaN()
      else
        expect(Math.abs(out.successive - (1 - row.reduce((sum, value, part) => sum + value * (before[part] as number), 0)))).toBeLessThan(
          5e-3
        )
      const [inBurst, across] = (golden.coherence[at] ?? [null, null]).map((value) => value ?? Number.NaN) as [number, number]
      expect(Number.isNaN(out.inBurst), `query ${at}`).toBe(Number.isNaN(inBurst))
      expect(Number.isNaN(out.across), `query ${at}`).toBe(Number.isNaN(across))
      if (!Number.isNaN(inBurst)) expect(Math.abs(out.inBurst - inBurst)).toBeLessThan(2e-3)
      if (!Number.isNaN(across)) expect(Math.abs(out.across - across)).toBeLessThan(2e-3)
    })
  })

  it('evidence, query by query', () => {
    const logs = numbers(51, 60 * STUDY_BETS).map((value) => value * 1.2 - 0.2)
    const evidence = newEvidence()
    const rates = Float64Array.from({ length: BETS }, (_, bet) => (isOurs(bet) ? 0 : 1))
    golden.evidence.forEach(([wantNovelty, wantCoherence], at) => {
      if (at % 9 === 0) beginBurst(evidence, at, rates)
      for (let bet = 0; bet < BETS; bet++)
        evidence.logs[bet] = (evidence.logs[bet] as number) + (logs[at * STUDY_BETS + inStudy(bet)] as number)
      expect(meanEvidence(evidence, rates, 0, NOVELTY_BETS) / wantNovelty).toBeCloseTo(1, 5)
      // A muted channel counts as nothing in a mean that it belongs to.
      const [all, theirs] = [BETS - NOVELTY_BETS, STUDY_BETS - NOVELTY_BETS]
      expect((meanEvidence(evidence, rates, NOVELTY_BETS, BETS) * all) / theirs / wantCoherence).toBeCloseTo(1, 5)
    })
  })
})
