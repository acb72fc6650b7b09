/** What a standing refuses, and what whoever reads the refusal can do about it. */
import type { DenyReason } from '../core/deny-reason.ts'
import type { RiskRules } from '../core/risk-rules.ts'
import { heldBy, type StandingRecord } from '../core/standing.ts'
import type { Alarm } from '../core/standings.ts'
import { whyHeld } from './held.ts'
import { challengeOf } from './step-up.ts'

const LOOK = 'An operator has to look at what this workload did, and releases it (vecauthz release), or its time is served.'

/** undefined: it may go on. @param now ms since the epoch */
export function refusalOf(record: StandingRecord | undefined, rules: RiskRules, now: number): DenyReason | undefined {
  const held = record === undefined ? undefined : heldBy(record)
  if (record === undefined || held === undefined || held.level === 'slowed') return undefined
  if (held.level === 'quarantine') return { kind: 'quarantined', because: whyHeld(record), remedy: LOOK }
  const challenge = challengeOf(record, rules)
  if (challenge === undefined) return { kind: 'step-up-required', because: whyHeld(record) }
  const { id, forUser, acrValues, since, leftMs } = challenge
  const approves = `a supervisor or an operator approves: vecauthz step-up answer ${id}`
  const remedy = forUser ? `The end user signs in again, or ${approves}.` : `${approves.charAt(0).toUpperCase()}${approves.slice(1)}.`
  const maxAgeSeconds = Math.max(0, Math.floor((now - since) / 1000))
  const stepUp = { id, forUser, acrValues, maxAgeSeconds, secondsLeft: Math.ceil(leftMs / 1000) }
  return { kind: 'step-up-required', because: whyHeld(record), remedy, stepUp }
}

/** What it would have been refused for, where nothing is raised. */
export function refusalFor(alarms: readonly Alarm[]): DenyReason | undefined {
  for (const { level, cause, evidence } of alarms) {
    if (level === 'slowed') continue
    return { kind: level === 'quarantine' ? 'quarantined' : 'step-up-required', because: `${level} for ${cause}: ${evidence.says}` }
  }
  return undefined
}
