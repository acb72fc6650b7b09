/** What a policy can say of risk, as it is written; `core/risk-rules.ts` has the same with every default. */
import type { Operation } from './vector-call.ts'

/** Of one workload in a window. `signal`: a figure that an operator or another system pushes. */
export const MONITORING_METRICS = [
  'request_rate',
  'deny_rate',
  'distinct_collections',
  'top_k_mean',
  'bytes',
  'queries',
  'vectors_out',
  'signal'
] as const
export type MonitoringMetric = (typeof MONITORING_METRICS)[number]

/** From the gentlest to the sternest; `page` calls a person and changes nothing else. */
export const MONITORING_ACTIONS = ['flag', 'page', 'slow', 'step-up', 'quarantine'] as const
export type MonitoringAction = (typeof MONITORING_ACTIONS)[number]

/** More than a person looks through; each window costs memory for each workload. */
export const MONITORING_RULES_MAX = 64
export const MONITORING_WINDOWS_MAX = 8

export interface MonitoringDocument {
  readonly metric: MonitoringMetric
  /** Name of the signal, where that is the metric. */
  readonly signal?: string | undefined
  readonly window_seconds: number
  readonly threshold: number
  readonly action: MonitoringAction
  readonly agent_types?: readonly string[] | undefined
}

export interface PaceDocument {
  /** Sustained, per second. */
  readonly per_second: number
  /** What may come at once after a pause. */
  readonly burst: number
}

export interface BudgetsDocument {
  /** Of each tenant, all its callers together. */
  readonly tenant?: PaceDocument | undefined
  /** Of each collection of each tenant, all callers together. */
  readonly collection?: PaceDocument | undefined
  /** Of each workload for one kind of call. */
  readonly operations?: { readonly [Kind in Exclude<Operation, 'probe'>]?: PaceDocument | undefined } | undefined
  /** Bytes of each workload's large bodies. */
  readonly bytes?: PaceDocument | undefined
}

export interface RiskDocument {
  readonly drift?:
    | {
        readonly watch?: number | undefined
        readonly step_up?: number | undefined
        readonly quarantine?: number | undefined
        readonly coherence_step_up?: number | undefined
      }
    | undefined
  readonly denials?:
    | {
        readonly slowed?: number | undefined
        readonly step_up?: number | undefined
        readonly quarantine?: number | undefined
        readonly half_life_seconds?: number | undefined
      }
    | undefined
  readonly slowed?: { readonly seconds?: number | undefined; readonly rate_share?: number | undefined } | undefined
  readonly step_up?:
    | {
        readonly answer_seconds?: number | undefined
        readonly valid_seconds?: number | undefined
        readonly strikes?: number | undefined
        readonly strikes_within_seconds?: number | undefined
        /** SPIFFE IDs or patterns of those who may vouch for a workload. */
        readonly supervisors?: readonly string[] | undefined
        /** What an end user's new token must have as `acr`; any, where it is not said. */
        readonly acr_values?: readonly string[] | undefined
      }
    | undefined
  readonly quarantine?:
    | {
        readonly seconds?: number | undefined
        readonly identities_together?: number | undefined
        readonly together_within_seconds?: number | undefined
      }
    | undefined
}
