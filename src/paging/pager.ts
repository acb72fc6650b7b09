/**
 * Tells receivers about pages: first that one is open, then that it is over, each at least once and in this order. What is to be told is on
 * the disk before it is tried, so a restart goes on with it; after the limit it is written to the dead letters, and nobody has read it.
 */
import type { Page, PageEnd, PageState, Severity } from '../core/page.ts'
import { type Entry, entryOf, type Spool, spoolName, type Told, textOf } from './entry.ts'
import type { Sent } from './send.ts'

export interface Receiver {
  readonly id: string
  readonly wants: (severity: Severity) => boolean
  /** How often an open page is said again; undefined: once. */
  readonly repeatMs: number | undefined
  /** Never rejects. */
  readonly tell: (page: Page, state: PageState, now: number) => Promise<Sent>
}

export type PagerEvent =
  | {
      readonly kind: 'told' | 'failed' | 'dead'
      readonly receiver: string
      readonly page: Page
      readonly state: PageState
      readonly because: string
      /** Of this one, the last included. */
      readonly tries: number
    }
  /** The disk does not keep what is to be told; it is told all the same. */
  | { readonly kind: 'spool'; readonly because: string }

export interface PagerParts {
  readonly receivers: readonly Receiver[]
  readonly spool: Spool
  /** Keeps one line that could not be told. Rejects where it cannot. */
  readonly bury: (line: string) => Promise<void>
  readonly now: () => number
  /** Milliseconds before the next try, after so many failures in a row; with jitter. */
  readonly pauseMs: (failures: number) => number
  /** How long one thing is tried. */
  readonly giveUpMs: number
  /** Open pages at a time: nobody reads more. */
  readonly most: number
  readonly onEvent: (event: PagerEvent) => void
}

export interface Pager {
  /** What was open, or not told yet, when a process before this one ended. */
  readonly load: () => Promise<readonly Page[]>
  /** `known`: it is open already. `unwanted`: no receiver takes its severity. */
  readonly open: (page: Page) => 'opened' | 'known' | 'unwanted' | 'full'
  readonly end: (key: string, ended: PageEnd) => void
  /** Says that it is over, where another process has said that it is open. */
  readonly over: (page: Page, ended: PageEnd) => void
  readonly isOpen: (key: string) => boolean
  /** Pages that somebody has not been told all about. */
  readonly waiting: () => number
  /** What is under way is waited for; the rest is on the disk. */
  readonly close: () => Promise<void>
}

interface Its {
  readonly parts: PagerParts
  readonly entries: Map<string, Entry>
  /** Receivers that are being told something. */
  readonly busy: Map<string, Promise<void>>
  timer: NodeJS.Timeout | undefined
  closed: boolean
}

export function createPager(parts: PagerParts): Pager {
  const its: Its = { parts, entries: new Map(), busy: new Map(), timer: undefined, closed: false }
  return {
    load: () => load(its),
    open: (page) => open(its, page),
    end: (key, ended) => end(its, key, ended),
    over(page, ended) {
      const opened = open(its, page)
      if (opened !== 'opened') return
      for (const told of its.entries.get(page.key)?.told.values() ?? []) told.state = 'firing'
      end(its, page.key, ended)
    },
    isOpen: (key) => its.entries.has(key),
    waiting: () => [...its.entries.values()].filter(({ page, told }) => [...told.values()].some((one) => lacks(page, one))).length,
    async close() {
      its.closed = true
      clearTimeout(its.timer)
      await Promise.all(its.busy.values())
      await Promise.all([...its.entries.values()].map(({ saved }) => saved))
    }
  }
}

function open(its: Its, page: Page): ReturnType<Pager['open']> {
  const { entries, parts } = its
  if (entries.has(page.key)) return 'known'
  // That there are too many is one of the few things that must still be said.
  if (page.kind !== 'outage' && crowd(entries) >= parts.most) return 'full'
  const entry = entryOf(page, wanting(parts, page), parts.now())
  if (entry.told.size === 0) return 'unwanted'
  entries.set(page.key, entry)
  settle(its, entry)
  // Whoever opens it may have more to say about it.
  queueMicrotask(() => pump(its))
  return 'opened'
}

function crowd(entries: Its['entries']): number {
  let open = 0
  for (const { page } of entries.values()) if (page.kind !== 'outage') open++
  return open
}

function end(its: Its, key: string, ended: PageEnd): void {
  const entry = its.entries.get(key)
  if (entry === undefined || entry.page.ended !== undefined) return
  entry.page = { ...entry.page, ended }
  for (const told of entry.told.values()) if (told.state === 'firing') Object.assign(told, { failures: 0, since: ended.at, next: 0 })
  settle(its, entry)
  pump(its)
}

function wanting({ receivers }: PagerParts, { severity }: Page): readonly string[] {
  return receivers.filter(({ wants }) => wants(severity)).map(({ id }) => id)
}

async function load(its: Its): Promise<readonly Page[]> {
  const { spool, receivers, now, onEvent } = its.parts
  const { entries, broken } = await spool.read()
  for (const name of broken) onEvent({ kind: 'spool', because: `${name} is damaged, and nobody is told what it said` })
  for (const { page, told } of entries) {
    // Receivers are added and taken away: whom a page is for, the settings say now.
    const entry = entryOf(page, wanting(its.parts, page), now())
    its.entries.set(page.key, entry)
    for (const { id, repeatMs } of receivers) {
      const known = told.get(id)
      if (known === undefined || !entry.told.has(id)) continue
      // Who wants to hear it again may have been restarted as well.
      const next = known.state === 'firing' && repeatMs !== undefined ? now() : nextOf(page, known.state, now(), repeatMs)
      entry.told.set(id, { ...known, next })
    }
    settle(its, entry)
  }
  pump(its)
  return entries.map(({ page }) => page)
}

/** Written down, and let go of when everybody was told that it is over. */
function settle(its: Its, entry: Entry): void {
  const over = [...entry.told.values()].every(({ state }) => state === 'resolved')
  if (over) its.entries.delete(entry.page.key)
  save(its, entry, over)
}

function lacks({ ended }: Page, { state }: Told): boolean {
  return state === 'nothing' || (state === 'firing' && ended !== undefined)
}

/** One at a time for each receiver: who is slow keeps nobody else waiting. */
function pump(its: Its): void {
  if (its.closed) return
  for (const receiver of its.parts.receivers) {
    if (its.busy.has(receiver.id)) continue
    const due = dueOf(its, receiver)
    if (due === undefined) continue
    const done = tell(its, receiver, due).finally(() => {
      its.busy.delete(receiver.id)
      pump(its)
    })
    its.busy.set(receiver.id, done)
  }
  wakeUp(its)
}

function dueOf({ entries, parts }: Its, { id }: Receiver): Entry | undefined {
  const now = parts.now()
  let [first, at] = [undefined as Entry | undefined, Number.POSITIVE_INFINITY]
  for (const entry of entries.values()) {
    const next = entry.told.get(id)?.next ?? Number.POSITIVE_INFINITY
    const isDue = next <= now || (next - now > WAIT_MS_MAX && next !== Number.POSITIVE_INFINITY)
    if (isDue && next < at) [first, at] = [entry, next]
  }
  return first
}

/** Looked at so often at least: timers do not see that a clock was set. */
const SLEEP_MS_MAX = 30_000
/** Nothing waits for longer, but what a clock that was set back seems to wait for. */
const WAIT_MS_MAX = 330_000
/** Before anything is given up. */
const TRIES_MIN = 8

function wakeUp(its: Its): void {
  clearTimeout(its.timer)
  const { entries, busy, parts } = its
  let next = Number.POSITIVE_INFINITY
  for (const { told } of entries.values()) for (const [id, one] of told) if (!busy.has(id)) next = Math.min(next, one.next)
  if (next === Number.POSITIVE_INFINITY) return
  its.timer = setTimeout(() => pump(its), Math.min(SLEEP_MS_MAX, Math.max(10, next - parts.now())))
  its.timer.unref()
}

async function tell(its: Its, receiver: Receiver, entry: Entry): Promise<void> {
  const { parts } = its
  const told = entry.told.get(receiver.id)
  if (told === undefined) return
  // Told before it is written, it would be told twice by the next process, or never.
  await entry.saved
  const { page } = entry
  const isRepeat = !lacks(page, told)
  const state: PageState = told.state === 'firing' && page.ended !== undefined ? 'resolved' : 'firing'
  const sent = await receiver.tell(page, state, parts.now())
  const now = parts.now()
  const event = { receiver: receiver.id, page, state }
  if (sent.ok) {
    parts.onEvent({ ...event, kind: 'told', because: '', tries: told.failures + 1 })
    return advance(its, entry, receiver, told, state)
  }
  const tries = ++told.failures
  const { because, retryAfterMs = 0 } = sent
  // A clock that leaps gives nothing up: it must have been tried.
  if (!isRepeat && tries >= TRIES_MIN && now - told.since >= parts.giveUpMs) {
    const line = JSON.stringify({ ts: new Date(now).toISOString(), receiver: receiver.id, state, because, tries, page })
    await parts
      .bury(line)
      .catch((cause: Error) => parts.onEvent({ kind: 'spool', because: `a dead letter cannot be kept: ${cause.message}` }))
    parts.onEvent({ ...event, kind: 'dead', because, tries })
    return advance(its, entry, receiver, told, state)
  }
  told.next = now + Math.max(parts.pauseMs(told.failures), retryAfterMs)
  parts.onEvent({ ...event, kind: 'failed', because, tries })
}

function advance(its: Its, entry: Entry, { repeatMs }: Receiver, told: Told, state: PageState): void {
  const now = its.parts.now()
  const isRepeat = told.state === state
  Object.assign(told, { state, failures: 0, since: now, next: nextOf(entry.page, state, now, repeatMs) })
  // Said once more, nothing has changed that the disk should know.
  if (!isRepeat) settle(its, entry)
}

function nextOf({ ended }: Page, state: Told['state'], now: number, repeatMs: number | undefined): number {
  if (state === 'nothing') return now
  if (state === 'resolved') return Number.POSITIVE_INFINITY
  return ended === undefined ? now + (repeatMs ?? Number.POSITIVE_INFINITY) : now
}

/** In order: what was written last is what counts. */
function save({ parts }: Its, entry: Entry, over = false): void {
  const name = spoolName(entry.page.key)
  const text = textOf(entry)
  entry.saved = entry.saved
    .then(() => (over ? parts.spool.remove(name) : parts.spool.write(name, text)))
    .catch((cause: Error) => parts.onEvent({ kind: 'spool', because: cause.message }))
}
