/** All that is learnt of agent types beside baselines and orders of calls: what they need in a day, and in which bursts. */
import type { BaselineKey } from '../core/drift.ts'
import { type BurstTally, newBurstTally } from '../risk/burst-learning.ts'
import { fail, readArray, readName, readNumber, readObject, toBase64 } from '../risk/drift-baseline.ts'
import { DAILY_HEADROOM, dailyBudget } from '../risk/exposure.ts'
import type { Learnt } from '../risk/learnt.ts'
import type { Signals } from '../risk/monitoring.ts'
import type { Baselines } from './baselines.ts'
import type { Orders } from './orders.ts'
import { type Read, slotKey } from './slot-text.ts'

/** Agent types, and their collections: policies have fewer. */
const TYPES_MAX = 1_024
const PLACES_MAX = 4_096
/** Days of workloads that are remembered for each, the latest; with fewer than the least, nothing is known yet. */
const DAYS_MAX = 256
const DAYS_MIN = 10
/** Once a budget is known, a day that needed more counts for so much of what it was made of: spending all of it must not treble it. */
const DAY_GROWTH = 1.1
const WORKLOADS_MAX = 10_000
const SIGNALS_PER_WORKLOAD_MAX = 64

interface Its {
  readonly days: Map<string, number[]>
  readonly tallies: Map<string, BurstTally>
  readonly signals: Map<string, Map<string, { readonly value: number; readonly at: number }>>
}

export interface HabitsLearnt extends Learnt {
  /** @returns false where there is no room for another one */
  readonly putSignal: (workload: string, name: string, value: number, at: number) => boolean
  /** Days and budgets, for a file. */
  readonly text: () => string
  /** Takes over what was written, before anything is learnt. */
  readonly take: (text: string) => Read<undefined>
}

const NONE: Signals = new Map()

export function createLearnt({
  book,
  approvedDaily,
  sequenceOf
}: Pick<Baselines, 'book' | 'approvedDaily'> & Pick<Orders, 'sequenceOf'>): HabitsLearnt {
  const its: Its = { days: new Map(), tallies: new Map(), signals: new Map() }
  return {
    book,
    dailyOf: (key, weight) => approvedDaily(key) ?? learntDaily(its.days.get(slotKey(key)), weight),
    noteDay: (key, records) => noteDay(its, key, records),
    sequenceOf,
    tallyOf: (agentType) => known(its.tallies, agentType, newBurstTally),
    signalsOf: (workload) => its.signals.get(workload) ?? NONE,
    putSignal: (workload, name, value, at) => putSignal(its, workload, name, value, at),
    text: () => textOf(its),
    take: (text) => take(its, text)
  }
}

function known<Value>(map: Map<string, Value>, name: string, make: () => Value): Value | undefined {
  const found = map.get(name)
  if (found !== undefined || map.size >= TYPES_MAX) return found
  const made = make()
  map.set(name, made)
  return made
}

function learntDaily(days: readonly number[] | undefined, weight: number): number | undefined {
  return days === undefined || days.length < DAYS_MIN ? undefined : dailyBudget(days, weight)
}

function noteDay({ days }: Its, key: BaselineKey, records: number): void {
  const place = slotKey(key)
  const its = days.get(place)
  const before = learntDaily(its, 1)
  if (its !== undefined) {
    its.push(before === undefined ? records : Math.min(records, (DAY_GROWTH * before) / DAILY_HEADROOM))
    if (its.length > DAYS_MAX) its.shift()
  } else if (days.size < PLACES_MAX) days.set(place, [records])
}

function putSignal({ signals }: Its, workload: string, name: string, value: number, at: number): boolean {
  const its = signals.get(workload) ?? new Map()
  if (!its.has(name) && its.size >= SIGNALS_PER_WORKLOAD_MAX) return false
  if (!signals.has(workload) && signals.size >= WORKLOADS_MAX) return false
  its.set(name, { value, at })
  signals.set(workload, its)
  return true
}

function textOf({ days, tallies }: Its): string {
  const tally = ({ sizes, pauses, bursts, cost, ms, gapMs }: BurstTally) => ({
    sizes: toBase64(sizes),
    pauses: toBase64(pauses),
    bursts,
    cost,
    ms,
    gapMs
  })
  return JSON.stringify({
    format: 'vecauthz-habits 1',
    days: [...days],
    tallies: [...tallies].map(([name, one]) => [name, tally(one)])
  })
}

function take(its: Its, text: string): Read<undefined> {
  try {
    const fields = readObject(JSON.parse(text), ['format', 'days', 'tallies'], 'the file')
    if (fields.format !== 'vecauthz-habits 1') fail('the file has another format')
    for (const [name, value] of pairs(fields.days)) {
      const days = Array.isArray(value) ? value.map((day) => readNumber(day, 'a day')) : fail('days is no list')
      its.days.set(name, days.slice(-DAYS_MAX))
    }
    for (const [name, value] of pairs(fields.tallies)) its.tallies.set(name, readTally(value))
    return { ok: true, value: undefined }
  } catch (cause) {
    return { ok: false, because: cause instanceof RangeError ? cause.message : 'it is not what was learnt' }
  }
}

function pairs(value: unknown): [string, unknown][] {
  const list = Array.isArray(value) && value.length <= PLACES_MAX ? value : fail('a list is none, or too long')
  return list.map((one) => (Array.isArray(one) && one.length === 2 ? [readName(one[0], 'a name'), one[1]] : fail('an entry is none')))
}

function readTally(value: unknown): BurstTally {
  const fields = readObject(value, ['sizes', 'pauses', 'bursts', 'cost', 'ms', 'gapMs'], 'a tally')
  const empty = newBurstTally()
  return {
    sizes: new Uint32Array(readArray(fields.sizes, 'sizes', empty.sizes.byteLength, 1)),
    pauses: new Uint32Array(readArray(fields.pauses, 'pauses', empty.pauses.byteLength, 1)),
    bursts: readNumber(fields.bursts, 'bursts'),
    cost: readNumber(fields.cost, 'cost'),
    ms: readNumber(fields.ms, 'ms'),
    gapMs: readNumber(fields.gapMs, 'gapMs'),
    learnt: undefined
  }
}
