/** Spherical k-means, from seeded dice: the same points and seed give the same centroids. */
import { SKETCH_DIMENSIONS } from '../core/drift.ts'
import { codebookBlock, type Kernel } from './kernel.ts'

const ROUNDS = 10

/** Numbers from 0 to 1, not for secrets (Mulberry32). */
export function diceOf(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let value = Math.imul(state ^ (state >>> 15), 1 | state)
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32
  }
}

/** 0 to count - 1 in random order. */
export function shuffled(count: number, dice: () => number): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, at) => at)
  for (let at = count - 1; at > 0; at--) {
    const other = Math.floor(dice() * (at + 1))
    const kept = order[at] as number
    order[at] = order[other] as number
    order[other] = kept
  }
  return order
}

/**
 * @param points unit vectors of `SKETCH_DIMENSIONS`
 * @param weights how much each point counts; undefined: all the same
 * @returns at most `count` unit vectors
 */
export function cluster(points: Float32Array, count: number, seed: number, kernel: Kernel, weights?: ArrayLike<number>): Float32Array {
  const total = points.length / SKETCH_DIMENSIONS
  const dice = diceOf(seed)
  const wanted = Math.min(count, total)
  const centroids = new Float32Array(wanted * SKETCH_DIMENSIONS)
  shuffled(total, dice)
    .subarray(0, wanted)
    .forEach((from, at) => {
      centroids.set(pointAt(points, from), at * SKETCH_DIMENSIONS)
    })
  for (let round = 0; round < ROUNDS; round++) {
    const sums = new Float64Array(centroids.length)
    nearestOf(points, centroids, kernel).forEach((centroid, at) => {
      const weight = weights?.[at] ?? 1
      for (let part = 0; part < SKETCH_DIMENSIONS; part++)
        sums[centroid * SKETCH_DIMENSIONS + part] =
          (sums[centroid * SKETCH_DIMENSIONS + part] as number) + weight * (points[at * SKETCH_DIMENSIONS + part] as number)
    })
    for (let at = 0; at < wanted; at++) {
      const sum = sums.subarray(at * SKETCH_DIMENSIONS, (at + 1) * SKETCH_DIMENSIONS)
      const length = Math.sqrt(sum.reduce((square, value) => square + value * value, 0))
      // A centroid that nothing is near to starts again at some point.
      if (length > 1e-6)
        for (let part = 0; part < SKETCH_DIMENSIONS; part++) centroids[at * SKETCH_DIMENSIONS + part] = (sum[part] as number) / length
      else centroids.set(pointAt(points, Math.floor(dice() * total)), at * SKETCH_DIMENSIONS)
    }
  }
  return centroids
}

function pointAt(points: Float32Array, at: number): Float32Array {
  return points.subarray(at * SKETCH_DIMENSIONS, (at + 1) * SKETCH_DIMENSIONS)
}

function nearestOf(points: Float32Array, centroids: Float32Array, kernel: Kernel): Uint16Array {
  const block = codebookBlock(centroids)
  const count = centroids.length / SKETCH_DIMENSIONS
  return Uint16Array.from({ length: points.length / SKETCH_DIMENSIONS }, (_, at) => {
    kernel.sketch.set(pointAt(points, at))
    kernel.compare(block)
    let nearest = 0
    for (let other = 1; other < count; other++)
      if ((kernel.products[other] as number) > (kernel.products[nearest] as number)) nearest = other
    return nearest
  })
}
