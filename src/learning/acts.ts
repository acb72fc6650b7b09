/** What people do about baselines: freeze, approve, reset, export, import, adopt. Each is one new generation in the folder, or nothing. */
import { type Baseline, type BaselineKey, BURSTS_MIN, type DriftDraft } from '../core/drift.ts'
import type { By } from '../core/risk-desk.ts'
import { mergeBaselines } from '../risk/drift-baseline.ts'
import { type Bundle, exportBundle, importBundle } from '../risk/drift-bundle.ts'
import { burstsOf, mergeDrafts } from '../risk/drift-learn.ts'
import { adopt, candidatesOf, doubtsAbout } from '../risk/drift-probation.ts'
import { prepare } from '../risk/drift-ready.ts'
import { readySpace } from '../risk/drift-sketch.ts'
import { ALL, type Book, look, spaceOf } from './book.ts'
import type { FreezeAnswer, FreezeQuestion } from './freeze-worker.ts'
import { type Kept, type Slot, slotKey, slotName, slotText, spaceKey, spaceName, spaceText } from './slot-text.ts'

/** What came of an act. `not`: with a sentence for whoever acted. `unavailable`: the folder, or the worker, fails. */
export type Done =
  | { readonly kind: 'done'; readonly versions: readonly string[] }
  | { readonly kind: 'not'; readonly status: 404 | 409; readonly says: string }
  | { readonly kind: 'unavailable'; readonly because: string }

export interface ActParts {
  readonly book: Book
  /** What other processes have noted of the same; ours is not among it. */
  readonly draftsElsewhere: (key: BaselineKey) => Promise<readonly DriftDraft[]>
  readonly freezeAside: (question: FreezeQuestion) => Promise<FreezeAnswer>
  /** A name that was never given. */
  readonly newVersion: () => string
  /** 32 bits. */
  readonly newSeed: () => number
}

const not = (status: 404 | 409, says: string): Done => ({ kind: 'not', status, says })
const GONE = not(404, 'There is nothing under that tenant, agent type and collection.')
const FASTER = not(409, 'Somebody else was faster; look again.')

/**
 * Freezes what was learnt; it then waits for a yes. With the first of a tenant and model go all others that have learnt enough, since
 * the space is fitted to what is there by then. `*` as collection, or as agent type too, makes a parent of what was learnt below it.
 */
export async function freezeNow(parts: ActParts, key: BaselineKey, { by, reason, now }: By): Promise<Done> {
  const { book } = parts
  const own = key.collection === ALL ? mergedBelow(book, key) : book.drafts.get(slotKey(key))
  if (own === undefined) return not(404, 'Nothing was learnt there.')
  const bursts = burstsOf(own).bursts.length
  if (bursts < BURSTS_MIN) return not(409, `${bursts} bursts are too few: it takes ${BURSTS_MIN}.`)
  const known = book.spaces.get(spaceKey(key.tenant, own.form, own.dimensions))
  const drafts = known === undefined ? [own, ...others(book, own)] : [own]
  const question: FreezeQuestion = {
    drafts: await Promise.all(drafts.map(async (draft) => [draft, ...(await parts.draftsElsewhere(draft.key)).filter(isLike(draft))])),
    space: known?.ready.space,
    spaceVersion: parts.newVersion(),
    versions: drafts.map(parts.newVersion),
    others: known === undefined ? [] : baselinesOf(book, key, known.ready.space.version),
    frozenAt: now,
    seed: parts.newSeed()
  }
  const answer = await parts.freezeAside(question)
  if (!answer.ok) return not(409, `That cannot be frozen: ${answer.because}.`)
  if (known === undefined) {
    const text = spaceText({ tenant: key.tenant, space: answer.space })
    const written = await book.parts.generations.put(spaceName(key.tenant, own.form, own.dimensions), 0, text)
    if (written.kind !== 'written') return said(written)
    await look(book)
  }
  for (const { baseline, background, holds } of answer.made) {
    const draft = book.drafts.get(slotKey(baseline.key))
    // Of several parts it is not known which query was held back.
    if (draft !== undefined && holds.folds.length === draft.queries) Object.assign(draft, holds)
    const waiting: Kept = { baseline, background, daily: undefined, by, reason, at: now }
    const done = await change(book, baseline.key, (slot) => ({ ...slot, waiting }))
    if (done.kind !== 'done') return done
  }
  return { kind: 'done', versions: answer.made.map(({ baseline }) => baseline.version) }
}

function isLike({ form, dimensions, seed }: DriftDraft): (other: DriftDraft) => boolean {
  return (other) => other.form === form && other.dimensions === dimensions && other.seed === seed
}

function others({ drafts }: Book, own: DriftDraft): readonly DriftDraft[] {
  return [...drafts.values()].filter(
    (one) => one !== own && one.key.tenant === own.key.tenant && isLike(own)(one) && burstsOf(one).bursts.length >= BURSTS_MIN
  )
}

function mergedBelow({ drafts }: Book, { tenant, agentType }: BaselineKey): DriftDraft | undefined {
  const below = [...drafts.values()].filter(({ key }) => key.tenant === tenant && (agentType === ALL || key.agentType === agentType))
  const [first] = below
  if (first === undefined) return undefined
  const merged = below.slice(1).filter(isLike(first)).reduce(mergeDrafts, first)
  return { ...merged, key: { tenant, agentType, collection: ALL }, held: [], heldOf: '' }
}

function baselinesOf({ slots }: Book, key: BaselineKey, space: string): readonly Baseline[] {
  return [...slots.values()].flatMap(({ slot }) => {
    const baseline = (slot.inForce ?? slot.waiting)?.baseline
    const isOther = slot.key.tenant === key.tenant && slotKey(slot.key) !== slotKey(key) && slot.key.collection !== ALL
    return baseline !== undefined && isOther && baseline.space === space ? [baseline] : []
  })
}

/** What waits comes into force. @param daily exposure budget of a day, in records */
export async function approve(book: Book, key: BaselineKey, daily: number | undefined, { by, reason, now }: By): Promise<Done> {
  const slot = book.slots.get(slotKey(key))?.slot
  if (slot === undefined) return GONE
  if (slot.waiting === undefined) return not(409, 'Nothing waits for approval there.')
  const inForce = { ...slot.waiting, daily: daily ?? slot.inForce?.daily, by, reason, at: now }
  return change(book, key, (before) => (before.waiting === slot.waiting ? { ...before, inForce, waiting: undefined } : undefined))
}

/** Nothing judges there any more, and learning begins again. */
export function reset(book: Book, key: BaselineKey, { now }: By): Promise<Done> {
  if (!book.slots.has(slotKey(key)) && !book.drafts.has(slotKey(key))) return Promise.resolve(GONE)
  return change(book, key, (slot) => ({ ...slot, inForce: undefined, waiting: undefined, since: now }))
}

export function exported(book: Book, key: BaselineKey): string | undefined {
  const kept = book.slots.get(slotKey(key))?.slot.inForce
  const space = kept === undefined ? undefined : spaceOf(book, key.tenant, kept.baseline.space)
  return kept === undefined || space === undefined ? undefined : exportBundle({ ...kept, space: space.ready.space })
}

/** It then waits for a yes. @param add its counts are added to those in force, of the very same codebook: once, or they count twice */
export async function imported(book: Book, text: string, add: boolean, { by, reason, now }: By): Promise<Done> {
  const read = importBundle(text)
  if (!read.ok) return not(409, `That cannot be taken: ${read.because}.`)
  const { space, background, baseline } = read.value
  const { key } = baseline
  const spaced = await takeSpace(book, read.value)
  if (spaced !== undefined) return spaced
  const before = book.slots.get(slotKey(key))?.slot.inForce
  try {
    if (add && before === undefined) return not(409, 'There is nothing in force that it could be added to.')
    const whole = add && before !== undefined ? mergeBaselines(before.baseline, baseline) : baseline
    prepare(whole, readySpace(space), background, book.parts.kernel)
    const waiting: Kept = { baseline: whole, background, daily: undefined, by, reason, at: now }
    return await change(book, key, (slot) => ({ ...slot, waiting }))
  } catch (cause) {
    if (cause instanceof RangeError) return not(409, `That cannot be taken: ${cause.message}.`)
    throw cause
  }
}

/** @returns why not */
async function takeSpace(book: Book, { space, baseline }: Bundle): Promise<Done | undefined> {
  const { tenant } = baseline.key
  const known = book.spaces.get(spaceKey(tenant, space.form, space.dimensions))
  if (known?.ready.space.version === space.version) return undefined
  const usedBy = [...book.slots.values()].find(({ slot }) =>
    [slot.inForce, slot.waiting].some((kept) => kept !== undefined && kept.baseline.space === known?.ready.space.version)
  )
  if (usedBy !== undefined)
    return not(409, 'This tenant has another space for such vectors, which its baselines need: reset those first, or learn here.')
  const text = spaceText({ tenant, space })
  const written = await book.parts.generations.put(spaceName(tenant, space.form, space.dimensions), known?.number ?? 0, text)
  if (written.kind !== 'written') return said(written)
  // Folded with another seed, what was learnt can no longer be compared.
  for (const [place, draft] of book.drafts) {
    if (draft.key.tenant === tenant && draft.form === space.form && draft.dimensions === space.dimensions && draft.seed !== space.seed)
      book.drafts.delete(place)
  }
  await look(book)
  return undefined
}

/**
 * @param proposal its id, as `proposalsOf` has it
 * @param anyway a person insists, though too few speak for it that were not raised meanwhile
 */
export async function adoptNow(
  { book, newVersion }: ActParts,
  key: BaselineKey,
  proposal: string,
  anyway: boolean,
  { by, reason, now }: By
): Promise<Done> {
  const place = slotKey(key)
  const [held, probation] = [book.slots.get(place), book.probations.get(place)]
  const kept = held?.slot.inForce
  const one = proposalsOf(book, key).find(({ id }) => id === proposal)?.neighbourhood
  if (kept === undefined || probation === undefined || one === undefined) return not(404, 'There is no such proposal; it may be over.')
  const doubts = doubtsAbout(one)
  if (doubts !== undefined && !anyway) return not(409, `${doubts}. Whoever has looked at what they asked for can adopt it --anyway.`)
  try {
    const baseline = adopt(kept.baseline, probation, one, newVersion(), now)
    return await change(book, key, (slot) =>
      slot.inForce?.baseline.version === kept.baseline.version
        ? { ...slot, inForce: { ...kept, baseline, by, reason, at: now } }
        : undefined
    )
  } catch (cause) {
    if (cause instanceof RangeError) return not(409, `${cause.message}.`)
    throw cause
  }
}

/** New neighbourhoods that are ready for a person's look, with ids that hold as long as they do. */
export function proposalsOf({ probations }: Book, key: BaselineKey) {
  const probation = probations.get(slotKey(key))
  if (probation === undefined) return []
  return candidatesOf(probation).map((neighbourhood) => ({
    id: `${neighbourhood.firstAt.toString(36)}-${probation.neighbourhoods.indexOf(neighbourhood)}`,
    neighbourhood,
    /** Why it takes a person who insists. */
    doubts: doubtsAbout(neighbourhood)
  }))
}

/** @param by undefined: it is no longer what it was */
async function change(book: Book, key: BaselineKey, by: (slot: Slot) => Slot | undefined): Promise<Done> {
  const held = book.slots.get(slotKey(key))
  const after = by(held?.slot ?? { key, inForce: undefined, waiting: undefined, since: 0 })
  if (after === undefined) return FASTER
  const written = await book.parts.generations.put(slotName(key), held?.number ?? 0, slotText(after))
  if (written.kind !== 'written') return said(written)
  await look(book)
  const kept = after.inForce ?? after.waiting
  return { kind: 'done', versions: kept === undefined ? [] : [kept.baseline.version] }
}

function said(written: { readonly kind: 'changed' } | { readonly kind: 'failed'; readonly because: string }): Done {
  return written.kind === 'changed' ? FASTER : { kind: 'unavailable', because: `The folder of baselines fails: ${written.because}` }
}
