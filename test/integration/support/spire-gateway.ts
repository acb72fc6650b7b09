/** The gateway with every SVID from a real SPIRE agent: `vecauthz serve` over the Workload API, the shipped Envoy over the agent's SDS. */
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from 'node:tls'
import { parse, stringify } from 'yaml'
import { startChroma } from '../../../demo/chroma.ts'
import { type Answer, type Credentials, call, type Door } from '../../../demo/client.ts'
import { type RunningEnvoy, startEnvoy } from '../../../demo/envoy.ts'
import { type Bootstrap, named } from '../../../demo/envoy-config.ts'
import { HOST } from '../../../demo/identities.ts'
import { type Recorder, startRecorder } from '../../../demo/recorder.ts'
import { seed } from '../../../demo/seed.ts'
import { type ServerProcess, startServerProcess } from '../../../demo/stack.ts'
import { collectionPath } from '../../../demo/step.ts'
import { envoyBinary } from '../../../setup/components.ts'

const ROOT = join(import.meta.dirname, '../../..')
/** Ticks of the load's clock. */
const TICK_MS = 10

export interface SpireGateway {
  readonly envoy: RunningEnvoy
  readonly server: ServerProcess
  readonly recorder: Recorder
  readonly door: Door
  /** A read that the policy allows acme's support agent. */
  readonly target: string
  readonly stop: () => Promise<void>
}

export interface GatewayOptions {
  readonly folder: string
  /** The agent's. */
  readonly socket: string
  /** Lifetime of the SVIDs, seconds. */
  readonly svidSeconds: number
  /** PEM of the roots by which a caller knows the gateway. */
  readonly roots: string
}

export async function startSpireGateway({ folder, socket, svidSeconds, roots }: GatewayOptions): Promise<SpireGateway> {
  const stops: (() => Promise<unknown>)[] = []
  const stop = async () => {
    for (const one of stops.splice(0).reverse()) await one()
  }
  try {
    const chroma = await startChroma({ folder: join(folder, 'chroma') })
    stops.push(chroma.stop)
    const collections = await seed(chroma.url)
    const recorder = await startRecorder({ host: '127.0.0.1', port: chroma.port })
    stops.push(recorder.stop)
    const server = await startServerProcess(folder, writeSettings(folder, socket, chroma.url, svidSeconds))
    stops.push(server.stop)
    const home = mkdtempSync(join(folder, 'gateway-'))
    const upstreams = { chroma: { address: '127.0.0.1', port: recorder.port }, vecauthz: { address: '127.0.0.1', port: server.port } }
    const overrides = { upstreams, edit: (bootstrap: Bootstrap) => agentAt(bootstrap, socket) }
    const envoy = await startEnvoy({ binary: envoyBinary(), configFile: join(ROOT, 'envoy/spire/gateway.yaml'), folder: home, overrides })
    stops.push(envoy.stop)
    const target = collectionPath('acme', collections['acme'] ?? '', 'count')
    return { envoy, server, recorder, door: { port: envoy.port('gateway_in'), ca: roots }, target, stop }
  } catch (cause) {
    await stop()
    throw cause
  }
}

function writeSettings(folder: string, socket: string, chromaUrl: string, svidSeconds: number): string {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const settings = parse(readFileSync(join(ROOT, 'demo/config/vecauthz.yaml'), 'utf8'))
  const own = { listen: '127.0.0.1:0', health: '127.0.0.1:0', workload_api: `unix://${socket}`, svid_ttl_seconds: svidSeconds }
  Object.assign(settings, own, { audit: { file: join(folder, 'audit.jsonl') } })
  settings.databases[0].url = chromaUrl
  const policy = parse(readFileSync(join(ROOT, 'demo/config/policy.yaml'), 'utf8'))
  policy.budget = { per_second: 1000, burst: 10_000 }
  writeFileSync(join(folder, 'policy.yaml'), stringify(policy))
  writeFileSync(join(folder, 'vecauthz.yaml'), stringify(settings))
  return join(folder, 'vecauthz.yaml')
}

/** The shipped file for SPIRE, with the socket of this agent. */
function agentAt(bootstrap: Bootstrap, path: string): void {
  const agent = named(bootstrap.static_resources.clusters, 'spire_agent')
  agent['load_assignment'].endpoints[0].lb_endpoints[0].endpoint.address.pipe.path = path
}

/** Serial number of the certificate that the gateway's Envoy shows to callers. */
export async function serialShown({ port, ca }: Door): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port, ca, servername: HOST, ALPNProtocols: ['http/1.1'] })
  await once(socket, 'secureConnect')
  const { serialNumber } = socket.getPeerCertificate()
  socket.on('error', () => undefined).destroy()
  return serialNumber
}

/** What `vecauthz serve` logged of its Workload API client, its repeated tries as one; `at` in milliseconds since the epoch. */
export function eventsIn({ logFile }: ServerProcess): readonly { readonly event: string; readonly at: number }[] {
  const events = readFileSync(logFile, 'utf8')
    .split('\n')
    .filter((line) => line.includes('"event":'))
    .map((line) => JSON.parse(line) as { event: string; time: string })
    .map(({ event, time }) => ({ event, at: Date.parse(time) }))
  return events.filter(({ event }, at) => event !== events[at - 1]?.event)
}

/** Answers by what they said: `200`, or the reason of a denial, or how the connection failed. */
export type Tally = Record<string, number>

export interface Load {
  /** Of those who may, and of those who may not; each call on a connection of its own. */
  readonly good: Tally
  readonly bad: Tally
  /** No further calls; resolves when the last one is answered. */
  readonly stop: () => Promise<void>
}

/** Calls at a steady rate; one in five by somebody who may not. */
export function startLoad({ door, target }: SpireGateway, rate: number, good: Credentials, bad: Credentials): Load {
  const tallies = { good: {} as Tally, bad: {} as Tally }
  const under = new Set<Promise<void>>()
  let running = true
  const one = async (kind: 'good' | 'bad') => {
    const said = await call(door, kind === 'good' ? good : bad, { target }).then(reasonOf, (cause: Error) => cause.message)
    tallies[kind][said] = (tallies[kind][said] ?? 0) + 1
  }
  const loop = (async () => {
    const began = performance.now()
    for (let sent = 0; running; await sleep(TICK_MS)) {
      for (const due = ((performance.now() - began) / 1000) * rate; sent < due; sent++) {
        const asked = one(sent % 5 === 0 ? 'bad' : 'good')
        under.add(asked)
        void asked.finally(() => under.delete(asked))
      }
    }
    await Promise.all(under)
  })()
  return {
    ...tallies,
    stop: () => {
      running = false
      return loop
    }
  }
}

function reasonOf({ status, reason, body }: Answer): string {
  return status === 200 ? '200' : (reason ?? `status ${status}: ${body.slice(0, 80)}`)
}
