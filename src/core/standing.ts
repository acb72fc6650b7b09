/**
 * How a workload stands, and why. A record is a set of terms (each from a raise to its end) that only grows: two replicas' records
 * are merged by taking from each what is further on, so the order, the number and the age of what arrives do not matter.
 *
 * Each term has a name that is given once, (run of a process, counter). An end names the terms that were seen, so an operator's
 * release beats every replay of them, and what was raised meanwhile elsewhere stays. That is an observed-remove set with a causal
 * context (Bieniusa et al. 2012, "An optimized conflict-free replicated set"), the context being `horizon`.
 *
 * Time is served, not read: `servedMs` is what running processes have waited, so no step of a clock ends a quarantine.
 */
import { key } from './keys.ts'

/** From the gentlest to the sternest. */
export const STANDINGS = ['normal', 'slowed', 'step-up', 'quarantine'] as const
export type Standing = (typeof STANDINGS)[number]
export type Raised = Exclude<Standing, 'normal'>

export const CAUSES = [
  'drift',
  'coherence',
  'exposure',
  'sequence',
  'risk_spike',
  'monitoring',
  'signal',
  'step-up-unanswered',
  'step-up-failed',
  'step-up-repeated',
  'identities-together',
  'served',
  'operator'
] as const
export type Cause = (typeof CAUSES)[number]

/** Whose standing it is. A cohort is all workloads of one agent type in one collection of one tenant. */
export type Scope = { readonly kind: 'workload'; readonly id: string } | ({ readonly kind: 'cohort' } & Place)

/** Where something was seen. */
export interface Place {
  readonly tenant: string
  readonly agentType: string
  readonly database: string
  readonly collection: string
}

export interface Evidence {
  readonly says: string
  /** Of the audit records that show it, the latest last. */
  readonly decisionIds: readonly string[]
  readonly figures: Readonly<Record<string, number>>
  /** For whose data it was, where it was one collection of a workload with an agent type. */
  readonly place?: Place
  /** `subjectKey` of the end user behind the call: who can answer a step-up. */
  readonly subject?: string
}

export const EVIDENCE_DECISIONS_MAX = 16
export const EVIDENCE_FIGURES_MAX = 16
export const EVIDENCE_CHARACTERS_MAX = 500
/** Of each name in it. No token and no database needs longer ones, and a record with them could be written and not be read again. */
const EVIDENCE_NAME_CHARACTERS_MAX = 1_100

export interface Ended {
  readonly how: 'hand' | 'proof' | 'fresh-svid' | 'superseded'
  readonly at: number
  /** Who: a SPIFFE ID, an operator's name, an end user. */
  readonly by: string
  readonly reason: string
}

/** A term's name: `n` counts within its record and run, without gaps. */
export interface Dot {
  /** One run of one process; never used again by another one. */
  readonly run: string
  readonly n: number
}

/** Duration of what no time ends. */
export const UNTIL_ENDED = Number.MAX_SAFE_INTEGER

export interface Term {
  readonly dot: Dot
  readonly level: Raised
  readonly cause: Cause
  readonly evidence: Evidence
  /** Milliseconds since the epoch, by the clock of the raising process: for people. */
  readonly since: number
  readonly durationMs: number
  readonly servedMs: number
  readonly ended: Ended | undefined
}

/** A proof that was accepted, and until when it answers for what lasts. */
export interface Vouch {
  readonly at: number
  readonly until: number
  readonly by: string
}

/** Step-ups that are remembered, the latest. */
export const STRIKES_KEPT = 8

export interface StandingRecord {
  readonly scope: Scope
  /** By run: every term up to this number has ended and is no longer listed. */
  readonly horizon: Readonly<Record<string, number>>
  /** In the order of their dots. */
  readonly terms: readonly Term[]
  /** When step-ups began, ascending. */
  readonly strikes: readonly number[]
  readonly vouch: Vouch | undefined
}

export function scopeKey(scope: Scope): string {
  if (scope.kind === 'workload') return key('workload', scope.id)
  return key('cohort', scope.tenant, scope.agentType, scope.database, scope.collection)
}

/** @param issuer `iss`. @param id `sub` */
export function subjectKey(issuer: string, id: string): string {
  return key('subject', issuer, id)
}

/**
 * Names a term for people, and in challenges; not a secret. A dot names it within its record only: with one id for the terms of two
 * workloads, who vouches for the one could free the other.
 */
export function termId(scope: Scope, { run, n }: Term['dot']): string {
  const text = scopeKey(scope)
  const half = (seed: number) => {
    let hash = seed
    for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
    return (hash >>> 0).toString(16).padStart(8, '0')
  }
  return `${run}-${half(0x811c9dc5)}${half(0x9e3779b1)}.${n}`
}

export function newRecord(scope: Scope): StandingRecord {
  return { scope, horizon: {}, terms: [], strikes: [], vouch: undefined }
}

export function rankOf(standing: Standing): number {
  return STANDINGS.indexOf(standing)
}

export function isActive(term: Term): boolean {
  return term.ended === undefined && term.servedMs < term.durationMs
}

/** The term that decides, the sternest and among equals the latest; undefined for `normal`. */
export function heldBy(record: StandingRecord): Term | undefined {
  let held: Term | undefined
  for (const term of record.terms) {
    if (!isActive(term)) continue
    const more = held === undefined ? 1 : rankOf(term.level) - rankOf(held.level) || term.since - held.since
    if (more > 0) held = term
  }
  return held
}

export function standingOf(record: StandingRecord | undefined): Standing {
  return record === undefined ? 'normal' : (heldBy(record)?.level ?? 'normal')
}

/** When it ends if nothing happens, ms since the epoch; undefined for what no time ends. An estimate: see `servedMs`. */
export function untilOf(term: Term, now: number): number | undefined {
  return term.durationMs === UNTIL_ENDED ? undefined : now + Math.max(0, term.durationMs - term.servedMs)
}

export type CohortScope = Extract<Scope, { kind: 'cohort' }>

export function cohortOf({ tenant, agentType, database, collection }: Place): CohortScope {
  return { kind: 'cohort', tenant, agentType, database, collection }
}

/** Where a workload is quarantined for what it did, and since when; operators' and signals' quarantines have no place. */
export function quarantinePlaces(record: StandingRecord): { readonly cohort: CohortScope; readonly since: number }[] {
  if (record.scope.kind !== 'workload') return []
  return record.terms.flatMap((term) => {
    const { place } = term.evidence
    return term.level === 'quarantine' && isActive(term) && place !== undefined ? [{ cohort: cohortOf(place), since: term.since }] : []
  })
}

export type NewTerm = Pick<Term, 'level' | 'cause' | 'evidence' | 'since' | 'durationMs'>

/** The record with one more term. A step-up is a strike as well. @param run the raising process */
export function withTerm(record: StandingRecord, run: string, { level, cause, evidence, since, durationMs }: NewTerm): StandingRecord {
  const before = record.terms.reduce((most, { dot }) => (dot.run === run ? Math.max(most, dot.n) : most), record.horizon[run] ?? 0)
  const bounded = boundedEvidence(evidence)
  const dot = { run, n: before + 1 }
  const term: Term = { dot, level, cause, evidence: bounded, since, durationMs, servedMs: 0, ended: undefined }
  const strikes = level === 'step-up' ? latest([...record.strikes, since]) : record.strikes
  return settled({ ...record, terms: [...record.terms, term], strikes })
}

/** The record with an end to those of its active terms that are meant. */
export function withEnd(record: StandingRecord, meant: (term: Term) => boolean, ended: Ended): StandingRecord {
  if (!record.terms.some((term) => isActive(term) && meant(term))) return record
  return settled({ ...record, terms: record.terms.map((term) => (isActive(term) && meant(term) ? { ...term, ended } : term)) })
}

/** @param elapsedMs what this process has waited since it was last asked, by a clock that never steps */
export function served(record: StandingRecord, elapsedMs: number): StandingRecord {
  const standing = standingOf(record)
  if (!(elapsedMs > 0) || standing === 'normal') return record
  // A workload in quarantine cannot answer, so the time for its answer stands still.
  const runs = (term: Term) => isActive(term) && (term.level !== 'step-up' || standing === 'step-up')
  const terms = record.terms.map((term) => (runs(term) ? { ...term, servedMs: term.servedMs + elapsedMs } : term))
  return settled({ ...record, terms })
}

/** Commutative, associative and idempotent; both are about one scope. */
export function merged(a: StandingRecord, b: StandingRecord): StandingRecord {
  const horizon: Record<string, number> = { ...a.horizon }
  for (const [run, n] of Object.entries(b.horizon)) horizon[run] = Math.max(horizon[run] ?? 0, n)
  const terms = new Map<string, Term>()
  for (const term of [...a.terms, ...b.terms]) {
    const name = key(term.dot.run, String(term.dot.n))
    const other = terms.get(name)
    terms.set(name, other === undefined ? term : mergedTerm(other, term))
  }
  const strikes = latest([...a.strikes, ...b.strikes])
  return settled({ scope: a.scope, horizon, terms: [...terms.values()], strikes, vouch: laterVouch(a.vouch, b.vouch) })
}

function mergedTerm(a: Term, b: Term): Term {
  // Equal names have equal beginnings; should they not, both sides choose the same one.
  const first = beginning(a) >= beginning(b) ? a : b
  return { ...first, servedMs: Math.max(a.servedMs, b.servedMs), ended: laterEnd(a.ended, b.ended) }
}

function beginning({ level, cause, evidence, since, durationMs }: Term): string {
  const { says, decisionIds, figures, place, subject } = evidence
  const where = place === undefined ? null : [place.tenant, place.agentType, place.database, place.collection]
  return JSON.stringify([rankOf(level), cause, since, durationMs, says, decisionIds, Object.entries(figures), where, subject ?? null])
}

function laterEnd(a: Ended | undefined, b: Ended | undefined): Ended | undefined {
  if (a === undefined || b === undefined) return a ?? b
  const order = a.at - b.at || compare(JSON.stringify([a.how, a.by, a.reason]), JSON.stringify([b.how, b.by, b.reason]))
  return order >= 0 ? a : b
}

function laterVouch(a: Vouch | undefined, b: Vouch | undefined): Vouch | undefined {
  if (a === undefined || b === undefined) return a ?? b
  return (a.at - b.at || a.until - b.until || compare(a.by, b.by)) >= 0 ? a : b
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function latest(strikes: readonly number[]): readonly number[] {
  return [...new Set(strikes)].sort((a, b) => a - b).slice(-STRIKES_KEPT)
}

/** In the order of dots, and without the ended terms that nothing active stands before. */
function settled(record: StandingRecord): StandingRecord {
  const horizon: Record<string, number> = { ...record.horizon }
  const terms: Term[] = []
  const ordered = [...record.terms].sort((a, b) => compare(a.dot.run, b.dot.run) || a.dot.n - b.dot.n)
  for (const term of ordered) {
    const { run, n } = term.dot
    const passed = horizon[run] ?? 0
    if (n <= passed) continue
    if (n === passed + 1 && !isActive(term)) horizon[run] = n
    else terms.push(term)
  }
  return { ...record, horizon: sorted(horizon), terms }
}

function sorted(horizon: Record<string, number>): Record<string, number> {
  return Object.fromEntries(Object.entries(horizon).sort(([a], [b]) => compare(a, b)))
}

/** So that a record always fits in the store. */
function boundedEvidence({ place, subject, ...evidence }: Evidence): Evidence {
  const figures = Object.entries(evidence.figures).slice(0, EVIDENCE_FIGURES_MAX)
  const fits = (name: string) => name.length <= EVIDENCE_NAME_CHARACTERS_MAX
  return {
    ...evidence,
    // Without a place it counts for no agent type, and without a subject only a supervisor can answer.
    ...(place !== undefined && Object.values(place).every(fits) ? { place } : {}),
    ...(subject !== undefined && fits(subject) ? { subject } : {}),
    says: evidence.says.slice(0, EVIDENCE_CHARACTERS_MAX).toWellFormed(),
    decisionIds: evidence.decisionIds.slice(-EVIDENCE_DECISIONS_MAX),
    figures: Object.fromEntries(figures.map(([name, value]) => [name, Number.isFinite(value) ? value : Number.MAX_VALUE]))
  }
}
