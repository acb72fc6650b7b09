/** A baseline made ready for the hot path: centroids where the kernel reads them, and every bet worked out. */
import { type Background, type Baseline, HISTOGRAM_BINS } from '../core/drift.ts'
import { type BetTable, betTable, NOVELTY_SCORES, slotPValues, temper } from './drift-bets.ts'
import type { EvidenceRules } from './drift-evidence.ts'
import { ratesOf } from './drift-lundberg.ts'
import { type Codebook, codebookOf } from './drift-score.ts'
import type { ReadySpace } from './drift-sketch.ts'
import type { Kernel } from './kernel.ts'

export interface ReadyBaseline extends EvidenceRules {
  readonly baseline: Baseline
  readonly space: ReadySpace
  readonly kernel: Kernel
  readonly codebook: Codebook
  /** Bets tempered by the burst correction. */
  readonly bets: BetTable
  /** Per score and slot. */
  readonly pValues: Float64Array
  /** For each score of novelty, beyond what a query is among the farthest twentieth. Infinity for a score that was never taken. */
  readonly outlierAt: Float64Array
}

const OUTLIER_SHARE = 0.05

export const NO_BACKGROUND: Background = { version: '', points: { rows: new Int8Array(0), scales: new Float32Array(0) } }

/**
 * @param rates powers of the bets; others than the learnt ones only to show what the burst correction is worth
 * @throws RangeError when baseline, space and background do not belong together: their numbers would mean nothing
 */
export function prepare(
  baseline: Baseline,
  space: ReadySpace,
  background: Background,
  kernel: Kernel,
  rates: Float64Array = ratesOf(baseline.counts)
): ReadyBaseline {
  if (baseline.space !== space.space.version)
    throw new RangeError(`baseline ${baseline.version} is of space ${baseline.space}, not ${space.space.version}`)
  if (baseline.background !== background.version)
    throw new RangeError(
      `baseline ${baseline.version} was calibrated with background "${baseline.background}", not "${background.version}"`
    )
  const pValues = slotPValues(baseline.counts)
  return {
    baseline,
    space,
    kernel,
    gapMs: baseline.gapMs,
    rates,
    codebook: codebookOf(baseline.centroids, background.points),
    bets: temper(betTable(baseline.counts, pValues), rates),
    pValues,
    outlierAt: Float64Array.from({ length: NOVELTY_SCORES }, (_, score) => outlierAt(baseline, score))
  }
}

/** Lower end of the first bin that at most a twentieth of the calibration queries reach. */
function outlierAt({ counts, ranges }: Baseline, score: number): number {
  const bins = counts.histograms.subarray(score * (HISTOGRAM_BINS + 1), (score + 1) * (HISTOGRAM_BINS + 1))
  const all = bins.reduce((sum, count) => sum + count, 0)
  if (all === 0) return Number.POSITIVE_INFINITY
  let bin = HISTOGRAM_BINS
  for (let tail = bins[bin] as number; bin > 0 && tail + (bins[bin - 1] as number) <= OUTLIER_SHARE * all; bin--)
    tail += bins[bin - 1] as number
  return (ranges[2 * score] as number) + bin * (ranges[2 * score + 1] as number)
}

/** Whatever can raise an alarm can be let in by a person: a query is an outlier by any of its scores of novelty. */
export function isOutlier({ outlierAt: limits }: ReadyBaseline, scores: Float64Array): boolean {
  for (let score = 0; score < NOVELTY_SCORES; score++) if ((scores[score] as number) > (limits[score] as number)) return true
  return false
}

/** Bytes that a ready baseline keeps in memory, the kernel's copy of the codebook included. */
export function readyBytes({ codebook, bets, pValues, rates }: ReadyBaseline): number {
  return 2 * codebook.block.data.byteLength + bets.byteLength + pValues.byteLength + rates.byteLength
}
