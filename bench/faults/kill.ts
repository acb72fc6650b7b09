/** `kill -9` in the moment in which the answer that says so arrives. */
import { join } from 'node:path'
import { counted, type Fault, type Finding, finding } from './finding.ts'
import { reasonsOf, startLoad } from './load.ts'
import { agent, heldOf, openScene, quarantine, type Replica, saidTo, until } from './scene.ts'

const KILLS = 50
const KILLS_SHORT = 3
/** The other replica looks at journals once a second. */
const HEARD_MS_MAX = 10_000

export const kill: Fault = {
  name: 'kill -9',
  what: 'two replicas over one file; each kill in the moment of the answer that raised',
  async run({ folder, short, say }) {
    const state = { kind: 'sqlite', file: join(folder, 'state.sqlite') }
    const scene = await openScene({ folder, states: [state, state] })
    const kills = short ? KILLS_SHORT : KILLS
    const load = startLoad(scene, () => scene.replicas, 20)
    const [ids, lostAtOnce, heard]: [string[], string[], number[]] = [[], [], []]
    const readyAfter: number[] = []
    try {
      for (let at = 0; at < kills; at++) {
        const [one, other] = (at % 2 === 0 ? scene.replicas : scene.replicas.toReversed()) as [Replica, Replica]
        const id = agent(`killed-${at}`)
        ids.push(id)
        await quarantine(scene, one, id)
        one.kill()
        const took = await until(async () => (await saidTo(scene, other, id)) === 'quarantined', HEARD_MS_MAX)
        heard.push(took ?? Number.POSITIVE_INFINITY)
        await one.restart()
        readyAfter.push(await one.whenReady())
        const said = await saidTo(scene, one, id)
        if (said !== 'quarantined') lostAtOnce.push(`${id}: ${said}`)
        if ((at + 1) % 10 === 0) say(`${at + 1} kills`)
      }
      const told = load.take()
      const findings: Finding[] = [
        counted('the killed one refuses from its first answer after it is ready', kills, kills - lostAtOnce.length),
        finding(
          'the other one refuses, though nobody could tell it any more',
          heard.every(Number.isFinite),
          `after ${median(heard)} ms (median), at most ${Math.round(Math.max(...heard))} ms`
        )
      ]
      for (const replica of scene.replicas)
        findings.push(counted(`all of them are held at ${replica.name} at the end`, kills, await heldOf(scene, replica, ids)))
      // Who has just started and does not know everybody yet is not asked by Envoy; here it is.
      const wrong = [...told.by.keys()].filter((said) => said !== 'allow' && said !== 'state-unavailable')
      findings.push(
        finding('calm agents pass, but where it is not known yet who may', wrong.length === 0 && told.answers > kills, reasonsOf(told))
      )
      return findings
    } finally {
      await load.stop()
      await scene.stop()
    }
  }
}

function median(values: readonly number[]): number {
  return Math.round(values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN)
}
