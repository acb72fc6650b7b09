/** The store of one process: answers at once, and forgets with the process. */
import { type ListedEntry, STORE_LIST_MAX, type Store } from '../core/store.ts'
import { endFault, entriesMax, KEPT_AFTER_MS, type StoreBounds, textsFault, timesFault, unavailable } from './store-faults.ts'

interface Entry {
  value: string
  until: number
  /** It was seen to be over. */
  over: boolean
}

/** Looked at for each put, in turn: more than are added, so that what is over does not gather. */
const SWEPT_PER_PUT = 4
/** Looked at when there is no room: a millisecond's work at most. */
const SWEPT_WHEN_FULL = 5_000

/** @param begun when the process began to remember, milliseconds since the epoch */
export function createMemoryStore({ begun = Date.now(), ...bounds }: StoreBounds & { readonly begun?: number } = {}): Store {
  const most = entriesMax(bounds)
  const entries = new Map<string, Entry>()
  const sweep = createSweep(entries)
  let closed = false

  const live = (at: string, now: number): Entry | undefined => {
    const entry = entries.get(at)
    if (entry !== undefined && entry.until <= now) entry.over = true
    return entry?.over === false ? entry : undefined
  }
  const faultOf = (fault: string | undefined) => (closed ? 'closed' : fault)
  return {
    putOnce(at, value, until, now) {
      const fault = faultOf(textsFault(at, value) ?? timesFault(until, now) ?? endFault(until, now))
      if (fault !== undefined) return unavailable(fault)
      sweep(SWEPT_PER_PUT, now - KEPT_AFTER_MS)
      const known = entries.get(at)
      if (known !== undefined && known.until > now) return { kind: 'there', value: known.value, since: begun }
      if (known === undefined && entries.size >= most && !sweep(SWEPT_WHEN_FULL, now)) return { kind: 'full' }
      entries.set(at, { value, until, over: false })
      return { kind: 'put', since: begun }
    },
    get(at, now) {
      const fault = faultOf(textsFault(at) ?? timesFault(now))
      if (fault !== undefined) return unavailable(fault)
      const entry = live(at, now)
      return entry === undefined ? { kind: 'none' } : { kind: 'value', value: entry.value, until: entry.until }
    },
    replace(at, before, after, until, now) {
      if (faultOf(textsFault(at, before, after) ?? timesFault(until, now)) !== undefined) return 'unavailable'
      const entry = live(at, now)
      if (entry === undefined || entry.value !== before) return 'changed'
      entries.set(at, { value: after, until, over: until <= now })
      return 'replaced'
    },
    list(prefix, now, max) {
      const fault = faultOf(textsFault(prefix) ?? timesFault(now, max))
      if (fault !== undefined) return unavailable(fault)
      const wanted = Math.min(max, STORE_LIST_MAX)
      const found: ListedEntry[] = []
      for (const at of entries.keys()) {
        const entry = at.startsWith(prefix) ? live(at, now) : undefined
        if (entry !== undefined) found.push({ key: at, value: entry.value, until: entry.until })
      }
      found.sort((a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)))
      return { kind: 'entries', entries: found.slice(0, wanted), more: found.length > wanted }
    },
    close: async () => {
      closed = true
      entries.clear()
    }
  }
}

/** Goes round the entries a few at a time, and drops those that were over by then. @returns whether any was */
function createSweep(entries: Map<string, Entry>): (most: number, by: number) => boolean {
  let round = entries.entries()
  return (most, by) => {
    let dropped = false
    for (let looked = 0; looked < most; looked++) {
      const { done, value } = round.next()
      if (done === true) {
        round = entries.entries()
        if (looked >= entries.size) return dropped
        continue
      }
      if (value[1].until > by) continue
      entries.delete(value[0])
      dropped = true
    }
    return dropped
  }
}
