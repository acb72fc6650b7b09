/** What was learnt and approved, as the decision's risk stage asks for it: look-ups in memory. Types only. */
import type { BaselineKey, DriftCall, DriftVerdict } from '../core/drift.ts'
import type { BurstTally } from './burst-learning.ts'
import type { ReadyBaseline } from './drift-ready.ts'
import type { Signals } from './monitoring.ts'
import type { ReadySequence } from './sequence.ts'

/** What an agent type does in a collection. */
export interface KnownBaseline {
  /** Its own, or its parent's while it has too few bursts. */
  readonly ready: ReadyBaseline
  /** Exposure budget of a day, in records; undefined: none was learnt. */
  readonly daily: number | undefined
}

export interface Learnt {
  /** undefined: nothing is approved yet, so drift is not judged. `collection`: see `collectionName` in risk/places.ts. */
  readonly baselineOf: (key: BaselineKey) => KnownBaseline | undefined
  /**
   * A similarity search of a workload, after it was judged: for drafts, probation and counts.
   * @param verdict undefined where nothing is approved yet
   * @param good whether the workload stands normal, before and after it: nobody else teaches
   */
  readonly noteQueries: (key: BaselineKey, workload: string, call: DriftCall, verdict: DriftVerdict | undefined, good: boolean) => void
  readonly sequenceOf: (agentType: string) => ReadySequence | undefined
  /** Changed in place as calls are admitted; undefined: budgets are not learnt. */
  readonly tallyOf: (agentType: string) => BurstTally | undefined
  /** External figures about a workload. */
  readonly signalsOf: (workload: string) => Signals
}
