/**
 * Evidence as a Shiryaev-Roberts e-detector over bursts: R = (R + [burst starts]) × bet^r for each bet (docs/drift.md, Evidence).
 *
 * Inside a burst logarithms are added, which replicas can do in any order; only the step from burst to burst is in order.
 */
import { BETS, BURST_QUERIES_MAX, type DriftState, type Evidence, type EvidenceSegment } from '../core/drift.ts'

/** Far beyond quarantine, and far from what a double cannot hold. */
const BASE_MAX = 1e30
const LOG_MAX = 300
/** Segments kept for other replicas; a burst each. Beyond it the two oldest become one. */
const UNSENT_MAX = 16

/** What deciding over evidence needs of a baseline. */
export interface EvidenceRules {
  /** Pause that ends a burst, ms. */
  readonly gapMs: number
  /** Power of each bet; a bet of power 0 has no evidence. */
  readonly rates: Float64Array
}

export function newEvidence(): Evidence {
  return {
    epoch: 0,
    bursts: 0,
    startedAt: Number.NEGATIVE_INFINITY,
    lastAt: Number.NEGATIVE_INFINITY,
    endedAt: Number.NEGATIVE_INFINITY,
    queries: 0,
    base: new Float64Array(BETS),
    logs: new Float64Array(BETS)
  }
}

/** What R of this bet is now. */
export function evidenceOf({ base, logs }: Evidence, bet: number): number {
  return (base[bet] as number) * Math.exp(Math.min(logs[bet] as number, LOG_MAX))
}

/** Mean of the bets from `from` to `to`; muted ones count as nothing. */
export function meanEvidence(evidence: Evidence, rates: Float64Array, from: number, to: number): number {
  let sum = 0
  for (let bet = from; bet < to; bet++) if ((rates[bet] as number) > 0) sum += evidenceOf(evidence, bet)
  return sum / (to - from)
}

/** A clock that runs backwards ends no burst. */
export function startsBurst({ lastAt, queries }: Evidence, at: number, gapMs: number): boolean {
  return at - lastAt > gapMs || queries >= BURST_QUERIES_MAX
}

export function beginBurst(evidence: Evidence, at: number, rates: Float64Array): void {
  const { base, logs } = evidence
  for (let bet = 0; bet < BETS; bet++) {
    // A muted bet must not grow by one a burst, or it would be evidence as soon as it is no longer muted.
    base[bet] = (rates[bet] as number) > 0 ? Math.min(evidenceOf(evidence, bet), BASE_MAX) + 1 : 1
    logs[bet] = 0
  }
  evidence.endedAt = evidence.lastAt
  evidence.startedAt = at
  evidence.lastAt = at
  evidence.queries = 0
  evidence.bursts++
}

/** Forgets all evidence, as after a step-up that was answered: the next query starts a burst, and older segments no longer count. */
export function clearEvidence(state: DriftState): void {
  const { evidence } = state
  Object.assign(evidence, {
    ...newEvidence(),
    epoch: evidence.epoch + 1,
    bursts: evidence.bursts,
    base: evidence.base,
    logs: evidence.logs
  })
  evidence.base.fill(0)
  evidence.logs.fill(0)
  if (state.unsent !== undefined) state.unsent = []
  state.top = []
}

/** Notes bets for other replicas, in the segment of the running burst. */
export function noteUnsent(unsent: EvidenceSegment[], fresh: boolean, epoch: number, at: number, logs: Float64Array): void {
  let segment = unsent.at(-1)
  if (segment === undefined || fresh) {
    segment = { epoch, firstAt: at, lastAt: at, queries: 0, logs: new Float64Array(BETS) }
    unsent.push(segment)
    if (unsent.length > UNSENT_MAX) joinOldest(unsent)
  }
  segment.lastAt = Math.max(segment.lastAt, at)
  segment.queries++
  addTo(segment.logs, logs)
}

function joinOldest(unsent: EvidenceSegment[]): void {
  const [first, second] = unsent as [EvidenceSegment, EvidenceSegment]
  const logs = first.logs.map((log, bet) => log + (second.logs[bet] as number))
  unsent.splice(0, 2, { ...first, lastAt: second.lastAt, queries: first.queries + second.queries, logs })
}

/** Takes what is not yet sent, for `mergeEvidence` elsewhere. */
export function takeUnsent(state: DriftState): EvidenceSegment[] {
  const segments = state.unsent ?? []
  state.unsent = []
  return segments
}

/** The shared evidence, with what this replica has not sent yet on top. */
export function adoptEvidence(state: DriftState, shared: Evidence, rules: EvidenceRules): void {
  const { base, logs } = state.evidence
  base.set(shared.base)
  logs.set(shared.logs)
  Object.assign(state.evidence, { ...shared, base, logs })
  mergeEvidence(state.evidence, state.unsent ?? [], rules)
}

/** Adds segments to shared evidence in place: equal to what one replica that saw all queries would have, whatever order they come in. */
export function mergeEvidence(shared: Evidence, segments: readonly EvidenceSegment[], rules: EvidenceRules): Evidence {
  for (const segment of segments) mergeSegment(shared, segment, rules)
  return shared
}

function mergeSegment(shared: Evidence, segment: EvidenceSegment, { gapMs, rates }: EvidenceRules): void {
  if (segment.epoch < shared.epoch) return
  if (segment.epoch > shared.epoch) Object.assign(shared, { ...newEvidence(), epoch: segment.epoch, bursts: shared.bursts })
  if (startsBurst(shared, segment.firstAt, gapMs)) beginBurst(shared, segment.firstAt, rates)
  else if (shared.startedAt - segment.lastAt > gapMs) {
    mergeLate(shared, segment, { gapMs, rates })
    return
  }
  shared.startedAt = Math.min(shared.startedAt, segment.firstAt)
  shared.lastAt = Math.max(shared.lastAt, segment.lastAt)
  shared.queries += segment.queries
  addTo(shared.logs, segment.logs)
}

/**
 * A segment of the burst before the running one: exact, because the running burst began with that one's evidence plus one. One that
 * lies still further back is taken for it, and only where it accuses.
 */
function mergeLate(shared: Evidence, segment: EvidenceSegment, { gapMs, rates }: EvidenceRules): void {
  const older = shared.endedAt - segment.lastAt > gapMs
  // Behind the end of that burst by a pause: it was a burst of its own.
  const own = segment.firstAt - shared.endedAt > gapMs
  for (let bet = 0; bet < BETS; bet++) {
    if (!((rates[bet] as number) > 0)) continue
    const log = segment.logs[bet] as number
    const before = (shared.base[bet] as number) - 1 + (own ? 1 : 0)
    const factor = Math.exp(Math.min(older ? Math.max(0, log) : log, LOG_MAX))
    shared.base[bet] = Math.min(before * factor, BASE_MAX) + 1
  }
  if (own) shared.bursts++
  shared.endedAt = Math.max(shared.endedAt, segment.lastAt)
}

function addTo(sums: Float64Array, more: Float64Array): void {
  for (let at = 0; at < sums.length; at++) sums[at] = (sums[at] as number) + (more[at] as number)
}
