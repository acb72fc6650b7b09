/**
 * Records in memory. Time is served when a record is looked at, by a clock that never steps. Only what has wholly ended is ever let go, and
 * the name of this run changes with it: a name of a term that was let go is never given again.
 */
import {
  type CohortScope,
  heldBy,
  isActive,
  merged,
  newRecord,
  quarantinePlaces,
  type Scope,
  type StandingRecord,
  scopeKey,
  served,
  standingOf
} from '../core/standing.ts'
import { type Changed, type Move, STANDINGS_MAX } from '../core/standings.ts'
import { SHARDS, shardNumber } from './standings-store.ts'

export interface Entry {
  readonly place: string
  /** Of the store, that it belongs to. */
  readonly shard: number
  record: StandingRecord
  /** Until when its terms were served, by `tick`. */
  servedAt: number
  /** When it was last changed, by `tick`. */
  changedAt: number
  /** Served milliseconds of its terms when it was last written. */
  writtenServed: number
}

export interface TableParts {
  /** Names this run of this process and no other one ever: random. */
  readonly run: string
  /** Milliseconds, by a clock that never steps. */
  readonly tick: () => number
  readonly onMove: (move: Move) => void
  /** Something is to be written. @param isNews others must hear of it at once */
  readonly onChange: (entry: Entry, isNews: boolean) => void
  readonly most?: number
}

/** Looked at more often, a record is served for the same time. */
const SERVE_STEP_MS = 1_000
/** After no room was found; ms. */
const LOOK_AGAIN_MS = 1_000
/** What ended so long ago is let go: no replica, no replay comes back after that. */
const KEPT_ENDED_MS = 7 * 86_400_000

export interface Table {
  readonly workload: (id: string) => Entry | undefined
  readonly get: (scope: Scope) => Entry | undefined
  readonly all: () => Iterable<Entry>
  readonly ofShard: (shard: number) => ReadonlySet<Entry>
  readonly cohorts: () => ReadonlyMap<string, Entry>
  readonly change: (scope: Scope, change: (record: StandingRecord, run: string) => StandingRecord, now: number) => Changed
  /** What another process knows, which is never refused. */
  readonly hear: (record: StandingRecord, now: number) => Entry
  /** Lets time pass for it. */
  readonly settle: (entry: Entry, now: number) => void
  readonly letGo: (entry: Entry) => void
  readonly quarantinedIn: (cohort: CohortScope) => ReadonlyMap<string, number>
}

const NOBODY: ReadonlyMap<string, number> = new Map()
const NONE: ReadonlySet<Entry> = new Set()

interface State {
  readonly parts: TableParts
  /** By SPIFFE ID. */
  readonly workloads: Map<string, Entry>
  /** By `scopeKey`. */
  readonly cohorts: Map<string, Entry>
  readonly shards: readonly Set<Entry>[]
  /** By `scopeKey` of a cohort: who is quarantined for it, and since when. */
  readonly members: Map<string, Map<string, number>>
  /** How often the name of the run has changed. */
  generation: number
  /** When no room was found the last time, by `tick`. */
  lookedAt: number
}

export function createTable(parts: TableParts): Table {
  const its: State = {
    parts,
    workloads: new Map(),
    cohorts: new Map(),
    shards: Array.from({ length: SHARDS }, () => new Set()),
    members: new Map(),
    generation: 0,
    lookedAt: Number.NEGATIVE_INFINITY
  }
  return {
    workload: (id) => its.workloads.get(id),
    get: (scope) => get(its, scope),
    all: function* () {
      yield* its.workloads.values()
      yield* its.cohorts.values()
    },
    ofShard: (shard) => its.shards[shard] ?? NONE,
    cohorts: () => its.cohorts,
    change: (scope, by, now) => change(its, scope, by, now),
    hear: (record, now) => hear(its, record, now),
    settle: (entry, now) => settle(its, entry, now),
    letGo: (entry) => letGo(its, entry),
    quarantinedIn: (cohort) => its.members.get(scopeKey(cohort)) ?? NOBODY
  }
}

function mapOf(its: State, scope: Scope): Map<string, Entry> {
  return scope.kind === 'workload' ? its.workloads : its.cohorts
}

function nameOf(scope: Scope): string {
  return scope.kind === 'workload' ? scope.id : scopeKey(scope)
}

function get(its: State, scope: Scope): Entry | undefined {
  return mapOf(its, scope).get(nameOf(scope))
}

function newEntry({ parts }: State, scope: Scope): Entry {
  const tick = parts.tick()
  const place = scopeKey(scope)
  return { place, shard: shardNumber(place), record: newRecord(scope), servedAt: tick, changedAt: tick, writtenServed: 0 }
}

function put(its: State, entry: Entry, next: StandingRecord, heard: boolean, now: number): void {
  const [before, from, to] = [entry.record, standingOf(entry.record), standingOf(next)]
  entry.record = next
  entry.changedAt = its.parts.tick()
  mapOf(its, next.scope).set(nameOf(next.scope), entry)
  its.shards[entry.shard]?.add(entry)
  noteMembers(its.members, before, next)
  const term = heldBy(next)
  if (from !== to) its.parts.onMove({ scope: next.scope, from, to, term, heard, at: now })
}

function change(its: State, scope: Scope, by: (record: StandingRecord, run: string) => StandingRecord, now: number): Changed {
  const { parts, generation } = its
  const known = get(its, scope)
  const entry = known ?? newEntry(its, scope)
  settle(its, entry, now)
  const next = by(entry.record, generation === 0 ? parts.run : `${parts.run}.${generation}`)
  if (next === entry.record) return 'same'
  if (known === undefined && !hasRoom(its)) return 'full'
  put(its, entry, next, false, now)
  parts.onChange(entry, true)
  return 'changed'
}

function hear(its: State, record: StandingRecord, now: number): Entry {
  const known = get(its, record.scope)
  const entry = known ?? newEntry(its, record.scope)
  settle(its, entry, now)
  const next = merged(entry.record, record)
  // Heard again and again while nothing happens: that is no change.
  if (known !== undefined && shapeOf(next) === shapeOf(entry.record)) entry.record = next
  else put(its, entry, next, true, now)
  return entry
}

function settle(its: State, entry: Entry, now: number): void {
  const elapsed = its.parts.tick() - entry.servedAt
  if (elapsed < SERVE_STEP_MS) return
  entry.servedAt += elapsed
  const next = served(entry.record, elapsed)
  if (next === entry.record) return
  // Every process sees a term end by itself: that is no news.
  if (standingOf(next) === standingOf(entry.record)) entry.record = next
  else {
    put(its, entry, next, false, now)
    its.parts.onChange(entry, false)
  }
}

function letGo(its: State, entry: Entry): void {
  const { record } = entry
  its.shards[entry.shard]?.delete(entry)
  noteMembers(its.members, record, newRecord(record.scope))
  mapOf(its, record.scope).delete(nameOf(record.scope))
  its.generation++
}

/** Lets go of what has wholly ended where there is no room; what is held is never let go. */
function hasRoom(its: State): boolean {
  const { workloads, cohorts, parts } = its
  if (workloads.size + cohorts.size < (parts.most ?? STANDINGS_MAX)) return true
  // To look through all of them for room that is not there, again and again, would be the end of whoever is asked.
  if (parts.tick() - its.lookedAt < LOOK_AGAIN_MS) return false
  for (const map of [workloads, cohorts]) {
    for (const entry of map.values()) {
      if (entry.record.terms.some(isActive)) continue
      letGo(its, entry)
      return true
    }
  }
  its.lookedAt = parts.tick()
  return false
}

/** What others must know of a record; time served is not part of it. */
export function shapeOf({ horizon, terms, strikes, vouch }: StandingRecord): string {
  return JSON.stringify([horizon, terms.map(({ dot, ended }) => [dot, ended]), strikes, vouch])
}

export function isOver({ record, changedAt }: Entry, tick: number): boolean {
  return tick - changedAt > KEPT_ENDED_MS && !record.terms.some(isActive)
}

function noteMembers(members: Map<string, Map<string, number>>, before: StandingRecord, after: StandingRecord): void {
  if (after.scope.kind !== 'workload') return
  const { id } = after.scope
  for (const { cohort } of quarantinePlaces(before)) {
    const name = scopeKey(cohort)
    const there = members.get(name)
    there?.delete(id)
    if (there?.size === 0) members.delete(name)
  }
  for (const { cohort, since } of quarantinePlaces(after)) {
    const name = scopeKey(cohort)
    const there = members.get(name) ?? new Map<string, number>()
    members.set(name, there.set(id, since))
  }
}
