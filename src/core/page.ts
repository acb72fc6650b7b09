/** What a person is called for, and what became of it: the same for every receiver, whatever its format. Times are ms since the epoch. */
import type { Scope } from './standing.ts'

/** The gravest first. */
export const SEVERITIES = ['critical', 'error', 'warning', 'info'] as const
export type Severity = (typeof SEVERITIES)[number]

export const PAGE_KINDS = ['quarantine', 'step-up', 'monitoring', 'outage'] as const
export type PageKind = (typeof PAGE_KINDS)[number]

/** In UTF-16 units: PagerDuty takes no longer one. */
export const PAGE_SUMMARY_CHARACTERS_MAX = 1_024

/** One episode of one subject. Names and numbers only, never a body, a vector or a credential: it leaves the host. */
export interface Page {
  /** The same for the same subject and episode, on every replica that shares the store, and after a restart. */
  readonly key: string
  /** Of what there is one open page at a time. */
  readonly about: string
  readonly kind: PageKind
  readonly severity: Severity
  /** A SPIFFE ID, an agent type in a collection, or this server. */
  readonly subject: string
  /** Whose standing it is, where it is one. */
  readonly scope: Scope | undefined
  readonly cause: string
  readonly summary: string
  /** Where it was seen: `tenant`, `agent_type`, `database`, `collection`. */
  readonly place: Readonly<Record<string, string>>
  readonly figures: Readonly<Record<string, number>>
  readonly decisionIds: readonly string[]
  readonly since: number
  /** When it ends by itself; undefined: nobody knows. */
  readonly until: number | undefined
  readonly ended: PageEnd | undefined
}

export interface PageEnd {
  readonly at: number
  readonly says: string
}

/** `firing` calls a person, `resolved` says that it is over. */
export type PageState = 'firing' | 'resolved'
