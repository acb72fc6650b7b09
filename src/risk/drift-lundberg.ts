/**
 * The burst correction. Queries inside a burst hang together, so bets that trust each of them win too much; to the power of r, the
 * Lundberg (adjustment) coefficient of the random walk of burst sums, whole bursts are fair bets (docs/drift.md, Evidence).
 */
import { type BaselineCounts, BETS, BETS_PER_CHANNEL, COHERENCE_BURSTS_MIN, NOVELTY_BETS } from '../core/drift.ts'

export const RATES = [1, 0.85, 0.7, 0.6, 0.5, 0.42, 0.35, 0.3, 0.25, 0.2, 0.16, 0.13, 0.1, 0.08, 0.06, 0.045, 0.03] as const
/** Sums per bet and rate: of exp(r S), of its square, and of exp(r S) over blocks. */
const SUMS = 3
export const LUNDBERG_FLOATS = BETS * RATES.length * SUMS
/** Consecutive bursts that make a block. */
export const BLOCK_BURSTS = 4
const BLOCKS_MIN = 4
/** exp of this, squared, is still a float32; any such burst makes its rate fail anyway. */
const EXPONENT_MAX = 40
/** One-sided 90 %. */
const STANDARD_ERRORS = 1.28
/** Bursts at which half of the trust is reached. */
const BURSTS_HALF = 20

/** @param sums per bet the sum of untempered log bets over one burst */
export function addBurst(counts: BaselineCounts, sums: Float64Array): void {
  counts.bursts++
  eachRate(sums, (value, at) => {
    counts.lundberg[at] = (counts.lundberg[at] as number) + value
    counts.lundberg[at + 1] = (counts.lundberg[at + 1] as number) + value * value
  })
}

/** @param sums the same over `BLOCK_BURSTS` bursts */
export function addBlock(counts: BaselineCounts, sums: Float64Array): void {
  counts.blocks++
  eachRate(sums, (value, at) => {
    counts.lundberg[at + 2] = (counts.lundberg[at + 2] as number) + value
  })
}

function eachRate(sums: Float64Array, add: (value: number, at: number) => void): void {
  for (let bet = 0; bet < BETS; bet++)
    RATES.forEach((rate, index) => {
      add(Math.exp(Math.min(rate * (sums[bet] as number), EXPONENT_MAX)), (bet * RATES.length + index) * SUMS)
    })
}

/**
 * The power for each bet; 0 mutes it: no rate made the baseline's own bursts fair, or there are too few bursts to know.
 * Near-duplicates need no rhythm to be learnt and count from the first burst on.
 */
export function ratesOf(counts: BaselineCounts): Float64Array {
  const cap = counts.bursts / (counts.bursts + BURSTS_HALF)
  return Float64Array.from({ length: BETS }, (_, bet) => {
    const rhythm = bet >= NOVELTY_BETS && bet < BETS - BETS_PER_CHANNEL
    if (rhythm && counts.bursts < COHERENCE_BURSTS_MIN) return 0
    return RATES.find((rate, index) => rate <= cap && isFair(counts, (bet * RATES.length + index) * SUMS)) ?? 0
  })
}

function isFair({ lundberg, bursts, blocks }: BaselineCounts, at: number): boolean {
  const mean = (lundberg[at] as number) / bursts
  const variance = Math.max(0, (lundberg[at + 1] as number) / bursts - mean * mean)
  // Not `> 1`: what is no number is not fair.
  if (!(mean + STANDARD_ERRORS * Math.sqrt(variance / bursts) <= 1)) return false
  return blocks < BLOCKS_MIN || (lundberg[at + 2] as number) / blocks <= 1
}
