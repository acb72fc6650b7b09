/** Work that comes again and again: one round after the other, never two at once. */

export interface Rounds {
  readonly start: () => void
  /** There is something to do: the next round comes after its time, if none is on its way. Costs nothing when one is. */
  readonly wake: () => void
  /** No further one begins; resolves when the last one has ended. */
  readonly stop: () => Promise<void>
}

/**
 * @param round handles its own failures: it never rejects
 * @param waitMs between the end of one and the next, asked each time; undefined: none until it is woken, as a timer that finds nothing to
 * do is most of what an idle process costs
 */
export function createRounds(round: () => Promise<void>, waitMs: () => number | undefined): Rounds {
  let timer: NodeJS.Timeout | undefined
  let [running, isAsleep, isStopped] = [Promise.resolve(), false, false]
  // Before the start, and after the end, nothing is to be woken.
  const next = () => {
    const ms = waitMs()
    isAsleep = ms === undefined
    if (ms === undefined) return
    timer = setTimeout(() => {
      running = round().then(() => {
        if (!isStopped) next()
      })
    }, ms)
    timer.unref()
  }
  return {
    start: next,
    wake() {
      if (isAsleep) next()
    },
    async stop() {
      isStopped = true
      isAsleep = false
      clearTimeout(timer)
      await running
    }
  }
}
