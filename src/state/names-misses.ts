/** How many look-ups of ids that do not exist each caller has caused in the last minute. */
import { CALLERS_CACHED_MAX, LOOKUP_MISSES_PER_MINUTE } from '../core/limits.ts'

const MINUTE_MS = 60_000

interface Account {
  /** When the last misses happened, oldest first; at most LOOKUP_MISSES_PER_MINUTE. */
  times: number[]
  /** Look-ups under way: each may turn out a miss, so each takes a place at once. */
  pending: number
}

export interface Misses {
  /** False when the caller has no miss left to make; otherwise `settle` must follow. */
  readonly reserve: (caller: string, now: number) => boolean
  readonly settle: (caller: string, missed: boolean, now: number) => void
}

export function createMisses(callersMax = CALLERS_CACHED_MAX): Misses {
  const accounts = new Map<string, Account>()
  return {
    reserve(caller, now) {
      const account = accounts.get(caller) ?? { times: [], pending: 0 }
      account.times = account.times.filter((time) => time > now - MINUTE_MS)
      if (account.times.length + account.pending >= LOOKUP_MISSES_PER_MINUTE) return false
      account.pending++
      accounts.set(caller, account)
      return true
    },
    settle(caller, missed, now) {
      const account = accounts.get(caller)
      if (account === undefined) return
      account.pending--
      if (missed) account.times.push(now)
      if (account.times.length === 0 && account.pending === 0) accounts.delete(caller)
      else if (accounts.size > callersMax) dropOldest(accounts, caller)
    }
  }
}

/** Callers are proven workloads, so their number is small; if it is not, the one that has been quiet longest is forgotten. */
function dropOldest(accounts: Map<string, Account>, but: string): void {
  for (const [caller, { pending }] of accounts) {
    if (pending > 0 || caller === but) continue
    accounts.delete(caller)
    return
  }
}
