/** What no store takes, asked before anything is written, so that all of them refuse the same. */
import { STORE_ENTRIES_MAX, STORE_KEY_CHARS_MAX, STORE_VALUE_CHARS_MAX, type StoreUnavailable } from '../core/store.ts'

/** How long an entry that is over keeps its place while there is room: a clock that goes back by less finds it again. */
export const KEPT_AFTER_MS = 60_000

/** Bounds that tests make smaller. */
export interface StoreBounds {
  /** Entries, live ones and those that are over and keep their place. */
  readonly entriesMax?: number
}

/** How long an answer of another thread or machine is waited for; each store has a default of its own. */
export interface StoreWait {
  readonly answerMsMax?: number
}

/** For the operational log. `because`: the place when ready, the fault when not. */
export interface StoreEvent {
  readonly kind: 'ready' | 'unavailable'
  readonly because: string
}

export function entriesMax({ entriesMax: own = STORE_ENTRIES_MAX }: StoreBounds): number {
  return own
}

export function unavailable(because: string): StoreUnavailable {
  return { kind: 'unavailable', because: `shared state: ${because}` }
}

/** @returns why these are no key, value and times, or undefined */
export function textsFault(keyText: string, ...values: readonly string[]): string | undefined {
  if (keyText.length > STORE_KEY_CHARS_MAX) return `a key of more than ${STORE_KEY_CHARS_MAX} characters`
  if (values.some((value) => value.length > STORE_VALUE_CHARS_MAX)) return `a value of more than ${STORE_VALUE_CHARS_MAX} characters`
  // Halves of a surrogate pair become one and the same sign in UTF-8: two keys would meet.
  if (!keyText.isWellFormed() || values.some((value) => !value.isWellFormed())) return 'a text that cannot be written as UTF-8'
  return undefined
}

export function timesFault(...times: readonly number[]): string | undefined {
  return times.every((time) => Number.isSafeInteger(time) && time >= 0) ? undefined : 'a time that is no whole number of milliseconds'
}

/** An entry that is over as it is written would let its key be put twice. */
export function endFault(until: number, now: number): string | undefined {
  return until > now ? undefined : 'an entry that would be over at once'
}
