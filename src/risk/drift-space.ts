/** Fits the space of a tenant and embedding model to what was learnt: the 64 directions of most variance (principal components). */
import { type DriftDraft, type DriftSpace, FOLDED_DIMENSIONS, SKETCH_DIMENSIONS } from '../core/drift.ts'
import { diceOf } from './drift-cluster.ts'
import { burstsOf } from './drift-learn.ts'

/** Vectors that are looked at, evenly over all drafts: ten for each folded dimension. */
const SAMPLE_MAX = 4096
/** Orthogonal iteration: the span of the leading directions is steady to three digits. */
const ROUNDS = 24
/** Starting from the span of all, that of three quarters is near. */
const FOLD_ROUNDS = 6
const FOLDS = 4

/** Sums of some vectors: enough for their mean and covariance. */
interface Moments {
  count: number
  readonly sum: Float64Array
  /** Lower triangle only. */
  readonly squares: Float64Array
}

/**
 * Also notes in each draft the residual energy of its queries in a space that has not seen their burst: in the one fitted to them
 * they look more usual than later queries will, and calibrated with that every later query would look odd.
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
  const folds = drafts.map(foldsOf)
  const moments = momentsOf(drafts, folds, total, columns)
  const all = moments.reduce((sum, fold) => combined(sum, fold, 1), emptyMoments(columns))
  const fitted = leading(all, randomRows(columns, seed), ROUNDS)
  const held = moments.map((fold) => leading(combined(all, fold, -1), fitted.rows, FOLD_ROUNDS))
  drafts.forEach((draft, at) => {
    const own = folds[at] as Uint8Array
    draft.residuals = Float32Array.from({ length: draft.queries }, (_, row) =>
      residualOf(vectorOf(draft, row, columns), held[own[row] as number] as Fitted)
    )
    draft.residualsOf = version
  })
  const projection = new Float32Array(SKETCH_DIMENSIONS * columns)
  fitted.rows.forEach((row, at) => {
    projection.set(row, at * columns)
  })
  return { version, form, dimensions, seed, mean: Float32Array.from(fitted.mean), projection }
}

/** Whole bursts: queries of one are alike. */
function foldsOf(draft: DriftDraft): Uint8Array {
  const folds = new Uint8Array(draft.queries)
  burstsOf(draft).bursts.forEach(({ rows }, at) => {
    for (const row of rows) folds[row] = at % FOLDS
  })
  return folds
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

interface Fitted {
  readonly mean: Float64Array
  readonly rows: readonly Float64Array[]
}

function randomRows(columns: number, seed: number): Float64Array[] {
  const dice = diceOf(seed)
  return Array.from({ length: Math.min(SKETCH_DIMENSIONS, columns) }, () => Float64Array.from({ length: columns }, () => dice() - 0.5))
}

/** Unit vectors at right angles, in order of variance; zeros where there are fewer directions than rows. */
function leading({ count, sum, squares }: Moments, start: readonly Float64Array[], rounds: number): Fitted {
  const columns = sum.length
  const mean = sum.map((value) => value / Math.max(1, count))
  const covariance = new Float64Array(columns * columns)
  for (let row = 0; row < columns; row++)
    for (let column = 0; column <= row; column++) {
      const value = (squares[row * columns + column] as number) - count * (mean[row] as number) * (mean[column] as number)
      covariance[row * columns + column] = value
      covariance[column * columns + row] = value
    }
  let rows: Float64Array[] = start.map((row) => row.slice())
  orthogonalise(rows)
  for (let round = 0; round < rounds; round++) {
    rows = rows.map((row) => product(covariance, row))
    orthogonalise(rows)
  }
  return { mean, rows }
}

/** The matrix is symmetric, so a row at a time is as good as a column at a time. */
function product(matrix: Float64Array, vector: Float64Array): Float64Array {
  const columns = vector.length
  return Float64Array.from({ length: columns }, (_, row) => inner(matrix.subarray(row * columns, (row + 1) * columns), vector))
}

/** Gram-Schmidt, twice: once leaves what rounding made of nearly equal rows. A row that is nothing without the others becomes zero. */
function orthogonalise(rows: readonly Float64Array[]): void {
  rows.forEach((row, at) => {
    const before = Math.sqrt(inner(row, row))
    for (let turn = 0; turn < 2 * at; turn++) {
      const other = rows[turn % at] as Float64Array
      const share = inner(row, other)
      for (let part = 0; part < row.length; part++) row[part] = (row[part] as number) - share * (other[part] as number)
    }
    const length = Math.sqrt(inner(row, row))
    const scale = length > before * 1e-9 ? 1 / length : 0
    for (let part = 0; part < row.length; part++) row[part] = (row[part] as number) * scale
  })
}

/** Four sums side by side: an addition need not wait for the one before. */
function inner(one: Float64Array, other: Float64Array): number {
  let [s0, s1, s2, s3] = [0, 0, 0, 0]
  const whole = one.length & ~3
  for (let at = 0; at < whole; at += 4) {
    s0 += (one[at] as number) * (other[at] as number)
    s1 += (one[at + 1] as number) * (other[at + 1] as number)
    s2 += (one[at + 2] as number) * (other[at + 2] as number)
    s3 += (one[at + 3] as number) * (other[at + 3] as number)
  }
  for (let at = whole; at < one.length; at++) s0 += (one[at] as number) * (other[at] as number)
  return s0 + s1 + s2 + s3
}

/** Share of a vector's energy around the mean that the rows do not hold. */
function residualOf(vector: Float64Array, { mean, rows }: Fitted): number {
  const centred = vector.map((value, at) => value - (mean[at] as number))
  const kept = rows.reduce((sum, row) => sum + inner(centred, row) ** 2, 0)
  const energy = inner(centred, centred)
  return energy > 0 ? Math.min(1, Math.max(0, 1 - kept / energy)) : 0
}
