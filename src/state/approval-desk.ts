/** What people do about requests: look, approve, refuse, release, end a run. Every change is a compare and set on what was looked at. */
import {
  type Acted,
  type ApprovalDesk,
  type ApprovalEntry,
  ENDED_RUN_MS,
  REASON_CHARACTERS_MAX,
  REQUESTS_PER_CALLER_MAX
} from '../core/approval.ts'
import type { SpiffeId } from '../core/spiffe-id.ts'
import { STORE_LIST_MAX } from '../core/store.ts'
import {
  type ApprovalParts,
  callerPrefix,
  createApprovals,
  ENTRIES_PREFIX,
  endedRun,
  type Kept,
  keptOf,
  placeOfId,
  runKey,
  type Slot,
  slotOf,
  storeKey
} from './approvals.ts'

export function createApprovalDesk(parts: ApprovalParts): ApprovalDesk {
  const { store } = parts
  const approvals = createApprovals(parts)
  return {
    async list(now, of) {
      const all = await store.list(of === undefined ? ENTRIES_PREFIX : callerPrefix(of.text), now, STORE_LIST_MAX)
      if (all.kind === 'unavailable') return all
      const entries = all.entries.flatMap(({ value }) => keptOf(value) ?? []).map(shown)
      return { kind: 'entries', more: all.more, entries: entries.sort((one, other) => one.askedAt - other.askedAt) }
    },
    decide: (id, verdict, by, reason, now) => decide(parts, id, verdict, by, reason, now),
    async request(need, now) {
      const answer = await approvals.use({ ...need, steps: ['grant'] }, '', now)
      if (answer.kind === 'unavailable') return answer
      if (answer.kind === 'ended') return not(409, `Run ${answer.run} has ended.`)
      const found = await find(parts, answer.id, now)
      return 'kept' in found ? { kind: 'done', entry: shown(found.kept) } : found
    },
    async release(id, by, now) {
      const found = await find(parts, id, now)
      if (!('kept' in found)) return found
      const { kept, text } = found
      if (kept.caller !== by.text && !parts.mayApprove(by)) return not(403, 'Only its holder, or who may approve, can release it.')
      if (kept.state !== 'waiting' && kept.state !== 'approved') return not(409, `It is ${kept.state} already.`)
      return write(parts, { kept, text }, { ...kept, until: now }, now)
    },
    async endRun(run, of, now) {
      const known = of === undefined ? 'yes' : await hasRun(parts, of, run, now)
      if (known !== 'yes') return known
      const put = await store.putOnce(runKey(run, of?.text), 'ended', now + ENDED_RUN_MS, now)
      if (put.kind === 'put' || put.kind === 'there') return { kind: 'done' }
      return put.kind === 'full' ? { kind: 'unavailable', because: 'the store is full' } : put
    }
  }
}

/** What a caller ends must be something: a place in the store for each name that anybody thinks of would fill it. */
async function hasRun({ store }: ApprovalParts, { text }: SpiffeId, run: string, now: number) {
  const own = await store.list(callerPrefix(text), now, REQUESTS_PER_CALLER_MAX * 2)
  if (own.kind === 'unavailable') return own
  return own.entries.some(({ value }) => keptOf(value)?.run === run) ? 'yes' : ({ kind: 'none' } as const)
}

async function decide(
  parts: ApprovalParts,
  id: string,
  verdict: 'approve' | 'refuse',
  by: SpiffeId,
  reason: string,
  now: number
): Promise<Acted> {
  if (!parts.mayApprove(by)) return not(403, `${by.text} is not one of the policy's approvers.`)
  if (reason.trim() === '' || reason.length > REASON_CHARACTERS_MAX)
    return not(409, `A reason has 1 to ${REASON_CHARACTERS_MAX} characters.`)
  const found = await find(parts, id, now)
  if (!('kept' in found)) return found
  const { kept } = found
  if (kept.caller === by.text || kept.blocked.includes(by.text)) {
    return not(403, 'Nobody decides about what it asked for itself, or what is done in its name.')
  }
  if (kept.state !== 'waiting') return not(409, `It is ${kept.state} already.`)
  const ended = await endedRun(parts.store, kept.run, kept.caller, now)
  if (ended?.kind === 'unavailable') return ended
  if (ended !== undefined) return not(409, `Run ${ended.run} has ended.`)
  const decided =
    verdict === 'approve' ? ({ state: 'approved', until: now + kept.lastsMs } as const) : ({ state: 'refused', until: kept.until } as const)
  return write(parts, found, { ...kept, ...decided, by: by.text, reason }, now)
}

async function write({ store }: ApprovalParts, { kept, text }: Slot, after: Kept, now: number): Promise<Acted> {
  const place = placeOfId(kept.id)
  if (place === undefined) return GONE
  const written = await store.replace(storeKey(place), text, JSON.stringify(after), after.until, now)
  if (written === 'replaced') return { kind: 'done', entry: shown(after) }
  if (written === 'changed') return not(409, 'Somebody else was faster; look again.')
  return { kind: 'unavailable', because: 'It is not known whether this was kept; look again.' }
}

const GONE: Acted = { kind: 'not', status: 404, says: 'There is no such request; it may have ended.' }

async function find({ store }: ApprovalParts, id: string, now: number): Promise<Slot | Acted> {
  const place = placeOfId(id)
  if (place === undefined) return GONE
  const slot = await slotOf(store, place, now)
  if (slot.kind === 'unavailable') return slot
  // A later request for the same thing has the same place and another id.
  return slot.kind === 'none' || slot.slot.kept.id !== id ? GONE : slot.slot
}

function not(status: 403 | 404 | 409, says: string): Acted {
  return { kind: 'not', status, says }
}

/** Without what only the store needs. */
function shown({ need: _need, check: _check, ...entry }: Kept): ApprovalEntry {
  return entry
}
