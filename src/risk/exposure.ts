/**
 * The exposure budget: whoever reads a collection systematically may look normal in every query, but cannot do it cheaply. A query
 * costs what it may show, and less where the workload has been today (docs/drift.md, Exposure). Deterministic; no score enters it.
 */
import { ADOPTED_MAX, CENTROIDS_MAX } from '../core/drift.ts'
import type { Exposure, ExposureQuery, Spent } from '../core/exposure.ts'
import type { Pace } from '../core/risk-rules.ts'
import { admit } from './rate.ts'

const DAY_MS = 86_400_000
const HOUR_MS = 3_600_000
/** Sixteen cells a centroid: the signs of a sketch's first four directions. */
const CELLS = (CENTROIDS_MAX + ADOPTED_MAX) * 16
/** Raw embeddings can be turned back into text, so they cost as much as three more records each. */
const VECTORS_OUT = 3
/** Of a neighbourhood that was visited today, most is known already. */
const KNOWN_SHARE = 0.2
/** Least budget of a day, in records: agents that hardly search must not be refused their first busy day. */
const DAILY_MIN = 500
export const DAILY_HEADROOM = 3
const DAILY_QUANTILE = 0.99
/** Part of a day's budget that can be spent at once; the rest comes back over the day, so that no 24 hours see more than all of it. */
const AT_ONCE = 2 / 3
/** Findings of an empty budget that are remembered. */
const EXHAUSTED_MAX = 8

export function newExposure(): Exposure {
  return { day: Number.NEGATIVE_INFINITY, visited: new Uint8Array(CELLS / 8), tat: undefined, exhausted: [] }
}

/** Records that the call may show: top_k × (1 + 3 if vectors are returned) × (1 for a new cell, 0.2 for a known one), over its queries; × weight. */
export function exposureCost(exposure: Exposure, query: ExposureQuery, now: number): number {
  const fresh = dayOf(now) > exposure.day
  const seen = new Set<number>()
  let share = query.unseen
  for (const cell of query.cells) {
    const known = isCell(cell) && (seen.has(cell) || (!fresh && hasCell(exposure, cell)))
    share += known ? KNOWN_SHARE : 1
    seen.add(cell)
  }
  return query.topK * (query.vectorsOut ? 1 + VECTORS_OUT : 1) * share * query.weight
}

/** Charges the call, and notes where it went if it may go there. @param daily budget of a day, in records */
export function spend(exposure: Exposure, query: ExposureQuery, daily: number, now: number): Spent {
  const cost = exposureCost(exposure, query, now)
  if (cost === 0) return { kind: 'admitted', cost }
  const pace = exposurePace(daily)
  // What is further ahead than a whole budget was left by a clock that has come back since, as in charge.ts.
  if (exposure.tat !== undefined) exposure.tat = Math.min(exposure.tat, now + (pace.burst * 1000) / pace.perSecond)
  const admission = admit(exposure.tat, now, cost, pace)
  if (admission.kind === 'admitted') {
    exposure.tat = admission.tat
    visit(exposure, query.cells, now)
    return { kind: 'admitted', cost }
  }
  const times = noteExhausted(exposure, now)
  if (admission.kind === 'never') return { kind: 'never', cost, times }
  return { kind: 'exhausted', cost, retryAfterMs: admission.retryAfterMs, times }
}

/** A clock that goes back to yesterday makes nothing new again. */
function visit(exposure: Exposure, cells: Int16Array, now: number): void {
  const day = dayOf(now)
  if (day > exposure.day) {
    exposure.visited.fill(0)
    exposure.day = day
  }
  for (const cell of cells) if (isCell(cell)) exposure.visited[cell >> 3] = (exposure.visited[cell >> 3] as number) | (1 << (cell & 7))
}

/** A client that tries again does not exhaust a budget twice: an hour must have passed. */
function noteExhausted(exposure: Exposure, now: number): number {
  exposure.exhausted = exposure.exhausted.filter((at) => Math.abs(now - at) < DAY_MS)
  const last = exposure.exhausted.at(-1)
  if (last === undefined || Math.abs(now - last) >= HOUR_MS) exposure.exhausted = [...exposure.exhausted, now].slice(-EXHAUSTED_MAX)
  return exposure.exhausted.length
}

function dayOf(now: number): number {
  return Math.floor(now / DAY_MS)
}

function isCell(cell: number): boolean {
  return cell >= 0 && cell < CELLS
}

function hasCell({ visited }: Exposure, cell: number): boolean {
  return ((visited[cell >> 3] as number) & (1 << (cell & 7))) !== 0
}

/** Where any replica saw the workload, it was; the later day counts. */
export function mergeVisited(one: Exposure, other: Exposure): void {
  if (other.day < one.day) return
  if (other.day > one.day) one.visited.fill(0)
  one.day = other.day
  other.visited.forEach((bits, at) => {
    one.visited[at] = (one.visited[at] as number) | bits
  })
}

/** In any 24 hours at most `daily` is admitted. */
export function exposurePace(daily: number): Pace {
  return { burst: daily * AT_ONCE, perSecond: (daily * (1 - AT_ONCE)) / (DAY_MS / 1000) }
}

/**
 * Three times what nearly all workloads of the agent type need in a day. Of data of weight 10 the least that anybody has is 50 records.
 * @param days cost of each workload's days at weight 1
 */
export function dailyBudget(days: readonly number[], weight = 1): number {
  return Math.max(DAILY_MIN, DAILY_HEADROOM * weight * quantile(days, DAILY_QUANTILE))
}

/** Burst capacity and rate that bursts of such sizes never feel. @param spanMs over all workloads, the time in which they came */
export function learntPace(burstSizes: readonly number[], spanMs: number): Pace {
  const queries = burstSizes.reduce((sum, size) => sum + size, 0)
  return { burst: Math.max(1, 2 * quantile(burstSizes, 0.995)), perSecond: Math.max(1 / 60, (3 * queries * 1000) / Math.max(1000, spanMs)) }
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0
}
