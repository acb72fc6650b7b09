/** Keeps baselines: what decisions ask, what people do, and the rounds that look, save and freeze. */
import { createHash, createHmac, randomBytes, randomInt } from 'node:crypto'
import { join } from 'node:path'
import { type BaselineKey, BURSTS_MIN, type DriftDraft, type VectorForm } from '../core/drift.ts'
import { key as joined } from '../core/keys.ts'
import type { By } from '../core/risk-desk.ts'
import type { BaselineBook } from '../risk/drift-book.ts'
import { type Progress, progressOf } from '../risk/drift-learn.ts'
import type { ReadyBaseline } from '../risk/drift-ready.ts'
import type { Kernel } from '../risk/kernel.ts'
import { memoryGenerations, openGenerations } from '../state/generations.ts'
import { createRounds } from '../state/rounds.ts'
import { openSealedFiles, type SealedFiles } from '../state/sealed-files.ts'
import { type ActParts, adoptNow, approve, type Done, exported, freezeNow, imported, proposalsOf, reset } from './acts.ts'
import { type Book, judging, look, newBook, note, noteOutliers, noteRaised, seedOf } from './book.ts'
import { draftBytes, draftFrom } from './draft-bytes.ts'
import { freezeAside } from './freeze-aside.ts'
import { type Slot, slotKey, slotName } from './slot-text.ts'

const SECRET = 'secret-00000000'
const LOOK_MS = 1_000
const SAVE_MS = 30_000
const FREEZE_MS = 10_000
/** A draft is looked at again when it has grown by an eighth. */
const GROWN = 1.125

export interface BaselinesOptions {
  /** undefined: forgotten with the process. */
  readonly folder: string | undefined
  /** Names this process among those that share the folder, and is the same after a restart. */
  readonly owner: string
  readonly kernel: Kernel
  /** Bursts from which on what was learnt is frozen by itself. */
  readonly freezeAfterBursts: number
  /** Nobody is asked: what is frozen is in force. */
  readonly approveByItself: boolean
  readonly now: () => number
  /** For the operational log. */
  readonly onTrouble: (because: string) => void
  readonly onFrozen: (key: BaselineKey, versions: readonly string[]) => void
}

/** One row for people. Times are ms since the epoch. */
export interface BaselineRow {
  readonly key: BaselineKey
  readonly state: 'learning' | 'waiting' | 'in-force' | 'reset'
  readonly progress: Progress | undefined
  readonly slot: Slot | undefined
  readonly proposals: number
}

export interface Baselines {
  readonly book: BaselineBook
  /** In force under that very key. */
  readonly readyOf: (key: BaselineKey) => ReadyBaseline | undefined
  /** Exposure budget of a day, in records, as an approver set it. */
  readonly approvedDaily: (key: BaselineKey) => number | undefined
  readonly list: () => readonly BaselineRow[]
  readonly crowded: () => number
  readonly proposals: (key: BaselineKey) => ReturnType<typeof proposalsOf>
  readonly freeze: (key: BaselineKey, by: By) => Promise<Done>
  readonly approve: (key: BaselineKey, daily: number | undefined, by: By) => Promise<Done>
  readonly reset: (key: BaselineKey, by: By) => Promise<Done>
  readonly export: (key: BaselineKey) => string | undefined
  readonly import: (text: string, add: boolean, by: By) => Promise<Done>
  /** @param anyway though too few speak for it that were not raised meanwhile */
  readonly adopt: (key: BaselineKey, proposal: string, anyway: boolean, by: By) => Promise<Done>
  /** A workload was slowed, challenged or quarantined, here or elsewhere: it speaks for nothing that becomes normal. */
  readonly raised: (workload: string, at: number) => void
  /** Why it is not known what is in force. */
  readonly fault: () => string | undefined
  /** One round of each: looks, freezes what is ready, saves what was learnt. Never rejects. */
  readonly round: () => Promise<void>
  readonly start: () => void
  readonly stop: () => Promise<void>
}

/** @throws Error with a sentence where the folder cannot be used */
export async function openBaselines(options: BaselinesOptions): Promise<Baselines> {
  const { folder, owner, kernel, onTrouble } = options
  const generations = folder === undefined ? memoryGenerations() : await openGenerations(folder)
  const files = folder === undefined ? undefined : await openSealedFiles(join(folder, 'drafts'), ownerName(owner))
  const secret = await secretOf(folder)
  const seedFor = (...of: [string, VectorForm, number]) =>
    createHmac('sha256', secret)
      .update(joined(of[0], of[1], String(of[2])), 'utf16le')
      .digest()
      .readUInt32LE(0)
  const book = newBook({ generations, kernel, seedFor, onTrouble })
  await look(book)
  if (files !== undefined) await readDrafts(book, files, onTrouble)
  const stopped = new AbortController()
  const parts: ActParts = {
    book,
    draftsElsewhere: async (key) => (files === undefined ? [] : elsewhere(files, ownerName(owner), key)),
    freezeAside: (question) => freezeAside(question, stopped.signal),
    newVersion: () => randomBytes(6).toString('hex'),
    newSeed: () => randomInt(2 ** 31)
  }
  const rounds = roundsOf(parts, files, options, stopped)
  return {
    book: {
      of: (...asked) => judging(book, ...asked),
      learn: (...noted) => note(book, ...noted),
      seedOf: (...of) => seedOf(book, ...of),
      propose: (...noted) => noteOutliers(book, ...noted)
    },
    readyOf: (key) => book.slots.get(slotKey(key))?.ready,
    approvedDaily: (key) => book.slots.get(slotKey(key))?.slot.inForce?.daily,
    list: () => rowsOf(book),
    crowded: () => book.crowded,
    proposals: (key) => proposalsOf(book, key),
    freeze: (key, by) => attempt(() => freezeNow(parts, key, by)),
    approve: (key, daily, by) => attempt(() => approve(book, key, daily, by)),
    reset: async (key, by) => {
      const done = await attempt(() => reset(book, key, by))
      if (done.kind === 'done') book.drafts.delete(slotKey(key))
      return done
    },
    export: (key) => exported(book, key),
    import: (text, add, by) => attempt(() => imported(book, text, add, by)),
    adopt: (key, proposal, anyway, by) => attempt(() => adoptNow(parts, key, proposal, anyway, by)),
    raised: (workload, at) => noteRaised(book, workload, at),
    fault: () => faultOf(book),
    ...rounds
  }
}

/** A folder that is gone, or a worker that fails: the act was not done, or it is not known whether it was. */
async function attempt(act: () => Promise<Done>): Promise<Done> {
  try {
    return await act()
  } catch (cause) {
    return {
      kind: 'unavailable',
      because: `It is not known whether this was done: ${cause instanceof Error ? cause.message : String(cause)}`
    }
  }
}

/** A baseline that cannot be read judges nobody: that is said before anything passes, and not taken for a first day. */
function faultOf({ faults, slots }: Book): string | undefined {
  const inForce = new Set([...slots.values()].map(({ slot }) => slotName(slot.key)))
  return [...faults].find(([name]) => !inForce.has(name))?.[1]
}

export function ownerName(owner: string): string {
  return `drafts-${createHash('sha256').update(owner, 'utf16le').digest('hex').slice(0, 16)}`
}

/** Of all who share the folder; made by the first one. */
async function secretOf(folder: string | undefined): Promise<Buffer> {
  const fresh = randomBytes(32)
  if (folder === undefined) return fresh
  const kept = await openGenerations(join(folder, 'secret'))
  // Whoever is slower reads what the faster one wrote.
  const written = await kept.put(SECRET, 0, fresh.toString('hex'))
  const [found] = await kept.look(new Map())
  if (found?.kind === 'text' && /^[0-9a-f]{64}$/.test(found.text)) return Buffer.from(found.text, 'hex')
  const because = found?.kind === 'fault' ? found.because : written.kind === 'failed' ? written.because : 'its secret is none'
  throw new Error(`The folder ${folder} cannot be used: ${because}.`)
}

async function readDrafts(book: Book, files: SealedFiles, onTrouble: (because: string) => void): Promise<void> {
  for (const name of await files.names()) {
    const bytes = (await files.read(name)).find(({ owner }) => owner === files.owner)?.bytes
    const read = bytes === undefined ? { ok: false as const, because: 'it is damaged' } : draftFrom(bytes)
    if (!read.ok) {
      onTrouble(`what was learnt is lost, and is learnt again: ${name} cannot be used: ${read.because}`)
      continue
    }
    const draft = read.value
    const slot = book.slots.get(slotKey(draft.key))?.slot
    const isOver = slot?.inForce !== undefined || (draft.queries > 0 && (draft.times[0] as number) < (slot?.since ?? 0))
    const fits = draft.seed === seedOf(book, draft.key.tenant, draft.form, draft.dimensions)
    if (!isOver && fits && slotName(draft.key) === name) book.drafts.set(slotKey(draft.key), draft)
  }
}

async function elsewhere(files: SealedFiles, own: string, key: BaselineKey): Promise<readonly DriftDraft[]> {
  const found = await files.read(slotName(key))
  return found.flatMap(({ owner, bytes }) => {
    const read = owner === own || bytes === undefined ? undefined : draftFrom(bytes)
    return read?.ok ? [read.value] : []
  })
}

function rowsOf({ slots, drafts, probations }: Book): readonly BaselineRow[] {
  const places = new Set([...slots.keys(), ...drafts.keys()])
  const rows = [...places].map((place): BaselineRow => {
    const [slot, draft] = [slots.get(place)?.slot, drafts.get(place)]
    const key = (slot?.key ?? draft?.key) as BaselineKey
    const state = slot?.waiting ? 'waiting' : slot?.inForce ? 'in-force' : draft ? 'learning' : 'reset'
    const proposals = probations.has(place) ? proposalsOf({ probations } as Book, key).length : 0
    return { key, state, progress: draft && progressOf(draft), slot, proposals }
  })
  return rows.sort((a, b) => (slotKey(a.key) < slotKey(b.key) ? -1 : 1))
}

function roundsOf(
  parts: ActParts,
  files: SealedFiles | undefined,
  options: BaselinesOptions,
  stopped: AbortController
): Pick<Baselines, 'round' | 'start' | 'stop'> {
  const { book } = parts
  const [saved, tried] = [new Map<string, number>(), new Map<string, number>()]
  const said = createSaying(options.onTrouble)
  let running: Promise<void> = Promise.resolve()
  const inTurn = (what: string, work: () => Promise<void>) => {
    running = running.then(work).then(
      () => said(what, undefined),
      (cause) => said(what, stopped.signal.aborted ? undefined : `${what}: ${cause instanceof Error ? cause.message : String(cause)}`)
    )
    return running
  }
  const looks = () => inTurn('baselines cannot be read', () => look(book))
  const saves = () => inTurn('what was learnt cannot be saved', () => save(book, files, saved))
  const freezes = () => inTurn('baselines cannot be frozen', () => freezeReady(parts, options, tried))
  const rounds = [createRounds(looks, () => LOOK_MS), createRounds(freezes, () => FREEZE_MS), createRounds(saves, () => SAVE_MS)]
  return {
    async round() {
      await looks()
      await freezes()
      await saves()
    },
    start() {
      for (const one of rounds) one.start()
    },
    async stop() {
      stopped.abort()
      await Promise.all(rounds.map((one) => one.stop()))
      await saves()
    }
  }
}

/** Each trouble once, as long as it stays the same. */
function createSaying(onTrouble: (because: string) => void): (what: string, because: string | undefined) => void {
  const last = new Map<string, string | undefined>()
  return (what, because) => {
    if (because !== undefined && last.get(what) !== because) onTrouble(because)
    last.set(what, because)
  }
}

async function save({ drafts }: Book, files: SealedFiles | undefined, saved: Map<string, number>): Promise<void> {
  if (files === undefined) return
  for (const draft of [...drafts.values()]) {
    const name = slotName(draft.key)
    if (saved.get(name) === draft.queries) continue
    await files.write(name, draftBytes(draft))
    saved.set(name, draft.queries)
  }
  const names = new Set([...drafts.values()].map(({ key }) => slotName(key)))
  for (const name of await files.names()) if (!names.has(name)) await files.remove(name)
}

async function freezeReady(
  parts: ActParts,
  { freezeAfterBursts, approveByItself, now, onFrozen }: BaselinesOptions,
  tried: Map<string, number>
) {
  for (const [place, draft] of [...parts.book.drafts]) {
    const slot = parts.book.slots.get(place)?.slot
    if (slot?.waiting !== undefined || slot?.inForce !== undefined) continue
    if (draft.queries < (tried.get(place) ?? 0) * GROWN || draft.queries < freezeAfterBursts) continue
    tried.set(place, draft.queries)
    if (progressOf(draft).bursts < Math.max(BURSTS_MIN, freezeAfterBursts)) continue
    const by = { by: 'automatic', reason: `${freezeAfterBursts} bursts were learnt`, now: now() }
    const done = await freezeNow(parts, draft.key, by)
    if (done.kind === 'unavailable') throw new Error(done.because)
    if (done.kind !== 'done') continue
    onFrozen(draft.key, done.versions)
    if (approveByItself) await approve(parts.book, draft.key, undefined, { ...by, now: now() })
  }
}
