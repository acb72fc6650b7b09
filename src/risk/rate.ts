/**
 * Budgets by the generic cell rate algorithm (GCRA, ITU-T I.371 §A, "virtual scheduling"): one number per key, the theoretical
 * arrival time (TAT). A pause earns back up to `burst`; afterwards calls are admitted at the sustained rate.
 *
 * In any window of t seconds the admitted cost is at most burst + perSecond × t.
 */

export interface Budget {
  /** Sustained cost per second, above 0. */
  readonly perSecond: number
  /** Most cost that can be admitted at once, above 0. */
  readonly burst: number
}

export type Admission =
  | { readonly kind: 'admitted'; readonly tat: number }
  /** Over budget now; the same call fits after this many milliseconds. */
  | { readonly kind: 'wait'; readonly retryAfterMs: number }
  /** The call alone costs more than the whole burst: it never fits. */
  | { readonly kind: 'never' }

/**
 * @param tat theoretical arrival time of the key in ms since the epoch, undefined for a key never seen (a full budget)
 * @param now ms since the epoch; a clock that runs backwards gives nothing away
 * @param cost above 0
 */
export function admit(tat: number | undefined, now: number, cost: number, budget: Budget): Admission {
  if (!(cost > 0) || cost > budget.burst) return { kind: 'never' }
  const msPerCost = 1000 / budget.perSecond
  const next = Math.max(tat ?? now, now) + cost * msPerCost
  const early = next - now - budget.burst * msPerCost
  // A microsecond of slack, so that rounding of `burst` whole calls does not refuse the last of them.
  if (early > 0.001) return { kind: 'wait', retryAfterMs: Math.ceil(early) }
  return { kind: 'admitted', tat: next }
}
