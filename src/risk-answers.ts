/** What people and end users say to a step-up: one of them vouches for the workload, or says no. */
import type { Subject } from './core/caller.ts'
import type { By, RiskActed } from './core/risk-desk.ts'
import type { RiskRules } from './core/risk-rules.ts'
import { matchesId, parseSpiffeId, type SpiffeId } from './core/spiffe-id.ts'
import { rankOf, type Scope, standingOf, subjectKey } from './core/standing.ts'
import { type Proof, prove, refuseStepUp } from './risk/step-up.ts'
import type { RiskStage } from './risk-stage.ts'
import type { SignIns } from './state/sign-ins.ts'
import type { SharedStandings } from './state/standings.ts'

export interface AnswerParts {
  readonly standings: SharedStandings
  readonly stage: Pick<RiskStage, 'clear'>
  readonly rules: () => RiskRules
  readonly signIns: SignIns
}

interface Open {
  readonly scope: Scope
  readonly workload: SpiffeId
}

const GONE = 'No step-up of that id is open; it may have been answered, or have become a quarantine.'

/** Whom an open step-up is about. */
export function challenged({ standings }: AnswerParts, id: string, now: number): Open | undefined {
  const scope = standings.challenged(id, now)
  const workload = scope?.kind === 'workload' ? parseSpiffeId(scope.id) : undefined
  return scope !== undefined && workload?.ok ? { scope, workload: workload.id } : undefined
}

export function answerByPerson(
  parts: AnswerParts,
  id: string,
  verdict: 'approve' | 'refuse',
  who: SpiffeId,
  isOperator: boolean,
  by: By
): RiskActed {
  const { standings, rules } = parts
  // Anybody may ask, and nobody is looked for on just anybody's word.
  if (!isOperator && !rules().supervisors.some((pattern) => matchesId(pattern, who))) return not('Not one of risk.step_up.supervisors.')
  const open = challenged(parts, id, by.now)
  if (open === undefined) return { kind: 'not', status: 404, says: GONE }
  if (open.workload.text === who.text) return not('Nobody vouches for itself.')
  // Two of a hijacked fleet would vouch for each other.
  const own = standingOf(standings.ofWorkload(who.text))
  if (isOperator ? rankOf(own) >= rankOf('step-up') : own !== 'normal') return not('Nobody vouches who does not stand normal.')
  const proof = isOperator
    ? ({ kind: 'operator', challenge: id, by: who.text } as const)
    : ({ kind: 'supervisor', challenge: id, by: who, blocked: [] } as const)
  return settled(parts, id, open, proof, verdict, by)
}

/**
 * The end user behind the challenged call has signed in again.
 * @param subject proven, for the workload that was challenged
 */
export async function answerByUser(parts: AnswerParts, id: string, subject: Subject, by: By): Promise<RiskActed> {
  const open = challenged(parts, id, by.now)
  const record = open && parts.standings.of(open.scope)
  if (open === undefined || record === undefined) return { kind: 'not', status: 404, says: GONE }
  const who = subjectKey(subject.issuer, subject.id)
  const proof = { kind: 'user', subject: who, acr: subject.acr, authTime: subject.authTime } as const
  // What is no answer uses nothing up.
  const proved = prove(record, open.workload, proof, parts.rules(), { now: by.now, run: '' })
  if (!proved.ok) return not(proved.says)
  const taken = await parts.signIns.takeEverywhere({ subject: who, at: subject.authTime ?? 0 }, id, by.now)
  if (taken === 'unavailable') return { kind: 'unavailable', because: 'whether this sign-in has answered before cannot be known right now' }
  if (taken === 'spent') return not('That sign-in has answered another step-up: sign in once more.')
  return settled(parts, id, open, proof, 'approve', by)
}

function settled(
  { standings, stage, rules }: AnswerParts,
  id: string,
  { scope, workload }: Open,
  proof: Proof,
  verdict: 'approve' | 'refuse',
  { by, reason, now }: By
): RiskActed {
  let no: RiskActed | undefined
  const changed = standings.change(
    scope,
    (record, run) => {
      const moment = { now, run }
      const proved = prove(record, workload, proof, rules(), moment)
      if (!proved.ok) {
        no = not(proved.says)
        return record
      }
      // Who may not vouch may not say no either: that is a quarantine.
      return verdict === 'approve' ? proved.record : refuseStepUp(record, by, reason, rules(), moment)
    },
    now
  )
  if (no !== undefined) return no
  if (changed === 'full') return { kind: 'unavailable', because: 'there is no room for another standing' }
  if (verdict === 'approve') stage.clear(workload.text)
  const standing = verdict === 'approve' ? 'slowed' : 'quarantine'
  return { kind: 'done', facts: { workload: workload.text, id, verdict, by_proof_of: proof.kind, standing } }
}

function not(says: string): RiskActed {
  return { kind: 'not', status: 403, says }
}
