/**
 * What replicas gather of the same workload, brought together over the store: evidence of drift is merged, what was shown is added up, so
 * that whoever takes turns between replicas is judged as if there were one. Only workloads that have just called are looked at.
 */
import { BETS, type Evidence } from '../core/drift.ts'
import type { Exposure } from '../core/exposure.ts'
import { key } from '../core/keys.ts'
import type { Store } from '../core/store.ts'
import { fail, readArray, readNumber, readObject, toBase64 } from '../risk/drift-baseline.ts'
import { adoptEvidence, mergeEvidence, newEvidence, takeUnsent } from '../risk/drift-evidence.ts'
import type { ReadyBaseline } from '../risk/drift-ready.ts'
import { exposurePace, mergeVisited, newExposure } from '../risk/exposure.ts'
import type { PlaceState, WorkloadState } from '../risk/workload-state.ts'
import { type Allowance, createAllowance } from '../state/allowance.ts'
import { createRounds } from '../state/rounds.ts'
import { slotKey } from './slot-text.ts'

const ROUND_MS = 100
/** Of one round; the others wait for the next one. */
const WORKLOADS_PER_ROUND = 64
/** For so long after a call it is looked for what others have seen since, so that the next call here is judged with it. */
const RECENT_MS = 10_000
/** That wait; beyond it they are seen with their next call. */
const WAITING_MAX = 10_000
/** Two days fill every exposure budget, and evidence of somebody who is silent for so long is old. */
const KEPT_MS = 2 * 86_400_000
const TRIES = 4
/** Entries that one process makes: used tokens and approvals need their places. Of further workloads each replica knows what it sees. */
const ENTRIES_MAX = 20_000

export interface EvidenceSyncParts {
  readonly store: Store
  readonly now: () => number
  readonly stateOf: (workload: string) => WorkloadState | undefined
  /** The baseline in force under that key. */
  readonly readyOf: (key: PlaceState['key']) => ReadyBaseline | undefined
  readonly dailyOf: (key: PlaceState['key'], weight: number) => number | undefined
  /** Once as long as it stays the same; undefined: it is over. */
  readonly onTrouble: (because: string | undefined) => void
}

export interface EvidenceSync {
  /** It has just called here. */
  readonly note: (workload: string) => void
  /** One round. Never rejects. */
  readonly round: () => Promise<void>
  readonly start: () => void
  readonly stop: () => Promise<void>
}

export function createEvidenceSync(parts: EvidenceSyncParts): EvidenceSync {
  /** When each called here, in the order of their turns. */
  const waiting = new Map<string, number>()
  const its: Its = { ...parts, told: new WeakMap(), allowance: createAllowance(ENTRIES_MAX, KEPT_MS) }
  let trouble: string | undefined
  const round = async () => {
    const some = [...waiting].slice(0, WORKLOADS_PER_ROUND)
    for (const [id, at] of some) {
      waiting.delete(id)
      // Whoever called a moment ago has another turn, after the others. A clock that went back gives one more.
      if (Math.abs(parts.now() - at) < RECENT_MS) waiting.set(id, at)
    }
    const faults = await Promise.all(some.map(([id]) => exchange(its, id)))
    const fault = faults.find((one) => one !== undefined)
    if (some.length === 0 || fault === trouble) return
    trouble = fault
    parts.onTrouble(fault)
  }
  const rounds = createRounds(round, () => (waiting.size > 0 ? ROUND_MS : undefined))
  return {
    note(workload) {
      if (waiting.size < WAITING_MAX || waiting.has(workload)) waiting.set(workload, parts.now())
      rounds.wake()
    },
    round,
    start: rounds.start,
    async stop() {
      await rounds.stop()
      await round()
    }
  }
}

interface Its extends EvidenceSyncParts {
  /** What of the exposure the others know. */
  readonly told: WeakMap<PlaceState, { readonly day: number; readonly shown: number }>
  readonly allowance: Allowance
}

/** @returns why it could not be done; what was not told is told the next time */
async function exchange(parts: Its, workload: string): Promise<string | undefined> {
  const state = parts.stateOf(workload)
  let fault: string | undefined
  for (const place of state?.places.values() ?? []) {
    for (const track of place.tracks) fault ??= await exchangeTrack(parts, workload, track)
    fault ??= await exchangeExposure(parts, workload, place)
  }
  return fault
}

async function exchangeTrack(parts: Its, workload: string, track: PlaceState['tracks'][number]): Promise<string | undefined> {
  const ready = parts.readyOf(track.key)
  if (ready?.baseline.version !== track.version) return undefined
  const segments = takeUnsent(track.drift)
  const { version } = track
  if (segments.length === 0 && track.drift.evidence.bursts === 0) return undefined
  // A replica of another release may have other bets.
  const at = key('evidence', workload, slotKey(track.key), version, String(BETS))
  const written = await merge(parts, at, (text) => {
    // Nobody has told anything: what is here has all segments in it.
    const shared = text === undefined ? copyOf(track.drift.evidence) : mergeEvidence(evidenceFrom(text), segments, ready)
    return { text: evidenceText(shared), value: shared }
  })
  if ('because' in written) {
    track.drift.unsent?.unshift(...segments)
    return written.because
  }
  // A person may have approved another one meanwhile.
  if (track.version === version) adoptEvidence(track.drift, written.value, ready)
  return undefined
}

async function exchangeExposure(parts: Its, workload: string, place: PlaceState): Promise<string | undefined> {
  const daily = parts.dailyOf(place.key, place.weight)
  const before = parts.told.get(place)
  const [day, shown] = [place.day, place.shown]
  const fresh = before?.day === day ? shown - before.shown : shown
  if (daily === undefined || place.shown === 0) return undefined
  const { burst, perSecond } = exposurePace(daily)
  const perMs = perSecond / 1000
  const written = await merge(parts, key('exposure', workload, slotKey(place.key)), (text) => {
    const shared = text === undefined ? copyOfExposure(place.exposure) : exposureFrom(text)
    // What is further ahead was left by a clock that has come back since, as in exposure.ts.
    if (shared.tat !== undefined) shared.tat = Math.min(shared.tat, parts.now() + burst / perMs)
    if (text !== undefined && fresh > 0) shared.tat = Math.max(parts.now(), shared.tat ?? 0) + fresh / perMs
    mergeVisited(shared, place.exposure)
    return { text: exposureText(shared), value: shared }
  })
  if ('because' in written) return written.because
  parts.told.set(place, { day, shown })
  const { exposure } = place
  mergeVisited(exposure, written.value)
  // What was spent here while the store was asked is still to be told, and counts here already.
  const since = place.day === day ? place.shown - shown : place.shown
  const tat = (written.value.tat ?? 0) + since / perMs
  exposure.tat = Math.max(exposure.tat ?? 0, tat)
  return undefined
}

/** Compare and set, until nobody was faster. */
async function merge<Value>(
  { store, now, allowance }: Its,
  at: string,
  change: (text: string | undefined) => { readonly text: string; readonly value: Value }
): Promise<{ readonly value: Value } | { readonly because: string }> {
  try {
    for (let tries = 0; tries < TRIES; tries++) {
      const got = await store.get(at, now())
      if (got.kind === 'unavailable') return got
      const { text, value } = change(got.kind === 'value' ? got.value : undefined)
      if (got.kind === 'value' && got.value === text) return { value }
      const until = now() + KEPT_MS
      if (got.kind === 'value') {
        const replaced = await store.replace(at, got.value, text, until, now())
        if (replaced === 'replaced') return { value }
        if (replaced === 'unavailable') return { because: 'the store did not take evidence' }
      } else {
        if (!allowance.take(now())) return { because: `there are more than ${ENTRIES_MAX} entries of evidence` }
        const put = await store.putOnce(at, text, until, now())
        if (put.kind === 'put') return { value }
        if (put.kind === 'full') return { because: 'the store is full' }
        if (put.kind === 'unavailable') return put
      }
    }
    return { because: 'evidence is changed by others all the time' }
  } catch (cause) {
    return { because: `evidence in the store cannot be read: ${cause instanceof RangeError ? cause.message : 'it is no evidence'}` }
  }
}

function copyOf(evidence: Evidence): Evidence {
  return { ...evidence, base: evidence.base.slice(), logs: evidence.logs.slice() }
}

const NEVER = -1
const TIMES = ['startedAt', 'lastAt', 'endedAt'] as const

function evidenceText({ base, logs, ...its }: Evidence): string {
  // JSON has no infinity.
  const times = Object.fromEntries(TIMES.map((name) => [name, Number.isFinite(its[name]) ? its[name] : NEVER]))
  return JSON.stringify({ ...its, ...times, base: toBase64(base), logs: toBase64(logs) })
}

function evidenceFrom(text: string): Evidence {
  const fields = readObject(
    JSON.parse(text),
    ['epoch', 'bursts', 'startedAt', 'lastAt', 'endedAt', 'queries', 'base', 'logs'],
    'the evidence'
  )
  const time = (name: (typeof TIMES)[number]) => (fields[name] === NEVER ? Number.NEGATIVE_INFINITY : readNumber(fields[name], name))
  const bets = (name: 'base' | 'logs') => new Float64Array(readArray(fields[name], name, BETS * 8, 1))
  const evidence: Evidence = {
    ...newEvidence(),
    epoch: readNumber(fields.epoch, 'epoch'),
    bursts: readNumber(fields.bursts, 'bursts'),
    queries: readNumber(fields.queries, 'queries'),
    startedAt: time('startedAt'),
    lastAt: time('lastAt'),
    endedAt: time('endedAt'),
    base: bets('base'),
    logs: bets('logs')
  }
  return [...evidence.base, ...evidence.logs].every(Number.isFinite) ? evidence : fail('the evidence holds what is no number')
}

function copyOfExposure({ day, visited, tat }: Exposure): Exposure {
  return { day, visited: visited.slice(), tat, exhausted: [] }
}

function exposureText({ day, visited, tat }: Exposure): string {
  return JSON.stringify({ day: Number.isFinite(day) ? day : NEVER, visited: toBase64(visited), tat: tat ?? NEVER })
}

function exposureFrom(text: string): Exposure {
  const { day, visited, tat } = readObject(JSON.parse(text), ['day', 'visited', 'tat'], 'the exposure')
  const empty = newExposure()
  return {
    ...empty,
    day: day === NEVER ? empty.day : readNumber(day, 'day'),
    visited: new Uint8Array(readArray(visited, 'visited', empty.visited.length, 1)),
    tat: tat === NEVER ? undefined : readNumber(tat, 'tat')
  }
}
