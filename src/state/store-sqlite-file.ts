/**
 * The store's file, opened by one thread: what is asked and what is written (https://www.sqlite.org/wal.html). Everything here blocks,
 * so it runs in a worker. What it throws means that the file is not to be relied on.
 */
import { closeSync, openSync, statSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { type Listed, type Put, type Replaced, STORE_LIST_MAX, type StoreEntry } from '../core/store.ts'
import { KEPT_AFTER_MS } from './store-faults.ts'

export interface SqliteOptions {
  readonly file: string
  readonly entriesMax: number
}

export type Asked =
  | { readonly kind: 'put'; readonly key: string; readonly value: string; readonly until: number; readonly now: number }
  | { readonly kind: 'get'; readonly key: string; readonly now: number }
  | {
      readonly kind: 'replace'
      readonly key: string
      readonly before: string
      readonly after: string
      readonly until: number
      readonly now: number
    }
  | { readonly kind: 'list'; readonly prefix: string; readonly now: number; readonly max: number }

export type Answered = Put | StoreEntry | { readonly kind: 'none' } | Listed | Replaced

/** Another process writes for about a millisecond at a time; more than this and the disk is stuck. */
const BUSY_MS = 250
const OPEN_MS_MAX = 2_000
const OPEN_RETRY_MS = 5
/** Entries that one batch drops at most: more than it adds, over time. */
const DROPPED_PER_BATCH = 300
/** The format of the file, in `user_version`; another one is not ours to touch. */
const FORMAT = 1
/** "vecA", in `application_id`: a database of somebody else's is not taken for ours. */
const APPLICATION = 0x76656341

// The numbers are kept by triggers, as counting 200,000 rows takes milliseconds.
const SCHEMA = `
CREATE TABLE entries (key TEXT PRIMARY KEY, value TEXT NOT NULL, until INTEGER NOT NULL, over INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX entries_until ON entries (until);
CREATE TABLE store (one INTEGER PRIMARY KEY CHECK (one = 1), since INTEGER NOT NULL, entries INTEGER NOT NULL) STRICT;
CREATE TRIGGER entries_more AFTER INSERT ON entries BEGIN UPDATE store SET entries = entries + 1; END;
CREATE TRIGGER entries_less AFTER DELETE ON entries BEGIN UPDATE store SET entries = entries - 1; END;
PRAGMA application_id = ${APPLICATION};
PRAGMA user_version = ${FORMAT};
`

const PUT = `
INSERT INTO entries (key, value, until, over)
  SELECT :key, :value, :until, 0
  WHERE (SELECT entries FROM store) < :most OR EXISTS (SELECT 1 FROM entries WHERE key = :key)
  ON CONFLICT (key) DO UPDATE SET value = excluded.value, until = excluded.until, over = 0 WHERE entries.until <= :now
`
const REPLACE = `
UPDATE entries SET value = :after, until = :until, over = (:until <= :now)
  WHERE key = :key AND value = :before AND until > :now AND over = 0
`
const DROP = 'DELETE FROM entries WHERE key IN (SELECT key FROM entries WHERE until <= :by ORDER BY until LIMIT :most)'
const LIST = `
SELECT key, value, until FROM entries
  WHERE key >= :prefix AND key < :beyond AND until > :now AND over = 0 ORDER BY key LIMIT :most
`

export interface SqliteFile {
  /** All of them, in their order, as one transaction: what is answered is on the disk. */
  readonly answer: (batch: readonly Asked[]) => Answered[]
  readonly close: () => void
}

export function openSqliteFile({ file, entriesMax }: SqliteOptions): SqliteFile {
  makeFile(file)
  const opened = identityOf(file)
  const database = new DatabaseSync(file, { timeout: BUSY_MS })
  const within = <T>(work: () => T): T => {
    database.exec('BEGIN IMMEDIATE')
    try {
      const result = work()
      database.exec('COMMIT')
      return result
    } catch (cause) {
      if (database.isTransaction) database.exec('ROLLBACK')
      throw cause
    }
  }
  // In one transaction, as another process may just be making it; and before the journal's mode, which is a change.
  whileBusy(() => within(() => isNew(database)))
  whileBusy(() => database.exec('PRAGMA journal_mode = WAL'))
  // A power cut must not bring back an approval that was used, so each commit is synced; batches share one.
  database.exec('PRAGMA synchronous = FULL')
  const since = whileBusy(() => within(() => begin(database)))
  const ask = createAsk(database, entriesMax, since)
  return {
    answer(batch) {
      if (identityOf(file) !== opened) throw new Error('the file was removed or replaced')
      // By the earliest of their times, which forgets least.
      const by = Math.min(...batch.map(({ now }) => now)) - KEPT_AFTER_MS
      if (!batch.some(({ kind }) => kind === 'put' || kind === 'replace')) return batch.map(ask.one)
      return within(() => {
        ask.drop(by, DROPPED_PER_BATCH)
        return batch.map(ask.one)
      })
    },
    close: () => database.close()
  }
}

/**
 * Ours alone: it says who did what, and when. The files beside it get the same mode. One that is there is not opened for this, as
 * closing it would undo the locks that this process has on it (https://www.sqlite.org/howtocorrupt.html, section 2.2).
 */
function makeFile(file: string): void {
  try {
    closeSync(openSync(file, 'wx', 0o600))
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause
  }
  // Whoever can write it can approve; a group may, since volumes are mounted so.
  if ((statSync(file).mode & 0o002) !== 0) throw new Error('every user of this host may write the file')
}

/** Who sets up a file with others does not get SQLite's own waiting, which could wait for itself. */
function whileBusy<T>(work: () => T): T {
  const until = performance.now() + OPEN_MS_MAX
  for (;;) {
    try {
      return work()
    } catch (cause) {
      if (!isBusy(cause) || performance.now() > until) throw cause
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, OPEN_RETRY_MS)
    }
  }
}

/** SQLITE_BUSY (https://www.sqlite.org/rescode.html); extended codes have the plain one in their last byte. */
function isBusy(cause: unknown): boolean {
  return codeOf(cause) === 5
}

/** SQLITE_BUSY or SQLITE_FULL: nothing was written, and the file is as it was. */
export function isPassing(cause: unknown): boolean {
  return isBusy(cause) || codeOf(cause) === 13
}

function codeOf(cause: unknown): number | undefined {
  const { errcode } = cause as { errcode?: unknown }
  return typeof errcode === 'number' ? errcode & 0xff : undefined
}

/** @returns when the file began to remember */
function begin(database: DatabaseSync): number {
  if (isNew(database)) {
    database.exec(SCHEMA)
    database.prepare('INSERT INTO store (one, since, entries) VALUES (1, ?, 0)').run(Date.now())
  }
  return Number(row(database.prepare('SELECT since FROM store').get())['since'])
}

/** @throws when it is neither empty nor ours */
function isNew(database: DatabaseSync): boolean {
  const { user_version: format } = row(database.prepare('PRAGMA user_version').get())
  const { application_id: application } = row(database.prepare('PRAGMA application_id').get())
  const { tables } = row(database.prepare('SELECT count(*) AS tables FROM sqlite_schema').get())
  if (format === 0 && application === 0 && tables === 0) return true
  if (format !== FORMAT || application !== APPLICATION) throw new Error('the file holds something else')
  return false
}

function createAsk(database: DatabaseSync, entriesMax: number, since: number) {
  const put = database.prepare(PUT)
  const replace = database.prepare(REPLACE)
  const drop = database.prepare(DROP)
  const list = database.prepare(LIST)
  const get = database.prepare('SELECT value, until, over FROM entries WHERE key = ?')
  const setOver = database.prepare('UPDATE entries SET over = 1 WHERE key = ? AND until <= ? AND over = 0')
  const among = 'key >= :prefix AND key < :beyond AND until <= :now AND over = 0'
  const overAmong = database.prepare(`SELECT 1 FROM entries WHERE ${among} LIMIT 1`)
  const setOverAmong = database.prepare(`UPDATE entries SET over = 1 WHERE ${among}`)
  const read = (key: string) => {
    const found = get.get(key)
    return found === undefined ? undefined : { value: String(found['value']), until: Number(found['until']), over: found['over'] === 1 }
  }
  const dropBy = (by: number, most: number) => drop.run({ by, most }).changes > 0
  const putOnce = ({ key, value, until, now }: Extract<Asked, { kind: 'put' }>): Put => {
    const values = { key, value, until, now, most: entriesMax }
    if (put.run(values).changes > 0) return { kind: 'put', since }
    const there = read(key)
    if (there !== undefined) return { kind: 'there', value: there.value, since }
    return dropBy(now, DROPPED_PER_BATCH) && put.run(values).changes > 0 ? { kind: 'put', since } : { kind: 'full' }
  }
  const one = (asked: Asked): Answered => {
    if (asked.kind === 'put') return putOnce(asked)
    if (asked.kind === 'list') {
      const { prefix, now, max } = asked
      const range = { prefix, beyond: `${prefix}\u{10ffff}\u{10ffff}`, now }
      // Looked for first, as an update waits for others to write even where it finds nothing.
      if (overAmong.get(range) !== undefined) setOverAmong.run(range)
      const most = Math.min(max, STORE_LIST_MAX)
      const entries = list.all({ ...range, most: most + 1 }).map((found) => ({
        key: String(found['key']),
        value: String(found['value']),
        until: Number(found['until'])
      }))
      return { kind: 'entries', entries: entries.slice(0, most), more: entries.length > most }
    }
    const { key, now } = asked
    if (asked.kind === 'replace') {
      const { before, after, until } = asked
      if (replace.run({ key, before, after, until, now }).changes > 0) return 'replaced'
    }
    const found = read(key)
    if (found !== undefined && found.until <= now && !found.over) setOver.run(key, now)
    if (asked.kind === 'replace') return 'changed'
    return found === undefined || found.over || found.until <= now
      ? { kind: 'none' }
      : { kind: 'value', value: found.value, until: found.until }
  }
  return { one, drop: dropBy }
}

function row(found: Record<string, unknown> | undefined): Record<string, unknown> {
  if (found === undefined) throw new Error('the file has lost its beginning')
  return found
}

/** A file that was deleted can still be written to, and nobody else would see it. */
function identityOf(file: string): string {
  const found = statSync(file, { throwIfNoEntry: false })
  return found === undefined ? '' : `${found.dev}:${found.ino}`
}
