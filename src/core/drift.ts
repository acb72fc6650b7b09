/**
 * Drift: whether a workload's similarity queries stay where its agent type's have been. Plain data, so that it can be stored, shared
 * and compared; `risk/drift-*.ts` computes on it.
 *
 * The numbers behind the bounds here are those of the study that the method was taken from (docs/drift.md).
 */

/** Dimensions of a sketch: 64 keep 64 % of the variance of a common 384-dimensional model; the rest is judged by its energy alone. */
export const SKETCH_DIMENSIONS = 64
/** Longer vectors are folded to this many dimensions by signed addition before they are projected. */
export const FOLDED_DIMENSIONS = 384
/** Neighbourhoods of a baseline when it is frozen. */
export const CENTROIDS_MAX = 64
/** Neighbourhoods that people may add to a frozen baseline by approving proposals. */
export const ADOPTED_MAX = 16
/** Centroids of other baselines of the tenant that a query is compared with. */
export const BACKGROUND_MAX = 128
/** Resolution of a calibration histogram. */
export const HISTOGRAM_BINS = 128
/** Scores with a histogram: absolute and relative novelty, residual energy, closeness inside a burst, to earlier ones, and to the query before. */
export const SCORES = ['novelty', 'relative-novelty', 'residual-energy', 'in-burst', 'across-bursts', 'successive'] as const
/** Channels of evidence: the scores, and near-duplicates; each with three bets. */
export const CHANNELS = [...SCORES, 'near-duplicates'] as const
export const BETS_PER_CHANNEL = 3
/** The first three channels are the novelty family, the others the coherence family. */
export const NOVELTY_BETS = 3 * BETS_PER_CHANNEL
export const BETS = CHANNELS.length * BETS_PER_CHANNEL
/** Queries of a burst, and of earlier bursts, that a query is compared with. */
export const RING = 32
/** Queries after which a burst is taken to be over. */
export const BURST_QUERIES_MAX = 64
/** Fewest bursts with which a baseline judges; below it the parent baseline does. */
export const BURSTS_MIN = 12
/** Fewest bursts with which closeness inside and across bursts counts. */
export const COHERENCE_BURSTS_MIN = 40

export type DriftChannel = (typeof CHANNELS)[number]

/** What kind of numbers a query is made of; kinds are never compared with each other. `sparse`: hashed to `FOLDED_DIMENSIONS`. */
export type VectorForm = 'dense' | 'sparse'

/** How vectors of one embedding model and tenant become sketches. Secret: who knows the projection can hide from it. */
export interface DriftSpace {
  readonly version: string
  readonly form: VectorForm
  /** Components of the vectors it takes. */
  readonly dimensions: number
  /** Seed of the signs with which longer vectors are folded. */
  readonly seed: number
  /** Mean of the folded unit vectors; `min(dimensions, FOLDED_DIMENSIONS)` numbers. */
  readonly mean: Float32Array
  /** `SKETCH_DIMENSIONS` rows of as many numbers as `mean` has. */
  readonly projection: Float32Array
}

/** Points in sketch space: int8 rows of `SKETCH_DIMENSIONS`, each with the factor that makes it a unit vector. */
export interface Points {
  readonly rows: Int8Array
  readonly scales: Float32Array
}

export interface BaselineKey {
  readonly tenant: string
  readonly agentType: string
  readonly collection: string
}

/**
 * What is normal for an agent type in a collection. Frozen: the codebook, normalisers and ranges of one `version` never change, so
 * counts of replicas with equal `version` are merged by addition.
 */
export interface Baseline {
  readonly format: 2
  readonly key: BaselineKey
  /** Names codebook, normalisers and ranges; another one means that counts cannot be added. */
  readonly version: string
  /** `DriftSpace.version` that its points are in. */
  readonly space: string
  /** `Background.version` that relative novelty was calibrated with. */
  readonly background: string
  readonly frozenAt: number
  /** Pause that ends a burst, ms. */
  readonly gapMs: number
  readonly centroids: Points
  /** Per centroid: mean and standard deviation of the three novelty scores, shrunk towards the pooled ones. Six numbers a centroid. */
  readonly norms: Float32Array
  /** Lower end and width of the bins of each score: two numbers a score. */
  readonly ranges: Float32Array
  /** Distance within which a query may join a probationary neighbourhood: 95th percentile of the distance of held-back queries to the nearest centroid. */
  readonly joinDistance: number
  readonly counts: BaselineCounts
}

/** Where the tenant's other baselines are: a query nearer to them than to its own is the more suspicious. Made from them, not kept. */
export interface Background {
  readonly version: string
  readonly points: Points
}

/** What merges by addition. */
export interface BaselineCounts {
  /** Calibration queries nearest to each centroid. */
  readonly centroids: Uint32Array
  /** Per score `HISTOGRAM_BINS + 1` counts; the last one is for values beyond the range. */
  readonly histograms: Uint32Array
  queries: number
  /** Near-duplicates among the `compared` queries, those that had others to be compared with. */
  nearDuplicates: number
  compared: number
  bursts: number
  /** Groups of four consecutive bursts. */
  blocks: number
  /** Per bet and rate r: sums of exp(r S), exp(2 r S) over bursts and of exp(r S) over blocks. */
  readonly lundberg: Float32Array
}

/** Evidence of one workload against one baseline: what replicas share. */
export interface Evidence {
  /** Raised when the evidence is cleared, so that what another replica counted before does not come back. */
  epoch: number
  /** Bursts seen. */
  bursts: number
  /** First and last query of the running burst, ms; -Infinity before the first. */
  startedAt: number
  lastAt: number
  /** Last query of the burst before it. */
  endedAt: number
  /** Queries in the running burst. */
  queries: number
  /** Per bet: the evidence with which the running burst began. */
  readonly base: Float64Array
  /** Per bet: sum of tempered log bets inside the running burst. */
  readonly logs: Float64Array
}

/** What one replica saw of one burst: added to the evidence of others in any order. */
export interface EvidenceSegment {
  readonly epoch: number
  readonly firstAt: number
  lastAt: number
  queries: number
  readonly logs: Float64Array
}

/** A query that moved the evidence, for the explanation. */
export interface Contribution {
  readonly at: number
  /** Sum of the tempered log bets of the novelty family. */
  readonly weight: number
  readonly centroid: number
  /** Standardised scores of the novelty family; how far from normal, in standard deviations. */
  readonly z: readonly [number, number, number]
  /** Conformal p-values of the same. */
  readonly p: readonly [number, number, number]
  readonly why: QueryTrouble | undefined
}

/** Why a query was counted as wholly novel without being looked at. */
export type QueryTrouble = 'zero-vector' | 'wrong-dimension' | 'wrong-form' | 'not-finite'

/** Everything kept of one workload against one baseline. `observe` changes it in place. */
export interface DriftState {
  /** Space of the sketches in the rings; those of another one are dropped. */
  space: string
  readonly evidence: Evidence
  /** Not yet given to other replicas; undefined where there are none. */
  unsent: EvidenceSegment[] | undefined
  /** Most of the state, and local: where there are many workloads, those of idle ones may be let go, which only delays coherence. */
  rings: Rings | undefined
  /** Heaviest queries of the evidence, heaviest first. */
  top: Contribution[]
}

/** The last sketches: `RING` of the running burst, then `RING` of earlier ones. */
export interface Rings {
  readonly rows: Int8Array
  readonly scales: Float32Array
  /** Two 32-bit digests of each query, to know exact repeats. */
  readonly digests: Int32Array
  /** Sketches ever put into each half. */
  current: number
  earlier: number
}

export interface DriftCall {
  /** The vectors of the call's queries in their order. Finite numbers; others count as wholly novel. */
  readonly vectors: readonly Float32Array[]
  /** Rows of each multi-vector query, where there are such: `vectors` in groups, each judged by the direction of its mean. Sum = `vectors.length`. */
  readonly rows?: readonly number[]
  /** `dense` when left out. */
  readonly form?: VectorForm
  /** Queries whose vector is not in the call: text, ids, keywords; and vectorless reads. */
  readonly unseen?: number
  /** Digest of what else decides the answer (filter, top_k, offset): with the same vector it is an exact repeat. */
  readonly rest?: number
  /** ms since the epoch. */
  readonly at: number
}

/** From harmless to grave. */
export const DRIFT_TIERS = ['normal', 'watch', 'step-up', 'quarantine'] as const
export type DriftTier = (typeof DRIFT_TIERS)[number]

/** Evidence from which on a tier is reached. By Ville's inequality 1/threshold bounds the chance per burst of a false alarm. */
export interface DriftThresholds {
  readonly watch: number
  readonly stepUp: number
  readonly quarantine: number
  /** Coherence never goes beyond a step-up. */
  readonly coherenceStepUp: number
}

export const DRIFT_THRESHOLDS: DriftThresholds = { watch: 30, stepUp: 300, quarantine: 1e5, coherenceStepUp: 3000 }

/** Largest channel first. */
export interface DriftCause {
  readonly channel: DriftChannel
  readonly family: 'novelty' | 'coherence'
  /** Mean of the channel's three bets. */
  readonly evidence: number
  /** Burst correction of its strongest bet: 1 trusts each query, less only whole bursts. */
  readonly rate: number
}

export interface DriftVerdict {
  readonly tier: DriftTier
  /** 0 to 1; at least 0.25 is `watch`, 0.5 `step-up`, 1 `quarantine`. Never falls when evidence rises. */
  readonly score: number
  readonly novelty: number
  readonly coherence: number
  /** Channels above 1, with numbers; only where the tier is not `normal`. */
  readonly causes: readonly DriftCause[]
  /** Queries that weighed most; only where the tier is not `normal`. */
  readonly top: readonly Contribution[]
  /** `vectors-unseen`: at least one query had no vector to look at, the budget alone bounds those. */
  readonly label: 'vectors-seen' | 'vectors-unseen'
  readonly seen: number
  readonly unseen: number
  /** Exact repeats: they expose nothing new and move nothing. */
  readonly repeats: number
  /** Neighbourhood cell of each seen query (centroid and four signs), for the exposure price; -1 where it has none. */
  readonly cells: Int16Array
  /** Sketches beyond the 95th percentile, which may be proposed as new neighbourhoods. */
  readonly outliers: readonly Outlier[]
}

export interface Outlier {
  readonly row: Int8Array
  readonly scale: number
  /** Closeness to the nearest centroid of the background, NaN without one. */
  readonly background: number
  readonly residual: number
}

/** What is being learnt, before anybody approved it: folded vectors in bytes, with time and workload. 400 bytes a query. */
export interface DriftDraft {
  readonly key: BaselineKey
  readonly form: VectorForm
  readonly dimensions: number
  /** Seed of the folding signs; the space made from it has the same. */
  readonly seed: number
  readonly signs: Int8Array
  /** Grown as needed: per query its folded bytes, their scale, time, workload and digests. */
  rows: Int8Array
  scales: Float32Array
  times: Float64Array
  workloads: Uint16Array
  digests: Int32Array
  queries: number
  /** Spaces fitted without one fold of the bursts each, when the space `heldOf` was fitted, and the fold of each query then. */
  held: readonly DriftSpace[]
  heldOf: string
  folds: Uint8Array
  /** Names behind the numbers in `workloads`. */
  readonly names: string[]
  /** Queries that were not kept: other dimensions, no direction, no room. */
  skipped: number
}
