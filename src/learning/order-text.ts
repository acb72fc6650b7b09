/** Frozen orders of calls as the folder keeps them. What cannot be read is a fault, never an empty one. */
import { createHash } from 'node:crypto'
import { SEQUENCE_OTHER, SEQUENCE_STATES, type SequenceModel, SURPRISE_BINS } from '../core/sequence.ts'
import { fail, readArray, readName, readNumber, readObject, readText, toBase64 } from '../risk/drift-baseline.ts'
import { newSequenceModel, sumsOf } from '../risk/sequence-model.ts'
import type { Read } from './slot-text.ts'

/** A frozen model, and the word of a person on it. */
export interface KeptOrder {
  readonly model: SequenceModel
  /** A name that was never given. */
  readonly version: string
  /** Who made or approved it: a SPIFFE ID, or `automatic`. */
  readonly by: string
  readonly reason: string
  /** ms since the epoch. */
  readonly at: number
}

/** All there is of one agent type. */
export interface OrderSlot {
  readonly agentType: string
  readonly inForce: KeptOrder | undefined
  /** Waits for somebody's yes. */
  readonly waiting: KeptOrder | undefined
}

export function orderName(agentType: string): string {
  return `order-${createHash('sha256').update(agentType, 'utf16le').digest('hex').slice(0, 32)}`
}

export function orderText({ agentType, inForce, waiting }: OrderSlot): string {
  return JSON.stringify({ format: 'vecauthz-order 1', agent_type: agentType, in_force: keptJson(inForce), waiting: keptJson(waiting) })
}

export function orderFrom(text: string): Read<OrderSlot> {
  try {
    const fields = readObject(JSON.parse(text), ['format', 'agent_type', 'in_force', 'waiting'], 'the file')
    if (fields.format !== 'vecauthz-order 1') fail('the file has another format')
    const agentType = readName(fields.agent_type, 'agent_type')
    return { ok: true, value: { agentType, inForce: readKept(fields.in_force), waiting: readKept(fields.waiting) } }
  } catch (cause) {
    return { ok: false, because: cause instanceof RangeError ? cause.message : 'it is not an order of calls' }
  }
}

function keptJson(kept: KeptOrder | undefined): object | null {
  if (kept === undefined) return null
  const { model, ...rest } = kept
  const { names, counts, events, surprises, scored, bursts, blocks, fairness } = model
  return {
    ...rest,
    model: {
      names: [...names],
      counts: toBase64(counts),
      surprises: toBase64(surprises),
      fairness: toBase64(fairness),
      events,
      scored,
      bursts,
      blocks
    }
  }
}

const MODEL = ['names', 'counts', 'surprises', 'fairness', 'events', 'scored', 'bursts', 'blocks'] as const

function readKept(value: unknown): KeptOrder | undefined {
  if (value === null) return undefined
  const fields = readObject(value, ['model', 'version', 'by', 'reason', 'at'], 'an entry')
  return {
    model: readModel(readObject(fields.model, MODEL, 'the model')),
    version: readName(fields.version, 'version'),
    by: readName(fields.by, 'by'),
    reason: readName(fields.reason, 'reason'),
    at: readNumber(fields.at, 'at')
  }
}

function readModel(fields: Record<(typeof MODEL)[number], unknown>): SequenceModel {
  const counts = new Uint32Array(readArray(fields.counts, 'counts', SEQUENCE_STATES * SEQUENCE_STATES, 4))
  const fairness = new Float64Array(readArray(fields.fairness, 'fairness', newSequenceModel().fairness.byteLength, 1))
  if (!fairness.every((sum) => Number.isFinite(sum) && sum >= 0)) fail('a sum of the order is none')
  const whole = (name: 'events' | 'scored' | 'bursts' | 'blocks') => {
    const number = readNumber(fields[name], name)
    return Number.isSafeInteger(number) ? number : fail(`${name} is not a whole number`)
  }
  return {
    frozen: true,
    names: readNames(fields.names),
    counts,
    sums: sumsOf(counts),
    events: whole('events'),
    surprises: new Uint32Array(readArray(fields.surprises, 'surprises', SURPRISE_BINS, 4)),
    scored: whole('scored'),
    bursts: whole('bursts'),
    blocks: whole('blocks'),
    fairness
  }
}

function readNames(value: unknown): Map<string, number> {
  const list = Array.isArray(value) && value.length < SEQUENCE_OTHER ? value : fail('names is no list, or too long')
  const names = new Map<string, number>()
  for (const one of list) {
    if (!Array.isArray(one) || one.length !== 2) fail('a name is none')
    const number = readNumber(one[1], 'a number')
    if (number !== names.size + 1) fail('the names are not numbered in order')
    names.set(readText(one[0], 'a name'), number)
  }
  return names.size === list.length ? names : fail('a name stands there twice')
}
