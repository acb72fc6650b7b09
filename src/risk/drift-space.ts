/** Fits the space of a tenant and embedding model to what was learnt: the 64 directions of most variance (principal components). */
import { type DriftDraft, type DriftSpace, FOLDED_DIMENSIONS, SKETCH_DIMENSIONS } from '../core/drift.ts'
import { diceOf } from './drift-cluster.ts'

/** Vectors that are looked at, evenly over all drafts: ten for each folded dimension. */
const SAMPLE_MAX = 4096
/** Orthogonal iteration: the span of the leading directions is steady to four digits after about 30. */
const ROUNDS = 40

/**
 * @param drafts of one tenant and model: the same form, dimensions and seed
 * @throws RangeError when they are not, or hold no query
 */
export function fitSpace(drafts: readonly DriftDraft[], version: string): DriftSpace {
  const first = drafts[0]
  const total = drafts.reduce((sum, draft) => sum + draft.queries, 0)
  if (first === undefined || total === 0) throw new RangeError('there is nothing to fit a space to')
  const { form, dimensions, seed } = first
  if (drafts.some((draft) => draft.form !== form || draft.dimensions !== dimensions || draft.seed !== seed))
    throw new RangeError('the drafts are not of one embedding model')
  const columns = Math.min(dimensions, FOLDED_DIMENSIONS)
  const sample = sampleOf(drafts, total, columns)
  const mean = new Float64Array(columns)
  for (const vector of sample) for (let at = 0; at < columns; at++) mean[at] = (mean[at] as number) + (vector[at] as number) / sample.length
  for (const vector of sample) for (let at = 0; at < columns; at++) vector[at] = (vector[at] as number) - (mean[at] as number)
  return { version, form, dimensions, seed, mean: Float32Array.from(mean), projection: leading(covariance(sample, columns), columns, seed) }
}

function sampleOf(drafts: readonly DriftDraft[], total: number, columns: number): Float64Array[] {
  const step = Math.max(1, total / SAMPLE_MAX)
  const sample: Float64Array[] = []
  let passed = 0
  for (const { rows, scales, queries } of drafts)
    for (let row = 0; row < queries; row++, passed++) {
      if (Math.floor(passed / step) < sample.length) continue
      const scale = scales[row] as number
      sample.push(Float64Array.from(rows.subarray(row * columns, (row + 1) * columns), (byte) => byte * scale))
    }
  return sample
}

function covariance(sample: readonly Float64Array[], columns: number): Float64Array {
  const sums = new Float64Array(columns * columns)
  for (const vector of sample)
    for (let row = 0; row < columns; row++) {
      const value = vector[row] as number
      const start = row * columns
      for (let column = 0; column <= row; column++)
        sums[start + column] = (sums[start + column] as number) + value * (vector[column] as number)
    }
  for (let row = 0; row < columns; row++)
    for (let column = row + 1; column < columns; column++) sums[row * columns + column] = sums[column * columns + row] as number
  return sums
}

/** Rows of unit length, at right angles, in order of variance; rows of zeros where there are fewer dimensions than rows. */
function leading(matrix: Float64Array, columns: number, seed: number): Float32Array {
  const dice = diceOf(seed)
  const count = Math.min(SKETCH_DIMENSIONS, columns)
  let rows: Float64Array[] = Array.from({ length: count }, () => Float64Array.from({ length: columns }, () => dice() - 0.5))
  orthogonalise(rows)
  for (let round = 0; round < ROUNDS; round++) {
    rows = rows.map((row) => product(matrix, row, columns))
    orthogonalise(rows)
  }
  const projection = new Float32Array(SKETCH_DIMENSIONS * columns)
  rows.forEach((row, at) => {
    projection.set(row, at * columns)
  })
  return projection
}

function product(matrix: Float64Array, vector: Float64Array, columns: number): Float64Array {
  const out = new Float64Array(columns)
  for (let row = 0; row < columns; row++) {
    const value = vector[row] as number
    const start = row * columns
    // The matrix is symmetric, so its rows are its columns.
    for (let column = 0; column < columns; column++) out[column] = (out[column] as number) + value * (matrix[start + column] as number)
  }
  return out
}

/** Gram-Schmidt, twice: once leaves what rounding made of nearly equal rows. A row that is nothing without the others becomes zero. */
function orthogonalise(rows: readonly Float64Array[]): void {
  rows.forEach((row, at) => {
    const before = Math.sqrt(inner(row, row))
    for (const other of [...rows.slice(0, at), ...rows.slice(0, at)]) {
      const share = inner(row, other)
      for (let part = 0; part < row.length; part++) row[part] = (row[part] as number) - share * (other[part] as number)
    }
    const length = Math.sqrt(inner(row, row))
    const scale = length > before * 1e-9 ? 1 / length : 0
    for (let part = 0; part < row.length; part++) row[part] = (row[part] as number) * scale
  })
}

function inner(one: Float64Array, other: Float64Array): number {
  let sum = 0
  for (let at = 0; at < one.length; at++) sum += (one[at] as number) * (other[at] as number)
  return sum
}
