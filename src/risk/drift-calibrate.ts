/** Queries of a draft as sketches and scores, and the counts that come of them: p-values, near-duplicates and the burst correction. */
import {
  type BaselineCounts,
  BETS,
  CHANNELS,
  type DriftDraft,
  FOLDED_DIMENSIONS,
  HISTOGRAM_BINS,
  SCORES,
  SKETCH_DIMENSIONS
} from '../core/drift.ts'
import { addBets, type BetTable, NEAR_HIT, NOVELTY_SCORES, slotOf } from './drift-bets.ts'
import { type Bursts, burstsOf } from './drift-learn.ts'
import { addBlock, addBurst, BLOCK_BURSTS, LUNDBERG_FLOATS } from './drift-lundberg.ts'
import { nearSlot } from './drift-near.ts'
import { distances, endBurst, isRepeat, newRings, noDistances, pushRow } from './drift-rings.ts'
import { type Codebook, novelty, standardise } from './drift-score.ts'
import { quantise, type ReadySpace, sketchFolded } from './drift-sketch.ts'
import type { Kernel } from './kernel.ts'

export interface Material extends Bursts {
  readonly queries: number
  /** Unit vectors. */
  readonly sketches: Float32Array
  readonly residuals: Float64Array
  /** Per query all scores: novelty, by `scoreRow`, and the three distances, by `compareBursts`; NaN for none. */
  readonly scores: Float64Array
  readonly near: Int8Array
  /** 1 for exact repeats, which count nowhere. */
  readonly repeats: Uint8Array
}

/** @throws RangeError when the draft was folded for another space */
export function materialOf(draft: DriftDraft, space: ReadySpace, kernel: Kernel): Material {
  const { form, dimensions, seed } = space.space
  if (draft.form !== form || draft.dimensions !== dimensions || draft.seed !== seed)
    throw new RangeError(`the draft does not belong to space ${space.space.version}`)
  const { queries } = draft
  const material: Material = {
    ...burstsOf(draft),
    queries,
    sketches: new Float32Array(queries * SKETCH_DIMENSIONS),
    residuals: new Float64Array(queries),
    scores: new Float64Array(queries * SCORES.length).fill(Number.NaN),
    near: new Int8Array(queries).fill(-1),
    repeats: new Uint8Array(queries)
  }
  const columns = Math.min(dimensions, FOLDED_DIMENSIONS)
  for (let row = 0; row < queries; row++) {
    const bytes = draft.rows.subarray(row * columns, (row + 1) * columns)
    material.residuals[row] = sketchFolded(bytes, draft.scales[row] as number, space, kernel)
    material.sketches.set(kernel.sketch, row * SKETCH_DIMENSIONS)
  }
  return material
}

/** Fills in the distances of each query, each workload with rings of its own, as it will be judged. */
export function compareBursts(material: Material, draft: DriftDraft, kernel: Kernel): void {
  const bytes = new Int8Array(SKETCH_DIMENSIONS)
  const out = noDistances()
  let [rings, workload] = [newRings(), -1]
  for (const burst of material.bursts) {
    if (burst.workload !== workload) {
      rings = newRings()
      workload = burst.workload
    }
    endBurst(rings)
    for (const row of burst.rows) {
      const digest = { low: draft.digests[2 * row] as number, high: draft.digests[2 * row + 1] as number }
      if (isRepeat(rings, digest)) {
        material.repeats[row] = 1
        continue
      }
      const scale = quantise(sketchAt(material, row), bytes)
      distances(rings, bytes, scale, kernel, out)
      material.scores.set([out.inBurst, out.across, out.successive], row * SCORES.length + NOVELTY_SCORES)
      material.near[row] = nearSlot(out)
      pushRow(rings, bytes, scale, digest)
    }
  }
}

export function sketchAt({ sketches }: Material, row: number): Float32Array {
  return sketches.subarray(row * SKETCH_DIMENSIONS, (row + 1) * SKETCH_DIMENSIONS)
}

/** Fills in the standardised novelty scores of one query and returns its centroid. */
export function scoreRow(material: Material, row: number, codebook: Codebook, norms: Float32Array, kernel: Kernel): number {
  const scores = material.scores.subarray(row * SCORES.length, row * SCORES.length + NOVELTY_SCORES)
  kernel.sketch.set(sketchAt(material, row))
  const centroid = novelty(codebook, material.residuals[row] as number, kernel, scores)
  standardise(scores, norms, centroid)
  return centroid
}

export function newCounts(centroids: number): BaselineCounts {
  return {
    centroids: new Uint32Array(centroids),
    histograms: new Uint32Array(SCORES.length * (HISTOGRAM_BINS + 1)),
    queries: 0,
    nearDuplicates: 0,
    compared: 0,
    bursts: 0,
    blocks: 0,
    lundberg: new Float32Array(LUNDBERG_FLOATS)
  }
}

/** Per query and channel its slot, -1 for none. */
export function slotsOf({ scores, near, repeats, queries }: Material, ranges: Float32Array): Int16Array {
  const slots = new Int16Array(queries * CHANNELS.length).fill(-1)
  for (let row = 0; row < queries; row++) {
    if (repeats[row] === 1) continue
    for (let score = 0; score < SCORES.length; score++)
      slots[row * CHANNELS.length + score] = slotOf(score, scores[row * SCORES.length + score] as number, ranges)
    slots[row * CHANNELS.length + SCORES.length] = near[row] as number
  }
  return slots
}

export function countSlots(counts: BaselineCounts, slots: Int16Array): void {
  for (let at = 0; at < slots.length; at += CHANNELS.length) {
    const near = slots[at + SCORES.length] as number
    if ((slots[at] as number) >= 0) counts.queries++
    if (near >= 0) counts.compared++
    if (near === NEAR_HIT) counts.nearDuplicates++
    for (let score = 0; score < SCORES.length; score++) {
      const slot = slots[at + score] as number
      if (slot < 0) continue
      // Below the range there is no bin: the lowest one takes it.
      const bin = score * (HISTOGRAM_BINS + 1) + Math.max(0, slot - 1)
      counts.histograms[bin] = (counts.histograms[bin] as number) + 1
    }
  }
}

/** Sums of log bets over bursts, and over blocks of consecutive bursts of one workload. @param bets untempered */
export function countBursts(counts: BaselineCounts, { bursts }: Bursts, slots: Int16Array, bets: BetTable): void {
  let block = new Float64Array(BETS)
  let [inBlock, workload] = [0, -1]
  for (const burst of bursts) {
    const sums = new Float64Array(BETS)
    for (const row of burst.rows) addBets(bets, slots.subarray(row * CHANNELS.length, (row + 1) * CHANNELS.length), sums)
    addBurst(counts, sums)
    if (burst.workload !== workload) [block, inBlock, workload] = [new Float64Array(BETS), 0, burst.workload]
    block = block.map((sum, bet) => sum + (sums[bet] as number))
    if (++inBlock === BLOCK_BURSTS) {
      addBlock(counts, block)
      ;[block, inBlock] = [new Float64Array(BETS), 0]
    }
  }
}
