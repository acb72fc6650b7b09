/** What a call costs: 1 for a plain search, more for what gives more away or takes more work. */
import type { VectorCall } from '../core/vector-call.ts'

/** Records that one unit pays for: clients of all four databases ask for ten to a hundred. */
const RECORDS_PER_COST = 100
/** Embeddings can be turned back into text, so a call that asks for them gives away as much as four. */
const VECTORS_OUT = 4
/** A body up to this length is part of its call's unit; a 1536-dimensional search has 17.5 KB. */
export const SMALL_BODY_BYTES = 64 * 1024

/** A batch of searches costs what its searches would cost one by one. */
export function costOf({ shape, operation }: VectorCall): number {
  const named = operation === 'read' || operation === 'export' ? shape.records : 0
  const records = Math.max(shape.topK, named)
  const cost = Math.max(shape.queries, 1) * (shape.vectorsOut ? VECTORS_OUT : 1)
  return records > RECORDS_PER_COST ? (cost * records) / RECORDS_PER_COST : cost
}
