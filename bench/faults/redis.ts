/** Redis that is gone for a while and comes back empty, and one replica that is cut off from it. */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { whyLeftOut } from '../../setup/components.ts'
import { startRedis } from '../../test/integration/support/redis.ts'
import { counted, type Fault, type FaultOptions, type Finding, finding } from './finding.ts'
import { quantile, reasonsOf, startLoad, type Told } from './load.ts'
import { overshoot, TIGHT, tight } from './pair.ts'
import { startProxy } from './proxy.ts'
import { agent, heldOf, openScene, quarantine, type Replica, type Scene, STALE_SECONDS, saidTo, until } from './scene.ts'

const AWAY_MS = 60_000
const AWAY_MS_SHORT = 4_000
const RATE = 20
/** A connection is tried again after two seconds at the latest; then everything is told and read. */
const BACK_MS_MAX = 20_000
const STALE_MS_MAX = STALE_SECONDS * 1_000 + 5_000
/** A decision asks nobody, so it takes as long as ever; but other things are done on this machine. */
const P50_MS_MAX = 50
const COUNT = 10

const names = (what: string, count = COUNT) => Array.from({ length: count }, (_, at) => agent(`${what}-${at}`))

export const redisAway: Fault = {
  name: 'redis away',
  what: 'two replicas; Redis is killed, is away, and comes back empty on the same port',
  run: (options) =>
    withRedis(options, 'away', async (redis, { short, say }) => {
      const { scene, load } = redis
      const [one, other] = scene.replicas as [Replica, Replica]
      const [before, during] = [names('before'), names('during')]
      for (const id of before) await quarantine(scene, one, id)
      const known = await until(async () => (await Promise.all(scene.replicas.map(replicasAt))).every((count) => count === 2), BACK_MS_MAX)
      const heard = await until(async () => (await heldOf(scene, other, before)) === COUNT, BACK_MS_MAX)
      load.take()
      await redis.kill()
      const gone = performance.now()
      for (const id of during) await quarantine(scene, one, id)
      const findings = [
        finding('before, the other replica holds what the first one raised', heard !== undefined, `after ${ms(heard)}`),
        finding('each of the two knows of the other', known !== undefined, `after ${ms(known)}`),
        ...(await stale(scene, one, other)),
        // Now nobody adds up what both admit, so each has half of it.
        await overshoot(scene, short, 1),
        counted(
          'what was raised before is held at both meanwhile',
          2 * COUNT,
          (await heldOf(scene, one, before)) + (await heldOf(scene, other, before))
        ),
        counted('what is raised meanwhile is held where it was', COUNT, await heldOf(scene, one, during)),
        ...(await killedMeanwhile(scene, other, before[0] as string))
      ]
      await sleep(Math.max(0, (short ? AWAY_MS_SHORT : AWAY_MS) - (performance.now() - gone)))
      const told = load.take()
      say(`away for ${((performance.now() - gone) / 1_000).toFixed(0)} s`)
      await redis.again()
      const back = performance.now()
      const all = [...before, ...during]
      const mended = await until(async () => (await heldOf(scene, other, all)) === all.length, BACK_MS_MAX)
      const fresh = await until(async () => (await saidTo(scene, one, agent('reader'), scene.calls.showMuch)) === 'allow', BACK_MS_MAX)
      const ready = await Promise.all(scene.replicas.map((replica) => replica.whenReady()))
      // Nobody but Redis tells it.
      const third = await scene.add(redis.state)
      await third.whenReady()
      return [
        ...findings,
        calm(told, short),
        finding('the other replica, killed meanwhile, holds all of it when Redis is back', mended !== undefined, `after ${ms(mended)}`),
        finding('what shows much passes again', fresh !== undefined, `after ${ms(fresh)}`),
        finding(
          'both are ready, and nobody did anything',
          ready.length === 2,
          `${((performance.now() - back) / 1_000).toFixed(1)} s after it was back`
        ),
        counted('the empty Redis was told everything: a third replica holds it', all.length, await heldOf(scene, third, all)),
        logged(one, 'standings: the store cannot be relied on', 'standings: the store is there again')
      ]
    })
}

export const partition: Fault = {
  name: 'partition',
  what: 'two replicas; one of them is cut off from Redis without a word, and joined again',
  run: (options) =>
    withRedis(options, 'cut', async (redis, { short, say }) => {
      const { scene, load, proxies } = redis
      const [one, other] = scene.replicas as [Replica, Replica]
      const [here, there] = [names('here'), names('there')]
      load.take()
      proxies[0]?.cut()
      const cut = performance.now()
      for (const id of here) await quarantine(scene, one, id)
      for (const id of there) await quarantine(scene, other, id)
      const isStale = await until(
        async () => (await saidTo(scene, one, agent('reader'), scene.calls.showMuch)) === 'state-unavailable',
        STALE_MS_MAX
      )
      const otherShows = await saidTo(scene, other, agent('reader'), scene.calls.showMuch)
      const own = (await heldOf(scene, one, here)) + (await heldOf(scene, other, there))
      await sleep(Math.max(0, (short ? AWAY_MS_SHORT : AWAY_MS / 3) - (performance.now() - cut)))
      const told = load.take()
      const readiness = await one.readiness()
      say(`cut for ${((performance.now() - cut) / 1_000).toFixed(0)} s`)
      proxies[0]?.mend()
      const all = [...here, ...there]
      const joined = await until(
        async () => (await heldOf(scene, one, all)) + (await heldOf(scene, other, all)) === 2 * all.length,
        BACK_MS_MAX
      )
      const fresh = await until(async () => (await saidTo(scene, one, agent('reader'), scene.calls.showMuch)) === 'allow', BACK_MS_MAX)
      return [
        counted('each holds what it raised itself', 2 * COUNT, own),
        finding(
          'the one that is cut off refuses what shows much',
          isStale !== undefined,
          `after ${ms(isStale)} (setting: ${STALE_SECONDS} s)`
        ),
        finding('the other one does not', otherShows === 'allow', otherShows),
        finding('the one that is cut off goes on: it is ready', readiness === 'ready', readiness),
        calm(told, short),
        finding('joined again, both hold what either raised', joined !== undefined, `after ${ms(joined)}`),
        finding('what shows much passes again', fresh !== undefined, `after ${ms(fresh)}`),
        logged(one, 'standings: the store cannot be relied on', 'standings: the store is there again')
      ]
    })
}

interface WithRedis {
  readonly scene: Scene
  readonly load: ReturnType<typeof startLoad>
  readonly proxies: readonly { readonly cut: () => void; readonly mend: () => void }[]
  /** `state` of a replica that nothing is cut for. */
  readonly state: object
  readonly kill: () => Promise<void>
  /** On the same port, and empty. */
  readonly again: () => Promise<void>
}

/** Two replicas, each with its own way to Redis. */
async function withRedis(
  options: FaultOptions,
  name: string,
  work: (its: WithRedis, options: FaultOptions) => Promise<readonly Finding[]>
): Promise<string | readonly Finding[]> {
  const leftOut = whyLeftOut('redis-server')
  if (leftOut !== undefined) return `left out: ${leftOut}`
  const folder = join(options.folder, `${name}-redis`)
  let redis = await startRedis({ folder })
  const { port } = redis
  const proxies = [await startProxy(port), await startProxy(port)]
  try {
    const stateAt = (at: number) => ({ kind: 'redis', url: `redis://127.0.0.1:${at}` })
    const scene = await openScene({
      folder: join(options.folder, name),
      states: proxies.map((one) => stateAt(one.port)),
      policy: (document) => {
        document.workloads.push({ spiffe_id: tight, tenants: ['acme'], budget: TIGHT })
      }
    })
    const load = startLoad(scene, () => scene.replicas, RATE)
    try {
      const again = async () => {
        redis = await startRedis({ folder, port })
      }
      return await work({ scene, load, proxies, state: stateAt(port), kill: redis.kill, again }, options)
    } finally {
      await load.stop()
      await scene.stop()
    }
  } finally {
    for (const one of proxies) await one.stop()
    await redis.stop()
  }
}

async function stale(scene: Scene, ...replicas: readonly Replica[]): Promise<Finding[]> {
  const took = await Promise.all(
    replicas.map((replica) =>
      until(async () => (await saidTo(scene, replica, agent('reader'), scene.calls.showMuch)) === 'state-unavailable', STALE_MS_MAX)
    )
  )
  const small = await Promise.all(replicas.map((replica) => saidTo(scene, replica, agent('reader'), scene.calls.search)))
  return [
    finding(
      'what shows much is refused: state-unavailable',
      took.every((one) => one !== undefined),
      `after ${took.map(ms).join(' and ')}`
    ),
    finding(
      'what shows little passes',
      small.every((one) => one === 'allow'),
      small.join(', ')
    )
  ]
}

/** A replica that ends now and starts again cannot know who stands how. */
async function killedMeanwhile(scene: Scene, replica: Replica, held: string): Promise<Finding[]> {
  replica.kill()
  await replica.restart()
  const readiness = await replica.readiness()
  const said = await saidTo(scene, replica, held)
  return [
    finding(
      'a replica that starts meanwhile is not ready, and says why',
      readiness.includes('standings') || readiness.includes('store'),
      readiness
    ),
    finding('and refuses whoever asks it all the same', said === 'state-unavailable', said)
  ]
}

function calm(told: Told, short: boolean): Finding {
  const { by, took } = told
  // Of the one that was restarted, what comes before it knows.
  const wrong = [...by.keys()].filter((said) => said !== 'allow' && said !== 'state-unavailable')
  const p99 = quantile(took, 0.99)
  return finding(
    'calm agents get written answers, as fast as ever',
    wrong.length === 0 && (by.get('allow') ?? 0) > 0 && (short || quantile(took, 0.5) < P50_MS_MAX),
    `${reasonsOf(told)}; p50 ${quantile(took, 0.5).toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`
  )
}

async function replicasAt(replica: Replica): Promise<number> {
  const page = await fetch(`http://127.0.0.1:${replica.process().healthPort}/metrics`)
  return Number(/^vecauthz_replicas (\d+)$/m.exec(await page.text())?.[1])
}

function logged(replica: Replica, ...lines: readonly string[]): Finding {
  const log = replica.log()
  const times = lines.map((line) => log.split(line).length - 1)
  return finding(
    'its log says so, and that it is over',
    times.every((one) => one > 0 && one < 20),
    times.join(' and ')
  )
}

function ms(took: number | undefined): string {
  return took === undefined ? 'never' : `${Math.round(took)} ms`
}
