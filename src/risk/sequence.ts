/**
 * Order and lateral movement: each call is a transition, each transition has a conformal p-value, and p-values are accumulated as those of
 * drift are: bets, tempered so that whole bursts of the type's own are fair, in a Shiryaev-Roberts e-detector (docs/risk-sequence.md).
 */
import type { DriftThresholds } from '../core/drift.ts'
import { BURST_QUERIES_MAX, BURSTS_MIN } from '../core/drift.ts'
import {
  SEQUENCE_BETS,
  SEQUENCE_START,
  type SequenceModel,
  type SequenceState,
  type SequenceVerdict,
  SURPRISE_BINS
} from '../core/sequence.ts'
import type { Evidence } from '../core/standing.ts'
import type { Alarm } from '../core/standings.ts'
import { tailBets } from './drift-bets.ts'
import { BLOCK_BURSTS, RATES } from './drift-lundberg.ts'
import { countTransition, probabilityOf, stateOf, surpriseBin, surprisePs } from './sequence-model.ts'

/** Pause that ends a burst, ms: longer than an agent's own waiting for a model's answer. */
const GAP_MS = 30_000
/** Scored events below which a model says nothing. */
export const SCORED_MIN = 200
const EVIDENCE_MAX = 1e30
const [SUM, SQUARE, BLOCK] = [0, 1, 2]
const SUMS = 3
const EXPONENT_MAX = 40
/** One-sided 90 %, as for drift. */
const STANDARD_ERRORS = 1.28
const BURSTS_HALF = 20
const BLOCKS_MIN = 4

export function newSequenceState(): SequenceState {
  return {
    version: '',
    state: SEQUENCE_START,
    lastAt: Number.NEGATIVE_INFINITY,
    events: 0,
    base: new Float64Array(SEQUENCE_BETS),
    logs: new Float64Array(SEQUENCE_BETS),
    burstSums: new Float64Array(SEQUENCE_BETS),
    blockSums: new Float64Array(SEQUENCE_BETS),
    burstsInBlock: 0
  }
}

/** Worked out once for a model that is frozen, and now and then for one that learns. */
export interface ReadySequence {
  readonly model: SequenceModel
  /** Empty for one that learns. */
  readonly version: string
  /** It says nothing: it still learns, or has learnt too little. */
  readonly cold: boolean
  /** Enough was ranked for p-values. */
  readonly ranks: boolean
  /** By bin of surprise: its p-value, and the logarithms of the bets on that. */
  readonly ps: Float64Array
  readonly bets: Float64Array
  /** Power of each bet; 0: no power made the type's own bursts fair. */
  readonly rates: Float64Array
}

/** @param version of a frozen model: who goes on under another one begins anew */
export function readySequence(model: SequenceModel, version = ''): ReadySequence {
  const ranks = model.scored >= SCORED_MIN
  // What can still be taught judges nobody: the patient would teach it.
  const cold = !model.frozen || !ranks || model.bursts < BURSTS_MIN
  const ps = surprisePs(model)
  const bets = new Float64Array(SURPRISE_BINS * SEQUENCE_BETS)
  for (const [bin, p] of ps.entries()) bets.set(tailBets(p), bin * SEQUENCE_BETS)
  const cap = model.bursts / (model.bursts + BURSTS_HALF)
  const rates = Float64Array.from({ length: SEQUENCE_BETS }, (_, bet) =>
    cold ? 0 : (RATES.find((rate, index) => rate <= cap && isFair(model, (bet * RATES.length + index) * SUMS)) ?? 0)
  )
  return { model, version, cold, ranks, ps, bets, rates }
}

function isFair({ fairness, bursts, blocks }: SequenceModel, at: number): boolean {
  const mean = (fairness[at + SUM] as number) / bursts
  const variance = Math.max(0, (fairness[at + SQUARE] as number) / bursts - mean * mean)
  if (!(mean + STANDARD_ERRORS * Math.sqrt(variance / bursts) <= 1)) return false
  return blocks < BLOCKS_MIN || (fairness[at + BLOCK] as number) / blocks <= 1
}

/**
 * Judges one call and moves the workload's state, in place. A model that is not frozen learns from it afterwards.
 * @param learning false for workloads that are not in good standing: those teach nothing
 */
export function observeSequence(ready: ReadySequence, its: SequenceState, event: string, now: number, learning: boolean): SequenceVerdict {
  const { model, cold, rates, version } = ready
  if (its.version !== version) {
    clearSequence(its)
    its.version = version
  }
  const learns = learning && !model.frozen
  if (now - its.lastAt > GAP_MS || its.events >= BURST_QUERIES_MAX) beginBurst(ready, its, learns)
  its.lastAt = Math.max(its.lastAt, now)
  its.events++
  const to = stateOf(model, event, learns)
  const probability = probabilityOf(model, its.state, to)
  const bin = surpriseBin(probability)
  if (ready.ranks)
    for (let bet = 0; bet < SEQUENCE_BETS; bet++) {
      const log = ready.bets[bin * SEQUENCE_BETS + bet] as number
      its.burstSums[bet] = (its.burstSums[bet] as number) + log
      its.logs[bet] = (its.logs[bet] as number) + (rates[bet] as number) * log
    }
  if (learns) countTransition(model, its.state, to, probability)
  its.state = to
  return { p: cold ? 1 : (ready.ps[bin] as number), probability, evidence: cold ? 0 : sequenceEvidence(ready, its), cold }
}

/** Mean of the bets that have a power. */
export function sequenceEvidence({ rates }: ReadySequence, its: SequenceState): number {
  let sum = 0
  for (let bet = 0; bet < SEQUENCE_BETS; bet++) if ((rates[bet] as number) > 0) sum += evidenceOf(its, bet)
  return sum / SEQUENCE_BETS
}

function evidenceOf({ base, logs }: SequenceState, bet: number): number {
  return Math.min(EVIDENCE_MAX, (base[bet] as number) * Math.exp(Math.min(300, logs[bet] as number)))
}

function beginBurst({ model, rates, ranks }: ReadySequence, its: SequenceState, learns: boolean): void {
  if (learns && its.events > 0 && ranks) teach(model, its)
  for (let bet = 0; bet < SEQUENCE_BETS; bet++) {
    its.base[bet] = (rates[bet] as number) > 0 ? evidenceOf(its, bet) + 1 : 1
    its.logs[bet] = 0
    its.burstSums[bet] = 0
  }
  its.events = 0
  its.state = SEQUENCE_START
}

/** Notes what a whole burst, and a block of them, would have won. */
function teach(model: SequenceModel, its: SequenceState): void {
  model.bursts++
  addPowers(its.burstSums, (value, at) => {
    model.fairness[at + SUM] = (model.fairness[at + SUM] as number) + value
    model.fairness[at + SQUARE] = (model.fairness[at + SQUARE] as number) + value * value
  })
  for (let bet = 0; bet < SEQUENCE_BETS; bet++) its.blockSums[bet] = (its.blockSums[bet] as number) + (its.burstSums[bet] as number)
  if (++its.burstsInBlock < BLOCK_BURSTS) return
  model.blocks++
  addPowers(its.blockSums, (value, at) => {
    model.fairness[at + BLOCK] = (model.fairness[at + BLOCK] as number) + value
  })
  its.blockSums.fill(0)
  its.burstsInBlock = 0
}

function addPowers(sums: Float64Array, add: (value: number, at: number) => void): void {
  for (let bet = 0; bet < SEQUENCE_BETS; bet++)
    for (const [index, rate] of RATES.entries())
      add(Math.exp(Math.min(rate * (sums[bet] as number), EXPONENT_MAX)), (bet * RATES.length + index) * SUMS)
}

/** Forgets all evidence, as after a step-up that was answered. */
export function clearSequence(its: SequenceState): void {
  its.base.fill(0)
  its.logs.fill(0)
  its.burstSums.fill(0)
  its.lastAt = Number.NEGATIVE_INFINITY
  its.events = 0
  its.state = SEQUENCE_START
}

/** A strange order is no crime: it never goes beyond a step-up. */
export function sequenceAlarm(
  { p, probability, evidence }: SequenceVerdict,
  { watch, stepUp }: DriftThresholds,
  found: Omit<Evidence, 'says' | 'figures'>
): Alarm | undefined {
  if (!(evidence >= watch)) return undefined
  const says = `an order of calls that this agent type does not have: evidence ${evidence.toPrecision(3)}`
  const level = evidence >= stepUp ? 'step-up' : 'slowed'
  return { level, cause: 'sequence', evidence: { ...found, says, figures: { evidence, p, probability } } }
}
