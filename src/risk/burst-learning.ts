/**
 * What an agent type needs, learnt from how its workloads call: an agent thinks, then calls many times at once, then thinks again. A rate
 * alone would punish that, so what is learnt is an envelope (an arrival curve, as network calculus has it): for several spans, how
 * much is called for within one. The budget is the smallest rate and burst above twice that envelope.
 *
 * What the policy writes is the most that can be learnt, so nobody can teach himself more; it holds until enough was seen.
 */
import type { BudgetDocument } from '../core/policy-document.ts'

/** A pause that ends a burst is longer than this, and than eight usual pauses inside one; ms. */
const GAP_MIN_MS = 5_000
const GAP_FACTOR = 8
/** Sizes and pauses are counted in steps of a quarter of an octave: 19 %. */
const STEPS_PER_OCTAVE = 4
const STEPS = 96
/** Spans of the envelope, ms; the first one is a burst, however long. */
const SPANS_MS = [10_000, 60_000, 600_000, 3_600_000] as const
const ROWS = SPANS_MS.length + 1
/** Nobody thinks for longer: a night is no sign of how fast an agent works. */
const PAUSE_MAX_MS = 600_000
/** Fewer bursts say too little. */
const BURSTS_MIN = 40
/** Of one workload: one of many must not be the measure of all. */
const BURSTS_PER_WORKLOAD = 512
const QUANTILE = 0.995
const HEADROOM = 2
const RATE_HEADROOM = 3
/** Least that is learnt: a type that rarely calls may try again after a fault. */
const LEAST: BudgetDocument = { per_second: 0.2, burst: 10 }

/** Of an agent type, about 2.5 KB; replicas' are merged by addition. */
export interface BurstTally {
  /** Rows of `STEPS` counts: burst sizes, then the cost within each span. */
  readonly sizes: Uint32Array
  /** Pauses inside bursts. */
  readonly pauses: Uint32Array
  bursts: number
  cost: number
  ms: number
  /** Pause that ends a burst. */
  gapMs: number
  /** What was worked out last, and from how many bursts. */
  learnt: { readonly bursts: number; readonly written: BudgetDocument; readonly budget: BudgetDocument } | undefined
}

/** Of one workload, about 150 bytes: the burst and the spans that are running. */
export interface BurstRun {
  startedAt: number
  lastAt: number
  cost: number
  /** Bursts that were counted. */
  counted: number
  readonly spans: { index: number; cost: number }[]
}

export function newBurstTally(): BurstTally {
  return {
    sizes: new Uint32Array(ROWS * STEPS),
    pauses: new Uint32Array(STEPS),
    bursts: 0,
    cost: 0,
    ms: 0,
    gapMs: GAP_MIN_MS,
    learnt: undefined
  }
}

export function newBurstRun(): BurstRun {
  const none = Number.NEGATIVE_INFINITY
  return { startedAt: none, lastAt: none, cost: 0, counted: 0, spans: SPANS_MS.map(() => ({ index: none, cost: 0 })) }
}

/** Counts an admitted call, in place. Only calls of workloads in good standing teach. @param cost as charged */
export function learnFrom(tally: BurstTally, run: BurstRun, now: number, cost: number): void {
  if (run.counted >= BURSTS_PER_WORKLOAD) return
  const at = Math.max(now, run.lastAt)
  const pause = at - run.lastAt
  if (pause > tally.gapMs) finishBurst(tally, run, at)
  else count(tally.pauses, 0, pause)
  run.lastAt = at
  run.cost += cost
  for (const [row, span] of run.spans.entries()) {
    const index = Math.floor(at / (SPANS_MS[row] as number))
    if (index !== span.index) {
      if (span.cost > 0) count(tally.sizes, row + 1, span.cost)
      span.index = index
      span.cost = 0
    }
    span.cost += cost
  }
}

function finishBurst(tally: BurstTally, run: BurstRun, now: number): void {
  if (run.cost > 0) {
    count(tally.sizes, 0, run.cost)
    tally.bursts++
    tally.cost += run.cost
    tally.ms += run.lastAt - run.startedAt + Math.min(now - run.lastAt, PAUSE_MAX_MS)
    run.counted++
  }
  run.startedAt = now
  run.cost = 0
  tally.gapMs = gapOf(tally.pauses)
}

function gapOf(pauses: Uint32Array): number {
  return Math.max(GAP_MIN_MS, GAP_FACTOR * quantile(pauses, 0, 0.5))
}

/** The budget of a workload of this type: as written, or what is learnt below it. */
export function learntBudget(tally: BurstTally | undefined, written: BudgetDocument): BudgetDocument {
  if (written.learn !== true || tally === undefined || tally.bursts < BURSTS_MIN) return written
  const { learnt } = tally
  // An eighth more bursts change no quantile that matters.
  if (learnt !== undefined && learnt.written === written && tally.bursts < learnt.bursts * 1.125) return learnt.budget
  const perSecond = within(LEAST.per_second, (RATE_HEADROOM * tally.cost * 1000) / Math.max(1, tally.ms), written.per_second)
  let burst = HEADROOM * quantile(tally.sizes, 0, QUANTILE)
  for (const [row, span] of SPANS_MS.entries()) {
    burst = Math.max(burst, HEADROOM * quantile(tally.sizes, row + 1, QUANTILE) - (perSecond * span) / 1000)
  }
  const budget = { per_second: perSecond, burst: Math.round(within(LEAST.burst, burst, written.burst)), learn: true }
  tally.learnt = { bursts: tally.bursts, written, budget }
  return budget
}

/** What two replicas saw. */
export function mergedTallies(a: BurstTally, b: BurstTally): BurstTally {
  const pauses = a.pauses.map((count, at) => count + (b.pauses[at] as number))
  return {
    sizes: a.sizes.map((count, at) => count + (b.sizes[at] as number)),
    pauses,
    bursts: a.bursts + b.bursts,
    cost: a.cost + b.cost,
    ms: a.ms + b.ms,
    gapMs: gapOf(pauses),
    learnt: undefined
  }
}

function within(least: number, value: number, most: number): number {
  return Math.min(most, Math.max(least, value))
}

function count(counts: Uint32Array, row: number, value: number): void {
  const step = value <= 1 ? 0 : Math.min(STEPS - 1, Math.ceil(Math.log2(value) * STEPS_PER_OCTAVE))
  const at = row * STEPS + step
  counts[at] = (counts[at] as number) + 1
}

/** Upper end of the step that the quantile is in; 0 when nothing was counted. */
function quantile(counts: Uint32Array, row: number, q: number): number {
  const own = counts.subarray(row * STEPS, (row + 1) * STEPS)
  const total = own.reduce((sum, one) => sum + one, 0)
  if (total === 0) return 0
  let below = 0
  for (const [step, one] of own.entries()) {
    below += one
    if (below >= q * total) return 2 ** (step / STEPS_PER_OCTAVE)
  }
  return 2 ** ((STEPS - 1) / STEPS_PER_OCTAVE)
}
