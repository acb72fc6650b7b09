#!/usr/bin/env node
/**
 * `node bench/drift.ts`: what drift costs per query beyond reading the vector, by dimension and kernel, and how much is kept per
 * baseline and workload. Exits 1 when the 1536-dimensional query is over its target.
 */
import { cpus } from 'node:os'
import { DRIFT_THRESHOLDS, type DriftCall } from '../src/core/drift.ts'
import { baselineBytes, exportBaseline } from '../src/risk/drift-baseline.ts'
import { diceOf } from '../src/risk/drift-cluster.ts'
import { backgroundOf, freeze } from '../src/risk/drift-freeze.ts'
import { learn, newDraft } from '../src/risk/drift-learn.ts'
import { newDriftState, observe } from '../src/risk/drift-observe.ts'
import { prepare, readyBytes } from '../src/risk/drift-ready.ts'
import { newRings } from '../src/risk/drift-rings.ts'
import { readySpace } from '../src/risk/drift-sketch.ts'
import { fitSpace } from '../src/risk/drift-space.ts'
import { newExposure, spend } from '../src/risk/exposure.ts'
import { type Kernel, plainKernel } from '../src/risk/kernel.ts'
import { startKernel } from '../src/risk/kernel-wasm.ts'
import { median } from './load.ts'

const TARGET_MICROSECONDS = 10
const QUERIES = 2000
const ROUNDS = 15
const TOPICS = 12

const say = (line: string) => process.stdout.write(`${line}\n`)

/** Queries near one of some topics, in bursts of eight. */
function callsOf(dimensions: number, seed: number): DriftCall[] {
  const dice = diceOf(seed)
  const next = () => 2 * dice() - 1
  const vector = (near?: Float32Array) => Float32Array.from({ length: dimensions }, (_, at) => next() + 2 * (near?.[at] ?? 0))
  const topics = Array.from({ length: TOPICS }, () => vector())
  return Array.from({ length: QUERIES }, (_, at) => ({
    vectors: [vector(topics[Math.floor(at / 8) % TOPICS])],
    at: Math.floor(at / 8) * 300_000 + (at % 8) * 400
  }))
}

function readyFor(dimensions: number, kernel: Kernel) {
  const drafts = [1, 2, 3, 4, 5, 6].map((seed) => {
    const draft = newDraft({ tenant: 'acme', agentType: `agent-${seed}`, collection: 'docs' }, { form: 'dense', dimensions, seed: 7 })
    for (const call of callsOf(dimensions, seed).slice(0, 800)) learn(draft, 'workload', call)
    return draft
  })
  const space = readySpace(fitSpace(drafts, 'space'))
  const baselines = drafts.map((draft, at) => freeze(draft, { space, version: `v${at}`, frozenAt: 0, seed: 1, kernel }))
  const background = backgroundOf(baselines.slice(1), kernel)
  const [draft] = drafts as [(typeof drafts)[0]]
  const started = performance.now()
  const baseline = freeze(draft, { space, background, version: 'own', frozenAt: 0, seed: 1, kernel })
  return { ready: prepare(baseline, space, background, kernel), freezeMs: performance.now() - started }
}

/** Microseconds of CPU per query: median over rounds. */
function measure(dimensions: number, kernel: Kernel): number {
  const { ready, freezeMs } = readyFor(dimensions, kernel)
  const calls = callsOf(dimensions, 1)
  let alarms = 0
  const costs = Array.from({ length: ROUNDS }, () => {
    const state = newDriftState(true)
    const exposure = newExposure()
    const started = process.cpuUsage()
    for (const call of calls) {
      const { cells, unseen, tier } = observe(ready, state, call, DRIFT_THRESHOLDS).verdict
      if (tier !== 'normal') alarms++
      spend(exposure, { cells, unseen, topK: 5, vectorsOut: false, weight: 1 }, 1e9, call.at)
    }
    const { user, system } = process.cpuUsage(started)
    return (user + system) / QUERIES
  })
  const microseconds = median(costs)
  const state = newDriftState(true)
  const single = calls.map((call) => {
    const started = performance.now()
    observe(ready, state, call, DRIFT_THRESHOLDS)
    return (performance.now() - started) * 1000
  })
  const p99 = single.sort((a, b) => a - b)[Math.floor(0.99 * QUERIES)] ?? 0
  say(
    `  ${kernel.kind.padEnd(6)} ${String(dimensions).padStart(5)} dimensions: ${microseconds.toFixed(1).padStart(5)} µs a query, p99 ${p99.toFixed(0)} µs; ` +
      `${Math.round((100 * alarms) / QUERIES / ROUNDS)} % with causes named; freezing ${ready.baseline.counts.queries} queries ${freezeMs.toFixed(0)} ms`
  )
  if (dimensions === 1536 && kernel.kind === 'simd') {
    const { evidence } = newDriftState()
    const rings = newRings()
    const local = rings.rows.byteLength + rings.scales.byteLength + rings.digests.byteLength
    say(
      `  state: baseline ${baselineBytes(ready.baseline)} B (exported ${exportBaseline(ready.baseline).length} characters, ready ${readyBytes(ready)} B); ` +
        `workload: evidence ${evidence.base.byteLength + evidence.logs.byteLength + 6 * 8} B, visited ${newExposure().visited.byteLength} B, rings ${local} B`
    )
  }
  return microseconds
}

say(`node ${process.version}, ${cpus().length} × ${cpus()[0]?.model ?? 'unknown CPU'}; ${ROUNDS} rounds of ${QUERIES} queries, median`)
const simd = startKernel()
const costs = [384, 768, 1536].map((dimensions) => measure(dimensions, simd))
measure(1536, plainKernel())
const cost = costs.at(-1) as number
if (simd.kind === 'simd' && cost > TARGET_MICROSECONDS) {
  say(`  TOO SLOW: ${cost.toFixed(1)} µs, at most ${TARGET_MICROSECONDS}`)
  process.exitCode = 1
}
