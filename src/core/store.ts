/**
 * What several processes know together: small texts under keys, each until its end. The port that `state/` implements, in memory,
 * in a file for one host, and in Redis for many.
 *
 * An entry is live while `until > now`, with the `now` of who asks. One that was seen to be over stays over: a clock that goes back
 * makes it readable for nobody. Where it would be live by that clock it still holds its place, so that what was used stays used.
 */

/** Longest key, in UTF-16 units: a SPIFFE ID of 2,048 and a token's id beside it fit. */
export const STORE_KEY_CHARS_MAX = 4_096
/** Longest value, in UTF-16 units. */
export const STORE_VALUE_CHARS_MAX = 16_384
/** Most entries of one `list`. */
export const STORE_LIST_MAX = 1_000
/** Entries of one store: 35 s of policy tokens at 2,800 mutations a second, and what else there is. */
export const STORE_ENTRIES_MAX = 200_000

/** The store did not answer, or not in a way that can be relied on: nothing is known, so nothing is allowed. `because` is for the audit record. */
export interface StoreUnavailable {
  readonly kind: 'unavailable'
  readonly because: string
}

export type Put =
  /** Written. */
  | { readonly kind: 'put'; readonly since: number }
  /** Somebody was first; this is what they wrote. */
  | { readonly kind: 'there'; readonly value: string; readonly since: number }
  /** All room is taken by what is live. */
  | { readonly kind: 'full' }
  | StoreUnavailable

export type Got = StoreEntry | { readonly kind: 'none' } | StoreUnavailable

export interface StoreEntry {
  readonly kind: 'value'
  readonly value: string
  /** Milliseconds since the epoch. */
  readonly until: number
}

/** `changed`: what is there is not `before`, or nothing is there. `unavailable`: it may have been written or not. */
export type Replaced = 'replaced' | 'changed' | 'unavailable'

export type Listed =
  /** In the order of their keys (UTF-8 bytes). `more`: there are others beyond `max`. */
  { readonly kind: 'entries'; readonly entries: readonly ListedEntry[]; readonly more: boolean } | StoreUnavailable

export interface ListedEntry {
  readonly key: string
  readonly value: string
  readonly until: number
}

/** Whether anything was written, by whomever: told without reading it. */
export interface Stamp {
  /** Another one: what was put before may have been forgotten (a new file, a wiped or restarted Redis). */
  readonly era: string
  /** Another one: something was written. */
  readonly turn: string
  /** How long this era lasts, where the store knows: what was known before it may be told to it only now. */
  readonly ageMs: number | undefined
}

/** Answers come at once where nothing has to be waited for. A promise never rejects; times are milliseconds since the epoch. */
export interface Store {
  /**
   * Writes where nothing live is: of several at once, one is told `put`. It is as durable then as the store is at all. `since` of the
   * answer: what was put before then may have been forgotten (a new file, a wiped or restarted Redis); by the clock of the store.
   * @param key made by `key()` of core/keys.ts
   */
  readonly putOnce: (key: string, value: string, until: number, now: number) => Put | Promise<Put>
  readonly get: (key: string, now: number) => Got | Promise<Got>
  /** Compare and set: writes `after` with its own end, if the live value is exactly `before`. An end that is not after `now` removes it. */
  readonly replace: (key: string, before: string, after: string, until: number, now: number) => Replaced | Promise<Replaced>
  /** Live entries whose key begins with `prefix`: `key()` of fewer parts. @param max at most STORE_LIST_MAX */
  readonly list: (prefix: string, now: number, max: number) => Listed | Promise<Listed>
  /** Cheaper than any question. undefined: it cannot be told, so anything may have been written; absent where nothing is cheap. */
  readonly stamp?: () => Stamp | undefined | Promise<Stamp | undefined>
  /** Everything asked before is answered; whatever is asked after is `unavailable`. */
  readonly close: () => Promise<void>
}
