/** What evidence asks for (docs/drift.md, Tiers): thresholds, one score, and the named causes. */
import {
  BETS_PER_CHANNEL,
  CHANNELS,
  type DriftCause,
  type DriftThresholds,
  type DriftTier,
  type Evidence,
  NOVELTY_BETS
} from '../core/drift.ts'
import { evidenceOf, meanEvidence } from './drift-evidence.ts'

const [WATCH, STEP_UP, QUARANTINE] = [0.25, 0.5, 1]
/** The part of the way to the next tier is kept below its whole, whatever rounding does. */
const PART_MAX = 0.999

/** 0 to 1, and never less for more of either evidence. Coherence has its say from its threshold on, and no more than a step-up. */
export function scoreOf(novelty: number, coherence: number, thresholds: DriftThresholds): number {
  const byRhythm = coherence >= thresholds.coherenceStepUp ? STEP_UP : between(0, WATCH, part(coherence, 1, thresholds.coherenceStepUp))
  return Math.max(byNovelty(novelty, thresholds), byRhythm)
}

function byNovelty(novelty: number, { watch, stepUp, quarantine }: DriftThresholds): number {
  if (novelty >= quarantine) return QUARANTINE
  if (novelty >= stepUp) return between(STEP_UP, QUARANTINE, part(novelty, stepUp, quarantine))
  if (novelty >= watch) return between(WATCH, STEP_UP, part(novelty, watch, stepUp))
  return between(0, WATCH, part(novelty, 1, watch))
}

/** Part of the way from one threshold to the next, by orders of magnitude. */
function part(evidence: number, from: number, to: number): number {
  if (!(evidence > from)) return 0
  return Math.min(PART_MAX, Math.log(evidence / from) / Math.log(to / from))
}

function between(from: number, to: number, share: number): number {
  return from + (to - from) * share
}

export function tierOf(score: number): DriftTier {
  if (score >= QUARANTINE) return 'quarantine'
  if (score >= STEP_UP) return 'step-up'
  return score >= WATCH ? 'watch' : 'normal'
}

/** Channels whose evidence is above 1, the strongest first. */
export function causesOf(evidence: Evidence, rates: Float64Array): DriftCause[] {
  return CHANNELS.map((channel, index): DriftCause => {
    const from = index * BETS_PER_CHANNEL
    const bets = Array.from({ length: BETS_PER_CHANNEL }, (_, at) => from + at)
    const weight = (bet: number) => ((rates[bet] as number) > 0 ? evidenceOf(evidence, bet) : 0)
    const strongest = bets.reduce((best, bet) => (weight(bet) > weight(best) ? bet : best), from)
    return {
      channel,
      family: from < NOVELTY_BETS ? 'novelty' : 'coherence',
      evidence: meanEvidence(evidence, rates, from, from + BETS_PER_CHANNEL),
      rate: rates[strongest] as number
    }
  })
    .filter((cause) => cause.evidence > 1)
    .sort((one, other) => other.evidence - one.evidence)
}
