/**
 * Records in memory. Time is served when a record is looked at, by a clock that never steps. Only what has wholly ended is ever let go, and
 * the name of this run changes with it: a name of a term that was let go is never given again.
 */
import {
  type CohortScope,
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

export interface Entry {
  readonly place: string
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
const SERVE_STEP_MS = 250
/** After no room was found; ms. */
const LOOK_AGAIN_MS = 1_000
/** What ended so long ago is let go: no replica, no replay comes back after that. */
const KEPT_ENDED_MS = 7 * 86_400_000

export interface Table {
  readonly workload: (id: string) => Entry | undefined
  readonly get: (scope: Scope) => Entry | undefined
  readonly all: () => Iterable<Entry>
  readonly cohorts: () => number
  readonly change: (scope: Scope, change: (record: StandingRecord, run: string) => StandingRecord, now: number) => Changed
  /** What another process knows, which is never refused. */
  readonly hear: (record: StandingRecord, now: number) => Entry
  /** Lets time pass for it. */
  readonly settle: (entry: Entry, now: number) => void
  readonly letGo: (entry: Entry) => void
  readonly quarantinedIn: (cohort: CohortScope) => ReadonlyMap<string, number>
}

const NOBODY: ReadonlyMap<string, number> = new Map()

export function createTable(parts: TableParts): Table {
  const most = parts.most ?? STANDINGS_MAX
  const [workloads, cohorts, members] = [new Map<string, Entry>(), new Map<string, Entry>(), new Map<string, Map<string, number>>()]
  let [generation, lookedAt] = [0, Number.NEGATIVE_INFINITY]
  // To look through all of them for room that is not there, again and again, would be the end of whoever is asked.
  const hasRoom = () => {
    if (workloads.size + cohorts.size < most) return true
    if (parts.tick() - lookedAt < LOOK_AGAIN_MS) return false
    if (makeRoom(workloads, cohorts, letGo)) return true
    lookedAt = parts.tick()
    return false
  }
  const mapOf = (scope: Scope) => (scope.kind === 'workload' ? workloads : cohorts)
  const nameOf = (scope: Scope) => (scope.kind === 'workload' ? scope.id : scopeKey(scope))
  const get = (scope: Scope) => mapOf(scope).get(nameOf(scope))
  const make = (record: StandingRecord): Entry => {
    const tick = parts.tick()
    return { place: scopeKey(record.scope), record, servedAt: tick, changedAt: tick, writtenServed: 0 }
  }
  const put = (entry: Entry, next: StandingRecord, heard: boolean, now: number) => {
    const [before, from] = [entry.record, standingOf(entry.record)]
    entry.record = next
    entry.changedAt = parts.tick()
    mapOf(next.scope).set(nameOf(next.scope), entry)
    noteMembers(members, before, next)
    const to = standingOf(next)
    const term = next.terms.find((one) => isActive(one) && one.level === to)
    if (from !== to) parts.onMove({ scope: next.scope, from, to, term, heard, at: now })
  }
  const settle = (entry: Entry, now: number) => {
    const elapsed = parts.tick() - entry.servedAt
    if (elapsed < SERVE_STEP_MS) return
    entry.servedAt += elapsed
    const next = served(entry.record, elapsed)
    if (next === entry.record) return
    // Every process sees a term end by itself: that is no news.
    if (standingOf(next) === standingOf(entry.record)) entry.record = next
    else {
      put(entry, next, false, now)
      parts.onChange(entry, false)
    }
  }
  const letGo = ({ record }: Entry) => {
    noteMembers(members, record, newRecord(record.scope))
    mapOf(record.scope).delete(nameOf(record.scope))
    generation++
  }
  return {
    workload: (id) => workloads.get(id),
    get,
    all: function* () {
      yield* workloads.values()
      yield* cohorts.values()
    },
    cohorts: () => cohorts.size,
    change(scope, change, now) {
      const entry = get(scope) ?? make(newRecord(scope))
      settle(entry, now)
      const next = change(entry.record, generation === 0 ? parts.run : `${parts.run}.${generation}`)
      if (next === entry.record) return 'same'
      if (get(scope) === undefined && !hasRoom()) return 'full'
      put(entry, next, false, now)
      parts.onChange(entry, true)
      return 'changed'
    },
    hear(record, now) {
      const entry = get(record.scope) ?? make(newRecord(record.scope))
      settle(entry, now)
      const next = merged(entry.record, record)
      // Heard again and again while nothing happens: that is no change.
      if (get(record.scope) !== undefined && shapeOf(next) === shapeOf(entry.record)) entry.record = next
      else put(entry, next, true, now)
      return entry
    },
    settle,
    letGo,
    quarantinedIn: (cohort) => members.get(scopeKey(cohort)) ?? NOBODY
  }
}

/** What others must know of a record; time served is not part of it. */
export function shapeOf({ horizon, terms, strikes, vouch }: StandingRecord): string {
  return JSON.stringify([horizon, terms.map(({ dot, ended }) => [dot, ended]), strikes, vouch])
}

export function isOver({ record, changedAt }: Entry, tick: number): boolean {
  return tick - changedAt > KEPT_ENDED_MS && !record.terms.some(isActive)
}

/** Lets go of one record that has wholly ended, if there is one among the oldest. What is held is never let go. */
function makeRoom(workloads: Map<string, Entry>, cohorts: Map<string, Entry>, letGo: (entry: Entry) => void): boolean {
  for (const map of [workloads, cohorts]) {
    for (const entry of map.values()) {
      if (entry.record.terms.some(isActive)) continue
      letGo(entry)
      return true
    }
  }
  return false
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
