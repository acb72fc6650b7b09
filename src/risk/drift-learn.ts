/** Learning before approval: queries are noted as they come, and become bursts when somebody asks (docs/drift.md, Learning). */
import {
  type BaselineKey,
  BURST_QUERIES_MAX,
  BURSTS_MIN,
  COHERENCE_BURSTS_MIN,
  type DriftCall,
  type DriftDraft,
  FOLDED_DIMENSIONS,
  type VectorForm
} from '../core/drift.ts'
import { DRAFT_QUERIES_MAX, DRAFT_WORKLOADS_MAX } from '../core/drift-learning.ts'
import { diceOf, shuffled } from './drift-cluster.ts'
import { queriesOf } from './drift-queries.ts'
import { digestOf } from './drift-rings.ts'
import { foldSigns, foldVector, quantise } from './drift-sketch.ts'

export interface DraftShape {
  readonly form: VectorForm
  readonly dimensions: number
  /** Secret; the same for all drafts of a tenant and model. */
  readonly seed: number
}

const ROWS_AT_FIRST = 64
/** Shortest pause that ends a burst, ms. */
const GAP_MIN_MS = 5_000
/** An hour: slower agents than that have no bursts. */
const GAP_MAX_MS = 3_600_000
/** So many times the median pause between queries is no longer the same burst. */
const GAP_MEDIANS = 8

export function newDraft(key: BaselineKey, { form, dimensions, seed }: DraftShape): DriftDraft {
  const draft = {
    key,
    form,
    dimensions,
    seed,
    signs: foldSigns(seed, dimensions),
    names: [],
    queries: 0,
    skipped: 0,
    held: [],
    heldOf: '',
    folds: new Uint8Array(0)
  }
  return { ...draft, ...roomFor(ROWS_AT_FIRST, dimensions) }
}

type Room = Pick<DriftDraft, 'rows' | 'scales' | 'times' | 'workloads' | 'digests'>

function roomFor(rows: number, dimensions: number): Room {
  return {
    rows: new Int8Array(rows * Math.min(dimensions, FOLDED_DIMENSIONS)),
    scales: new Float32Array(rows),
    times: new Float64Array(rows),
    workloads: new Uint16Array(rows),
    digests: new Int32Array(2 * rows)
  }
}

/** Notes the queries of a call in place; returns how many of them were kept. */
export function learn(draft: DriftDraft, workload: string, call: DriftCall): number {
  let kept = 0
  for (const vector of queriesOf(call)) {
    if ((call.form ?? 'dense') === draft.form && note(draft, workload, vector, call)) kept++
    else draft.skipped++
  }
  return kept
}

const digest = { low: 0, high: 0 }

function note(draft: DriftDraft, workload: string, vector: Float32Array, call: DriftCall): boolean {
  if (vector.length !== draft.dimensions || draft.queries >= DRAFT_QUERIES_MAX) return false
  const folded = foldVector(vector, draft.signs)
  const number = folded === undefined ? -1 : numberOf(draft, workload)
  if (folded === undefined || number < 0) return false
  if (draft.queries === draft.scales.length) grow(draft)
  const at = draft.queries++
  const bytes = draft.rows.subarray(at * folded.length, (at + 1) * folded.length)
  const most = folded.reduce((max, value) => Math.max(max, Math.abs(value)), 0)
  quantise(folded, bytes)
  digestOf(vector, call.rest ?? 0, draft.seed, digest)
  // Not the unit length: folding changes lengths a little, and the space has to see that.
  draft.scales[at] = most / 127
  draft.times[at] = call.at
  draft.workloads[at] = number
  draft.digests.set([digest.low, digest.high], 2 * at)
  return true
}

function numberOf({ names }: DriftDraft, workload: string): number {
  const known = names.indexOf(workload)
  if (known >= 0 || names.length >= DRAFT_WORKLOADS_MAX) return known
  return names.push(workload) - 1
}

function grow(draft: DriftDraft): void {
  const room = roomFor(Math.min(2 * draft.scales.length, DRAFT_QUERIES_MAX), draft.dimensions)
  for (const part of ['rows', 'scales', 'times', 'workloads', 'digests'] as const) room[part].set(draft[part])
  Object.assign(draft, room)
}

/** What two replicas learnt, as if one had seen it all: at most `DRAFT_QUERIES_MAX` queries, the earliest. */
export function mergeDrafts(one: DriftDraft, other: DriftDraft): DriftDraft {
  const merged = newDraft(one.key, one)
  const all = [one, other].flatMap((draft) => Array.from({ length: draft.queries }, (_, row) => ({ draft, row })))
  const nameOf = ({ draft, row }: (typeof all)[number]) => draft.names[draft.workloads[row] as number] as string
  all.sort((a, b) => (a.draft.times[a.row] as number) - (b.draft.times[b.row] as number))
  merged.skipped = one.skipped + other.skipped
  const columns = Math.min(one.dimensions, FOLDED_DIMENSIONS)
  for (const entry of all) {
    const number = merged.queries < DRAFT_QUERIES_MAX ? numberOf(merged, nameOf(entry)) : -1
    if (number < 0) {
      merged.skipped++
      continue
    }
    if (merged.queries === merged.scales.length) grow(merged)
    const { draft, row } = entry
    const at = merged.queries++
    merged.rows.set(draft.rows.subarray(row * columns, (row + 1) * columns), at * columns)
    merged.scales[at] = draft.scales[row] as number
    merged.times[at] = draft.times[row] as number
    merged.workloads[at] = number
    merged.digests.set(draft.digests.subarray(2 * row, 2 * row + 2), 2 * at)
  }
  return merged
}

/** Rows of a draft in the order of time, cut where a workload paused. */
export interface Bursts {
  readonly gapMs: number
  readonly bursts: readonly { readonly workload: number; readonly rows: readonly number[] }[]
}

export function burstsOf({ times, workloads, queries }: DriftDraft): Bursts {
  const order = Array.from({ length: queries }, (_, row) => row).sort(
    (a, b) => (workloads[a] as number) - (workloads[b] as number) || (times[a] as number) - (times[b] as number) || a - b
  )
  const pause = (at: number) => {
    const [row, before] = [order[at] as number, order[at - 1]]
    return before === undefined || workloads[before] !== workloads[row]
      ? Number.POSITIVE_INFINITY
      : (times[row] as number) - (times[before] as number)
  }
  const pauses = order.map((_, at) => pause(at))
  const gapMs = gapOf(pauses.filter(Number.isFinite))
  const bursts: { workload: number; rows: number[] }[] = []
  order.forEach((row, at) => {
    const running = bursts.at(-1)
    if (running === undefined || (pauses[at] as number) > gapMs || running.rows.length >= BURST_QUERIES_MAX)
      bursts.push({ workload: workloads[row] as number, rows: [row] })
    else running.rows.push(row)
  })
  return { gapMs, bursts }
}

/**
 * Parts of the data that are held back in turn, from space and codebook alike. The fewer, the farther is what is held back from what is left,
 * and the more of a near department passes for normal: with four, a third of the bursts from one that twelve find.
 */
export const FOLDS = 12

/** The fold of each burst, at random: in turn, an agent that goes round its tasks would have a task in one fold only. */
export function foldsOf(bursts: Bursts['bursts']): Uint8Array {
  return Uint8Array.from(shuffled(bursts.length, diceOf(bursts.length)), (place) => place % FOLDS)
}

/** Most pauses of bursty agents are inside a burst, so the median is one of those. */
function gapOf(pauses: number[]): number {
  const median = pauses.sort((a, b) => a - b)[pauses.length >> 1] ?? 0
  return Math.min(GAP_MAX_MS, Math.max(GAP_MIN_MS, GAP_MEDIANS * median))
}

/** How far learning is, from the first query on. */
export interface Progress {
  readonly queries: number
  readonly skipped: number
  readonly workloads: number
  readonly bursts: number
  /** Bursts still missing until a baseline of this judges at all, and until rhythm counts. */
  readonly burstsToJudge: number
  readonly burstsToCoherence: number
  readonly full: boolean
}

export function progressOf(draft: DriftDraft): Progress {
  const bursts = countBursts(draft)
  return {
    queries: draft.queries,
    skipped: draft.skipped,
    workloads: draft.names.length,
    bursts,
    burstsToJudge: Math.max(0, BURSTS_MIN - bursts),
    burstsToCoherence: Math.max(0, COHERENCE_BURSTS_MIN - bursts),
    full: draft.queries >= DRAFT_QUERIES_MAX
  }
}

const counted = new WeakMap<DriftDraft, { readonly queries: number; readonly bursts: number }>()

/** Counted again when there is more: a list of all full drafts would otherwise hold decisions up for a quarter of a second. */
function countBursts(draft: DriftDraft): number {
  const before = counted.get(draft)
  if (before?.queries === draft.queries) return before.bursts
  const bursts = burstsOf(draft).bursts.length
  counted.set(draft, { queries: draft.queries, bursts })
  return bursts
}
