/** What happened, as a page: whom it is about, which episode of it, and in words what a person reads first. */
import { createHash } from 'node:crypto'
import { key } from '../core/keys.ts'
import { PAGE_SUMMARY_CHARACTERS_MAX, type Page, type PageKind, type Severity } from '../core/page.ts'
import { type Place, type Scope, type Standing, scopeKey, termId, untilOf } from '../core/standing.ts'
import type { Move } from '../core/standings.ts'

/** A figure that a policy calls a person for. */
export interface PagedFigure {
  readonly workload: string
  readonly metric: string
  readonly signal: string | undefined
  readonly windowMs: number
  readonly threshold: number
  readonly value: number
  readonly decisionId: string
  readonly at: number
}

/** Standings that a person is called for. */
export function kindOf(standing: Standing): 'quarantine' | 'step-up' | undefined {
  return standing === 'quarantine' || standing === 'step-up' ? standing : undefined
}

/** One episode is one term: its name is given once, and every replica knows it. Undefined for a move to nothing that calls a person. */
export function standingPage({ scope, to, term, at }: Move, severity: (kind: PageKind) => Severity | undefined): Page | undefined {
  const kind = kindOf(to)
  const grave = kind === undefined ? undefined : severity(kind)
  if (kind === undefined || grave === undefined || term === undefined) return undefined
  const { cause, evidence, since } = term
  const subject = subjectOf(scope)
  const id = termId(scope, term.dot)
  const does = kind === 'quarantine' ? 'is quarantined' : `must be vouched for (vecauthz step-up answer ${id})`
  return {
    key: `vecauthz-${id}`,
    about: scopeKey(scope),
    kind,
    severity: grave,
    subject,
    scope,
    cause,
    summary: bounded(`${subject} ${does}: ${cause}: ${evidence.says}`),
    place: placeOf(scope.kind === 'cohort' ? scope : evidence.place),
    figures: evidence.figures,
    decisionIds: evidence.decisionIds,
    since,
    until: untilOf(term, at),
    ended: undefined
  }
}

/** @param episode names this time that it is so */
export function figurePage(figure: PagedFigure, severity: Severity, episode: string): Page {
  const { workload, metric, signal, windowMs, threshold, value, decisionId, at } = figure
  const name = signal === undefined ? metric : `${metric} ${signal}`
  const about = aboutFigure(figure)
  return {
    key: `vecauthz-figure-${digest(about)}-${episode}`,
    about,
    kind: 'monitoring',
    severity,
    subject: workload,
    scope: undefined,
    cause: name,
    summary: bounded(`${workload}: ${name} is ${short(value)} over ${windowMs / 1000} s, above ${threshold}`),
    place: {},
    figures: { value, threshold, window_seconds: windowMs / 1000 },
    decisionIds: [decisionId],
    since: at,
    until: undefined,
    ended: undefined
  }
}

/** The same figure of the same workload, whatever line of the policy it stands on now. */
export function aboutFigure({ workload, metric, signal, windowMs, threshold }: PagedFigure): string {
  return key('figure', workload, metric, signal ?? '', String(windowMs), String(threshold))
}

/** @param server SPIFFE ID and where it listens: replicas are told apart. @param cause one word */
export function serverPage(server: string, cause: string, says: string, severity: Severity, since: number): Page {
  const about = key('server', server, cause)
  return {
    key: `vecauthz-${cause}-${digest(about)}-${since.toString(36)}`,
    about,
    kind: 'outage',
    severity,
    subject: server,
    scope: undefined,
    cause,
    summary: bounded(`${server}: ${says}`),
    place: {},
    figures: {},
    decisionIds: [],
    since,
    until: undefined,
    ended: undefined
  }
}

function subjectOf(scope: Scope): string {
  if (scope.kind === 'workload') return scope.id
  return bounded(`agent type ${scope.agentType} of ${scope.tenant} in ${scope.database}/${scope.collection}`)
}

function placeOf(place: Place | undefined): Readonly<Record<string, string>> {
  if (place === undefined) return {}
  const { tenant, agentType, database, collection } = place
  return { tenant: bounded(tenant), agent_type: bounded(agentType), database: bounded(database), collection: bounded(collection) }
}

function digest(text: string): string {
  return createHash('sha256').update(text, 'utf16le').digest('hex').slice(0, 16)
}

/** One line, of what the longest receiver takes. */
function bounded(text: string): string {
  const line = text.replace(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]+/gu, ' ')
  return line.slice(0, PAGE_SUMMARY_CHARACTERS_MAX).toWellFormed()
}

function short(value: number): string {
  return String(Number(value.toPrecision(4)))
}
