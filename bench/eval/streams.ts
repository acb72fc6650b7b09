/** Streams of queries as agents send them: bursts about a topic, then a pause. Texts are real, the rhythm is made up (docs/drift.md). */
import type { DataSet } from './data-set.ts'
import { type Dice, diceFor } from './dice.ts'

/** Rows by topic. */
export type Pool = ReadonlyMap<string, readonly number[]>

/** Which rows a seed gives to learning and which to later streams. */
export interface Split {
  readonly data: DataSet
  readonly seed: number
  readonly learnt: ReadonlyMap<string, Pool>
  readonly later: ReadonlyMap<string, Pool>
}

export interface Stream {
  readonly vectors: readonly Float32Array[]
  /** ms. */
  readonly times: readonly number[]
  /** 1 for queries of an attack. */
  readonly foreign: Uint8Array
  /** First query from which on an alarm is no false one. */
  readonly from: number
}

export interface Rhythm {
  /** Chance that the next query of a burst keeps its topic. */
  readonly sticky: number
  /** Times the usual length of bursts. */
  readonly lengths: number
  /** How much topics of workloads are alike: 25 is usual, 3 a specialist, 200 the agent type as a whole. */
  readonly alike: number
}

export const USUAL: Rhythm = { sticky: 0.8, lengths: 1, alike: 25 }
const WHOLE: Rhythm = { ...USUAL, alike: 200 }

const LEARNT_SHARE = 0.6
const [BURST_MEDIAN, BURST_SPREAD, BURST_MAX] = [6, 0.8, 60]
const ZIPF = 0.8
/** Mean pause inside a burst, and median pause between bursts, ms. */
const [PAUSE_MS, THINK_MS] = [400, 300_000]
/** An agent that pauses less between bursts has no bursts. */
const THINK_MIN_MS = 10_000

export function splitOf(data: DataSet, seed: number): Split {
  const learnt = new Map<string, Pool>()
  const later = new Map<string, Pool>()
  for (const [department, topics] of data.departments) {
    const rows = diceFor(seed, department, 'split').shuffled([...topics.values()].flat())
    const early = new Set(rows.slice(0, Math.floor(LEARNT_SHARE * rows.length)))
    learnt.set(
      department,
      poolOf(topics, (row) => early.has(row))
    )
    later.set(
      department,
      poolOf(topics, (row) => !early.has(row))
    )
  }
  return { data, seed, learnt, later }
}

function poolOf(topics: Pool, keeps: (row: number) => boolean): Pool {
  return new Map([...topics].map(([topic, rows]) => [topic, rows.filter(keeps)]))
}

export function rowsOf(pool: Pool | undefined): number[] {
  return [...(pool ?? new Map<string, number[]>()).values()].flat()
}

export function burstLength(dice: Dice, lengths: number): number {
  const length = Math.round(lengths * Math.exp(Math.log(BURST_MEDIAN) + BURST_SPREAD * dice.normal()))
  return Math.min(BURST_MAX, Math.max(1, length))
}

/** Bursts of rows, no row twice, until there are `count` rows or none are left. */
export function burstsFrom(pool: Pool, count: number, dice: Dice, department: string, rhythm: Rhythm): number[][] {
  const topics = [...pool.keys()].sort()
  const left = topics.map((topic) => dice.shuffled(pool.get(topic) ?? []))
  const usual = diceFor('popular', department).shuffled(topics.map((_, at) => (at + 1) ** -ZIPF))
  const sum = usual.reduce((total, weight) => total + weight, 0)
  const weights = dice.dirichlet(usual.map((weight) => (rhythm.alike * weight) / sum + 1e-3))
  const redraw = () => dice.weighted(weights.map((weight, at) => ((left[at]?.length ?? 0) > 0 ? weight + 1e-12 : 0)))
  const bursts: number[][] = []
  let missing = Math.min(
    count,
    left.reduce((total, rows) => total + rows.length, 0)
  )
  while (missing > 0) {
    const burst: number[] = []
    let topic = redraw()
    for (let wanted = Math.min(missing, burstLength(dice, rhythm.lengths)); wanted > 0; wanted--) {
      if (dice.next() > rhythm.sticky || left[topic]?.length === 0) topic = redraw()
      burst.push(left[topic]?.pop() as number)
    }
    missing -= burst.length
    bursts.push(burst)
  }
  return bursts
}

/** All that the agent type learns from, each text once. */
export function learningBursts({ learnt, seed }: Split, department: string): number[][] {
  return burstsFrom(learnt.get(department) ?? new Map(), Number.POSITIVE_INFINITY, diceFor(seed, department, 'learning'), department, WHOLE)
}

/** Times of bursts of these lengths, in ms from `from` on. */
export function timesOf(lengths: readonly number[], dice: Dice, from = 0): number[] {
  let at = from
  return lengths.flatMap((length) => {
    at += Math.max(THINK_MIN_MS, THINK_MS * Math.exp(dice.normal()))
    return Array.from({ length }, () => {
      at += -PAUSE_MS * Math.log(1 - dice.next())
      return at
    })
  })
}

/** @param count of queries; fewer when the department has not as many */
export function normalStream(split: Split, department: string, count: number, run: number, rhythm: Rhythm = USUAL): Stream {
  const dice = diceFor(split.seed, department, 'normal', run, rhythm.sticky, rhythm.lengths, rhythm.alike)
  const bursts = burstsFrom(split.later.get(department) ?? new Map(), count, dice, department, rhythm)
  const rows = bursts.flat()
  return {
    vectors: rows.map((row) => split.data.queries[row] as Float32Array),
    times: timesOf(
      bursts.map((burst) => burst.length),
      dice
    ),
    foreign: new Uint8Array(rows.length),
    from: rows.length
  }
}

/** Half of what the department has for later, so that streams of it differ. */
export function normalLength({ later }: Split, department: string): number {
  return Math.min(450, rowsOf(later.get(department)).length >> 1)
}
