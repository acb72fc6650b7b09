/**
 * What this process has decided lately, for people who look: the last decisions, and the scores of each workload. On a decision's way
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

/** What a score was, and when. */
export interface SeenScore {
  readonly at: number
  readonly score: number
  readonly standing: string
  readonly causes: readonly string[]
}

export interface Seen {
  /** Each decision. */
  readonly decided: (one: Seeable) => void
  /** The last ones, the oldest first. */
  readonly recent: () => readonly SeenDecision[]
  /** Of a workload over time, the newest last. */
  readonly scoresOf: (workload: string) => readonly SeenScore[]
  /** Calls back with what was decided, some at a time. @returns what ends it */
  readonly follow: (tell: (some: readonly SeenDecision[]) => void) => () => void
}

export const RECENT_MAX = 500
const WAITING_MAX = 256
const TELL_MS = 250
const WORKLOADS_MAX = 2_000
const SCORES_MAX = 240
/** A score like the one before is put down this much later at the earliest. */
const SCORE_MS = 5_000
const COLLECTIONS_MAX = 4

export function createSeen(): Seen {
  const recent: SeenDecision[] = []
  const scores = new Map<string, SeenScore[]>()
  const followers = new Set<(some: readonly SeenDecision[]) => void>()
  let waiting: SeenDecision[] = []
  let n = 0
  const settle = () => {
    if (waiting.length === 0) return
    const some = waiting
    waiting = []
    for (const one of some) noteScore(scores, one)
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
    scoresOf(workload) {
      settle()
      return scores.get(workload) ?? []
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

function noteScore(all: Map<string, SeenScore[]>, { workload, at, score, standing, causes }: SeenDecision): void {
  if (workload === undefined || (score === undefined && causes.length === 0)) return
  const its = all.get(workload) ?? []
  const last = its.at(-1)
  const now = standing ?? 'normal'
  if (last !== undefined && last.standing === now && causes.length === 0 && at - last.at < SCORE_MS) return
  // Who has one is put last: when there is no room, whoever had none for longest leaves.
  if (all.size >= WORKLOADS_MAX / 2) all.delete(workload)
  if (all.size >= WORKLOADS_MAX) all.delete(all.keys().next().value as string)
  all.set(workload, its)
  its.push({ at, score: score ?? 0, standing: now, causes })
  if (its.length > SCORES_MAX) its.shift()
}
