/** Learns, freezes and saves where no file may grow: `node baseline-keeper.ts FOLDER`. Says what came of it as one line of JSON. */
import { writeSync } from 'node:fs'
import { openBaselines } from '../../src/learning/baselines.ts'
import { startKernel } from '../../src/risk/kernel-wasm.ts'
import { callsOf, worldOf } from '../risk/drift-material.ts'

// As a disk that is full: the write fails, and nothing else happens.
process.on('SIGXFSZ', () => undefined)

const [folder = ''] = process.argv.slice(2)
const key = { tenant: 'acme', agentType: 'support', collection: 'demo/docs' }
const by = { by: 'spiffe://demo.vecauthz.test/ops/ann', reason: 'a drill', now: 5_000 }
const troubles: string[] = []
const baselines = await openBaselines({
  folder,
  owner: 'one',
  kernel: startKernel(),
  freezeAfterBursts: 40,
  approveByItself: false,
  now: () => 4_000,
  onTrouble: (because) => void troubles.push(because),
  onFrozen: () => undefined
})
const judgedBefore = baselines.book.of(key, 'dense', 96) !== undefined
const other = { ...key, agentType: 'finance' }
for (const call of callsOf(worldOf(96, 1), 0, 20, 7)) baselines.book.learn(other, 'spiffe://demo.vecauthz.test/acme/finance', call)
const frozen = await baselines.freeze(other, by)
const reset = await baselines.reset(key, by)
await baselines.round()
const judgedAfter = baselines.book.of(key, 'dense', 96) !== undefined
const learnt = baselines.list().find((row) => row.key.agentType === 'finance')?.progress?.bursts
await baselines.stop()
writeSync(1, `${JSON.stringify({ frozen, reset, judgedBefore, judgedAfter, learnt, troubles })}\n`)
