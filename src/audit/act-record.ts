/** Audit lines that are no decisions: what operators did, and the life of a request for approval. `kind` tells them apart. */
import type { ApprovalEntry } from '../core/approval.ts'
import type { OperatorAct } from '../core/operator-act.ts'

export function operatorActLine({ at, actId, stage, act, by, serial, about, reason, status, facts }: OperatorAct): string {
  const line = { ts: new Date(at).toISOString(), kind: 'operator_act', act_id: actId, stage, act, by, serial, about, reason, status }
  // What it was about is added to who did what, and takes the place of nothing.
  return JSON.stringify({ ...line, ...facts, ...line })
}

/** @param at milliseconds since the epoch */
export function approvalLine(what: 'asked' | 'used', entry: ApprovalEntry, at: number): string {
  return JSON.stringify({ ts: new Date(at).toISOString(), kind: 'approval', stage: what, ...approvalFacts(entry) })
}

/** Of a request, as records have it. */
function approvalFacts({ id, step, caller, operation, database, tenant, targets, digest, run, because, by, reason, until }: ApprovalEntry) {
  const what = { id, step, caller, operation, database, tenant, targets, digest: digest === '' ? undefined : digest, run, because }
  return { ...what, by, reason, until: new Date(until).toISOString() }
}
