/** Near-duplicates: whether the nearest of all earlier queries is as good as the same (docs/drift.md, Coherence). */
import { NEAR_HIT, NEAR_MISS } from './drift-bets.ts'
import type { Distances } from './drift-rings.ts'

/** Distance in sketch space below which two queries are near-duplicates. */
const NEAR_DISTANCE = 0.06

/** Slot of the channel; -1 without any query to compare with. */
export function nearSlot({ inBurst, across }: Pick<Distances, 'inBurst' | 'across'>): number {
  if (Number.isNaN(inBurst) && Number.isNaN(across)) return -1
  return inBurst < NEAR_DISTANCE || across < NEAR_DISTANCE ? NEAR_HIT : NEAR_MISS
}
