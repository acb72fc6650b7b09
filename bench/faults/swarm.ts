/** A hundred thousand workloads, all of one entry of the policy: what is kept of them is bounded, and nothing that matters is forgotten. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { counted, type Fault, type Finding, finding } from './finding.ts'
import { quantile, reasonsOf, startLoad } from './load.ts'
import { agent, heldOf, openScene, quarantine, type Replica, type Scene } from './scene.ts'

const [WORKLOADS, WORKLOADS_SHORT] = [100_000, 500]
const [HELD, HELD_SHORT] = [50, 5]
const AT_ONCE = 32
/** The others look: a table of vectors is no part of this. */
const SEARCHED_ONE_IN = 16
/** Pivots weigh 4 each: one is not enough to slow whoever is new, and eleven are a quarantine. */
const DENIALS = { slowed: 5, step_up: 41, quarantine: 42 }
const PIVOTS = 11
/** Beyond what the tables hold when they are full: the collector's leeway. */
const GROWTH_MIB_MAX = 96
const SLOWER_MAX = 3

export const swarm: Fault = {
  name: 'swarm',
  what: 'one replica; a hundred thousand distinct workloads with SVIDs of their own',
  async run({ folder, short, say }) {
    const scene = await openScene({
      folder,
      states: [{ kind: 'sqlite', file: join(folder, 'state.sqlite') }],
      policy: (document) => {
        document.risk = { denials: DENIALS }
      }
    })
    try {
      return await tried(scene, short, say)
    } finally {
      await scene.stop()
    }
  }
}

async function tried(scene: Scene, short: boolean, say: (line: string) => void): Promise<Finding[]> {
  const [replica] = scene.replicas as [Replica]
  const workloads = short ? WORKLOADS_SHORT : WORKLOADS
  const held = Array.from({ length: short ? HELD_SHORT : HELD }, (_, at) => agent(`held-${at}`))
  for (const id of held) await quarantine(scene, replica, id, PIVOTS)
  const suspect = agent('suspect')
  const once = (await scene.ask(replica, suspect, scene.calls.pivot())).standing
  const before = await calm(scene, short)
  const memory: number[] = []
  const by = new Map<string, number>()
  let sent = 0
  const lane = async () => {
    while (sent < workloads) {
      const at = sent++
      const { status, reason } = await scene.ask(
        replica,
        agent(`swarm-${at}`),
        at % SEARCHED_ONE_IN === 0 ? scene.calls.search : scene.calls.look
      )
      const said = status === 200 ? 'allow' : String(reason)
      by.set(said, (by.get(said) ?? 0) + 1)
      if ((at + 1) % (workloads / 5) === 0) {
        memory.push(mebibytes(replica))
        say(`${at + 1} workloads, ${memory.at(-1)} MiB`)
      }
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, lane))
  const after = await calm(scene, short)
  const again = (await scene.ask(replica, suspect, scene.calls.pivot())).standing
  const fresh = (await scene.ask(replica, agent('fresh'), scene.calls.pivot())).standing
  const [full = 0, end = 0] = [memory[1], memory[4]]
  const ratio = quantile(after.took, 0.5) / quantile(before.took, 0.5)
  return [
    counted('each of them is answered: allowed', workloads, by.get('allow') ?? 0),
    finding('memory is bounded: two fifths of them take as much as all', end - full < GROWTH_MIB_MAX, `${memory.join(', ')} MiB`),
    counted('no standing is forgotten', held.length, await heldOf(scene, replica, held)),
    finding(
      'who was suspect is not as one that is new',
      once === 'normal' && again === 'slowed' && fresh === 'normal',
      `suspect ${once}, then ${again}; new ${fresh}`
    ),
    finding(
      'calm agents are answered as fast as before',
      short || ratio < SLOWER_MAX,
      `p50 ${quantile(before.took, 0.5).toFixed(1)}, then ${quantile(after.took, 0.5).toFixed(1)} ms; p99 ${quantile(before.took, 0.99).toFixed(1)}, then ${quantile(after.took, 0.99).toFixed(1)} ms; ${reasonsOf(after)}`
    ),
    finding('it is ready', (await replica.readiness()) === 'ready', await replica.readiness())
  ]
}

async function calm(scene: Scene, short: boolean) {
  const load = startLoad(scene, () => scene.replicas, 50)
  await new Promise((resolve) => setTimeout(resolve, short ? 1_000 : 5_000))
  await load.stop()
  return load.take()
}

function mebibytes(replica: Replica): number {
  const [, kibibytes = '0'] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${replica.process().pid}/status`, 'utf8')) ?? []
  return Math.round(Number(kibibytes) / 1_024)
}
