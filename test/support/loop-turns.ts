/**
 * How long the event loop was held at once, in CPU time of this thread: what others take of a busy machine is not counted, so that a
 * bound of milliseconds can be held in tests.
 */
import { setImmediate, setTimeout } from 'node:timers/promises'

/** @returns the longest, in ms */
export async function longestTurn(work: () => Promise<unknown>): Promise<number> {
  let [longest, done] = [0, false]
  const spent = () => {
    const { user, system } = process.threadCpuUsage()
    return (user + system) / 1000
  }
  const watch = async () => {
    for (let before = spent(); !done; ) {
      await setTimeout(1)
      const now = spent()
      longest = Math.max(longest, now - before)
      before = now
    }
  }
  const watching = watch()
  await setImmediate()
  await work()
  done = true
  await watching
  return longest
}
