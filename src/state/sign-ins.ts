/**
 * Sign-ins of end users that have answered a step-up. One answers one: a workload that is shown a user's new token must not have it answer
 * for another workload of that user, which somebody else may hold.
 */
import { key } from '../core/keys.ts'
import type { Store } from '../core/store.ts'

/** One time that somebody authenticated, whatever tokens were made of it. */
export interface SignIn {
  /** `subjectKey`. */
  readonly subject: string
  /** `auth_time`, ms since the epoch. */
  readonly at: number
}

export interface SignIns {
  /** Known here at once, and to the others soon. @param challenge what it is to answer. @returns false: it has answered another one */
  readonly take: (signIn: SignIn, challenge: string, now: number) => boolean
  /** Known everywhere before it counts. */
  readonly takeEverywhere: (signIn: SignIn, challenge: string, now: number) => Promise<'taken' | 'spent' | 'unavailable'>
}

/** Of this process; the oldest go first, and old sign-ins answer nothing that was asked since. */
const KEPT_MAX = 10_000
/** No challenge is open longer. */
const KEPT_MS = 2 * 86_400_000

export function createSignIns(store: Store): SignIns {
  const kept = new Map<string, string>()
  const isSpent = (name: string, challenge: string) => (kept.get(name) ?? challenge) !== challenge
  const keep = (name: string, challenge: string) => {
    kept.set(name, challenge)
    if (kept.size > KEPT_MAX) kept.delete(kept.keys().next().value as string)
  }
  const put = async (name: string, challenge: string, now: number) => store.putOnce(name, challenge, now + KEPT_MS, now)
  return {
    take(signIn, challenge, now) {
      const name = nameOf(signIn)
      if (isSpent(name, challenge)) return false
      keep(name, challenge)
      void put(name, challenge, now)
      return true
    },
    async takeEverywhere(signIn, challenge, now) {
      const name = nameOf(signIn)
      if (isSpent(name, challenge)) return 'spent'
      const answer = await put(name, challenge, now)
      if (answer.kind !== 'put' && answer.kind !== 'there') return 'unavailable'
      const by = answer.kind === 'put' ? challenge : answer.value
      keep(name, by)
      return by === challenge ? 'taken' : 'spent'
    }
  }
}

function nameOf({ subject, at }: SignIn): string {
  return key('sign-in', subject, String(at))
}
