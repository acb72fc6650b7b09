/** How many entries one process may add to a store that others need as well: so many within a time, counted in two halves. */

export interface Allowance {
  /** False: as many as may be were added already. @param now milliseconds since the epoch */
  readonly take: (now: number) => boolean
}

/** @param most within `windowMs`, and up to twice that time */
export function createAllowance(most: number, windowMs: number): Allowance {
  let [young, old, turned] = [0, 0, Number.NEGATIVE_INFINITY]
  return {
    take(now) {
      // A clock that went back begins a new half, and forgets nothing.
      if (Math.abs(now - turned) >= windowMs) [young, old, turned] = [0, now - turned < 2 * windowMs ? young : 0, now]
      if (young + old >= most) return false
      young++
      return true
    }
  }
}
