/**
 * The orders of calls that a process knows, by agent type: learnt, frozen, approved, and in force until somebody begins anew, as baselines
 * are. Only an approved one judges, and it never moves, so that whoever is patient teaches nothing. What is in force comes from the folder.
 */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { BURSTS_MIN } from '../core/drift.ts'
import type { By } from '../core/risk-desk.ts'
import type { SequenceModel } from '../core/sequence.ts'
import { type ReadySequence, readySequence, SCORED_MIN } from '../risk/sequence.ts'
import { newSequenceModel } from '../risk/sequence-model.ts'
import { type Generations, memoryGenerations, openGenerations } from '../state/generations.ts'
import type { Done } from './acts.ts'
import { type KeptOrder, type OrderSlot, orderFrom, orderName, orderText } from './order-text.ts'

/** Agent types: policies have fewer. */
const TYPES_MAX = 1_024
/** A model that learns is worked out again when it has seen an eighth more. */
const GROWN = 1.125
const [LOOK_MS, FREEZE_MS] = [1_000, 10_000]

export interface OrdersOptions {
  /** undefined: forgotten with the process. */
  readonly folder: string | undefined
  /** Bursts from which on what was learnt is frozen by itself. */
  readonly freezeAfterBursts: number
  /** Nobody is asked: what is frozen is in force. */
  readonly approveByItself: boolean
  readonly now: () => number
  /** For the operational log. */
  readonly onTrouble: (because: string) => void
  readonly onFrozen: (agentType: string, version: string) => void
}

export interface OrderRow {
  readonly slot: OrderSlot
  /** What is being learnt beside it; undefined where nothing is. */
  readonly learning: Pick<SequenceModel, 'events' | 'bursts'> | undefined
}

export interface Orders {
  /** Judges where it is in force, else learns; undefined where there is no room for another agent type. */
  readonly sequenceOf: (agentType: string) => ReadySequence | undefined
  readonly list: () => readonly OrderRow[]
  readonly freeze: (agentType: string, by: By) => Promise<Done>
  readonly approve: (agentType: string, by: By) => Promise<Done>
  readonly reset: (agentType: string, by: By) => Promise<Done>
  /** Why it is not known what is in force. */
  readonly fault: () => string | undefined
  /** Looks, and freezes what is ready. Never rejects. */
  readonly round: () => Promise<void>
  readonly start: () => void
  readonly stop: () => Promise<void>
}

interface Its {
  readonly options: OrdersOptions
  readonly generations: Generations
  readonly slots: Map<string, { readonly slot: OrderSlot; readonly number: number; readonly ready: ReadySequence | undefined }>
  readonly learning: Map<string, { ready: ReadySequence; events: number }>
  readonly numbers: Map<string, number>
  readonly faults: Map<string, string>
}

/** @throws Error with a sentence where the folder cannot be used */
export async function openOrders(options: OrdersOptions): Promise<Orders> {
  const { folder } = options
  const generations = folder === undefined ? memoryGenerations() : await openGenerations(join(folder, 'orders'))
  const its: Its = { options, generations, slots: new Map(), learning: new Map(), numbers: new Map(), faults: new Map() }
  await look(its)
  const timers: NodeJS.Timeout[] = []
  let running: Promise<void> = Promise.resolve()
  const inTurn = (work: () => Promise<void>) => {
    running = running.then(work).catch((cause: unknown) => options.onTrouble(`orders of calls: ${(cause as Error).message}`))
    return running
  }
  const every = (ms: number, work: () => Promise<void>) => timers.push(setInterval(() => void inTurn(work), ms).unref())
  return {
    sequenceOf: (agentType) => sequenceOf(its, agentType),
    list: () => rowsOf(its),
    freeze: (agentType, by) => freeze(its, agentType, by),
    approve: (agentType, by) => approve(its, agentType, by),
    reset: (agentType, by) => reset(its, agentType, by),
    fault: () => faultOf(its),
    async round() {
      await inTurn(() => look(its))
      await inTurn(() => freezeReady(its))
    },
    start() {
      every(LOOK_MS, () => look(its))
      every(FREEZE_MS, () => freezeReady(its))
    },
    async stop() {
      for (const timer of timers) clearInterval(timer)
      await running
    }
  }
}

/** Takes over what is new in the folder. */
async function look({ generations, numbers, slots, learning, faults, options }: Its): Promise<void> {
  for (const one of await generations.look(numbers)) {
    const read = one.kind === 'fault' ? { ok: false as const, because: one.because } : orderFrom(one.text)
    const because = !read.ok ? read.because : orderName(read.value.agentType) === one.name ? undefined : 'it has the name of another one'
    if (!read.ok || because !== undefined) {
      const says = `${one.name}.${one.number} cannot be used: ${because}`
      if (faults.get(one.name) !== says) options.onTrouble(says)
      faults.set(one.name, says)
      continue
    }
    const slot = read.value
    const before = slots.get(slot.agentType)
    const { inForce } = slot
    const isSame = inForce !== undefined && before?.slot.inForce?.version === inForce.version
    const ready = isSame ? before?.ready : inForce && readySequence(inForce.model, inForce.version)
    slots.set(slot.agentType, { slot, number: one.number, ready })
    numbers.set(one.name, one.number)
    faults.delete(one.name)
    if (inForce !== undefined) learning.delete(slot.agentType)
  }
}

function sequenceOf({ slots, learning }: Its, agentType: string): ReadySequence | undefined {
  const held = slots.get(agentType)
  if (held?.ready !== undefined) return held.ready
  let its = learning.get(agentType)
  if (its === undefined) {
    if (learning.size >= TYPES_MAX) return undefined
    its = { ready: readySequence(newSequenceModel()), events: 0 }
    learning.set(agentType, its)
  }
  const { model } = its.ready
  if (model.events > 64 + its.events * GROWN) {
    its.ready = readySequence(model)
    its.events = model.events
  }
  return its.ready
}

function rowsOf({ slots, learning }: Its): readonly OrderRow[] {
  const types = [...new Set([...slots.keys(), ...learning.keys()])].sort()
  return types.map((agentType) => ({
    slot: slots.get(agentType)?.slot ?? { agentType, inForce: undefined, waiting: undefined },
    learning: learning.get(agentType)?.ready.model
  }))
}

/** One that cannot be read judges nobody: that is said before anything passes. */
function faultOf({ faults, slots }: Its): string | undefined {
  const known = new Set([...slots.keys()].map(orderName))
  return [...faults].find(([name]) => !known.has(name))?.[1]
}

const not = (status: 404 | 409, says: string): Done => ({ kind: 'not', status, says })

async function freeze(its: Its, agentType: string, { by, reason, now }: By): Promise<Done> {
  const model = its.learning.get(agentType)?.ready.model
  if (model === undefined) return not(404, 'Nothing was learnt there.')
  if (model.bursts < BURSTS_MIN || model.scored < SCORED_MIN) {
    const seen = `${model.scored} ranked calls in ${model.bursts} bursts are too few`
    return not(409, `${seen}: it takes ${SCORED_MIN} in ${BURSTS_MIN}.`)
  }
  const waiting: KeptOrder = { model, version: randomBytes(6).toString('hex'), by, reason, at: now }
  return change(its, agentType, (slot) => ({ ...slot, waiting }))
}

async function approve(its: Its, agentType: string, { by, reason, now }: By): Promise<Done> {
  const slot = its.slots.get(agentType)?.slot
  if (slot === undefined) return not(404, 'There is no order of calls of that agent type.')
  const { waiting } = slot
  if (waiting === undefined) return not(409, 'Nothing waits for approval there.')
  const inForce = { ...waiting, by, reason, at: now }
  return change(its, agentType, (before) => (before.waiting === waiting ? { ...before, inForce, waiting: undefined } : undefined))
}

async function reset(its: Its, agentType: string, _by: By): Promise<Done> {
  if (!its.slots.has(agentType) && !its.learning.has(agentType)) return not(404, 'There is no order of calls of that agent type.')
  const done = await change(its, agentType, (slot) => ({ ...slot, inForce: undefined, waiting: undefined }))
  if (done.kind === 'done') its.learning.delete(agentType)
  return done
}

/** @param by undefined: it is no longer what it was */
async function change(its: Its, agentType: string, by: (slot: OrderSlot) => OrderSlot | undefined): Promise<Done> {
  const held = its.slots.get(agentType)
  const after = by(held?.slot ?? { agentType, inForce: undefined, waiting: undefined })
  if (after === undefined) return not(409, 'Somebody else was faster; look again.')
  try {
    const written = await its.generations.put(orderName(agentType), held?.number ?? 0, orderText(after))
    if (written.kind === 'changed') return not(409, 'Somebody else was faster; look again.')
    if (written.kind === 'failed') return { kind: 'unavailable', because: `The folder of orders fails: ${written.because}` }
    await look(its)
  } catch (cause) {
    return { kind: 'unavailable', because: `It is not known whether this was done: ${(cause as Error).message}` }
  }
  const kept = after.inForce ?? after.waiting
  return { kind: 'done', versions: kept === undefined ? [] : [kept.version] }
}

async function freezeReady(its: Its): Promise<void> {
  const { freezeAfterBursts, approveByItself, now, onFrozen } = its.options
  for (const [agentType, { ready }] of [...its.learning]) {
    const slot = its.slots.get(agentType)?.slot
    if (slot?.waiting !== undefined || slot?.inForce !== undefined || ready.model.bursts < freezeAfterBursts) continue
    const by = { by: 'automatic', reason: `${freezeAfterBursts} bursts were learnt`, now: now() }
    const done = await freeze(its, agentType, by)
    if (done.kind === 'unavailable') throw new Error(done.because)
    if (done.kind !== 'done') continue
    onFrozen(agentType, done.versions[0] ?? '')
    if (approveByItself) await approve(its, agentType, { ...by, now: now() })
  }
}
