/** The store of many hosts: Redis 6.2 or newer, or Valkey. As durable as that server is. */
import { type ListedEntry, STORE_LIST_MAX, type Stamp, type Store } from '../core/store.ts'
import {
  endFault,
  entriesMax,
  KEPT_AFTER_MS,
  type StoreBounds,
  type StoreEvent,
  type StoreWait,
  textsFault,
  timesFault,
  unavailable
} from './store-faults.ts'
import { type RedisAddress, RedisConnection } from './store-redis-connection.ts'
import { REDIS_SCRIPTS } from './store-redis-scripts.ts'

export interface RedisStoreOptions extends StoreBounds, StoreWait, RedisAddress {
  /** Begins all names; its part in braces decides where in a cluster they are. */
  readonly prefix?: string
  readonly onEvent?: (event: StoreEvent) => void
}

export function openRedisStore({ prefix = '{vecauthz}:', onEvent = () => {}, ...options }: RedisStoreOptions): Store {
  const most = String(entriesMax(options))
  const connection = new RedisConnection(options, (because) =>
    onEvent(because === undefined ? { kind: 'ready', because: options.url } : { kind: 'unavailable', because })
  )
  const names = ['epoch', 'keys', 'ends'].map((name) => `${prefix}${name}`)
  const run = (script: string, ...args: readonly (string | number)[]) => connection.run(script, names, `${prefix}entry:`, args.map(String))
  /** By the server's clock, from the time of the call: a host whose clock is wrong cannot end what another wrote. */
  const kept = (until: number, now: number) => Math.max(until - now, 0) + KEPT_AFTER_MS
  return {
    async putOnce(key, value, until, now) {
      const fault = textsFault(key, value) ?? timesFault(until, now) ?? endFault(until, now)
      if (fault !== undefined) return unavailable(fault)
      try {
        const [kind, ...rest] = await run(REDIS_SCRIPTS.put, key, value, until, now, kept(until, now), most, KEPT_AFTER_MS)
        if (kind === 'put') return { kind, since: Number(rest[0]) }
        if (kind === 'there') return { kind, value: String(rest[0]), since: Number(rest[1]) }
        return kind === 'full' ? { kind } : unavailable('an answer that makes no sense')
      } catch (cause) {
        const { message } = cause as Error
        return message.startsWith('OOM') ? { kind: 'full' } : unavailable(message)
      }
    },
    async get(key, now) {
      const fault = textsFault(key) ?? timesFault(now)
      if (fault !== undefined) return unavailable(fault)
      try {
        const [kind, value, until] = await run(REDIS_SCRIPTS.get, key, now)
        if (kind === 'value') return { kind, value: String(value), until: Number(until) }
        return kind === 'none' ? { kind } : unavailable('an answer that makes no sense')
      } catch (cause) {
        return unavailable((cause as Error).message)
      }
    },
    async replace(key, before, after, until, now) {
      if ((textsFault(key, before, after) ?? timesFault(until, now)) !== undefined) return 'unavailable'
      try {
        const [kind] = await run(REDIS_SCRIPTS.replace, key, before, after, until, now, kept(until, now))
        return kind === 'replaced' || kind === 'changed' ? kind : 'unavailable'
      } catch {
        return 'unavailable'
      }
    },
    async list(start, now, max) {
      const fault = textsFault(start) ?? timesFault(now, max)
      if (fault !== undefined) return unavailable(fault)
      try {
        const [kind, found] = await run(REDIS_SCRIPTS.list, start, now, Math.min(max, STORE_LIST_MAX))
        if (!Array.isArray(found)) return unavailable('an answer that makes no sense')
        return { kind: 'entries', entries: entriesFrom(found), more: kind === 'more' }
      } catch (cause) {
        return unavailable((cause as Error).message)
      }
    },
    stamp: () => run(REDIS_SCRIPTS.stamp).then(stampFrom, () => undefined),
    close: () => connection.close()
  }
}

function stampFrom([era, turn, time]: readonly unknown[]): Stamp {
  return { era: String(era), turn: String(turn), ageMs: Number(time) - Number(era) }
}

/** Key, value and end of each, one behind the other. */
function entriesFrom(found: readonly unknown[]): ListedEntry[] {
  return Array.from({ length: found.length / 3 }, (_, at) => {
    const [key, value, until] = found.slice(3 * at, 3 * at + 3)
    return { key: String(key), value: String(value), until: Number(until) }
  })
}
