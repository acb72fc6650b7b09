import { chmodSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest'
import type { Store } from '../../src/core/store.ts'
import { openSqliteStore } from '../../src/state/store-sqlite.ts'
import { storeContract } from './store-contract.ts'

const T = 1_000_000
/** A worker starts in 30 ms, and not on a machine that is busy. */
vi.setConfig({ testTimeout: 30_000 })

const folder = mkdtempSync(join(tmpdir(), 'store-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
let files = 0
const fresh = () => join(folder, `${files++}.db`)

storeContract(
  'sqlite',
  async (bounds) => {
    const options = { file: fresh(), answerMsMax: 10_000, ...bounds }
    return [openSqliteStore(options), openSqliteStore(options)]
  },
  { raced: 1_000, runs: 5 }
)

describe('the file of a store', () => {
  const stores: Store[] = []
  afterEach(async () => {
    await Promise.all(stores.splice(0).map((store) => store.close()))
  })
  const open = (file: string) => {
    const events: string[] = []
    const store = openSqliteStore({ file, answerMsMax: 10_000, onEvent: ({ kind, because }) => events.push(`${kind}: ${because}`) })
    stores.push(store)
    return { store, events }
  }
  const recovered = async (store: Store) => {
    const until = performance.now() + 15_000
    while ((await store.get('x', T)).kind === 'unavailable' && performance.now() < until) await sleep(20)
    return store.get('x', T)
  }

  it('outlives the store, and says since when it remembers', async () => {
    const file = fresh()
    const first = open(file).store
    const put = await first.putOnce('a', '1', T + 10, T)
    await first.replace('a', '1', '2', T + 10, T)
    await first.close()
    expect(await open(file).store.putOnce('a', '3', T + 10, T)).toEqual({ ...put, kind: 'there', value: '2' })
  })

  it('answers in the order of the questions, though nobody waited', async () => {
    const { store } = open(fresh())
    const answers = await Promise.all([
      store.get('a', T),
      store.putOnce('a', '1', T + 10, T),
      store.replace('a', '1', '2', T + 10, T),
      store.putOnce('a', '3', T + 10, T),
      store.list('', T, 10),
      store.replace('a', '2', '', T, T),
      store.get('a', T)
    ])
    expect(answers).toMatchObject([
      { kind: 'none' },
      { kind: 'put' },
      'replaced',
      { kind: 'there', value: '2' },
      { entries: [{ key: 'a', value: '2' }] },
      'replaced',
      { kind: 'none' }
    ])
  })

  it('is for our own user only', async () => {
    const file = fresh()
    await open(file).store.putOnce('a', '1', T + 10, T)
    for (const path of [file, `${file}-wal`, `${file}-shm`]) expect(statSync(path).mode & 0o777).toBe(0o600)
  })

  it("that anybody may write is nobody's word", async () => {
    const file = fresh()
    await open(file).store.putOnce('a', '1', T + 10, T)
    chmodSync(file, 0o602)
    const { store, events } = open(file)
    expect((await store.get('a', T)).kind).toBe('unavailable')
    expect(events[0]).toContain('every user of this host may write the file')
  })

  it('that is deleted or replaced is left, and the new one remembers from now', async () => {
    const file = fresh()
    const { store, events } = open(file)
    const before = await store.putOnce('a', '1', T + 10, T)
    await sleep(2)
    for (const end of ['', '-wal', '-shm']) renameSync(file + end, `${file}.away${end}`)
    expect(await store.putOnce('a', '2', T + 10, T)).toMatchObject({ kind: 'unavailable', because: expect.stringContaining('removed') })
    expect(await recovered(store)).toEqual({ kind: 'none' })
    const after = await store.putOnce('a', '2', T + 10, T)
    if (before.kind !== 'put' || after.kind !== 'put') throw new Error('not put')
    expect(after.since).toBeGreaterThan(before.since)
    expect(events.map((event) => event.split(':')[0])).toEqual(['ready', 'unavailable', 'ready'])
  })

  it.each([
    ['text', 'not a database, but long enough to be taken for one'.repeat(100)],
    ["a database of somebody else's", undefined]
  ])('that holds %s is neither used nor changed, and one in its place is', async (_, text) => {
    const file = fresh()
    if (text === undefined) {
      const other = new DatabaseSync(file)
      other.exec('CREATE TABLE mine (a)')
      other.close()
    } else writeFileSync(file, text)
    const before = readFileSync(file)
    const { store, events } = open(file)
    expect(await store.putOnce('a', '1', T + 10, T)).toMatchObject({ kind: 'unavailable' })
    expect(events[0]).toMatch(/^unavailable: (file is not a database|the file holds something else)$/)
    expect(readFileSync(file)).toEqual(before)
    rmSync(file)
    expect(await recovered(store)).toEqual({ kind: 'none' })
  })

  it('that cannot be made yet is unavailable, and is made as soon as it can be', async () => {
    const place = join(folder, `later-${files++}`)
    const { store } = open(join(place, 'store.db'))
    expect(await store.putOnce('a', '1', T + 10, T)).toMatchObject({ kind: 'unavailable', because: expect.stringContaining('ENOENT') })
    expect(await store.list('', T, 10)).toMatchObject({ kind: 'unavailable' })
    expect(await store.replace('a', '1', '2', T + 10, T)).toBe('unavailable')
    mkdirSync(place)
    expect(await recovered(store)).toEqual({ kind: 'none' })
  })

  it('that another process keeps locked is unavailable for writing, and not for reading', async () => {
    const file = fresh()
    const { store, events } = open(file)
    await store.putOnce('a', '1', T + 10, T)
    const other = new DatabaseSync(file)
    other.exec('BEGIN IMMEDIATE')
    expect(await store.putOnce('b', '1', T + 10, T)).toMatchObject({ kind: 'unavailable', because: expect.stringContaining('locked') })
    expect(await store.get('a', T)).toMatchObject({ value: '1' })
    other.exec('ROLLBACK')
    other.close()
    expect(await store.putOnce('b', '1', T + 10, T)).toMatchObject({ kind: 'put' })
    expect(events).toHaveLength(1)
  })

  it('does not keep a decision waiting longer than it may', async () => {
    const file = fresh()
    const store = openSqliteStore({ file, answerMsMax: 100 })
    stores.push(store)
    await recovered(store)
    const other = new DatabaseSync(file)
    other.exec('BEGIN IMMEDIATE')
    const late = await store.putOnce('b', '1', T + 10, T)
    expect(late).toEqual({ kind: 'unavailable', because: 'shared state: no answer within 100 ms' })
    other.exec('ROLLBACK')
    other.close()
  })
})
