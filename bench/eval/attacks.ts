/** Streams of a workload that was normal and then was not. All attacks keep the normal rhythm (docs/drift.md). */
import type { DriftSpace } from '../../src/core/drift.ts'
import { dot, meanOf, unit } from './data-set.ts'
import { type Dice, diceFor } from './dice.ts'
import { burstLength, burstsFrom, rowsOf, type Split, type Stream, timesOf, USUAL } from './streams.ts'

/**
 * far, near, unknown: a sudden burst from another department or none. drip: every tenth query foreign. probe: perturbations around one
 * document. sweep: the department's questions in random order. crawl: its documents in random order. twins: document after document, each
 * three times in almost the same words. walk: from document to nearest unseen document. mimic: topic after topic, each to its end. hide: foreign targets behind the sketches of normal queries, by somebody who knows the secret projection.
 */
export const ATTACKS = ['far', 'near', 'unknown', 'drip', 'probe', 'sweep', 'crawl', 'twins', 'walk', 'mimic', 'hide'] as const
export type Attack = (typeof ATTACKS)[number]

/** Normal queries before the attack. */
const BEFORE = 110
const BURST = 40
const [DRIP_QUERIES, DRIP_SHARE] = [600, 0.1]
const [PROBES, PROBE_FAR, PROBE_NEAR] = [60, 0.6, 0.12]
const READ_MAX = 300
const WALK_NOISE = 0.02
const [TWINS, TWIN_NOISE] = [3, 0.25]
const MIMIC_TOPIC = 40
/** How much louder than it was the hidden part is. */
const HIDDEN_FACTOR = 2

export interface Scene {
  readonly split: Split
  readonly department: string
  /** The other departments, the nearest first. */
  readonly others: readonly string[]
  readonly space: DriftSpace
  /** What belongs to no department; empty: the attack `unknown` cannot be played. */
  readonly unknown: readonly Float32Array[]
}

/** @returns undefined where the data set has not what the attack needs */
export function attackStream(scene: Scene, attack: Attack, run: number): Stream | undefined {
  const { split, department } = scene
  const dice = diceFor(split.seed, department, attack, run)
  if (attack === 'unknown' && scene.unknown.length === 0) return undefined
  const before = burstsFrom(split.later.get(department) ?? new Map(), BEFORE, dice, department, USUAL)
  const played = play(scene, attack, dice)
  const lengths = [...before.map((burst) => burst.length), ...played.lengths]
  const rows = before.flat()
  return {
    vectors: [...rows.map((row) => split.data.queries[row] as Float32Array), ...played.vectors],
    times: timesOf(lengths, dice),
    foreign: Uint8Array.from([...rows.map(() => 0), ...(played.foreign ?? played.vectors.map(() => 1))]),
    from: rows.length
  }
}

interface Played {
  readonly vectors: readonly Float32Array[]
  /** Of its bursts. */
  readonly lengths: readonly number[]
  /** All of it where left out. */
  readonly foreign?: readonly number[]
}

function play(scene: Scene, attack: Attack, dice: Dice): Played {
  switch (attack) {
    case 'far':
      return foreignBurst(scene, pickFar(scene, dice), dice)
    case 'near':
      return foreignBurst(scene, scene.others[0] as string, dice)
    case 'unknown':
      return oneBurst(dice.shuffled(scene.unknown).slice(0, BURST))
    case 'drip':
      return drip(scene, dice)
    case 'probe':
      return probe(scene, dice)
    case 'sweep':
      return inRhythm(dice.shuffled(laterVectors(scene, scene.department)).slice(0, READ_MAX), dice)
    case 'crawl':
      return inRhythm(
        documentsOf(scene, dice).map((document) => moved(document, WALK_NOISE, dice)),
        dice
      )
    case 'twins':
      return inRhythm(
        documentsOf(scene, dice)
          .slice(0, READ_MAX / TWINS)
          .flatMap((document) => Array.from({ length: TWINS }, () => moved(document, TWIN_NOISE, dice))),
        dice
      )
    case 'walk':
      return walk(scene, dice)
    case 'mimic':
      return mimic(scene, dice)
    case 'hide':
      return hide(scene, dice)
  }
}

/** One of the farther half; of three the farthest. */
function pickFar({ others }: Scene, dice: Dice): string {
  const half = Math.ceil(others.length / 2)
  return others[half + dice.below(others.length - half)] as string
}

function laterVectors({ split }: Scene, department: string): Float32Array[] {
  return rowsOf(split.later.get(department)).map((row) => split.data.queries[row] as Float32Array)
}

function oneBurst(vectors: readonly Float32Array[]): Played {
  return { vectors, lengths: [vectors.length] }
}

function inRhythm(vectors: readonly Float32Array[], dice: Dice): Played {
  const lengths: number[] = []
  for (let left = vectors.length; left > 0; left -= lengths.at(-1) as number) lengths.push(Math.min(left, burstLength(dice, 1)))
  return { vectors, lengths }
}

/** Topics as sticky as usual, all equally likely. */
function foreignBurst({ split }: Scene, other: string, dice: Dice): Played {
  const left = [...(split.later.get(other) ?? new Map<string, readonly number[]>()).values()].map((rows) => dice.shuffled(rows))
  const redraw = () => dice.weighted(left.map((rows) => (rows.length > 0 ? 1 : 0)))
  let topic = redraw()
  return oneBurst(
    Array.from({ length: BURST }, () => {
      if (dice.next() > USUAL.sticky || left[topic]?.length === 0) topic = redraw()
      return split.data.queries[left[topic]?.pop() as number] as Float32Array
    })
  )
}

function drip(scene: Scene, dice: Dice): Played {
  const { split, department, others } = scene
  const bursts = burstsFrom(split.later.get(department) ?? new Map(), DRIP_QUERIES, dice, department, USUAL)
  const targets = laterVectors(scene, others[dice.below(others.length)] as string)
  const foreign = bursts.flat().map(() => (dice.next() < DRIP_SHARE ? 1 : 0))
  return {
    vectors: bursts
      .flat()
      .map((row, at) => (foreign[at] === 1 ? targets[dice.below(targets.length)] : split.data.queries[row]) as Float32Array),
    lengths: bursts.map((burst) => burst.length),
    foreign
  }
}

function probe({ split, department }: Scene, dice: Dice): Played {
  const rows = rowsOf(split.learnt.get(department))
  const target = split.data.documents[rows[dice.below(rows.length)] as number] as Float32Array
  return oneBurst(
    Array.from({ length: PROBES }, (_, at) => moved(target, PROBE_FAR + ((PROBE_NEAR - PROBE_FAR) * at) / (PROBES - 1), dice))
  )
}

function moved(vector: Float32Array, by: number, dice: Dice): Float32Array {
  const step = unit(vector.map(() => dice.normal()))
  return unit(vector.map((value, at) => value + by * (step[at] as number)))
}

/** All that the department has, in random order; at most as many as are read. */
function documentsOf({ split, department }: Scene, dice: Dice): Float32Array[] {
  const rows = [...rowsOf(split.learnt.get(department)), ...rowsOf(split.later.get(department))]
  return dice
    .shuffled(rows)
    .slice(0, READ_MAX)
    .map((row) => split.data.documents[row] as Float32Array)
}

function walk({ split, department }: Scene, dice: Dice): Played {
  const unseen = [...rowsOf(split.learnt.get(department)), ...rowsOf(split.later.get(department))].map(
    (row) => split.data.documents[row] as Float32Array
  )
  const read: Float32Array[] = []
  let place = dice.below(unseen.length)
  while (read.length < READ_MAX && unseen.length > 5) {
    const [current] = unseen.splice(place, 1) as [Float32Array]
    read.push(moved(current, WALK_NOISE, dice))
    let nearest = -2
    for (const [at, other] of unseen.entries()) {
      const alike = dot(current, other)
      if (alike > nearest) [place, nearest] = [at, alike]
    }
  }
  return inRhythm(read, dice)
}

function mimic({ split, department }: Scene, dice: Dice): Played {
  const topics = dice.shuffled([...(split.later.get(department) ?? new Map<string, readonly number[]>()).values()])
  const rows = topics.flatMap((topic) => dice.shuffled(topic).slice(0, MIMIC_TOPIC)).slice(0, READ_MAX)
  return inRhythm(
    rows.map((row) => split.data.queries[row] as Float32Array),
    dice
  )
}

/** The sketch is the normal query's; what the sketch does not see is the target's, louder. */
function hide(scene: Scene, dice: Dice): Played {
  const masks = laterVectors(scene, scene.department)
  const targets = laterVectors(scene, pickFar(scene, dice))
  return oneBurst(
    Array.from({ length: BURST }, () => {
      const mask = partsOf(masks[dice.below(masks.length)] as Float32Array, scene.space)
      const target = partsOf(targets[dice.below(targets.length)] as Float32Array, scene.space)
      return unit(mask.seen.map((value, at) => (scene.space.mean[at] as number) + value + HIDDEN_FACTOR * (target.unseen[at] as number)))
    })
  )
}

/** What the projection keeps of a vector that needs no folding, and the rest. */
function partsOf(vector: Float32Array, { mean, projection }: DriftSpace): { seen: Float32Array; unseen: Float32Array } {
  const centred = vector.map((value, at) => value - (mean[at] as number))
  const seen = new Float32Array(centred.length)
  for (let from = 0; from < projection.length; from += centred.length) {
    const row = projection.subarray(from, from + centred.length)
    const share = dot(centred, row)
    for (let at = 0; at < seen.length; at++) seen[at] = (seen[at] as number) + share * (row[at] as number)
  }
  return { seen, unseen: centred.map((value, at) => value - (seen[at] as number)) }
}

/** The others by how alike their means are. */
export function nearestFirst({ data, learnt }: Split, department: string): string[] {
  const meanFor = (name: string) => unit(meanOf(rowsOf(learnt.get(name)).map((row) => data.queries[row] as Float32Array)))
  const own = meanFor(department)
  return [...learnt.keys()]
    .filter((name) => name !== department)
    .map((name) => ({ name, alike: dot(own, meanFor(name)) }))
    .sort((one, other) => other.alike - one.alike)
    .map(({ name }) => name)
}
