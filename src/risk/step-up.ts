/**
 * Step-up: somebody else than the workload says yes. Either the end user of the challenged call, who has authenticated again after
 * the challenge (RFC 9470: `acr`, `auth_time`), or a supervisor or operator, once, for this very challenge.
 */
import type { RiskRules } from '../core/risk-rules.ts'
import { matchesId, type SpiffeId, sameId } from '../core/spiffe-id.ts'
import { heldBy, type StandingRecord, type Term, termId, withEnd, withTerm } from '../core/standing.ts'
import { climb, type Moment } from './ladder.ts'

export interface Challenge {
  /** Names it in answers; not a secret. */
  readonly id: string
  /** ms since the epoch: an end user must have authenticated after it. */
  readonly since: number
  /** Time left, of what running processes wait. */
  readonly leftMs: number
  /** An end user can answer it. */
  readonly forUser: boolean
  /** `acr_values` of the challenge header; empty: any. */
  readonly acrValues: readonly string[]
}

export type Proof =
  /** @property subject `subjectKey`. @property authTime ms since the epoch, undefined when the token has none */
  | { readonly kind: 'user'; readonly subject: string; readonly acr: string | undefined; readonly authTime: number | undefined }
  | { readonly kind: 'supervisor'; readonly challenge: string; readonly by: SpiffeId; readonly blocked: readonly string[] }
  | { readonly kind: 'operator'; readonly challenge: string; readonly by: string }

export type Proved =
  /** The evidence that led to the challenge must now be cleared. */
  | { readonly ok: true; readonly record: StandingRecord }
  /** `says` is for whoever answers. */
  | { readonly ok: false; readonly says: string }

/** The challenge that is open; undefined when there is none, or when something sterner is held. */
export function challengeOf(record: StandingRecord, rules: RiskRules): Challenge | undefined {
  const held = heldBy(record)
  if (held?.level !== 'step-up') return undefined
  return {
    id: termId(record.scope, held.dot),
    since: held.since,
    leftMs: Math.max(0, rules.stepUpAnswerMs - held.servedMs),
    forUser: held.evidence.subject !== undefined,
    acrValues: [...(rules.acrValues ?? [])]
  }
}

/** @param workload SPIFFE ID of the challenged one: it cannot vouch for itself */
export function prove(record: StandingRecord, workload: SpiffeId, proof: Proof, rules: RiskRules, { now, run }: Moment): Proved {
  const held = heldBy(record)
  if (held?.level !== 'step-up') return { ok: false, says: 'No step-up is open for this workload.' }
  const id = termId(record.scope, held.dot)
  const wrong = proof.kind === 'user' ? wrongUser(proof, held, rules, now) : wrongPerson(proof, workload, id, rules)
  if (wrong !== undefined) return { ok: false, says: wrong }
  const by = proof.kind === 'user' ? 'the end user' : proof.kind === 'operator' ? proof.by : proof.by.text
  const answered = withEnd(record, ({ level }) => level === 'step-up', {
    how: 'proof',
    at: now,
    by,
    reason: `answered ${id}`
  })
  const evidence = { ...held.evidence, says: `slowed after an answered step-up: ${held.evidence.says}` }
  const down = withTerm(answered, run, { level: 'slowed', cause: held.cause, evidence, since: now, durationMs: rules.slowedMs })
  return { ok: true, record: { ...down, vouch: { at: now, until: now + rules.stepUpValidMs, by } } }
}

function wrongUser(
  { subject, acr, authTime }: Extract<Proof, { kind: 'user' }>,
  held: Term,
  rules: RiskRules,
  now: number
): string | undefined {
  // Of all users of a workload somebody signs in every minute: only who stood behind the challenged call can answer for it.
  if (held.evidence.subject === undefined) return 'No end user stood behind the challenged call; a supervisor has to approve.'
  if (subject !== held.evidence.subject) return 'Another end user stood behind the challenged call.'
  if (authTime === undefined) return 'The token does not say when the end user authenticated (auth_time).'
  if (!(authTime >= held.since)) return 'The end user has not authenticated since the challenge.'
  if (authTime > now + 5_000) return 'The end user authenticated in the future.'
  if (rules.acrValues !== undefined && (acr === undefined || !rules.acrValues.has(acr))) {
    return `The end user must authenticate as one of: ${[...rules.acrValues].join(', ')}.`
  }
  return undefined
}

function wrongPerson(proof: Exclude<Proof, { kind: 'user' }>, workload: SpiffeId, open: string, rules: RiskRules): string | undefined {
  if (proof.challenge !== open) return 'That challenge is not open any more.'
  if (proof.kind === 'operator') return undefined
  if (sameId(proof.by, workload) || proof.blocked.includes(proof.by.text)) return 'Nobody vouches for itself, or for who acts in its name.'
  if (!rules.supervisors.some((pattern) => matchesId(pattern, proof.by))) return 'Not one of risk.step_up.supervisors.'
  return undefined
}

/** Somebody who could have vouched says no. */
export function refuseStepUp(record: StandingRecord, by: string, reason: string, rules: RiskRules, moment: Moment): StandingRecord {
  const held = heldBy(record)
  if (held?.level !== 'step-up') return record
  const evidence = { ...held.evidence, says: `${by} refused to vouch: ${reason}` }
  return climb(record, { level: 'quarantine', cause: 'step-up-failed', evidence }, rules, moment)
}
