/** Policies swapped under load: a real `vecauthz serve`, asked over mTLS, its policy renamed into place as an operator would do it. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { type ClientHttp2Session, connect } from 'node:http2'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { CheckResponse } from '@envoyproxy/protos/auth'
import { stringify } from 'yaml'
import { GATEWAY_ENVOY, GATEWAY_SERVER, HOST, INDEXER, SUPPORT, TRIALS, TRUST_DOMAIN } from '../demo/identities.ts'
import { endProcess, endsWithUs } from '../demo/process.ts'
import { readArchived } from '../src/config/policy-archive.ts'
import { type DevIssuer, startDevIssuer } from '../src/spire/dev-issuer.ts'
import { ask } from './load.ts'
import type { LoopDelay } from './loop-delay.ts'
import { BAD, createCalls, largeSnapshot, type Snapshot, TWO } from './reload-calls.ts'

export interface ReloadOptions {
  readonly folder: string
  readonly swaps: number
  /** Requests a second. */
  readonly rate: number
  /** A bad file comes before each swap of this many. */
  readonly badEvery: number
  /** Tenants, workloads and collections of the large policy, which is loaded `largeTimes` times. */
  readonly large: readonly [tenants: number, workloads: number, collections: number]
  readonly largeTimes: number
  readonly say: (line: string) => void
}

export interface ReloadResult {
  readonly swaps: number
  readonly bad: number
  readonly answers: number
  /** What is not as it should be, in words; the first few. */
  readonly wrong: readonly string[]
  readonly wrongs: number
  /** From the rename to the first answer under it, milliseconds. */
  readonly seenAfter: { readonly median: number; readonly max: number }
  /** Of the three policies, how many the archive gives back. */
  readonly archived: number
  /** One for each time the large policy was loaded under load. */
  readonly whileCompiling: readonly LoopDelay[]
  /** The same time of the same load with nothing to compile. */
  readonly atRest: LoopDelay
}

const TICK_MS = 10
const SEEN_MS_MAX = 60_000
const SERVE_MS_MAX = 20_000
const WRONG_SHOWN = 10

interface Scene {
  readonly child: ChildProcess
  readonly logFile: string
  readonly policyFile: string
  readonly archive: string
  readonly session: ClientHttp2Session
  readonly issuer: DevIssuer
}

export async function reloadCampaign(options: ReloadOptions): Promise<ReloadResult> {
  rmSync(options.folder, { recursive: true, force: true })
  mkdirSync(options.folder, { recursive: true, mode: 0o700 })
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
  try {
    const scene = await startScene(issuer, options.folder)
    try {
      return await run(scene, options)
    } finally {
      scene.session.destroy()
      await endProcess(scene.child, 15_000)
    }
  } finally {
    await issuer.close()
    rmSync(home, { recursive: true, force: true })
  }
}

async function startScene(issuer: DevIssuer, folder: string): Promise<Scene> {
  const [policyFile, settingsFile, logFile] = ['policy.yaml', 'vecauthz.yaml', 'vecauthz.log'].map((name) => join(folder, name)) as [
    string,
    string,
    string
  ]
  const archive = join(folder, 'archive')
  const settings = {
    version: 1,
    role: 'gateway',
    listen: '127.0.0.1:0',
    workload_api: issuer.socketOf(GATEWAY_SERVER),
    envoys: [GATEWAY_ENVOY],
    policy: policyFile,
    policy_archive: archive,
    databases: [{ id: 'demo', kind: 'chroma', version: '1.5.9', authorities: [HOST], url: 'http://127.0.0.1:1' }],
    audit: { file: join(folder, 'audit.jsonl') },
    svid_ttl_seconds: 3600,
    bundle_max_age_seconds: 600,
    deadline_ms: 400
  }
  writeFileSync(settingsFile, stringify(settings))
  writeFileSync(policyFile, TWO[0].text)
  const log = openSync(logFile, 'a', 0o600)
  const preload = join(import.meta.dirname, 'loop-delay.ts')
  const main = join(import.meta.dirname, '../src/main.ts')
  const child = spawn(process.execPath, ['--import', preload, main, 'serve', '--config', settingsFile], {
    stdio: ['ignore', log, log, 'ipc']
  })
  closeSync(log)
  endsWithUs(child)
  const port = await portOf(child, logFile)
  const { chainPem: cert, keyPem: key } = issuer.issueX509(GATEWAY_ENVOY)
  const tls = { ca: issuer.bundlePem(TRUST_DOMAIN), cert, key, ALPNProtocols: ['h2'], checkServerIdentity: () => undefined }
  const session = connect(`https://127.0.0.1:${port}`, tls)
  await once(session, 'connect')
  return { child, logFile, policyFile, archive, session, issuer }
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

interface Tally {
  answers: number
  readonly wrong: string[]
  wrongs: number
  /** Revision to when it was last put into place and to when the first answer named it. */
  readonly seen: Map<string, number>
}

/** The load, which judges each answer by itself, and what it has seen. */
function startLoad({ session, issuer }: Scene, rate: number, known: ReadonlyMap<string, Snapshot>) {
  const calls = createCalls((id) => issuer.issueX509(id).chainPem)
  const tally: Tally = { answers: 0, wrong: [], wrongs: 0, seen: new Map() }
  const under = new Set<Promise<void>>()
  /** In force since before anything that is asked from now on. */
  let settled: string | undefined
  const complain = (words: string) => {
    tally.wrongs++
    if (tally.wrong.length < WRONG_SHOWN) tally.wrong.push(words)
  }
  const one = async (at: number) => {
    const { message, under: expected } = calls(at)
    const before = settled
    const answer = await ask(session, message).catch((cause: Error) => cause)
    if (answer instanceof Error) return complain(`no answer: ${answer.message}`)
    tally.answers++
    const { status, dynamicMetadata = {}, okResponse, deniedResponse } = CheckResponse.decode(answer)
    const { verdict, reason, policy_revision: revision } = dynamicMetadata as Record<string, string | undefined>
    const by = known.get(revision ?? '')
    if (verdict === undefined || status === undefined || (okResponse === undefined) === (deniedResponse === undefined))
      return complain('no verdict')
    if (by === undefined) return complain(`revision ${revision} was never good`)
    if (!tally.seen.has(by.revision)) tally.seen.set(by.revision, performance.now())
    if (before !== undefined && before === settled && before !== revision)
      complain(`asked under ${before.slice(0, 8)}, answered under ${revision?.slice(0, 8)}`)
    const said = verdict === 'allow' ? 'allow' : reason
    const allowed = status.code === 0 && okResponse !== undefined
    if (said !== expected[by.says] || allowed !== (said === 'allow')) complain(`${said}, and ${by.says} says ${expected[by.says]}`)
  }
  let [sent, stopped] = [0, false]
  const began = performance.now()
  const running = (async () => {
    while (!stopped) {
      for (const due = ((performance.now() - began) * rate) / 1000; sent < due; ) {
        const asked = one(sent++)
        under.add(asked)
        void asked.finally(() => under.delete(asked))
      }
      await sleep(TICK_MS)
    }
    await Promise.all(under)
  })()
  return {
    tally,
    /** @param revision of what is the only policy in force; undefined while one takes the place of another */
    settle: (revision: string | undefined) => {
      settled = revision
    },
    stop: () => {
      stopped = true
      return running
    }
  }
}

async function run(scene: Scene, { swaps, rate, badEvery, large, largeTimes, say }: ReloadOptions): Promise<ReloadResult> {
  const great = largeSnapshot(...large)
  const load = startLoad(scene, rate, new Map([...TWO, great].map((one) => [one.revision, one])))
  const { tally, settle } = load
  const times: number[] = []
  let bad = 0
  const swap = async (to: Snapshot) => {
    tally.seen.delete(to.revision)
    settle(undefined)
    put(scene, to.text)
    const began = performance.now()
    while (!tally.seen.has(to.revision)) {
      if (performance.now() - began > SEEN_MS_MAX) throw new Error(`a policy was not in force after ${SEEN_MS_MAX / 1000} s`)
      await sleep(1)
    }
    settle(to.revision)
    return (tally.seen.get(to.revision) ?? 0) - began
  }
  await sleep(1_500)
  await askDelay(scene)
  await sleep(2_000)
  const atRest = await askDelay(scene)
  for (let at = 0; at < swaps; at++) {
    if (at % badEvery === 0) {
      // What is settled stays settled: the load complains if it does not.
      const before = refusals(scene)
      put(scene, BAD[bad++ % BAD.length] ?? '')
      while (refusals(scene) === before) await sleep(20)
    }
    times.push(await swap(TWO[(at + 1) % 2] as Snapshot))
    if ((at + 1) % 100 === 0) say(`${at + 1} swaps, ${tally.answers} answers, ${tally.wrongs} wrong`)
  }
  const whileCompiling: LoopDelay[] = []
  for (let at = 0; at < largeTimes; at++) {
    await swap(TWO[at % 2] as Snapshot)
    await askDelay(scene)
    await swap(great)
    whileCompiling.push(await askDelay(scene))
  }
  await load.stop()
  const sorted = times.toSorted((a, b) => a - b)
  const seenAfter = { median: sorted[Math.floor(sorted.length / 2)] ?? Number.NaN, max: sorted.at(-1) ?? Number.NaN }
  const archived = [...TWO, great].filter(({ revision }) => readArchived(scene.archive, revision).ok).length
  return { swaps, bad, archived, answers: tally.answers, wrong: tally.wrong, wrongs: tally.wrongs, seenAfter, whileCompiling, atRest }
}

/** All of it at once, as a deployment does it. */
function put({ policyFile }: Scene, text: string): void {
  writeFileSync(`${policyFile}.new`, text)
  renameSync(`${policyFile}.new`, policyFile)
}

function refusals({ logFile }: Scene): number {
  return readFileSync(logFile, 'utf8').split('the new file is not used').length - 1
}

async function askDelay({ child }: Scene): Promise<LoopDelay> {
  const answer = once(child, 'message')
  child.send('delay')
  const [delay] = await answer
  return delay as LoopDelay
}
