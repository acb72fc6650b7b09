/** Counts with their confidence. */

/** 95 %, two-sided. */
const Z = 1.96
/** Alarms nearer to each other than this, in queries, are one episode. */
const EPISODE_QUERIES = 100

export interface Interval {
  readonly low: number
  readonly high: number
}

/** Wilson's score interval of a share. */
export function wilson(hits: number, count: number): Interval {
  if (count === 0) return { low: 0, high: 1 }
  const share = hits / count
  const middle = share + (Z * Z) / (2 * count)
  const reach = Z * Math.sqrt((share * (1 - share)) / count + (Z * Z) / (4 * count * count))
  const scale = 1 + (Z * Z) / count
  return { low: hits === 0 ? 0 : (middle - reach) / scale, high: hits === count ? 1 : (middle + reach) / scale }
}

export function episodes(alarms: Uint8Array): number {
  let [count, last] = [0, Number.NEGATIVE_INFINITY]
  for (const [at, alarm] of alarms.entries()) {
    if (alarm === 0) continue
    if (at - last > EPISODE_QUERIES) count++
    last = at
  }
  return count
}

/** The middle one, or the upper of two; Infinity counts as any other number. */
export function middle(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.POSITIVE_INFINITY
}
