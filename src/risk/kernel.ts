/**
 * The linear algebra of drift: fold and project a vector, compare a sketch with centroids, find the closest of a ring.
 *
 * Two kernels do the same: WebAssembly with SIMD (kernel-wasm.ts), and the plain one here, for where that is missing. Both add in the
 * same order and round every step to float32, so they agree to the bit, and replicas of both kinds agree on every p-value.
 */
import { FOLDED_DIMENSIONS, RING, SKETCH_DIMENSIONS } from '../core/drift.ts'
import { VECTOR_DIMENSIONS_MAX } from '../core/limits.ts'

/** Rows that are multiplied at once, and so lie side by side in a block. */
const GROUP = 8
/** Float32 lanes of a 128-bit register. */
const LANES = 4
/** The longest vector, filled up to whole folds. */
export const INPUT_FLOATS = Math.ceil(VECTOR_DIMENSIONS_MAX / FOLDED_DIMENSIONS) * FOLDED_DIMENSIONS
/** Rows of the largest matrix: centroids, adopted ones and background, in whole groups. */
export const PRODUCTS_MAX = 256
export const RING_ROWS = 2 * RING
/** `square` takes whole groups of so many floats. */
export const SQUARE_FLOATS = 16

/** Numbers that a kernel reads often: it may keep a copy nearer to itself, at `place`, for as long as `kept` says. */
export interface KernelBlock {
  readonly data: Float32Array
  place: number
  kept: object | undefined
}

/** Signs, mean and projection of a space. */
export interface SpaceBlock extends KernelBlock {
  /** Floats of the folded vector: a multiple of four. */
  readonly columns: number
  readonly folds: number
}

/** Rows to compare a sketch with, in whole groups of eight; rows of zeros fill the last one. */
export interface CodebookBlock extends KernelBlock {
  readonly rows: number
}

export interface Kernel {
  readonly kind: 'simd' | 'plain'
  /** The vector, with zeros up to `columns × folds` and to a whole group of `SQUARE_FLOATS`. */
  readonly input: Float32Array
  /** The sketch, of unit length. */
  readonly sketch: Float32Array
  readonly products: Float32Array
  /** Of `compareRings`. */
  readonly closeness: Int32Array
  /** Sum of squares of the first `floats` of `input`, in float32: it may overflow, or be too small to be seen. */
  square(floats: number): number
  /** `input` times `scale`, folded and centred, times the projection, into `products`. Returns the squared length before projection. */
  project(space: SpaceBlock, scale: number): number
  /** `sketch` times each row into `products`. */
  compare(codebook: CodebookBlock): void
  /** int8 products of `query` with each of `RING_ROWS` rows into `closeness`; exact. */
  compareRings(rings: Int8Array, query: Int8Array): void
}

export function spaceBlock(signs: Float32Array, mean: Float32Array, projection: Float32Array): SpaceBlock {
  const columns = wholeLanes(mean.length)
  const folds = Math.ceil(signs.length / mean.length)
  const data = new Float32Array(folds * columns + columns + SKETCH_DIMENSIONS * columns)
  data.set(signs)
  data.set(mean, folds * columns)
  data.set(interleaved(projection, SKETCH_DIMENSIONS, mean.length, columns), (folds + 1) * columns)
  return { data, columns, folds, place: 0, kept: undefined }
}

/** @param points unit vectors of `SKETCH_DIMENSIONS`, at most `PRODUCTS_MAX` of them */
export function codebookBlock(points: Float32Array): CodebookBlock {
  const rows = Math.ceil(points.length / SKETCH_DIMENSIONS / GROUP) * GROUP
  return { data: interleaved(points, rows, SKETCH_DIMENSIONS, SKETCH_DIMENSIONS), rows, place: 0, kept: undefined }
}

/** Groups of eight rows, within a group four columns of each row in turn: read from front to back when eight rows are multiplied at once. */
function interleaved(matrix: Float32Array, rows: number, columns: number, padded: number): Float32Array {
  const out = new Float32Array(rows * padded)
  for (let row = 0; row * columns < matrix.length; row++) {
    const group = Math.floor(row / GROUP) * GROUP * padded
    for (let column = 0; column < columns; column++) {
      const lane = column % LANES
      out[group + (column - lane) * GROUP + (row % GROUP) * LANES + lane] = matrix[row * columns + column] as number
    }
  }
  return out
}

function wholeLanes(floats: number): number {
  return Math.ceil(floats / LANES) * LANES
}

/** Without WebAssembly. */
export function plainKernel(): Kernel {
  const input = new Float32Array(INPUT_FLOATS)
  const folded = new Float32Array(FOLDED_DIMENSIONS)
  const sketch = new Float32Array(SKETCH_DIMENSIONS)
  const products = new Float32Array(PRODUCTS_MAX)
  const closeness = new Int32Array(RING_ROWS)
  return {
    kind: 'plain',
    input,
    sketch,
    products,
    closeness,
    square: (floats) => square(input, floats),
    project(space, scale) {
      const energy = fold(space, input, round(scale), folded)
      multiply(space.data, (space.folds + 1) * space.columns, SKETCH_DIMENSIONS, folded, space.columns, products)
      return energy
    },
    compare(codebook) {
      multiply(codebook.data, 0, codebook.rows, sketch, SKETCH_DIMENSIONS, products)
    },
    compareRings(rings, query) {
      for (let row = 0; row < RING_ROWS; row++) {
        let sum = 0
        for (let at = 0; at < SKETCH_DIMENSIONS; at++) sum += (rings[row * SKETCH_DIMENSIONS + at] as number) * (query[at] as number)
        closeness[row] = sum
      }
    }
  }
}

const round = Math.fround

function square(input: Float32Array, floats: number): number {
  const sums = new Float32Array(SQUARE_FLOATS)
  for (let at = 0; at < floats; at++) {
    const lane = at % SQUARE_FLOATS
    sums[lane] = (sums[lane] as number) + round((input[at] as number) * (input[at] as number))
  }
  const [s0, s1, s2, s3] = [0, 1, 2, 3].map((lane) => {
    const [a, b, c, d] = [0, 1, 2, 3].map((part) => sums[part * LANES + lane] as number) as [number, number, number, number]
    return lanesTogether(a, b, c, d)
  }) as [number, number, number, number]
  return lanesTogether(s0, s1, s2, s3)
}

/** Four running sums for the squared length, as the four lanes of a register hold them. */
function fold(space: SpaceBlock, input: Float32Array, scale: number, folded: Float32Array): number {
  const { data, columns, folds } = space
  const mean = folds * columns
  const energy = [0, 0, 0, 0]
  for (let column = 0; column < columns; column++) {
    let sum = 0
    for (let at = column; at < mean; at += columns) sum = round(sum + round((data[at] as number) * (input[at] as number)))
    sum = round(round(sum * scale) - (data[mean + column] as number))
    folded[column] = sum
    energy[column % LANES] = round((energy[column % LANES] as number) + round(sum * sum))
  }
  return lanesTogether(energy[0] as number, energy[1] as number, energy[2] as number, energy[3] as number)
}

function multiply(data: Float32Array, start: number, rows: number, vector: Float32Array, columns: number, out: Float32Array): void {
  for (let row = 0; row < rows; row++) {
    const first = start + (row - (row % GROUP)) * columns + (row % GROUP) * LANES
    let [s0, s1, s2, s3] = [0, 0, 0, 0]
    for (let column = 0, at = first; column < columns; column += LANES, at += LANES * GROUP) {
      s0 = round(s0 + round((data[at] as number) * (vector[column] as number)))
      s1 = round(s1 + round((data[at + 1] as number) * (vector[column + 1] as number)))
      s2 = round(s2 + round((data[at + 2] as number) * (vector[column + 2] as number)))
      s3 = round(s3 + round((data[at + 3] as number) * (vector[column + 3] as number)))
    }
    out[row] = lanesTogether(s0, s1, s2, s3)
  }
}

function lanesTogether(s0: number, s1: number, s2: number, s3: number): number {
  return round(round(s0 + s1) + round(s2 + s3))
}
