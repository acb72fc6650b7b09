/**
 * Records in the store that processes share. Each is written by compare and set on the merge of what is there and what is here, so no
 * writer takes anything back. Changes stand beside it as news for some minutes: those are looked for often, the records one shard at a time.
 */
import { key } from '../core/keys.ts'
import { merged, type StandingRecord, scopeKey } from '../core/standing.ts'
import { type ListedEntry, STORE_LIST_MAX, type Store } from '../core/store.ts'
import { standingFrom, standingText } from './standing-text.ts'

/** 100,000 records are 390 in each: well under what one list returns. */
export const SHARDS = 256
/** Longer than any outage in which a process goes on; what is older comes with its shard. */
const NEWS_MS = 600_000
/** A host whose clock is ahead by less ends no news of others by looking at them. */
const SKEW_MS = 3_600_000
/** Standings end by themselves: the store must not forget them before. */
const KEPT_MS = 10 * 365 * 86_400_000
const TRIES = 5

const NEWS = 'standing-news'
const RECORDS = 'standing'

export type Wrote = { readonly kind: 'wrote'; readonly record: StandingRecord } | { readonly kind: 'failed'; readonly because: string }

export type Heard =
  /** `more`: there are more than could be listed. */
  | { readonly kind: 'heard'; readonly records: readonly StandingRecord[]; readonly more: boolean }
  | { readonly kind: 'failed'; readonly because: string }

const recordKey = (place: string) => key(RECORDS, String(shardNumber(place)), place)
const newsKey = (place: string) => key(NEWS, place)

export function shardNumber(place: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < place.length; at++) hash = Math.imul(hash ^ place.charCodeAt(at), 0x01000193)
  return (hash >>> 0) % SHARDS
}

/** @param place `scopeKey` of the record */
export async function writeStanding(store: Store, place: string, record: StandingRecord, isNews: boolean, now: number): Promise<Wrote> {
  const wrote = await put(store, recordKey(place), record, now + KEPT_MS, now)
  if (wrote.kind === 'failed' || !isNews) return wrote
  // Both or neither: news alone would be forgotten with its end, a record alone is heard of late.
  const told = await put(store, newsKey(place), wrote.record, now + NEWS_MS, now)
  return told.kind === 'failed' ? told : wrote
}

async function put(store: Store, at: string, record: StandingRecord, until: number, now: number): Promise<Wrote> {
  let mine = record
  for (let tries = 0; tries < TRIES; tries++) {
    const text = standingText(mine)
    if (text === undefined) return { kind: 'failed', because: 'a standing that is too long to be kept' }
    const first = await store.putOnce(at, text, until, now)
    if (first.kind === 'put') return { kind: 'wrote', record: mine }
    if (first.kind === 'full') return { kind: 'failed', because: 'the store is full' }
    if (first.kind === 'unavailable') return { kind: 'failed', because: first.because }
    const there = standingFrom(first.value)
    // Somebody else's words, or a newer version's: nothing is written over what cannot be read.
    if (there === undefined) return { kind: 'failed', because: 'a standing in the store cannot be read' }
    mine = merged(there, mine)
    const next = standingText(mine)
    if (next === first.value) return { kind: 'wrote', record: mine }
    const replaced = next === undefined ? 'unavailable' : await store.replace(at, first.value, next, until, now)
    if (replaced === 'replaced') return { kind: 'wrote', record: mine }
    if (replaced === 'unavailable') return { kind: 'failed', because: 'the store did not take a standing' }
  }
  return { kind: 'failed', because: 'a standing is changed by others all the time' }
}

/** @param known texts that were heard before, which are left out; it then holds those of now */
export async function readNews(store: Store, known: Map<string, string>, now: number): Promise<Heard> {
  const listed = await store.list(key(NEWS), Math.max(0, now - SKEW_MS), STORE_LIST_MAX)
  if (listed.kind === 'unavailable') return { kind: 'failed', because: listed.because }
  const fresh = listed.entries.filter((one) => known.get(one.key) !== one.value)
  const records = read(fresh, newsKey)
  if (records === undefined) return { kind: 'failed', because: 'news in the store cannot be read' }
  known.clear()
  for (const one of listed.entries) known.set(one.key, one.value)
  return { kind: 'heard', records, more: listed.more }
}

export async function readShard(store: Store, shard: number, now: number): Promise<Heard> {
  const listed = await store.list(key(RECORDS, String(shard)), now, STORE_LIST_MAX)
  if (listed.kind === 'unavailable') return { kind: 'failed', because: listed.because }
  const records = read(listed.entries, recordKey)
  if (records === undefined) return { kind: 'failed', because: 'a standing in the store cannot be read' }
  return { kind: 'heard', records, more: listed.more }
}

/** Each one readable, and about the scope that its key says. */
function read(entries: readonly ListedEntry[], keyOf: (place: string) => string): StandingRecord[] | undefined {
  const records = entries.map(({ key: at, value }) => {
    const record = standingFrom(value)
    return record !== undefined && keyOf(scopeKey(record.scope)) === at ? record : undefined
  })
  return records.every((one) => one !== undefined) ? records : undefined
}

/** Removes a record that has wholly ended, unless somebody changed it meanwhile. */
export async function removeStanding(store: Store, place: string, record: StandingRecord, now: number): Promise<void> {
  const text = standingText(record)
  if (text !== undefined) await store.replace(recordKey(place), text, text, now, now)
}
