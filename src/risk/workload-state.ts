/** What the risk stage keeps of one workload: evidence, exposure, figures and rhythm. In place, in one process. */
import type { Baseline, BaselineKey, DriftState, DriftThresholds } from '../core/drift.ts'
import type { Exposure } from '../core/exposure.ts'
import type { RiskRules } from '../core/risk-rules.ts'
import type { SequenceState } from '../core/sequence.ts'
import type { Place, Standing } from '../core/standing.ts'
import type { BurstRun } from './burst-learning.ts'
import { type DenialScore, newDenialScore, scoreAt } from './denials.ts'
import { clearEvidence } from './drift-evidence.ts'
import { newDriftState } from './drift-observe.ts'
import { exposurePace, newExposure } from './exposure.ts'
import type { Figures, MonitoringPlan } from './monitoring.ts'
import { clearSequence } from './sequence.ts'

/** Collections of one workload; some 6 KB each. */
const PLACES_MAX = 64
/** Of what one that was forgotten comes back with, so that nobody stands other than normal for a collision of hashes. */
const SEED_MAX = 0.9
export const SUSPICION_MAX = 255
/** In this time a spent exposure budget is whole again. */
const EXPOSURE_FULL_MS = 2 * 86_400_000
/** Audit records that show where evidence came from. */
const DECISIONS_KEPT = 8

/** Evidence against one baseline. */
interface Track {
  readonly key: BaselineKey
  version: string
  readonly drift: DriftState
  /** Of its last verdict. */
  score: number
  /** Latest decisions with evidence above normal. */
  decisions: string[]
}

/** Of one collection of one tenant. */
export interface PlaceState {
  readonly key: BaselineKey
  readonly place: Place
  readonly tracks: Track[]
  readonly exposure: Exposure
  /** What was shown on `day`, in records of weight 1. */
  day: number
  shown: number
  /** Of the data, when it was last asked for. */
  weight: number
}

export interface WorkloadState {
  /** What was known of it when it was forgotten: 0 to 255. */
  readonly suspicion: number
  /** Of its last call. */
  score: number
  /** As last seen here: who comes down from a step-up or a quarantine begins anew. */
  standing: Standing
  denials: DenialScore | undefined
  figures: Figures | undefined
  plan: MonitoringPlan | undefined
  sequence: SequenceState | undefined
  burst: BurstRun | undefined
  /** When a rule of monitoring last called for a person, by its source: ms since the epoch. */
  paged: Map<string, number> | undefined
  readonly places: Map<string, PlaceState>
}

export function newWorkloadState(suspicion: number): WorkloadState {
  return {
    suspicion,
    score: 0,
    standing: 'normal',
    denials: undefined,
    figures: undefined,
    plan: undefined,
    sequence: undefined,
    burst: undefined,
    paged: undefined,
    places: new Map()
  }
}

/** 0 to 255: what stays of a workload that is forgotten. */
export function suspicionOf({ score, suspicion, places }: WorkloadState, now: number): number {
  let most = score
  for (const { exposure, tracks } of places.values()) {
    // Its last call may have been about nothing.
    for (const track of tracks) most = Math.max(most, track.score)
    const spent = ((exposure.tat ?? now) - now) / EXPOSURE_FULL_MS
    if (spent > 0.5) most = Math.max(most, spent / 4)
  }
  return Math.min(SUSPICION_MAX, Math.max(suspicion / 2, Math.round(most * SUSPICION_MAX)))
}

/** @param name of the place in this process */
export function placeOf(state: WorkloadState, name: string, agentType: string, make: () => Pick<PlaceState, 'key' | 'place'>): PlaceState {
  const found = state.places.get(name)
  if (found !== undefined && found.key.agentType === agentType) return found
  if (found === undefined && state.places.size >= PLACES_MAX) state.places.delete(calmest(state))
  const place: PlaceState = { ...make(), tracks: [], exposure: newExposure(), day: Number.NEGATIVE_INFINITY, shown: 0, weight: 1 }
  state.places.set(name, place)
  return place
}

/** Where least is known against it, so that nobody hides what he did by going to many places. */
function calmest({ places }: WorkloadState): string {
  let [least, name] = [Number.POSITIVE_INFINITY, '']
  for (const [its, { tracks, exposure }] of places) {
    const seen = tracks.reduce((sum, { decisions, score }) => sum + 100 * decisions.length + Math.round(100 * score), 0)
    const weight = seen * 1e13 + (exposure.tat ?? 0)
    if (weight < least) [least, name] = [weight, its]
  }
  return name
}

/**
 * Evidence against this baseline; another version of it begins anew, for a person approved that.
 * @param shared whether other replicas will ask for it
 */
export function trackOf(
  state: WorkloadState,
  place: PlaceState,
  { key, version }: Baseline,
  thresholds: DriftThresholds,
  shared: boolean
): Track {
  const its = place.tracks.find((one) => one.key.collection === key.collection && one.key.agentType === key.agentType)
  if (its === undefined) {
    const drift = newDriftState(shared)
    const seed = seedOf(state.suspicion, thresholds)
    if (seed > 0) drift.evidence.base.fill(seed)
    const track: Track = { key, version, drift, score: 0, decisions: [] }
    place.tracks.push(track)
    return track
  }
  if (its.version !== version) {
    clearEvidence(its.drift)
    its.version = version
    its.score = 0
    its.decisions = []
  }
  return its
}

/** As much evidence as it had, and less than slows. */
function seedOf(suspicion: number, { watch }: DriftThresholds): number {
  if (suspicion === 0) return 0
  return Math.min(SEED_MAX * watch, watch ** Math.min(1, (4 * suspicion) / SUSPICION_MAX))
}

export function noteDecision(track: Track, decisionId: string): void {
  track.decisions.push(decisionId)
  if (track.decisions.length > DECISIONS_KEPT) track.decisions.shift()
}

export function denialsOf(state: WorkloadState, { denials: { slowed } }: RiskRules, now: number): DenialScore {
  if (state.denials === undefined) {
    state.denials = newDenialScore()
    if (state.suspicion > 0)
      Object.assign(state.denials, { score: slowed * SEED_MAX * Math.min(1, (4 * state.suspicion) / SUSPICION_MAX), at: now })
  }
  return state.denials
}

/** Denials as the ladder's score: 0.25 slows, 0.5 asks for a step-up, 1 quarantines. */
export function denialPart({ denials: kept }: WorkloadState, { denials, denialsHalfLifeMs }: RiskRules, now: number): number {
  if (kept === undefined || kept.score === 0) return 0
  const score = scoreAt(kept, denialsHalfLifeMs, now)
  const parts = [
    [0, denials.slowed, 0, 0.25],
    [denials.slowed, denials['step-up'], 0.25, 0.5],
    [denials['step-up'], denials.quarantine, 0.5, 1]
  ] as const
  for (const [from, to, low, high] of parts) if (score < to) return low + ((high - low) * (score - from)) / (to - from)
  return 1
}

/** Somebody vouched, released it, or its time was served: what was held against it is no more, what it was shown is. */
export function clearWorkload(state: WorkloadState): void {
  for (const { tracks, exposure } of state.places.values()) {
    for (const track of tracks) {
      clearEvidence(track.drift)
      track.score = 0
      track.decisions = []
    }
    exposure.exhausted = []
  }
  if (state.sequence !== undefined) clearSequence(state.sequence)
  state.denials = undefined
  state.score = 0
}

/** One that comes back has spent a part of its exposure already. */
export function seedExposure({ suspicion }: WorkloadState, exposure: Exposure, daily: number, now: number): void {
  if (suspicion === 0 || exposure.tat !== undefined) return
  const { burst, perSecond } = exposurePace(daily)
  exposure.tat = now + (SEED_MAX * Math.min(1, (4 * suspicion) / SUSPICION_MAX) * burst * 1000) / perSecond
}
