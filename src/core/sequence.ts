/** In which order an agent type calls what: plain data, so that it can be stored and merged; `risk/sequence-*.ts` computes on it. */

/** Kinds of events that are told apart; a type that does more than this has no order to speak of. */
export const SEQUENCE_STATES = 64
/** What a burst begins from. */
export const SEQUENCE_START = 0
/** All that has no place of its own. */
export const SEQUENCE_OTHER = SEQUENCE_STATES - 1
/** Bins of a quarter nat. */
export const SURPRISE_BINS = 64
export const SURPRISE_BIN = 0.25
/** A drip, a mixture, a burst. */
export const SEQUENCE_BETS = 3

/** Of an agent type, about 18 KB. Learnt until it is frozen; then it judges, once approved, and never moves. */
export interface SequenceModel {
  frozen: boolean
  /** By `eventName`; numbers from 1 on. */
  readonly names: Map<string, number>
  /** Row: from; column: to. */
  readonly counts: Uint32Array
  /** Sums of its rows, then of its columns. */
  readonly sums: Uint32Array
  events: number
  /** Surprises of events that were scored before they were learnt. */
  readonly surprises: Uint32Array
  scored: number
  bursts: number
  blocks: number
  /** Per bet and power: sums of exp(r S), of its square over bursts, and of exp(r S) over blocks. */
  readonly fairness: Float64Array
}

/** Of one workload. */
export interface SequenceState {
  /** Of the model that its numbers are of; empty while that learns. */
  version: string
  state: number
  lastAt: number
  /** Events in the running burst. */
  events: number
  /** Per bet: the evidence with which the running burst began, and the tempered log bets since. */
  readonly base: Float64Array
  readonly logs: Float64Array
  /** For learning: log bets as they are, of the burst and of the block of bursts. */
  readonly burstSums: Float64Array
  readonly blockSums: Float64Array
  burstsInBlock: number
}

export interface SequenceVerdict {
  /** Conformal p-value of the event; 1 while the model is cold. */
  readonly p: number
  /** Of the transition, as the model knows it. */
  readonly probability: number
  /** Shiryaev-Roberts evidence: 1/threshold bounds the chance per burst of a false alarm. */
  readonly evidence: number
  /** Too few bursts to judge. */
  readonly cold: boolean
}
