/**
 * The standings of one process: in memory for decisions, in the store for everybody. Loaded before the process is ready; changes are
 * written at once, those of others looked for every `POLL_MS`. Without an answer the process goes on with what it knows, and says for
 * how long.
 */
import { heldBy, isActive, rankOf, type Scope, standingOf, termId, untilOf, withEnd } from '../core/standing.ts'
import type { Move, ReleaseResult, StandingCounts, StandingRow, Standings } from '../core/standings.ts'
import type { Store } from '../core/store.ts'
import { createRounds } from './rounds.ts'
import { standingText } from './standing-text.ts'
import type { Journal } from './standings-journal.ts'
import { createSync, type Sync } from './standings-sync.ts'
import { createTable, type Entry, isOver, type Table } from './standings-table.ts'

/** Two replicas: what one raises, the other refuses after this and two look-ups. */
const POLL_MS = 100
/** Alone there is nothing to hear: an hourly look at what has ended long ago is enough. */
const ALONE_MS = 3_600_000

export interface StandingsParts {
  /** undefined: one process alone, which forgets its standings with its end. */
  readonly store: Store | undefined
  /** Where changes are before the store has them; undefined: a kill takes along what it was not told. */
  readonly journal?: Journal | undefined
  /** Names this run of this process and no other one ever: random, at most 64 characters. */
  readonly run: string
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** Milliseconds, by a clock that never steps. */
  readonly tick: () => number
  readonly onMove: (move: Move) => void
  /** For the operational log; said once as long as it stays the same. undefined: it is over. */
  readonly onTrouble: (because: string | undefined) => void
  /** Records that are kept here at a time; STANDINGS_MAX where it is not said. */
  readonly most?: number
}

export interface SharedStandings extends Standings {
  /** One round: writes what is to be written, hears what there is. Never rejects. */
  readonly poll: () => Promise<void>
  /** Rounds from now on. */
  readonly start: () => void
  /** Writes what is still to be written, and ends the rounds. */
  readonly stop: () => Promise<void>
  /** Whose open step-up has this id, as `termId` makes it; undefined also where it could be two. */
  readonly challenged: (id: string, now: number) => Scope | undefined
}

export function createStandings(parts: StandingsParts): SharedStandings {
  const { store, journal } = parts
  const dirty = new Map<Entry, boolean>()
  let isPushing = false
  const onChange = (entry: Entry, isNews: boolean) => {
    if (store === undefined) return
    dirty.set(entry, isNews || dirty.get(entry) === true)
    // Before the answer leaves; one that is too long is said by the store.
    if (isNews) journal?.note(standingText(entry.record) ?? '')
    // Not within a decision, and several at once.
    if (!isNews || isPushing) return
    isPushing = true
    setImmediate(pushed)
  }
  const table = createTable({ ...parts, onChange })
  const sync = store === undefined ? undefined : createSync({ ...parts, store, journal, table, dirty, writing: new Map() })
  const pushed = async () => {
    isPushing = false
    await sync?.flush()
  }
  const rounds = roundsOf(
    sync,
    () => sweepAlone(table, parts.tick()),
    // What was served so far is not to be served again after a restart.
    () => {
      for (const entry of table.all()) {
        table.settle(entry, parts.now())
        if (entry.record.terms.some(isActive)) onChange(entry, false)
      }
    },
    () => journal?.close(dirty.size === 0)
  )
  return {
    ofWorkload(id) {
      const entry = table.workload(id)
      if (entry === undefined) return undefined
      table.settle(entry, parts.now())
      return entry.record
    },
    of(scope) {
      const entry = table.get(scope)
      if (entry !== undefined) table.settle(entry, parts.now())
      return entry?.record
    },
    hasCohorts: () => table.cohorts().size > 0,
    cohorts: function* () {
      for (const entry of table.cohorts().values()) {
        table.settle(entry, parts.now())
        yield entry.record
      }
    },
    change: table.change,
    quarantinedIn: table.quarantinedIn,
    ...looksOf(table),
    release: (scope, by, reason, now) => release(table, sync, scope, { how: 'hand', at: now, by, reason }),
    isLoaded: () => sync?.isLoaded() ?? true,
    staleMs: () => sync?.staleMs() ?? 0,
    ...rounds
  }
}

function looksOf(table: Table): Pick<SharedStandings, 'list' | 'counts' | 'challenged'> {
  return {
    list: (now) => rowsOf(table, now),
    counts: (now) => countsOf(table, now),
    challenged: (id, now) => challengedBy(table, id, now)
  }
}

function rowsOf(table: Table, now: number): StandingRow[] {
  const rows: StandingRow[] = []
  for (const entry of table.all()) {
    table.settle(entry, now)
    // The one that a challenge names, where two replicas have raised one each.
    const term = heldBy(entry.record)
    if (term === undefined) continue
    const { cause, evidence, since, dot } = term
    rows.push({
      scope: entry.record.scope,
      standing: term.level,
      cause,
      evidence,
      since,
      until: untilOf(term, now),
      id: termId(entry.record.scope, dot)
    })
  }
  return rows.sort((a, b) => rankOf(b.standing) - rankOf(a.standing) || a.since - b.since)
}

/** Anybody may ask this one: nothing is made for records that cannot be meant. */
function challengedBy(table: Table, id: string, now: number): Scope | undefined {
  let found: Scope | undefined
  for (const entry of table.all()) {
    const held = heldBy(entry.record)
    if (held?.level !== 'step-up' || !id.startsWith(held.dot.run) || termId(entry.record.scope, held.dot) !== id) continue
    table.settle(entry, now)
    if (heldBy(entry.record)?.level !== 'step-up') continue
    // Whoever vouches means one of them.
    if (found !== undefined) return undefined
    found = entry.record.scope
  }
  return found
}

function countsOf(table: Table, now: number): StandingCounts {
  const none = () => ({ normal: 0, slowed: 0, 'step-up': 0, quarantine: 0 })
  const counts = { workload: none(), cohort: none() }
  for (const entry of table.all()) {
    table.settle(entry, now)
    counts[entry.record.scope.kind][standingOf(entry.record)]++
  }
  return counts
}

async function release(
  table: Table,
  sync: Sync | undefined,
  scope: Scope,
  ended: { readonly how: 'hand'; readonly at: number; readonly by: string; readonly reason: string }
): Promise<ReleaseResult> {
  const was = standingOf(table.get(scope)?.record)
  if (was === 'normal') return { kind: 'not', says: 'It stands normal: there is nothing to release.' }
  table.change(scope, (record) => withEnd(record, () => true, ended), ended.at)
  const entry = table.get(scope)
  const because = entry === undefined ? undefined : await sync?.write(entry)
  return because === undefined ? { kind: 'done', was } : { kind: 'local', was, because }
}

function sweepAlone(table: Table, tick: number): void {
  for (const entry of [...table.all()]) if (isOver(entry, tick)) table.letGo(entry)
}

type Its = Pick<SharedStandings, 'poll' | 'start' | 'stop'>

function roundsOf(sync: Sync | undefined, alone: () => void, atEnd: () => void, close: () => void): Its {
  let [polling, isFirst]: [Promise<void> | undefined, boolean] = [undefined, true]
  let tookMs = 0
  const poll = () => {
    const began = performance.now()
    polling ??= (async () => sync?.poll())().finally(() => {
      polling = undefined
      tookMs = performance.now() - began
    })
    return polling
  }
  const waitMs = () => {
    const [wasFirst, isBehind] = [isFirst, sync?.isBehind() === true]
    isFirst = false
    if (sync === undefined) return ALONE_MS
    // While catching up there is no time to lose, unless the store is in trouble.
    return wasFirst || (isBehind && sync.staleMs() < 1_000) ? 0 : Math.max(POLL_MS / 10, POLL_MS - tookMs)
  }
  const rounds = createRounds(sync === undefined ? async () => alone() : poll, waitMs)
  return {
    poll,
    start: rounds.start,
    async stop() {
      await rounds.stop()
      await polling
      atEnd()
      await sync?.flush()
      close()
    }
  }
}
