/** What a call adds to a workload's habits: the order of its calls, its figures, and how much it needs. */

import type { Grant } from '../core/decision.ts'
import type { DenyKind } from '../core/deny-reason.ts'
import type { RiskCall, RiskPlace } from '../core/risk.ts'
import type { MonitoringRule } from '../core/risk-rules.ts'
import { type Place, rankOf } from '../core/standing.ts'
import { NO_SHAPE } from '../core/vector-call.ts'
import { collectionKey, keysOf } from './budget-keys.ts'
import { learnFrom, newBurstRun } from './burst-learning.ts'
import { denialAlarm } from './denials.ts'
import { scoreOf } from './drift-tiers.ts'
import type { Learnt } from './learnt.ts'
import { type Seen, withSubject } from './look.ts'
import { countCall, type Finding, figuresFor, findingsOf, type MonitoringPlan, monitoringAlarm, monitoringPlan } from './monitoring.ts'
import { costOf } from './price.ts'
import { newSequenceState, observeSequence, sequenceAlarm } from './sequence.ts'
import { eventName } from './sequence-model.ts'
import { denialPart, type WorkloadState } from './workload-state.ts'

/** A strange order asks for a step-up, and nothing more. */
const ORDER_MAX = 0.5
const SLOWS = 0.25

export function seeOrder(
  state: WorkloadState,
  grant: Grant,
  call: RiskCall,
  place: RiskPlace,
  learnt: Learnt,
  good: boolean,
  seen: Seen
): void {
  const { agentType, now, policy } = call
  const ready = agentType === undefined ? undefined : learnt.sequenceOf(agentType)
  if (ready === undefined) return
  state.sequence ??= newSequenceState()
  const event = eventName(grant.call.operation, place.database, place.targets)
  const verdict = observeSequence(ready, state.sequence, event, now, good)
  if (verdict.evidence <= 1) return
  const thresholds = policy.risk.drift
  seen.score = Math.max(seen.score, Math.min(ORDER_MAX, scoreOf(verdict.evidence, 0, thresholds)))
  const alarm = sequenceAlarm(verdict, thresholds, { ...withSubject(placeOfCall(call, place), call), decisionIds: [call.decisionId] })
  if (alarm !== undefined) seen.alarms.push(alarm)
}

/** The one collection that it is about; undefined for none or several. */
export function placeOfCall({ agentType }: RiskCall, { tenant, database, targets }: RiskPlace): Place | undefined {
  const [first] = targets
  if (agentType === undefined || tenant === undefined || first?.collection.kind !== 'name' || targets.length > 1) return undefined
  return { tenant, agentType, database, collection: first.collection.name }
}

export function needMore(state: WorkloadState, grant: Grant, { agentType, budget, now }: RiskCall, learnt: Learnt): void {
  const tally = budget.learn !== true || agentType === undefined ? undefined : learnt.tallyOf(agentType)
  if (tally === undefined) return
  state.burst ??= newBurstRun()
  learnFrom(tally, state.burst, now, costOf(grant.call))
}

/** What was denied before still counts, and halves with time. */
export function seeDenials(state: WorkloadState, call: RiskCall, place: RiskPlace, seen: Pick<Seen, 'score' | 'alarms'>): void {
  if (state.denials === undefined) return
  const { policy, now, decisionId } = call
  const part = denialPart(state, policy.risk, now)
  seen.score = Math.max(seen.score, part)
  if (part < SLOWS) return
  const found = { ...withSubject(placeOfCall(call, place), call), decisionIds: [decisionId] }
  const alarm = denialAlarm(state.denials, policy.risk, now, found)
  if (alarm !== undefined) seen.alarms.push(alarm)
}

/** One finished call, for the figures. @param grant undefined: it was refused */
export function countFigures(
  state: WorkloadState,
  grant: Grant | undefined,
  call: RiskCall,
  place: RiskPlace,
  bytes: number,
  learnt: Learnt,
  seen: Pick<Seen, 'score' | 'alarms'>,
  onPage: (finding: Finding) => void
): void {
  const { policy, caller, now } = call
  if (policy.monitoring.length === 0) return
  const plan = planOf(policy.monitoring)
  if (state.plan !== plan) {
    state.figures = figuresFor(plan, state.figures)
    state.plan = plan
  }
  const figures = state.figures ?? figuresFor(plan)
  const keys = keysOf(caller)
  const collections = plan.countsCollections ? place.targets.flatMap((target) => collectionKey(keys, place.database, target) ?? []) : []
  const { queries, topK, vectorsOut } = grant?.call.shape ?? NO_SHAPE
  countCall(figures, { denied: grant === undefined, collections, queries, topK, bytes, vectorsOut }, plan, now)
  for (const finding of findingsOf(figures, plan, call.agentType, learnt.signalsOf(caller.id.text), now)) {
    const evidence = { ...withSubject(placeOfCall(call, place), call), decisionIds: [call.decisionId] }
    const alarm = monitoringAlarm(finding, evidence)
    if (finding.rule.action === 'page' || finding.rule.action === 'flag') flag(state, finding, now, onPage)
    if (alarm === undefined) continue
    seen.alarms.push(alarm)
    seen.score = Math.max(seen.score, [0, 0.25, 0.5, 1][rankOf(alarm.level)] ?? 1)
  }
}

/** Once a window: who is paged for every call stops looking. */
function flag(state: WorkloadState, finding: Finding, now: number, onPage: (finding: Finding) => void): void {
  state.paged ??= new Map()
  const { source, windowMs } = finding.rule
  const last = state.paged.get(source)
  if (last !== undefined && now - last < windowMs) return
  state.paged.set(source, now)
  onPage(finding)
}

const plans = new WeakMap<readonly MonitoringRule[], MonitoringPlan>()

function planOf(rules: readonly MonitoringRule[]): MonitoringPlan {
  const found = plans.get(rules) ?? monitoringPlan(rules)
  plans.set(rules, found)
  return found
}

/** Denials that are about the caller: not the ladder's own, and not what is our fault. */
const OURS: ReadonlySet<DenyKind> = new Set<DenyKind>([
  'quarantined',
  'step-up-required',
  'trust-unavailable',
  'policy-unavailable',
  'state-unavailable',
  'deadline',
  'internal'
])

export function isAboutCaller(kind: DenyKind): boolean {
  return !OURS.has(kind)
}
