#!/usr/bin/env node
/**
 * `npm run bench`: what a decision costs, as ratios within one run. CPU is the server process's own, from the kernel's accounting;
 * every server speaks gRPC over mTLS and gets the same bytes. Exits 1 when a lane costs more than its limit × a bare grpc-js server.
 */
import { spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { CheckResponse } from '@envoyproxy/protos/auth'
import { GATEWAY_ENVOY, GATEWAY_SERVER, INDEX_ENVOY, SUPPORT, TRUST_DOMAIN } from '../demo/identities.ts'
import { type Pair, startPair } from '../demo/pair.ts'
import { type Stack, startStack } from '../demo/stack.ts'
import { collectionPath } from '../demo/step.ts'
import { measureLatency } from './latency.ts'
import { ask, cpuPerCheck, median, type Target, type Tls, withSession } from './load.ts'
import { BODIES, type SearchMessage, searchMessages } from './messages.ts'
import { measureOpa } from './opa.ts'

/** Most that a decision of a role may cost, × a bare grpc-js server, at the size that the aims were set with. */
const RATIO_MAX = { gateway: 1.6, egress: 2, index: 2.7 }
/** Some 18 kB of JSON. */
const REFERENCE_DIMENSIONS = 1536
/** Sizes of the question. With a smaller one the same work is a larger share: it is shown, and not judged. */
const DIMENSIONS = [384, REFERENCE_DIMENSIONS]
/** What the others are measured against. */
const BASE = 'grpc'
const ROUNDS = 5
const CHECKS = 6_000
const FOLDER = join(import.meta.dirname, '../.run/bench')

const say = (line: string) => process.stdout.write(`${line}\n`)
process.exitCode = await main()

async function main(): Promise<number> {
  say(
    `node ${process.version}, ${cpus().length} × ${cpus()[0]?.model ?? 'unknown CPU'}; ${ROUNDS} rounds of ${CHECKS} checks, median (min to max)`
  )
  const policy = (document: { budget: object }) => {
    document.budget = { per_second: 100_000, burst: 1_000_000 }
  }
  const stack = await startStack({ folder: FOLDER, say: () => undefined, policy })
  const bare = await startBare(stack)
  // The pair's own processes and Envoys come last, so that they are no burden on the gateway's figures.
  let pair: Pair | undefined
  try {
    say('\nCPU of the server process per check, microseconds')
    const faults = await measureDecisions(stack, bare, gatewayLanes)
    await measureLatency(stack, say)
    pair = await startPair(stack, { say: () => undefined })
    say('\nThe pair')
    faults.push(...(await measureDecisions(stack, bare, pairLanes(pair))))
    for (const fault of faults) say(fault)
    return faults.length === 0 ? 0 : 1
  } finally {
    for (const one of Object.values(bare)) one.stop()
    await pair?.stop()
    await stack.stop()
  }
}

interface BareServer extends Target {
  readonly stop: () => void
}

async function startBare(stack: Stack): Promise<{ grpc: BareServer; http2: BareServer }> {
  const { cert, key } = stack.credentials(GATEWAY_SERVER, 3_600_000)
  const folder = join(FOLDER, 'bare')
  mkdirSync(folder, { mode: 0o700 })
  const files = { key: join(folder, 'key.pem'), cert: join(folder, 'cert.pem'), ca: join(folder, 'ca.pem') }
  writeFileSync(files.key, key, { mode: 0o600 })
  writeFileSync(files.cert, cert)
  writeFileSync(files.ca, stack.issuer.bundlePem(TRUST_DOMAIN))
  const start = async (kind: string): Promise<BareServer> => {
    const child = spawn(process.execPath, [join(import.meta.dirname, 'bare-server.ts'), kind, files.key, files.cert, files.ca], {
      stdio: ['ignore', 'pipe', 'inherit']
    })
    const port = await new Promise<number>((resolve, reject) => {
      child.once('exit', (code) => reject(new Error(`the bare ${kind} server ended with ${code}`)))
      child.stdout.once('data', (line: Buffer) => resolve((JSON.parse(line.toString()) as { port: number }).port))
    })
    child.removeAllListeners('exit')
    process.once('exit', () => child.kill('SIGKILL'))
    return { pid: child.pid ?? 0, port, stop: () => child.kill('SIGKILL') }
  }
  return { grpc: await start('grpc'), http2: await start('http2') }
}

/** One server under measurement, and what its Envoy sends it. */
interface Lane {
  readonly name: string
  readonly server: Target
  /** Of the Envoy that asks. */
  readonly tls: Tls
  /** Asked for before each round, since policy tokens end. */
  readonly messages: () => Promise<(at: number) => Buffer>
  readonly expect: (answer: Buffer) => void
  /** Most that it may cost; undefined for what is only shown. */
  readonly limit?: number | undefined
}

/** What is asked at one size, and by whom. */
interface Question {
  readonly stack: Stack
  readonly search: SearchMessage
  /** As the gateway's Envoy asks it. */
  readonly messages: () => Promise<(at: number) => Buffer>
  readonly tls: Tls
}

function gatewayLanes({ stack, messages, tls }: Question): readonly Lane[] {
  return [{ name: 'gateway', server: stack.server, tls, messages, expect: mustAllow, limit: RATIO_MAX.gateway }]
}

function pairLanes({ egress, indexes }: Pair): (question: Question) => readonly Lane[] {
  return ({ stack, search, tls: { ca } }) => {
    const own = { ...stack.credentials(SUPPORT, 3_600_000), ca }
    const plain = searchMessages({ ...search, certPem: undefined })
    const ofIndex = { ...stack.credentials(INDEX_ENVOY, 3_600_000), ca }
    const vouched = async () => searchMessages(search, await tokensFor(egress, own, plain))
    return [
      { name: 'egress', server: egress, tls: own, messages: async () => plain, expect: mustAllow, limit: RATIO_MAX.egress },
      { name: 'index', server: indexes[0], tls: ofIndex, messages: vouched, expect: mustAllow, limit: RATIO_MAX.index }
    ]
  }
}

/** A sentence for each lane over its limit. */
async function measureDecisions(
  stack: Stack,
  bare: { grpc: Target; http2: Target },
  lanesOf: (question: Question) => readonly Lane[]
): Promise<string[]> {
  const tls = { ...stack.credentials(GATEWAY_ENVOY, 3_600_000), ca: stack.issuer.bundlePem(TRUST_DOMAIN) }
  const agent = stack.credentials(SUPPORT, 3_600_000)
  const target = collectionPath('acme', stack.collections['acme'] ?? '', 'query')
  const faults: string[] = []
  for (const dimensions of DIMENSIONS) {
    const search = { certPem: agent.cert, principal: SUPPORT, target, dimensions }
    const message = searchMessages(search)
    const messages = () => Promise.resolve(message)
    const ofBare = { tls, messages, expect: () => undefined }
    const lanes: readonly Lane[] = [
      { name: 'http2', server: bare.http2, ...ofBare },
      { name: BASE, server: bare.grpc, ...ofBare },
      ...lanesOf({ stack, search, messages, tls })
    ]
    const results = await measureLanes(lanes)
    for (const lane of lanes) {
      const judged = dimensions === REFERENCE_DIMENSIONS ? lane : { ...lane, limit: undefined }
      faults.push(...showLane(judged, `${dimensions} dims, ${message(0).length} B`, results))
    }
    if (results.has('gateway')) await showOpa(dimensions, message, median(results.get('gateway') ?? []))
  }
  return faults
}

/** A policy token for each body, from the egress server itself. */
async function tokensFor(egress: Target, tls: Tls, message: (at: number) => Buffer): Promise<string[]> {
  return withSession(egress, tls, async (session) => {
    const tokens: string[] = []
    for (let at = 0; at < BODIES; at++) {
      const { okResponse } = CheckResponse.decode(await ask(session, message(at)))
      tokens.push(okResponse?.headers.find(({ header }) => header?.key === 'x-vecauthz-policy-token')?.header?.value ?? '')
    }
    return tokens
  })
}

/** Microseconds of each round, by the name of the lane. */
async function measureLanes(lanes: readonly Lane[]): Promise<ReadonlyMap<string, readonly number[]>> {
  const results = new Map(lanes.map(({ name }) => [name, [] as number[]]))
  // In turn within each round, so that a slow moment of the machine falls on all of them.
  // The round before the first is not counted: the compiler is still at work on servers that just started.
  for (let round = -1; round < ROUNDS; round++) {
    for (const { name, server, tls, messages, expect } of lanes) {
      const micros = await cpuPerCheck(server, tls, CHECKS, await messages(), expect)
      if (round >= 0) results.get(name)?.push(micros)
    }
  }
  return results
}

function showLane({ name, limit }: Lane, size: string, results: ReadonlyMap<string, readonly number[]>): string[] {
  const [values = [], base = []] = [results.get(name), results.get(BASE)]
  const numbers = `${median(values).toFixed(1).padStart(6)} (${Math.min(...values).toFixed(1)} to ${Math.max(...values).toFixed(1)})`
  // Pairs of one round, so that a machine that drifts moves both.
  const ratio = median(values.map((one, round) => one / (base[round] ?? Number.NaN)))
  const most = limit === undefined ? '' : `, at most ${limit.toFixed(1)}`
  say(`  ${size}  ${name.padEnd(8)} ${numbers}  ${ratio.toFixed(2)} × bare grpc-js${most}`)
  if (limit === undefined || ratio <= limit) return []
  return [`TOO SLOW: ${name}, ${size}, costs ${ratio.toFixed(2)} × the bare server, at most ${limit} is allowed`]
}

async function showOpa(dimensions: number, message: (at: number) => Buffer, gateway: number): Promise<void> {
  const values = await measureOpa(join(FOLDER, 'opa'), Math.floor(CHECKS / 3), ROUNDS, message)
  if (values === undefined) {
    say('  opa-envoy-plugin is not on PATH: left out')
    return
  }
  const middle = median(values)
  say(`  ${dimensions} dims  opa-envoy-plugin ${middle.toFixed(1)} (plaintext); the gateway costs ${(gateway / middle).toFixed(2)} × that`)
}

/** A bench of denials would be a bench of nothing. */
function mustAllow(answer: Buffer): void {
  const response = CheckResponse.decode(answer)
  if (response.status?.code !== 0 || response.okResponse === undefined)
    throw new Error(`a check was denied: ${response.deniedResponse?.body ?? 'without a body'}`)
}
