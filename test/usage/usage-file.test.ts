/** What was used outlives the process: after a good end, after a bad one, and beside a file that cannot be relied on. */
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createInbox } from '../../src/admin/inbox.ts'
import { keepLines, readKept } from '../../src/state/kept-lines.ts'
import type { Use } from '../../src/usage/usage.ts'
import { instanceOf, openUsage, type UsageFileOptions } from '../../src/usage/usage-file.ts'

const A = 'spiffe://example.org/a'
let folder: string
let aside: string[]
let faults: string[]

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'vz-used-'))
  aside = []
  faults = []
})
afterEach(() => {
  chmodSync(folder, 0o700)
  rmSync(folder, { recursive: true, force: true })
})

function at(now: number, instance = 'one'): UsageFileOptions {
  const onDamaged = (name: string) => void aside.push(name)
  return { folder, instance, everySeconds: 300, now: () => now, onDamaged, onFault: (because) => void faults.push(because) }
}

function use(when: number, name = 'handbook'): Use {
  const targets = [{ namespace: 'rag', collection: { kind: 'name' as const, name } }]
  const what = { tenant: 'acme', database: 'demo', action: 'search', targets, topK: 3 }
  return { at: when, workload: A, certificate: undefined, revision: 'r1', reason: undefined, what, keys: [] }
}

describe('what was used', () => {
  it('is there after a good end, with since when it is kept and the runs', async () => {
    const first = await openUsage(at(1_000))
    first.book.note(use(1_500))
    await first.close()
    const second = await openUsage(at(5_000))
    second.book.note(use(5_500))
    expect(second.book.workload(A)).toMatchObject({ firstAt: 1_500, lastAt: 5_500, allowed: 2 })
    expect(second.head()).toMatchObject({
      since: 1_000,
      killed: 0,
      runs: [
        { from: 1_000, ended: true },
        { from: 5_000, ended: false }
      ]
    })
    expect(aside).toEqual([])
  })

  it('is there after a bad end as far as it was written, and that end is counted', async () => {
    const first = await openUsage(at(1_000))
    first.book.note(use(1_500))
    await first.save()
    first.book.note(use(1_600, 'never-written'))
    const second = await openUsage(at(5_000))
    expect(second.book.workload(A)?.used.map(({ name }) => name)).toEqual(['handbook'])
    expect(second.head()).toMatchObject({ since: 1_000, killed: 1 })
    // A run that ends at once was killed too.
    expect((await openUsage(at(6_000))).head()).toMatchObject({ since: 1_000, killed: 2 })
  })

  it.each<[string, (text: string) => string]>([
    ['one bit is another', (text) => text.replace('handbook', 'handbooK')],
    ['it is cut', (text) => text.slice(0, -20)],
    ['it is of another kind', () => 'nothing\n']
  ])('a file of which %s is put aside and said, and it begins anew', async (_, damage) => {
    const first = await openUsage(at(1_000))
    first.book.note(use(1_500))
    await first.close()
    const file = join(folder, 'one.used')
    writeFileSync(file, damage(readFileSync(file, 'utf8')))
    const second = await openUsage(at(5_000))
    expect([second.book.workload(A), second.head().since, aside]).toEqual([undefined, 5_000, ['one.used.damaged-5000']])
    expect(readdirSync(folder).sort()).toEqual(['one.used', 'one.used.damaged-5000'])
  })

  it('each instance has its own file, which only its owner may read', async () => {
    const [one, other] = [await openUsage(at(1, 'one')), await openUsage(at(1, 'other'))]
    one.book.note(use(2))
    await one.close()
    await other.close()
    expect(readdirSync(folder).sort()).toEqual(['one.used', 'other.used'])
    expect(statSync(join(folder, 'one.used')).mode & 0o777).toBe(0o600)
    expect((await openUsage(at(3, 'other'))).book.workload(A)).toBeUndefined()
  })

  it('two processes with one instance are found, by both, and no use of theirs is called all there was', async () => {
    const [one, other] = [await openUsage(at(1)), await openUsage(at(2))]
    one.book.note(use(3, 'of-one'))
    await one.save()
    other.book.note(use(4, 'of-other'))
    await other.close()
    expect(faults).toEqual([0, 1].map(() => expect.stringContaining('is written by another process as well')))
    expect([one.head().lost, other.head().lost]).toEqual([1, 1])
    const later = await openUsage(at(5))
    expect([later.book.workload(A)?.used.map(({ name }) => name), later.head().lost]).toEqual([['of-other'], 1])
  })

  it('one process alone is none too many, also when its file is taken away', async () => {
    const its = await openUsage(at(1))
    for (const when of [2, 3]) {
      its.book.note(use(when))
      await its.save()
    }
    rmSync(join(folder, 'one.used'))
    await its.close()
    expect([faults, its.head().lost, readdirSync(folder)]).toEqual([[], 0, ['one.used']])
  })

  it('a folder that cannot be used is said at the start, and one that goes away once', async () => {
    chmodSync(folder, 0o777)
    await expect(openUsage(at(1))).rejects.toThrow(/everybody may write/)
    chmodSync(folder, 0o700)
    const its = await openUsage(at(1))
    rmSync(folder, { recursive: true })
    its.book.note(use(2))
    expect([await its.save(), await its.save(), faults.length]).toEqual([false, false, 1])
    mkdirSync(folder)
  })

  it('without a folder it is kept in memory', async () => {
    const its = await openUsage({ ...at(1), folder: undefined })
    its.book.note(use(2))
    expect([await its.save(), await its.close(), its.head().since, readdirSync(folder)]).toEqual([true, true, 1, []])
  })

  it('an instance is named by host and settings, and its name is one of a file', () => {
    expect(instanceOf('/etc/vecauthz/vecauthz-writes.yaml')).toMatch(/^[A-Za-z0-9._-]+-vecauthz-writes$/)
    expect(instanceOf('/etc/../a b/x.yml')).toMatch(/-x$/)
  })
})

describe('what became of alerts', () => {
  const facts = { kind: 'standing', subject: A, says: 'quarantine', severity: 'page', scope: { kind: 'workload', id: A } } as const

  it('is there after a restart: who said what it was is known, and what is open is open', async () => {
    const inbox = createInbox()
    inbox.add(facts, 1)
    inbox.add({ ...facts, subject: 'other', scope: undefined }, 2)
    const id = inbox.list().find(({ subject }) => subject === A)?.id ?? ''
    const file = keepLines({
      folder,
      name: 'one.alerts',
      lines: inbox.lines,
      changes: inbox.changes,
      everyMs: 300_000,
      onFault: () => undefined
    })
    inbox.acknowledge(id, 'false-positive', 'grace', 'a test', 3)
    expect(await file.save()).toBe(true)
    await file.close()
    const read = await readKept(folder, 'one.alerts', 9)
    const later = createInbox()
    expect(read.kind === 'lines' && later.take(read.lines)).toBe(true)
    expect(later.get(id)).toMatchObject({ scope: facts.scope, acknowledged: { by: 'grace', as: 'false-positive' } })
    later.add({ ...facts, subject: 'other' }, 4)
    expect(later.list().filter(({ subject }) => subject === 'other')).toMatchObject([{ count: 2, acknowledged: undefined }])
    later.add(facts, 5)
    expect(later.list().filter(({ subject }) => subject === A)).toHaveLength(2)
  })

  it.each(['{}', '{"id":1}', 'x'])('a line that is none (%s) is not half taken', (line) => {
    const inbox = createInbox()
    inbox.add(facts, 1)
    const later = createInbox()
    expect([later.take([...inbox.lines(), line]), later.list()]).toEqual([false, []])
  })
})
