/**
 * New neighbourhoods on probation. What lies outside the baseline is never learnt by itself; it is gathered, with who supports it,
 * and a person approves it or not (docs/drift.md, Learning).
 */
import { ADOPTED_MAX, type Baseline, CENTROIDS_MAX, type Outlier, type Points, SKETCH_DIMENSIONS } from '../core/drift.ts'
import type { Probation, ProbationaryNeighbourhood } from '../core/drift-learning.ts'
import { NOVELTY_SCORES } from './drift-bets.ts'
import { NORM_FLOATS } from './drift-score.ts'
import { quantise } from './drift-sketch.ts'

const NEIGHBOURHOODS_MAX = 16
/** Workloads named per neighbourhood: enough to see that it is not one alone. */
const SUPPORTERS_MAX = 16
const SUPPORTERS_MIN = 3
const QUERIES_MIN = 6
const SHARE_MAX = 0.6

export function newProbation(baseline: Baseline): Probation {
  return { version: baseline.version, neighbourhoods: [] }
}

/**
 * Adds the outliers of a call in place. Only of workloads that are calm (below `watch`) or have just answered a step-up: the caller
 * sees to that.
 *
 * @param baseline of the same version; gives the distance within which a query joins
 */
export function propose(probation: Probation, baseline: Baseline, workload: string, outliers: readonly Outlier[], at: number): void {
  for (const outlier of outliers) {
    const joined = probation.neighbourhoods.find((one) => distanceOf(one, outlier) <= reachOf(baseline.joinDistance, one.queries))
    if (joined !== undefined) join(joined, workload, outlier, at)
    else open(probation, workload, outlier, at)
  }
}

/**
 * How far from the mean direction of so many members another one may be, when each may be `distance` from the true centre: the mean
 * of a few is itself off the centre.
 */
function reachOf(distance: number, members: number): number {
  const square = (1 - distance) ** 2
  return 1 - (members * square) / Math.sqrt(members + members * (members - 1) * square)
}

function distanceOf({ sum }: ProbationaryNeighbourhood, { row, scale }: Outlier): number {
  let [product, square] = [0, 0]
  for (let part = 0; part < SKETCH_DIMENSIONS; part++) {
    product += (sum[part] as number) * (row[part] as number)
    square += (sum[part] as number) ** 2
  }
  return square > 0 ? 1 - (product * scale) / Math.sqrt(square) : 2
}

function note({ sums, squares }: ProbationaryNeighbourhood, values: readonly number[]): void {
  values.forEach((value, at) => {
    sums[at] = (sums[at] as number) + value
    squares[at] = (squares[at] as number) + value * value
  })
}

function join(one: ProbationaryNeighbourhood, workload: string, outlier: Outlier, at: number): void {
  const distance = distanceOf(one, outlier)
  for (let part = 0; part < SKETCH_DIMENSIONS; part++)
    one.sum[part] = (one.sum[part] as number) + (outlier.row[part] as number) * outlier.scale
  one.queries++
  note(one, [distance, outlier.background, outlier.residual])
  one.lastAt = Math.max(one.lastAt, at)
  const supported = one.supporters.get(workload)
  if (supported !== undefined || one.supporters.size < SUPPORTERS_MAX) one.supporters.set(workload, (supported ?? 0) + 1)
}

/** When there is no room, the least supported gives way; among equals the one that was quiet longest. */
function open(probation: Probation, workload: string, outlier: Outlier, at: number): void {
  const { neighbourhoods } = probation
  if (neighbourhoods.length >= NEIGHBOURHOODS_MAX) {
    const least = neighbourhoods.reduce((weakest, one) =>
      one.supporters.size < weakest.supporters.size ||
      (one.supporters.size === weakest.supporters.size &&
        (one.queries < weakest.queries || (one.queries === weakest.queries && one.lastAt < weakest.lastAt)))
        ? one
        : weakest
    )
    neighbourhoods.splice(neighbourhoods.indexOf(least), 1)
  }
  const sum = Float32Array.from(outlier.row, (byte) => byte * outlier.scale)
  const one: ProbationaryNeighbourhood = {
    sum,
    queries: 1,
    sums: new Float64Array(NOVELTY_SCORES),
    squares: new Float64Array(NOVELTY_SCORES),
    firstAt: at,
    lastAt: at,
    supporters: new Map([[workload, 1]])
  }
  note(one, [0, outlier.background, outlier.residual])
  neighbourhoods.push(one)
}

/** Ready for a person's look: several workloads, several queries, none of them the voice of most. Most supported first. */
export function candidatesOf({ neighbourhoods }: Probation): ProbationaryNeighbourhood[] {
  return neighbourhoods
    .filter(({ supporters, queries }) => {
      const most = Math.max(...supporters.values())
      return supporters.size >= SUPPORTERS_MIN && queries >= QUERIES_MIN && most <= SHARE_MAX * queries
    })
    .sort((one, other) => other.supporters.size - one.supporters.size || other.queries - one.queries)
}

/**
 * The baseline with one more neighbourhood, on a person's word: a new version, whose counts stay because the old queries still have
 * the scores they had or better ones.
 *
 * @throws RangeError when it is full, or the neighbourhood belongs to another version
 */
export function adopt(baseline: Baseline, probation: Probation, one: ProbationaryNeighbourhood, version: string, at: number): Baseline {
  if (probation.version !== baseline.version) throw new RangeError(`the proposal is for ${probation.version}, not ${baseline.version}`)
  const count = baseline.centroids.scales.length
  if (count >= CENTROIDS_MAX + ADOPTED_MAX) throw new RangeError(`baseline ${baseline.version} has ${count} neighbourhoods; no more fit`)
  const row = new Int8Array(SKETCH_DIMENSIONS)
  const scale = quantise(one.sum, row)
  const centroids: Points = {
    rows: Int8Array.from([...baseline.centroids.rows, ...row]),
    scales: Float32Array.from([...baseline.centroids.scales, scale])
  }
  const norms = Float32Array.from([...baseline.norms, ...normsOfNew(baseline, one)])
  const counts = { ...baseline.counts, centroids: Uint32Array.from([...baseline.counts.centroids, one.queries]) }
  return { ...baseline, version, frozenAt: at, centroids, norms, counts }
}

/**
 * What is usual around the new centroid: the mean of its few members, whom a person vouched for, and their spread or that of the
 * other centroids, whichever is wider.
 */
function normsOfNew(baseline: Baseline, { sums, squares, queries }: ProbationaryNeighbourhood): number[] {
  const pooled = meanNorms(baseline)
  const meanOf = (score: number, n: number) => (sums[score] as number) / n
  const spreadOf = (score: number, n: number) => Math.sqrt(Math.max(0, (squares[score] as number) / n - meanOf(score, n) ** 2))
  // The first member had nothing to join.
  const joined = Math.max(1, queries - 1)
  const [distance, distanceSpread] = [meanOf(0, joined), spreadOf(0, joined)]
  const relative = Number.isNaN(sums[1]) ? distance : meanOf(1, queries) - 1 + distance
  const relativeSpread = Number.isNaN(sums[1]) ? distanceSpread : Math.hypot(spreadOf(1, queries), distanceSpread)
  const wider = (own: number, at: number) => Math.max(own, pooled[at] as number)
  return [distance, wider(distanceSpread, 1), relative, wider(relativeSpread, 3), meanOf(2, queries), wider(spreadOf(2, queries), 5)]
}

/** Norms of the centroids, weighted by their queries. */
function meanNorms({ norms, counts }: Baseline): number[] {
  const total = Math.max(
    1,
    counts.centroids.reduce((sum, members) => sum + members, 0)
  )
  return Array.from({ length: NORM_FLOATS }, (_, at) =>
    counts.centroids.reduce((sum, members, centroid) => sum + (members / total) * (norms[centroid * NORM_FLOATS + at] as number), 0)
  )
}
