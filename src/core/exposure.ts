/** How much of a collection a workload has been shown: an upper estimate from its queries alone. */

/** What is kept of one workload and collection. `spend` changes it in place. */
export interface Exposure {
  /** UTC day, in days since the epoch, that `visited` is about. */
  day: number
  /** One bit per neighbourhood cell visited on that day. */
  readonly visited: Uint8Array
  /** Theoretical arrival time in ms since the epoch, undefined before the first query. */
  tat: number | undefined
  /** When the budget was found empty, at most once an hour: ms since the epoch. */
  exhausted: number[]
}

export interface ExposureQuery {
  /** `DriftVerdict.cells`: -1 for a query without a neighbourhood. */
  readonly cells: Int16Array
  /** Queries that nobody could look at: each counts as a new neighbourhood. */
  readonly unseen: number
  readonly topK: number
  readonly vectorsOut: boolean
  /** Of the data, by its tags: from 1 on. */
  readonly weight: number
}

export type Spent =
  | { readonly kind: 'admitted'; readonly cost: number }
  /** `times` the budget was found empty within a day: the second time asks for quarantine. */
  | { readonly kind: 'exhausted'; readonly cost: number; readonly retryAfterMs: number; readonly times: number }
  /** The call alone is more than the budget ever holds. */
  | { readonly kind: 'never'; readonly cost: number; readonly times: number }
