/** Audit lines that are no decisions: what operators did, how workloads stand, and the life of a request for approval. `kind` tells them apart. */
import type { ApprovalEntry } from '../core/approval.ts'
import type { OperatorAct } from '../core/operator-act.ts'
import type { MonitoringRule } from '../core/risk-rules.ts'
import { termId, untilOf } from '../core/standing.ts'
import type { Move } from '../core/standings.ts'

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

/** A workload, or an agent type in a collection, stands otherwise than before: why, on what evidence, and until when. */
export function standingLine({ at, scope, from, to, term, heard }: Move): string {
  const ts = new Date(at).toISOString()
  const { says, decisionIds, figures } = term?.evidence ?? { says: undefined, decisionIds: undefined, figures: undefined }
  const why = { cause: term?.cause, says, decision_ids: decisionIds, figures, id: term && termId(scope, term.dot) }
  const until = term === undefined ? undefined : untilOf(term, at)
  return JSON.stringify({ ts, kind: 'standing', scope, from, to, ...why, until: until && isoTime(until), heard })
}

/** A figure that a policy monitors is above what it may be, and a person is to see it. */
export function findingLine(at: number, workload: string, decisionId: string, { rule, value }: FlaggedFigure): string {
  const { metric, signal, threshold, action, source } = rule
  return JSON.stringify({
    ts: new Date(at).toISOString(),
    kind: 'monitoring',
    action,
    workload,
    metric,
    signal,
    value,
    threshold,
    policy: source,
    decision_id: decisionId
  })
}

/** A call reached a database, and Envoy knows of no decision that allows it. */
export function uncheckedLine(at: number, seen: UncheckedCall): string {
  const { envoy, workload, database, decisionId, verdict, status, bytes } = seen
  const its = { envoy, workload, database, decision_id: decisionId === '' ? undefined : decisionId, verdict }
  return JSON.stringify({ ts: new Date(at).toISOString(), kind: 'unchecked_call', ...its, status, answer_bytes: bytes })
}

interface UncheckedCall {
  readonly envoy: string
  /** SPIFFE ID, as Envoy saw it. */
  readonly workload: string
  readonly database: string
  readonly decisionId: string
  readonly verdict: string
  readonly status: number
  readonly bytes: number
}

interface FlaggedFigure {
  readonly rule: MonitoringRule
  readonly value: number
}

/** What lasts for ever has no date. */
function isoTime(at: number): string | undefined {
  return at <= 8.64e15 ? new Date(at).toISOString() : undefined
}
