/**
 * How risky a call is, and how its workload stands: the port that a decision asks. Nothing waits here: it is asked in memory. Exactly
 * one role has it, gateway or index; at egress there is none.
 */
import type { Caller } from './caller.ts'
import type { Grant } from './decision.ts'
import type { DenyReason } from './deny-reason.ts'
import type { BudgetDocument } from './policy-document.ts'
import type { FurtherBudgets, MonitoringRule, RiskRules } from './risk-rules.ts'
import type { Cause, Standing } from './standing.ts'
import type { ResolvedTarget } from './vector-call.ts'

/** What a policy says of risk. */
export interface RiskPolicy {
  readonly risk: RiskRules
  readonly monitoring: readonly MonitoringRule[]
  readonly budgets: FurtherBudgets
}

/** A proven workload that calls. */
export interface RiskCall {
  readonly caller: Caller
  readonly agentType: string | undefined
  /** As the policy has it; what was learnt is below it. */
  readonly budget: BudgetDocument
  readonly policy: RiskPolicy
  /** Names this check and its repeats (Envoy's SVID and `http.id`); empty when it cannot be named, then each one counts. */
  readonly check: string
  readonly decisionId: string
  /** Nothing is raised and nothing ends; what would be refused is said all the same. */
  readonly shadow: boolean
  /** ms since the epoch. */
  readonly now: number
}

/** Where it goes, as far as it is known. */
export interface RiskPlace {
  readonly tenant: string | undefined
  /** Id of the database. */
  readonly database: string
  readonly targets: readonly ResolvedTarget[]
}

/** How a workload stands before its call is looked at. */
export interface Held {
  readonly standing: Standing
  /** What its standing leaves of its own budgets: above 0, at most 1. */
  readonly share: number
  /** As written, or as learnt. */
  readonly budget: BudgetDocument
  /** `step-up-required` or `quarantined`; undefined: it may go on. */
  readonly refusal: DenyReason | undefined
}

/** One reason for a score. */
export interface RiskCause {
  readonly cause: Cause
  readonly says: string
  readonly figures: Readonly<Record<string, number>>
}

/**
 * Whether drift can be judged for the call: `none` without an agent type, a query or a single collection; `learning` while nobody has
 * approved a baseline; `judging` with one.
 */
export type Learning = 'none' | 'learning' | 'judging'

/** What was made of a granted call. */
export interface Judgement {
  /** 0 to 1: 0.25 slows, 0.5 asks for a step-up, 1 quarantines. */
  readonly score: number
  /** What asks for a standing, the sternest first. */
  readonly causes: readonly RiskCause[]
  readonly before: Standing
  readonly after: Standing
  /** `unseen`: at least one query had no vector to look at. */
  readonly vectors: 'none' | 'seen' | 'unseen'
  readonly learning: Learning
  /** `step-up-required`, `quarantined`, `rate-exceeded` or `cost-exceeded` (exposure), or `state-unavailable`; undefined: it may pass. */
  readonly refusal: DenyReason | undefined
  readonly retryAfterMs: number | undefined
}

/** What is said of a refused call. */
export type Refusal = Pick<Judgement, 'score' | 'causes' | 'before' | 'after'>

/** What of it goes on record. */
export type RiskRecord = Pick<Judgement, 'causes' | 'before' | 'after'> & Partial<Pick<Judgement, 'score' | 'vectors' | 'learning'>>

export interface Risk {
  /** Before the call is read, and once more when it is known where it goes: a quarantine may be of an agent type in a collection. */
  readonly held: (call: RiskCall, place: RiskPlace | undefined) => Held
  /**
   * The end user of this call may be the answer to an open step-up (RFC 9470).
   * @param call with a caller whose subject is proven
   * @returns why it is not, for whoever signs in; undefined: it was, and the workload goes on, slowed
   */
  readonly prove: (call: RiskCall) => string | undefined
  /**
   * Looks at a granted and paid call, adds up and raises. Once however often Envoy asks: a repeat gets the same judgement.
   * @param database its id
   */
  readonly observe: (grant: Grant, call: RiskCall, database: string, body: Uint8Array | undefined) => Judgement
  /**
   * A denial of a proven identity, which may raise its standing; once however often Envoy asks.
   * @param target what was asked for, in words of its own: the same words are the same thing
   */
  readonly refused: (reason: DenyReason, target: string, call: RiskCall, place: RiskPlace, bytes: number) => Refusal | undefined
}

/** What is left of a budget, for the headers of draft-ietf-httpapi-ratelimit-headers (`q`, `w`, `r`, `t`). */
export interface RateFacts {
  /** Quota of a window: the burst. */
  readonly limit: number
  /** Seconds in which an empty budget fills. */
  readonly windowSeconds: number
  readonly remaining: number
  /** Seconds until all of it is there again. */
  readonly resetSeconds: number
}

/** Of an open step-up, for whoever is to answer it (RFC 9470 §3). */
export interface StepUp {
  /** Names it in answers; not a secret. */
  readonly id: string
  /** An end user who authenticates again answers it; else a supervisor or an operator has to. */
  readonly forUser: boolean
  /** Empty: any. */
  readonly acrValues: readonly string[]
  /** Whole seconds since it was asked for: an older authentication is not enough. */
  readonly maxAgeSeconds: number
  /** Until it becomes a quarantine, while the workload goes on calling. */
  readonly secondsLeft: number
}
