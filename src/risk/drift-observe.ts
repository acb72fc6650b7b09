/**
 * Judges the queries of a call against a baseline and adds to the workload's evidence. The hot path: it allocates little, and looks
 * up what it can.
 */
import {
  BETS,
  CHANNELS,
  type Contribution,
  type DriftCall,
  type DriftState,
  type DriftThresholds,
  type DriftVerdict,
  NOVELTY_BETS,
  type Outlier,
  type QueryTrouble,
  type Rings,
  SCORES,
  SKETCH_DIMENSIONS
} from '../core/drift.ts'
import { addBets, BEYOND, NOVELTY_SCORES, SLOTS, slotOf } from './drift-bets.ts'
import { beginBurst, meanEvidence, newEvidence, noteUnsent, startsBurst } from './drift-evidence.ts'
import { nearSlot } from './drift-near.ts'
import { queriesOf } from './drift-queries.ts'
import { isOutlier, type ReadyBaseline } from './drift-ready.ts'
import { digestOfSketch, distances, endBurst, isRepeat, newRings, noDistances, pushRow } from './drift-rings.ts'
import { novelty, standardise } from './drift-score.ts'
import { quantise, sketch } from './drift-sketch.ts'
import { causesOf, scoreOf, tierOf } from './drift-tiers.ts'

/** Queries kept for the explanation. */
const TOP = 3
const SIGNS = 4

/** @param shared whether other replicas will ask for what this one saw (`takeUnsent`) */
export function newDriftState(shared = false): DriftState {
  return { space: '', evidence: newEvidence(), unsent: shared ? [] : undefined, rings: undefined, top: [] }
}

/** Scratch of one query: a call is judged without a pause, so one set serves all. */
const slots = new Int16Array(CHANNELS.length)
const scores = new Float64Array(NOVELTY_SCORES)
const logs = new Float64Array(BETS)
const row = new Int8Array(SKETCH_DIMENSIONS)
const digest = { low: 0, high: 0 }
const near = noDistances()

interface Tally {
  novelty: number
  coherence: number
  repeats: number
  readonly cells: Int16Array
  readonly outliers: Outlier[]
}

/** Changes `state` in place and hands it back. The verdict is about the worst moment of the call, not about its end. */
export function observe(
  ready: ReadyBaseline,
  state: DriftState,
  call: DriftCall,
  thresholds: DriftThresholds
): { readonly state: DriftState; readonly verdict: DriftVerdict } {
  // Sketches of another space mean nothing in this one.
  const rings = state.space === ready.baseline.space ? (state.rings ?? newRings()) : newRings()
  state.rings = rings
  state.space = ready.baseline.space
  const vectors = queriesOf(call)
  const tally: Tally = { novelty: 0, coherence: 0, repeats: 0, cells: new Int16Array(vectors.length), outliers: [] }
  for (let at = 0; at < vectors.length; at++) tally.cells[at] = judge(ready, state, rings, call, vectors[at] as Float32Array, tally)
  if (vectors.length === 0) weigh(ready, state, tally)
  return { state, verdict: verdictOf(ready, state, call, tally, thresholds) }
}

/** One query. Returns its neighbourhood cell, -1 for none. */
function judge(ready: ReadyBaseline, state: DriftState, rings: Rings, call: DriftCall, vector: Float32Array, tally: Tally): number {
  const { evidence } = state
  const { at } = call
  const fresh = startsBurst(evidence, at, ready.gapMs)
  if (fresh) {
    beginBurst(evidence, at, ready.rates)
    endBurst(rings)
    if (meanEvidence(evidence, ready.rates, 0, NOVELTY_BETS) < 2) state.top = []
  }
  evidence.queries++
  evidence.lastAt = Math.max(evidence.lastAt, at)
  logs.fill(0)
  look(ready, rings, call, vector)
  if (found.repeat) tally.repeats++
  else {
    addBets(ready.bets, slots, logs)
    for (let bet = 0; bet < BETS; bet++) evidence.logs[bet] = (evidence.logs[bet] as number) + (logs[bet] as number)
    contribute(ready, state, at, found.centroid, found.trouble)
    if (found.trouble === undefined && isOutlier(ready, scores))
      tally.outliers.push({ row: row.slice(), scale: found.scale, background: found.background, residual: found.residual })
  }
  if (state.unsent !== undefined) noteUnsent(state.unsent, fresh, evidence.epoch, at, logs)
  weigh(ready, state, tally)
  return found.cell
}

interface Found {
  centroid: number
  cell: number
  scale: number
  background: number
  residual: number
  repeat: boolean
  trouble: QueryTrouble | undefined
}

/** What `look` saw of the query. */
const found: Found = { centroid: -1, cell: -1, scale: 0, background: 0, residual: 0, repeat: false, trouble: undefined }

/** Leaves the slots of the query in `slots`, and its sketch in `row`. */
function look({ space, kernel, codebook, baseline }: ReadyBaseline, rings: Rings, call: DriftCall, vector: Float32Array): void {
  const residual = sketch(vector, call.form ?? 'dense', space, kernel)
  if (typeof residual !== 'number') {
    // It cannot be compared, so it counts as farther than everything, and as close to nothing.
    slots.fill(BEYOND, 0, NOVELTY_SCORES).fill(-1, NOVELTY_SCORES)
    Object.assign(found, { centroid: -1, cell: -1, scale: 0, repeat: false, trouble: residual })
    return
  }
  found.trouble = undefined
  found.centroid = novelty(codebook, residual, kernel, scores)
  found.background = codebook.all > codebook.centroids ? (scores[1] as number) + 1 - (scores[0] as number) : Number.NaN
  found.residual = residual
  found.cell = cellOf(found.centroid, kernel.sketch)
  found.scale = quantise(kernel.sketch, row)
  digestOfSketch(kernel.sketch, residual, vector, call.rest ?? 0, space.space.seed, digest)
  found.repeat = isRepeat(rings, digest)
  if (found.repeat) return
  standardise(scores, baseline.norms, found.centroid)
  for (let score = 0; score < NOVELTY_SCORES; score++) slots[score] = slotOf(score, scores[score] as number, baseline.ranges)
  distances(rings, row, found.scale, kernel, near)
  slots[NOVELTY_SCORES] = slotOf(NOVELTY_SCORES, near.inBurst, baseline.ranges)
  slots[NOVELTY_SCORES + 1] = slotOf(NOVELTY_SCORES + 1, near.across, baseline.ranges)
  slots[NOVELTY_SCORES + 2] = slotOf(NOVELTY_SCORES + 2, near.successive, baseline.ranges)
  slots[SCORES.length] = nearSlot(near)
  pushRow(rings, row, found.scale, digest)
}

/** Neighbourhood cell: the centroid, and on which side of it in the four directions of most variance. */
function cellOf(centroid: number, y: Float32Array): number {
  let cell = centroid
  for (let at = 0; at < SIGNS; at++) cell = cell * 2 + ((y[at] as number) > 0 ? 1 : 0)
  return cell
}

function weigh({ rates }: ReadyBaseline, { evidence }: DriftState, tally: Tally): void {
  tally.novelty = Math.max(tally.novelty, meanEvidence(evidence, rates, 0, NOVELTY_BETS))
  tally.coherence = Math.max(tally.coherence, meanEvidence(evidence, rates, NOVELTY_BETS, BETS))
}

function contribute({ pValues }: ReadyBaseline, state: DriftState, at: number, centroid: number, why: QueryTrouble | undefined): void {
  let weight = 0
  for (let bet = 0; bet < NOVELTY_BETS; bet++) weight += logs[bet] as number
  const { top } = state
  if (!(weight > 0) || (top.length === TOP && weight <= (top[TOP - 1] as Contribution).weight)) return
  const p = (score: number) => pValues[score * SLOTS + (slots[score] as number)] as number
  const z = (score: number) => (why === undefined ? (scores[score] as number) : 0)
  top.push({ at, weight, centroid, z: [z(0), z(1), z(2)], p: [p(0), p(1), p(2)], why })
  top.sort((one, other) => other.weight - one.weight)
  if (top.length > TOP) top.pop()
}

function verdictOf(ready: ReadyBaseline, state: DriftState, call: DriftCall, tally: Tally, thresholds: DriftThresholds): DriftVerdict {
  const score = scoreOf(tally.novelty, tally.coherence, thresholds)
  const tier = tierOf(score)
  const unseen = call.unseen ?? 0
  return {
    tier,
    score,
    novelty: tally.novelty,
    coherence: tally.coherence,
    causes: tier === 'normal' ? [] : causesOf(state.evidence, ready.rates),
    top: tier === 'normal' ? [] : [...state.top],
    label: unseen > 0 || tally.cells.length === 0 ? 'vectors-unseen' : 'vectors-seen',
    seen: tally.cells.length,
    unseen,
    repeats: tally.repeats,
    cells: tally.cells,
    outliers: tally.outliers
  }
}
