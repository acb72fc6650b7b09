/** Baselines from the first query to a person's yes, in a real folder, frozen by the real worker. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { DRIFT_THRESHOLDS, type DriftCall } from '../../src/core/drift.ts'
import { type Baselines, openBaselines } from '../../src/learning/baselines.ts'
import { newDriftState, observe } from '../../src/risk/drift-observe.ts'
import type { ReadyBaseline } from '../../src/risk/drift-ready.ts'
import { startKernel } from '../../src/risk/kernel-wasm.ts'
import { callsOf, worldOf } from '../risk/drift-material.ts'

const root = mkdtempSync(join(tmpdir(), 'vecauthz-baselines-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

const KEY = { tenant: 'acme', agentType: 'support', collection: 'chroma/docs' }
const ANN = { by: 'spiffe://demo.vecauthz.test/ops/ann', reason: 'seen', now: 5_000 }
const ONE = 'spiffe://demo.vecauthz.test/acme/support'
const world = worldOf(96, 2)

const troubles: string[] = []
const frozen: unknown[] = []
async function opened(folder: string | undefined, owner = 'one', approveByItself = false): Promise<Baselines> {
  return openBaselines({
    folder: folder === undefined ? undefined : join(root, folder),
    owner,
    kernel: startKernel(),
    freezeAfterBursts: 40,
    approveByItself,
    now: () => 4_000,
    onTrouble: (because) => void troubles.push(because),
    onFrozen: (key, versions) => void frozen.push([key, versions])
  })
}

const taught = (baselines: Baselines, bursts: number, department = 0, key = KEY, seed = 7, workload = ONE) => {
  for (const call of callsOf(world, department, bursts, seed)) baselines.book.learn(key, workload, call)
}
const judging = (baselines: Baselines, key = KEY) => baselines.book.of(key, 'dense', 96)
/** The gravest tier that these calls come to. */
function tierOf(ready: ReadyBaseline, calls: readonly DriftCall[]): string {
  const state = newDriftState()
  return calls.map((call) => observe(ready, state, call, DRIFT_THRESHOLDS).verdict.tier).at(-1) ?? 'none'
}

describe('baselines', () => {
  it('are learnt, frozen by themselves, judged by a person, and judge', async () => {
    const baselines = await opened('whole')
    taught(baselines, 1)
    expect(baselines.list()).toMatchObject([{ key: KEY, state: 'learning', progress: { bursts: 1, burstsToJudge: 11 } }])
    taught(baselines, 60)
    expect(await baselines.approve(KEY, undefined, ANN)).toMatchObject({ kind: 'not', status: 404 })
    await baselines.round()
    expect(baselines.list()).toMatchObject([{ state: 'waiting', slot: { waiting: { by: 'automatic' } } }])
    expect(frozen).toHaveLength(1)
    // Nobody has said yes: nothing judges.
    expect(judging(baselines)).toBeUndefined()
    expect(await baselines.approve(KEY, 900, ANN)).toMatchObject({ kind: 'done' })
    const ready = judging(baselines) as ReadyBaseline
    expect(baselines.list()).toMatchObject([{ state: 'in-force', progress: undefined, slot: { inForce: { by: ANN.by, daily: 900 } } }])
    expect(tierOf(ready, callsOf(world, 0, 12, 99))).toBe('normal')
    expect(tierOf(ready, callsOf(world, 1, 12, 99))).toBe('quarantine')
    // Approved once: what comes now teaches nothing.
    taught(baselines, 3)
    expect(baselines.list()[0]?.progress).toBeUndefined()
    await baselines.stop()
  }, 60_000)

  it('outlive the process, and are known to the others of the folder', async () => {
    const [again, other] = [await opened('whole'), await opened('whole', 'two')]
    const [here, there] = [judging(again) as ReadyBaseline, judging(other) as ReadyBaseline]
    expect(there.baseline).toEqual(here.baseline)
    expect(again.book.seedOf('acme', 'dense', 96)).toBe(other.book.seedOf('acme', 'dense', 96))
    expect(again.book.seedOf('umbrella', 'dense', 96)).not.toBe(other.book.seedOf('acme', 'dense', 96))
    expect(await other.reset(KEY, ANN)).toMatchObject({ kind: 'done' })
    // What was decided from the old state is not done over the new one.
    expect(await again.approve(KEY, undefined, ANN)).toMatchObject({ kind: 'not' })
    expect(judging(again)).toBe(here)
    await again.round()
    expect([judging(again), judging(other)]).toEqual([undefined, undefined])
    await Promise.all([again.stop(), other.stop()])
  }, 60_000)

  it('keep what was learnt over a restart, and freeze together what replicas have learnt', async () => {
    const [one, two] = [await opened('pair'), await opened('pair', 'two')]
    taught(one, 9, 0, KEY, 1, ONE)
    taught(two, 9, 0, KEY, 2, `${ONE}-2`)
    await Promise.all([one.stop(), two.stop()])
    const again = await opened('pair')
    expect(again.list()).toMatchObject([{ state: 'learning', progress: { bursts: 9 } }])
    expect(await again.freeze(KEY, ANN)).toMatchObject({ kind: 'not', says: expect.stringContaining('9 bursts are too few') })
    taught(again, 12, 0, KEY, 3, `${ONE}-3`)
    expect(await again.freeze(KEY, ANN)).toMatchObject({ kind: 'done' })
    expect(again.list()[0]?.slot?.waiting?.baseline.counts.bursts).toBe(30)
    await again.stop()
  }, 60_000)

  it('are learnt of others too when one agent type searches under ever new names', async () => {
    const baselines = await opened(undefined)
    const key = (agentType: string, at: number) => ({ ...KEY, agentType, collection: `chroma/made-up-${at}` })
    for (let at = 0; at < 200; at++) baselines.book.learn(key('noisy', at), ONE, { vectors: [new Float32Array(96).fill(1)], at })
    expect([baselines.list().length, baselines.crowded()]).toEqual([128, 72])
    for (let at = 0; at < 10; at++) taught(baselines, 2, 0, key('quiet', at))
    const rows = baselines.list().filter((row) => row.key.agentType === 'quiet')
    expect([rows.length, baselines.list().length]).toEqual([10, 128])
    expect(rows.every(({ progress }) => (progress?.queries ?? 0) > 1)).toBe(true)
  })

  it('a parent judges where nothing was learnt yet, and only what looks the same', async () => {
    const baselines = await opened(undefined)
    taught(baselines, 20)
    taught(baselines, 20, 0, { ...KEY, collection: 'chroma/other' }, 8)
    expect(await baselines.freeze({ ...KEY, collection: '*' }, ANN)).toMatchObject({ kind: 'done' })
    expect(await baselines.approve({ ...KEY, collection: '*' }, undefined, ANN)).toMatchObject({ kind: 'done' })
    const fresh = { ...KEY, collection: 'chroma/third' }
    expect(judging(baselines, fresh)?.baseline.key.collection).toBe('*')
    expect(baselines.book.of(fresh, 'dense', 95)).toBeUndefined()
    expect(judging(baselines, { ...fresh, agentType: 'finance' })).toBeUndefined()
    await baselines.stop()
  }, 60_000)

  it('are exported, taken elsewhere, and added up; and nothing else is taken', async () => {
    const [from, to] = [await opened('whole-2', 'one', true), await opened('import')]
    taught(from, 60)
    await from.round()
    expect(judging(from)).toBeDefined()
    const text = from.export(KEY) as string
    for (const [wrong, says] of [
      ['{}', 'has no format'],
      [text.replace('"seed":', '"seeds":'), 'the space'],
      [text.slice(0, -9), 'JSON']
    ] as const)
      expect(await to.import(wrong, false, ANN)).toMatchObject({ kind: 'not', says: expect.stringContaining(says) })
    expect(await to.import(text, true, ANN)).toMatchObject({ kind: 'not', says: expect.stringContaining('nothing in force') })
    expect(await to.import(text, false, ANN)).toMatchObject({ kind: 'done' })
    expect(judging(to)).toBeUndefined()
    await to.approve(KEY, undefined, ANN)
    expect(judging(to)?.baseline).toEqual(judging(from)?.baseline)
    expect(to.book.seedOf('acme', 'dense', 96)).toBe(from.book.seedOf('acme', 'dense', 96))
    await to.import(text, true, { ...ANN, now: 6_000 })
    await to.approve(KEY, undefined, { ...ANN, now: 6_000 })
    expect(judging(to)?.baseline.counts.bursts).toBe(120)
    await Promise.all([from.stop(), to.stop()])
  }, 60_000)

  it('take in a new neighbourhood when a person says so', async () => {
    const baselines = await opened('adopt', 'one', true)
    taught(baselines, 60)
    await baselines.round()
    const before = judging(baselines) as ReadyBaseline
    const [topic] = world.topics[1] as readonly Float32Array[]
    const calls = callsOf({ ...world, topics: [[topic as Float32Array]] }, 0, 6, 3)
    for (const [at, call] of calls.entries()) {
      const { outliers } = observe(before, newDriftState(), call, DRIFT_THRESHOLDS).verdict
      baselines.book.propose(before, `${ONE}-${at % 3}`, outliers, 1_000 + at, false)
    }
    const [proposal] = baselines.proposals(KEY)
    expect(proposal?.neighbourhood.supporters.size).toBe(3)
    expect(await baselines.adopt(KEY, 'nothing-1', false, ANN)).toMatchObject({ kind: 'not', status: 404 })
    expect(await baselines.adopt(KEY, proposal?.id ?? '', false, ANN)).toMatchObject({ kind: 'done' })
    const after = judging(baselines) as ReadyBaseline
    expect(after.baseline.centroids.scales).toHaveLength(before.baseline.centroids.scales.length + 1)
    expect(after.baseline.version).not.toBe(before.baseline.version)
    expect([tierOf(before, calls), tierOf(after, calls)]).toEqual(['quarantine', expect.not.stringContaining('quarantine')])
    expect(baselines.proposals(KEY)).toEqual([])
    await baselines.stop()
  }, 60_000)
})

describe('a new neighbourhood that a raised workload supported', () => {
  it('is adopted by a person who insists, and by nobody else', async () => {
    const baselines = await opened('anyway', 'one', true)
    taught(baselines, 60)
    await baselines.round()
    const before = judging(baselines) as ReadyBaseline
    const [topic] = world.topics[1] as readonly Float32Array[]
    const seen = (count: number, seed: number, from: number, who: (at: number) => string) => {
      for (const [at, call] of callsOf({ ...world, topics: [[topic as Float32Array]] }, 0, count, seed).entries()) {
        const { outliers } = observe(before, newDriftState(), call, DRIFT_THRESHOLDS).verdict
        baselines.book.propose(before, who(at), outliers, from + at, false)
      }
    }
    seen(6, 3, 1_000, (at) => `${ONE}-${at % 3}`)
    const [proposal] = baselines.proposals(KEY)
    expect(proposal?.doubts).toBeUndefined()
    // Heard from elsewhere, or decided here: after it had supported.
    baselines.raised(`${ONE}-1`, 1_500)
    const id = proposal?.id ?? ''
    const refused = await baselines.adopt(KEY, id, false, ANN)
    expect(refused).toMatchObject({ kind: 'not', status: 409, says: expect.stringContaining(`${ONE}-1 was slowed`) })
    expect(judging(baselines)?.baseline.version).toBe(before.baseline.version)
    // One that was raised since it began does not count either, though nothing is held against it now.
    baselines.raised(`${ONE}-4`, 1_600)
    seen(6, 3, 2_000, (at) => `${ONE}-${at % 3 === 1 ? 4 : at % 3}`)
    expect(baselines.proposals(KEY)[0]?.neighbourhood.supporters.size).toBe(4)
    expect(await baselines.adopt(KEY, id, false, ANN)).toMatchObject({ kind: 'not', status: 409 })
    expect(await baselines.adopt(KEY, id, true, ANN)).toMatchObject({ kind: 'done' })
    await baselines.stop()
  }, 60_000)
})

describe('the folder', () => {
  it('a damaged baseline is refused and said, and does not pass for a first day', async () => {
    const before = await opened('whole-2')
    const folder = join(root, 'whole-2')
    const newest = readdirSync(folder)
      .filter((name) => name.startsWith('baseline-'))
      .sort()
      .at(-1) as string
    const text = readFileSync(join(folder, newest))
    text[200] = (text[200] as number) ^ 1
    writeFileSync(join(folder, newest), text)
    const after = await opened('whole-2')
    expect(after.fault()).toContain(`${newest} is damaged`)
    expect(troubles.at(-1)).toContain(`${newest} is damaged`)
    expect(judging(after)).toBeUndefined()
    // Who had read it goes on with it.
    await before.round()
    expect([judging(before) === undefined, before.fault()]).toEqual([false, undefined])
    await Promise.all([before.stop(), after.stop()])
  })

  it('belongs to its owner, and is refused where it cannot be used', async () => {
    expect(statSync(join(root, 'whole-2')).mode & 0o777).toBe(0o700)
    for (const name of readdirSync(join(root, 'whole-2')))
      expect([name, statSync(join(root, 'whole-2', name)).mode & 0o077]).toEqual([name, 0])
    writeFileSync(join(root, 'file'), '')
    await expect(opened('file/below')).rejects.toThrow(/The folder .*file\/below cannot be used/)
  })

  it('that is gone stops no decision, is said once, and makes acts unavailable', async () => {
    const baselines = await opened('whole')
    taught(baselines, 13)
    renameSync(join(root, 'whole'), join(root, 'moved'))
    troubles.length = 0
    await baselines.round()
    await baselines.round()
    expect(troubles.filter((one) => one.startsWith('baselines cannot be read'))).toHaveLength(1)
    expect(await baselines.freeze(KEY, ANN)).toMatchObject({ kind: 'unavailable' })
    taught(baselines, 1, 0, KEY, 9, `${ONE}-9`)
    expect(baselines.list()[0]?.progress?.bursts).toBe(14)
    renameSync(join(root, 'moved'), join(root, 'whole'))
    expect(await baselines.freeze(KEY, ANN)).toMatchObject({ kind: 'done' })
    await baselines.stop()
  }, 60_000)

  it('that is full keeps what it has, says so, and stops no decision', async () => {
    const before = await opened('full', 'one', true)
    taught(before, 60, 0, { ...KEY, collection: 'demo/docs' })
    await before.round()
    await before.stop()
    const files = readdirSync(join(root, 'full')).sort()
    const keeper = fileURLToPath(new URL('../support/baseline-keeper.ts', import.meta.url))
    // No file may be longer than a block: every write of more fails, as on a full disk.
    const words = ['-c', 'ulimit -f 1 && exec "$0" "$@"', process.execPath, keeper, join(root, 'full')]
    const { stdout, stderr } = spawnSync('bash', words, { encoding: 'utf8', timeout: 50_000 })
    expect(stderr).toBe('')
    expect(JSON.parse(stdout)).toMatchObject({
      frozen: { kind: 'unavailable', because: expect.stringContaining('EFBIG') },
      judgedBefore: true,
      learnt: 20,
      troubles: [expect.stringContaining('what was learnt cannot be saved')]
    })
    expect(readdirSync(join(root, 'full')).filter((name) => name.startsWith('.'))).toEqual([])
    const after = await opened('full')
    // A reset is short, and may have found its place; what was in force is there, or was reset on purpose.
    const { reset, judgedAfter } = JSON.parse(stdout)
    expect(judgedAfter).toBe(reset.kind !== 'done')
    expect(after.fault()).toBeUndefined()
    expect(judging(after, { ...KEY, collection: 'demo/docs' }) !== undefined).toBe(judgedAfter)
    expect(readdirSync(join(root, 'full')).sort()).toEqual(expect.arrayContaining(files))
    await after.stop()
  }, 60_000)
})
