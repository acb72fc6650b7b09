/**
 * Preloaded into a server (`node --import`): how long its event loop was held, for whoever started it. Twice: by the clock, which counts
 * what others took of a busy machine, and by the CPU time of the loop's own thread, which does not.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { isMainThread } from 'node:worker_threads'

/** Answer to any message, about the time since the one before. Milliseconds. */
export interface LoopDelay {
  readonly max: number
  readonly p99: number
  /** Longest turn in CPU time. */
  readonly cpuMax: number
}

const NANOS = 1e6
const EVERY_MS = 1

if (isMainThread && process.send !== undefined) {
  const histogram = monitorEventLoopDelay({ resolution: EVERY_MS })
  histogram.enable()
  const spent = () => {
    const { user, system } = process.threadCpuUsage()
    return (user + system) / 1000
  }
  let [before, cpuMax] = [spent(), 0]
  setInterval(() => {
    const now = spent()
    cpuMax = Math.max(cpuMax, now - before)
    before = now
  }, EVERY_MS).unref()
  process.on('message', () => {
    // What the histogram holds is the time between two of its ticks: one that is on time has taken its resolution.
    const delay = { max: histogram.max / NANOS - EVERY_MS, p99: histogram.percentile(99) / NANOS - EVERY_MS, cpuMax }
    process.send?.(delay satisfies LoopDelay)
    histogram.reset()
    cpuMax = 0
  })
  process.channel?.unref()
}
