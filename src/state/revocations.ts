/**
 * Revocations of one process, and in the store for everybody: in force here as soon as they are said, elsewhere a quarter of a second
 * later, and after a restart. What the store does not answer changes nothing of what is known.
 */
import { key } from '../core/keys.ts'
import { REVOCATION_KINDS, REVOCATIONS_MAX, type Revocation, type Revocations } from '../core/revocation.ts'
import type { Store } from '../core/store.ts'

const POLL_MS = 250
const PREFIX = key('revocation')
/** Until somebody takes it back: longer than any certificate or token lives. */
const LASTS_MS = 10 * 365 * 86_400_000

export interface SharedRevocations extends Revocations {
  readonly start: () => void
  readonly stop: () => Promise<void>
}

export function createRevocations(store: Store, now: () => number): SharedRevocations {
  const known = new Map<string, Revocation>()
  /** What the store has not got yet. */
  const unsaid = new Map<string, Revocation>()
  let list: readonly Revocation[] = []
  let version = 0
  let loaded = false
  let stamp: string | undefined
  const changed = () => {
    list = [...known.values()]
    version++
  }
  const tell = async (id: string, one: Revocation): Promise<boolean> => {
    const put = await store.putOnce(id, JSON.stringify(one), now() + LASTS_MS, now())
    if (put.kind === 'put' || put.kind === 'there') return unsaid.delete(id) || true
    unsaid.set(id, one)
    return false
  }
  const hear = async () => {
    for (const [id, one] of [...unsaid]) await tell(id, one)
    const told = await store.stamp?.()
    const next = told === undefined ? undefined : `${told.era} ${told.turn}`
    if (loaded && next !== undefined && next === stamp) return
    const before = version
    const all = await store.list(PREFIX, now(), REVOCATIONS_MAX)
    // What was said here meanwhile may be missing in this answer: the next one has it.
    if (all.kind === 'unavailable' || version !== before) return
    stamp = next
    const heard = new Map(all.entries.flatMap(({ key: id, value }) => entryOf(id, value)))
    const same = heard.size === known.size && [...heard.keys()].every((id) => known.has(id))
    for (const id of [...known.keys()]) if (!heard.has(id) && !unsaid.has(id)) known.delete(id)
    for (const [id, one] of heard) known.set(id, one)
    if (!same || !loaded) changed()
    loaded = true
  }
  const rounds = roundsOf(hear)
  return {
    list: () => list,
    version: () => version,
    isLoaded: () => loaded,
    async add(one) {
      const id = key('revocation', one.kind, one.value)
      if (!known.has(id) && known.size >= REVOCATIONS_MAX) return 'full'
      known.set(id, one)
      // Before the round that is under way can find it missing.
      unsaid.set(id, one)
      changed()
      return (await tell(id, one)) ? 'everywhere' : 'here'
    },
    async lift(kind, value, at) {
      const id = key('revocation', kind, value)
      const got = await store.get(id, at)
      if (got.kind !== 'value' || (await store.replace(id, got.value, got.value, at, at)) !== 'replaced') return false
      known.delete(id)
      unsaid.delete(id)
      changed()
      return true
    },
    ...rounds
  }
}

function roundsOf(hear: () => Promise<void>): Pick<SharedRevocations, 'start' | 'stop'> {
  let timer: NodeJS.Timeout | undefined
  let running = Promise.resolve()
  let stopped = false
  const round = () => {
    running = hear()
      .catch(() => undefined)
      .then(() => {
        if (!stopped) timer = setTimeout(round, POLL_MS).unref()
      })
  }
  return {
    start: round,
    async stop() {
      stopped = true
      clearTimeout(timer)
      await running
    }
  }
}

/** Whatever else is under such a key revokes nobody. */
function entryOf(id: string, text: string): readonly (readonly [string, Revocation])[] {
  try {
    const { kind, value, by, reason, at } = JSON.parse(text) as Revocation
    const isOne = REVOCATION_KINDS.includes(kind) && typeof value === 'string' && key('revocation', kind, value) === id
    return isOne ? [[id, { kind, value, by: String(by), reason: String(reason), at: Number(at) }]] : []
  } catch {
    return []
  }
}
