/**
 * The whole demo on loopback: dev issuer, Chroma with three tenants' handbooks, `vecauthz serve` as a process of its own, and
 * the gateway Envoy, with a recorder between Envoy and Chroma. The integration tests run on this same stack.
 */
import { spawn } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse, stringify } from 'yaml'
import { envoyBinary } from '../setup/components.ts'
import { WRITE_BODY_BYTES_MAX } from '../src/core/limits.ts'
import { type DevIssuer, startDevIssuer } from '../src/spire/dev-issuer.ts'
import { startChroma } from './chroma.ts'
import type { Credentials, Door } from './client.ts'
import { addDatabases, type OtherDatabase, type OtherServer, type RunningDatabase, startOther } from './databases.ts'
import { type RunningEnvoy, startEnvoy } from './envoy.ts'
import type { EnvoyOverrides } from './envoy-config.ts'
import {
  APPROVER,
  DESK,
  EGRESS_SERVER,
  GATEWAY_ENVOY,
  GATEWAY_SERVER,
  HOST,
  INDEX_ENVOY,
  INDEX_SERVER,
  INDEXER,
  OPERATOR,
  OTHER_ENVOY,
  OTHER_HOSTS,
  PAYROLL,
  SUPPORT,
  TRIALS,
  TRUST_DOMAIN
} from './identities.ts'
import { IDP_ISSUER, type Idp, startIdp } from './idp.ts'
import { type OnCall, startOnCall } from './pages.ts'
import { endProcess, endsWithUs } from './process.ts'
import { type Recorder, startRecorder } from './recorder.ts'
import { seed } from './seed.ts'

const ROOT = join(import.meta.dirname, '..')
const SERVE_MS_MAX = 20_000
const STOP_MS_MAX = 15_000
const READY_MS_MAX = 5_000

export interface StackOptions {
  /** Where everything is written; emptied first. */
  readonly folder: string
  readonly say: (line: string) => void
  /** Lifetime of SVIDs in seconds; 600 unless told. */
  readonly svidSeconds?: number
  /** Changes the gateway Envoy's configuration, for tests of single lines. */
  readonly envoy?: EnvoyOverrides
  /** Changes the policy document before it is written. */
  // biome-ignore lint/suspicious/noExplicitAny: the document as YAML gives it
  readonly policy?: (document: any) => void
  /** The same for the server's settings. */
  // biome-ignore lint/suspicious/noExplicitAny: the document as YAML gives it
  readonly settings?: (document: any, onCall: OnCall) => void
  /** `svid_ttl_seconds` of the server's settings, for tests of a wrong one; the SVIDs' own lifetime unless told. */
  readonly claimedSvidSeconds?: number
  /** Databases that run beside Chroma, each with two tenants' records (databases.ts). None unless told: they take a while. */
  readonly databases?: readonly OtherDatabase[]
  /** Stands in for a database that is in no package registry. */
  readonly servers?: Partial<Record<OtherDatabase, OtherServer>>
  /** SPIFFE IDs in trust domains of their own, with whose bundles the gateway's Envoy and vecauthz federate. */
  readonly partners?: readonly string[]
  /** SPIFFE IDs of further workloads in the demo's own trust domain. */
  readonly agents?: readonly string[]
}

export interface Stack {
  readonly folder: string
  readonly issuer: DevIssuer
  readonly idp: Idp
  /** Whom the settings may name to be paged. */
  readonly onCall: OnCall
  readonly envoy: RunningEnvoy
  readonly recorder: Recorder
  /** @throws Error for one that was not asked for. */
  readonly database: (kind: OtherDatabase) => RunningDatabase
  readonly door: Door
  /** `http://127.0.0.1:PORT` of Chroma itself, for what an operator would look at. */
  readonly chromaUrl: string
  /** Tenant to the UUID of its handbook. */
  readonly collections: Readonly<Record<string, string>>
  readonly server: ServerProcess
  /** The write lane: the same server with larger bodies, in a process of its own. */
  readonly writes: ServerProcess
  readonly auditFile: string
  readonly policyFile: string
  /** An SVID of an entry as PEM, fresh from the issuer. */
  readonly credentials: (id: string, lifetimeMs?: number) => Credentials
  readonly stop: () => Promise<void>
}

export interface ServerProcess {
  readonly pid: number
  readonly port: number
  readonly healthPort: number
  /** Where approvals are given; 0 where the settings have no admin port. */
  readonly adminPort: number
  /** The console; 0 where the settings have none. */
  readonly localPort: number
  readonly logFile: string
  /** SIGTERM, and the exit code. */
  readonly stop: () => Promise<number | null>
}

export async function startStack(options: StackOptions): Promise<Stack> {
  const { folder, say } = options
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const stops: (() => Promise<unknown>)[] = []
  const stop = async () => {
    for (const one of stops.splice(0).reverse()) await one()
  }
  try {
    return await build(options, folder, say, stops, stop)
  } catch (cause) {
    await stop()
    throw cause
  }
}

async function build(
  options: StackOptions,
  folder: string,
  say: (line: string) => void,
  stops: (() => Promise<unknown>)[],
  stop: () => Promise<void>
): Promise<Stack> {
  const seconds = options.svidSeconds ?? 600
  const [issuer, chroma] = await together(
    startIssuer(folder, seconds, options, say).then(pushing(stops, (one) => one.close())),
    timed(say, 'Chroma', startChroma({ folder: join(folder, 'chroma') })).then(pushing(stops, (one) => one.stop()))
  )
  const collections = await timed(say, 'tenants and embeddings', seed(chroma.url))
  const others = new Map<OtherDatabase, RunningDatabase>()
  for (const kind of options.databases ?? []) {
    const running = await timed(say, kind, startOther(kind, join(folder, kind), options.servers?.[kind]))
    stops.push(running.stop)
    others.set(kind, running)
  }
  const recorder = await startRecorder({ host: '127.0.0.1', port: chroma.port })
  stops.push(recorder.stop)
  const idp = await startIdp()
  stops.push(idp.stop)
  const onCall = await startOnCall(folder)
  stops.push(onCall.stop)
  const files = writeConfig(
    { folder, issuer, chromaUrl: chroma.url, jwksUrl: idp.jwksUrl, onCall, seconds: options.claimedSvidSeconds ?? seconds },
    options
  )
  const [server, writes] = await timed(
    say,
    'vecauthz, two lanes',
    together(
      startServerProcess(folder, files.settings).then(pushing(stops, (one) => one.stop())),
      startServerProcess(folder, files.writeSettings).then(pushing(stops, (one) => one.stop()))
    )
  )
  const envoyFolder = join(folder, 'gateway')
  mkdirSync(envoyFolder, { mode: 0o700 })
  symlinkSync(issuer.sdsFolderOf(GATEWAY_ENVOY), join(envoyFolder, 'sds'))
  const here = (port: number) => ({ address: '127.0.0.1', port })
  const ours = { chroma: here(recorder.port), vecauthz: here(server.port), vecauthz_writes: here(writes.port) }
  const upstreams = Object.assign(ours, ...[...others.values()].map((one) => one.upstreams))
  const overrides: EnvoyOverrides = { upstreams, maxConnectionSeconds: Math.max(5, Math.floor(seconds * 0.4)), ...options.envoy }
  const starting = startEnvoy({ binary: envoyBinary(), configFile: join(ROOT, 'envoy/gateway.yaml'), folder: envoyFolder, overrides })
  const envoy = await timed(say, 'Envoy', starting.then(pushing(stops, (one) => one.stop())).then(bothLanesReady))
  return {
    folder,
    issuer,
    idp,
    onCall,
    envoy,
    recorder,
    database: (kind) => others.get(kind) ?? missing(kind),
    door: { port: envoy.port('gateway_in'), ca: issuer.bundlePem(TRUST_DOMAIN) },
    chromaUrl: chroma.url,
    collections,
    server,
    writes,
    auditFile: files.audit,
    policyFile: files.policy,
    credentials: (id, lifetimeMs) => {
      const svid = issuer.issueX509(id, lifetimeMs === undefined ? {} : { notAfter: Date.now() + lifetimeMs })
      return { cert: svid.chainPem, key: svid.keyPem }
    },
    stop
  }
}

/** Envoy asks no server before that says that it is ready. Waits a while only: some tests have one that never is. */
async function bothLanesReady(envoy: RunningEnvoy): Promise<RunningEnvoy> {
  const until = performance.now() + READY_MS_MAX
  const healthy = () => Promise.all(['vecauthz', 'vecauthz_writes'].map((name) => envoy.stats(`cluster.${name}.membership_healthy`)))
  while ((await healthy()).includes(0) && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 25))
  return envoy
}

function missing(kind: OtherDatabase): never {
  throw new Error(`${kind} is not among the databases of this stack`)
}

/** Waits for both even when one fails, so that what did start is there to be stopped. */
async function together<A, B>(one: Promise<A>, other: Promise<B>): Promise<[A, B]> {
  const [first, second] = await Promise.allSettled([one, other])
  if (first.status === 'rejected') throw first.reason
  if (second.status === 'rejected') throw second.reason
  return [first.value, second.value]
}

function pushing<T>(stops: (() => Promise<unknown>)[], stop: (one: T) => Promise<unknown>): (one: T) => T {
  return (one) => {
    stops.push(() => stop(one))
    return one
  }
}

async function timed<T>(say: (line: string) => void, what: string, work: Promise<T>): Promise<T> {
  const began = performance.now()
  const done = await work
  say(`  ${what} ${' '.repeat(Math.max(1, 26 - what.length))}${((performance.now() - began) / 1000).toFixed(1)} s`)
  return done
}

async function startIssuer(
  folder: string,
  seconds: number,
  { partners = [], agents = [] }: StackOptions,
  say: (line: string) => void
): Promise<DevIssuer> {
  // A unix socket's path has at most 107 bytes, and a checkout may lie deeper than that: always in a short folder, not only there.
  const home = mkdtempSync(join(tmpdir(), 'vecauthz-'))
  symlinkSync(home, join(folder, 'issuer'))
  const remove = () => rmSync(home, { recursive: true, force: true })
  const federatesWith = [...new Set(partners.map((id) => new URL(id).hostname))]
  try {
    const issuer = await startDevIssuer({
      folder: home,
      trustDomains: [TRUST_DOMAIN, ...federatesWith],
      entries: [
        { id: GATEWAY_ENVOY, dns: [HOST, ...OTHER_HOSTS], federatesWith },
        { id: INDEX_ENVOY, dns: [HOST, ...OTHER_HOSTS], federatesWith },
        { id: OTHER_ENVOY },
        ...[GATEWAY_SERVER, INDEX_SERVER, EGRESS_SERVER].map((id) => ({ id, federatesWith })),
        ...[SUPPORT, TRIALS, PAYROLL, INDEXER, DESK, APPROVER, OPERATOR, ...partners, ...agents].map((id) => ({ id }))
      ],
      ttlMs: seconds * 1000,
      environment: process.env,
      say
    })
    return { ...issuer, close: () => issuer.close().finally(remove) }
  } catch (cause) {
    remove()
    throw cause
  }
}

interface Places {
  readonly folder: string
  readonly issuer: DevIssuer
  readonly chromaUrl: string
  readonly jwksUrl: string
  readonly onCall: OnCall
  readonly seconds: number
}

/** The shipped demo/config with this run's ports, socket and lifetimes. */
function writeConfig(
  { folder, issuer, chromaUrl, jwksUrl, onCall, seconds }: Places,
  change: Pick<StackOptions, 'policy' | 'settings' | 'databases'>
) {
  const at = (name: string) => join(folder, name)
  const files = {
    settings: at('vecauthz.yaml'),
    writeSettings: at('vecauthz-writes.yaml'),
    policy: at('policy.yaml'),
    audit: at('audit.jsonl')
  }
  const settings = parse(readFileSync(join(ROOT, 'demo/config/vecauthz.yaml'), 'utf8'))
  const own = { listen: '127.0.0.1:0', health: '127.0.0.1:0', workload_api: issuer.socketOf(GATEWAY_SERVER), svid_ttl_seconds: seconds }
  Object.assign(settings, own, { audit: { file: files.audit }, state: { kind: 'sqlite', file: at('state.sqlite') } })
  settings.admin.listen = '127.0.0.1:0'
  settings.admin.local.listen = '127.0.0.1:0'
  settings.databases[0].url = chromaUrl
  settings.subject_issuers = [{ issuer: IDP_ISSUER, jwks_url: jwksUrl }]
  const policy = parse(readFileSync(join(ROOT, 'demo/config/policy.yaml'), 'utf8'))
  addDatabases(change.databases ?? [], settings, policy)
  change.settings?.(settings, onCall)
  writeFileSync(files.settings, stringify(settings))
  const lane = { body_bytes_max: WRITE_BODY_BYTES_MAX, deadline_ms: 2_500, audit: { file: at('audit-writes.jsonl') } }
  writeFileSync(files.writeSettings, stringify({ ...settings, ...lane }))
  change.policy?.(policy)
  writeFileSync(files.policy, stringify(policy))
  return files
}

/** `vecauthz serve` as an operator would run it: its own process, its own log. @param nodeArgs for tests of what is around it */
export async function startServerProcess(folder: string, settingsFile: string, nodeArgs: readonly string[] = []): Promise<ServerProcess> {
  const logFile = join(folder, 'vecauthz.log')
  const log = openSync(logFile, 'a', 0o600)
  const child = spawn(process.execPath, [...nodeArgs, join(ROOT, 'src/main.ts'), 'serve', '--config', settingsFile], {
    stdio: ['ignore', log, log]
  })
  closeSync(log)
  const release = endsWithUs(child)
  const stop = async () => {
    release()
    return await endProcess(child, STOP_MS_MAX)
  }
  const until = performance.now() + SERVE_MS_MAX
  while (performance.now() < until && child.exitCode === null) {
    const line = linesOf(logFile).find((one) => one.includes('"msg":"serving"') && one.includes(`"pid":${child.pid},`))
    if (line !== undefined) {
      const {
        port,
        health_port: healthPort,
        admin_port: adminPort = 0,
        local_port: localPort = 0
      } = JSON.parse(line) as Record<string, number>
      return { pid: child.pid ?? 0, port: port ?? 0, healthPort: healthPort ?? 0, adminPort, localPort, logFile, stop }
    }
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
  await stop()
  throw new Error(`vecauthz did not start. End of ${logFile}:\n${linesOf(logFile).slice(-8).join('\n')}`)
}

function linesOf(file: string): string[] {
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n') : []
}
