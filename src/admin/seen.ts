/**
 * What this process has decided lately, for people who look: the last decisions, and of each workload what it used. On a decision's way
 * one small object is made and put aside; the rest is done when somebody asks, or some hundred are waiting. Kept in memory, in bounds.
 */
import type { Decision } from '../core/decision.ts'
import { namesOnly } from '../core/quoted.ts'

/** What is looked at of a decision. */
export interface Seeable {
  readonly decisionId: string
  readonly at: number
  readonly latencyUs: number
  readonly account: {
    readonly caller?: {
      readonly id: { readonly text: string }
      readonly serial?: string | undefined
      readonly subject?: { readonly id: string } | undefined
    }
    readonly database?: string
    readonly call?: { readonly operation: string; readonly shape: { readonly topK: number } }
    readonly tenant?: string
    readonly targets?: readonly {
      readonly namespace: string | undefined
      readonly collection: { readonly kind: string; readonly name?: string }
    }[]
    readonly risk?: { readonly score?: number; readonly after: string; readonly causes: readonly { readonly says: string }[] }
  }
  readonly decision: Decision
}

export interface SeenDecision {
  /** Counts up. */
  readonly n: number
  readonly at: number
  readonly id: string
  readonly verdict: 'allow' | 'deny'
  readonly reason: string | undefined
  readonly because: string | undefined
  readonly judged: string | undefined
  readonly workload: string | undefined
  readonly serial: string | undefined
  readonly tenant: string | undefined
  readonly database: string | undefined
  readonly operation: string | undefined
  readonly collections: readonly string[]
  readonly standing: string | undefined
  readonly score: number | undefined
  readonly causes: readonly string[]
  readonly latencyUs: number
}

export interface UsedCount {
  readonly tenant: string
  readonly database: string
  /** With its namespace. */
  readonly collection: string
  readonly action: string
  count: number
}

export interface SeenWorkload {
  readonly id: string
  firstAt: number
  lastAt: number
  allowed: number
  readonly denied: Map<string, number>
  /** Certificates by which it was proven, and when each was last seen. */
  readonly serials: Map<string, number>
  /** Tenant, `database/namespace/collection`, action; and how often. */
  readonly used: UsedCount[]
  /** Its scores over time, the newest last. */
  readonly scores: { readonly at: number; readonly score: number; readonly standing: string; readonly causes: readonly string[] }[]
}

export interface Seen {
  /** Each decision. */
  readonly decided: (one: Seeable) => void
  /** The last ones, the oldest first. */
  readonly recent: () => readonly SeenDecision[]
  readonly workloads: () => readonly SeenWorkload[]
  readonly workload: (id: string) => SeenWorkload | undefined
  /** Calls back with what was decided, some at a time. @returns what ends it */
  readonly follow: (tell: (some: readonly SeenDecision[]) => void) => () => void
}

export const RECENT_MAX = 500
const WAITING_MAX = 256
const TELL_MS = 250
const WORKLOADS_MAX = 2_000
const USED_MAX = 256
const SERIALS_MAX = 16
const SCORES_MAX = 240
/** A score like the one before is put down this much later at the earliest. */
const SCORE_MS = 5_000
const COLLECTIONS_MAX = 4

export function createSeen(): Seen {
  const recent: SeenDecision[] = []
  const workloads = new Map<string, SeenWorkload>()
  const followers = new Set<(some: readonly SeenDecision[]) => void>()
  let waiting: SeenDecision[] = []
  let n = 0
  const settle = () => {
    if (waiting.length === 0) return
    const some = waiting
    waiting = []
    for (const one of some) note(workloads, one)
    recent.push(...some)
    if (recent.length > RECENT_MAX) recent.splice(0, recent.length - RECENT_MAX)
    for (const tell of followers) tell(some)
  }
  let timer: NodeJS.Timeout | undefined
  return {
    decided(one) {
      waiting.push(seenOf(one, ++n))
      if (waiting.length >= WAITING_MAX) settle()
    },
    recent() {
      settle()
      return recent
    },
    workloads() {
      settle()
      return [...workloads.values()]
    },
    workload(id) {
      settle()
      return workloads.get(id)
    },
    follow(tell) {
      settle()
      followers.add(tell)
      timer ??= setInterval(settle, TELL_MS).unref()
      return () => {
        followers.delete(tell)
        if (followers.size > 0) return
        clearInterval(timer)
        timer = undefined
      }
    }
  }
}

function seenOf({ decisionId, at, latencyUs, account, decision }: Seeable, n: number): SeenDecision {
  const { caller, database, call, tenant, targets, risk } = account
  const denied = decision.verdict === 'deny'
  return {
    n,
    at,
    id: decisionId,
    verdict: decision.verdict,
    reason: denied ? decision.reason.kind : undefined,
    because: denied ? namesOnly(decision.reason.because) : undefined,
    judged: denied ? undefined : decision.judged?.kind,
    workload: caller?.id.text,
    serial: caller?.serial,
    tenant,
    database,
    operation: call?.operation,
    collections: targets === undefined || targets.length === 0 ? NONE : targets.slice(0, COLLECTIONS_MAX).map(nameOf),
    standing: risk?.after,
    score: risk?.score,
    causes: risk === undefined || risk.causes.length === 0 ? NONE : risk.causes.map(({ says }) => says),
    latencyUs
  }
}

const NONE: readonly string[] = []

function nameOf({ namespace, collection }: NonNullable<Seeable['account']['targets']>[number]): string {
  const name = collection.name ?? collection.kind
  return namespace === undefined ? name : `${namespace}/${name}`
}

function note(workloads: Map<string, SeenWorkload>, one: SeenDecision): void {
  const { workload: id, at } = one
  if (id === undefined) return
  const its: SeenWorkload = workloads.get(id) ?? {
    id,
    firstAt: at,
    lastAt: at,
    allowed: 0,
    denied: new Map(),
    serials: new Map(),
    used: [],
    scores: []
  }
  // Who calls is put last: when there is no room, whoever was quiet for longest leaves.
  if (workloads.size >= WORKLOADS_MAX / 2) workloads.delete(id)
  if (workloads.size >= WORKLOADS_MAX) workloads.delete(workloads.keys().next().value as string)
  workloads.set(id, its)
  its.lastAt = at
  if (one.reason !== undefined) its.denied.set(one.reason, (its.denied.get(one.reason) ?? 0) + 1)
  else noteAllowed(its, one)
  if (one.serial !== undefined && (its.serials.has(one.serial) || its.serials.size < SERIALS_MAX)) its.serials.set(one.serial, at)
  noteScore(its, one)
}

function noteAllowed(its: SeenWorkload, { tenant, database = '', operation, collections }: SeenDecision): void {
  its.allowed++
  if (tenant === undefined || operation === undefined) return
  for (const name of collections) {
    const known = its.used.find(
      (one) => one.collection === name && one.action === operation && one.tenant === tenant && one.database === database
    )
    if (known !== undefined) known.count++
    else if (its.used.length < USED_MAX) its.used.push({ tenant, database, collection: name, action: operation, count: 1 })
  }
}

function noteScore({ scores }: SeenWorkload, { at, score, standing, causes }: SeenDecision): void {
  if (score === undefined && causes.length === 0) return
  const last = scores.at(-1)
  const now = standing ?? 'normal'
  if (last !== undefined && last.standing === now && causes.length === 0 && at - last.at < SCORE_MS) return
  scores.push({ at, score: score ?? 0, standing: now, causes })
  if (scores.length > SCORES_MAX) scores.shift()
}
