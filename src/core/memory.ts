/** What a decision remembers between calls: the port that `state/` implements. */
import type { Pace } from './risk-rules.ts'

/** What charging a budget came to; kept for the repeats of the same check. */
export type Charge =
  | { readonly kind: 'admitted' }
  | ({ readonly kind: 'wait'; readonly retryAfterMs: number } & Budgeted)
  /** The call alone costs more than the whole burst. */
  | ({ readonly kind: 'never' } & Budgeted)
  /** There was no room to keep the budget. */
  | { readonly kind: 'full' }

/** Which budget said no; without it, the workload's own. */
interface Budgeted {
  readonly of?: string
  readonly pace?: Pace
}

export interface Memory {
  /** The theoretical arrival time of a budget, ms since the epoch; undefined for one never charged. */
  readonly budgetOf: (name: string) => number | undefined
  /** False when there is no room: the call must be refused, for an unkept budget is no budget. */
  readonly keepBudget: (name: string, tat: number, now: number) => boolean
  /** The charge of the same check, if Envoy sent it before within CHECK_REPEAT_MS. */
  readonly repeatOf: (check: string, now: number) => Charge | undefined
  readonly keepRepeat: (check: string, charge: Charge, now: number) => void
  /** Of every budget, what this process may admit: 1, and less while nobody adds up what several of them admit. Above 0. */
  readonly share: () => number
}
