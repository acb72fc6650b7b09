/** Two replicas as one: what one raises the other refuses, what both admit is bounded, and who takes turns is found. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { COLLECTION, DATABASE, TRUST_DOMAIN } from '../../demo/identities.ts'
import type { DriftCall } from '../../src/core/drift.ts'
import { openBaselines } from '../../src/learning/baselines.ts'
import { startKernel } from '../../src/risk/kernel-wasm.ts'
import { callsOf, worldOf } from '../../test/risk/drift-material.ts'
import { type Fault, type Finding, finding } from './finding.ts'
import { startLoad } from './load.ts'
import { agent, openScene, quarantine, type Replica, type Scene, saidTo, until } from './scene.ts'

const [TRIALS, TRIALS_SHORT] = [40, 4]
const REFUSED_MS_MAX = 250
const HEARD_MS_MAX = 10_000
export const TIGHT = { per_second: 5, burst: 20 }
const [SPENDING_MS, SPENDING_MS_SHORT] = [10_000, 3_000]
const SPENDERS = 4
/** What is admitted here is known there a round later: a tenth of a second, and more on a machine that does other things. */
const ROUND_SECONDS = 1
/** More than a round of the evidence: as fast as an agent that waits for its answers. */
const PACE_MS = 150
const DIMENSIONS = 96
const BURSTS = 61
const QUERIES_MAX = 40
/** More queries than one replica alone takes to find the same attack. */
const LATER_MAX = 3

export const tight = `spiffe://${TRUST_DOMAIN}/acme/agent/tight`
const world = worldOf(DIMENSIONS, 2)

export const pair: Fault = {
  name: 'pair',
  what: 'two replicas over one file, under load: standings, budgets and drift as one',
  async run({ folder, short }) {
    // Beside the scene's own folder, which is emptied.
    const learnt = `${folder}-learnt`
    await teach(learnt)
    const state = { kind: 'sqlite', file: join(folder, 'state.sqlite') }
    const scene = await openScene({
      folder,
      states: [state, state],
      policy: (document) => {
        document.workloads.push({ spiffe_id: tight, tenants: ['acme'], budget: TIGHT })
      },
      settings: (document) => {
        document.risk.folder = learnt
      }
    })
    const load = startLoad(scene, () => scene.replicas, 20, [scene.calls.look])
    try {
      const findings = [await refusedByBoth(scene, short), await overshoot(scene, short), ...(await takingTurns(scene))]
      const wrong = [...load.take().by.keys()].filter((said) => said !== 'allow')
      return [...findings, finding('calm agents pass', wrong.length === 0, wrong.join(', ') || 'all of them')]
    } finally {
      await load.stop()
      await scene.stop()
    }
  }
}

async function refusedByBoth(scene: Scene, short: boolean): Promise<Finding> {
  const took: number[] = []
  for (let at = 0; at < (short ? TRIALS_SHORT : TRIALS); at++) {
    const [one, other] = (at % 2 === 0 ? scene.replicas : scene.replicas.toReversed()) as [Replica, Replica]
    const id = agent(`raised-${at}`)
    await quarantine(scene, one, id)
    took.push((await until(async () => (await saidTo(scene, other, id)) === 'quarantined', HEARD_MS_MAX)) ?? Number.POSITIVE_INFINITY)
  }
  took.sort((a, b) => a - b)
  const [median = 0, most = 0] = [took[took.length >> 1], took.at(-1)]
  const ninth = took[Math.floor(took.length * 0.9)] ?? 0
  return finding(
    `what one raises the other refuses within ${REFUSED_MS_MAX} ms`,
    // The worst ones also measure what else this machine does; in tests all of them do.
    (short || ninth < REFUSED_MS_MAX) && most < HEARD_MS_MAX,
    `${took.length} times: median ${Math.round(median)}, 90 % ${Math.round(ninth)}, at most ${Math.round(most)} ms`
  )
}

/** One workload asks as fast as it can, at both. */
export async function overshoot(scene: Scene, short: boolean, bursts = scene.replicas.length): Promise<Finding> {
  const began = performance.now()
  let admitted = 0
  const spend = async (replica: Replica) => {
    while (performance.now() - began < (short ? SPENDING_MS_SHORT : SPENDING_MS)) {
      if ((await saidTo(scene, replica, tight)) === 'allow') admitted++
      else await sleep(5)
    }
  }
  await Promise.all(scene.replicas.flatMap((replica) => Array.from({ length: SPENDERS }, () => spend(replica))))
  const seconds = (performance.now() - began) / 1_000
  const most = bursts * TIGHT.burst + TIGHT.per_second * (seconds + ROUND_SECONDS)
  const alone = TIGHT.burst + TIGHT.per_second * seconds
  return finding(
    `both together admit at most ${bursts === 1 ? '' : 'replicas × '}burst + rate × time, and what a round lets through`,
    admitted <= most && admitted > TIGHT.burst,
    `${admitted} in ${seconds.toFixed(1)} s; the bound is ${Math.floor(most)}, one budget alone ${Math.floor(alone)}`
  )
}

/** The same attack at one replica, and in turn at both. */
async function takingTurns(scene: Scene): Promise<Finding[]> {
  const [one, other] = scene.replicas as [Replica, Replica]
  const foreign = vectorsOf(callsOf(world, 1, 12, 300))
  const honest = await queriesUntilHeld(scene, agent('honest'), [one, other], vectorsOf(callsOf(world, 0, 4, 300)), PACE_MS)
  const alone = await queriesUntilHeld(scene, agent('alone'), [one], foreign, PACE_MS)
  const turns = await queriesUntilHeld(scene, agent('turns'), [one, other], foreign, PACE_MS)
  const fast = await queriesUntilHeld(scene, agent('fast'), [one, other], foreign, 0)
  return [
    finding('an honest agent that takes turns passes', honest === undefined, honest === undefined ? 'all of it' : `held after ${honest}`),
    finding(
      'who takes turns between them is found like one that does not',
      alone !== undefined && turns !== undefined && turns <= alone + LATER_MAX,
      `after ${turns} queries; at one replica after ${alone}`
    ),
    finding(
      'and without any pause after twice as many at most',
      alone !== undefined && fast !== undefined && fast <= 2 * (alone + LATER_MAX),
      `after ${fast} queries`
    )
  ]
}

/** @returns queries until it was refused or stands as challenged; undefined: it was not */
async function queriesUntilHeld(
  scene: Scene,
  id: string,
  replicas: readonly Replica[],
  vectors: readonly ArrayLike<number>[],
  paceMs: number
): Promise<number | undefined> {
  for (const [at, vector] of vectors.slice(0, QUERIES_MAX).entries()) {
    const body = { query_embeddings: [Array.from(vector)], n_results: 3, include: ['documents'] }
    const replica = replicas[at % replicas.length] as Replica
    const { status, standing } = await scene.ask(replica, id, { ...scene.calls.search, body })
    if (status !== 200 || standing === 'step-up' || standing === 'quarantine') return at + 1
    if (paceMs > 0) await sleep(paceMs)
  }
  return undefined
}

function vectorsOf(calls: readonly DriftCall[]): ArrayLike<number>[] {
  return calls.flatMap(({ vectors }) => [...vectors])
}

/** As weeks of calm agents and a person's yes would leave it. */
async function teach(folder: string): Promise<void> {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const key = { tenant: 'acme', agentType: 'fault', collection: `demo/${DATABASE}/${COLLECTION}` }
  const baselines = await openBaselines({
    folder,
    owner: 'faults',
    kernel: startKernel(),
    freezeAfterBursts: 40,
    approveByItself: true,
    now: Date.now,
    onTrouble: (because) => {
      throw new Error(because)
    },
    onFrozen: () => undefined
  })
  for (const call of callsOf(world, 0, BURSTS, 7)) baselines.book.learn(key, agent('teacher'), call)
  await baselines.round()
  await baselines.stop()
  if (baselines.readyOf(key) === undefined) throw new Error('there is no baseline')
}
