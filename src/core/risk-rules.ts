/** What the policy says of risk: thresholds, durations, budgets and monitored figures, with every default in one place. */
import { DRIFT_THRESHOLDS, type DriftThresholds } from './drift.ts'
import type { MonitoringAction, MonitoringMetric } from './risk-document.ts'
import type { IdPattern } from './spiffe-id.ts'
import type { Raised } from './standing.ts'
import type { Operation } from './vector-call.ts'

/** Scores from which on a standing is raised, above 0, and none below the one before. */
export type Thresholds = Readonly<Record<Raised, number>>

export interface RiskRules {
  readonly drift: DriftThresholds
  /** Of the weighted denials of a proven identity. */
  readonly denials: Thresholds
  /** A score of denials halves in this time. */
  readonly denialsHalfLifeMs: number
  readonly slowedMs: number
  /** Of its rate, what a slowed workload keeps: above 0, at most 1. */
  readonly slowedShare: number
  /** A challenge that is not answered in this time, by a workload that goes on calling, becomes a quarantine. */
  readonly stepUpAnswerMs: number
  /** For so long an accepted proof answers for a figure or signal that lasts. */
  readonly stepUpValidMs: number
  /** So many step-ups within `strikesWithinMs` become a quarantine. */
  readonly strikes: number
  readonly strikesWithinMs: number
  readonly supervisors: readonly IdPattern[]
  /** undefined: any. */
  readonly acrValues: ReadonlySet<string> | undefined
  readonly quarantineMs: number
  /** So many identities of one agent type, quarantined for one collection, quarantine the type there; undefined: never. */
  readonly identitiesTogether: number | undefined
  readonly togetherWithinMs: number
}

export interface MonitoringRule {
  readonly metric: MonitoringMetric
  /** Of an external signal; undefined for every other metric. */
  readonly signal: string | undefined
  readonly windowMs: number
  /** Acts when the metric is above it. */
  readonly threshold: number
  readonly action: MonitoringAction
  /** undefined: all. */
  readonly agentTypes: ReadonlySet<string> | undefined
  /** Where it stands, such as `policy.yaml:40 monitoring[0]`. */
  readonly source: string
}

/** How fast a budget fills, and how much it holds. */
export interface Pace {
  /** Sustained cost per second, above 0. */
  readonly perSecond: number
  /** Most cost that can be admitted at once, above 0. */
  readonly burst: number
}

/** The budgets beside the workload's own; undefined: none of that kind. */
export interface FurtherBudgets {
  readonly tenant: Pace | undefined
  readonly collection: Pace | undefined
  readonly operations: Readonly<Partial<Record<Operation, Pace>>> | undefined
  readonly bytes: Pace
}

/** A lane reads some 200 MB of JSON a second: one workload holds a twentieth of it, and can send two of the largest bodies at once. */
export const BYTES_PACE: Pace = { perSecond: 10_000_000, burst: 67_108_864 }

export const RISK_DEFAULTS: RiskRules = {
  drift: DRIFT_THRESHOLDS,
  denials: { slowed: 10, 'step-up': 20, quarantine: 40 },
  denialsHalfLifeMs: 600_000,
  slowedMs: 900_000,
  slowedShare: 0.5,
  stepUpAnswerMs: 300_000,
  stepUpValidMs: 3_600_000,
  strikes: 3,
  strikesWithinMs: 86_400_000,
  supervisors: [],
  acrValues: undefined,
  quarantineMs: 86_400_000,
  identitiesTogether: undefined,
  togetherWithinMs: 86_400_000
}
