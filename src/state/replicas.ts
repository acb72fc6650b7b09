/**
 * How many processes share the store: each says every now and then that it is there. Asked when the store is away, so that budgets, which
 * then nobody adds up, are cut to each one's share.
 */
import { key } from '../core/keys.ts'
import { STORE_LIST_MAX, type Store } from '../core/store.ts'
import { createRounds } from './rounds.ts'

const ROUND_MS = 10_000
/** Whoever says nothing for so long is gone. Three rounds, as one may fail. */
const GONE_MS = 30_000
const PLACE = 'replica'

export interface ReplicasParts {
  readonly store: Store
  /** Another one for each process. */
  readonly run: string
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

export interface Replicas {
  /** As many as were there when the store was last heard, this one included: at least 1. */
  readonly count: () => number
  /** One round. Never rejects. */
  readonly round: () => Promise<void>
  readonly start: () => void
  /** It is counted no more. */
  readonly stop: () => Promise<void>
}

export function createReplicas({ store, run, now }: ReplicasParts): Replicas {
  const own = key(PLACE, run)
  let count = 1
  const say = async () => {
    const put = await store.putOnce(own, run, now() + GONE_MS, now())
    if (put.kind === 'there') await store.replace(own, put.value, run, now() + GONE_MS, now())
  }
  const round = async () => {
    await say()
    const heard = await store.list(key(PLACE), now(), STORE_LIST_MAX)
    // Not heard: it stays at what was known, which is when it is asked for.
    if (heard.kind === 'entries') count = Math.max(1, heard.entries.length)
  }
  // Those that start together hear of each other soon.
  const soon = [0, 1_000, 3_000]
  const rounds = createRounds(round, () => soon.shift() ?? ROUND_MS)
  return {
    count: () => count,
    round,
    start: rounds.start,
    async stop() {
      await rounds.stop()
      await store.replace(own, run, run, 0, now())
    }
  }
}
