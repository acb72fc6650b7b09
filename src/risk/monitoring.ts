/**
 * Monitored figures: counters of one workload in windows, and what the policy wants when one is above its threshold. A window is twelve
 * buckets, so it is between eleven twelfths and the whole of its length, and memory is the same however many calls there are.
 */
import type { MonitoringAction } from '../core/risk-document.ts'
import type { MonitoringRule } from '../core/risk-rules.ts'
import type { Evidence, Raised } from '../core/standing.ts'
import type { Alarm } from '../core/standings.ts'

const BUCKETS = 12
/** Per bucket. */
const [CALLS, DENIED, TOP_K, SEARCHES, BYTES, QUERIES, VECTORS_OUT] = [0, 1, 2, 3, 4, 5, 6]
const COUNTERS = 7
/** A workload that goes to more collections has been to at least so many. */
const COLLECTIONS_MAX = 256
/** Below it a share says nothing. */
const DENY_RATE_CALLS_MIN = 10

/** One finished call of a proven workload. */
export interface MonitoredCall {
  readonly denied: boolean
  /** Keys of the collections that it was granted or refused. */
  readonly collections: readonly string[]
  readonly queries: number
  readonly topK: number
  readonly bytes: number
  readonly vectorsOut: boolean
}

interface Window {
  readonly ms: number
  readonly counts: Float64Array
  /** Number of the newest bucket since the epoch. */
  bucket: number
  /** The bucket of the last call. */
  last: number
  /** Collection to the last bucket that saw it, in the order of that. */
  readonly collections: Map<string, number>
}

/** Of one workload: some 800 bytes for each window length. */
export interface Figures {
  readonly windows: readonly Window[]
}

/** External figures by name, such as a CPU share that an operator pushes: the latest of each, and when. */
export type Signals = ReadonlyMap<string, { readonly value: number; readonly at: number }>

/** What a policy's rules need counted; made once per policy. */
export interface MonitoringPlan {
  readonly rules: readonly MonitoringRule[]
  /** Window lengths, ms, that have a counter. */
  readonly windowsMs: readonly number[]
  readonly countsCollections: boolean
}

export function monitoringPlan(rules: readonly MonitoringRule[]): MonitoringPlan {
  const counted = rules.filter(({ metric }) => metric !== 'signal')
  return {
    rules,
    windowsMs: [...new Set(counted.map(({ windowMs }) => windowMs))].sort((a, b) => a - b),
    countsCollections: rules.some(({ metric }) => metric === 'distinct_collections')
  }
}

/** Figures under a plan; a new policy keeps the windows that it still has. */
export function figuresFor({ windowsMs }: MonitoringPlan, before?: Figures): Figures {
  return { windows: windowsMs.map((ms) => before?.windows.find((one) => one.ms === ms) ?? newWindow(ms)) }
}

function newWindow(ms: number): Window {
  return {
    ms,
    counts: new Float64Array(BUCKETS * COUNTERS),
    bucket: Number.NEGATIVE_INFINITY,
    last: Number.NEGATIVE_INFINITY,
    collections: new Map()
  }
}

/** Counts in place. A clock that goes back a little counts in the newest bucket; one that goes back by a window begins anew. */
export function countCall({ windows }: Figures, call: MonitoredCall, plan: MonitoringPlan, now: number): void {
  for (const window of windows) {
    window.last = advance(window, now)
    const base = (window.last % BUCKETS) * COUNTERS
    const { counts } = window
    add(counts, base + CALLS, 1)
    if (call.denied) add(counts, base + DENIED, 1)
    if (call.queries > 0) {
      add(counts, base + TOP_K, call.topK * call.queries)
      add(counts, base + SEARCHES, call.queries)
      add(counts, base + QUERIES, call.queries)
    }
    add(counts, base + BYTES, call.bytes)
    if (call.vectorsOut) add(counts, base + VECTORS_OUT, 1)
    if (plan.countsCollections) for (const name of call.collections) seeCollection(window, name)
  }
}

function add(counts: Float64Array, at: number, value: number): void {
  counts[at] = (counts[at] as number) + value
}

/** The bucket of this moment, those in between emptied. */
function advance(window: Window, now: number): number {
  const bucket = Math.floor((now * BUCKETS) / window.ms)
  if (bucket <= window.bucket - BUCKETS) {
    window.bucket = Number.NEGATIVE_INFINITY
    window.collections.clear()
  }
  if (bucket <= window.bucket) return window.bucket
  const first = Math.max(window.bucket + 1, bucket - BUCKETS + 1)
  for (let at = first; at <= bucket; at++) {
    const base = (at % BUCKETS) * COUNTERS
    window.counts.fill(0, base, base + COUNTERS)
  }
  window.bucket = bucket
  return bucket
}

function seeCollection({ collections, bucket }: Window, name: string): void {
  collections.delete(name)
  collections.set(name, bucket)
  if (collections.size > COLLECTIONS_MAX) collections.delete(collections.keys().next().value as string)
}

/** A rule that acts. */
export interface Finding {
  readonly rule: MonitoringRule
  readonly value: number
}

/** Rules whose figure is above its threshold, the sternest action first. @param agentType of the workload */
export function findingsOf(
  figures: Figures,
  plan: MonitoringPlan,
  agentType: string | undefined,
  signals: Signals,
  now: number
): Finding[] {
  let found: Finding[] | undefined
  for (const rule of plan.rules) {
    if (rule.agentTypes !== undefined && (agentType === undefined || !rule.agentTypes.has(agentType))) continue
    const value = rule.metric === 'signal' ? signalOf(signals.get(rule.signal ?? ''), rule.windowMs, now) : figureOf(rule, figures, now)
    if (!(value > rule.threshold)) continue
    found ??= []
    found.push({ rule, value })
  }
  return found?.sort((a, b) => sternness(b.rule.action) - sternness(a.rule.action)) ?? NONE
}

const NONE: Finding[] = []

function figureOf({ metric, windowMs }: MonitoringRule, { windows }: Figures, now: number): number {
  const window = windows.find(({ ms }) => ms === windowMs)
  if (window === undefined) return Number.NaN
  advance(window, now)
  const seconds = windowMs / 1000
  switch (metric) {
    case 'request_rate':
      return sum(window, CALLS) / seconds
    case 'deny_rate': {
      const calls = sum(window, CALLS)
      return calls < DENY_RATE_CALLS_MIN ? Number.NaN : sum(window, DENIED) / calls
    }
    case 'distinct_collections':
      return collectionsIn(window)
    case 'top_k_mean':
      return sum(window, TOP_K) / sum(window, SEARCHES)
    case 'bytes':
      return sum(window, BYTES) / seconds
    case 'queries':
      return sum(window, QUERIES) / seconds
    case 'vectors_out':
      return sum(window, VECTORS_OUT)
    case 'signal':
      return Number.NaN
  }
}

/** What was not said again within the window is no longer said. */
function signalOf(last: { readonly value: number; readonly at: number } | undefined, windowMs: number, now: number): number {
  return last !== undefined && now - last.at <= windowMs ? last.value : Number.NaN
}

function sum({ counts }: Window, counter: number): number {
  let total = 0
  for (let at = counter; at < counts.length; at += COUNTERS) total += counts[at] as number
  return total
}

function collectionsIn({ collections, bucket }: Window): number {
  for (const [name, last] of collections) {
    if (last > bucket - BUCKETS) break
    collections.delete(name)
  }
  return collections.size
}

function sternness(action: MonitoringAction): number {
  return ['flag', 'page', 'slow', 'step-up', 'quarantine'].indexOf(action)
}

const LEVELS: Readonly<Partial<Record<MonitoringAction, Raised>>> = { slow: 'slowed', 'step-up': 'step-up', quarantine: 'quarantine' }

/** What a finding asks of the ladder; nothing where it only flags or pages. */
export function monitoringAlarm({ rule, value }: Finding, found: Omit<Evidence, 'says' | 'figures'>): Alarm | undefined {
  const level = LEVELS[rule.action]
  if (level === undefined) return undefined
  const name = rule.metric === 'signal' ? `signal ${rule.signal}` : rule.metric
  const says = `${name} is ${Number(value.toPrecision(4))}, above ${rule.threshold} (${rule.source})`
  return { level, cause: 'monitoring', evidence: { ...found, says, figures: { value, threshold: rule.threshold } } }
}

/** When nothing is in any window any more: forgetting it then loses nothing. ms since the epoch */
export function forgettableAt({ windows }: Figures): number {
  return Math.max(0, ...windows.map(({ last, ms }) => ((last + BUCKETS) * ms) / BUCKETS))
}
