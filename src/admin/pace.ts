/** How often one identity may do something, in windows, so that nothing of one outlives it. */
export interface PaceWindow {
  readonly windowMs: number
  readonly most: number
}

/** @returns whether it may once more; what is refused counts in no longer window */
export function createPace(windows: readonly PaceWindow[]): (id: string, now: number) => boolean {
  const kept = windows.map((window) => ({ ...window, current: Number.NaN, done: new Map<string, number>() }))
  return (id, now) => {
    for (const one of kept) {
      const current = Math.floor(now / one.windowMs)
      if (current !== one.current) one.done.clear()
      one.current = current
      const count = (one.done.get(id) ?? 0) + 1
      if (count > one.most) return false
      one.done.set(id, count)
    }
    return true
  }
}
