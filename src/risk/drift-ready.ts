/** A baseline made ready for the hot path: centroids where the kernel reads them, and every bet worked out. */
import { type Background, type Baseline, HISTOGRAM_BINS } from '../core/drift.ts'
import { type BetTable, betTable, slotPValues, temper } from './drift-bets.ts'
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
  /** Standardised distance beyond which a query is among the farthest twentieth. */
  readonly outlierZ: number
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
    outlierZ: outlierZ(baseline)
  }
}

/** Lower end of the first bin that at most a twentieth of the calibration queries reach. */
function outlierZ({ counts, ranges }: Baseline): number {
  const limit = OUTLIER_SHARE * counts.histograms.subarray(0, HISTOGRAM_BINS + 1).reduce((sum, count) => sum + count, 0)
  let bin = HISTOGRAM_BINS
  for (let tail = counts.histograms[bin] as number; bin > 0 && tail + (counts.histograms[bin - 1] as number) <= limit; bin--)
    tail += counts.histograms[bin - 1] as number
  return (ranges[0] as number) + bin * (ranges[1] as number)
}

/** Bytes that a ready baseline keeps in memory, the kernel's copy of the codebook included. */
export function readyBytes({ codebook, bets, pValues, rates }: ReadyBaseline): number {
  return 2 * codebook.block.data.byteLength + bets.byteLength + pValues.byteLength + rates.byteLength
}
