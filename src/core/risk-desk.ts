/** What people do about standings and baselines: what the admin port offers, and `risk-desk.ts` does. Times are ms since the epoch. */
import type { Subject } from './caller.ts'
import type { BaselineKey } from './drift.ts'
import type { RiskSignal } from './signal.ts'
import type { SpiffeId } from './spiffe-id.ts'
import type { Scope, Standing } from './standing.ts'
import type { StandingCounts, StandingRow } from './standings.ts'

/** In the place of a tenant and of a collection: the order in which an agent type calls, whoever's data it is. */
export const ORDER_OF_CALLS = { tenant: '*', collection: 'order of calls' } as const
/** Most rows of one answer. */
export const STANDINGS_SHOWN_MAX = 1_000

/** Who acts, why and when. */
export interface By {
  /** SPIFFE ID, or `automatic`. */
  readonly by: string
  readonly reason: string
  readonly now: number
}

/** What came of an act. `not`: with a sentence for whoever acted. `unavailable`: it is not known that it was kept. */
export type RiskActed =
  | { readonly kind: 'done'; readonly facts: Readonly<Record<string, unknown>> }
  | { readonly kind: 'not'; readonly status: 403 | 404 | 409; readonly says: string }
  | { readonly kind: 'unavailable'; readonly because: string }

/** Of an agent type in a collection; the first query makes one. */
export interface BaselineItem {
  readonly key: BaselineKey
  /** `waiting`: frozen, for somebody's yes. `reset`: nothing was learnt since. */
  readonly state: 'learning' | 'waiting' | 'in-force' | 'reset'
  /** What is learnt beside it, undefined where nothing is. */
  readonly learning:
    | {
        /** Or calls, for an order. */
        readonly queries: number
        readonly skipped: number
        /** undefined: it is not counted. */
        readonly workloads: number | undefined
        readonly bursts: number
        /** Missing until a baseline of it judges, and until rhythm counts. */
        readonly burstsToJudge: number
        readonly burstsToCoherence: number
        readonly full: boolean
      }
    | undefined
  readonly inForce: FrozenItem | undefined
  readonly waiting: FrozenItem | undefined
  /** Records a day, as an approver set it. */
  readonly daily: number | undefined
  readonly proposals: readonly ProposalItem[]
}

export interface FrozenItem {
  readonly version: string
  readonly bursts: number
  readonly queries: number
  readonly neighbourhoods: number | undefined
  /** Of an order: kinds of calls that are told apart. */
  readonly kinds?: number
  readonly by: string
  readonly reason: string
  readonly at: number
}

/** A neighbourhood on probation. */
export interface ProposalItem {
  readonly id: string
  readonly queries: number
  /** Who asked there; the most first. */
  readonly supporters: readonly SupporterItem[]
  /** Why it takes a person who insists; undefined where enough speak for it. */
  readonly doubts: string | undefined
  readonly firstAt: number
  readonly lastAt: number
}

export interface SupporterItem {
  /** SPIFFE ID. */
  readonly workload: string
  readonly queries: number
  /** Now. */
  readonly standing: Standing
  /** It was slowed, challenged or quarantined since the neighbourhood began: its queries do not count. */
  readonly raised: boolean
}

export interface RiskDesk {
  readonly standings: (now: number) => readonly StandingRow[]
  readonly counts: (now: number) => StandingCounts
  /** How long ago the store was last known to have nothing newer, ms. */
  readonly staleMs: () => number
  readonly release: (scope: Scope, by: By) => Promise<RiskActed>
  /**
   * Somebody vouches for the challenged workload, or says no: once, for this very challenge.
   * @param id of the challenge. @param isOperator else `who` must be one of the policy's supervisors
   */
  readonly answer: (id: string, verdict: 'approve' | 'refuse', who: SpiffeId, isOperator: boolean, by: By) => RiskActed
  /** SPIFFE ID of the workload that an open step-up is about. */
  readonly challenged: (id: string, now: number) => string | undefined
  /** The end user behind the challenged call has signed in again. @param subject proven for that workload */
  readonly answerByUser: (id: string, subject: Subject, by: By) => Promise<RiskActed>
  /** Has to step up, or is quarantined, or it is not known yet: whoever is decides about nobody else. */
  readonly isHeld: (id: SpiffeId) => boolean
  /** Another system says that a workload is not what it should be: its standing rises at once. */
  readonly raised: (signal: RiskSignal) => RiskActed
  /** A figure of another system, for `monitoring` with `metric: signal`. */
  readonly signal: (workload: string, name: string, value: number, now: number) => RiskActed
  readonly baselines: () => readonly BaselineItem[]
  readonly freeze: (key: BaselineKey, by: By) => Promise<RiskActed>
  readonly approve: (key: BaselineKey, daily: number | undefined, by: By) => Promise<RiskActed>
  readonly reset: (key: BaselineKey, by: By) => Promise<RiskActed>
  /** @param anyway though too few speak for it that were not raised meanwhile */
  readonly adopt: (key: BaselineKey, proposal: string, anyway: boolean, by: By) => Promise<RiskActed>
  /** undefined: none is in force. It holds the tenant's secret projection. */
  readonly exported: (key: BaselineKey) => string | undefined
  readonly imported: (text: string, add: boolean, by: By) => Promise<RiskActed>
}
