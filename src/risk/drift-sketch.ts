/** From a vector to its sketch: direction in 64 dimensions, and the share of its energy that they do not hold (docs/drift.md, Sketch). */
import { type DriftSpace, FOLDED_DIMENSIONS, type Points, type QueryTrouble, SKETCH_DIMENSIONS, type VectorForm } from '../core/drift.ts'
import { type Kernel, type SpaceBlock, SQUARE_FLOATS, spaceBlock } from './kernel.ts'

/** Squared lengths between which float32 is exact enough. */
const [SQUARE_MIN, SQUARE_MAX] = [1e-20, 1e20]

export interface ReadySpace {
  readonly space: DriftSpace
  /** Takes vectors as they come. */
  readonly block: SpaceBlock
  /** Takes vectors that are folded already. */
  readonly folded: SpaceBlock
}

export function readySpace(space: DriftSpace): ReadySpace {
  const ones = new Float32Array(space.mean.length).fill(1)
  return {
    space,
    block: spaceBlock(Float32Array.from(foldSigns(space.seed, space.dimensions)), space.mean, space.projection),
    folded: spaceBlock(ones, space.mean, space.projection)
  }
}

/**
 * One sign per component. Component i goes to place i modulo 384: a count-sketch whose hash is this fixed one and whose signs are
 * random, which keeps inner products in the mean and lets whole registers be added. Vectors that need no folding keep their signs.
 */
export function foldSigns(seed: number, dimensions: number): Int8Array {
  if (dimensions <= FOLDED_DIMENSIONS) return new Int8Array(dimensions).fill(1)
  return Int8Array.from({ length: dimensions }, (_, at) => (scramble(seed ^ Math.imul(at + 1, 0x9e3779b1)) & 1 ? 1 : -1))
}

/** A 32-bit finaliser: every bit of the input moves every bit of the output. */
export function scramble(value: number): number {
  let hash = Math.imul(value ^ (value >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return hash ^ (hash >>> 16)
}

/**
 * Leaves the unit sketch in `kernel.sketch` and returns the residual energy, 0 to 1, or why there is no sketch. Length does not
 * count: the databases compare directions. Any finite vector has an answer, however long.
 */
export function sketch(vector: Float32Array, form: VectorForm, ready: ReadySpace, kernel: Kernel): number | QueryTrouble {
  const { space, block } = ready
  if (form !== space.form) return 'wrong-form'
  if (vector.length !== space.dimensions) return 'wrong-dimension'
  kernel.input.set(vector)
  const floats = Math.ceil(vector.length / SQUARE_FLOATS) * SQUARE_FLOATS
  kernel.input.fill(0, vector.length, Math.max(floats, block.columns * block.folds))
  const square = kernel.square(floats)
  if (square > SQUARE_MIN && square < SQUARE_MAX) return projected(block, 1 / Math.sqrt(square), kernel)
  return sketchUnusual(vector, block, kernel)
}

/** Where float32 does not hold the square of the length, double precision does. */
function sketchUnusual(vector: Float32Array, block: SpaceBlock, kernel: Kernel): number | QueryTrouble {
  const square = squareOf(vector)
  if (!Number.isFinite(square)) return 'not-finite'
  if (square === 0) return 'zero-vector'
  const scale = 1 / Math.sqrt(square)
  for (let at = 0; at < vector.length; at++) kernel.input[at] = (vector[at] as number) * scale
  return projected(block, 1, kernel)
}

/** The same for a vector that was folded and stored in bytes, such as those of a draft. */
export function sketchFolded(row: Int8Array, scale: number, ready: ReadySpace, kernel: Kernel): number {
  for (let at = 0; at < row.length; at++) kernel.input[at] = (row[at] as number) * scale
  kernel.input.fill(0, row.length, ready.folded.columns)
  return projected(ready.folded, 1, kernel)
}

function projected(block: SpaceBlock, scale: number, kernel: Kernel): number {
  const energy = kernel.project(block, scale)
  const { products, sketch: out } = kernel
  let kept = 0
  for (let at = 0; at < SKETCH_DIMENSIONS; at++) kept += (products[at] as number) * (products[at] as number)
  // A vector at the very mean has no direction: its sketch is zero, far from every centroid.
  const unit = kept > 0 ? 1 / Math.sqrt(kept) : 0
  for (let at = 0; at < SKETCH_DIMENSIONS; at++) out[at] = (products[at] as number) * unit
  return energy > 0 ? Math.min(1, Math.max(0, 1 - kept / energy)) : 0
}

/** Sum of squares in double precision, in which no finite float32 vector overflows. */
function squareOf(vector: Float32Array): number {
  let s0 = 0
  let s1 = 0
  let s2 = 0
  let s3 = 0
  const whole = vector.length & ~3
  for (let at = 0; at < whole; at += 4) {
    const v0 = vector[at] as number
    const v1 = vector[at + 1] as number
    const v2 = vector[at + 2] as number
    const v3 = vector[at + 3] as number
    s0 += v0 * v0
    s1 += v1 * v1
    s2 += v2 * v2
    s3 += v3 * v3
  }
  for (let at = whole; at < vector.length; at++) s0 += (vector[at] as number) ** 2
  return s0 + s1 + (s2 + s3)
}

/** Folded unit vector as doubles, without a space: what a draft keeps. Undefined for a vector without direction. */
export function foldVector(vector: Float32Array, signs: Int8Array): Float64Array | undefined {
  const square = squareOf(vector)
  if (!(square > 0) || !Number.isFinite(square)) return undefined
  const folded = new Float64Array(Math.min(vector.length, FOLDED_DIMENSIONS))
  const scale = 1 / Math.sqrt(square)
  for (let at = 0, place = 0; at < vector.length; at++, place = place + 1 === folded.length ? 0 : place + 1)
    folded[place] = (folded[place] as number) + (signs[at] as number) * (vector[at] as number) * scale
  return folded
}

/** Writes int8 of `values`, the largest as 127, and returns the factor that makes a unit vector of them; 0 for zeros. */
export function quantise(values: ArrayLike<number>, out: Int8Array): number {
  let most = 0
  for (let at = 0; at < out.length; at++) most = Math.max(most, Math.abs(values[at] as number))
  const scale = most > 0 ? 127 / most : 0
  let square = 0
  for (let at = 0; at < out.length; at++) {
    const byte = Math.round((values[at] as number) * scale)
    out[at] = byte
    square += byte * byte
  }
  return square > 0 ? 1 / Math.sqrt(square) : 0
}

export function pointsFloats({ rows, scales }: Points): Float32Array {
  return Float32Array.from(rows, (byte, at) => byte * (scales[Math.floor(at / SKETCH_DIMENSIONS)] as number))
}

/** @param floats unit vectors of `SKETCH_DIMENSIONS` */
export function pointsOf(floats: Float32Array): Points {
  const count = floats.length / SKETCH_DIMENSIONS
  const points = { rows: new Int8Array(floats.length), scales: new Float32Array(count) }
  for (let at = 0; at < count; at++) {
    const [from, to] = [at * SKETCH_DIMENSIONS, (at + 1) * SKETCH_DIMENSIONS]
    points.scales[at] = quantise(floats.subarray(from, to), points.rows.subarray(from, to))
  }
  return points
}
