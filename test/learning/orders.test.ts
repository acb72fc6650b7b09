/** The order of calls from the first call to a person's yes, in a real folder; and that nobody teaches it after that. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { type OrderSlot, orderFrom, orderText } from '../../src/learning/order-text.ts'
import { type Orders, openOrders } from '../../src/learning/orders.ts'
import { diceOf } from '../../src/risk/drift-cluster.ts'
import { newSequenceState, observeSequence, type ReadySequence, readySequence } from '../../src/risk/sequence.ts'

const root = mkdtempSync(join(tmpdir(), 'vecauthz-orders-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

const TYPE = 'support'
const ANN = { by: 'spiffe://demo.vecauthz.test/ops/ann', reason: 'seen', now: 5_000 }
const PAUSE = 60_000
const troubles: string[] = []

async function opened(folder: string | undefined, approveByItself = false): Promise<Orders> {
  return openOrders({
    folder: folder === undefined ? undefined : join(root, folder),
    freezeAfterBursts: 40,
    approveByItself,
    now: () => 4_000,
    onTrouble: (because) => void troubles.push(because),
    onFrozen: () => undefined
  })
}

/** Bursts of calls: looks, then searches and reads what it found. @param strange every so many bursts holds one call that the type never makes */
function* habit(seed: number, from = 0, strange = Number.POSITIVE_INFINITY) {
  const next = diceOf(seed)
  let at = from
  const call = (event: string) => {
    at += 300
    return { at, event }
  }
  for (let burst = 1; ; burst++) {
    const docs = ['handbook', 'tickets', 'notes'][Math.floor(next() * 3)] as string
    yield call(`observe ${docs}`)
    for (let again = 0; again < 2 + next() * 4; again++) {
      yield call(`search ${docs}`)
      if (next() < 0.7) yield call(`read ${docs}`)
    }
    if (burst % strange === 0) yield call(`search payroll-${Math.floor(next() * 4)}`)
    at += PAUSE
  }
}

/** Calls of one workload in good standing. @returns when the last one was */
function called(orders: Orders, calls: number, habits: ReturnType<typeof habit>, its = newSequenceState()): number {
  let last = 0
  for (let call = 0; call < calls; call++) {
    const { value } = habits.next()
    if (value === undefined) break
    last = value.at
    observeSequence(orders.sequenceOf(TYPE) as ReadySequence, its, value.event, value.at, true)
  }
  return last
}

/** Most evidence that a burst of calls to what the type never uses comes to. */
function evidenceOf(ready: ReadySequence): number {
  const its = newSequenceState()
  return Math.max(
    ...Array.from({ length: 20 }, (_, at) => observeSequence(ready, its, `search payroll-${at % 4}`, 1e12 + 300 * at, true).evidence)
  )
}

describe('the order of calls', () => {
  it('is learnt, frozen by itself, judged by a person, and only then judges', async () => {
    const orders = await opened('whole')
    expect(await orders.freeze(TYPE, ANN)).toMatchObject({ kind: 'not', status: 404 })
    called(orders, 100, habit(1))
    expect(await orders.freeze(TYPE, ANN)).toMatchObject({ kind: 'not', says: expect.stringContaining('too few') })
    called(orders, 1_500, habit(2, 1e9))
    await orders.round()
    expect(orders.list()).toMatchObject([{ slot: { agentType: TYPE, inForce: undefined, waiting: { by: 'automatic' } } }])
    // Nobody has said yes: it judges nobody, though it has learnt enough.
    expect(evidenceOf(orders.sequenceOf(TYPE) as ReadySequence)).toBe(0)
    expect(await orders.approve(TYPE, ANN)).toMatchObject({ kind: 'done' })
    expect(orders.list()).toMatchObject([
      { learning: undefined, slot: { inForce: { by: ANN.by, reason: ANN.reason }, waiting: undefined } }
    ])
    expect(evidenceOf(orders.sequenceOf(TYPE) as ReadySequence)).toBeGreaterThan(300)
    await orders.stop()
  })

  it('outlives the process, is known to the others of the folder, and is reset', async () => {
    const [again, other] = [await opened('whole'), await opened('whole')]
    expect(evidenceOf(other.sequenceOf(TYPE) as ReadySequence)).toBeGreaterThan(300)
    expect(await other.reset(TYPE, ANN)).toMatchObject({ kind: 'done' })
    expect(await again.reset(TYPE, ANN)).toMatchObject({ kind: 'not', says: expect.stringContaining('faster') })
    await again.round()
    expect(again.sequenceOf(TYPE)?.model.frozen).toBe(false)
    expect(await again.approve(TYPE, ANN)).toMatchObject({ kind: 'not', status: 409 })
    await Promise.all([again.stop(), other.stop()])
  })

  it('slow teaching lowers no alarm: in force, it is what it was to the bit', async () => {
    const orders = await opened(undefined, true)
    const learnt = called(orders, 1_500, habit(3))
    await orders.round()
    const before = orders.sequenceOf(TYPE) as ReadySequence
    const [text, evidence] = [orderText(orders.list()[0]?.slot as OrderSlot), evidenceOf(before)]
    expect(evidence).toBeGreaterThan(300)
    // In good standing all the while: a strange call in every third burst, for ten times as long as it was learnt.
    const patient = () => habit(4, learnt + PAUSE, 3)
    called(orders, 15_000, patient())
    await orders.round()
    expect(orders.sequenceOf(TYPE)).toBe(before)
    expect(orderText(orders.list()[0]?.slot as OrderSlot)).toBe(text)
    expect(evidenceOf(before)).toBe(evidence)
    // The same calls would teach one that learns, or this would show nothing.
    const open = await opened(undefined)
    called(open, 1_500, habit(3))
    called(open, 15_000, patient())
    const model = (open.sequenceOf(TYPE) as ReadySequence).model
    expect(evidenceOf(readySequence({ ...model, frozen: true }))).toBeLessThan(evidence / 10)
  })

  it('teaching before the yes moves nothing of what waits for it', async () => {
    const orders = await opened(undefined)
    called(orders, 1_500, habit(5))
    await orders.round()
    const waiting = orderText(orders.list()[0]?.slot as OrderSlot)
    called(orders, 5_000, habit(6, 1e9, 2))
    await orders.round()
    expect(orderText(orders.list()[0]?.slot as OrderSlot)).toBe(waiting)
  })

  it('another version begins anew: evidence and place of the one before mean nothing in it', async () => {
    const orders = await opened(undefined, true)
    called(orders, 1_500, habit(7))
    await orders.round()
    const ready = orders.sequenceOf(TYPE) as ReadySequence
    const its = newSequenceState()
    for (let at = 0; at < 20; at++) observeSequence(ready, its, `search payroll-${at % 4}`, 300 * at, true)
    const { evidence } = observeSequence({ ...ready, version: 'another' }, its, 'observe notes', 6_300, true)
    expect(evidence).toBeLessThan(30)
  })
})

describe('an order in the folder', () => {
  it('that is damaged is said, and does not pass for a first day', async () => {
    const before = await opened('damaged', true)
    called(before, 1_500, habit(8))
    await before.round()
    await before.stop()
    const folder = join(root, 'damaged', 'orders')
    const [file] = readdirSync(folder).filter((name) => name.endsWith('.2'))
    writeFileSync(join(folder, file as string), 'x')
    const after = await opened('damaged')
    expect(after.fault()).toMatch(/damaged|cannot be used/)
    expect(troubles.at(-1)).toMatch(/order-.*\.2 cannot be used/)
    await after.stop()
  })

  it('is taken with nothing on trust', async () => {
    const orders = await opened(undefined, true)
    called(orders, 1_500, habit(9))
    await orders.round()
    const slot = orders.list()[0]?.slot as OrderSlot
    const text = orderText(slot)
    expect(orderFrom(text)).toEqual({ ok: true, value: slot })
    const broken = (change: Record<string, unknown>) => {
      const plain = JSON.parse(text) as { in_force: { model: Record<string, unknown> } }
      Object.assign(plain.in_force.model, change)
      const read = orderFrom(JSON.stringify(plain))
      return read.ok ? '' : read.because
    }
    const twice = ['a', 'a'].map((name, at) => [name, at + 1])
    expect(broken({})).toBe('')
    expect(broken({ counts: 'AAAA' })).toMatch(/counts has the wrong length/)
    expect(broken({ names: [['a', 2]] })).toMatch(/not numbered in order/)
    expect(broken({ names: twice })).toMatch(/twice/)
    expect(broken({ bursts: -1 })).toMatch(/bursts/)
    expect(broken({ frozen: false })).toMatch(/not known/)
    expect(orderFrom('{')).toMatchObject({ ok: false, because: 'it is not an order of calls' })
  })
})
