/** What was taken is delivered in order, whatever its receiver does; what cannot be kept is not taken. */
import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { createDelivery, type Outlet } from '../../src/audit/delivery.ts'
import { openSpill } from '../../src/audit/spill.ts'

const root = mkdtempSync(join(tmpdir(), 'dlv-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

let folders = 0
const fresh = () => join(root, `s${++folders}`)
const lineOf = (name: number, length = 20) => Buffer.from(`${JSON.stringify({ name, pad: 'x'.repeat(length) })}\n`)
const namesOf = (text: string) =>
  text
    .split('\n')
    .filter(Boolean)
    .map((line) => (JSON.parse(line) as { name: number }).name)

/** Takes what `takes` says yes to. */
function receiver(takes: () => boolean) {
  const names: number[] = []
  const ids: string[] = []
  const outlet: Outlet = {
    async send(lines, id) {
      await Promise.resolve()
      ids.push(id)
      if (!takes()) throw new Error('not now')
      names.push(...namesOf(lines.toString('utf8')))
    },
    close: () => undefined
  }
  return { outlet, names, ids }
}

function deliveryOf(outlet: Outlet, options: { folder?: string; memory?: number; spillMax?: number; now?: () => number } = {}) {
  const troubles: (string | undefined)[] = []
  let room = 0
  const spill = options.folder === undefined ? undefined : openSpill(options.folder, options.spillMax ?? 1e9, (says) => troubles.push(says))
  const onRoom = () => {
    room++
  }
  const onTrouble = (because: string | undefined) => void troubles.push(because)
  const { memory: memoryBytesMax = 1e9, now = Date.now } = options
  const delivery = createDelivery({ outlet, spill, memoryBytesMax, now, run: 'r', onTrouble, onRoom })
  return { delivery, troubles, rooms: () => room }
}

const range = (count: number) => Array.from({ length: count }, (_, at) => at)

describe('a delivery', () => {
  it('brings all, in order, through memory and disk, whatever fails', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.boolean(), { maxLength: 12 }),
        fc.integer({ min: 0, max: 400 }),
        fc.integer({ min: 1, max: 40 }),
        async (answers, memory, count) => {
          const left = [...answers]
          const { outlet, names } = receiver(() => left.shift() ?? true)
          const { delivery } = deliveryOf(outlet, { folder: fresh(), memory })
          for (const name of range(count)) {
            delivery.add(lineOf(name))
            if (name % 7 === 0) await new Promise(setImmediate)
          }
          expect(await delivery.close(10_000)).toBe(0)
          expect(names).toEqual(range(count))
        }
      ),
      { numRuns: 12 }
    )
  }, 60_000)

  it('sends the same batch under the same name until it is taken, and says once that it is not', async () => {
    let left = 2
    const { outlet, names, ids } = receiver(() => left-- <= 0)
    const { delivery, troubles } = deliveryOf(outlet)
    delivery.add(lineOf(1))
    await vi.waitFor(() => expect(names).toEqual([1]), 5_000)
    delivery.add(lineOf(2))
    await delivery.close(5_000)
    expect([ids, troubles]).toEqual([
      ['r-1', 'r-1', 'r-1', 'r-2'],
      ['not now', undefined]
    ])
  })

  it('is full when neither memory nor disk has room, and says when there is some again', async () => {
    let open = false
    const { outlet, names } = receiver(() => open)
    const { delivery, rooms } = deliveryOf(outlet, { folder: fresh(), memory: 100, spillMax: 100 })
    const fill = () => range(5).map((name) => [delivery.add(lineOf(name)), delivery.full()][1])
    // Two lines are 74 bytes: two in memory, two on the disk, and one that has no place.
    expect(fill()).toEqual([false, false, false, false, true])
    open = true
    await vi.waitFor(() => expect(rooms()).toBe(1), 10_000)
    expect(delivery.full()).toBe(false)
    await delivery.close(5_000)
    expect(names).toEqual(range(5))
  })

  it('leaves on the disk what it cannot bring before its end, and the next one brings it, in order', async () => {
    const folder = fresh()
    const first = deliveryOf(receiver(() => false).outlet, { folder, memory: 200 })
    for (const name of range(12)) first.delivery.add(lineOf(name))
    expect(await first.delivery.close(50)).toBe(0)
    const { outlet, names } = receiver(() => true)
    const second = deliveryOf(outlet, { folder })
    second.delivery.add(lineOf(12))
    expect(await second.delivery.close(5_000)).toBe(0)
    expect(names).toEqual(range(13))
    expect(readdirSync(folder)).toEqual([])
  })

  it('says how much is lost where there is no disk', async () => {
    const { delivery } = deliveryOf(receiver(() => false).outlet)
    delivery.add(lineOf(1))
    expect(await delivery.close(50)).toBe(lineOf(1).length)
  })

  it('leaves a record out that a kill has cut, and says so', async () => {
    const folder = fresh()
    mkdirSync(folder)
    appendFileSync(join(folder, '000000000007.ndjson'), Buffer.concat([lineOf(1), lineOf(2).subarray(0, 9)]))
    const { outlet, names } = receiver(() => true)
    const { delivery, troubles } = deliveryOf(outlet, { folder })
    await delivery.close(5_000)
    expect([names, troubles]).toEqual([[1], [expect.stringContaining('9 bytes')]])
  })

  it('a disk that takes nothing is memory only', () => {
    const folder = fresh()
    const spill = openSpill(folder, 1e9, () => undefined)
    rmSync(folder, { recursive: true })
    expect(spill.create(lineOf(1))).toBe(undefined)
    expect(spill.bytes()).toBe(0)
    mkdirSync(folder)
    const file = spill.create(lineOf(2))
    expect(file === undefined ? '' : readFileSync(file.path, 'utf8')).toBe(lineOf(2).toString('utf8'))
  })

  it('says how long the oldest record has waited, and how much of the room is used, also of what an earlier process left', async () => {
    const folder = fresh()
    let now = 1_000
    let open = false
    const { outlet, names } = receiver(() => open)
    const [memory, spillMax] = [lineOf(1).length, 4 * lineOf(1).length]
    const { delivery } = deliveryOf(outlet, { folder, memory, spillMax, now: () => now })
    expect(delivery.figures()).toMatchObject({ oldestMs: 0, used: { memory: 0, spill: 0 } })
    for (const name of [1, 2]) {
      delivery.add(lineOf(name))
      now += 5_000
    }
    expect(delivery.figures()).toMatchObject({ oldestMs: 10_000, used: { memory: 1, spill: 0.25 } })
    expect(await delivery.close(0)).toBe(0)
    open = true
    now = Date.now() + 60_000
    const next = deliveryOf(outlet, { folder, memory, spillMax, now: () => now })
    // Nothing of it is sent before this turn ends.
    expect(next.delivery.figures().oldestMs).toBeGreaterThanOrEqual(60_000)
    await vi.waitFor(() => expect([...names].sort()).toEqual([1, 2]), { timeout: 30_000 })
    await vi.waitFor(() => expect(next.delivery.figures()).toMatchObject({ oldestMs: 0, used: { memory: 0, spill: 0 } }), {
      timeout: 30_000
    })
    expect(await next.delivery.close(1_000)).toBe(0)
  })
})
