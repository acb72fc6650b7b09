/** What a decision asks of the baselines that a process has; all of it in memory, and at once. */
import type { BaselineKey, DriftCall, Outlier, VectorForm } from '../core/drift.ts'
import type { ReadyBaseline } from './drift-ready.ts'

export interface BaselineBook {
  /**
   * The approved baseline that judges such queries there: its own, whatever they look like, or that of the agent type or of the tenant,
   * where theirs look the same. Frozen: who keeps it keeps what was. undefined: nobody approved one yet.
   */
  readonly of: (key: BaselineKey, form: VectorForm, dimensions: number) => ReadyBaseline | undefined
  /**
   * Notes the queries of a call, where nobody approved a baseline yet. Only of workloads in good standing: the caller sees to that.
   * @param workload SPIFFE ID
   */
  readonly learn: (key: BaselineKey, workload: string, call: DriftCall) => void
  /** With which a tenant's sparse vectors are hashed, and its long ones folded. Secret. */
  readonly seedOf: (tenant: string, form: VectorForm, dimensions: number) => number
  /**
   * Outliers of a workload that stands normal, or of one that was raised and vouched for, which may become a proposal.
   * @param raised it does not stand normal
   */
  readonly propose: (ready: ReadyBaseline, workload: string, outliers: readonly Outlier[], at: number, raised: boolean) => void
}
