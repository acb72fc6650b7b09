/** Rivals that compare a window of a stream with a sample of the baseline. */
import { SKETCH_DIMENSIONS } from '../../src/core/drift.ts'
import { dot, meanOf } from './data-set.ts'
import type { Dice } from './dice.ts'
import { shapiroW } from './shapiro.ts'

/** To the same 64 dimensions that the product looks at, as floats of unit length. */
export type Sketcher = (vector: Float32Array) => Float32Array

export interface WindowReference {
  readonly mean: Float32Array
  readonly sample: readonly Float32Array[]
  /** Of the kernel exp(-scale × squared distance). */
  readonly scale: number
  /** Mean kernel between two of the sample. */
  readonly within: number
  readonly sketcher: Sketcher
  readonly sketches: readonly Float32Array[]
  /** Values of the sketches per dimension, sorted. */
  readonly columns: readonly Float64Array[]
}

const SAMPLE = 300
const CLASSIFIER_SAMPLE = 150
const WINDOW = 50
const [MMD_STRIDE, STRIDE] = [5, 25]
const RIDGE = 0.02
/** Of Kolmogorov and Smirnov at 5 %. */
const KS_FACTOR = 1.36
const [PRADA_WINDOW, PRADA_STRIDE] = [100, 10]

export function windowReference(baseline: readonly Float32Array[], sketcher: Sketcher, dice: Dice): WindowReference {
  const sample = dice.shuffled(baseline).slice(0, SAMPLE)
  const squares = sample.flatMap((one, at) => sample.slice(at + 1).map((other) => squaredDistance(one, other)))
  const scale = 1 / (Float64Array.from(squares).sort()[squares.length >> 1] as number)
  const sketches = sample.map(sketcher)
  return {
    mean: meanOf(baseline),
    sample,
    scale,
    within: squares.reduce((sum, square) => sum + Math.exp(-scale * square), 0) / squares.length,
    sketcher,
    sketches,
    columns: Array.from({ length: SKETCH_DIMENSIONS }, (_, at) => column(sketches, at))
  }
}

/** Of unit vectors. */
function squaredDistance(one: Float32Array, other: Float32Array): number {
  return Math.max(0, 2 - 2 * dot(one, other))
}

function column(rows: readonly Float32Array[], at: number): Float64Array {
  return Float64Array.from(rows, (row) => row[at] as number).sort()
}

/** A score at every `stride`th query that ends a whole window, kept until the next one. */
function held(count: number, window: number, stride: number, score: (from: number, to: number) => number): Float64Array {
  const out = new Float64Array(count).fill(Number.NaN)
  for (let end = window; end <= count; end += stride) out.fill(score(end - window, end), end - 1, Math.min(count, end - 1 + stride))
  return out
}

/** Maximum mean discrepancy (Gretton), unbiased, with the median heuristic. */
export function mmdScores(vectors: readonly Float32Array[], { sample, scale, within }: WindowReference): Float64Array {
  const across = vectors.map(
    (vector) => sample.reduce((sum, other) => sum + Math.exp(-scale * squaredDistance(vector, other)), 0) / sample.length
  )
  const kernels = bandOf(vectors, (one, other) => Math.exp(-scale * squaredDistance(one, other)))
  return held(vectors.length, WINDOW, MMD_STRIDE, (from, to) => {
    let [inside, between] = [0, 0]
    for (let at = from; at < to; at++) {
      between += (across[at] as number) / WINDOW
      for (let other = from; other < at; other++) inside += kernels[at]?.[at - other - 1] as number
    }
    return (2 * inside) / (WINDOW * (WINDOW - 1)) + within - 2 * between
  })
}

/** Per vector its values with those up to a window before it, the last first. */
function bandOf(vectors: readonly Float32Array[], value: (one: Float32Array, other: Float32Array) => number): Float64Array[] {
  return vectors.map((vector, at) =>
    Float64Array.from({ length: Math.min(at, WINDOW - 1) }, (_, back) => value(vector, vectors[at - back - 1] as Float32Array))
  )
}

/** Euclidean distance of means, as Arize measures drift of embeddings. */
export function meanShifts(vectors: readonly Float32Array[], { mean }: WindowReference): Float64Array {
  const sum = new Float64Array(mean.length)
  return Float64Array.from(vectors, (vector, at) => {
    const gone = vectors[at - WINDOW]
    let square = 0
    for (let part = 0; part < sum.length; part++) {
      sum[part] = (sum[part] as number) + (vector[part] as number) - (gone?.[part] ?? 0)
      square += ((sum[part] as number) / WINDOW - (mean[part] as number)) ** 2
    }
    return at + 1 < WINDOW ? Number.NaN : Math.sqrt(square)
  })
}

/** Share of dimensions whose distribution differs by Kolmogorov and Smirnov, as Evidently has it. */
export function driftedShares(vectors: readonly Float32Array[], { sketcher, columns }: WindowReference): Float64Array {
  const sketches = vectors.map(sketcher)
  const count = columns[0]?.length ?? 1
  const limit = KS_FACTOR * Math.sqrt((WINDOW + count) / (WINDOW * count))
  return held(vectors.length, WINDOW, STRIDE, (from, to) => {
    const window = sketches.slice(from, to)
    return columns.filter((reference, at) => ksDistance(column(window, at), reference) > limit).length / columns.length
  })
}

function ksDistance(window: Float64Array, reference: Float64Array): number {
  let [most, below] = [0, 0]
  window.forEach((value, at) => {
    while (below < reference.length && (reference[below] as number) <= value) below++
    const share = below / reference.length
    most = Math.max(most, Math.abs(share - (at + 1) / window.length), Math.abs(share - at / window.length))
  })
  return most
}

/** How well a linear discriminant tells the window from the baseline, cross-validated: area under the ROC curve. */
export function classifierAreas(vectors: readonly Float32Array[], { sketcher, sketches }: WindowReference): Float64Array {
  const own = vectors.map(sketcher)
  const reference = sketches.slice(0, CLASSIFIER_SAMPLE)
  const part = (rows: readonly Float32Array[], fold: number) => rows.filter((_, at) => at % 2 === fold)
  return held(vectors.length, WINDOW, STRIDE, (from, to) => {
    const window = own.slice(from, to)
    const scores = [0, 1].map((fold) => {
      const direction = discriminant(part(window, fold), part(reference, fold))
      const score = (rows: readonly Float32Array[]) => part(rows, 1 - fold).map((row) => dot(row, direction))
      return { window: score(window), reference: score(reference) }
    })
    const [ours, theirs] = [scores.flatMap((fold) => fold.window), scores.flatMap((fold) => fold.reference)]
    return ours.reduce((sum, one) => sum + theirs.filter((other) => one > other).length, 0) / (ours.length * theirs.length)
  })
}

function discriminant(window: readonly Float32Array[], reference: readonly Float32Array[]): Float32Array {
  const means = [window, reference].map(meanOf) as [Float32Array, Float32Array]
  const centred = [window, reference].flatMap((rows, at) =>
    rows.map((row) => row.map((value, place) => value - (means[at]?.[place] as number)))
  )
  const matrix = Array.from({ length: SKETCH_DIMENSIONS }, (_, row) => {
    const line = new Float64Array(SKETCH_DIMENSIONS + 1)
    for (const vector of centred) {
      const value = (vector[row] as number) / centred.length
      for (let at = 0; at < SKETCH_DIMENSIONS; at++) line[at] = (line[at] as number) + value * (vector[at] as number)
    }
    line[row] = (line[row] as number) + RIDGE
    line[SKETCH_DIMENSIONS] = (means[0][row] as number) - (means[1][row] as number)
    return line
  })
  return solved(matrix)
}

/** Gauss and Jordan, without pivots: the matrix is positive definite. The right side is the last column. */
function solved(matrix: readonly Float64Array[]): Float32Array {
  matrix.forEach((line, at) => {
    const pivot = line[at] as number
    for (let place = at; place < line.length; place++) line[place] = (line[place] as number) / pivot
    for (const other of matrix) {
      if (other === line) continue
      const factor = other[at] as number
      if (factor !== 0)
        for (let place = at; place < line.length; place++) other[place] = (other[place] as number) - factor * (line[place] as number)
    }
  })
  return Float32Array.from(matrix, (line) => line.at(-1) as number)
}

/** PRADA (Juuti et al. 2019): how far the distances to the nearest earlier query are from normally distributed; without outliers. */
export function pradaScores(vectors: readonly Float32Array[]): Float64Array {
  const distances = vectors.map((vector, at) => {
    let most = -2
    for (let other = 0; other < at; other++) most = Math.max(most, dot(vector, vectors[other] as Float32Array))
    return Math.sqrt(Math.max(0, 2 - 2 * most))
  })
  // The first query has none before it.
  const scores = held(vectors.length - 1, PRADA_WINDOW, PRADA_STRIDE, (from, to) => {
    const window = distances.slice(from + 1, to + 1)
    const mean = window.reduce((sum, value) => sum + value, 0) / window.length
    const deviation = Math.sqrt(window.reduce((sum, value) => sum + (value - mean) ** 2, 0) / window.length)
    if (deviation < 1e-6) return 1
    return 1 - shapiroW(window.filter((value) => Math.abs(value - mean) <= 3 * deviation))
  })
  return Float64Array.from([Number.NaN, ...scores])
}
