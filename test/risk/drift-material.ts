/** Made-up vectors for tests of drift: topics as random directions, queries near them; the same for the same seed. */
import type { DriftCall, DriftDraft } from '../../src/core/drift.ts'
import { diceOf } from '../../src/risk/drift-cluster.ts'
import { backgroundOf, freeze } from '../../src/risk/drift-freeze.ts'
import { learn, newDraft } from '../../src/risk/drift-learn.ts'
import { prepare, type ReadyBaseline } from '../../src/risk/drift-ready.ts'
import { type ReadySpace, readySpace } from '../../src/risk/drift-sketch.ts'
import { fitSpace } from '../../src/risk/drift-space.ts'
import type { Kernel } from '../../src/risk/kernel.ts'

/** Numbers from -1 to 1 (a linear congruential generator: the study's own code can make the same ones). */
export function numbersFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 31 - 1
  }
}

/** `count` of those numbers. */
export function numbers(seed: number, count: number): Float64Array {
  return Float64Array.from({ length: count }, numbersFrom(seed))
}

/** Rows of unit length. */
export function unitRows(values: Float64Array, columns: number): Float32Array[] {
  return Array.from({ length: values.length / columns }, (_, row) => {
    const part = values.subarray(row * columns, (row + 1) * columns)
    const length = Math.hypot(...part)
    return Float32Array.from(part, (value) => value / length)
  })
}

export function oneBehindTheOther(rows: readonly Float32Array[]): Float32Array {
  return Float32Array.from(rows.flatMap((row) => [...row]))
}

const QUERY_PAUSE_MS = 400
const BURST_PAUSE_MS = 300_000

/** Numbers from -1 to 1 that are good enough to be a hundred dimensions; those of `numbersFrom` lie on few planes there. */
function symmetric(seed: number): () => number {
  const dice = diceOf(seed)
  return () => 2 * dice() - 1
}

export interface World {
  readonly dimensions: number
  /** Directions of the topics of each department. */
  readonly topics: readonly (readonly Float32Array[])[]
}

/** Departments of six topics each; topics of one department are nearer to each other than to those of others. */
export function worldOf(dimensions: number, departments: number, seed = 1): World {
  const next = symmetric(seed)
  const direction = () => Float32Array.from({ length: dimensions }, next)
  return {
    dimensions,
    topics: Array.from({ length: departments }, () => {
      const centre = direction()
      return Array.from({ length: 6 }, () => direction().map((value, at) => value + (centre[at] as number)))
    })
  }
}

/** Bursts of one to thirteen queries, each about one topic of the department: a call a query. */
export function callsOf(world: World, department: number, bursts: number, seed: number, from = 0): DriftCall[] {
  const next = symmetric(seed)
  const topics = world.topics[department] as readonly Float32Array[]
  const pick = (count: number) => Math.floor(((next() + 1) / 2) * count)
  let at = from
  return Array.from({ length: bursts }, () => {
    const topic = topics[pick(topics.length)] as Float32Array
    at += BURST_PAUSE_MS
    return Array.from({ length: 1 + pick(13) }, (): DriftCall => {
      at += QUERY_PAUSE_MS
      return { vectors: [topic.map((value) => value + next() * 1.3)], at }
    })
  }).flat()
}

export interface Learnt {
  readonly space: ReadySpace
  readonly drafts: readonly DriftDraft[]
  readonly readies: readonly ReadyBaseline[]
}

/** A baseline for each department, from `bursts` bursts each. */
export function learntFrom(world: World, bursts: number, kernel: Kernel): Learnt {
  const drafts = world.topics.map((_, department) => {
    const draft = newDraft(
      { tenant: 'acme', agentType: `agent-${department}`, collection: 'docs' },
      { form: 'dense', dimensions: world.dimensions, seed: 5 }
    )
    for (const call of callsOf(world, department, bursts, 100 + department)) learn(draft, 'spiffe://example.org/one', call)
    return draft
  })
  const space = readySpace(fitSpace(drafts, 'space-1'))
  const options = { space, frozenAt: 0, seed: 1, kernel }
  const alone = drafts.map((draft, at) => freeze(draft, { ...options, version: `alone-${at}` }))
  const readies = drafts.map((draft, at) => {
    const background = backgroundOf(
      alone.filter((_, other) => other !== at),
      kernel
    )
    return prepare(freeze(draft, { ...options, background, version: `v-${at}` }), space, background, kernel)
  })
  return { space, drafts, readies }
}
