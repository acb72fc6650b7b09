/** Bounds of what is learnt about drift, and what nobody approved yet: plain data, as in drift.ts. */

/** Queries of a draft: enough for 64 neighbourhoods, and 1.6 MB. */
export const DRAFT_QUERIES_MAX = 4096
export const DRAFT_WORKLOADS_MAX = 1024
/** Fewest queries of a baseline: eight for one neighbourhood, of which some are held back at a time. */
export const DRAFT_QUERIES_MIN = 16

/** New neighbourhoods that nobody approved yet, of one version of a baseline. */
export interface Probation {
  readonly version: string
  readonly neighbourhoods: ProbationaryNeighbourhood[]
}

/** What some queries of a neighbourhood add up to. */
export interface ProbationSums {
  /** Of the unit sketches: its direction. */
  readonly sum: Float32Array
  queries: number
  /** Sums, and sums of squares, of the distance with which each but the first joined, of `Outlier.background` and of `residual`. */
  readonly sums: Float64Array
  readonly squares: Float64Array
}

/** The sums are of all queries, whoever sent them: they say what joins. */
export interface ProbationaryNeighbourhood extends ProbationSums {
  readonly firstAt: number
  lastAt: number
  /** By workload. */
  readonly supporters: Map<string, Support>
}

/** The queries of one workload. */
export interface Support extends ProbationSums {
  /** It was slowed, challenged or quarantined since the neighbourhood began: it speaks for nothing that becomes normal. */
  raised: boolean
}
