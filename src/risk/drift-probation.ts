/**
 * New neighbourhoods on probation. What lies outside the baseline is never learnt by itself; it is gathered, with who supports it,
 * and a person approves it or not (docs/drift.md, Learning).
 */
import { ADOPTED_MAX, type Baseline, CENTROIDS_MAX, type Outlier, type Points, SKETCH_DIMENSIONS } from '../core/drift.ts'
import type { Probation, ProbationaryNeighbourhood, ProbationSums, Support } from '../core/drift-learning.ts'
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
 * Adds the outliers of a call in place. Only of workloads that stand normal, and of those that were raised and vouched for: the caller
 * sees to that.
 *
 * @param baseline of the same version; gives the distance within which a query joins
 * @param raisedAt when the workload was last slowed, challenged or quarantined: since the neighbourhood began, what it supports is shown
 * and does not count
 */
export function propose(
  probation: Probation,
  baseline: Baseline,
  workload: string,
  outliers: readonly Outlier[],
  at: number,
  raisedAt = Number.NEGATIVE_INFINITY
): void {
  for (const outlier of outliers) {
    const joined = probation.neighbourhoods.find((one) => distanceOf(one, outlier) <= reachOf(baseline.joinDistance, one.queries))
    const one = joined ?? open(probation, at)
    const values = [joined === undefined ? 0 : distanceOf(one, outlier), outlier.background, outlier.residual]
    add(one, outlier, values)
    one.lastAt = Math.max(one.lastAt, at)
    const raised = raisedAt >= one.firstAt
    const support = supportOf(one, workload, raised)
    if (support === undefined) continue
    add(support, outlier, values)
    support.raised ||= raised
  }
}

/** A workload was raised: what it supports so far does not count either, or a burst would speak for itself until it is noticed. */
export function doubt({ neighbourhoods }: Probation, workload: string): void {
  for (const { supporters } of neighbourhoods) {
    const support = supporters.get(workload)
    if (support !== undefined) support.raised = true
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

function distanceOf({ sum }: ProbationSums, { row, scale }: Outlier): number {
  let [product, square] = [0, 0]
  for (let part = 0; part < SKETCH_DIMENSIONS; part++) {
    product += (sum[part] as number) * (row[part] as number)
    square += (sum[part] as number) ** 2
  }
  return square > 0 ? 1 - (product * scale) / Math.sqrt(square) : 2
}

function newSums(): ProbationSums {
  return {
    sum: new Float32Array(SKETCH_DIMENSIONS),
    queries: 0,
    sums: new Float64Array(NOVELTY_SCORES),
    squares: new Float64Array(NOVELTY_SCORES)
  }
}

function add(to: ProbationSums, { row, scale }: Outlier, values: readonly number[]): void {
  for (let part = 0; part < SKETCH_DIMENSIONS; part++) to.sum[part] = (to.sum[part] as number) + (row[part] as number) * scale
  to.queries++
  values.forEach((value, at) => {
    to.sums[at] = (to.sums[at] as number) + value
    to.squares[at] = (to.squares[at] as number) + value * value
  })
}

/** Where all places are taken, one that does not count gives way to one that does. */
function supportOf({ supporters }: ProbationaryNeighbourhood, workload: string, raised: boolean): Support | undefined {
  const found = supporters.get(workload)
  if (found !== undefined) return found
  if (supporters.size >= SUPPORTERS_MAX) {
    const gives = raised ? undefined : [...supporters].find(([, one]) => one.raised)?.[0]
    if (gives === undefined) return undefined
    supporters.delete(gives)
  }
  const support: Support = { ...newSums(), raised }
  supporters.set(workload, support)
  return support
}

/** When there is no room, the least supported gives way; among equals the one that was quiet longest. */
function open({ neighbourhoods }: Probation, at: number): ProbationaryNeighbourhood {
  if (neighbourhoods.length >= NEIGHBOURHOODS_MAX) {
    const least = neighbourhoods.reduce((weakest, one) => (moreSupported(weakest, one) > 0 ? one : weakest))
    neighbourhoods.splice(neighbourhoods.indexOf(least), 1)
  }
  const one: ProbationaryNeighbourhood = { ...newSums(), firstAt: at, lastAt: at, supporters: new Map() }
  neighbourhoods.push(one)
  return one
}

/** Above 0 when `one` has more support than `other`. */
function moreSupported(one: ProbationaryNeighbourhood, other: ProbationaryNeighbourhood): number {
  return countedOf(one).size - countedOf(other).size || one.queries - other.queries || one.lastAt - other.lastAt
}

/** The supporters that count. */
function countedOf({ supporters }: ProbationaryNeighbourhood): Map<string, Support> {
  return new Map([...supporters].filter(([, { raised }]) => !raised))
}

/** Several workloads, several queries, none of them the voice of most. */
function isBroad(supporters: ReadonlyMap<string, ProbationSums>): boolean {
  const queries = [...supporters.values()].map((one) => one.queries)
  const all = queries.reduce((sum, count) => sum + count, 0)
  return supporters.size >= SUPPORTERS_MIN && all >= QUERIES_MIN && Math.max(...queries) <= SHARE_MAX * all
}

/** Enough workloads that were never raised since it began speak for it. */
export function isSupported(one: ProbationaryNeighbourhood): boolean {
  return isBroad(countedOf(one))
}

/** Ready for a person's look: whatever was asked for by several. Those that enough speak for come first. */
export function candidatesOf({ neighbourhoods }: Probation): ProbationaryNeighbourhood[] {
  return neighbourhoods
    .filter((one) => isSupported(one) || isBroad(one.supporters))
    .sort((one, other) => Number(isSupported(other)) - Number(isSupported(one)) || moreSupported(other, one))
}

/** In a sentence, why a person must insist; undefined where it is supported. */
export function doubtsAbout(one: ProbationaryNeighbourhood): string | undefined {
  if (isSupported(one)) return undefined
  const raised = [...one.supporters].flatMap(([workload, support]) => (support.raised ? [workload] : []))
  const counted = one.supporters.size - raised.length
  return (
    `${counted} of ${one.supporters.size} workloads speak for it, and it takes ${SUPPORTERS_MIN} with ${QUERIES_MIN} queries, ` +
    `none with more than ${100 * SHARE_MAX} %: ${raised.join(', ')} was slowed, challenged or quarantined since it began`
  )
}

/** What becomes normal: the queries of those who count, or where a person insists and they are not enough, of all who are named. */
function adoptedSums(one: ProbationaryNeighbourhood): ProbationSums {
  const total = newSums()
  for (const part of (isSupported(one) ? countedOf(one) : one.supporters).values()) {
    part.sum.forEach((value, at) => {
      total.sum[at] = (total.sum[at] as number) + value
    })
    total.queries += part.queries
    part.sums.forEach((value, at) => {
      total.sums[at] = (total.sums[at] as number) + value
      total.squares[at] = (total.squares[at] as number) + (part.squares[at] as number)
    })
  }
  return total
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
  const sums = adoptedSums(one)
  const scale = quantise(sums.sum, row)
  const centroids: Points = {
    rows: Int8Array.from([...baseline.centroids.rows, ...row]),
    scales: Float32Array.from([...baseline.centroids.scales, scale])
  }
  const norms = Float32Array.from([...baseline.norms, ...normsOfNew(baseline, sums)])
  const counts = { ...baseline.counts, centroids: Uint32Array.from([...baseline.counts.centroids, sums.queries]) }
  return { ...baseline, version, frozenAt: at, centroids, norms, counts }
}

/**
 * What is usual around the new centroid: the mean of its few members, whom a person vouched for, and their spread or that of the
 * other centroids, whichever is wider.
 */
function normsOfNew(baseline: Baseline, { sums, squares, queries }: ProbationSums): number[] {
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
