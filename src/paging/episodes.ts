/**
 * When a page begins and ends. Moves, figures and outages are heard in the middle of a decision, so nothing is done there but to note them.
 *
 * Of several replicas the one that decided calls. The others wait: where nobody has told anybody after a while, that one may be gone
 * with its disk, and they call in its place, under the same key.
 */
import { randomBytes } from 'node:crypto'
import type { Page, PageEnd, PageKind, Severity } from '../core/page.ts'
import { type Scope, type Standing, scopeKey } from '../core/standing.ts'
import type { Move } from '../core/standings.ts'
import type { Pager } from './pager.ts'
import { aboutFigure, figurePage, kindOf, type PagedFigure, serverPage, standingPage } from './pages.ts'

export interface EpisodeParts {
  readonly pager: Pager
  /** SPIFFE ID of this server, and where it listens. */
  readonly server: string
  /** Undefined: nobody is called for it. */
  readonly severity: (kind: PageKind) => Severity | undefined
  readonly now: () => number
  /** How a scope stands; undefined while it is not known yet. */
  readonly standing: (scope: Scope) => Standing | undefined
  /** What the replicas know together: who was told, and which episode a figure is in. Never rejects. */
  readonly shared: {
    readonly isTold: (page: string) => Promise<boolean>
    /** @returns the episode that goes on, or `fresh` */
    readonly episode: (about: string, fresh: string, until: number) => Promise<string>
  }
  /** Why calls are not served as they should be; undefined: they are. */
  readonly fault: () => string | undefined
  /** So long a fault must last. */
  readonly outageMs: number
  readonly onTrouble: (because: string) => void
}

export interface Episodes {
  readonly moved: (move: Move) => void
  readonly found: (figure: PagedFigure) => void
  /** Goes on with what a process before this one had open. */
  readonly load: () => Promise<void>
  /** To be asked every few seconds. Never rejects. */
  readonly tick: () => Promise<void>
}

/** A replica that decided has told somebody by then, or it never will. */
const TAKE_OVER_MS = 60_000
/** Episodes that are known here. Beyond, there is more to do than anybody could read. */
const HELD_MAX = 10_000
/** Asked about in one round: each is a question to the store. */
const ASKED_MAX = 32
/** Noted at once; some microseconds each. */
const AT_ONCE = 16
/** A figure that was above its threshold and is not any more: after so many of its windows. */
const QUIET_WINDOWS = 2
const QUIET_MS_MIN = 60_000

interface Its {
  readonly parts: EpisodeParts
  readonly queue: (() => void | Promise<void>)[]
  /** By what it is about: what is held now. `told`: another replica has. */
  readonly held: Map<string, { readonly page: Page; told: boolean }>
  /** By key: when to look whether anybody was told. */
  readonly waiting: Map<string, { readonly page: Page; at: number }>
  readonly figures: Map<string, { readonly key: string; last: number; readonly quietMs: number }>
  readonly outage: { since: number | undefined; key: string | undefined }
  readonly crowd: { key: string | undefined; left: number }
  /** What a process before this one had open, until it is known how it stands. */
  readonly left: Page[]
  isFlushing: boolean
}

export function createEpisodes(parts: EpisodeParts): Episodes {
  const its: Its = {
    parts,
    queue: [],
    held: new Map(),
    waiting: new Map(),
    figures: new Map(),
    outage: { since: undefined, key: undefined },
    crowd: { key: undefined, left: 0 },
    left: [],
    isFlushing: false
  }
  return {
    moved: (move) => later(its, () => moved(its, move)),
    found: (figure) => later(its, () => found(its, figure)),
    load: () => load(its),
    tick: () => tick(its).catch((cause: Error) => parts.onTrouble(cause.message))
  }
}

function later(its: Its, what: () => void | Promise<void>): void {
  its.queue.push(what)
  if (its.isFlushing) return
  its.isFlushing = true
  setImmediate(() => void flush(its))
}

/** In order: a release that overtook its quarantine would leave that open. A few at a time: decisions come first. */
async function flush(its: Its): Promise<void> {
  for (const next of its.queue.splice(0, AT_ONCE)) {
    try {
      await next()
    } catch (cause) {
      its.parts.onTrouble((cause as Error).message)
    }
  }
  its.isFlushing = its.queue.length > 0
  if (its.isFlushing) setImmediate(() => void flush(its))
}

async function load(its: Its): Promise<void> {
  for (const page of await its.parts.pager.load()) {
    if (page.ended !== undefined) continue
    if (page.scope !== undefined) {
      its.held.set(page.about, { page, told: false })
      its.left.push(page)
    } else if (page.kind === 'monitoring') {
      const quietMs = quietFor((page.figures['window_seconds'] ?? 0) * 1000)
      its.figures.set(page.about, { key: page.key, last: its.parts.now(), quietMs })
    } else its.parts.pager.end(page.key, { at: its.parts.now(), says: 'this server was started anew' })
  }
}

function moved(its: Its, move: Move): void {
  const { held, waiting, parts } = its
  const about = scopeKey(move.scope)
  const page = standingPage(move, parts.severity)
  const before = held.get(about)
  // Read from the store after a restart, another term of the same time may be named first.
  const goesOn =
    before !== undefined && (before.page.key === page?.key || (its.left.includes(before.page) && before.page.kind === page?.kind))
  if (before !== undefined && !goesOn) {
    held.delete(about)
    end(its, before, { at: move.at, says: `stands ${move.to} now, after ${move.from}` }, move.heard)
  }
  if (page === undefined || held.has(about)) return
  if (held.size >= HELD_MAX) {
    its.crowd.left++
    return
  }
  held.set(about, { page, told: false })
  // Heard again after a restart, it is open already.
  if (parts.pager.isOpen(page.key)) return
  if (move.heard) waiting.set(page.key, { page, at: parts.now() + TAKE_OVER_MS })
  else open(its, page)
}

function end(
  { parts: { pager }, waiting }: Its,
  { page, told }: { readonly page: Page; readonly told: boolean },
  ended: PageEnd,
  heard: boolean
): void {
  waiting.delete(page.key)
  if (pager.isOpen(page.key)) pager.end(page.key, ended)
  // It was ended here and told elsewhere: that replica hears of it too, if there still is one.
  else if (told && !heard) pager.over(page, ended)
}

function open(its: Its, page: Page): void {
  if (its.parts.pager.open(page) !== 'full') return
  its.crowd.left++
  its.waiting.set(page.key, { page, at: its.parts.now() + TAKE_OVER_MS })
}

async function found(its: Its, figure: PagedFigure): Promise<void> {
  const { parts, figures } = its
  const severity = parts.severity('monitoring')
  if (severity === undefined) return
  const about = aboutFigure(figure)
  const quietMs = quietFor(figure.windowMs)
  const known = figures.get(about)
  // Replicas that see the same figure speak of the same episode.
  const own = known?.key.split('-').at(-1) ?? randomBytes(4).toString('hex')
  const episode = await parts.shared.episode(about, own, figure.at + quietMs)
  if (known !== undefined) known.last = figure.at
  else if (figures.size < HELD_MAX) {
    const page = figurePage(figure, severity, episode)
    figures.set(about, { key: page.key, last: figure.at, quietMs })
    open(its, page)
  }
}

function quietFor(windowMs: number): number {
  return Math.max(QUIET_MS_MIN, QUIET_WINDOWS * windowMs)
}

async function tick(its: Its): Promise<void> {
  settle(its)
  watch(its)
  crowd(its)
  const now = its.parts.now()
  for (const [about, { key, last, quietMs }] of its.figures) {
    if (now - last < quietMs) continue
    its.figures.delete(about)
    its.parts.pager.end(key, { at: now, says: `not seen above its threshold for ${quietMs / 1000} s` })
  }
  await takeOver(its, now)
}

/** What ended while no process ran has ended all the same. */
function settle({ held, left, parts }: Its): void {
  for (let page = left.at(-1); page !== undefined; page = left.at(-1)) {
    const stands = page.scope === undefined ? 'normal' : parts.standing(page.scope)
    if (stands === undefined) return
    left.pop()
    if (kindOf(stands) === page.kind || held.get(page.about)?.page !== page) continue
    held.delete(page.about)
    parts.pager.end(page.key, { at: parts.now(), says: `stands ${stands} since this server was started` })
  }
}

function watch({ parts, outage }: Its): void {
  const severity = parts.severity('outage')
  const fault = parts.fault()
  const now = parts.now()
  if (fault === undefined) {
    if (outage.key !== undefined) parts.pager.end(outage.key, { at: now, says: 'it is there again' })
    Object.assign(outage, { since: undefined, key: undefined })
    return
  }
  outage.since ??= now
  if (severity === undefined || outage.key !== undefined || now - outage.since < parts.outageMs) return
  const page = serverPage(parts.server, 'outage', fault, severity, outage.since)
  if (parts.pager.open(page) === 'opened') outage.key = page.key
}

/** Says once that not everything could be said. */
function crowd({ parts, crowd: its, waiting }: Its): void {
  if (its.left === 0) return
  if (its.key === undefined) {
    const severity = parts.severity('quarantine') ?? 'critical'
    const page = serverPage(parts.server, 'crowd', 'more is held than can be paged one by one: vecauthz standings', severity, parts.now())
    if (parts.pager.open(page) === 'opened') its.key = page.key
  } else if (waiting.size === 0) {
    parts.pager.end(its.key, { at: parts.now(), says: 'everything is paged one by one again' })
    Object.assign(its, { key: undefined, left: 0 })
  }
}

async function takeOver(its: Its, now: number): Promise<void> {
  const { waiting, held, parts } = its
  const due = [...waiting.values()].filter(({ at }) => at <= now).slice(0, ASKED_MAX)
  for (const { page } of due) {
    const told = await parts.shared.isTold(page.key)
    // It may have ended while we asked.
    if (!waiting.delete(page.key)) continue
    const one = held.get(page.about)
    if (!told) open(its, page)
    else if (one?.page.key === page.key) one.told = true
  }
}
