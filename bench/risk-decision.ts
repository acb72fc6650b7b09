#!/usr/bin/env node
/**
 * `node bench/risk-decision.ts [ROUNDS]`: what risk adds to a whole decision, from CheckRequest bytes to verdict bytes, for searches with one
 * vector of 1536 dimensions: standing, budgets, drift, exposure, the order of calls and two monitored figures. Microseconds of CPU of
 * the thread; the median of differences between rounds that follow each other, and their quartiles. Exits 1 when the lower one is over the target.
 */
import { cpus } from 'node:os'
import { createDecider } from '../src/envoy/decide.ts'
import { startKernel } from '../src/risk/kernel-wasm.ts'
import { readySequence } from '../src/risk/sequence.ts'
import { newSequenceModel } from '../src/risk/sequence-model.ts'
import { createRisk } from '../src/risk-stage.ts'
import { createMemory } from '../src/state/memory.ts'
import { createStandings } from '../src/state/standings.ts'
import type { World } from '../src/world.ts'
import { callsOf, learntFrom, worldOf } from '../test/risk/drift-material.ts'
import { envoyPem, issueSvid } from '../test/support/ca.ts'
import { checkRequest } from '../test/support/check-request.ts'
import { testLearnt } from '../test/support/learnt.ts'
import { POLICY, policyOf } from '../test/support/policy.ts'
import { HANDBOOK, testWorld } from '../test/support/world.ts'
import { median } from './load.ts'

const TARGET_US = 12
const DIMENSIONS = 1536
const CALLS = 500
/** Of them, in a round: the clock of CPU time has coarse ticks. */
const PASSES = 6
const WARM_UP = 2
const ID = '0000000000000000000'
const FROM = Date.UTC(2026, 10, 21)
const ENVOY = { ok: true, id: 'spiffe://demo.vecauthz.test/envoy/gateway' } as const
const SUPPORT = 'spiffe://demo.vecauthz.test/acme/support'
/** Wide enough that nothing is ever refused. */
const TEXT = `${POLICY.replace('acme/support\n    tenants: [acme]', 'acme/support\n    tenants: [acme]\n    agent_type: support')}`.replace(
  'budget: { per_second: 10, burst: 30 }',
  'budget: { per_second: 100000, burst: 1000000 }'
)
const RULES = `monitoring:
  - { metric: request_rate, window_seconds: 60, threshold: 100000000, action: slow }
  - { metric: top_k_mean, window_seconds: 60, threshold: 100000000, action: slow }
`

interface Subject {
  readonly decide: (at: number) => void
  readonly refused: () => number
}

async function subjects(): Promise<readonly [Subject, Subject]> {
  const test = await testWorld()
  const svid = await issueSvid(test.root, { id: SUPPORT, notBefore: FROM - 60_000, notAfter: FROM + 365 * 86_400_000 })
  const material = worldOf(DIMENSIONS, 2)
  const { readies } = learntFrom(material, 60, startKernel())
  const calls = callsOf(material, 0, 200, 77).slice(0, CALLS)
  const certificate = envoyPem(svid.chain[0] as Uint8Array)
  const messages = calls.map(({ vectors }) => {
    const [vector = new Float32Array()] = vectors
    const length = Math.hypot(...vector)
    const body = JSON.stringify({ query_embeddings: [Array.from(vector, (value) => value / length)], n_results: 10 })
    const path = `/api/v2/tenants/acme/databases/rag/collections/${HANDBOOK}/query`
    return checkRequest({ id: ID, certificate, principal: svid.id, path, body })
  })
  const [own] = readies
  if (own === undefined) throw new Error('no baseline')
  const model = newSequenceModel()
  model.frozen = true
  const { learnt } = testLearnt({ baselines: new Map([['support demo/rag/handbook', own]]), daily: 1e9, sequence: readySequence(model) })
  let now = FROM
  const standings = createStandings({
    store: undefined,
    run: 'bench',
    now: () => now,
    tick: () => now,
    onMove: () => undefined,
    onTrouble: () => undefined
  })
  const risk = createRisk({ standings, learnt, shared: false, staleMsMax: 5_000, onFinding: () => undefined })
  const policy = policyOf(TEXT + RULES)
  const subject = (world: World): Subject => {
    let [ids, refused] = [0, 0]
    const decider = createDecider({
      now: () => now,
      tick: () => 0,
      newDecisionId: () => 'aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee',
      world: () => world,
      credentials: () => undefined,
      record: ({ decision }) => {
        if (decision.verdict === 'deny') refused++
        return true
      },
      onFault: () => refused++,
      deadlineMs: 1_000,
      pendingMax: 10
    })
    return {
      refused: () => refused,
      decide(at) {
        // The same calls come round and round, which in the end is no honest rhythm.
        if (at % messages.length === 0) risk.clear(SUPPORT)
        const round = Math.floor(at / messages.length)
        now = FROM + round * 25_200_000 + (calls[at % messages.length]?.at ?? 0)
        const message = Buffer.from(messages[at % messages.length] as Buffer)
        message.write(String(++ids).padStart(ID.length, '0'), message.indexOf(ID), 'latin1')
        decider.decide(message, ENVOY)
      }
    }
  }
  const world = { ...test.world, policy, memory: createMemory() }
  return [subject(world), subject({ ...world, memory: createMemory(), risk })]
}

function cpuMicros(): number {
  const { user, system } = process.threadCpuUsage()
  return user + system
}

function timed({ decide }: Subject, from: number): number {
  const began = cpuMicros()
  for (let at = 0; at < PASSES * CALLS; at++) decide(from + at)
  return (cpuMicros() - began) / (PASSES * CALLS)
}

async function main(args: readonly string[]): Promise<number> {
  const rounds = Number(args[0] ?? 30)
  if (args.length > 1 || !Number.isInteger(rounds) || rounds < 1) {
    process.stderr.write('node bench/risk-decision.ts [ROUNDS]: what risk adds to a whole decision\n')
    return 2
  }
  const [without, withRisk] = await subjects()
  const [plain, more]: [number[], number[]] = [[], []]
  for (let round = -WARM_UP; round < rounds; round++) {
    const from = (round + WARM_UP) * PASSES * CALLS
    const [one, other] = [timed(without, from), timed(withRisk, from)]
    if (round < 0) continue
    plain.push(one)
    more.push(other - one)
  }
  const sorted = [...more].sort((a, b) => a - b)
  const [least = 0, most = 0] = [0.25, 0.75].map((share) => sorted[Math.floor(share * sorted.length)])
  const isSlow = least > TARGET_US
  process.stdout.write(
    `node ${process.version}, ${cpus().length} × ${cpus()[0]?.model ?? 'unknown CPU'}; ${rounds} rounds of ${PASSES * CALLS} calls\n` +
      `a decision without risk   ${median(plain).toFixed(1)} µs\n` +
      `what risk adds            ${median(more).toFixed(1)} µs (${least.toFixed(1)} to ${most.toFixed(1)}), at most ${TARGET_US}${isSlow ? '  TOO SLOW' : ''}\n` +
      `refused                   ${without.refused() + withRisk.refused()}\n`
  )
  return isSlow || without.refused() + withRisk.refused() > 0 ? 1 : 0
}

process.exitCode = await main(process.argv.slice(2))
