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

export interface ProbationaryNeighbourhood {
  /** Sum of the unit sketches in it: its direction. */
  readonly sum: Float32Array
  queries: number
  /** Sums, and sums of squares, of the distance with which each but the first joined, of `Outlier.background` and of `residual`. */
  readonly sums: Float64Array
  readonly squares: Float64Array
  readonly firstAt: number
  lastAt: number
  /** Workloads and how many of the queries are theirs. */
  readonly supporters: Map<string, number>
}
