/** Follows the decisions of one server over every connection that ends: what came meanwhile is asked for, and what is gone is counted. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type AdminIdentity, type AdminTarget, askAdmin } from './admin-client.ts'
import { isUnreadable } from './svid-verify-question.ts'
import { objectOf, readTail, type TailEvent } from './tail-client.ts'

/** A decision as the server tells it. */
export type Told = Readonly<Record<string, unknown>>

/**
 * - `joined`: from now on. - `lost`: no connection; it is tried again. - `back`: `made` decisions meanwhile, of which the server still had
 * `shown`. - `anew`: another process, so what the one before decided last may be missing; `made` and `shown` by the new one. -
 * `left-out`: `made` more than are told at once, calls that were let through.
 */
export interface Notice {
  readonly event: 'joined' | 'lost' | 'back' | 'anew' | 'left-out'
  readonly made?: number
  readonly shown?: number
  readonly says?: string
}

export interface Following {
  readonly target: AdminTarget
  /** Anew for each connection: an SVID ends. */
  readonly identity: () => Promise<AdminIdentity>
  readonly now: () => number
  readonly stopped: AbortSignal
  /** The first connection cannot be had: whether it is tried again all the same, for others are followed. */
  readonly mayWait: () => boolean
  readonly decided: (one: Told) => void
  readonly notice: (notice: Notice) => void
}

const WAIT_MS = 500
const WAIT_MS_MAX = 10_000
/** Left-outs are counted together for as long. */
const LEFT_OUT_MS = 5_000

interface Place {
  /** Of the process; undefined before the first connection. */
  run: string | undefined
  /** Of the last decision that was told. */
  last: number
  leftOut: number
  leftOutAt: number
  /** Since when there is no connection, where somebody was told so. */
  isLost: boolean
}

/** Resolves when `stopped` is aborted. Throws `Unreadable` where the first connection cannot be had, and nobody may wait for it. */
export async function followServer(its: Following): Promise<void> {
  const { target, stopped, now, notice } = its
  const place: Place = { run: undefined, last: 0, leftOut: 0, leftOutAt: now(), isLost: false }
  let wait = WAIT_MS
  while (!stopped.aborted) {
    let queue = Promise.resolve()
    let fault: unknown
    const take = (event: TailEvent) => {
      wait = WAIT_MS
      queue = queue
        .then(() => taken(event, place, its))
        .catch((cause) => {
          fault ??= cause
        })
    }
    try {
      await readTail(target, await its.identity(), now(), stopped, take)
    } catch (cause) {
      fault ??= cause
    }
    await queue
    if (stopped.aborted) break
    if (fault !== undefined) {
      if (!isUnreadable(fault) || (place.run === undefined && !its.mayWait())) throw fault
      if (!place.isLost) notice({ event: 'lost', says: fault.unreadable })
      place.isLost = true
    }
    await sleep(wait, undefined, { signal: stopped }).catch(() => undefined)
    wait = Math.min(2 * wait, WAIT_MS_MAX)
  }
  sayLeftOut(place, its)
}

async function taken(event: TailEvent, place: Place, its: Following): Promise<void> {
  if (event.name === 'joined') return joined(objectOf(event.data), place, its)
  if (event.name === 'skipped') place.leftOut += Number(event.data) || 0
  if (event.name === 'message') tell(objectOf(event.data), place, its)
  if (place.leftOut > 0 && its.now() - place.leftOutAt >= LEFT_OUT_MS) sayLeftOut(place, its)
}

function tell(one: Told, place: Place, { decided }: Following): void {
  const n = Number(one['n'])
  if (n <= place.last) return
  place.last = n
  decided(one)
}

async function joined(hello: Told, place: Place, its: Following): Promise<void> {
  const [run, last] = [String(hello['run']), Number(hello['last'])]
  if (place.run === undefined) {
    Object.assign(place, { run, last, isLost: false })
    return its.notice({ event: 'joined' })
  }
  const isAnew = place.run !== run
  const { isLost } = place
  Object.assign(place, { run, isLost: false }, isAnew ? { last: 0 } : {})
  const made = last - place.last
  const shown = made > 0 ? await caughtUp(last, place, its) : 0
  place.last = Math.max(place.last, last)
  if (isAnew || isLost || shown < made) its.notice({ event: isAnew ? 'anew' : 'back', made, shown })
}

/** Tells what the server still has of the decisions up to `last`. @returns how many */
async function caughtUp(last: number, place: Place, its: Following): Promise<number> {
  try {
    const { body } = await askAdmin(its.target, await its.identity(), { method: 'GET', path: '/v1/decisions' }, its.now())
    const kept = Array.isArray(body['decisions']) ? (body['decisions'] as readonly Told[]) : []
    const missed = kept.filter((one) => Number(one['n']) > place.last && Number(one['n']) <= last).reverse()
    for (const one of missed) tell(one, place, its)
    return missed.length
  } catch (cause) {
    if (!isUnreadable(cause)) throw cause
    return 0
  }
}

function sayLeftOut(place: Place, { notice, now }: Following): void {
  if (place.leftOut > 0) notice({ event: 'left-out', made: place.leftOut, shown: 0 })
  Object.assign(place, { leftOut: 0, leftOutAt: now() })
}
