import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { RISK_DEFAULTS } from '../../src/core/risk-rules.ts'
import { standingOf } from '../../src/core/standing.ts'
import type { Store } from '../../src/core/store.ts'
import { raise } from '../../src/risk/cohort.ts'
import { createStandings } from '../../src/state/standings.ts'
import { openJournal } from '../../src/state/standings-journal.ts'
import { createMemoryStore } from '../../src/state/store-memory.ts'

const home = mkdtempSync(join(tmpdir(), 'vecauthz-journal-'))
afterAll(() => rmSync(home, { recursive: true }))
let folders = 0
const newFolder = () => join(home, String(++folders))

async function journalOf(folder: string, run: string, clock = { tick: 0 }) {
  const troubles: string[] = []
  const journal = await openJournal({ folder, run, tick: () => clock.tick, onTrouble: (because) => troubles.push(because) })
  return { ...journal, troubles, clock, path: join(folder, `standings-${run}`) }
}

/** As if something had been written to it since. */
function touched(path: string, seconds: number): void {
  utimesSync(path, seconds, seconds)
}

describe('a journal of standings', () => {
  it('gives others what was noted, in its order, and what was cleared no more', async () => {
    const folder = newFolder()
    const [a, b] = [await journalOf(folder, 'a'), await journalOf(folder, 'b')]
    a.note('one')
    a.note('zwölf')
    expect(b.others()).toEqual(['one', 'zwölf'])
    expect(a.others()).toEqual([])
    a.clear()
    touched(a.path, 1)
    expect(b.others()).toEqual([])
    a.note('2')
    touched(a.path, 2)
    expect(b.others()).toEqual(['2'])
    expect([a.troubles, b.troubles]).toEqual([[], []])
  })

  it('is read twice after each change, as clocks of file systems have steps, and then not again', async () => {
    const folder = newFolder()
    const [a, b] = [await journalOf(folder, 'a'), await journalOf(folder, 'b')]
    a.note('one')
    expect([b.others(), b.others(), b.others(), b.others()]).toEqual([['one'], ['one'], [], []])
    a.note('two')
    touched(a.path, 3)
    expect(b.others()).toEqual(['one', 'two'])
  })

  it('goes on beyond the room it took beforehand, and gives all of it', async () => {
    const folder = newFolder()
    const a = await journalOf(folder, 'a')
    const texts = Array.from({ length: 100 }, (_, at) => `${at} ${'x'.repeat(3_000)}`)
    for (const text of texts) a.note(text)
    expect((await journalOf(folder, 'b')).others()).toEqual(texts)
    a.clear()
    a.note('after')
    expect((await journalOf(folder, 'c')).others()).toEqual(['after'])
  })

  it('that ends within an entry gives those before it, and says so', async () => {
    const folder = newFolder()
    const a = await journalOf(folder, 'a')
    a.note('one')
    a.note('the one that was under way')
    truncateSync(a.path, 8 + 3 + 8 + 10)
    const b = await journalOf(folder, 'b')
    expect(b.others()).toEqual(['one'])
    expect(b.troubles).toEqual([expect.stringContaining('ends in the middle of an entry')])
  })

  it('in which a byte is another one gives those before it, and says so', async () => {
    const folder = newFolder()
    const a = await journalOf(folder, 'a')
    a.note('one')
    a.note('two')
    const bytes = readFileSync(a.path)
    bytes[8 + 3 + 8 + 1] = 0x58
    writeFileSync(a.path, bytes)
    const b = await journalOf(folder, 'b')
    expect(b.others()).toEqual(['one'])
    expect(b.troubles).toHaveLength(1)
  })

  it('of a run that is gone is removed after a while, of one that lives it is not', async () => {
    const folder = newFolder()
    const clock = { tick: 0 }
    const [gone, alive, b] = [await journalOf(folder, 'gone'), await journalOf(folder, 'alive', clock), await journalOf(folder, 'b', clock)]
    gone.note('left')
    for (let at = 0; at < 400; at++) {
      clock.tick += 1_000
      alive.others()
      b.others()
    }
    expect([existsSync(gone.path), existsSync(alive.path), existsSync(b.path)]).toEqual([false, true, true])
  })

  it('that was taken for one that was left is made again', async () => {
    const folder = newFolder()
    const a = await journalOf(folder, 'a')
    rmSync(a.path)
    a.clock.tick += 40_000
    a.others()
    a.note('here')
    expect((await journalOf(folder, 'b')).others()).toEqual(['here'])
  })

  it('ends with its run when all was told, and is left otherwise', async () => {
    const folder = newFolder()
    const [a, b] = [await journalOf(folder, 'a'), await journalOf(folder, 'b')]
    for (const one of [a, b]) one.note('one')
    a.close(true)
    b.close(false)
    expect(readdirSync(folder)).toEqual(['standings-b'])
  })

  it('reads no other files', async () => {
    const folder = newFolder()
    const a = await journalOf(folder, 'a')
    appendFileSync(join(folder, 'notes.txt'), 'mine')
    expect([a.others(), a.troubles]).toEqual([[], []])
  })
})

const T0 = Date.UTC(2026, 10, 21)
const scope = (id: string) => ({ kind: 'workload', id: `spiffe://demo.vecauthz.test/${id}` }) as const
const alarm = { level: 'quarantine', cause: 'drift', evidence: { says: 'novelty 412', decisionIds: ['d1'], figures: {} } } as const

async function processOf(folder: string, run: string, store: Store) {
  const journal = await journalOf(folder, run)
  const standings = createStandings({
    store,
    journal,
    run,
    now: () => T0,
    tick: () => journal.clock.tick,
    onMove: () => undefined,
    onTrouble: () => undefined
  })
  const raised = (id: string) => raise(standings, scope(id), alarm, RISK_DEFAULTS, T0)
  const seen = (id: string) => standingOf(standings.ofWorkload(scope(id).id))
  const loaded = async () => {
    for (let rounds = 0; rounds < 20 && !standings.isLoaded(); rounds++) await standings.poll()
  }
  return { standings, journal, raised, seen, loaded }
}

function away(): Store {
  const no = { kind: 'unavailable', because: 'no answer' } as const
  return { putOnce: () => no, get: () => no, replace: () => 'unavailable', list: () => no, close: async () => undefined }
}

describe('standings with a journal', () => {
  it('that the store never got are known to the next run, which tells it', async () => {
    const [folder, store] = [newFolder(), createMemoryStore({ begun: T0 })]
    // Killed at once: neither a round nor a word to the store.
    ;(await processOf(folder, 'a', away())).raised('one')
    const b = await processOf(folder, 'b', store)
    await b.loaded()
    expect(b.seen('one')).toBe('quarantine')
    const elsewhere = await processOf(newFolder(), 'c', store)
    await elsewhere.loaded()
    expect(elsewhere.seen('one')).toBe('quarantine')
  })

  it('that the next run heard and could not tell either are still in the journals', async () => {
    const folder = newFolder()
    ;(await processOf(folder, 'a', away())).raised('one')
    const b = await processOf(folder, 'b', away())
    await b.standings.poll()
    expect(b.seen('one')).toBe('quarantine')
    rmSync(join(folder, 'standings-a'))
    const c = await processOf(folder, 'c', createMemoryStore({ begun: T0 }))
    await c.loaded()
    expect(c.seen('one')).toBe('quarantine')
  })

  it('that were released meanwhile are not raised by what an old journal says', async () => {
    const [folder, store] = [newFolder(), createMemoryStore({ begun: T0 })]
    const a = await processOf(folder, 'a', store)
    await a.loaded()
    a.raised('one')
    const left = readFileSync(a.journal.path)
    await a.standings.poll()
    expect(await a.standings.release(scope('one'), 'ann', 'a drill', T0)).toEqual({ kind: 'done', was: 'quarantine' })
    writeFileSync(a.journal.path, left)
    const b = await processOf(folder, 'b', store)
    await b.loaded()
    await b.standings.poll()
    expect(b.seen('one')).toBe('normal')
  })

  it('two runs that cannot tell the store tell each other once', async () => {
    const folder = newFolder()
    const [a, b] = [await processOf(folder, 'a', away()), await processOf(folder, 'b', away())]
    a.raised('one')
    for (let rounds = 0; rounds < 200; rounds++) {
      await a.standings.poll()
      await b.standings.poll()
    }
    expect(b.seen('one')).toBe('quarantine')
    expect((await journalOf(folder, 'c')).others()).toHaveLength(2)
  })

  it('the store has leave nothing in the journal', async () => {
    const [folder, store] = [newFolder(), createMemoryStore({ begun: T0 })]
    const a = await processOf(folder, 'a', store)
    await a.loaded()
    a.raised('one')
    await a.standings.poll()
    expect((await journalOf(folder, 'c')).others()).toEqual([])
    await a.standings.stop()
    expect(existsSync(a.journal.path)).toBe(false)
  })
})
