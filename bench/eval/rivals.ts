/**
 * What others use against drift of embeddings, each with the threshold it comes with or the one that its authors would learn from the
 * baseline. Scores rise with suspicion; NaN where there is no score yet.
 */
import { dot, meanOf, unit } from './data-set.ts'
import { diceFor } from './dice.ts'
import {
  classifierAreas,
  driftedShares,
  meanShifts,
  mmdScores,
  pradaScores,
  type Sketcher,
  type WindowReference,
  windowReference
} from './rival-windows.ts'
import type { Stream } from './streams.ts'

export const RIVALS = [
  'centroid distance, q99.9',
  'kNN(5) distance, q99.9',
  'CUSUM on kNN, h = 10',
  'MMD, window 50, 1 %',
  'centroid shift, window 50',
  'domain classifier, AUC > .55',
  'drifted dimensions > .2',
  'PRADA, 1 - W > .05',
  'PRADA, conformal',
  'rate limit, 90 in 60 s'
] as const
export type RivalName = (typeof RIVALS)[number]

export interface Rival {
  readonly threshold: number
  readonly scores: (stream: Stream) => Float64Array
}

const NEIGHBOURS = 5
const [CUSUM_SLACK, CUSUM_LIMIT] = [0.5, 10]
const [WINDOW, WINDOWS] = [50, 60]
const RATE_MS = 60_000

/**
 * Thresholds come from one half of the baseline, held against the other; then all of it is the reference.
 * @param inOrder the baseline as it was asked
 */
export function rivalsFrom(
  baseline: readonly Float32Array[],
  inOrder: readonly Float32Array[],
  sketcher: Sketcher,
  seed: number
): Record<RivalName, Rival> {
  const dice = diceFor(seed, 'rivals', baseline.length)
  const mixed = dice.shuffled(baseline)
  const [reference, held] = [mixed.slice(0, mixed.length >> 1), mixed.slice(mixed.length >> 1)]
  const half = windowReference(reference, sketcher, dice)
  const whole = windowReference(baseline, sketcher, dice)
  const windows = Array.from({ length: WINDOWS }, () => dice.shuffled(held).slice(0, WINDOW))
  const worst = (score: (vectors: readonly Float32Array[], from: WindowReference) => Float64Array) =>
    quantile(
      windows.map((vectors) => score(vectors, half).at(-1) as number),
      0.99
    )
  const centre = (vectors: readonly Float32Array[]) => unit(meanOf(vectors))
  const distances = (vectors: readonly Float32Array[], to: Float32Array) => Float64Array.from(vectors, (vector) => 1 - dot(vector, to))
  const nearest = (vectors: readonly Float32Array[], to: readonly Float32Array[]) =>
    Float64Array.from(vectors, (vector) => 1 - neighbour(vector, to))
  const heldNearest = nearest(held, reference)
  const own = centre(baseline)
  return {
    'centroid distance, q99.9': {
      threshold: quantile(distances(held, centre(reference)), 0.999),
      scores: ({ vectors }) => distances(vectors, own)
    },
    'kNN(5) distance, q99.9': { threshold: quantile(heldNearest, 0.999), scores: ({ vectors }) => nearest(vectors, baseline) },
    'CUSUM on kNN, h = 10': { threshold: CUSUM_LIMIT, scores: ({ vectors }) => cusum(nearest(vectors, baseline), heldNearest) },
    'MMD, window 50, 1 %': { threshold: worst(mmdScores), scores: ({ vectors }) => mmdScores(vectors, whole) },
    'centroid shift, window 50': { threshold: worst(meanShifts), scores: ({ vectors }) => meanShifts(vectors, whole) },
    'domain classifier, AUC > .55': { threshold: 0.55, scores: ({ vectors }) => classifierAreas(vectors, whole) },
    'drifted dimensions > .2': { threshold: 0.2, scores: ({ vectors }) => driftedShares(vectors, whole) },
    'PRADA, 1 - W > .05': { threshold: 0.05, scores: ({ vectors }) => pradaScores(vectors) },
    // The smallest p-value that there is: farther from normal than any window of the baseline.
    'PRADA, conformal': {
      threshold: Math.max(0, ...pradaScores(inOrder).filter(Number.isFinite)),
      scores: ({ vectors }) => pradaScores(vectors)
    },
    'rate limit, 90 in 60 s': { threshold: 90, scores: ({ times }) => inLastMinute(times) }
  }
}

/** How alike the fifth nearest is. */
function neighbour(vector: Float32Array, to: readonly Float32Array[]): number {
  const best = new Float64Array(NEIGHBOURS).fill(-2)
  for (const other of to) {
    const alike = dot(vector, other)
    if (alike <= (best[NEIGHBOURS - 1] as number)) continue
    let at = NEIGHBOURS - 1
    for (; at > 0 && (best[at - 1] as number) < alike; at--) best[at] = best[at - 1] as number
    best[at] = alike
  }
  return best[NEIGHBOURS - 1] as number
}

function cusum(values: Float64Array, usual: Float64Array): Float64Array {
  const mean = usual.reduce((sum, value) => sum + value, 0) / usual.length
  const deviation = Math.sqrt(usual.reduce((sum, value) => sum + (value - mean) ** 2, 0) / usual.length)
  let sum = 0
  return values.map((value) => {
    sum = Math.max(0, sum + (value - mean) / deviation - CUSUM_SLACK)
    return sum
  })
}

function inLastMinute(times: readonly number[]): Float64Array {
  let first = 0
  return Float64Array.from(times, (time, at) => {
    while ((times[first] as number) < time - RATE_MS) first++
    return at - first + 1
  })
}

function quantile(values: ArrayLike<number>, share: number): number {
  const sorted = Float64Array.from(values).sort()
  const at = share * (sorted.length - 1)
  const low = sorted[Math.floor(at)] as number
  return low + (at - Math.floor(at)) * ((sorted[Math.ceil(at)] as number) - low)
}
