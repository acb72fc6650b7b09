/** A real `vecauthz serve` with the audit settings of a campaign, asked over mTLS, and what its client keeps of the answers. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type ClientHttp2Session, connect } from 'node:http2'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { CheckResponse } from '@envoyproxy/protos/auth'
import { stringify } from 'yaml'
import { GATEWAY_ENVOY, GATEWAY_SERVER, HOST, INDEXER, SUPPORT, TRIALS, TRUST_DOMAIN } from '../demo/identities.ts'
import { endProcess, endsWithUs } from '../demo/process.ts'
import { type DevIssuer, startDevIssuer } from '../src/spire/dev-issuer.ts'
import { ask } from './load.ts'
import { createCalls, TWO } from './reload-calls.ts'

const SERVE_MS_MAX = 30_000
const TICK_MS = 10
const UNRECORDED = 'state-unavailable'

export interface AuditServer {
  readonly child: ChildProcess
  readonly session: ClientHttp2Session
  readonly log: () => string
  /** SIGTERM; gives the exit code. */
  readonly stop: () => Promise<number | null>
  readonly kill: () => Promise<void>
}

export interface ServerMore {
  /** In the place of those of the same name. */
  readonly settings?: object
  readonly policy?: string
  readonly environment?: Readonly<Record<string, string>>
  /** A module that is loaded before the server. */
  readonly preload?: string
}

export interface AuditStage {
  readonly folder: string
  readonly issuer: DevIssuer
  readonly bundleFile: string
  /** @param audit of the settings */
  readonly start: (audit: object, more?: ServerMore) => Promise<AuditServer>
  readonly close: () => Promise<void>
}

/** @param folder emptied first */
export async function openAuditStage(folder: string): Promise<AuditStage> {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  // A socket's path is short, whatever folder the checkout lies in.
  const home = mkdtempSync(join(tmpdir(), 'vecauthz-'))
  const entries = [GATEWAY_SERVER, GATEWAY_ENVOY, SUPPORT, INDEXER, TRIALS].map((id) => ({ id }))
  const issuer = await startDevIssuer({
    folder: home,
    trustDomains: [TRUST_DOMAIN],
    entries,
    ttlMs: 3_600_000,
    environment: process.env,
    say: () => undefined
  })
  const bundleFile = join(folder, 'bundle.pem')
  writeFileSync(bundleFile, issuer.bundlePem(TRUST_DOMAIN))
  const running: AuditServer[] = []
  return {
    folder,
    issuer,
    bundleFile,
    async start(audit, more = {}) {
      const server = await startServer(folder, issuer, audit, running.length, more)
      running.push(server)
      return server
    },
    async close() {
      for (const server of running) await server.kill()
      await issuer.close()
      rmSync(home, { recursive: true, force: true })
    }
  }
}

async function startServer(folder: string, issuer: DevIssuer, audit: object, number: number, more: ServerMore): Promise<AuditServer> {
  const at = (name: string) => join(folder, `${number}-${name}`)
  const [settingsFile, policyFile, logFile] = [at('vecauthz.yaml'), at('policy.yaml'), at('vecauthz.log')]
  const settings = {
    version: 1,
    role: 'gateway',
    listen: '127.0.0.1:0',
    workload_api: issuer.socketOf(GATEWAY_SERVER),
    envoys: [GATEWAY_ENVOY],
    policy: policyFile,
    databases: [{ id: 'demo', kind: 'chroma', version: '1.5.9', authorities: [HOST], url: 'http://127.0.0.1:1' }],
    audit,
    svid_ttl_seconds: 3600,
    bundle_max_age_seconds: 600,
    deadline_ms: 400,
    ...more.settings
  }
  writeFileSync(settingsFile, stringify(settings))
  writeFileSync(policyFile, more.policy ?? TWO[0].text)
  const log = openSync(logFile, 'a', 0o600)
  const main = join(import.meta.dirname, '../src/main.ts')
  const args = [...(more.preload === undefined ? [] : ['--import', more.preload]), main, 'serve', '--config', settingsFile]
  const child = spawn(process.execPath, args, { stdio: ['ignore', log, log], env: { ...process.env, ...more.environment } })
  closeSync(log)
  endsWithUs(child)
  const port = await portOf(child, logFile)
  const { chainPem: cert, keyPem: key } = issuer.issueX509(GATEWAY_ENVOY)
  const tls = { ca: issuer.bundlePem(TRUST_DOMAIN), cert, key, ALPNProtocols: ['h2'], checkServerIdentity: () => undefined }
  const session = connect(`https://127.0.0.1:${port}`, tls)
  // What is under way when the server goes is an answer that did not come.
  session.on('error', () => undefined)
  await once(session, 'connect')
  return {
    child,
    session,
    log: () => readFileSync(logFile, 'utf8'),
    async stop() {
      const code = await endProcess(child, 30_000)
      session.destroy()
      return code
    },
    async kill() {
      if (child.exitCode !== null || child.signalCode !== null) return session.destroy()
      const exited = once(child, 'exit')
      child.kill('SIGKILL')
      await exited
      session.destroy()
    }
  }
}

async function portOf(child: ChildProcess, logFile: string): Promise<number> {
  const until = performance.now() + SERVE_MS_MAX
  while (performance.now() < until && child.exitCode === null) {
    const line = readFileSync(logFile, 'utf8')
      .split('\n')
      .find((one) => one.includes('"msg":"serving"'))
    if (line !== undefined) return (JSON.parse(line) as { port: number }).port
    await sleep(25)
  }
  await endProcess(child, 1_000)
  throw new Error(`vecauthz did not start. End of ${logFile}:\n${readFileSync(logFile, 'utf8').slice(-2_000)}`)
}

export interface Ledger {
  /** Decision ids of the answers that must be on record: all but those that say that there was no room for one. */
  readonly ids: Map<string, number>
  /** Answers that there was no room for a record. */
  readonly unrecorded: () => number
  /** Calls that passed. */
  readonly allowed: () => number
  /** The rate that was really reached, requests a second. */
  readonly rate: () => number
}

export interface Load extends Ledger {
  readonly stop: () => Promise<void>
}

/** Asks at this rate until it is stopped; each answer is written into the ledger with its time, milliseconds since the epoch. */
export function startLoad({ session }: AuditServer, issuer: DevIssuer, rate: number): Load {
  const calls = createCalls((id) => issuer.issueX509(id).chainPem)
  const ids = new Map<string, number>()
  const under = new Set<Promise<void>>()
  let [unrecorded, allowed, answered, sent, stopped] = [0, 0, 0, 0, false]
  const one = async (at: number) => {
    const answer = await ask(session, calls(at).message).catch(() => undefined)
    if (answer === undefined || answer.length === 0) return
    answered++
    const { dynamicMetadata = {} } = CheckResponse.decode(answer)
    const { decision_id: id, verdict, reason } = dynamicMetadata as Record<string, string | undefined>
    if (reason === UNRECORDED) unrecorded++
    else if (id !== undefined) ids.set(id, Date.now())
    if (verdict === 'allow') allowed++
  }
  const began = performance.now()
  let ended = 0
  const running = (async () => {
    while (!stopped && !session.destroyed) {
      for (const due = ((performance.now() - began) * rate) / 1000; sent < due && !session.destroyed; ) {
        const asked = one(sent++)
        under.add(asked)
        void asked.finally(() => under.delete(asked))
      }
      await sleep(TICK_MS)
    }
    ended = performance.now()
    await Promise.all(under)
  })()
  return {
    ids,
    unrecorded: () => unrecorded,
    allowed: () => allowed,
    rate: () => (answered / ((ended || performance.now()) - began)) * 1000,
    stop() {
      stopped = true
      return running
    }
  }
}
