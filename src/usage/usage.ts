/**
 * What workloads use: who was seen when, by which certificates, what each used of which tenant, what it was refused, and who still sends
 * permanent keys. On a decision's way some counters go up and nothing else is done. What does not fit is counted less exactly, and said.
 */
import { POLICY_DENIALS } from '../core/deny-reason.ts'
import {
  type All,
  addDenied,
  addKey,
  addShare,
  addTopK,
  addWorkload,
  bucketOf,
  enter,
  type Its,
  placeOf,
  plain,
  SERVER_LIMITS,
  shownBy,
  type UsageLimits
} from './usage-counts.ts'
import type { Usage, UsedWorkload } from './usage-text.ts'

/** What one decision says about that. */
export interface Use {
  /** Milliseconds since the epoch. */
  readonly at: number
  /** SPIFFE ID that was proven. */
  readonly workload: string
  /** The X.509-SVID by which it was proven, and the end of it in milliseconds since the epoch. */
  readonly certificate: { readonly serial: string; readonly until: number } | undefined
  /** Of the policy that decided. */
  readonly revision: string
  /** Why it was refused; undefined: it passed. */
  readonly reason: string | undefined
  /** Undefined where it did not come to that. */
  readonly what: UsedWhat | undefined
  /** Names of the credential headers that it sent, and that were taken away. */
  readonly keys: readonly string[]
}

export interface UsedWhat {
  readonly tenant: string
  readonly database: string
  readonly action: string
  readonly targets: readonly UsedTarget[]
  /** Infinite without a limit; 0 where it is no question. */
  readonly topK: number
}

export interface UsedTarget {
  readonly namespace: string | undefined
  readonly collection: { readonly kind: 'name' | 'id' | 'every' | 'none'; readonly name?: string }
}

export interface UsageBook {
  readonly note: (use: Use) => void
  /** Goes up with each change. */
  readonly changes: () => number
  /** Adds what was seen before, or elsewhere. */
  readonly add: (usage: Seen) => void
  readonly workload: (id: string) => UsedWorkload | undefined
  /** One at a time, so that whoever asks can see to others in between. */
  readonly workloads: () => Generator<UsedWorkload, void>
  readonly facts: () => Omit<Seen, 'workloads'>
}

export type Seen = Pick<Usage, 'workloads' | 'revisions' | 'forgotten' | 'lost'>

const REVISIONS_MAX = 256

type Revisions = Map<string, { firstAt: number; lastAt: number }>

export function createUsage(limits: UsageLimits = SERVER_LIMITS): UsageBook {
  const all: All = { limits, workloads: new Map(), places: 0, forgotten: 0, lost: 0 }
  const revisions: Revisions = new Map()
  let changes = 0
  return {
    note(use) {
      changes++
      noteRevision(revisions, use.revision, use.at, use.at)
      noteUse(all, all.workloads.get(use.workload) ?? enter(all, use.workload, use.at), use)
    },
    changes: () => changes,
    add(seen) {
      changes++
      all.forgotten += seen.forgotten
      all.lost += seen.lost
      for (const { revision, firstAt, lastAt } of seen.revisions) noteRevision(revisions, revision, firstAt, lastAt)
      for (const one of seen.workloads) addWorkload(all, one)
    },
    workload(id) {
      const its = all.workloads.get(id)
      return its === undefined ? undefined : plain(its)
    },
    *workloads() {
      for (const its of all.workloads.values()) yield plain(its)
    },
    facts: () => ({
      revisions: [...revisions].map(([revision, times]) => ({ revision, ...times })),
      forgotten: all.forgotten,
      lost: all.lost
    })
  }
}

function noteRevision(revisions: Revisions, revision: string, firstAt: number, lastAt: number): void {
  const known = revisions.get(revision)
  if (known !== undefined) {
    if (firstAt < known.firstAt) known.firstAt = firstAt
    if (lastAt > known.lastAt) known.lastAt = lastAt
    return
  }
  if (revisions.size >= REVISIONS_MAX) revisions.delete(revisions.keys().next().value as string)
  revisions.set(revision, { firstAt, lastAt })
}

function noteUse(all: All, its: Its, { at, certificate, reason, what, keys }: Use): void {
  if (at < its.firstAt) its.firstAt = at
  if (at > its.lastAt) its.lastAt = at
  if (reason === undefined) its.allowed++
  else addDenied(its, reason, 1, at)
  for (const name of keys) addKey(its, name, 1, at, at)
  const shown = certificate === undefined ? undefined : shownBy(all, its, certificate.serial, certificate.until, at)
  if (shown !== undefined) {
    shown.calls++
    if (at < shown.firstAt) shown.firstAt = at
    if (at > shown.lastAt) shown.lastAt = at
    if (reason !== undefined) shown.refused++
  }
  if (what === undefined || (reason !== undefined && !passesRules(reason))) return
  for (const target of what.targets) {
    const place = placeOf(all, its, what, target)
    if (place === undefined) continue
    if (reason !== undefined) {
      place.refused++
      place.refusedAt = at
      continue
    }
    place.allowed++
    if (place.firstAt === undefined || at < place.firstAt) place.firstAt = at
    if (place.lastAt === undefined || at > place.lastAt) place.lastAt = at
    if (shown !== undefined) addShare(shown, place, 1)
  }
  if (shown !== undefined && what.topK > 0) addTopK(shown, bucketOf(what.topK), 1)
}

const BY_RULES: ReadonlySet<string> = new Set(POLICY_DENIALS.filter((kind) => kind !== 'approval-required'))

/** A rule would have let it pass, and something else refused it: whoever takes that rule away changes what it is refused for. */
function passesRules(reason: string): boolean {
  return !BY_RULES.has(reason)
}
