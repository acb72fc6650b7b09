/**
 * What decisions look like from outside. Counted with plain numbers on the way of a decision (a few Map look-ups), and turned into
 * metrics when somebody scrapes. Labels come from closed lists: reasons and operations of the code, databases of the settings.
 */
import { Counter, Histogram, type Registry } from 'prom-client'
import type { Decision } from '../core/decision.ts'
import { STAGES, type StageTimes } from '../core/stages.ts'

/** What is looked at of a decision. */
export interface Counted {
  readonly latencyUs: number
  readonly account: { readonly database?: string; readonly call?: { readonly operation: string } }
  readonly decision: Decision
}

export interface DecisionMetrics {
  /** Each decision: well below a microsecond. */
  readonly decided: (decided: Counted) => void
  /** Whether the stages of the next one are to be timed: one of `SAMPLED_EVERY`. */
  readonly isSampled: () => boolean
  readonly timed: (times: StageTimes) => void
}

export const SAMPLED_EVERY = 64
/** Seconds: a decision is some tenths of a millisecond, and Envoy gives up after half a second. */
const BUCKETS = [0.00005, 0.0001, 0.0002, 0.0003, 0.0005, 0.00075, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1]
const NONE = 'none'

/** Database → operation → reason, `none` for what was allowed, to how often. */
type Cells = Map<string, Map<string, Map<string, { count: number }>>>

export function decisionMetrics(registry: Registry): DecisionMetrics {
  const cells: Cells = new Map()
  const judged = new Map<string, number>()
  registerCounts(registry, cells, judged)
  const latency = new Histogram({
    name: 'vecauthz_decision_duration_seconds',
    help: 'Time of a decision, from its bytes to its verdict',
    buckets: BUCKETS,
    registers: [registry]
  })
  const stages = new Histogram({
    name: 'vecauthz_stage_duration_seconds',
    help: `Time of each stage of a decision, of one decision in ${SAMPLED_EVERY}`,
    labelNames: ['stage'],
    buckets: BUCKETS,
    registers: [registry]
  })
  for (const stage of STAGES) stages.zero({ stage })
  let turn = 0
  return {
    decided({ latencyUs, account, decision }) {
      const denied = decision.verdict === 'deny'
      const its = cellsOf(cells, account.database ?? NONE, account.call?.operation ?? NONE)
      const reason = denied ? decision.reason.kind : NONE
      const cell = its.get(reason)
      if (cell === undefined) its.set(reason, { count: 1 })
      else cell.count++
      if (!denied && decision.judged !== undefined) judged.set(decision.judged.kind, (judged.get(decision.judged.kind) ?? 0) + 1)
      latency.observe(latencyUs / 1e6)
    },
    isSampled: () => turn++ % SAMPLED_EVERY === 0,
    timed({ began, ends }) {
      let before = began
      for (const { stage, at } of ends) {
        stages.observe({ stage }, (at - before) / 1e6)
        before = at
      }
    }
  }
}

function cellsOf(cells: Cells, database: string, operation: string): Map<string, { count: number }> {
  let byOperation = cells.get(database)
  if (byOperation === undefined) {
    byOperation = new Map()
    cells.set(database, byOperation)
  }
  let its = byOperation.get(operation)
  if (its === undefined) {
    its = new Map()
    byOperation.set(operation, its)
  }
  return its
}

function registerCounts(registry: Registry, cells: Cells, judged: ReadonlyMap<string, number>): void {
  new Counter({
    name: 'vecauthz_decisions_total',
    help: 'Decisions; reason `none`: allowed, database and operation `none`: it did not come to that',
    labelNames: ['verdict', 'reason', 'database', 'operation'],
    registers: [registry],
    collect() {
      this.reset()
      for (const [database, operations] of cells) {
        for (const [operation, reasons] of operations) {
          for (const [reason, { count }] of reasons)
            this.inc({ verdict: reason === NONE ? 'allow' : 'deny', reason, database, operation }, count)
        }
      }
    }
  })
  new Counter({
    name: 'vecauthz_shadowed_total',
    help: 'Decisions that shadow let pass, by the reason for which they would have been denied',
    labelNames: ['reason'],
    registers: [registry],
    collect() {
      this.reset()
      for (const [reason, count] of judged) this.inc({ reason }, count)
    }
  })
}
