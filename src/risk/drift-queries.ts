/**
 * What drift makes of a call's queries:
 * - dense: as they are. Bytes (uint8 collections): their numbers, as any dense vector.
 * - multi-vector: the direction of the mean of its rows, one query.
 * - sparse: hashed to `FOLDED_DIMENSIONS` with random signs, a space of its own form.
 * - text, ids, keywords, scrolls, exports: nothing to look at; counted as `unseen`, and bounded by the budget alone.
 */
import { type DriftCall, FOLDED_DIMENSIONS } from '../core/drift.ts'
import { scramble } from './drift-sketch.ts'

/** One vector for each query. Rows that do not add up are judged one by one: more queries, never fewer. */
export function queriesOf({ vectors, rows }: DriftCall): readonly Float32Array[] {
  if (rows === undefined || rows.some((count) => !(count > 0)) || rows.reduce((sum, count) => sum + count, 0) !== vectors.length)
    return vectors
  let from = 0
  return rows.map((count) => {
    const group = vectors.slice(from, from + count)
    from += count
    return meanDirection(group)
  })
}

/** Rows of different lengths have no mean: the first of them stands for all, and has the wrong dimension or not. */
function meanDirection(group: readonly Float32Array[]): Float32Array {
  const first = group[0] as Float32Array
  const odd = group.find((vector) => vector.length !== first.length)
  if (group.length === 1 || odd !== undefined) return odd ?? first
  const sum = new Float64Array(first.length)
  for (const vector of group) {
    const length = lengthOf(vector)
    if (length > 0) for (let at = 0; at < sum.length; at++) sum[at] = (sum[at] as number) + (vector[at] as number) / length
  }
  return Float32Array.from(sum)
}

function lengthOf(vector: Float32Array): number {
  let square = 0
  for (let at = 0; at < vector.length; at++) square += (vector[at] as number) ** 2
  return Math.sqrt(square)
}

/** A sparse vector as a dense one: each index goes to a place, with a sign. @param seed secret of the tenant */
export function hashSparse(indices: ArrayLike<number>, values: ArrayLike<number>, seed: number): Float32Array {
  const sums = new Float64Array(FOLDED_DIMENSIONS)
  for (let at = 0; at < indices.length; at++) {
    const hash = scramble(seed ^ scramble((indices[at] as number) >>> 0))
    const place = (hash >>> 1) % FOLDED_DIMENSIONS
    sums[place] = (sums[place] as number) + (hash & 1 ? 1 : -1) * (values[at] as number)
  }
  return unitOf(sums)
}

/** In double precision, then to float32 at unit length, so that no finite input overflows. */
function unitOf(sums: Float64Array): Float32Array {
  const length = Math.hypot(...sums)
  return Float32Array.from(sums, (value) => (length > 0 ? value / length : 0))
}
