/** What was learnt and approved, as the decision's risk stage asks for it: look-ups in memory. Types only. */
import type { BaselineKey } from '../core/drift.ts'
import type { BurstTally } from './burst-learning.ts'
import type { BaselineBook } from './drift-book.ts'
import type { Signals } from './monitoring.ts'
import type { ReadySequence } from './sequence.ts'

export interface Learnt {
  /** `BaselineKey.collection` is what `collectionName` in risk/places.ts says. */
  readonly book: BaselineBook
  /**
   * Exposure budget of a day, in records of weight 1; undefined: none is known yet, and nothing is refused for it.
   * @param weight of the data: what was needed of it grows with it, the least that anybody has does not
   */
  readonly dailyOf: (key: BaselineKey, weight: number) => number | undefined
  /** What a workload was shown on a day that is over, in records, whatever they weigh: what the budget is learnt from. */
  readonly noteDay: (key: BaselineKey, records: number) => void
  readonly sequenceOf: (agentType: string) => ReadySequence | undefined
  /** Changed in place as calls are admitted; undefined: budgets are not learnt. */
  readonly tallyOf: (agentType: string) => BurstTally | undefined
  /** External figures about a workload. */
  readonly signalsOf: (workload: string) => Signals
}
