/**
 * Which queries of a large call are judged. A call may hold thousands of vectors, and each of them costs the loop some microseconds, so
 * what is judged is a sample: one of each of as many equal parts, by a seed that the caller cannot know before the call is judged.
 * Deterministic in the seed. What is not judged is priced as new ground all the same.
 */
import type { DriftCall } from '../core/drift.ts'
import { scramble } from './drift-sketch.ts'

/** Rows of multi-vectors of one call that are read for their mean, and of one query: the models that have such ask with 32 or 64. */
const [ROWS_MAX, ROWS_PER_QUERY_MAX] = [1_024, 64]
const GOLDEN = 0x9e3779b1

/** A 32-bit seed of a text, such as the id of a decision, which is drawn after the call has come. FNV-1a. */
export function seedOfText(text: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  return scramble(hash)
}

/** At most `most` of `all`, in their order: one of each of `most` equal parts. */
export function sampled<Value>(all: readonly Value[], most: number, seed: number): readonly Value[] {
  if (all.length <= most) return all
  return Array.from({ length: most }, (_, part) => {
    const [from, to] = [Math.floor((part * all.length) / most), Math.floor(((part + 1) * all.length) / most)]
    return all[from + ((scramble(seed ^ Math.imul(part + 1, GOLDEN)) >>> 0) % (to - from))] as Value
  })
}

/** How many queries it has that show a vector. */
export function queriesIn({ vectors, rows }: DriftCall): number {
  return rows?.length ?? vectors.length
}

/** The call with at most `most` of its queries, and few enough rows. The very same call where all of it is judged. */
export function sampledCall(call: DriftCall, most: number, seed: number): DriftCall {
  const { vectors, rows } = call
  if (rows === undefined) return vectors.length <= most ? call : { ...call, vectors: sampled(vectors, most, seed) }
  const perQuery = Math.max(1, Math.min(ROWS_PER_QUERY_MAX, Math.floor(ROWS_MAX / Math.min(most, rows.length))))
  let from = 0
  const groups = rows.map((count) => {
    const group = [from, from + count] as const
    from += count
    return group
  })
  const kept = sampled(groups, most, seed).map(([first, end]) => sampled(vectors.slice(first, end), perQuery, seed ^ first))
  return { ...call, vectors: kept.flat(), rows: kept.map((group) => group.length) }
}
