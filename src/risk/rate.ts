/**
 * Budgets by the generic cell rate algorithm (GCRA, ITU-T I.371 §A, "virtual scheduling"): one number per key, the theoretical
 * arrival time (TAT). A pause earns back up to `burst`; afterwards calls are admitted at the sustained rate.
 *
 * In any window of t seconds the admitted cost is at most burst + perSecond × t.
 */
import type { RateFacts } from '../core/risk.ts'
import type { Pace } from '../core/risk-rules.ts'

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
 * @param share of the rate and the burst that is left, above 0 and at most 1; a call that would fit in the whole burst still fits in an
 *   untouched budget, so that slow does not become never
 */
export function admit(tat: number | undefined, now: number, cost: number, budget: Pace, share = 1): Admission {
  if (!(cost > 0) || cost > budget.burst) return { kind: 'never' }
  const msPerCost = 1000 / budget.perSecond
  const start = tat === undefined || tat < now ? now : tat
  const next = start + (cost * msPerCost) / share
  const early = next - now - budget.burst * msPerCost
  // A microsecond of slack, so that rounding of `burst` whole calls does not refuse the last of them.
  if (early <= 0.001 || start === now) return { kind: 'admitted', tat: next }
  return { kind: 'wait', retryAfterMs: Math.ceil(Math.min(early, start - now)) }
}

export function rateFacts(tat: number | undefined, now: number, budget: Pace, share = 1): RateFacts {
  const debtMs = Math.max(0, (tat ?? now) - now)
  const msPerCost = 1000 / budget.perSecond / share
  const limit = Math.max(1, Math.floor(budget.burst * share))
  return {
    limit,
    windowSeconds: Math.max(1, Math.ceil((limit * msPerCost) / 1000)),
    remaining: Math.max(0, Math.min(limit, Math.floor(limit - debtMs / msPerCost + 1e-6))),
    resetSeconds: Math.ceil(debtMs / 1000)
  }
}
