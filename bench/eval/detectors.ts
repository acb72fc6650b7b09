/** The product's own detector, learnt and asked as the server does it, and the same with a part taken out. */
import {
  type Background,
  BETS,
  BETS_PER_CHANNEL,
  DRIFT_THRESHOLDS,
  type DriftThresholds,
  NOVELTY_BETS,
  SCORES
} from '../../src/core/drift.ts'
import { backgroundOf, freeze } from '../../src/risk/drift-freeze.ts'
import { learn, newDraft } from '../../src/risk/drift-learn.ts'
import { newDriftState, observe } from '../../src/risk/drift-observe.ts'
import { NO_BACKGROUND, prepare, type ReadyBaseline } from '../../src/risk/drift-ready.ts'
import { type ReadySpace, readySpace } from '../../src/risk/drift-sketch.ts'
import { fitSpace } from '../../src/risk/drift-space.ts'
import type { Kernel } from '../../src/risk/kernel.ts'
import { diceFor } from './dice.ts'
import { learningBursts, type Split, type Stream, timesOf } from './streams.ts'

export const ABLATIONS = ['no burst correction', 'no background', 'no residual energy', 'no successive distances'] as const
export type Ablation = (typeof ABLATIONS)[number]

export interface Detector {
  readonly ready: ReadyBaseline
  readonly background: Background
  readonly thresholds: DriftThresholds
}

/** What the agent type of a department has learnt. */
export interface Learnt {
  readonly whole: Detector
  readonly without: Readonly<Record<Ablation, Detector>>
}

export interface LearntWorld {
  readonly space: ReadySpace
  readonly agents: ReadonlyMap<string, Learnt>
}

/** Every department is an agent type with a collection of its own; the background of each are the other ones. */
export function learnWorld(split: Split, kernel: Kernel): LearntWorld {
  const drafts = [...split.learnt.keys()].map((department) => draftOf(split, department))
  const space = readySpace(fitSpace(drafts, 'space'))
  const options = { space, frozenAt: 0, seed: split.seed, kernel }
  const alone = drafts.map((draft) => freeze(draft, { ...options, version: `alone ${draft.key.agentType}` }))
  const agents = drafts.map((draft, at): [string, Learnt] => {
    const others = alone.filter((_, other) => other !== at)
    const background = backgroundOf(others, kernel)
    const own = freeze(draft, { ...options, background, version: draft.key.agentType })
    const whole = { ready: prepare(own, space, background, kernel), background, thresholds: DRIFT_THRESHOLDS }
    return [
      draft.key.agentType,
      {
        whole,
        without: {
          'no burst correction': untempered(whole),
          'no background': {
            ready: prepare(alone[at] as typeof own, space, NO_BACKGROUND, kernel),
            background: NO_BACKGROUND,
            thresholds: DRIFT_THRESHOLDS
          },
          'no residual energy': withoutResidual(whole),
          'no successive distances': withoutSuccessive(whole)
        }
      }
    ]
  })
  return { space, agents: new Map(agents) }
}

function draftOf(split: Split, department: string) {
  const { queries, dimensions } = split.data
  const bursts = learningBursts(split, department)
  const times = timesOf(
    bursts.map((burst) => burst.length),
    diceFor(split.seed, department, 'learning-times')
  )
  const draft = newDraft({ tenant: 'evaluation', agentType: department, collection: department }, { form: 'dense', dimensions, seed: 7 })
  for (const [at, row] of bursts.flat().entries()) {
    const call = { vectors: [queries[row] as Float32Array], at: times[at] as number }
    if (learn(draft, 'learner', call) !== 1) throw new Error(`row ${row} of ${split.data.name} could not be learnt from`)
  }
  return draft
}

/** With other powers of the bets. */
export function withRates(detector: Detector, rates: Float64Array): Detector {
  const { ready, background } = detector
  return { ...detector, ready: prepare(ready.baseline, ready.space, background, ready.kernel, rates) }
}

/** Every query trusted by itself. */
function untempered(detector: Detector): Detector {
  return withRates(
    detector,
    detector.ready.rates.map(() => 1)
  )
}

/** Two thirds of the novelty family are left, and a muted bet counts as nothing: its thresholds shrink by as much. */
function withoutResidual(detector: Detector): Detector {
  const rates = detector.ready.rates.map((rate, bet) => (bet >= NOVELTY_BETS - BETS_PER_CHANNEL && bet < NOVELTY_BETS ? 0 : rate))
  const left = 1 - BETS_PER_CHANNEL / NOVELTY_BETS
  const { thresholds } = detector
  return withRates(
    {
      ...detector,
      thresholds: {
        ...thresholds,
        watch: thresholds.watch * left,
        stepUp: thresholds.stepUp * left,
        quarantine: thresholds.quarantine * left
      }
    },
    rates
  )
}

/** A quarter of the coherence family: the same for its threshold. */
function withoutSuccessive(detector: Detector): Detector {
  const from = SCORES.indexOf('successive') * BETS_PER_CHANNEL
  const { thresholds } = detector
  const left = 1 - BETS_PER_CHANNEL / (BETS - NOVELTY_BETS)
  const coherenceStepUp = thresholds.coherenceStepUp * left
  return withRates(
    { ...detector, thresholds: { ...thresholds, coherenceStepUp } },
    detector.ready.rates.map((rate, bet) => (bet >= from && bet < from + BETS_PER_CHANNEL ? 0 : rate))
  )
}

/** Per query of a stream. */
export interface Trace {
  /** Whether a step-up (or worse) was asked for. */
  readonly alarms: Uint8Array
  /** The same by novelty alone. */
  readonly novel: Uint8Array
  /** Quarantine by evidence alone. */
  readonly quarantined: Uint8Array
}

export function replay({ ready, thresholds }: Detector, { vectors, times }: Stream): Trace {
  const state = newDriftState()
  const trace = {
    alarms: new Uint8Array(vectors.length),
    novel: new Uint8Array(vectors.length),
    quarantined: new Uint8Array(vectors.length)
  }
  for (const [at, vector] of vectors.entries()) {
    const { verdict } = observe(ready, state, { vectors: [vector], at: times[at] as number }, thresholds)
    trace.alarms[at] = verdict.tier === 'step-up' || verdict.tier === 'quarantine' ? 1 : 0
    trace.novel[at] = verdict.novelty >= thresholds.stepUp ? 1 : 0
    trace.quarantined[at] = verdict.tier === 'quarantine' ? 1 : 0
  }
  return trace
}
