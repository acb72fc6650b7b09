/**
 * What every fault is tried on: real `vecauthz serve` processes of one gateway, a real Chroma that they ask for names, an authority, and
 * agents that all match one entry of the policy. They are asked as the gateway's Envoy asks, over one connection each.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { type ClientHttp2Session, connect } from 'node:http2'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { CheckRequest, CheckResponse } from '@envoyproxy/protos/auth'
import { stringify } from 'yaml'
import { startChroma } from '../../demo/chroma.ts'
import type { Answer } from '../../demo/client.ts'
import { COLLECTION, GATEWAY_ENVOY, GATEWAY_SERVER, HOST, OPERATOR, TRUST_DOMAIN } from '../../demo/identities.ts'
import { checkOf, verdictOf } from '../../demo/pair-check.ts'
import { seed } from '../../demo/seed.ts'
import { type ServerProcess, startServerProcess } from '../../demo/stack.ts'
import { collectionPath, namedPath, searchBody } from '../../demo/step.ts'
import { type DevIssuer, startDevIssuer } from '../../src/spire/dev-issuer.ts'
import { type Authority, issueSvid, makeAuthority, newKey } from '../../test/support/ca.ts'
import { name } from '../../test/support/der-write.ts'
import { ask } from '../load.ts'

const SVID_SECONDS = 3_600
const DAY_MS = 86_400_000
/** As the authority of the demo names those above it, in the intermediates that it signs. */
const ROOT_NAME = name([
  ['2.5.4.10', 'vecauthz DEV ONLY'],
  ['2.5.4.3', 'faults']
])
const READY_MS_MAX = 60_000
const POLL_MS = 5
const ANSWER_MS_MAX = 10_000
/** `risk.standings_max_age_seconds` of all of them. */
export const STALE_SECONDS = 2

/** Each is one workload of the same entry. */
export const agent = (name: string | number) => `spiffe://${TRUST_DOMAIN}/acme/agent/fault/${name}`

export interface SceneOptions {
  /** Emptied first. */
  readonly folder: string
  /** `state` of the settings of each replica, by its number; as many as there are. */
  readonly states: readonly object[]
  // biome-ignore lint/suspicious/noExplicitAny: the document as YAML gives it
  readonly policy?: (document: any) => void
  // biome-ignore lint/suspicious/noExplicitAny: the document as YAML gives it
  readonly settings?: (document: any, replica: number) => void
  /** For the processes of the servers. */
  readonly nodeArgs?: readonly string[]
  /** Of the authority; that of this process where it is not said. */
  readonly now?: () => number
}

/** An answer, and how the workload stands after it. */
export interface Said extends Answer {
  readonly standing: string | undefined
}

export interface Replica {
  readonly name: string
  /** Of the process that runs at this moment. */
  readonly process: () => ServerProcess
  readonly readiness: () => Promise<string>
  readonly whenReady: () => Promise<number>
  readonly kill: () => void
  /** Another process with the same settings. */
  readonly restart: () => Promise<void>
  readonly log: () => string
  readonly session: () => Promise<ClientHttp2Session>
  /** What is asked from now on is asked over a new connection, with a new SVID of Envoy. */
  readonly reconnect: () => void
}

export interface Scene {
  readonly folder: string
  readonly issuer: DevIssuer
  readonly replicas: readonly Replica[]
  /** One more, with the state of one that is there. */
  readonly add: (state: object) => Promise<Replica>
  /** @throws Error when no answer comes */
  readonly ask: (replica: Replica, id: string, call: Call) => Promise<Said>
  readonly calls: Calls
  readonly stop: () => Promise<void>
}

export interface Call {
  readonly method: string
  readonly target: string
  readonly body?: object
}

export interface Calls {
  /** Decided by the policy alone. */
  readonly look: Call
  readonly search: Call
  /** Shows more than 100 records: refused while it is not known how workloads stand. */
  readonly showMuch: Call
  /** Into another tenant, each time to something else; the third one is a quarantine. */
  readonly pivot: () => Call
}

export async function openScene({ folder, states, policy, settings, nodeArgs = [], now = Date.now }: SceneOptions): Promise<Scene> {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const stops: (() => Promise<unknown>)[] = []
  const stop = async () => {
    for (const one of stops.splice(0).reverse()) await one()
  }
  try {
    // From before and to after anything that a clock is set to.
    const validity = { notBefore: Date.now() - DAY_MS, notAfter: Date.now() + DAY_MS }
    const root = await makeAuthority({ trustDomain: TRUST_DOMAIN, subject: ROOT_NAME, ...validity })
    const issuer = await issuerOf(folder, stops, root, now)
    const chroma = await startChroma({ folder: join(folder, 'chroma') })
    stops.push(chroma.stop)
    const { acme: handbook = '' } = await seed(chroma.url)
    const document = policyDocument()
    policy?.(document)
    writeFileSync(join(folder, 'policy.yaml'), stringify(document))
    const start = async (state: object, at: number) => {
      const own = { ...settingsDocument(folder, issuer, chroma.url), state }
      settings?.(own, at)
      const replica = await startReplica(join(folder, `r${at}`), own, issuer, nodeArgs)
      stops.push(() => replica.process().stop())
      return replica
    }
    const replicas: Replica[] = []
    for (const [at, state] of states.entries()) replicas.push(await start(state, at))
    let started = replicas.length
    const scene: Scene = {
      folder,
      issuer,
      replicas,
      add: (state) => start(state, started++),
      ask: asker(root, now),
      calls: callsOf(handbook),
      stop
    }
    await Promise.all(replicas.map((one) => one.whenReady()))
    return scene
  } catch (cause) {
    await stop()
    throw cause
  }
}

async function issuerOf(
  folder: string,
  stops: (() => Promise<unknown>)[],
  { pem, keyPem }: Authority,
  now: () => number
): Promise<DevIssuer> {
  // A socket's path is short, whatever folder the checkout lies in.
  const home = mkdtempSync(join(tmpdir(), 'vecauthz-'))
  symlinkSync(home, join(folder, 'issuer'))
  stops.push(async () => rmSync(home, { recursive: true, force: true }))
  const issuer = await startDevIssuer({
    folder: home,
    trustDomains: [TRUST_DOMAIN],
    roots: { [TRUST_DOMAIN]: { certPem: pem, keyPem } },
    entries: [GATEWAY_SERVER, GATEWAY_ENVOY, OPERATOR].map((id) => ({ id })),
    ttlMs: SVID_SECONDS * 1_000,
    environment: process.env,
    now,
    say: () => undefined
  })
  stops.push(issuer.close)
  return issuer
}

function policyDocument() {
  return {
    version: 1,
    trust_domains: [TRUST_DOMAIN],
    tenants: [{ id: 'acme' }, { id: 'globex' }],
    workloads: [{ spiffe_id: agent('*'), tenants: ['acme'], agent_type: 'fault' }],
    collections: [
      {
        database: 'demo',
        namespace: 'rag',
        names: [COLLECTION],
        tenancy: 'path',
        allow: [{ tenants: ['acme'], actions: ['search', 'observe'] }]
      }
    ],
    limits: { top_k: 200, queries: 4, records: 1_000, vectors_out: 'deny' },
    budget: { per_second: 1_000, burst: 10_000 },
    risk: { denials: { slowed: 1, step_up: 9, quarantine: 9 } }
  }
}

function settingsDocument(folder: string, issuer: DevIssuer, chromaUrl: string) {
  return {
    version: 1,
    role: 'gateway',
    listen: '127.0.0.1:0',
    health: '127.0.0.1:0',
    workload_api: issuer.socketOf(GATEWAY_SERVER),
    envoys: [GATEWAY_ENVOY],
    policy: join(folder, 'policy.yaml'),
    databases: [{ id: 'demo', kind: 'chroma', version: '1.5.9', authorities: [HOST], url: chromaUrl }],
    audit: { file: 'audit.jsonl' },
    admin: { listen: '127.0.0.1:0', operators: [OPERATOR] },
    risk: { folder: 'risk', standings_max_age_seconds: STALE_SECONDS },
    svid_ttl_seconds: SVID_SECONDS,
    bundle_max_age_seconds: 600,
    deadline_ms: 2_000
  }
}

async function startReplica(folder: string, settings: object, issuer: DevIssuer, nodeArgs: readonly string[]): Promise<Replica> {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const file = join(folder, 'vecauthz.yaml')
  // Paths that are relative to the settings are the replica's own.
  const audit = { file: join(folder, 'audit.jsonl') }
  writeFileSync(file, stringify({ ...settings, audit }))
  const tls = () => {
    const { chainPem: cert, keyPem: key } = issuer.issueX509(GATEWAY_ENVOY)
    // The authority may live at another time than this process.
    return { cert, key, ALPNProtocols: ['h2'], rejectUnauthorized: false }
  }
  let its = await startServerProcess(folder, file, nodeArgs)
  let session: Promise<ClientHttp2Session> | undefined
  const readiness = async () => {
    const answer = await fetch(`http://127.0.0.1:${its.healthPort}/readyz`).catch(() => undefined)
    return answer === undefined ? 'no answer' : (await answer.text()).trim()
  }
  return {
    name: folder.slice(folder.lastIndexOf('/') + 1),
    process: () => its,
    readiness,
    async whenReady() {
      const began = performance.now()
      for (let said = await readiness(); said !== 'ready'; said = await readiness()) {
        if (performance.now() - began > READY_MS_MAX) throw new Error(`${folder} is not ready: ${said}`)
        await sleep(POLL_MS)
      }
      return performance.now() - began
    },
    kill() {
      process.kill(its.pid, 'SIGKILL')
      session = undefined
    },
    async restart() {
      its = await startServerProcess(folder, file, nodeArgs)
    },
    reconnect() {
      // What is under way on the old one is still answered.
      void session?.then((old) => old.close()).catch(() => undefined)
      session = undefined
    },
    log: () => readFileSync(its.logFile, 'utf8'),
    session() {
      if (session !== undefined) return session
      const own = connected(its.port, tls(), () => {
        if (session === own) session = undefined
      })
      session = own
      return own
    }
  }
}

function connected(port: number, tls: object, onEnd: () => void): Promise<ClientHttp2Session> {
  const session = connect(`https://127.0.0.1:${port}`, tls)
  session.once('close', onEnd)
  // Connections end with age: what is asked from then on is asked over the next one.
  session.once('goaway', onEnd)
  return new Promise((resolve, reject) => {
    session.once('connect', () => resolve(session))
    // Whoever asks over it later is told by its stream.
    session.on('error', reject)
    session.once('close', () => reject(new Error('the connection was not taken')))
  })
}

const CHAIN_MS = SVID_SECONDS * 500

/** The agents' SVIDs are signed here, as the authority of the demo takes milliseconds for each. */
function asker(root: Authority, now: () => number): Scene['ask'] {
  let checks = 0
  const key = newKey('P-256')
  const chains = new Map<string, { readonly chain: string; readonly at: number }>()
  const chainOf = async (id: string) => {
    const known = chains.get(id)
    if (known !== undefined && Math.abs(now() - known.at) < CHAIN_MS) return known.chain
    const at = now()
    const { pem: chain } = await issueSvid(root, { id, key, notBefore: at - 10_000, notAfter: at + SVID_SECONDS * 1_000 })
    // Of a hundred thousand, few come back.
    if (chains.size < 2_000) chains.set(id, { chain, at })
    return chain
  }
  return async (replica, id, { method, target, body }) => {
    const check = checkOf({ method, target, ...(body && { body }), id: `fault-${++checks}`, asserted: { id, chainPem: await chainOf(id) } })
    const message = Buffer.from(CheckRequest.encode(check).finish())
    const began = performance.now()
    const once = async () => ask(await replica.session(), message)
    // As Envoy does it with what a server that goes away has not begun.
    const asked = once().catch((cause: Error) => (cause.message.includes('REFUSED_STREAM') ? once() : Promise.reject(cause)))
    const answer = await Promise.race([asked, sleep(ANSWER_MS_MAX, undefined, { ref: false })])
    if (answer === undefined) throw new Error(`no answer within ${ANSWER_MS_MAX / 1_000} s`)
    if (answer.length === 0) throw new Error('an answer without a verdict')
    const response = CheckResponse.decode(answer)
    const { standing } = (response.dynamicMetadata ?? {}) as { standing?: string }
    return { ...verdictOf(response, performance.now() - began).answer, standing }
  }
}

function callsOf(handbook: string): Calls {
  const target = collectionPath('acme', handbook, 'query')
  let pivots = 0
  return {
    look: { method: 'GET', target: namedPath('acme') },
    search: { method: 'POST', target, body: searchBody('acme') },
    showMuch: { method: 'POST', target, body: searchBody('acme', 0, { n_results: 150 }) },
    pivot: () => ({ method: 'GET', target: namedPath('globex', `pivot-${++pivots}`) })
  }
}

/** Pivots: the last answer is a no, and the workload quarantined by then. @throws Error when one is anything else */
export async function quarantine(scene: Scene, replica: Replica, id: string, pivots = 3): Promise<void> {
  for (let at = 0; at < pivots; at++) {
    const { reason } = await scene.ask(replica, id, scene.calls.pivot())
    if (reason !== 'tenant-not-allowed') throw new Error(`${id}: ${reason} instead of tenant-not-allowed`)
  }
}

/** Reason of the answer to a look, or `allow`; what is no answer is said as it is. */
export async function saidTo(scene: Scene, replica: Replica, id: string, call: Call = scene.calls.look): Promise<string> {
  const answer = await scene.ask(replica, id, call).catch((cause: Error) => cause)
  if (answer instanceof Error) return `no answer: ${answer.message}`
  return answer.status === 200 ? 'allow' : (answer.reason ?? `status ${answer.status}`)
}

/** How many of them are refused as quarantined. */
export async function heldOf(scene: Scene, replica: Replica, ids: readonly string[]): Promise<number> {
  let held = 0
  for (const id of ids) if ((await saidTo(scene, replica, id)) === 'quarantined') held++
  return held
}

/** Milliseconds until it holds; undefined: it did not in time. */
export async function until(holds: () => Promise<boolean> | boolean, msMax: number): Promise<number | undefined> {
  const began = performance.now()
  while (!(await holds())) {
    if (performance.now() - began > msMax) return undefined
    await sleep(POLL_MS)
  }
  return performance.now() - began
}
