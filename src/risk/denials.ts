/**
 * Denials of a proven identity, as a score (`risk_spike`): each has a weight, and the sum halves with time. A broken client repeats
 * itself and a scanner does not, so a repeat can slow a workload and nothing more.
 */
import type { DenyKind, DenyReason } from '../core/deny-reason.ts'
import type { RiskRules } from '../core/risk-rules.ts'
import type { Evidence } from '../core/standing.ts'
import type { Alarm } from '../core/standings.ts'
import { levelOf } from './ladder.ts'

/** Kinds that say something about who calls; an outage, a spent budget or a ladder's own denial says nothing. */
const WEIGHTS = {
  'tenant-not-allowed': 4,
  'token-mismatch': 4,
  'identity-conflict': 4,
  'token-invalid': 3,
  'subject-invalid': 2,
  'collection-not-allowed': 2,
  'export-not-allowed': 2,
  'vectors-not-allowed': 2,
  'delete-not-allowed': 2,
  'residency-conflict': 2,
  'attestation-too-weak': 2,
  'operation-unknown': 2,
  'call-ambiguous': 2,
  'tenant-not-named': 1,
  'purpose-conflict': 1,
  'write-not-allowed': 1,
  'token-missing': 1,
  'token-expired': 1,
  'call-unreadable': 1,
  'call-too-large': 1
} as const satisfies Partial<Record<DenyKind, number>>

const WEIGHT_OF: Readonly<Partial<Record<DenyKind, number>>> = WEIGHTS
/** Of what was denied last, as many as tell a loop over a few names from a search. */
const RECENT = 16
/** Characters of each end of what was asked for. */
const WORDS = 96

/** What is kept of one workload: some 3 KB at most, and only after its first denial. */
export interface DenialScore {
  score: number
  /** ms since the epoch. */
  at: number
  readonly recent: string[]
  next: number
  last: DenyKind | undefined
  /** Denials with a weight, ever. */
  count: number
}

export function newDenialScore(): DenialScore {
  return { score: 0, at: Number.NEGATIVE_INFINITY, recent: [], next: 0, last: undefined, count: 0 }
}

export function countsAsRisk(kind: DenyKind): boolean {
  return WEIGHT_OF[kind] !== undefined
}

/** The score at this moment. */
export function scoreAt({ score, at }: DenialScore, halfLifeMs: number, now: number): number {
  return score === 0 ? 0 : score * 0.5 ** (Math.max(0, now - at) / halfLifeMs)
}

/**
 * Counts one denial in place.
 * @param target what was asked for, in words of its own (tenant, collection, endpoint): the same words are the same thing
 * @returns what it asks for, undefined for a kind without weight or a score that is still low
 */
export function countDenial(
  kept: DenialScore,
  { kind }: DenyReason,
  target: string,
  rules: RiskRules,
  now: number,
  evidence: Pick<Evidence, 'decisionIds' | 'place' | 'subject'>
): Alarm | undefined {
  const weight = WEIGHT_OF[kind]
  if (weight === undefined) return undefined
  const before = scoreAt(kept, rules.denialsHalfLifeMs, now)
  const words = wordsOf(`${kind} ${target}`)
  const isRepeat = kept.recent.includes(words)
  const most = isRepeat ? Math.max(before, Math.min(rules.denials.slowed, below(rules.denials['step-up']))) : Number.POSITIVE_INFINITY
  kept.score = Math.min(most, before + (isRepeat ? weight / 4 : weight))
  kept.at = Math.max(kept.at, now)
  kept.count++
  if (!isRepeat) {
    kept.recent[kept.next] = words
    kept.next = (kept.next + 1) % RECENT
  }
  kept.last = kind
  return denialAlarm(kept, rules, now, evidence)
}

/** What the score asks for at this moment; undefined while it is low. */
export function denialAlarm(
  kept: DenialScore,
  rules: RiskRules,
  now: number,
  evidence: Pick<Evidence, 'decisionIds' | 'place' | 'subject'>
): Alarm | undefined {
  const score = scoreAt(kept, rules.denialsHalfLifeMs, now)
  const level = levelOf(score, rules.denials)
  if (level === 'normal') return undefined
  const last = kept.last === undefined ? '' : `, the last one ${kept.last}`
  const says = `denials of a proven identity${last}: score ${score.toFixed(1)}`
  return { level, cause: 'risk_spike', evidence: { ...evidence, says, figures: { score, denials: kept.count } } }
}

/** Just under a threshold: what stays there does not reach it. */
function below(threshold: number): number {
  return threshold * (1 - 1e-9)
}

/**
 * The ends of what was asked for. No digest: names are the caller's own words, and whoever finds some with one digest scans as if he
 * repeated himself.
 */
function wordsOf(text: string): string {
  return text.length <= 2 * WORDS ? text : `${text.length} ${text.slice(0, WORDS)} ${text.slice(-WORDS)}`
}
