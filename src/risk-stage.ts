/** The risk of a call, in one process: what `Risk` promises, over standings, what was learnt, and a table of workloads. Nothing waits. */

import type { Grant } from './core/decision.ts'
import type { DenyReason } from './core/deny-reason.ts'
import { CHECK_REPEAT_MS, CHECK_REPEATS_MAX } from './core/limits.ts'
import type { Held, Judgement, Refusal, Risk, RiskCall, RiskPlace } from './core/risk.ts'
import { rankOf, type Standing, type StandingRecord, standingOf, subjectKey } from './core/standing.ts'
import type { Alarm, Changed, Standings } from './core/standings.ts'
import { learntBudget } from './risk/burst-learning.ts'
import { raise } from './risk/cohort.ts'
import { countDenial, countsAsRisk } from './risk/denials.ts'
import { countFigures, isAboutCaller, needMore, seeDenials, seeOrder } from './risk/habits.ts'
import { heldRecord, NOWHERE, shareOf } from './risk/held.ts'
import { atCall, isVouched, withFreshSvid } from './risk/ladder.ts'
import type { Learnt } from './risk/learnt.ts'
import { look, type Seen } from './risk/look.ts'
import type { Finding } from './risk/monitoring.ts'
import { refusalFor, refusalOf } from './risk/refusal.ts'
import { challengeOf, prove } from './risk/step-up.ts'
import { clearWorkload, denialsOf, newWorkloadState, suspicionOf, type WorkloadState } from './risk/workload-state.ts'
import { createWorkloadTable, type WorkloadTable } from './state/workload-table.ts'

/** Kept for certain; up to twice as many. A workload is some 7 KB for each collection that it searches. */
const WORKLOADS_MAX = 10_000
/** Records that a call may show from which on it is refused while it is not known who was quarantined elsewhere. */
const HIGH_EXPOSURE = 100

export interface RiskParts {
  readonly standings: Standings
  readonly learnt: Learnt
  /** Whether other replicas ask for the evidence that is gathered here. */
  readonly shared: boolean
  /** Standings older than this refuse what shows much: milliseconds. */
  readonly staleMsMax: number
  /** A monitored figure of a policy calls for a person (`page`), or is to be seen by one (`flag`). */
  readonly onFinding: (finding: Finding, call: RiskCall) => void
  /** Where a sign-in of an end user is used up by the step-up that it answers; false: it has answered another one. */
  readonly takeSignIn?: (signIn: { readonly subject: string; readonly at: number }, challenge: string, now: number) => boolean
  readonly workloadsMax?: number
}

export interface RiskStage extends Risk {
  readonly workloads: WorkloadTable<WorkloadState>
  /** An operator released it: what was held against it begins again from nothing. */
  readonly clear: (workload: string) => void
}

export function createRisk(parts: RiskParts): RiskStage {
  const { standings, learnt } = parts
  const workloads = createWorkloadTable({ most: parts.workloadsMax ?? WORKLOADS_MAX, create: newWorkloadState, suspicionOf })
  const [judged, refused] = [createRepeats<Judgement>(), createRepeats<Refusal>()]
  const its: Stage = { parts, workloads }
  return {
    workloads,
    clear(workload) {
      const state = workloads.peek(workload)
      if (state !== undefined) clearWorkload(state)
    },
    held: (call, place) => held(parts, call, place),
    prove(call) {
      const wrong = wrongProof(parts, call)
      if (wrong !== undefined) return wrong
      const state = workloads.get(call.caller.id.text, call.now)
      clearWorkload(state)
      state.standing = 'slowed'
      return undefined
    },
    observe(grant, call, database, body) {
      const before = judged.of(call.check, call.now)
      if (before !== undefined) return before
      const judgement = judge(its, grant, call, { tenant: grant.tenant, database, targets: grant.targets }, body)
      judged.keep(call.check, judgement, call.now)
      return judgement
    },
    refused(reason, target, call, place, bytes) {
      if (!isAboutCaller(reason.kind)) return undefined
      const before = refused.of(call.check, call.now)
      if (before !== undefined) return before
      const state = stateOf(its, call)
      const standing = standingNow(standings, call, place)
      const seen = { score: 0, alarms: [] as Alarm[] }
      if (countsAsRisk(reason.kind)) {
        const kept = denialsOf(state, call.policy.risk, call.now)
        countDenial(kept, reason, target, call.policy.risk, call.now, { decisionIds: [call.decisionId] })
      }
      // Refused after it was looked at, it has been counted.
      if (judged.of(call.check, call.now) === undefined)
        countFigures(state, undefined, call, place, bytes, learnt, seen, (finding) => parts.onFinding(finding, call))
      seeDenials(state, call, place, seen)
      // Of whoever is denied only, this is all that is left when it is forgotten.
      state.score = Math.max(seen.score, judged.of(call.check, call.now)?.score ?? 0)
      raiseAll(its, state, call, seen.alarms)
      const refusal = { score: seen.score, causes: seen.alarms.map(causeOf), before: standing, after: standingNow(standings, call, place) }
      refused.keep(call.check, refusal, call.now)
      return refusal
    }
  }
}

interface Stage {
  readonly parts: RiskParts
  readonly workloads: WorkloadTable<WorkloadState>
}

function held({ standings, learnt }: RiskParts, call: RiskCall, place: RiskPlace | undefined): Held {
  const { caller, agentType, policy, now, decisionId, shadow } = call
  const { risk: rules } = policy
  const id = caller.id.text
  if (!shadow && standings.ofWorkload(id) !== undefined) {
    const { issuedAt } = caller
    standings.change(
      { kind: 'workload', id },
      (record, run) => {
        const later = atCall(record, rules, { now, run }, decisionId)
        return issuedAt === undefined ? later : withFreshSvid(later, issuedAt, id, rules, now)
      },
      now
    )
  }
  const own = standings.hasCohorts()
    ? heldRecord(standings, id, place === undefined ? NOWHERE : { agentType, ...place })
    : standings.ofWorkload(id)
  // Whoever is held does not go on with the token of somebody else.
  const carriers = caller.carrier === undefined ? undefined : standings.ofWorkload(caller.carrier.text)
  const record = rankOf(standingOf(carriers)) > rankOf(standingOf(own)) ? carriers : own
  const standing = standingOf(record)
  const budget = learntBudget(agentType === undefined ? undefined : learnt.tallyOf(agentType), call.budget)
  const refusal = refusalOf(record, rules, now) ?? (standings.isLoaded() ? undefined : UNKNOWN)
  return { standing, share: shareOf(standing, rules), budget, refusal }
}

/** Envoy asks no server that is not ready; whoever asks it all the same learns nothing from it. */
const UNKNOWN: DenyReason = { kind: 'state-unavailable', because: 'it is not known yet how workloads stand' }

const SPENT = 'That sign-in has answered another step-up: sign in once more.'

function wrongProof({ standings, takeSignIn }: RiskParts, { caller, policy, now, shadow }: RiskCall): string | undefined {
  const { subject, id } = caller
  if (subject === undefined) return 'No end user came along.'
  if (shadow) return 'Nothing ends in shadow.'
  let wrong: string | undefined
  const proof = { kind: 'user', subject: subjectKey(subject.issuer, subject.id), acr: subject.acr, authTime: subject.authTime } as const
  standings.change(
    { kind: 'workload', id: id.text },
    (record, run) => {
      const answer = prove(record, id, proof, policy.risk, { now, run })
      const open = challengeOf(record, policy.risk)?.id ?? ''
      if (!answer.ok) wrong = answer.says
      else if (takeSignIn?.({ subject: proof.subject, at: subject.authTime ?? 0 }, open, now) === false) wrong = SPENT
      return wrong === undefined && answer.ok ? answer.record : record
    },
    now
  )
  return wrong
}

/** A workload that came down from a step-up or a quarantine, wherever that was decided, begins anew. */
function stateOf({ parts: { standings }, workloads }: Stage, { caller: { id }, now }: RiskCall): WorkloadState {
  const state = workloads.get(id.text, now)
  const standing = standingOf(standings.ofWorkload(id.text))
  if (rankOf(state.standing) >= STEP_UP && rankOf(standing) < STEP_UP) clearWorkload(state)
  state.standing = standing
  return state
}

const STEP_UP = rankOf('step-up')

function recordNow(standings: Standings, { caller, agentType }: RiskCall, place: RiskPlace): StandingRecord | undefined {
  if (!standings.hasCohorts()) return standings.ofWorkload(caller.id.text)
  return heldRecord(standings, caller.id.text, { agentType, ...place })
}

function standingNow(standings: Standings, call: RiskCall, place: RiskPlace): Standing {
  return standingOf(recordNow(standings, call, place))
}

function judge(its: Stage, grant: Grant, call: RiskCall, place: RiskPlace, body: Uint8Array | undefined): Judgement {
  const { parts } = its
  const { standings, learnt, shared } = parts
  const { policy, now, shadow } = call
  const state = stateOf(its, call)
  const held = recordNow(standings, call, place)
  const before = standingOf(held)
  const seen: Seen = {
    score: 0,
    vectors: 'none',
    learning: 'none',
    alarms: [],
    refusal: undefined,
    retryAfterMs: undefined,
    learn: [],
    propose: []
  }
  look(state, { grant, call, database: place.database, body, learnt, shared }, seen)
  seeOrder(state, grant, call, place, learnt, before === 'normal', seen)
  countFigures(state, grant, call, place, body?.length ?? 0, learnt, seen, (finding) => parts.onFinding(finding, call))
  seeDenials(state, call, place, seen)
  const { score } = seen
  state.score = score
  const full = raiseAll(its, state, call, seen.alarms)
  // Without an alarm nothing was raised.
  const record = seen.alarms.length === 0 ? held : recordNow(standings, call, place)
  const after = record === held ? before : standingOf(record)
  teach(state, grant, call, seen, parts, before === 'normal' && after === 'normal')
  const refusal = full ?? staleness(parts, grant) ?? refusalOf(record, policy.risk, now) ?? (shadow ? refusalFor(seen.alarms) : undefined)
  const { vectors, learning, alarms } = seen
  const causes = alarms.length === 0 ? NO_CAUSES : alarms.map(causeOf)
  const retryAfterMs = refusal === undefined ? seen.retryAfterMs : undefined
  return { score, causes, before, after, vectors, learning, refusal: refusal ?? seen.refusal, retryAfterMs }
}

const NO_CAUSES: Judgement['causes'] = []

function causeOf({ cause, evidence: { says, figures } }: Alarm): Judgement['causes'][number] {
  return { cause, says, figures }
}

/** Puts the sternest first, and raises. @returns why the call must be refused when there was no room to keep it */
function raiseAll({ parts: { standings } }: Stage, state: WorkloadState, call: RiskCall, alarms: Alarm[]): DenyReason | undefined {
  if (alarms.length === 0) return undefined
  alarms.sort((a, b) => rankOf(b.level) - rankOf(a.level))
  if (call.shadow) return undefined
  const { policy, now, caller } = call
  const scope = { kind: 'workload', id: caller.id.text } as const
  // Each of them: what one asks for may be answered for by a vouch, and what another one asks for not.
  let changed: Changed = 'same'
  for (const alarm of alarms) if (raise(standings, scope, alarm, policy.risk, now) === 'full') changed = 'full'
  state.standing = standingOf(standings.ofWorkload(scope.id))
  return changed === 'full' ? { kind: 'state-unavailable', because: 'there is no room for another standing' } : undefined
}

/** Only workloads in good standing teach, so that nobody moves what is normal while he is being watched. */
function teach(state: WorkloadState, grant: Grant, call: RiskCall, seen: Seen, { standings, learnt }: RiskParts, calm: boolean): void {
  if (call.shadow && seen.alarms.length > 0) return
  if (calm) {
    for (const learn of seen.learn) learn()
    needMore(state, grant, call, learnt)
  }
  if (seen.propose.length === 0) return
  const own = calm ? undefined : standings.ofWorkload(call.caller.id.text)
  const vouched = own !== undefined && isVouched(own, call.now) && rankOf(standingOf(own)) < STEP_UP
  if (calm || vouched) for (const propose of seen.propose) propose(!calm)
}

/** What shows much waits until it is known again who may. */
function staleness({ standings, staleMsMax }: RiskParts, { call: { operation, shape } }: Grant): DenyReason | undefined {
  if (!(standings.staleMs() > staleMsMax)) return undefined
  const shown = Math.max(shape.topK * Math.max(1, shape.queries), operation === 'read' ? shape.records : 0)
  if (operation !== 'export' && operation !== 'drop' && !shape.vectorsOut && !(shown > HIGH_EXPOSURE)) return undefined
  return {
    kind: 'state-unavailable',
    because: `the standings are ${Math.round(standings.staleMs() / 1000)} s old, and the call shows much`
  }
}

/** What was answered to a check, for the repeats of it; two generations, as in state/memory.ts. */
function createRepeats<T>() {
  let [young, old, turned] = [new Map<string, T>(), new Map<string, T>(), 0]
  const turn = (now: number) => {
    if (now - turned < CHECK_REPEAT_MS && young.size < CHECK_REPEATS_MAX) return
    old = now - turned < 2 * CHECK_REPEAT_MS ? young : new Map()
    young = new Map()
    turned = now
  }
  return {
    of(check: string, now: number): T | undefined {
      if (check === '') return undefined
      turn(now)
      return young.get(check) ?? old.get(check)
    },
    keep(check: string, answer: T, now: number): void {
      if (check === '') return
      turn(now)
      young.set(check, answer)
    }
  }
}
