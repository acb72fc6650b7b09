/** How far a sketch is from a baseline: three scores, and the neighbourhood it is in (docs/drift.md, Novelty). */
import { type Points, SKETCH_DIMENSIONS } from '../core/drift.ts'
import { NOVELTY_SCORES } from './drift-bets.ts'
import { pointsFloats } from './drift-sketch.ts'
import { type CodebookBlock, codebookBlock, type Kernel } from './kernel.ts'

/** Means and standard deviations of the three scores. */
export const NORM_FLOATS = 2 * NOVELTY_SCORES
/** A baseline of identical queries has no spread; a standard deviation is at least this, so that z stays a number. */
export const DEVIATION_MIN = 1e-4

/** Centroids of a baseline, then those of the tenant's other ones. */
export interface Codebook {
  readonly block: CodebookBlock
  readonly centroids: number
  readonly all: number
}

export function codebookOf(centroids: Points, background: Points): Codebook {
  const floats = new Float32Array(centroids.rows.length + background.rows.length)
  floats.set(pointsFloats(centroids))
  floats.set(pointsFloats(background), centroids.rows.length)
  return { block: codebookBlock(floats), centroids: centroids.scales.length, all: floats.length / SKETCH_DIMENSIONS }
}

/**
 * Scores of the sketch in `kernel.sketch` into `out`: distance to the nearest centroid, how much nearer the background is, and the
 * residual energy. Without a background the second is the first. Returns the centroid.
 */
export function novelty(codebook: Codebook, residual: number, kernel: Kernel, out: Float64Array): number {
  kernel.compare(codebook.block)
  const { products } = kernel
  const { centroids, all } = codebook
  let [nearest, own, other] = [0, -2, -2]
  for (let at = 0; at < centroids; at++) {
    const product = products[at] as number
    if (product > own) {
      own = product
      nearest = at
    }
  }
  for (let at = centroids; at < all; at++) if ((products[at] as number) > other) other = products[at] as number
  out[0] = 1 - own
  out[1] = all > centroids ? other - own : 1 - own
  out[2] = residual
  return nearest
}

/** Standardises the scores in place by what is usual around the centroid. */
export function standardise(scores: Float64Array, norms: Float32Array, centroid: number): void {
  for (let score = 0; score < NOVELTY_SCORES; score++) {
    const at = centroid * NORM_FLOATS + 2 * score
    scores[score] = ((scores[score] as number) - (norms[at] as number)) / (norms[at + 1] as number)
  }
}
