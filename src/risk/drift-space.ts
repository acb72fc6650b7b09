/** Fits the space of a tenant and embedding model to what was learnt: the 64 directions of most variance (principal components). */
import { type DriftDraft, type DriftSpace, FOLDED_DIMENSIONS, type Points, SKETCH_DIMENSIONS } from '../core/drift.ts'
import { diceOf } from './drift-cluster.ts'
import { burstsOf, FOLDS, foldsOf } from './drift-learn.ts'
import { pointsOf } from './drift-sketch.ts'

/** Vectors that are looked at, evenly over all drafts: ten for each folded dimension. */
const SAMPLE_MAX = 4096
/**
 * Of orthogonal iteration. More would tell apart the last of the 64 directions and the next, which hold about the same; what counts
 * is that all spaces get as many.
 */
const ROUNDS = 12

/** Sums of some vectors: enough for their mean and covariance. */
interface Moments {
  count: number
  readonly sum: Float64Array
  /** Lower triangle only. */
  readonly squares: Float64Array
}

/**
 * Also notes in each draft the spaces that have not seen a quarter of its bursts. Queries that a space was fitted to look more usual
 * in it, and closer or farther from each other, than later ones will; calibrated with that, later ones would look odd.
 *
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
  const folds = drafts.map(foldsOfRows)
  const moments = momentsOf(drafts, folds, total, columns)
  const all = moments.reduce((sum, fold) => combined(sum, fold, 1), emptyMoments(columns))
  const spaceOf = (of: Moments): DriftSpace => ({ version, form, dimensions, seed, ...leading(of, seed) })
  // Each from the start: one that began as the space of all would remember the fold that is held back.
  const held = moments.map((fold) => spaceOf(combined(all, fold, -1)))
  drafts.forEach((draft, at) => {
    Object.assign(draft, { held, heldOf: version, folds: folds[at] })
  })
  return spaceOf(all)
}

/** Whole bursts: queries of one are alike. */
function foldsOfRows(draft: DriftDraft): Uint8Array {
  const { bursts } = burstsOf(draft)
  const folds = foldsOf(bursts)
  const rows = new Uint8Array(draft.queries)
  bursts.forEach((burst, at) => {
    for (const row of burst.rows) rows[row] = folds[at] as number
  })
  return rows
}

function vectorOf({ rows, scales }: DriftDraft, row: number, columns: number): Float64Array {
  const scale = scales[row] as number
  return Float64Array.from(rows.subarray(row * columns, (row + 1) * columns), (byte) => byte * scale)
}

function emptyMoments(columns: number): Moments {
  return { count: 0, sum: new Float64Array(columns), squares: new Float64Array(columns * columns) }
}

function momentsOf(drafts: readonly DriftDraft[], folds: readonly Uint8Array[], total: number, columns: number): Moments[] {
  const moments = Array.from({ length: FOLDS }, () => emptyMoments(columns))
  const step = Math.max(1, total / SAMPLE_MAX)
  let [passed, taken] = [0, 0]
  drafts.forEach((draft, at) => {
    for (let row = 0; row < draft.queries; row++, passed++) {
      if (Math.floor(passed / step) < taken) continue
      taken++
      addVector(moments[(folds[at] as Uint8Array)[row] as number] as Moments, vectorOf(draft, row, columns))
    }
  })
  return moments
}

function addVector(moments: Moments, vector: Float64Array): void {
  const { sum, squares } = moments
  moments.count++
  for (let row = 0, start = 0; row < vector.length; row++, start += vector.length) {
    const value = vector[row] as number
    sum[row] = (sum[row] as number) + value
    for (let column = 0; column <= row; column++)
      squares[start + column] = (squares[start + column] as number) + value * (vector[column] as number)
  }
}

function combined(one: Moments, other: Moments, sign: 1 | -1): Moments {
  return {
    count: one.count + sign * other.count,
    sum: one.sum.map((value, at) => value + sign * (other.sum[at] as number)),
    squares: one.squares.map((value, at) => value + sign * (other.squares[at] as number))
  }
}

/** Mean, and unit vectors at right angles in order of variance; zeros where there are fewer directions than rows. */
function leading({ count, sum, squares }: Moments, seed: number): Pick<DriftSpace, 'mean' | 'projection'> {
  const columns = sum.length
  const mean = sum.map((value) => value / Math.max(1, count))
  const covariance = new Float64Array(columns * columns)
  for (let row = 0; row < columns; row++)
    for (let column = 0; column <= row; column++) {
      const value = (squares[row * columns + column] as number) - count * (mean[row] as number) * (mean[column] as number)
      covariance[row * columns + column] = value
      covariance[column * columns + row] = value
    }
  const dice = diceOf(seed)
  let rows: Float64Array[] = Array.from({ length: Math.min(SKETCH_DIMENSIONS, columns) }, () =>
    Float64Array.from({ length: columns }, () => dice() - 0.5)
  )
  orthogonalise(rows)
  for (let round = 0; round < ROUNDS; round++) {
    rows = rows.map((row) => product(covariance, row))
    orthogonalise(rows)
  }
  const projection = new Float32Array(SKETCH_DIMENSIONS * columns)
  rows.forEach((row, at) => {
    projection.set(row, at * columns)
  })
  return { mean: Float32Array.from(mean), projection }
}

/** The matrix is symmetric, so a row at a time is as good as a column at a time. */
function product(matrix: Float64Array, vector: Float64Array): Float64Array {
  const out = new Float64Array(vector.length)
  for (let row = 0, start = 0; row < out.length; row++, start += out.length) out[row] = inner(matrix, start, vector)
  return out
}

/** Gram-Schmidt, twice: once leaves what rounding made of nearly equal rows. A row that is nothing without the others becomes zero. */
function orthogonalise(rows: readonly Float64Array[]): void {
  rows.forEach((row, at) => {
    const before = Math.sqrt(inner(row, 0, row))
    for (let turn = 0; turn < 2 * at; turn++) {
      const other = rows[turn % at] as Float64Array
      const share = inner(row, 0, other)
      for (let part = 0; part < row.length; part++) row[part] = (row[part] as number) - share * (other[part] as number)
    }
    const length = Math.sqrt(inner(row, 0, row))
    const scale = length > before * 1e-9 ? 1 / length : 0
    for (let part = 0; part < row.length; part++) row[part] = (row[part] as number) * scale
  })
}

/** Of a row of `matrix` from `start` on. Four sums side by side: an addition need not wait for the one before. */
function inner(matrix: Float64Array | Float32Array, start: number, vector: Float64Array): number {
  let s0 = 0
  let s1 = 0
  let s2 = 0
  let s3 = 0
  const whole = vector.length & ~3
  for (let at = 0; at < whole; at += 4) {
    s0 += (matrix[start + at] as number) * (vector[at] as number)
    s1 += (matrix[start + at + 1] as number) * (vector[at + 1] as number)
    s2 += (matrix[start + at + 2] as number) * (vector[at + 2] as number)
    s3 += (matrix[start + at + 3] as number) * (vector[at + 3] as number)
  }
  for (let at = whole; at < vector.length; at++) s0 += (matrix[start + at] as number) * (vector[at] as number)
  return s0 + s1 + s2 + s3
}

/** Points of one space where they lie in another that was fitted to nearly the same. */
export function carried({ rows, scales }: Points, from: DriftSpace, to: DriftSpace): Points {
  if (from === to || rows.length === 0) return { rows, scales }
  const columns = from.mean.length
  const floats = new Float32Array(rows.length)
  for (let point = 0; point < rows.length; point += SKETCH_DIMENSIONS) {
    const lifted = new Float64Array(columns)
    for (let part = 0; part < SKETCH_DIMENSIONS; part++)
      for (let at = 0; at < columns; at++)
        lifted[at] = (lifted[at] as number) + (rows[point + part] as number) * (from.projection[part * columns + at] as number)
    for (let part = 0; part < SKETCH_DIMENSIONS; part++) floats[point + part] = inner(to.projection, part * columns, lifted)
  }
  return pointsOf(floats)
}
