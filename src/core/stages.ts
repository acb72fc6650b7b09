/** Where the time of one decision goes: for metrics and traces, and of a few decisions only. */

/** In the order in which a call goes through them. What a refused call never reached has no time. */
export const STAGES = ['read', 'identify', 'call', 'grant', 'settle', 'answer'] as const
export type Stage = (typeof STAGES)[number]

export interface StageTimes {
  /** Monotonic microseconds at the beginning. */
  readonly began: number
  /** Monotonic microseconds at the end of each, in order. */
  readonly ends: { readonly stage: Stage; readonly at: number }[]
}

/** Whether stages are timed, and whether a trace is made of them as well. */
export type Watching = 'not' | 'timed' | 'traced'

/** Told at the end of a stage. */
export type Mark = (stage: Stage) => void
