/**
 * The pair, beside a running stack: an egress server, two agents' own Envoys that ask it, two index servers that share what is
 * spent, and an Envoy in front of the database for each of them. All lead to the same Chroma, through the stack's recorder.
 */
import { copyFileSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parse, stringify } from 'yaml'
import { envoyBinary } from '../setup/components.ts'
import { type Ask, callPlain, type Door } from './client.ts'
import { addDatabases, type OtherDatabase } from './databases.ts'
import { type RunningEnvoy, startEnvoy } from './envoy.ts'
import { type Bootstrap, type EnvoyOverrides, httpOf, named } from './envoy-config.ts'
import { DATABASE, EGRESS_SERVER, INDEX_ENVOY, INDEX_SERVER, INDEXER, TRIALS, TRUST_DOMAIN } from './identities.ts'
import { IDP_ISSUER } from './idp.ts'
import { askDirectly, type DirectAsk, type Verdict } from './pair-check.ts'
import { type ServerProcess, type Stack, startServerProcess } from './stack.ts'
import { collectionPath, type Scene } from './step.ts'

const WRITES_MS_MAX = 20_000
const WRITES_EVERY_MS = 250
const ROOT = join(import.meta.dirname, '..')

export interface PairOptions {
  readonly say: (line: string) => void
  /** Lifetime of the stack's SVIDs in seconds; 600 unless told. */
  readonly svidSeconds?: number
  /** Of the stack's other databases, those that the pair serves as well. */
  readonly databases?: readonly OtherDatabase[]
}

export interface Pair {
  readonly egress: ServerProcess
  /** Two processes, one file of what is spent. */
  readonly indexes: readonly [ServerProcess, ServerProcess]
  /** The Envoy in front of the database that asks the first, and the one that asks the second. */
  readonly doors: readonly [Door, Door]
  /** The agents' own Envoys. */
  readonly agents: Readonly<Record<PairAgent, RunningEnvoy>>
  /** UUID of a collection of acme that its indexer may write into. */
  readonly scratch: string
  readonly auditFiles: Readonly<Record<'egress' | 'index' | 'index2', string>>
  /** Each is reloaded when it is saved. */
  readonly policyFiles: Readonly<Record<'egress' | 'index', string>>
  readonly stop: () => Promise<void>
}

/** The agents that have an Envoy of their own: of two tenants. */
export type PairAgent = 'indexer' | 'trials'
const AGENTS: Readonly<Record<PairAgent, string>> = { indexer: INDEXER, trials: TRIALS }

/** A scene whose stack has the pair beside it. */
export interface PairScene extends Scene {
  readonly pair: Pair
}

export async function startPair(stack: Stack, options: PairOptions): Promise<Pair> {
  const stops: (() => Promise<unknown>)[] = []
  const stop = async () => {
    for (const one of stops.splice(0).reverse()) await one()
  }
  const began = performance.now()
  try {
    const pair = await build(stack, options, stops)
    options.say(`  the pair                   ${((performance.now() - began) / 1000).toFixed(1)} s`)
    return { ...pair, stop }
  } catch (cause) {
    await stop()
    throw cause
  }
}

async function build(stack: Stack, options: PairOptions, stops: (() => Promise<unknown>)[]): Promise<Omit<Pair, 'stop'>> {
  const { svidSeconds: seconds = 600, databases = [] } = options
  const folder = join(stack.folder, 'pair')
  mkdirSync(folder, { mode: 0o700 })
  const kept = async <T extends { stop: () => Promise<unknown> }>(starting: Promise<T>): Promise<T> => {
    const started = await starting
    stops.push(started.stop)
    return started
  }
  const scratch = await makeScratch(stack)
  const server = (name: string, kind: 'egress' | 'index') =>
    kept(startServerProcess(folder, writeSettings(stack, { folder, name, kind, seconds, databases })))
  const [egress, index, index2] = await all([server('egress', 'egress'), server('index', 'index'), server('index2', 'index')])
  const envoy = (name: string, id: string, overrides: EnvoyOverrides) => {
    const its = envoyFolder(stack, folder, name, id)
    const configFile = join(ROOT, `envoy/${name.split('-')[0]}.yaml`)
    const limits = { maxConnectionSeconds: Math.max(5, Math.floor(seconds * 0.4)), ...overrides }
    return kept(startEnvoy({ binary: envoyBinary(), configFile, folder: its, overrides: limits }))
  }
  const inFront = (name: string, asked: ServerProcess) => {
    const ours = { chroma: here(stack.recorder.port), vecauthz: here(asked.port), vecauthz_writes: here(asked.port) }
    const others = databases.map((kind) => stack.database(kind).upstreams)
    return envoy(name, INDEX_ENVOY, { upstreams: Object.assign(ours, ...others), edit: carelessHost })
  }
  const [first, second] = await all([inFront('index-1', index), inFront('index-2', index2)])
  const beside = (agent: PairAgent) => {
    const to = here(first.port('index_in'))
    const upstreams = { index: to, index_grpc: to, vecauthz: here(egress.port), vecauthz_writes: here(egress.port) }
    return envoy(`egress-${agent}`, AGENTS[agent], { upstreams })
  }
  const [indexer, trials] = await all([beside('indexer'), beside('trials')])
  await takesWrites(indexer, scratch)
  const ca = stack.issuer.bundlePem(TRUST_DOMAIN)
  const door = (one: RunningEnvoy): Door => ({ port: one.port('index_in'), ca })
  const auditOf = (name: string) => join(folder, `audit-${name}.jsonl`)
  return {
    egress,
    indexes: [index, index2],
    doors: [door(first), door(second)],
    agents: { indexer, trials },
    scratch,
    policyFiles: { egress: policyFileOf(folder, 'egress'), index: policyFileOf(folder, 'index') },
    auditFiles: { egress: auditOf('egress'), index: auditOf('index'), index2: auditOf('index2') }
  }
}

/** Asks the egress server as this workload's own Envoy does, over its SVID. */
export function askEgress({ stack, pair }: PairScene, id: string, ask: DirectAsk): Promise<Verdict> {
  return askDirectly({ port: pair.egress.port, ca: stack.door.ca }, stack.credentials(id), ask)
}

/** A call as an agent makes it: plain, to its own Envoy. */
export function callFrom({ pair }: PairScene, agent: PairAgent, ask: Omit<Ask, 'agent'>) {
  return callPlain(pair.agents[agent].port('egress_in'), ask)
}

function here(port: number) {
  return { address: '127.0.0.1', port }
}

/** Waits for all even when one fails, so that what did start is there to be stopped. */
async function all<const T extends readonly Promise<unknown>[]>(starting: T): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  const ended = await Promise.allSettled(starting)
  const failed = ended.find((one) => one.status === 'rejected')
  if (failed !== undefined) throw failed.reason
  return await Promise.all(starting)
}

/** As an operator would, past every Envoy. */
export async function makeScratch({ chromaUrl }: Pick<Stack, 'chromaUrl'>): Promise<string> {
  const made = await fetch(`${chromaUrl}/api/v2/tenants/acme/databases/${DATABASE}/collections`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'scratch-pair' })
  })
  if (!made.ok) throw new Error(`Chroma made no collection for the pair: ${made.status} ${await made.text()}`)
  return ((await made.json()) as { id: string }).id
}

interface Place {
  readonly folder: string
  readonly name: string
  readonly kind: 'egress' | 'index'
  readonly seconds: number
  readonly databases: readonly OtherDatabase[]
}

/** One for each end: they have one policy here, and could have two. */
function policyFileOf(folder: string, kind: Place['kind']): string {
  return join(folder, `policy-${kind}.yaml`)
}

/**
 * Waits until a write passes. A state file that is new may have been emptied, so it takes no token that could have been used before it
 * began: one that was issued less than `token_leeway_seconds` (2) after that, or in the second that `iat` does not tell apart.
 */
export async function takesWrites(agent: Pick<RunningEnvoy, 'port'>, scratch: string): Promise<void> {
  const ask = { target: collectionPath('acme', scratch, 'add'), body: { ids: ['ready'], embeddings: [[1, 0, 0]], documents: ['ready'] } }
  const until = performance.now() + WRITES_MS_MAX
  for (;;) {
    const { status, body } = await callPlain(agent.port('egress_in'), ask)
    if (status === 201) return
    if (performance.now() > until) throw new Error(`the index server takes no writes: ${status} ${body}`)
    await sleep(WRITES_EVERY_MS)
  }
}

/** The shipped demo/config with this run's ports, sockets and lifetimes; the policy is that of the stack. */
function writeSettings(stack: Stack, { folder, name, kind, seconds, databases }: Place): string {
  const settings = parse(readFileSync(join(ROOT, `demo/config/${kind}.yaml`), 'utf8'))
  const policyFile = policyFileOf(folder, kind)
  if (!existsSync(policyFile)) copyFileSync(stack.policyFile, policyFile)
  Object.assign(settings, {
    listen: '127.0.0.1:0',
    health: '127.0.0.1:0',
    workload_api: stack.issuer.socketOf(kind === 'egress' ? EGRESS_SERVER : INDEX_SERVER),
    svid_ttl_seconds: seconds,
    policy: policyFile,
    subject_issuers: [{ issuer: IDP_ISSUER, jwks_url: stack.idp.jwksUrl }],
    audit: { file: join(folder, `audit-${name}.jsonl`) }
  })
  // Their rules are in the stack's policy already.
  addDatabases(databases, settings, { collections: [] })
  if (kind === 'index') {
    settings.databases[0].url = stack.chromaUrl
    settings.state.file = join(folder, 'index.sqlite')
    settings.admin.listen = '127.0.0.1:0'
  }
  const file = join(folder, `${name}.yaml`)
  writeFileSync(file, stringify(settings))
  return file
}

function envoyFolder(stack: Stack, folder: string, name: string, id: string): string {
  const its = join(folder, name)
  mkdirSync(its, { mode: 0o700 })
  symlinkSync(stack.issuer.sdsFolderOf(id), join(its, 'sds'))
  return its
}

/**
 * What an operator could do by mistake, for the step that tries a role by `Host`: a host of its own whose checks say that they are a
 * gateway's. Such extensions of a check vary with the host that a caller names.
 */
export function carelessHost({ static_resources: { listeners } }: Bootstrap): void {
  const routes = httpOf(named(listeners, 'index_in'))['route_config']
  routes.virtual_hosts.push({
    name: 'careless',
    domains: ['localhost'],
    typed_per_filter_config: {
      'envoy.filters.http.ext_authz': {
        '@type': 'type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute',
        check_settings: { context_extensions: { role: 'gateway', hop: 'gateway' } }
      }
    },
    routes: [{ match: { prefix: '/' }, route: { cluster: 'chroma' } }]
  })
}
