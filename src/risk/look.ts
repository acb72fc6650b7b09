/** What one granted call shows: how far its queries are from what its agent type searches for, and how much of the data they may see. */

import type { Grant } from '../core/decision.ts'
import type { DenyReason } from '../core/deny-reason.ts'
import type { DriftCall, DriftThresholds, DriftVerdict } from '../core/drift.ts'
import type { ExposureQuery } from '../core/exposure.ts'
import type { Learning, RiskCall } from '../core/risk.ts'
import { type Evidence, type Place, subjectKey } from '../core/standing.ts'
import type { Alarm } from '../core/standings.ts'
import type { ResolvedTarget, VectorCall } from '../core/vector-call.ts'
import { collectionKey, keysOf } from './budget-keys.ts'
import { observe } from './drift-observe.ts'
import type { ReadyBaseline } from './drift-ready.ts'
import { queriesIn, sampledCall, seedOfText } from './drift-sample.ts'
import { exposureCost, exposurePace, spend } from './exposure.ts'
import { driftAlarm } from './ladder.ts'
import type { Learnt } from './learnt.ts'
import { collectionName } from './places.ts'
import { noteDecision, type PlaceState, placeOf, seedExposure, trackOf, type WorkloadState } from './workload-state.ts'

/** Queries times collections of one call that are judged, two or three milliseconds of the loop; of more, a sample. All are priced. */
const JUDGED_MAX = 256
/** Of each collection, however many a call names: decoys must not stand before the one that is meant. */
const JUDGED_MIN = 16
/** Of one call: a query of many rows must not be all that there is to learn from. */
const LEARNT_PER_CALL_MAX = 64
const DAY_MS = 86_400_000
/** Where no budget is known, what is shown is counted all the same. */
const UNBOUNDED = Number.MAX_SAFE_INTEGER
const NO_CELLS = new Int16Array(0)
const NO_VECTORS: readonly Float32Array[] = []
/** Bytes at each end of a body in which a filter, limit or offset is looked for. */
const REST_BYTES = 128

/** What is found out about a call, over its collections. */
export interface Seen {
  score: number
  vectors: 'none' | 'seen' | 'unseen'
  learning: Learning
  readonly alarms: Alarm[]
  /** The exposure budget is spent. */
  refusal: DenyReason | undefined
  retryAfterMs: number | undefined
  /** To be done for workloads that stand normal. */
  readonly learn: (() => void)[]
  /** To be done for those, and for one that was raised and vouched for. */
  readonly propose: ((raised: boolean) => void)[]
}

export interface Looking {
  readonly grant: Grant
  readonly call: RiskCall
  readonly database: string
  readonly body: Uint8Array | undefined
  readonly learnt: Learnt
  readonly shared: boolean
}

/** Changes `state` and `seen` in place. */
export function look(state: WorkloadState, its: Looking, seen: Seen): void {
  const { operation, shape } = its.grant.call
  const isRead = operation === 'read' || operation === 'export'
  if (operation !== 'search' && !isRead) return
  const { vectors, rows } = shape
  // Who reads by id or scrolls shows no vector, and may see something new with each call.
  const unseen = operation === 'search' ? Math.max(0, shape.queries - (rows?.length ?? vectors.length)) : 1
  const rest = restOf(its.body, shape.topK)
  const { now: at } = its.call
  const query: DriftCall = isRead
    ? { vectors: NO_VECTORS, unseen, rest, at }
    : rows === undefined
      ? { vectors, unseen, rest, at }
      : { vectors, rows, unseen, rest, at }
  seen.vectors = unseen > 0 || query.vectors.length === 0 ? 'unseen' : 'seen'
  const { agentType } = its.call
  if (agentType === undefined) return
  const queries = queriesIn(query)
  let [left, places] = [JUDGED_MAX, its.grant.targets.length]
  const { weights } = its.grant
  for (const [index, target] of its.grant.targets.entries()) {
    const most = Math.max(JUDGED_MIN, Math.floor(left / places--))
    const judged = rows === undefined && queries <= most ? query : sampledCall(query, most, seedOfText(its.call.decisionId))
    left -= lookAt(state, its, agentType, { target, weight: weights?.[index] ?? 1 }, judged, queries, seen)
    if (queriesIn(judged) < queries) seen.vectors = 'unseen'
  }
}

/** @param queries of the call with a vector, whether they are judged or not. @returns how many were judged */
function lookAt(
  state: WorkloadState,
  its: Looking,
  agentType: string,
  { target, weight }: { readonly target: ResolvedTarget; readonly weight: number },
  query: DriftCall,
  queries: number,
  seen: Seen
): number {
  const { grant, call, database, learnt } = its
  const { tenant } = grant
  const name = collectionKey(keysOf(call.caller), database, target)
  if (name === undefined) return 0
  const place = placeOf(state, name, agentType, () => ({
    key: { tenant, agentType, collection: collectionName(database, target) ?? '' },
    place: { tenant, agentType, database, collection: target.collection.kind === 'name' ? target.collection.name : '' }
  }))
  const { vectors } = query
  const ready = learnt.book.of(place.key, 'dense', grant.call.shape.dimensions)
  let cells: Int16Array = NO_CELLS
  if (ready === undefined) {
    if (seen.learning === 'none') seen.learning = 'learning'
    const some = sampledCall(query, Math.ceil(LEARNT_PER_CALL_MAX / grant.targets.length), seedOfText(call.decisionId))
    if (vectors.length > 0) seen.learn.push(() => learnt.book.learn(place.key, call.caller.id.text, some))
  } else {
    seen.learning = 'judging'
    const verdict = drift(state, its, place, ready, query, seen)
    cells = verdict.cells
    const { outliers } = verdict
    if (outliers.length > 0) seen.propose.push((raised) => learnt.book.propose(ready, call.caller.id.text, outliers, query.at, raised))
  }
  // Before there are neighbourhoods, each query would count as new ground, and what is needed in a day would be learnt too high.
  if (ready !== undefined || learnt.dailyOf(place.key, weight) !== undefined)
    expose(state, its, place, { cells, unseen: (query.unseen ?? 0) + queries - cells.length, weight }, seen)
  return cells.length
}

function drift(state: WorkloadState, its: Looking, place: PlaceState, ready: ReadyBaseline, query: DriftCall, seen: Seen): DriftVerdict {
  const { call, shared } = its
  const thresholds: DriftThresholds = call.policy.risk.drift
  const track = trackOf(state, place, ready.baseline, thresholds, shared)
  const { verdict } = observe(ready, track.drift, query, thresholds)
  seen.score = Math.max(seen.score, verdict.score)
  track.score = verdict.score
  if (verdict.tier === 'normal') return verdict
  noteDecision(track, call.decisionId)
  const figures: Record<string, number> = { score: verdict.score, novelty: verdict.novelty, coherence: verdict.coherence }
  for (const { channel, evidence } of verdict.causes.slice(0, 3)) figures[channel] = evidence
  const alarm = driftAlarm(verdict, {
    ...withSubject(place.place, call),
    decisionIds: [...track.decisions],
    says: driftSays(verdict),
    figures
  })
  if (alarm !== undefined) seen.alarms.push(alarm)
  return verdict
}

function driftSays({ novelty, coherence, causes, top }: DriftVerdict): string {
  const named = causes.slice(0, 3).map(({ channel, evidence, rate }) => `${channel} ${figure(evidence)} (r ${figure(rate)})`)
  const heaviest = top.map(({ centroid, z, p, why }) =>
    why === undefined ? `centroid ${centroid}, z ${z.map(figure).join(' ')}, p ${p.map(figure).join(' ')}` : `a query with ${why}`
  )
  return `novelty ${figure(novelty)}, coherence ${figure(coherence)}: ${named.join(', ')}; heaviest: ${heaviest.join('; ')}`
}

function figure(value: number): string {
  return String(Number(value.toPrecision(3)))
}

type Asked = Pick<ExposureQuery, 'cells' | 'unseen' | 'weight'>

function expose(state: WorkloadState, its: Looking, place: PlaceState, asked: Asked, seen: Seen): void {
  const { call, learnt } = its
  const { exposure } = place
  const { weight } = asked
  const query = exposed(its.grant.call, asked)
  const daily = learnt.dailyOf(place.key, weight)
  if (daily !== undefined) seedExposure(state, exposure, daily, call.now)
  const most = exposurePace(daily ?? UNBOUNDED).burst
  const cost = exposureCost(exposure, query, call.now)
  if (cost > most) {
    // Refused for its size alone: nothing is seen, and trying again is no sign of anything.
    if (daily !== undefined) seen.refusal ??= tooMuch(cost, most, weight)
    return
  }
  const spent = spend(exposure, query, daily ?? UNBOUNDED, call.now)
  if (spent.kind === 'admitted') {
    noteShown(its, place, cost, weight)
    return
  }
  const says = `the exposure budget of ${figure(daily ?? 0)} records a day is spent, for time ${spent.times} within a day${weighs(weight)}`
  seen.refusal ??= { kind: 'cost-exceeded', because: `${says}; the call may show ${figure(cost)}` }
  seen.retryAfterMs ??= spent.kind === 'exhausted' ? spent.retryAfterMs : undefined
  const level = spent.times > 1 ? 'quarantine' : 'slowed'
  const evidence = {
    ...withSubject(place.place, call),
    decisionIds: [call.decisionId],
    says,
    figures: { daily: daily ?? 0, cost, times: spent.times, weight }
  }
  seen.score = Math.max(seen.score, level === 'quarantine' ? 1 : 0.25)
  seen.alarms.push({ level, cause: 'exposure', evidence })
}

function exposed({ operation, shape }: VectorCall, { cells, unseen, weight }: Asked): ExposureQuery {
  const topK = operation === 'search' ? shape.topK : Math.max(shape.topK, shape.records)
  return { cells, unseen, topK, vectorsOut: shape.vectorsOut, weight }
}

function weighs(weight: number): string {
  return weight === 1 ? '' : `; by its tags, each record counts as ${figure(weight)}`
}

function tooMuch(cost: number, most: number, weight: number): DenyReason {
  const because = `it may show ${figure(cost)} records, and the exposure budget is never above ${figure(most)}${weighs(weight)}`
  const remedy = `Ask for fewer results, or for no raw vectors: one call can show at most ${Math.floor(most / weight)} records here.`
  return { kind: 'cost-exceeded', because, remedy }
}

/** The day's sum is told when the next one begins. */
function noteShown({ call, learnt }: Looking, place: PlaceState, cost: number, weight: number): void {
  const day = Math.floor(call.now / DAY_MS)
  if (day > place.day) {
    if (place.shown > 0) learnt.noteDay(place.key, place.shown / place.weight)
    place.day = day
    place.shown = 0
  }
  place.weight = weight
  place.shown += cost
}

/** For the record: for whose data, and who stood behind it. */
export function withSubject(place: Place | undefined, { caller: { subject } }: RiskCall): Pick<Evidence, 'place' | 'subject'> {
  return {
    ...(place === undefined ? {} : { place }),
    ...(subject === undefined ? {} : { subject: subjectKey(subject.issuer, subject.id) })
  }
}

/**
 * What else decides the answer, as a digest: the ends of the body, where databases' clients write filter, limit and offset. With the same
 * vector it is an exact repeat. FNV-1a.
 */
function restOf(body: Uint8Array | undefined, topK: number): number {
  let hash = Math.imul(0x811c9dc5 ^ topK, 0x01000193)
  if (body === undefined) return hash
  hash = Math.imul(hash ^ body.length, 0x01000193)
  const head = Math.min(REST_BYTES, body.length)
  for (let at = 0; at < head; at++) hash = Math.imul(hash ^ (body[at] as number), 0x01000193)
  for (let at = Math.max(head, body.length - REST_BYTES); at < body.length; at++) hash = Math.imul(hash ^ (body[at] as number), 0x01000193)
  return hash
}
