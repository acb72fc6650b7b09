/** What usually follows what: a first-order Markov chain with back-off, and how surprised it was by what it had not yet learnt. */
import { key } from '../core/keys.ts'
import {
  SEQUENCE_BETS,
  SEQUENCE_OTHER,
  SEQUENCE_START,
  SEQUENCE_STATES,
  type SequenceModel,
  SURPRISE_BIN,
  SURPRISE_BINS
} from '../core/sequence.ts'
import type { Operation, ResolvedTarget } from '../core/vector-call.ts'
import { tailP } from './drift-bets.ts'
import { RATES } from './drift-lundberg.ts'

/** How many events of its own a state needs before its own counts weigh as much as those of all states. */
const BACK_OFF = 5
/** Collections of one call that are told apart. */
const COLLECTIONS_MAX = 4
/** Events before the first that is scored: until then everything surprises. */
const BURN_IN = 200
const SUMS = 3

export function newSequenceModel(): SequenceModel {
  return {
    frozen: false,
    names: new Map(),
    counts: new Uint32Array(SEQUENCE_STATES * SEQUENCE_STATES),
    sums: new Uint32Array(2 * SEQUENCE_STATES),
    events: 0,
    surprises: new Uint32Array(SURPRISE_BINS),
    scored: 0,
    bursts: 0,
    blocks: 0,
    fairness: new Float64Array(SEQUENCE_BETS * RATES.length * SUMS)
  }
}

/** What a call is in an order: its kind and where it goes, whatever the tenant. @param database id in the settings */
export function eventName(operation: Operation, database: string, targets: readonly ResolvedTarget[]): string {
  const [first] = targets
  if (targets.length === 1 && first !== undefined) return key(operation, database, collectionOf(first))
  const names = [...new Set(targets.map(collectionOf))].sort()
  return key(operation, database, ...names.slice(0, COLLECTIONS_MAX), ...(names.length > COLLECTIONS_MAX ? ['…'] : []))
}

function collectionOf({ namespace = '', collection }: ResolvedTarget): string {
  return collection.kind === 'name' ? key(namespace, collection.name) : collection.kind
}

/** Number of an event. While it learns, a model gives new ones a number as long as it has any. */
export function stateOf(model: SequenceModel, event: string, learning: boolean): number {
  const found = model.names.get(event)
  if (found !== undefined) return found
  const next = model.names.size + 1
  if (!learning || next >= SEQUENCE_OTHER) return SEQUENCE_OTHER
  model.names.set(event, next)
  return next
}

/** Smoothed: what never happened has a small chance, and more of one where little is known. */
export function probabilityOf({ counts, sums, events }: SequenceModel, from: number, to: number): number {
  const anywhere = ((sums[SEQUENCE_STATES + to] as number) + 0.5) / (events + 0.5 * SEQUENCE_STATES)
  return ((counts[from * SEQUENCE_STATES + to] as number) + BACK_OFF * anywhere) / ((sums[from] as number) + BACK_OFF)
}

/** Conformal upper-tail p-values among the surprises of events that were not yet learnt, for each bin. */
export function surprisePs({ surprises, scored }: SequenceModel): Float64Array {
  const ps = new Float64Array(SURPRISE_BINS)
  let atLeast = 0
  for (let bin = SURPRISE_BINS - 1; bin >= 0; bin--) {
    atLeast += surprises[bin] as number
    ps[bin] = tailP(atLeast, scored)
  }
  return ps
}

export function surpriseBin(probability: number): number {
  return Math.min(SURPRISE_BINS - 1, Math.max(0, Math.floor(-Math.log(probability) / SURPRISE_BIN)))
}

/** Counts a transition, after it was scored. */
export function countTransition(model: SequenceModel, from: number, to: number, probability: number): void {
  if (model.events >= BURN_IN) {
    const bin = surpriseBin(probability)
    model.surprises[bin] = (model.surprises[bin] as number) + 1
    model.scored++
  }
  addCount(model, from, to, 1)
  model.events++
}

/** Of its rows, then of its columns. */
export function sumsOf(counts: Uint32Array): Uint32Array {
  const sums = new Uint32Array(2 * SEQUENCE_STATES)
  for (const [at, count] of counts.entries()) {
    const [from, to] = [Math.floor(at / SEQUENCE_STATES), SEQUENCE_STATES + (at % SEQUENCE_STATES)]
    sums[from] = (sums[from] as number) + count
    sums[to] = (sums[to] as number) + count
  }
  return sums
}

function addCount({ counts, sums }: SequenceModel, from: number, to: number, count: number): void {
  const at = from * SEQUENCE_STATES + to
  counts[at] = (counts[at] as number) + count
  sums[from] = (sums[from] as number) + count
  sums[SEQUENCE_STATES + to] = (sums[SEQUENCE_STATES + to] as number) + count
}

/** What two replicas learnt. Names that only one knows get a number, as long as there is one. */
export function mergedModels(a: SequenceModel, b: SequenceModel): SequenceModel {
  const merged: SequenceModel = {
    frozen: a.frozen && b.frozen,
    names: new Map(a.names),
    counts: a.counts.slice(),
    sums: a.sums.slice(),
    events: a.events + b.events,
    surprises: a.surprises.map((count, bin) => count + (b.surprises[bin] as number)),
    scored: a.scored + b.scored,
    bursts: a.bursts + b.bursts,
    blocks: a.blocks + b.blocks,
    fairness: a.fairness.map((sum, at) => sum + (b.fairness[at] as number))
  }
  const place = new Uint8Array(SEQUENCE_STATES).fill(SEQUENCE_OTHER)
  place[SEQUENCE_START] = SEQUENCE_START
  for (const [name, number] of b.names) place[number] = stateOf(merged, name, true)
  for (const [at, count] of b.counts.entries()) {
    if (count === 0) continue
    addCount(merged, place[Math.floor(at / SEQUENCE_STATES)] as number, place[at % SEQUENCE_STATES] as number, count)
  }
  return merged
}
