#!/usr/bin/env node
/** `node bench/idle.ts [SECONDS]`: what a server costs that nobody asks, by where its state is: milliseconds of CPU per second. */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startRedis } from '../test/integration/support/redis.ts'
import { openScene } from './faults/scene.ts'
import { cpuMicros } from './load.ts'

const seconds = Number(process.argv[2] ?? '20')
/** Names, first checkpoints, and what else begins. */
const SETTLE_MS = 5_000
const folder = join(import.meta.dirname, '../.run/idle')

async function measure(name: string, state: object): Promise<void> {
  const scene = await openScene({ folder: join(folder, name), states: [state] })
  try {
    const [replica] = scene.replicas
    if (replica === undefined) return
    await sleep(SETTLE_MS)
    const { pid } = replica.process()
    const before = cpuMicros(pid)
    await sleep(seconds * 1_000)
    process.stdout.write(`${name.padEnd(8)} ${((cpuMicros(pid) - before) / 1_000 / seconds).toFixed(1)} ms of CPU per second\n`)
  } finally {
    await scene.stop()
  }
}

await measure('memory', { kind: 'memory' })
await measure('sqlite', { kind: 'sqlite', file: join(folder, 'sqlite/state.sqlite') })
const redis = await startRedis({ folder: join(folder, 'redis-data') })
await measure('redis', { kind: 'redis', url: redis.url })
await redis.stop()
