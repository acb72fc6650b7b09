/** Makes a baseline of what was learnt: codebook, normalisers, calibration by cross-fitting over bursts, and burst correction. */
import {
  BACKGROUND_MAX,
  type Background,
  type Baseline,
  CENTROIDS_MAX,
  type DriftDraft,
  HISTOGRAM_BINS,
  type Points,
  SCORES,
  SKETCH_DIMENSIONS
} from '../core/drift.ts'
import { DRAFT_QUERIES_MIN } from '../core/drift-learning.ts'
import { betTable, NOVELTY_SCORES, slotPValues } from './drift-bets.ts'
import {
  compareBursts,
  countBursts,
  countSlots,
  type Material,
  materialOf,
  newCounts,
  scoreRow,
  sketchAt,
  slotsOf
} from './drift-calibrate.ts'
import { cluster } from './drift-cluster.ts'
import { FOLDS, foldsOf } from './drift-learn.ts'
import { NO_BACKGROUND, type ReadyBaseline } from './drift-ready.ts'
import { type Codebook, codebookOf, DEVIATION_MIN, NORM_FLOATS, novelty } from './drift-score.ts'
import { pointsFloats, pointsOf, type ReadySpace, readySpace } from './drift-sketch.ts'
import { carried } from './drift-space.ts'
import type { Kernel } from './kernel.ts'

export interface FreezeOptions {
  readonly space: ReadySpace
  readonly background?: Background
  /** Names this codebook; another one must have another name. */
  readonly version: string
  readonly frozenAt: number
  readonly seed: number
  readonly kernel: Kernel
}

/** Fewer have no fold to hold back. */
const BURSTS_LEAST = 4
/** Queries for one neighbourhood. */
const QUERIES_PER_CENTROID = 8
/** Pooled values count like so many queries of a centroid. */
const PRIOR = 10
const JOIN_SHARE = 0.95
/** So that the largest calibration score lies in the last bin, not beyond it. */
const RANGE_SLACK = 1e-6

/** @throws RangeError when there is too little to learn from, or it is of another space */
export function freeze(draft: DriftDraft, options: FreezeOptions): Baseline {
  const { space, kernel, seed, version, frozenAt, background = NO_BACKGROUND } = options
  const material = materialOf(draft, space, kernel)
  const count = Math.min(CENTROIDS_MAX, Math.floor(material.queries / QUERIES_PER_CENTROID))
  if (material.queries < DRAFT_QUERIES_MIN || material.bursts.length < BURSTS_LEAST)
    throw new RangeError(
      `${material.queries} queries in ${material.bursts.length} bursts are too few: ${DRAFT_QUERIES_MIN} in ${BURSTS_LEAST} at least`
    )
  const distances = crossFit(draft, material, count, background.points, options)
  const ranges = rangesOf(material)
  const all = Array.from({ length: material.queries }, (_, row) => row)
  const fit = fitCodebook(material, all, count, background.points, seed + FOLDS, kernel)
  const counts = newCounts(fit.codebook.centroids)
  counts.centroids.set(fit.members)
  const slots = slotsOf(material, ranges)
  countSlots(counts, slots)
  countBursts(counts, material, slots, betTable(counts, slotPValues(counts)))
  return {
    format: 2,
    key: draft.key,
    version,
    space: space.space.version,
    background: background.version,
    frozenAt,
    gapMs: material.gapMs,
    centroids: fit.centroids,
    norms: fit.norms,
    ranges,
    joinDistance: distances[Math.floor(JOIN_SHARE * distances.length)] ?? 0,
    counts
  }
}

/**
 * Scores of each query come from a codebook, and where there are such from a space, that have not seen its burst. Returns the
 * distances to the nearest centroid in ascending order.
 */
function crossFit(draft: DriftDraft, material: Material, count: number, background: Points, options: FreezeOptions): number[] {
  const distances: number[] = []
  const { space, kernel, seed } = options
  const known = draft.heldOf === space.space.version
  const fresh = foldsOf(material.bursts)
  // What was learnt after the space was fitted was held back from all.
  const folds = material.bursts.map(({ rows }, at) => (known ? draft.folds[rows[0] as number] : undefined) ?? (fresh[at] as number))
  for (let fold = 0; fold < FOLDS; fold++) {
    if (!folds.includes(fold)) continue
    const held = known ? draft.held[fold] : undefined
    const own = held === undefined ? space : readySpace(held)
    const part = materialOf(draft, own, kernel)
    compareBursts(part, draft, kernel)
    const rows = (inside: boolean) => part.bursts.flatMap((burst, at) => ((folds[at] === fold) === inside ? burst.rows : []))
    const others = rows(false)
    // One workload with all the bursts of a fold, and nothing else: there is no codebook without it.
    const from = others.length === 0 ? rows(true) : others
    const { codebook, norms } = fitCodebook(part, from, count, carried(background, space.space, own.space), seed + fold, kernel)
    for (const row of rows(true)) {
      const at = NORM_FLOATS * scoreRow(part, row, codebook, norms, kernel)
      distances.push((part.scores[row * SCORES.length] as number) * (norms[at + 1] as number) + (norms[at] as number))
      copyRow(part, material, row)
    }
  }
  return distances.sort((a, b) => a - b)
}

function copyRow(from: Material, to: Material, row: number): void {
  to.scores.set(from.scores.subarray(row * SCORES.length, (row + 1) * SCORES.length), row * SCORES.length)
  to.near[row] = from.near[row] as number
  to.repeats[row] = from.repeats[row] as number
}

interface Fit {
  readonly centroids: Points
  readonly codebook: Codebook
  readonly norms: Float32Array
  readonly members: Uint32Array
}

function fitCodebook(material: Material, rows: readonly number[], count: number, background: Points, seed: number, kernel: Kernel): Fit {
  const sketches = new Float32Array(rows.length * SKETCH_DIMENSIONS)
  rows.forEach((row, at) => {
    sketches.set(sketchAt(material, row), at * SKETCH_DIMENSIONS)
  })
  // Bytes first: scores are computed with the centroids that are kept.
  const centroids = pointsOf(cluster(sketches, count, seed, kernel))
  const codebook = codebookOf(centroids, background)
  const scores = new Float64Array(rows.length * NOVELTY_SCORES)
  const nearest = rows.map((row, at) => {
    kernel.sketch.set(sketchAt(material, row))
    return novelty(codebook, material.residuals[row] as number, kernel, scores.subarray(at * NOVELTY_SCORES, (at + 1) * NOVELTY_SCORES))
  })
  const members = new Uint32Array(codebook.centroids)
  for (const centroid of nearest) members[centroid] = (members[centroid] as number) + 1
  return { centroids, codebook, norms: normsOf(scores, nearest, members), members }
}

/** Mean and standard deviation of each score around each centroid, shrunk to the pooled ones. */
export function normsOf(scores: Float64Array, nearest: readonly number[], members: Uint32Array): Float32Array {
  const norms = new Float32Array(members.length * NORM_FLOATS)
  for (let score = 0; score < NOVELTY_SCORES; score++) {
    const values = nearest.map((_, at) => scores[at * NOVELTY_SCORES + score] as number)
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length
    const means = Float64Array.from(members, () => PRIOR * mean)
    values.forEach((value, at) => {
      addAt(means, nearest[at] as number, value)
    })
    members.forEach((n, centroid) => {
      means[centroid] = (means[centroid] as number) / (n + PRIOR)
    })
    const squares = Float64Array.from(members, () => PRIOR * variance)
    values.forEach((value, at) => {
      addAt(squares, nearest[at] as number, (value - (means[nearest[at] as number] as number)) ** 2)
    })
    members.forEach((n, centroid) => {
      norms[centroid * NORM_FLOATS + 2 * score] = means[centroid] as number
      norms[centroid * NORM_FLOATS + 2 * score + 1] = Math.max(DEVIATION_MIN, Math.sqrt((squares[centroid] as number) / (n + PRIOR)))
    })
  }
  return norms
}

function addAt(sums: Float64Array, at: number, value: number): void {
  sums[at] = (sums[at] as number) + value
}

function rangesOf({ scores, repeats, queries }: Material): Float32Array {
  const ranges = new Float32Array(2 * SCORES.length)
  for (let score = 0; score < SCORES.length; score++) {
    let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
    for (let row = 0; row < queries; row++) {
      const value = scores[row * SCORES.length + score] as number
      if (repeats[row] === 1 || Number.isNaN(value)) continue
      low = Math.min(low, value)
      high = Math.max(high, value)
    }
    if (low > high) [low, high] = [0, 1]
    ranges[2 * score] = low
    ranges[2 * score + 1] = (high + RANGE_SLACK - low) / HISTOGRAM_BINS
  }
  return ranges
}

/**
 * Counts of further queries, scored by a frozen baseline that has not learnt from them. Add them with `mergeBaselines`; replicas that
 * count different queries can be added up in any order.
 */
export function calibrate(ready: ReadyBaseline, draft: DriftDraft): Baseline {
  const { baseline, kernel, codebook, space } = ready
  const material = materialOf(draft, space, kernel)
  const counts = newCounts(codebook.centroids)
  for (let row = 0; row < material.queries; row++) addMember(counts.centroids, scoreRow(material, row, codebook, baseline.norms, kernel))
  const slots = slotsOf(material, baseline.ranges)
  countSlots(counts, slots)
  countBursts(counts, material, slots, betTable(baseline.counts, ready.pValues))
  return { ...baseline, counts }
}

function addMember(members: Uint32Array, centroid: number): void {
  members[centroid] = (members[centroid] as number) + 1
}

/** The centroids of the tenant's other baselines, an equal share of `BACKGROUND_MAX` of each. All of one space. */
export function backgroundOf(others: readonly Baseline[], kernel: Kernel): Background {
  const share = Math.min(24, Math.floor(BACKGROUND_MAX / Math.max(1, others.length)))
  if (others.length === 0 || share === 0) return NO_BACKGROUND
  const sorted = [...others].sort((one, other) => (one.version < other.version ? -1 : 1))
  const parts = sorted.map(({ centroids, counts }, at) => cluster(pointsFloats(centroids), share, at, kernel, counts.centroids))
  const floats = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0))
  let from = 0
  for (const part of parts) {
    floats.set(part, from)
    from += part.length
  }
  return { version: sorted.map(({ version }) => version).join(' '), points: pointsOf(floats) }
}
