/**
 * Requests for somebody else's yes, and the yes, over a store that processes share. One entry for each need, changed by compare and
 * set only: of two processes that use one approval at once, one passes.
 */
import { createHash, randomBytes } from 'node:crypto'
import {
  type ApprovalAnswer,
  type ApprovalEntry,
  type ApprovalNeed,
  type Approvals,
  REQUEST_MS,
  REQUESTS_PER_CALLER_MAX,
  type Step
} from '../core/approval.ts'
import { key } from '../core/keys.ts'
import { parseSpiffeId, type SpiffeId } from '../core/spiffe-id.ts'
import { STORE_VALUE_CHARS_MAX, type Store } from '../core/store.ts'

export interface ApprovalParts {
  readonly store: Store
  /** Whether the policy in force lets this identity approve. */
  readonly mayApprove: (id: SpiffeId) => boolean
  /** Told of each request that is made, and of each use, for the record; false where it cannot be kept. */
  readonly onStep: (what: 'asked' | 'used', entry: ApprovalEntry, now: number) => boolean
}

/** As it is kept. `check` is what used it. */
export type Kept = ApprovalEntry & { readonly need: string; readonly check?: string | undefined }

/** What stands in the store, and its exact text for the next compare and set. */
export interface Slot {
  readonly kept: Kept
  readonly text: string
}

/** Two processes may take turns at one entry; more than some rounds is a fault. */
const ROUNDS_MAX = 4

export function createApprovals(parts: ApprovalParts): Approvals {
  return {
    async use(need, check, now) {
      const ended = await endedRun(parts.store, need.run, need.caller, now)
      if (ended !== undefined) return ended
      let last: ApprovalAnswer = { kind: 'unavailable', because: 'a need without steps' }
      for (const step of need.steps) {
        last = await useStep(parts, need, step, check, now)
        if (last.kind !== 'approved') return last
      }
      return last
    }
  }
}

const FULL: ApprovalAnswer = {
  kind: 'unavailable',
  because: `the caller has ${REQUESTS_PER_CALLER_MAX} requests, approvals and grants at a time already`
}

async function useStep(parts: ApprovalParts, need: ApprovalNeed, step: Step, check: string, now: number): Promise<ApprovalAnswer> {
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const slot = await slotOf(parts.store, placeOf(need, step), now)
    if (slot.kind === 'unavailable') return slot
    const outcome =
      slot.kind === 'none' ? await ask(parts, need, step, undefined, now) : await meet(parts, need, step, slot.slot, check, now)
    if (outcome !== 'again') return outcome
  }
  return { kind: 'unavailable', because: 'the request changes faster than it can be read' }
}

type Outcome = ApprovalAnswer | 'again'

async function meet(parts: ApprovalParts, need: ApprovalNeed, step: Step, slot: Slot, check: string, now: number): Promise<Outcome> {
  const { kept } = slot
  if (kept.need !== fingerprint(need, step)) return { kind: 'unavailable', because: 'another request is kept in the place of this one' }
  const { id, state, by = '' } = kept
  if (state === 'waiting') return { kind: 'required', step, id, state: 'waiting' }
  if (state === 'refused') return { kind: 'required', step, id, state: 'refused' }
  // Whoever may no longer approve, or has entered the chain of the call since, has not approved it.
  if (!stands(parts, need, by)) return ask(parts, need, step, slot, now)
  if (state === 'used') return check !== '' && kept.check === check ? { kind: 'approved', id, by } : ask(parts, need, step, slot, now)
  if (step === 'grant') return { kind: 'approved', id, by }
  const used: Kept = { ...kept, state: 'used', check }
  const written = await parts.store.replace(storeKey(placeOf(need, step)), slot.text, JSON.stringify(used), kept.until, now)
  if (written === 'changed') return 'again'
  if (written === 'unavailable') return { kind: 'unavailable', because: 'it is not known whether the approval was used up' }
  if (!parts.onStep('used', used, now)) return { kind: 'unavailable', because: 'the use of an approval could not be recorded' }
  return { kind: 'approved', id, by }
}

function stands({ mayApprove }: ApprovalParts, need: ApprovalNeed, by: string): boolean {
  const id = parseSpiffeId(by)
  return id.ok && mayApprove(id.id) && !need.blocked.includes(by)
}

/** A new request, in an empty place or in that of one that is over. @param before what is there */
async function ask(parts: ApprovalParts, need: ApprovalNeed, step: Step, before: Slot | undefined, now: number): Promise<Outcome> {
  const place = placeOf(need, step)
  const kept = entryOf(need, step, place, now)
  const text = JSON.stringify(kept)
  if (text.length > ENTRY_CHARS_MAX)
    return { kind: 'unavailable', because: `${need.targets.length} targets are more than anybody can approve at once` }
  const asked =
    before === undefined
      ? await askFirst(parts.store, need, place, text, kept.until, now)
      : await askAgain(parts.store, place, before, text, kept.until, now)
  if (asked !== 'asked') return asked
  if (!parts.onStep('asked', kept, now)) return { kind: 'unavailable', because: 'a request for approval could not be recorded' }
  return { kind: 'required', step, id: kept.id, state: 'asked' }
}

/** What decides is added to it later: the reason, in escapes at worst, and two SPIFFE IDs' worth of room. */
const ENTRY_CHARS_MAX = STORE_VALUE_CHARS_MAX - 8_192

async function askFirst(
  store: Store,
  need: ApprovalNeed,
  place: Place,
  text: string,
  until: number,
  now: number
): Promise<'asked' | Outcome> {
  // Processes that ask at the same time may each add one to the bound.
  const all = await store.list(callerPrefix(need.caller), now, REQUESTS_PER_CALLER_MAX)
  if (all.kind === 'unavailable') return all
  if (all.entries.length >= REQUESTS_PER_CALLER_MAX) return FULL
  const put = await store.putOnce(storeKey(place), text, until, now)
  if (put.kind === 'put') return 'asked'
  if (put.kind === 'there') return 'again'
  return put.kind === 'full' ? { kind: 'unavailable', because: 'the store of approvals is full' } : put
}

async function askAgain(store: Store, place: Place, before: Slot, text: string, until: number, now: number): Promise<'asked' | Outcome> {
  const written = await store.replace(storeKey(place), before.text, text, until, now)
  if (written === 'replaced') return 'asked'
  return written === 'changed' ? 'again' : { kind: 'unavailable', because: 'it is not known whether the request was kept' }
}

function entryOf(need: ApprovalNeed, step: Step, place: Place, now: number): Kept {
  const { caller, blocked, operation, endpoint, database, tenant, targets, digest, run, because, approvalMs, grantMs } = need
  const id = `${place.caller}-${place.need}-${randomBytes(4).toString('hex')}`
  const lasts = { askedAt: now, lastsMs: step === 'grant' ? grantMs : approvalMs, until: now + REQUEST_MS }
  const what = { operation, endpoint, database, tenant, targets, digest: step === 'grant' ? '' : digest, run, because }
  const undecided = { state: 'waiting', by: undefined, reason: undefined } as const
  return { id, step, ...undecided, caller, blocked, ...what, ...lasts, need: fingerprint(need, step) }
}

const ENTRIES = 'approval'
const RUNS = 'approval-run'

/** Where an entry is kept, and what its id begins with: the caller, so that its entries can be counted, and the need. */
export interface Place {
  readonly caller: string
  readonly need: string
}

function placeOf(need: ApprovalNeed, step: Step): Place {
  return { caller: shortCaller(need.caller), need: fingerprint(need, step).slice(0, 14) }
}

function shortCaller(caller: string): string {
  return sha256(key('caller', caller)).slice(0, 10)
}

export function callerPrefix(caller: string): string {
  return key(ENTRIES, shortCaller(caller))
}

/** @param id as `entryOf` makes it */
export function placeOfId(id: string): Place | undefined {
  const [, caller, need] = /^([0-9a-f]{10})-([0-9a-f]{14})-[0-9a-f]{8}$/.exec(id) ?? []
  return caller === undefined || need === undefined ? undefined : { caller, need }
}

export function storeKey({ caller, need }: Place): string {
  return key(ENTRIES, caller, need)
}

export const ENTRIES_PREFIX = key(ENTRIES)

export function runKey(run: string, caller: string | undefined): string {
  return caller === undefined ? key(RUNS, 'any', run) : key(RUNS, 'one', sha256(key('caller', caller)), run)
}

/** All that a yes is bound to; of a grant not the digest, since it is for many requests. */
function fingerprint({ caller, operation, database, tenant, targets, digest, run }: ApprovalNeed, step: Step): string {
  const bound = step === 'grant' ? ['any request'] : ['request', digest]
  return sha256(
    key('need 1', step, caller, operation, database, tenant, ...(run === undefined ? ['no run'] : ['run', run]), ...bound, ...targets)
  )
}

function sha256(text: string): string {
  // Two bytes a character: no two texts meet, ill-formed ones included.
  return createHash('sha256').update(text, 'utf16le').digest('hex')
}

export async function slotOf(
  store: Store,
  place: Place,
  now: number
): Promise<{ kind: 'slot'; slot: Slot } | { kind: 'none' } | { kind: 'unavailable'; because: string }> {
  const got = await store.get(storeKey(place), now)
  if (got.kind !== 'value') return got
  const kept = keptOf(got.value)
  return kept === undefined
    ? { kind: 'unavailable', because: 'an entry of the store is not one of approvals' }
    : { kind: 'slot', slot: { kept, text: got.value } }
}

const STATES: ReadonlySet<unknown> = new Set(['waiting', 'approved', 'refused', 'used'])

/** What we wrote ourselves: looked at for its kind, so that another version's entry is never half understood. */
export function keptOf(text: string): Kept | undefined {
  try {
    const kept = JSON.parse(text) as Partial<Kept> | null
    const whole =
      typeof kept?.id === 'string' && typeof kept.need === 'string' && Array.isArray(kept.blocked) && Array.isArray(kept.targets)
    return whole && STATES.has(kept.state) && (kept.step === 'grant' || kept.step === 'approval') ? (kept as Kept) : undefined
  } catch {
    return undefined
  }
}

export async function endedRun(
  store: Store,
  run: string | undefined,
  caller: string,
  now: number
): Promise<Extract<ApprovalAnswer, { kind: 'ended' | 'unavailable' }> | undefined> {
  if (run === undefined) return undefined
  for (const name of [runKey(run, undefined), runKey(run, caller)]) {
    const got = await store.get(name, now)
    if (got.kind === 'unavailable') return got
    if (got.kind === 'value') return { kind: 'ended', run }
  }
  return undefined
}
