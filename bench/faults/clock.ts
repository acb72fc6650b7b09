/** Clocks that are set: of one host, and of all of them and the authority. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { TRUST_DOMAIN } from '../../demo/identities.ts'
import { whyLeftOut } from '../../setup/components.ts'
import { startRedis } from '../../test/integration/support/redis.ts'
import { type Fault, type Finding, finding } from './finding.ts'
import { reasonsOf, startLoad } from './load.ts'
import { agent, heldOf, openScene, quarantine, type Replica, type Scene, saidTo, until } from './scene.ts'

const HOUR_MS = 3_600_000
/** Within the lifetime of an SVID: that host goes on. */
const QUARTER_MS = 900_000
const COUNT = 5
const MENDED_MS_MAX = 20_000
/** What the other replica may take to refuse; this machine does other things too. */
const HEARD_MS_MAX = 5_000
/** Under way when Envoy begins a new connection. */
const ENDED = 2

type Kind = 'one host' | 'all hosts'
type Setting = readonly [kind: Kind, byMs: number]

const SETTINGS: readonly Setting[] = [
  ['one host', QUARTER_MS],
  ['one host', -QUARTER_MS],
  ['one host', HOUR_MS],
  ['one host', -HOUR_MS],
  ['all hosts', HOUR_MS],
  ['all hosts', -HOUR_MS]
]

export const clock: Fault = {
  name: 'clock',
  what: 'two replicas over Redis, on hosts of their own; clocks are set by a quarter of an hour and by an hour, and back',
  async run({ folder, short }) {
    const offsets = { authority: 0 }
    const file = `${folder}-offset`
    writeFileSync(file, '0')
    process.env['FAULTS_CLOCK'] = file
    const nodeArgs = ['--import', join(import.meta.dirname, '../faults-clock.ts')]
    const leftOut = whyLeftOut('redis-server')
    if (leftOut !== undefined) return `left out: ${leftOut}`
    const redis = await startRedis({ folder: `${folder}-redis` })
    const state = { kind: 'redis', url: redis.url }
    const scene = await openScene({
      folder,
      states: [state, state],
      nodeArgs,
      now: () => Date.now() + offsets.authority
    })
    const set = (kind: Kind, byMs: number) => {
      writeFileSync(file, String(byMs))
      for (const replica of kind === 'one host' ? scene.replicas.slice(0, 1) : scene.replicas)
        process.kill(replica.process().pid, 'SIGUSR2')
      offsets.authority = kind === 'one host' ? 0 : byMs
      // SPIRE's agent renews by its own clock; the authority of the demo only when it is told to.
      if (kind === 'all hosts') scene.issuer.rotateIntermediate(TRUST_DOMAIN)
      // Envoy has a new SVID then; where one host is wrong, it goes on with the one that it has.
      if (kind === 'all hosts') for (const replica of scene.replicas) replica.reconnect()
    }
    try {
      const held: string[] = []
      const findings: Finding[] = []
      for (const setting of short ? SETTINGS.filter((_, at) => at === 0 || at === 4) : SETTINGS)
        findings.push(...(await tried(scene, set, setting, held)))
      return findings
    } finally {
      await scene.stop()
      await redis.stop()
    }
  }
}

async function tried(scene: Scene, set: (kind: Kind, byMs: number) => void, [kind, byMs]: Setting, held: string[]): Promise<Finding[]> {
  const [one, other] = scene.replicas as [Replica, Replica]
  const how = `${kind} ${byMs > 0 ? '+' : '−'}${Math.abs(byMs) / 60_000} min`
  const fresh = (what: string) => Array.from({ length: COUNT }, (_, at) => agent(`${kind}-${byMs}-${what}-${at}`.replaceAll(' ', '-')))
  const [before, during] = [fresh('before'), fresh('during')]
  for (const id of before) await quarantine(scene, one, id)
  held.push(...before)
  const slowed = agent(`slowed-${held.length}`)
  const first = (await scene.ask(one, slowed, scene.calls.pivot())).standing
  const load = startLoad(scene, () => scene.replicas, 20)
  try {
    set(kind, byMs)
    const passes = async (replica: Replica) => (await saidTo(scene, replica, agent('calm-0'))) === 'allow'
    const goesOn = await until(async () => (await passes(other)) && (kind === 'one host' || (await passes(one))), MENDED_MS_MAX)
    const readiness = await one.readiness()
    const said = await saidTo(scene, one, agent('calm-0'))
    // Whoever could not vouch for anybody must refuse, and say so to whoever asks for its readiness.
    const agree = !said.startsWith('no answer') && (readiness === 'ready' || said !== 'allow')
    const raisedAt = performance.now()
    for (const id of during) await quarantine(scene, other, id)
    const passesAt = said === 'allow' ? [one, other] : [other]
    const kept = await until(() => allHeld(scene, passesAt, held), HEARD_MS_MAX)
    const heard = said === 'allow' ? await until(async () => (await heldOf(scene, one, during)) === COUNT, HEARD_MS_MAX) : 0
    const told = load.take()
    held.push(...during)
    set(kind, 0)
    const both = await until(async () => (await passes(one)) && (await passes(other)), MENDED_MS_MAX)
    const all = await until(() => allHeld(scene, [one, other], held), HEARD_MS_MAX)
    const after = (await scene.ask(one, slowed, scene.calls.look)).standing
    return [
      finding(`${how}: whose clock is right goes on`, goesOn !== undefined, ms(goesOn)),
      finding(`${how}: the one that was set answers, and refuses where it is not ready`, agree, `${readiness}; it says ${said}`),
      finding(`${how}: ${held.length - COUNT} quarantines stand`, kept !== undefined, ms(kept)),
      finding(
        `${how}: what is raised now is heard`,
        heard !== undefined,
        said === 'allow' ? `${ms(heard)} (${Math.round(performance.now() - raisedAt)} ms with raising)` : 'it refuses everybody'
      ),
      finding(
        `${how}: calm agents get written answers`,
        told.unanswered <= ENDED && told.answers > 0,
        `${reasonsOf(told)}, none ${told.unanswered}`
      ),
      finding(`${how}: set back, both go on, and nobody did anything`, both !== undefined, ms(both)),
      finding(`${how}: set back, all ${held.length} stand at both`, all !== undefined, ms(all)),
      finding(`${how}: who was slowed is slowed still`, first === 'slowed' && after === 'slowed', `${first}, then ${after}`)
    ]
  } finally {
    await load.stop()
  }
}

async function allHeld(scene: Scene, replicas: readonly Replica[], ids: readonly string[]): Promise<boolean> {
  for (const replica of replicas) if ((await heldOf(scene, replica, ids)) < ids.length) return false
  return true
}

function ms(took: number | undefined): string {
  return took === undefined ? 'never' : `after ${Math.round(took)} ms`
}
