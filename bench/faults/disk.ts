/** A disk that is full: a small file system of its own, and a file that takes all that is left of it. */
import { execFileSync } from 'node:child_process'
import { appendFileSync, closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { counted, type Fault, type Finding, finding } from './finding.ts'
import { reasonsOf, startLoad } from './load.ts'
import { agent, heldOf, openScene, quarantine, type Replica, type Scene, saidTo, until } from './scene.ts'

const DISK = 'size=8m,mode=700'
const [BEFORE, DURING] = [5, 20]
const HEARD_MS_MAX = 15_000

export const diskFull: Fault = {
  name: 'disk full',
  what: 'two replicas over one file, on a file system without room; one of them is killed meanwhile',
  async run({ folder }) {
    const disk = `${folder}-disk`
    const because = mounted(disk)
    if (because !== undefined) return `left out: a file system cannot be mounted here (${because})`
    try {
      const state = { kind: 'sqlite', file: join(disk, 'state.sqlite') }
      const scene = await openScene({
        folder,
        states: [state, state],
        settings: (document, at) => {
          document.risk.folder = join(disk, `risk-${at}`)
        }
      })
      const load = startLoad(scene, () => scene.replicas, 20)
      try {
        return await tried(scene, load, disk, state)
      } finally {
        await load.stop()
        await scene.stop()
      }
    } finally {
      execFileSync('umount', [disk])
    }
  }
}

async function tried(scene: Scene, load: ReturnType<typeof startLoad>, disk: string, state: object): Promise<Finding[]> {
  const [one, other] = scene.replicas as [Replica, Replica]
  const ids = Array.from({ length: BEFORE + DURING + 1 }, (_, at) => agent(`disk-${at}`))
  for (const id of ids.slice(0, BEFORE)) await quarantine(scene, one, id)
  await until(async () => (await heldOf(scene, other, ids.slice(0, BEFORE))) === BEFORE, HEARD_MS_MAX)
  fill(join(disk, 'filler'))
  for (const id of ids.slice(BEFORE, -1)) await quarantine(scene, one, id)
  const held = await heldOf(scene, one, ids)
  const heard = await until(async () => (await heldOf(scene, other, ids)) === BEFORE + DURING, HEARD_MS_MAX)
  one.kill()
  await one.restart()
  const readiness = await one.readiness()
  const after = await until(async () => (await heldOf(scene, one, ids)) === BEFORE + DURING, HEARD_MS_MAX)
  // Not even its journal could be made.
  const last = ids.at(-1) as string
  const said = await until(async () => (await saidTo(scene, one, last, scene.calls.pivot())) === 'quarantined', HEARD_MS_MAX)
  const told = load.take()
  rmSync(join(disk, 'filler'))
  const ready = await Promise.all(scene.replicas.map((replica) => replica.whenReady()))
  const everybody = await until(async () => (await heldOf(scene, other, ids)) === ids.length, HEARD_MS_MAX)
  const calmNow = await saidTo(scene, one, agent('calm-0'))
  // What the two had to tell is in the store then, and their journals are gone.
  for (const replica of scene.replicas) await replica.process().stop()
  const third = await scene.add(state)
  await third.whenReady()
  const wrong = [...told.by.keys()].filter((one) => one !== 'allow' && one !== 'state-unavailable')
  return [
    counted('what is raised without room is held, and what was before', BEFORE + DURING, held),
    finding('the other replica holds it too, though the store takes nothing', heard !== undefined, ms(heard)),
    finding('the one that is killed without room knows all of it again', after !== undefined, `${ms(after)}; ready: ${readiness}`),
    finding('and still raises', said !== undefined, ms(said)),
    finding('calm agents get written answers', wrong.length === 0 && (told.by.get('allow') ?? 0) > 0, reasonsOf(told)),
    finding(
      'its log says that the journal has no room',
      one.log().includes('the journal of standings cannot be made: ENOSPC'),
      'standings: the journal'
    ),
    finding('with room again all are ready, and nobody did anything', ready.length === 2 && calmNow === 'allow', calmNow),
    finding('and all is told', everybody !== undefined, ms(everybody)),
    counted('the store has all of it: a third replica holds it', ids.length, await heldOf(scene, third, ids))
  ]
}

/** @returns why it cannot be */
function mounted(folder: string): string | undefined {
  mkdirSync(folder, { recursive: true })
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', DISK, 'vecauthz-faults', folder], { stdio: 'pipe' })
    return undefined
  } catch (cause) {
    return String((cause as { stderr?: Buffer }).stderr ?? cause)
      .trim()
      .split('\n')[0]
  }
}

/** In smaller and smaller pieces, until not one byte more is taken. */
function fill(path: string): void {
  const file = openSync(path, 'w')
  for (let size = 65_536; size >= 1; size = Math.floor(size / 16)) {
    try {
      for (;;) writeSync(file, Buffer.alloc(size, 1))
    } catch {
      // No room for one of this size.
    }
  }
  closeSync(file)
  let isFull = false
  try {
    appendFileSync(`${path}-more`, Buffer.alloc(8_192))
  } catch {
    isFull = true
  }
  rmSync(`${path}-more`, { force: true })
  if (!isFull) throw new Error('the disk is not full')
}

function ms(took: number | undefined): string {
  return took === undefined ? 'never' : `after ${Math.round(took)} ms`
}
