/**
 * The ladder: normal, slowed, step-up, quarantine. Up at once, to wherever the alarm says; down one step at a time, by waiting, by
 * proof or by hand. What raises is recorded with its evidence; nothing here forgets a quarantine.
 */
import type { DriftVerdict } from '../core/drift.ts'
import type { RiskRules, Thresholds } from '../core/risk-rules.ts'
import {
  type Cause,
  type Ended,
  type Evidence,
  heldBy,
  isActive,
  type Raised,
  rankOf,
  type Standing,
  type StandingRecord,
  standingOf,
  type Term,
  UNTIL_ENDED,
  withEnd,
  withTerm
} from '../core/standing.ts'
import type { Alarm } from '../core/standings.ts'

/** Who raises, and when. */
export interface Moment {
  /** ms since the epoch; written down, and compared with the ends of vouches and strikes only. */
  readonly now: number
  /** Names this run of this process, and no other one ever. */
  readonly run: string
}

/**
 * What goes on after somebody vouched. Evidence that accumulates begins again from nothing, so its next alarm is a new one; what is
 * measured or told from outside may still be so, and the proof answers for it until the vouch is over.
 */
const LASTS: ReadonlySet<Cause> = new Set<Cause>(['monitoring', 'signal'])

/** A score that is no number is treated as one that somebody made so. */
export function levelOf(score: number, thresholds: Thresholds): Standing {
  if (Number.isNaN(score)) return 'step-up'
  if (score >= thresholds.quarantine) return 'quarantine'
  if (score >= thresholds['step-up']) return 'step-up'
  return score >= thresholds.slowed ? 'slowed' : 'normal'
}

/** What a verdict on drift asks for. @param evidence that goes with it */
export function driftAlarm({ tier, causes }: DriftVerdict, evidence: Evidence): Alarm | undefined {
  if (tier === 'normal') return undefined
  const cause = causes[0]?.family === 'coherence' ? 'coherence' : 'drift'
  return { level: tier === 'watch' ? 'slowed' : tier, cause, evidence }
}

/** The record after an alarm; the very same one when nothing changes. */
export function climb(record: StandingRecord, alarm: Alarm, rules: RiskRules, { now, run }: Moment): StandingRecord {
  const asked = askedOf(record, alarm, rules, now)
  const rank = rankOf(asked.level) - rankOf(standingOf(record))
  if (rank < 0 || (rank === 0 && !isWorn(record, asked.level, rules))) return record
  const worn = rank === 0 ? withEnd(record, ({ level }) => level === 'slowed', superseded(now)) : record
  const { level, cause, evidence } = asked
  const term = { cause, evidence, since: now }
  if (level === 'slowed') return withTerm(worn, run, { ...term, level, durationMs: rules.slowedMs })
  if (level === 'step-up') return withTerm(worn, run, { ...term, level, durationMs: UNTIL_ENDED })
  // The challenge has had its answer; and what comes down from a quarantine is slowed for a while, which begins now and outlasts it.
  const over = withEnd(record, (one) => one.level === 'step-up', superseded(now))
  const after = withTerm(over, run, { ...term, level: 'slowed', durationMs: rules.quarantineMs + rules.slowedMs })
  return withTerm(after, run, { ...term, level, durationMs: rules.quarantineMs })
}

/** What the alarm comes to with what was before: a vouch makes it less, too many step-ups make it more. */
function askedOf(record: StandingRecord, alarm: Alarm, rules: RiskRules, now: number): Alarm {
  if (alarm.level !== 'step-up') return alarm
  if (LASTS.has(alarm.cause) && isVouched(record, now)) return { ...alarm, level: 'slowed' }
  if (rankOf(standingOf(record)) >= rankOf('step-up')) return alarm
  const strikes = strikesOf(record, rules, now) + 1
  if (strikes < rules.strikes) return alarm
  const says = `step-up number ${strikes} within ${rules.strikesWithinMs / 3_600_000} h: ${alarm.evidence.says}`
  const figures = { ...alarm.evidence.figures, strikes }
  return { level: 'quarantine', cause: 'step-up-repeated', evidence: { ...alarm.evidence, says, figures } }
}

/** A slowed workload that goes on alarming is slowed for longer; a fresh term for each alarm would be too many. */
function isWorn(record: StandingRecord, level: Raised, rules: RiskRules): boolean {
  if (level !== 'slowed') return false
  return !record.terms.some((term) => isActive(term) && term.durationMs - term.servedMs > rules.slowedMs * 0.75)
}

function superseded(at: number): Ended {
  return { how: 'superseded', at, by: 'vecauthz', reason: 'a later alarm took its place' }
}

export function isVouched({ vouch }: StandingRecord, now: number): boolean {
  return vouch !== undefined && vouch.at <= now && now < vouch.until
}

/** Replicas that raise the same step-up at about the same time have raised one. */
export function strikesOf({ strikes }: StandingRecord, { strikesWithinMs, stepUpAnswerMs }: RiskRules, now: number): number {
  let [count, last] = [0, Number.NEGATIVE_INFINITY]
  for (const at of strikes) {
    if (at <= now - strikesWithinMs || at - last < Math.min(stepUpAnswerMs, 60_000)) continue
    count++
    last = at
  }
  return count
}

/**
 * Asked at each call of a workload that is not normal: a challenge that it has not answered in time, while it goes on calling, is a
 * quarantine. Time is what running processes have waited.
 */
export function atCall(record: StandingRecord, rules: RiskRules, moment: Moment, decisionId: string): StandingRecord {
  const held = heldBy(record)
  if (held?.level !== 'step-up' || held.servedMs < rules.stepUpAnswerMs) return record
  const says = `the step-up of ${new Date(held.since).toISOString()} was not answered in ${rules.stepUpAnswerMs / 1000} s`
  const evidence = { ...held.evidence, says, decisionIds: [...held.evidence.decisionIds, decisionId] }
  return climb(record, { level: 'quarantine', cause: 'step-up-unanswered', evidence }, rules, moment)
}

/**
 * A fresh SVID is something that a hijacked agent gets by itself: it clears `slowed`, and nothing when more than that is held.
 * @param issuedAt `notBefore` of the SVID, ms since the epoch
 */
export function withFreshSvid(record: StandingRecord, issuedAt: number, by: string, rules: RiskRules, now: number): StandingRecord {
  if (standingOf(record) !== 'slowed' || issuedAt > now) return record
  // What outlasts a quarantine counts from the end of that.
  const began = ({ since, durationMs }: Term) => since + Math.max(0, durationMs - rules.slowedMs)
  return withEnd(record, (term) => issuedAt > began(term), { how: 'fresh-svid', at: now, by, reason: 'attested anew' })
}

/** An operator's act: everything that was seen ends, and nothing stays behind. */
export function released(record: StandingRecord, by: string, reason: string, now: number): StandingRecord {
  return withEnd(record, () => true, { how: 'hand', at: now, by, reason })
}
