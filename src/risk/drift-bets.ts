/**
 * From scores to bets. A calibration histogram turns a score into a conformal p-value; a bet turns that into a factor of evidence
 * whose mean is at most one as long as the workload behaves like its baseline (docs/drift.md, Novelty and Coherence).
 *
 * A p-value depends on the score's bin only, so all bets are worked out once per baseline, and a query costs look-ups.
 */
import { type BaselineCounts, BETS, BETS_PER_CHANNEL, CHANNELS, HISTOGRAM_BINS, SCORES } from '../core/drift.ts'

/** Places of a score: below the range, its bins, beyond the range. */
export const SLOTS = HISTOGRAM_BINS + 2
export const BEYOND = SLOTS - 1
/** Novelty scores; the three that follow measure closeness. */
export const NOVELTY_SCORES = 3
/** Of near-duplicates: slots of its row in the tables. */
export const [NEAR_MISS, NEAR_HIT] = [0, 1]

const EPSILON = 0.35
/** Share of queries that would be foreign, for which each of three bets is best: a drip, a mixture, a burst. */
const FOREIGN_SHARES = [0.05, 0.3, 1]
const SHIFT = 1.6
const NEAR_RATES = [0.25, 0.5, 0.85]

/** Per channel, slot and bet: the logarithm of the bet. */
export type BetTable = Float64Array

/** Conservative upper-tail p-value of a score that `atLeast` of `n` calibration scores reach. */
export function tailP(atLeast: number, n: number): number {
  return Math.min(1, (atLeast + 1 + 0.5 * Math.sqrt(atLeast + 1)) / (n + 1))
}

/** Mid-p-value: near 0 for scores above, near 1 for those below the calibration scores. */
export function midP(above: number, n: number): number {
  return Math.min(1, Math.max(0, (above + 0.5) / (n + 1)))
}

/** Log of 1 - π + π ε p^(ε-1), for each share π. */
export function tailBets(p: number): number[] {
  const bet = EPSILON * p ** (EPSILON - 1)
  return FOREIGN_SHARES.map((share) => Math.log(1 - share + share * bet))
}

/** Two bets on a shift of q, one to each side, and a cautious one. */
export function shiftBets(q: number): number[] {
  const tilt = SHIFT * (0.5 - q)
  return [Math.log(1 + tilt), Math.log(1 - tilt), Math.log(1 + tilt / 2)]
}

/** Bets on more near-duplicates than the baseline's `usual` share. */
export function nearBets(hit: boolean, usual: number): number[] {
  return NEAR_RATES.map((rate) => {
    const raised = Math.max(rate, Math.min(0.95, 1.5 * usual))
    return hit ? Math.log(raised / usual) : Math.log((1 - raised) / (1 - usual))
  })
}

/** Upper bound of the share of near-duplicates; capped, for a baseline of nothing else must not make a bet infinite. */
export function usualNear(counts: BaselineCounts): number {
  const { nearDuplicates: hits, compared } = counts
  return Math.min(0.9, (hits + 1 + 1.65 * Math.sqrt(hits + 1)) / (compared + 1))
}

/** Slot of a score in its histogram. @param ranges lower end and width of a bin of each score; NaN (no score) has slot -1 */
export function slotOf(score: number, value: number, ranges: Float32Array): number {
  if (Number.isNaN(value)) return -1
  const bin = Math.floor((value - (ranges[2 * score] as number)) / (ranges[2 * score + 1] as number))
  return bin < 0 ? 0 : Math.min(bin, HISTOGRAM_BINS) + 1
}

/** p-value of each slot of each score: upper tail for novelty, mid-p for closeness. */
export function slotPValues(counts: BaselineCounts): Float64Array {
  const values = new Float64Array(SCORES.length * SLOTS)
  for (let score = 0; score < SCORES.length; score++) {
    const bins = counts.histograms.subarray(score * (HISTOGRAM_BINS + 1), (score + 1) * (HISTOGRAM_BINS + 1))
    const n = bins.reduce((sum, count) => sum + count, 0)
    let atLeast = 0
    for (let bin = HISTOGRAM_BINS; bin >= 0; bin--) {
      const count = bins[bin] as number
      atLeast += count
      values[score * SLOTS + bin + 1] =
        score < NOVELTY_SCORES ? tailP(atLeast, n) : midP(atLeast - (bin === HISTOGRAM_BINS ? 0 : 0.5 * count), n)
    }
    values[score * SLOTS] = score < NOVELTY_SCORES ? 1 : midP(n, n)
  }
  return values
}

/** Bets that trust each query by itself: to be tempered by the burst correction. */
export function betTable(counts: BaselineCounts, pValues: Float64Array): BetTable {
  const table = new Float64Array(CHANNELS.length * SLOTS * BETS_PER_CHANNEL)
  for (let score = 0; score < SCORES.length; score++)
    for (let slot = 0; slot < SLOTS; slot++) {
      const p = pValues[score * SLOTS + slot] as number
      table.set(score < NOVELTY_SCORES ? tailBets(p) : shiftBets(p), placeOf(score, slot))
    }
  const usual = usualNear(counts)
  table.set(nearBets(false, usual), placeOf(CHANNELS.length - 1, NEAR_MISS))
  table.set(nearBets(true, usual), placeOf(CHANNELS.length - 1, NEAR_HIT))
  return table
}

/** The same bets to the power of their rates. */
export function temper(table: BetTable, rates: Float64Array): BetTable {
  return table.map((bet, at) => {
    const channel = Math.floor(at / (SLOTS * BETS_PER_CHANNEL))
    return bet * (rates[channel * BETS_PER_CHANNEL + (at % BETS_PER_CHANNEL)] as number)
  })
}

function placeOf(channel: number, slot: number): number {
  return (channel * SLOTS + slot) * BETS_PER_CHANNEL
}

/** Adds the bets of one query to `logs`. @param slots per channel its slot, -1 where the query says nothing */
export function addBets(table: BetTable, slots: Int16Array, logs: Float64Array): void {
  for (let channel = 0, bet = 0; bet < BETS; channel++) {
    const slot = slots[channel] as number
    if (slot < 0) {
      bet += BETS_PER_CHANNEL
      continue
    }
    for (let at = placeOf(channel, slot), end = bet + BETS_PER_CHANNEL; bet < end; bet++, at++)
      logs[bet] = (logs[bet] as number) + (table[at] as number)
  }
}
