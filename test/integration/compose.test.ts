/**
 * compose/ as a new user would try it, on images made offline, in an engine of its own: up, the scenario, every container killed in turn,
 * and gone. With SPIRE where SPIRE_SERVER_BIN and SPIRE_AGENT_BIN name its programs; otherwise with the dev issuer, and it says so.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import type { Round } from '../../compose/endurance.ts'
import { MEMBERS, socketOf } from '../../compose/roster.ts'
import { HOST } from '../../demo/identities.ts'
import { namedPath } from '../../demo/step.ts'
import { STEPS } from '../../demo/steps.ts'
import { APPROVAL_STEPS } from '../../demo/steps-approvals.ts'
import { PAIR_STEPS } from '../../demo/steps-pair.ts'
import type { AttackReport } from '../../src/doctor/attack.ts'
import { type Engine, type Ran, startEngine } from './support/engine.ts'
import { type Lock, neededBy } from './support/locked.ts'

const ROOT = join(import.meta.dirname, '../..')
const MINUTE_MS = 60_000
const READY_MS_MAX = 15 * MINUTE_MS
const BACK_MS_MAX = MINUTE_MS
const ALL = STEPS.length + APPROVAL_STEPS.length + PAIR_STEPS.length

/** Why nothing can be tried. */
let missing: string | undefined
let engine: Engine
let profiles = ''
let before: readonly string[] = []

beforeAll(async () => {
  const parts: string[] = []
  const timed = async <T>(what: string, doing: () => Promise<T>): Promise<T> => {
    const began = performance.now()
    const done = await doing()
    parts.push(`${what} ${((performance.now() - began) / 1000).toFixed(0)} s`)
    return done
  }
  const started = await timed('an engine', startEngine)
  if (typeof started === 'string') {
    missing = started
    process.stdout.write(`\n*** compose: ${missing}\n*** Nothing of this file was tried.\n`)
    return
  }
  engine = started
  const offline = [join(ROOT, 'compose/offline/make.mjs')]
  const made = good(await timed('base images', () => engine.run(process.execPath, offline, { timeoutMs: READY_MS_MAX })))
  profiles = /^COMPOSE_PROFILES=(\S+)$/m.exec(made)?.[1] ?? ''
  process.stdout.write(`\n${made}`)
  // One after the other: the second finds all of its stages made.
  await timed('our images', async () => {
    for (const one of ['witness', 'vecauthz-index']) good(await compose(READY_MS_MAX, 'build', one))
  })
  process.stdout.write(`Ready: ${parts.join(', ')}.\n`)
  before = filesOf(join(ROOT, 'compose'))
}, 2 * READY_MS_MAX)

afterAll(async () => {
  await engine?.stop()
}, 3 * MINUTE_MS)

beforeEach(({ skip }) => skip(missing !== undefined, missing))

function compose(timeoutMs: number, ...args: string[]): Promise<Ran> {
  return engine.run('docker', ['compose', ...args], {
    cwd: join(ROOT, 'compose'),
    env: { COMPOSE_PROFILES: profiles, VECAUTHZ_DIGESTS: '' },
    timeoutMs
  })
}

async function docker(...args: string[]): Promise<string> {
  return good(await engine.run('docker', args))
}

function good({ exit, out, err }: Ran): string {
  if (exit !== 0) throw new Error(`ended with ${exit}:\n${out.slice(-3000)}\n${err.slice(-3000)}`)
  return out
}

/** Names of the containers that keep running, by service. */
async function containers(): Promise<Map<string, string>> {
  const listed = await docker(
    'ps',
    '--filter',
    'label=com.docker.compose.service',
    '--format',
    '{{.Label "com.docker.compose.service"}} {{.Names}}'
  )
  return new Map(
    listed
      .trim()
      .split('\n')
      .map((line) => line.split(' ') as [string, string])
  )
}

/** Whom each Envoy asks, and whose settings that server has. */
const ASKS = {
  'gateway-envoy': { server: 'vecauthz-gateway', member: 'gateway-server' },
  'index-envoy': { server: 'vecauthz-index', member: 'index-server' },
  'index-envoy-2': { server: 'vecauthz-index-2', member: 'index-server' },
  'indexer-envoy': { server: 'vecauthz-egress', member: 'egress-server' },
  'trials-envoy': { server: 'vecauthz-egress', member: 'egress-server' }
} as const

interface Line {
  readonly id: string
  readonly verdict: string
}

/** The doctor of the server's own image in that network, with what `lent` may read: nothing runs on the host, nothing is kept. */
function doctorIn(network: string, lent: string, user: number, ...args: string[]): Promise<Ran> {
  const small = ['--read-only', '--cap-drop', 'ALL', '--user', `${user}:${user}`]
  const from = ['--network', network, '--volumes-from', `${lent}:ro`]
  return engine.run('docker', ['run', '--rm', ...small, ...from, 'vecauthz:0.1.0', 'doctor', ...args], { timeoutMs: 3 * MINUTE_MS })
}

async function until<T>(what: string, waitMsMax: number, look: () => Promise<T>, holds: (now: T) => boolean): Promise<T> {
  const limit = performance.now() + waitMsMax
  for (;;) {
    const now = await look()
    if (holds(now)) return now
    if (performance.now() > limit) throw new Error(`not within ${waitMsMax / 1000} s: ${what}; ${JSON.stringify(now)}`)
    await sleep(700)
  }
}

function healthy(names: readonly string[]): Promise<unknown> {
  const look = () => docker('inspect', '-f', '{{.State.Health.Status}}', ...names)
  return until('all healthy', 3 * MINUTE_MS, look, (said) =>
    said
      .trim()
      .split('\n')
      .every((one) => one === 'healthy')
  )
}

function filesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()
}

/** A hostile step that passed, or something that reached the database: never a matter of time. Step 34 runs into a budget that fills again. */
function gotThrough(line: string): boolean {
  return /status 20\d instead of (?!429)|requests reached Chroma/.test(line)
}

/**
 * The scenario until all of it is as expected, twice at most. A machine that is busy with other things makes an answer late, which is a
 * written 503 and never a yes, and an SVID for three seconds end too early. What got through fails at once.
 */
async function scenarioPasses(): Promise<void> {
  for (const last of [false, true]) {
    const { exit, out } = await compose(5 * MINUTE_MS, 'run', '--rm', 'scenario')
    const wrong = out.match(/^.*(FAILED|DIFFERS).*$/gm) ?? []
    if (wrong.length > 0) process.stdout.write(`The scenario: ${wrong.join('\n')}\n`)
    expect(last ? wrong : wrong.filter(gotThrough)).toEqual([])
    if (wrong.length > 0) continue
    expect(out).toContain(`${ALL} of ${ALL} steps as expected.`)
    expect(exit).toBe(0)
    return
  }
}

describe('compose, on images made offline', () => {
  it('comes up, healthy', { timeout: 6 * MINUTE_MS }, async () => {
    good(await compose(6 * MINUTE_MS, 'up', '--wait', '--no-build'))
    const running = await containers()
    expect([...running.keys()]).toEqual(
      expect.arrayContaining(['vecauthz-index', 'vecauthz-index-2', 'vecauthz-egress', 'index-envoy', 'redis'])
    )
    const listening = good(await engine.inside('cat', ['/proc/thread-self/net/tcp']))
    // Published: 8443 and 8444, on 127.0.0.1 (0100007F) and nowhere else.
    const bound = listening
      .split('\n')
      .filter((line) => / 0A /.test(line))
      .map((line) => line.trim().split(/\s+/)[1])
    expect(bound.sort()).toEqual(['0100007F:20FB', '0100007F:20FC'])
  })

  it('runs every container as the file says, by what the engine tells', async () => {
    const names = [...(await containers()).values()]
    const all = JSON.parse(await docker('inspect', ...names)) as {
      readonly Name: string
      readonly Config: { readonly User: string }
      readonly State: { readonly Health?: { readonly Status: string } }
      readonly Mounts: readonly { readonly Type: string; readonly Source: string }[]
      readonly HostConfig: {
        readonly ReadonlyRootfs: boolean
        readonly CapDrop: string[]
        readonly SecurityOpt: string[]
        readonly Privileged: boolean
        readonly PortBindings: Readonly<Record<string, readonly { readonly HostIp: string }[]>> | null
      }
    }[]
    for (const { Name, Config, State, Mounts, HostConfig } of all) {
      expect(HostConfig, Name).toMatchObject({
        ReadonlyRootfs: true,
        CapDrop: ['ALL'],
        // The engine adds the second to what is in the host's process namespace.
        SecurityOpt: ['no-new-privileges:true', ...(Name.includes('spire-agent') ? ['label=disable'] : [])],
        Privileged: false
      })
      if (!Name.includes('chroma')) expect(Config.User, Name).toMatch(/^[1-9]/)
      expect(State.Health?.Status, Name).toBe('healthy')
      expect(
        Mounts.filter(({ Type, Source }) => Type === 'bind' && !Source.endsWith('.conf')),
        Name
      ).toEqual([])
      for (const { HostIp } of Object.values(HostConfig.PortBindings ?? {}).flat()) expect(HostIp, Name).toBe('127.0.0.1')
    }
    expect(all.length).toBeGreaterThan(13)
  })

  it('has what the image of the server is made of, in the image: what the lock file says that it needs, and nothing else', async () => {
    const inImage = (...args: string[]) =>
      docker('run', '--rm', '--network', 'none', '--entrypoint', args[0] ?? '', 'vecauthz:0.1.0', ...args.slice(1))
    const sbom = JSON.parse(await inImage('cat', '/app/sbom.cdx.json')) as { bomFormat: string; components: { 'bom-ref': string }[] }
    expect(sbom.bomFormat).toBe('CycloneDX')
    const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as Lock
    const needed = neededBy(lock)
    expect(needed).toEqual(expect.arrayContaining([expect.stringMatching(/^@grpc\/grpc-js@/), expect.stringMatching(/^zod@/)]))
    expect(sbom.components.map((one) => one['bom-ref']).sort()).toEqual(needed)
    expect((await inImage('ls', '/app')).split('\n')).not.toContain('node_modules')
    expect(await inImage('id', '-u')).not.toBe('0\n')
  })

  it('passes vecauthz doctor at each of its own Envoys, with the settings of the server that it asks', {
    timeout: 3 * MINUTE_MS
  }, async () => {
    const running = await containers()
    const looks = Object.entries(ASKS).map(async ([envoy, { server, member }]) => {
      const settings = `/run/vecauthz/config/${member}/vecauthz.yaml`
      const [network, lent] = [`container:${running.get(envoy)}`, running.get(server) ?? '']
      const ran = await doctorIn(network, lent, MEMBERS[member].user, 'http://127.0.0.1:9900', '--config', settings, '--json')
      return { envoy, exit: ran.exit, ...(JSON.parse(ran.out) as { lines: readonly Line[] }) }
    })
    const [found, passing]: [string[], Record<string, number>] = [[], {}]
    for (const { envoy, lines } of await Promise.all(looks)) {
      found.push(...lines.filter(({ verdict }) => verdict !== 'pass').map(({ id, verdict }) => `${envoy}: ${id} ${verdict}`))
      passing[envoy] = lines.filter(({ verdict }) => verdict === 'pass').length
    }
    process.stdout.write(`vecauthz doctor: ${JSON.stringify(passing)} lines pass; else: ${found.join(', ')}\n`)
    const elsewhere = (envoy: string) => `${envoy}: database-private cannot-tell`
    // No configuration says who else reaches the database: the test below tries it. The second index is careless on purpose (steps 54, 55).
    expect(found.sort()).toEqual(
      [...['gateway-envoy', 'index-envoy', 'index-envoy-2'].map(elsewhere), 'index-envoy-2: role-by-port fail'].sort()
    )
    for (const [envoy, count] of Object.entries(passing)) expect(count, envoy).toBeGreaterThan(55)
  })

  it('the scenario: the steps of the demo, as expected', { timeout: 11 * MINUTE_MS }, async () => {
    await scenarioPasses()
  })

  it('keeps databases, state and other servers out of reach of the agents', { timeout: 2 * MINUTE_MS }, async () => {
    const running = await containers()
    // By address: a name that is not known says nothing about a way.
    const code = `const [host, port] = process.argv.slice(1); const no = () => process.exit(1); setTimeout(no, 4000)
      require('net').connect({ host, port }).on('connect', () => process.exit(0)).on('error', no)`
    const reach = async (address: string, port: string) =>
      (await engine.run('docker', ['exec', running.get('indexer') ?? '', 'node', '-e', code, address, port])).exit === 0
    const ways = {
      chroma: '8000',
      witness: '8000',
      redis: '6379',
      'vecauthz-index': '9901',
      'vecauthz-gateway': '9903',
      'gateway-envoy': '8443'
    }
    const tried = Object.entries(ways).flatMap(async ([service, port]) => {
      const addresses = await docker(
        'inspect',
        '-f',
        '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}',
        running.get(service) ?? ''
      )
      const reached = await Promise.all(
        addresses
          .trim()
          .split(/\s+/)
          .map((address) => reach(address, port))
      )
      return reached.map((one) => `${service} ${port}: ${one}`)
    })
    expect((await Promise.all(tried)).flat().filter((one) => !one.endsWith(': false'))).toEqual([])
    // The neighbour: what an agent may reach is reached in this way.
    expect(await reach('index-envoy', '8444')).toBe(true)
  })

  it('lets nothing through of what vecauthz doctor --attack tries from inside, at each kind of listener', {
    timeout: 4 * MINUTE_MS
  }, async () => {
    const running = await containers()
    const addressOf = async (service: string) =>
      (await docker('inspect', '-f', '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}', running.get(service) ?? ''))
        .trim()
        .split(' ')[0]
    const behind = ['--database', `${await addressOf('chroma')}:8000`, '--authz', `${await addressOf('vecauthz-index')}:9901`]
    const attack = async (network: string, as: 'indexer-envoy' | 'trials-envoy', url: string, admin: string) => {
      const [own, foreign] = as === 'indexer-envoy' ? ['acme', 'globex'] : ['globex', 'acme']
      const target = ['--host', HOST, '--read', namedPath(own), '--forbidden', namedPath(foreign), ...behind, '--admin', admin]
      const who = url.startsWith('https') ? ['--workload-api', `unix://${socketOf(as)}`] : []
      const ran = await doctorIn(network, running.get(as) ?? '', MEMBERS[as].user, '--attack', url, ...target, ...who, '--json')
      return JSON.parse(ran.out) as AttackReport
    }
    const beside = (agent: string) => `container:${running.get(agent)}`
    const reports = await Promise.all([
      attack(beside('indexer-envoy'), 'indexer-envoy', 'http://127.0.0.1:8200', '127.0.0.1:9900'),
      attack(beside('indexer-envoy'), 'indexer-envoy', 'https://index-envoy:8444', 'index-envoy:9900'),
      attack('vecauthz_front', 'trials-envoy', 'https://gateway-envoy:8443', 'gateway-envoy:9900')
    ])
    for (const { steps } of reports) {
      expect(steps.filter(({ outcome }) => outcome !== 'held')).toEqual([])
      expect(steps.length).toBeGreaterThanOrEqual(25)
    }
    // At an index the read that is allowed comes with a policy token or not at all.
    expect(reports.map(({ control }) => control.says)).toEqual(['it passes', 'vecauthz: 401', 'it passes'])
  })
})

describe('servers with state, each killed, then both index servers and their Redis at once', () => {
  it('forget no approval, no use of one, and no quarantine', { timeout: 8 * MINUTE_MS }, async () => {
    const said = good(await compose(3 * MINUTE_MS, 'run', '--rm', 'scenario', 'before'))
    expect(said).toMatch(/^approved: \S+, \S+\ntrials: 403 quarantined, payroll: 403 quarantined$/m)
    const running = await containers()
    const redis = ['redis', 'vecauthz-index', 'vecauthz-index-2']
    for (const services of [...redis, 'vecauthz-gateway'].map((one) => [one]).concat([redis])) {
      const killed = services.map((service) => running.get(service) ?? '')
      await docker('kill', ...killed)
      await docker('start', ...killed)
      await healthy(killed)
    }
    const after = good(await compose(3 * MINUTE_MS, 'run', '--rm', 'scenario', 'after'))
    expect(after).toMatch(
      /^drop through the pair: 200, then 403 approval-required\ndrop through the gateway: 200, then 403 approval-required$/m
    )
    expect(after).toMatch(/^trials: 403 quarantined, payroll: 403 quarantined\nreleased: trials: 200, payroll: 200$/m)
  })
})

describe('any one container killed', () => {
  it('lets nothing through without a verdict, and the scenario passes within a minute', { timeout: 40 * MINUTE_MS }, async () => {
    const watcher = (await compose(2 * MINUTE_MS, 'run', '-d', 'scenario', 'endurance')).out.trim().split('\n').at(-1) ?? ''
    onTestFinished(async () => void (await docker('rm', '-f', watcher)))
    const latest = async (): Promise<Round> => {
      const line = (await docker('logs', '--tail', '1', watcher)).trim()
      return line.startsWith('{') ? (JSON.parse(line) as Round) : { round: 0, passing: false, broken: [] }
    }
    const wait = (what: string, waitMsMax: number, holds: (now: Round) => boolean) => until(what, waitMsMax, latest, holds)
    await wait('good calls pass', 2 * MINUTE_MS, ({ passing }) => passing)

    /** Steps begun until they are all as expected. @returns when those began */
    const scenarioFrom = async (limit: number): Promise<number> => {
      for (;;) {
        const began = performance.now()
        const time = ((await latest()).steps?.time ?? 0) + 1
        await docker('kill', '--signal', 'USR2', watcher)
        const { steps } = await wait('the steps end', 5 * MINUTE_MS, (now) => now.steps?.time === time)
        const wrong = steps?.wrong ?? ['none was gone through']
        expect(wrong.filter(gotThrough)).toEqual([])
        if (wrong.length === 0) return began
        process.stdout.write(`The scenario, to be tried again: ${wrong.join('\n')}\n`)
        expect(performance.now(), wrong.join('\n')).toBeLessThan(limit)
      }
    }

    const victims = [...(await containers())].filter(([service]) => service !== 'scenario')
    const took: string[] = []
    for (const [service, name] of victims) {
      const { round } = await latest()
      await docker('kill', name)
      // The next round may have begun before; the one after that is all without it.
      await wait(`a round without ${service}`, 3 * MINUTE_MS, (now) => now.round >= round + 2)
      const down = await latest()
      const began = performance.now()
      const since = () => (performance.now() - began) / 1000
      await docker('start', name)
      await wait(`good calls without ${service} pass`, BACK_MS_MAX, (now) => now.passing && now.round > down.round)
      const passed = since()
      const steps = (await scenarioFrom(began + BACK_MS_MAX)) - began
      expect(steps, service).toBeLessThan(BACK_MS_MAX)
      took.push(`${service} ${passed.toFixed(1)} s (${since().toFixed(0)} s)`)
    }
    const { broken, steps } = await latest()
    process.stdout.write(`Good calls passed again (and ${steps?.all} steps of the scenario had) after: ${took.join(', ')}\n`)
    expect(broken).toEqual([])
    expect(victims.map(([service]) => service)).toEqual(expect.arrayContaining(['chroma', 'redis', 'witness', ...Object.keys(ASKS)]))
    expect(took.length).toBeGreaterThanOrEqual(15)
  })

  it('the scenario passes again, all of it', { timeout: 11 * MINUTE_MS }, async () => {
    await scenarioPasses()
  })
})

describe('compose down -v', () => {
  it('leaves nothing', { timeout: 3 * MINUTE_MS }, async () => {
    good(await compose(2 * MINUTE_MS, 'down', '-v'))
    expect(await docker('ps', '-aq')).toBe('')
    expect(await docker('volume', 'ls', '-q')).toBe('')
    expect((await docker('network', 'ls', '--format', '{{.Name}}')).trim().split('\n').sort()).toEqual(['bridge', 'host', 'none'])
    expect(filesOf(join(ROOT, 'compose'))).toEqual(before)
    // And the engine itself, which was there for these tests.
    await engine.stop()
    expect(existsSync(engine.folder)).toBe(false)
  })
})
