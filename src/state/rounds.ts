/** Work that comes again and again: one round after the other, never two at once. */

export interface Rounds {
  readonly start: () => void
  /** No further one begins; resolves when the last one has ended. */
  readonly stop: () => Promise<void>
}

/**
 * @param round handles its own failures: it never rejects
 * @param waitMs between the end of one and the next; asked each time
 */
export function createRounds(round: () => Promise<void>, waitMs: () => number): Rounds {
  let timer: NodeJS.Timeout | undefined
  let [running, isStopped] = [Promise.resolve(), false]
  const next = () => {
    if (isStopped) return
    timer = setTimeout(() => {
      running = round().then(next)
    }, waitMs())
    timer.unref()
  }
  return {
    start: next,
    async stop() {
      isStopped = true
      clearTimeout(timer)
      await running
    }
  }
}
