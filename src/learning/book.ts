/**
 * The baselines that a process knows: look-ups for decisions, and what is learnt from them, in memory. What is in force comes from the
 * folder, and only from there: what one process changes, the others find there within a second.
 */
import { type BaselineKey, BURSTS_MIN, type DriftCall, type DriftDraft, type Outlier, type VectorForm } from '../core/drift.ts'
import type { Probation } from '../core/drift-learning.ts'
import { key as joined } from '../core/keys.ts'
import { learn, newDraft } from '../risk/drift-learn.ts'
import { doubt, newProbation, propose } from '../risk/drift-probation.ts'
import { prepare, type ReadyBaseline } from '../risk/drift-ready.ts'
import { type ReadySpace, readySpace } from '../risk/drift-sketch.ts'
import type { Kernel } from '../risk/kernel.ts'
import type { Generation, Generations } from '../state/generations.ts'
import { type Slot, slotFrom, slotKey, slotName, spaceFrom, spaceKey } from './slot-text.ts'

/** A full one takes 1.7 MB. */
export const DRAFTS_MAX = 128
/** Workloads of which it is known when they were last raised; the latest. */
const RAISED_MAX = 10_000
/** In the place of a name that is not told apart: parents of baselines. */
export const ALL = '*'

export interface Held {
  readonly slot: Slot
  readonly number: number
  readonly ready: ReadyBaseline | undefined
}

export interface HeldSpace {
  readonly tenant: string
  readonly number: number
  readonly ready: ReadySpace
}

export interface BookParts {
  readonly generations: Generations
  readonly kernel: Kernel
  /** From a secret of the deployment; 32 bits. */
  readonly seedFor: (tenant: string, form: VectorForm, dimensions: number) => number
  /** For the operational log. */
  readonly onTrouble: (because: string) => void
}

/** By `slotKey`, spaces by `spaceKey`, numbers and faults by name. */
export interface Book {
  readonly parts: BookParts
  readonly slots: Map<string, Held>
  readonly spaces: Map<string, HeldSpace>
  readonly drafts: Map<string, DriftDraft>
  readonly probations: Map<string, Probation>
  /** By workload, when it was last slowed, challenged or quarantined, as far as it was here that it was heard. */
  readonly raised: Map<string, number>
  readonly numbers: Map<string, number>
  readonly faults: Map<string, string>
  /** Queries that were not learnt from, as there were too many drafts. */
  crowded: number
}

export function newBook(parts: BookParts): Book {
  const maps = { slots: new Map(), spaces: new Map(), drafts: new Map(), probations: new Map(), numbers: new Map(), faults: new Map() }
  return { parts, ...maps, raised: new Map(), crowded: 0 }
}

/** Takes over what is new in the folder. Rejects where that cannot be read. */
export async function look(book: Book): Promise<void> {
  const fresh = await book.parts.generations.look(book.numbers)
  // A baseline needs its space.
  const order = ({ name }: Generation) => (name.startsWith('space-') ? 0 : 1)
  for (const one of [...fresh].sort((a, b) => order(a) - order(b))) {
    const fault = one.kind === 'fault' ? one.because : take(book, one.name, one.number, one.text)
    if (fault !== undefined && book.faults.get(one.name) !== fault) book.parts.onTrouble(fault)
    if (fault === undefined) {
      book.numbers.set(one.name, one.number)
      book.faults.delete(one.name)
    } else book.faults.set(one.name, fault)
  }
}

/** @returns why it cannot be used; what was in force before stays */
function take(book: Book, name: string, number: number, text: string): string | undefined {
  const unusable = (because: string) => `${name}.${number} cannot be used: ${because}`
  try {
    if (name.startsWith('space-')) {
      const read = spaceFrom(text)
      if (!read.ok) return unusable(read.because)
      const { tenant, space } = read.value
      book.spaces.set(spaceKey(tenant, space.form, space.dimensions), { tenant, number, ready: readySpace(space) })
      return undefined
    }
    const read = slotFrom(text)
    if (!read.ok) return unusable(read.because)
    const slot = read.value
    if (slotName(slot.key) !== name) return unusable('it has the name of another one')
    book.slots.set(slotKey(slot.key), { slot, number, ready: readyOf(book, slot) })
    settle(book, slot)
    return undefined
  } catch (cause) {
    if (cause instanceof RangeError) return unusable(cause.message)
    throw cause
  }
}

function readyOf(book: Book, { key, inForce }: Slot): ReadyBaseline | undefined {
  if (inForce === undefined) return undefined
  const before = book.slots.get(slotKey(key))
  const { baseline, background } = inForce
  // Equal versions have equal codebooks, but not equal counts.
  if (before?.ready !== undefined && before.slot.inForce?.at === inForce.at) return before.ready
  const space = spaceOf(book, key.tenant, baseline.space)
  if (space === undefined) throw new RangeError(`there is no space ${baseline.space}, which it needs`)
  return prepare(baseline, space.ready, background, book.parts.kernel)
}

export function spaceOf({ spaces }: Book, tenant: string, version: string): HeldSpace | undefined {
  return [...spaces.values()].find((one) => one.tenant === tenant && one.ready.space.version === version)
}

/** What was learnt is of no use where a baseline is in force, or all of it was put aside. */
function settle({ drafts, probations }: Book, { key, inForce, since }: Slot): void {
  const place = slotKey(key)
  const draft = drafts.get(place)
  if (draft !== undefined && (inForce !== undefined || (draft.queries > 0 && (draft.times[0] as number) < since))) drafts.delete(place)
  if (probations.get(place)?.version !== inForce?.baseline.version) probations.delete(place)
}

/** Its own, whatever the queries look like; else that of the agent type or of the tenant, where theirs look the same. */
export function judging(book: Book, key: BaselineKey, form: VectorForm, dimensions: number): ReadyBaseline | undefined {
  const own = book.slots.get(slotKey(key))?.ready
  if (own !== undefined && own.baseline.counts.bursts >= BURSTS_MIN) return own
  for (const parent of [
    { ...key, collection: ALL },
    { ...key, agentType: ALL, collection: ALL }
  ]) {
    const ready = book.slots.get(slotKey(parent))?.ready
    const space = ready?.space.space
    if (space?.form === form && space.dimensions === dimensions) return ready
  }
  return undefined
}

export function note(book: Book, key: BaselineKey, workload: string, call: DriftCall): void {
  const place = slotKey(key)
  const held = book.slots.get(place)
  const [first] = call.vectors
  if (held?.ready !== undefined || first === undefined || call.at < (held?.slot.since ?? 0)) return
  const draft = book.drafts.get(place) ?? draftFor(book, key, place, call.form ?? 'dense', first.length)
  if (draft !== undefined) learn(draft, workload, call)
}

/** A parent learns nothing: it is made of what is learnt below it. @param raised the workload does not stand normal */
export function noteOutliers(
  book: Book,
  { baseline }: ReadyBaseline,
  workload: string,
  outliers: readonly Outlier[],
  at: number,
  raised: boolean
): void {
  if (outliers.length === 0 || baseline.key.collection === ALL) return
  const place = slotKey(baseline.key)
  // Who still has the one before speaks of another codebook.
  if (book.slots.get(place)?.ready?.baseline.version !== baseline.version) return
  let probation = book.probations.get(place)
  if (probation === undefined) {
    probation = newProbation(baseline)
    book.probations.set(place, probation)
  }
  propose(probation, baseline, workload, outliers, at, raised ? at : book.raised.get(workload))
}

/** It was slowed, challenged or quarantined: what it supports, here or from now on, is not to become normal by its word. */
export function noteRaised({ raised, probations }: Book, workload: string, at: number): void {
  raised.delete(workload)
  raised.set(workload, at)
  const [oldest] = raised.keys()
  if (raised.size > RAISED_MAX && oldest !== undefined) raised.delete(oldest)
  for (const probation of probations.values()) doubt(probation, workload)
}

function draftFor(book: Book, key: BaselineKey, place: string, form: VectorForm, dimensions: number): DriftDraft | undefined {
  if (dimensions === 0) return undefined
  if (book.drafts.size >= DRAFTS_MAX && !makeRoom(book, key)) {
    book.crowded++
    return undefined
  }
  const draft = newDraft(key, { form, dimensions, seed: seedOf(book, key.tenant, form, dimensions) })
  book.drafts.set(place, draft)
  return draft
}

/**
 * Names of collections may be the callers' own words, so whoever has by far the most drafts gives way to others, with the one that knows
 * least, and makes no room for more of his own.
 */
function makeRoom({ drafts }: Book, { tenant, agentType }: BaselineKey): boolean {
  const owners = new Map<string, DriftDraft[]>()
  for (const draft of drafts.values()) {
    const owner = joined(draft.key.tenant, draft.key.agentType)
    owners.set(owner, [...(owners.get(owner) ?? []), draft])
  }
  const [most = []] = [...owners.values()].sort((a, b) => b.length - a.length)
  const own = owners.get(joined(tenant, agentType)) ?? []
  if (own.length + 1 >= most.length) return false
  const least = most.reduce((one, other) => (other.queries < one.queries ? other : one))
  return drafts.delete(slotKey(least.key))
}

/** A space that came from elsewhere brings its own. */
export function seedOf(book: Book, tenant: string, form: VectorForm, dimensions: number): number {
  return book.spaces.get(spaceKey(tenant, form, dimensions))?.ready.space.seed ?? book.parts.seedFor(tenant, form, dimensions)
}
