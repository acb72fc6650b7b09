/** Keeps a table of standings and the store in step: writes what changed here, hears what changed elsewhere, mends what the store lost. */
import { isActive, type StandingRecord, scopeKey } from '../core/standing.ts'
import type { Stamp, Store } from '../core/store.ts'
import { standingFrom, standingText } from './standing-text.ts'
import type { Journal } from './standings-journal.ts'
import { type Heard, readNews, readShard, removeStanding, SHARDS, writeStanding } from './standings-store.ts'
import { type Entry, isOver, shapeOf, type Table } from './standings-table.ts'

/** Shards that are read together while catching up. */
const SHARDS_AT_ONCE = 16
const WRITES_AT_ONCE = 32
/** Rounds for one look at a shard and at what others left in their journals, where a stamp tells of everything that is written. */
const SELDOM = 10
/** Of a store that has just begun, as after it was wiped: who starts now waits until those that know have told it. */
const TOLD_MS = 5_000
/** And for so long all of it is looked at again and again, as what they tell is no news. */
const EAGER_MS = 15_000
/** Clocks that are kept drift by far less within a round. */
const STEP_MS = 10_000
/** Served time is written when a term is a sixty-fourth further on, and not more often than this. */
const WRITE_SERVED_MS = 10_000

export interface SyncParts {
  readonly store: Store
  readonly journal: Journal | undefined
  readonly table: Table
  /** To be written, and whether others must hear of it at once. */
  readonly dirty: Map<Entry, boolean>
  /** Being written at this moment. */
  readonly writing: Map<Entry, Promise<string | undefined>>
  readonly now: () => number
  readonly tick: () => number
  readonly onTrouble: (because: string | undefined) => void
}

export interface Sync {
  /** One round. */
  readonly poll: () => Promise<void>
  readonly flush: () => Promise<void>
  /** @returns why it could not be written */
  readonly write: (entry: Entry) => Promise<string | undefined>
  readonly isLoaded: () => boolean
  readonly isBehind: () => boolean
  readonly staleMs: () => number
}

interface State {
  readonly parts: SyncParts
  /** News that were heard. */
  readonly known: Map<string, string>
  /** Of the store, when all news were heard; undefined: it has none, or they were not. */
  stamp: Stamp | undefined
  era: string | undefined
  /** When that era was first seen here. */
  eraAt: number
  /** What the clock of the day is ahead of the one that never steps. */
  ahead: number
  rounds: number
  loaded: boolean
  /** All of it was looked at once. */
  wasThrough: boolean
  freshAt: number
  /** Shards still to be read before everything is known. */
  behind: number
  next: number
}

export function createSync(parts: SyncParts): Sync {
  const nothing = { stamp: undefined, era: undefined, rounds: 0, loaded: false, wasThrough: false, behind: SHARDS, next: 0 }
  const its: State = { parts, known: new Map(), freshAt: parts.tick(), eraAt: parts.tick(), ahead: parts.now() - parts.tick(), ...nothing }
  const trouble = createTrouble(parts.onTrouble)
  return {
    async poll() {
      if (its.rounds % SELDOM === 0) hearJournals(parts)
      const wrote = await flush(parts)
      sweep(parts, its.rounds % SHARDS)
      const heard = await hearAll(its)
      its.rounds++
      trouble(heard ?? wrote)
    },
    async flush() {
      const fault = await flush(parts)
      if (fault !== undefined) trouble(fault)
    },
    write: (entry) => write(parts, entry),
    isLoaded: () => its.loaded,
    isBehind: () => its.behind > 0 && !its.wasThrough,
    staleMs: () => parts.tick() - its.freshAt
  }
}

/** Says a trouble once as long as it stays the same, and its end. */
function createTrouble(onTrouble: (because: string | undefined) => void): (because: string | undefined) => void {
  let last: string | undefined
  return (because) => {
    if (because === last) return
    last = because
    onTrouble(because)
  }
}

async function flush(parts: SyncParts): Promise<string | undefined> {
  const entries = [...parts.dirty.keys()]
  for (let at = 0; at < entries.length; at += WRITES_AT_ONCE) {
    const faults = await Promise.all(entries.slice(at, at + WRITES_AT_ONCE).map((entry) => write(parts, entry)))
    const fault = faults.find((one) => one !== undefined)
    if (fault !== undefined) return fault
  }
  if (parts.dirty.size === 0 && parts.writing.size === 0) parts.journal?.clear()
  return undefined
}

/** One write of an entry at a time; who comes meanwhile waits for it, and writes what has changed since. */
async function write(parts: SyncParts, entry: Entry): Promise<string | undefined> {
  for (let under = parts.writing.get(entry); under !== undefined; under = parts.writing.get(entry)) await under
  const writing = writeOne(parts, entry)
  parts.writing.set(entry, writing)
  const fault = await writing
  parts.writing.delete(entry)
  return fault
}

async function writeOne({ store, table, dirty, now }: SyncParts, entry: Entry): Promise<string | undefined> {
  const isNews = dirty.get(entry)
  if (isNews === undefined) return undefined
  // What changes while this is under way is to be written again.
  dirty.delete(entry)
  entry.writtenServed = servedOf(entry.record)
  const wrote = await writeStanding(store, entry.place, entry.record, isNews, now())
  if (wrote.kind === 'wrote') {
    table.hear(wrote.record, now())
    return undefined
  }
  dirty.set(entry, isNews || dirty.get(entry) === true)
  return wrote.because
}

async function hearAll(its: State): Promise<string | undefined> {
  const { parts } = its
  const asked = parts.tick()
  const stamp = await parts.store.stamp?.()
  if (stamp !== undefined && (stamp.era !== its.era || hasStepped(its))) [its.era, its.eraAt, its.behind] = [stamp.era, asked, SHARDS]
  const isQuiet = stamp !== undefined && stamp.turn === its.stamp?.turn && stamp.era === its.stamp.era
  const fault = isQuiet ? undefined : await hearNews(its, stamp)
  if (fault !== undefined) return fault
  const wanted = its.behind > 0 ? SHARDS_AT_ONCE : stamp === undefined || its.rounds % SELDOM === 0 ? 1 : 0
  const faults = await Promise.all(Array.from({ length: wanted }, (_, at) => hearShard(parts, (its.next + at) % SHARDS)))
  const first = faults.find((one) => one !== undefined)
  if (first !== undefined) return first
  its.next = (its.next + wanted) % SHARDS
  its.behind = Math.max(0, its.behind - wanted)
  if (its.behind > 0) return undefined
  const age = stamp?.ageMs ?? Number.POSITIVE_INFINITY
  its.wasThrough = true
  its.loaded ||= age > TOLD_MS
  its.freshAt = asked
  if (stamp !== undefined && (age < EAGER_MS || asked - its.eraAt < EAGER_MS)) its.behind = SHARDS
  return undefined
}

/** The clock was set: news may have been over before they were heard. */
function hasStepped(its: State): boolean {
  const { now, tick } = its.parts
  const before = its.ahead
  its.ahead = now() - tick()
  return Math.abs(its.ahead - before) > STEP_MS
}

async function hearNews(its: State, stamp: Stamp | undefined): Promise<string | undefined> {
  its.stamp = undefined
  const news = await readNews(its.parts.store, its.known, its.parts.now())
  const fault = hear(its.parts, news)
  if (fault !== undefined) return fault
  // Not all news can be listed: every record is looked at instead.
  if (news.kind === 'heard' && news.more) its.behind = SHARDS
  else its.stamp = stamp
  return undefined
}

/** What a run that was killed could not tell the store any more, or one that goes on cannot now. */
function hearJournals({ journal, table, dirty, now }: SyncParts): void {
  for (const text of journal?.others() ?? []) {
    const record = standingFrom(text)
    if (record === undefined) continue
    const before = table.get(record.scope)?.record
    const entry = table.hear(record, now())
    if (before !== undefined && shapeOf(before) === shapeOf(entry.record)) continue
    dirty.set(entry, true)
    journal?.note(standingText(entry.record) ?? text)
  }
}

function hear({ table, dirty, now }: SyncParts, heard: Heard): string | undefined {
  if (heard.kind === 'failed') return heard.because
  for (const record of heard.records) {
    const entry = table.hear(record, now())
    // What is there lacks something, such as after a restored backup: it is told again.
    if (shapeOf(entry.record) !== shapeOf(record)) dirty.set(entry, dirty.get(entry) === true)
  }
  return undefined
}

async function hearShard(parts: SyncParts, shard: number): Promise<string | undefined> {
  const heard = await readShard(parts.store, shard, parts.now())
  if (heard.kind === 'heard' && heard.more) return `shard ${shard} of the standings has more than can be listed`
  const fault = hear(parts, heard)
  if (fault === undefined && heard.kind === 'heard') mend(parts, shard, heard.records)
  return fault
}

/** What the store has lost is told again. */
function mend({ table, dirty }: SyncParts, shard: number, records: readonly StandingRecord[]): void {
  const there = new Set(records.map(({ scope }) => scopeKey(scope)))
  for (const entry of table.ofShard(shard)) if (!there.has(entry.place)) dirty.set(entry, dirty.get(entry) === true)
}

/** What has ended long ago is let go, what has served for long is written. */
function sweep({ table, dirty, store, now, tick }: SyncParts, shard: number): void {
  for (const entry of table.ofShard(shard)) {
    table.settle(entry, now())
    if (isOver(entry, tick())) {
      table.letGo(entry)
      dirty.delete(entry)
      void removeStanding(store, entry.place, entry.record, now())
    } else if (isFurther(entry)) dirty.set(entry, dirty.get(entry) === true)
  }
}

function servedOf({ terms }: StandingRecord): number {
  return terms.reduce((sum, term) => sum + term.servedMs, 0)
}

function isFurther({ record, writtenServed }: Entry): boolean {
  const shortest = record.terms.reduce((least, term) => (isActive(term) ? Math.min(least, term.durationMs) : least), Number.MAX_VALUE)
  return servedOf(record) - writtenServed > Math.max(WRITE_SERVED_MS, Math.min(shortest, 86_400_000) / 64)
}
