/** What was learnt, for tests: baselines, an order and budgets handed in, and what was noted. */
import type { BaselineKey, DriftCall, Outlier } from '../../src/core/drift.ts'
import type { BurstTally } from '../../src/risk/burst-learning.ts'
import type { ReadyBaseline } from '../../src/risk/drift-ready.ts'
import type { Learnt } from '../../src/risk/learnt.ts'
import type { Signals } from '../../src/risk/monitoring.ts'
import type { ReadySequence } from '../../src/risk/sequence.ts'

export interface LearntParts {
  /** By agent type and collection, as `support demo/rag/handbook`. */
  readonly baselines?: ReadonlyMap<string, ReadyBaseline>
  readonly daily?: number
  readonly sequence?: ReadySequence
  readonly tally?: BurstTally
  readonly signals?: Signals
}

export interface TestLearnt {
  readonly learnt: Learnt
  readonly noted: { readonly key: BaselineKey; readonly workload: string; readonly call: DriftCall }[]
  readonly proposed: Outlier[]
  /** Whether the workload stood other than normal, by proposal. */
  readonly raised: boolean[]
  readonly days: number[]
}

export function testLearnt({ baselines = new Map(), daily, sequence, tally, signals = new Map() }: LearntParts = {}): TestLearnt {
  const [noted, proposed, raised, days]: [TestLearnt['noted'], Outlier[], boolean[], number[]] = [[], [], [], []]
  return {
    noted,
    proposed,
    raised,
    days,
    learnt: {
      book: {
        of: ({ agentType, collection }) => baselines.get(`${agentType} ${collection}`),
        learn: (key, workload, call) => void noted.push({ key, workload, call }),
        seedOf: () => 1,
        propose: (_, __, outliers, ___, isRaised) => {
          proposed.push(...outliers)
          raised.push(isRaised)
        }
      },
      dailyOf: () => daily,
      noteDay: (_, records) => void days.push(records),
      sequenceOf: () => sequence,
      tallyOf: () => tally,
      signalsOf: () => signals
    }
  }
}
