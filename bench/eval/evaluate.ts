/** Plays streams of a data set to the detector, to the same with a part taken out, and to its rivals. */

import { sketch } from '../../src/risk/drift-sketch.ts'
import type { Kernel } from '../../src/risk/kernel.ts'
import { ATTACKS, type Attack, attackStream, nearestFirst, type Scene } from './attacks.ts'
import type { DataSet } from './data-set.ts'
import { ABLATIONS, type Detector, type Learnt, type LearntWorld, learnWorld, replay } from './detectors.ts'
import { RIVALS, type Rival, rivalsFrom } from './rivals.ts'
import { episodes } from './statistics.ts'
import { learningBursts, normalLength, normalStream, type Rhythm, rowsOf, type Split, type Stream, splitOf, USUAL } from './streams.ts'

export interface Plan {
  readonly seed: number
  /** Splits into what is learnt and what comes later; each is learnt from anew. */
  readonly worlds: number
  /** Normal streams in all, and runs of each attack; at least one for each world and department. */
  readonly streams: number
  readonly attacks: number
  /** Normal streams and runs of each attack that the rivals play, one for each department of as many worlds as that takes. */
  readonly rivals: number
}

export const PRODUCT = 'vecauthz'
/** Normal streams of another kind than those learnt from; of these only false alarms are of interest. */
export const RHYTHMS: Readonly<Record<string, Rhythm>> = {
  'specialist workloads': { ...USUAL, alike: 3 },
  'bursts × 3': { ...USUAL, lengths: 3 },
  'bursts / 3': { ...USUAL, lengths: 1 / 3 },
  'topics at random': { ...USUAL, sticky: 0 }
}

/** What a detector did. */
export interface Outcome {
  /** Of normal streams. */
  queries: number
  streams: number
  alarmedStreams: number
  alarmEpisodes: number
  novelEpisodes: number
  quarantinedStreams: number
  /** Per attack and run: queries of the attack until the alarm; Infinity without one. Runs that began in alarm are only counted. */
  readonly delays: Record<Attack, number[]>
  readonly alreadyAlarmed: Record<Attack, number>
}

export type Outcomes = ReadonlyMap<string, Outcome>

export function newOutcome(): Outcome {
  return {
    queries: 0,
    streams: 0,
    alarmedStreams: 0,
    alarmEpisodes: 0,
    novelEpisodes: 0,
    quarantinedStreams: 0,
    delays: Object.fromEntries(ATTACKS.map((attack) => [attack, []])) as unknown as Record<Attack, number[]>,
    alreadyAlarmed: Object.fromEntries(ATTACKS.map((attack) => [attack, 0])) as Record<Attack, number>
  }
}

/** @param unknown what belongs to no department, of this data set or of another one; may be empty */
export function evaluate(
  data: DataSet,
  unknown: readonly Float32Array[],
  plan: Plan,
  kernel: Kernel,
  progress: (line: string) => void = () => undefined
): Outcomes {
  const outcomes = new Map([PRODUCT, ...ABLATIONS, ...Object.keys(RHYTHMS), ...RIVALS].map((name) => [name, newOutcome()]))
  const places = plan.worlds * data.departments.size
  const runs = { normal: Math.ceil(plan.streams / places), attack: Math.ceil(plan.attacks / places) }
  for (let world = 0; world < plan.worlds; world++) {
    const split = splitOf(data, plan.seed + world)
    const learnt = learnWorld(split, kernel)
    for (const [department, agent] of learnt.agents) {
      const scene: Scene = { split, department, others: nearestFirst(split, department), space: learnt.space.space, unknown }
      playDetectors(outcomes, scene, agent, runs)
      if (world < plan.rivals / data.departments.size) playRivals(outcomes, scene, learnt, kernel)
    }
    progress(`${data.name}: world ${world + 1} of ${plan.worlds}`)
  }
  return outcomes
}

function playDetectors(outcomes: Outcomes, scene: Scene, agent: Learnt, runs: { normal: number; attack: number }): void {
  const { split, department } = scene
  const detectors: [string, Detector][] = [
    [PRODUCT, agent.whole],
    ...ABLATIONS.map((name): [string, Detector] => [name, agent.without[name]])
  ]
  for (let run = 0; run < runs.normal; run++) {
    const stream = normalOf(split, department, run)
    for (const [name, detector] of detectors) countNormal(outcomeOf(outcomes, name), replay(detector, stream))
    for (const [name, rhythm] of Object.entries(RHYTHMS))
      countNormal(outcomeOf(outcomes, name), replay(agent.whole, normalOf(split, department, run, rhythm)))
  }
  for (const attack of ATTACKS)
    for (let run = 0; run < runs.attack; run++) {
      const stream = attackStream(scene, attack, run)
      if (stream === undefined) break
      for (const [name, detector] of detectors) countAttack(outcomeOf(outcomes, name), attack, stream, replay(detector, stream).alarms)
    }
}

function normalOf(split: Split, department: string, run: number, rhythm?: Rhythm): Stream {
  return normalStream(split, department, normalLength(split, department), run, rhythm)
}

function playRivals(outcomes: Outcomes, scene: Scene, { space }: LearntWorld, kernel: Kernel): void {
  const { split, department } = scene
  const sketcher = (vector: Float32Array) => {
    sketch(vector, 'dense', space, kernel)
    return kernel.sketch.slice()
  }
  const baseline = rowsOf(split.learnt.get(department)).map((row) => split.data.queries[row] as Float32Array)
  const asked = learningBursts(split, department).flat()
  const inOrder = asked.map((row) => split.data.queries[row] as Float32Array)
  const rivals = rivalsFrom(baseline, inOrder, sketcher, split.seed)
  const normal = normalOf(split, department, 0)
  const attacks = ATTACKS.map((attack) => ({ attack, stream: attackStream(scene, attack, 0) }))
  for (const name of RIVALS) {
    const outcome = outcomeOf(outcomes, name)
    const alarms = alarmsOf(rivals[name], normal)
    countNormal(outcome, { alarms, novel: alarms, quarantined: new Uint8Array(0) })
    for (const { attack, stream } of attacks) if (stream !== undefined) countAttack(outcome, attack, stream, alarmsOf(rivals[name], stream))
  }
}

function alarmsOf(rival: Rival, stream: Stream): Uint8Array {
  return Uint8Array.from(rival.scores(stream), (score) => (score > rival.threshold ? 1 : 0))
}

function outcomeOf(outcomes: Outcomes, name: string): Outcome {
  return outcomes.get(name) as Outcome
}

export function countNormal(outcome: Outcome, trace: ReturnType<typeof replay>): void {
  const found = episodes(trace.alarms)
  outcome.queries += trace.alarms.length
  outcome.streams++
  outcome.alarmedStreams += found > 0 ? 1 : 0
  outcome.alarmEpisodes += found
  outcome.novelEpisodes += episodes(trace.novel)
  outcome.quarantinedStreams += trace.quarantined.includes(1) ? 1 : 0
}

export function countAttack(outcome: Outcome, attack: Attack, { foreign, from }: Stream, alarms: Uint8Array): void {
  if (alarms[from - 1] === 1) {
    outcome.alreadyAlarmed[attack]++
    return
  }
  let queries = 0
  for (let at = from; at < alarms.length; at++) {
    queries += foreign[at] as number
    if (alarms[at] === 1 && queries > 0) {
      outcome.delays[attack].push(queries)
      return
    }
  }
  outcome.delays[attack].push(Number.POSITIVE_INFINITY)
}
