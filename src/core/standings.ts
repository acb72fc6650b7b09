/** The standings that a process knows: what `state/standings.ts` implements. A decision asks memory only. */
import type { Cause, CohortScope, Evidence, Raised, Scope, Standing, StandingRecord, Term } from './standing.ts'

/** Non-normal workloads and cohorts in one process; a record is about a kilobyte. */
export const STANDINGS_MAX = 100_000

/** Something that asks for a standing: as often as it is so, not only when it begins. */
export interface Alarm {
  readonly level: Raised
  readonly cause: Cause
  readonly evidence: Evidence
}

/** A change of standing, for the audit record, metrics and whoever is paged. */
export interface Move {
  readonly scope: Scope
  readonly from: Standing
  readonly to: Standing
  /** What holds it there now; undefined for `normal`. */
  readonly term: Term | undefined
  /** It was decided elsewhere and heard here. */
  readonly heard: boolean
  /** Milliseconds since the epoch. */
  readonly at: number
}

/** `full`: there is no room to keep it, so the call must be refused. */
export type Changed = 'changed' | 'same' | 'full'

/** One row of `vecauthz standings`. Times are milliseconds since the epoch. */
export interface StandingRow {
  readonly scope: Scope
  readonly standing: Standing
  readonly cause: Cause
  readonly evidence: Evidence
  readonly since: number
  /** When it ends by itself, if nothing happens; undefined for what no time ends. */
  readonly until: number | undefined
  /** Names the term: `run.n`. The id of a step-up's challenge. */
  readonly id: string
}

/** How many stand so. */
export type StandingCounts = Readonly<Record<Scope['kind'], Readonly<Record<Standing, number>>>>

export type ReleaseResult =
  | { readonly kind: 'done'; readonly was: Standing }
  | { readonly kind: 'not'; readonly says: string }
  /** In force here; the store has not got it yet, and will be told as soon as it can be. */
  | { readonly kind: 'local'; readonly was: Standing; readonly because: string }

export interface Standings {
  /** Of a workload, by its SPIFFE ID: asked for each call. undefined: normal. */
  readonly ofWorkload: (id: string) => StandingRecord | undefined
  readonly of: (scope: Scope) => StandingRecord | undefined
  /** False: no cohort stands other than normal, so none need be asked for. */
  readonly hasCohorts: () => boolean
  /** Those of agent types in collections. */
  readonly cohorts: () => Iterable<StandingRecord>
  /**
   * Puts what `change` makes of a record in its place; the very same record changes nothing.
   * @param change is given the name of this run, for new terms
   * @param now milliseconds since the epoch
   */
  readonly change: (scope: Scope, change: (record: StandingRecord, run: string) => StandingRecord, now: number) => Changed
  /** SPIFFE IDs that are quarantined for a collection, and since when (milliseconds since the epoch). */
  readonly quarantinedIn: (cohort: CohortScope) => ReadonlyMap<string, number>
  /** All that are not normal, sternest first. */
  readonly list: (now: number) => readonly StandingRow[]
  readonly counts: (now: number) => StandingCounts
  /** An operator's act: all that is held ends. @param by who. @param reason words for the record */
  readonly release: (scope: Scope, by: string, reason: string, now: number) => Promise<ReleaseResult>
  /** All that the store knew when it was first asked is known here: before it, the process is not ready. */
  readonly isLoaded: () => boolean
  /** How long ago the store was last known to have nothing newer, milliseconds; 0 where there is no store. */
  readonly staleMs: () => number
}
