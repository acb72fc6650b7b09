/**
 * Budgets of several processes as one: each decides from its own memory, and what it has charged is added to the store's account soon
 * after, whose sum it then goes on with. Until then it knows nothing of what the others admit: all together admit at most
 * `replicas × burst + rate × time`. While the store is away each has its share of burst and rate: together `burst + rate × time`.
 */
import { key } from '../core/keys.ts'
import type { Memory } from '../core/memory.ts'
import type { Store } from '../core/store.ts'
import { type Allowance, createAllowance } from './allowance.ts'
import { createRounds } from './rounds.ts'

const ROUND_MS = 100
/** Of one round; the others wait for the next one. */
const BUDGETS_PER_ROUND = 64
/** That wait. Beyond it what is charged counts here only. */
const WAITING_MAX = 20_000
/** An account that is even again says nothing; it is kept a little longer, for clocks that differ. */
const KEPT_MS = 60_000
const TRIES = 4
/** Accounts that one process opens: used tokens and approvals need their places. The others are accounts of this process only. */
const ACCOUNTS_MAX = 10_000

export interface SharedMemoryParts {
  readonly store: Store
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** `Memory.share` */
  readonly share?: () => number
  /** Once as long as it stays the same; undefined: it is over. */
  readonly onTrouble: (because: string | undefined) => void
}

export interface SharedMemory extends Memory {
  /** One round. Never rejects. */
  readonly round: () => Promise<void>
  readonly start: () => void
  readonly stop: () => Promise<void>
}

/** Of one account: milliseconds that were charged here, and the most that was owed before them. */
interface Untold {
  readonly ms: number
  readonly most: number | undefined
}

export function shareMemory(memory: Memory, { store, now, share = memory.share, onTrouble }: SharedMemoryParts): SharedMemory {
  const untold = new Map<string, Untold>()
  const allowance = createAllowance(ACCOUNTS_MAX, KEPT_MS)
  const owe = (name: string, { ms, most }: Untold) => {
    const known = untold.get(name)
    if (untold.size < WAITING_MAX || known !== undefined) untold.set(name, { ms: (known?.ms ?? 0) + ms, most: most ?? known?.most })
    rounds.wake()
  }
  let trouble: string | undefined
  const tell = async (name: string, owed: Untold): Promise<string | undefined> => {
    const told = await add(store, name, owed, now, allowance)
    if ('because' in told) {
      // A budget that is full again owes nothing.
      if ((memory.budgetOf(name) ?? 0) > now()) owe(name, { ...owed, most: untold.get(name)?.most ?? owed.most })
      return told.because
    }
    // What was charged here meanwhile is still to be told, and counts here already.
    const sum = told.tat + (untold.get(name)?.ms ?? 0)
    if (sum > (memory.budgetOf(name) ?? 0)) memory.keepBudget(name, sum, now())
    return undefined
  }
  const round = async () => {
    const some = [...untold].slice(0, BUDGETS_PER_ROUND)
    if (some.length === 0) return
    for (const [name] of some) untold.delete(name)
    const faults = await Promise.all(some.map(([name, owed]) => tell(name, owed)))
    const fault = faults.find((one) => one !== undefined)
    if (fault !== trouble) onTrouble(fault)
    trouble = fault
  }
  const rounds = createRounds(round, () => (untold.size > 0 ? ROUND_MS : undefined))
  return {
    ...memory,
    share,
    keepBudget(name, tat, at) {
      const known = memory.budgetOf(name) ?? 0
      const before = Math.max(at, known)
      const kept = memory.keepBudget(name, tat, at)
      // A clock that came back shortens a debt: that is no charge, and it is shortened for all.
      if (kept && tat > before) owe(name, { ms: tat - before, most: undefined })
      else if (kept && tat < known && tat > at) owe(name, { ms: 0, most: tat })
      return kept
    },
    round,
    start: rounds.start,
    async stop() {
      await rounds.stop()
      await round()
    }
  }
}

/** Compare and set, until nobody was faster. */
async function add(
  store: Store,
  name: string,
  { ms, most }: Untold,
  now: () => number,
  allowance: Allowance
): Promise<{ readonly tat: number } | { readonly because: string }> {
  const at = key('budget', name)
  for (let tries = 0; tries < TRIES; tries++) {
    const got = await store.get(at, now())
    if (got.kind === 'unavailable') return got
    const before = got.kind === 'value' ? Number(got.value) : 0
    // What is no time is not believed, and not written over.
    if (!(before >= 0 && before <= 8.64e15)) return { because: 'an account in the store cannot be read' }
    const tat = Math.max(now(), Math.min(before, most ?? before)) + ms
    const until = Math.ceil(tat) + KEPT_MS
    if (got.kind === 'value') {
      const replaced = await store.replace(at, got.value, String(tat), until, now())
      if (replaced === 'replaced') return { tat }
      if (replaced === 'unavailable') return { because: 'the store did not take what was charged' }
    } else {
      if (!allowance.take(now())) return { because: `there are more than ${ACCOUNTS_MAX} accounts` }
      const put = await store.putOnce(at, String(tat), until, now())
      if (put.kind === 'put') return { tat }
      if (put.kind === 'full') return { because: 'the store is full' }
      if (put.kind === 'unavailable') return put
    }
  }
  return { because: 'an account is changed by others all the time' }
}
