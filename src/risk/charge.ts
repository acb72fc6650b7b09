/**
 * Charges calls to their workload's budget: a granted one by its queries, a refused one by its size. A refusal costs too, because
 * reading costs us: a workload whose budget is gone is not read any further, so none can keep the others waiting.
 */
import type { Caller } from '../core/caller.ts'
import type { AnyGrant } from '../core/decision.ts'
import type { DenyReason } from '../core/deny-reason.ts'
import type { Charge, Memory } from '../core/memory.ts'
import type { BudgetDocument } from '../core/policy-document.ts'
import { admit } from './rate.ts'

interface Unpaid {
  readonly ok: false
  readonly reason: DenyReason
  readonly retryAfterMs?: number
}

export type Paid = { readonly ok: true } | Unpaid

/**
 * @param check names this check and its repeats (Envoy's SVID and `http.id`); empty when it cannot be named, then each one counts
 * @param now ms since the epoch
 */
export function charge(grant: AnyGrant, budget: BudgetDocument, check: string, now: number, memory: Memory): Paid {
  const before = check === '' ? undefined : memory.repeatOf(check, now)
  if (before !== undefined) return paid(before, budget, costOf(grant))
  const result = spend(grant, budget, now, memory)
  if (check !== '') memory.keepRepeat(check, result, now)
  return paid(result, budget, costOf(grant))
}

/** A batch of searches costs what its searches would cost one by one. */
function costOf(grant: AnyGrant): number {
  return Math.max(1, grant.call.shape.queries)
}

/** Kept for every check for some seconds, so one object serves them all. */
const ADMITTED: Charge = { kind: 'admitted' }
const FULL: Charge = { kind: 'full' }

function spend(grant: AnyGrant, budget: BudgetDocument, now: number, memory: Memory): Charge {
  const name = grant.caller.id.text
  const admission = admit(memory.budgetOf(name), now, costOf(grant), { perSecond: budget.per_second, burst: budget.burst })
  if (admission.kind !== 'admitted') return admission
  return memory.keepBudget(name, admission.tat, now) ? ADMITTED : FULL
}

/** Bytes of a refused body that cost as much as one query: reading them takes about as long as a whole decision. */
const BYTES_PER_COST = 32 * 1024

/** Asked before a call is read: the denial when not even one more query is in the budget. A repeat of a charged check passes. */
export function overdrawn(caller: Caller, budget: BudgetDocument, check: string, now: number, memory: Memory): Unpaid | undefined {
  const admission = admit(memory.budgetOf(caller.id.text), now, 1, { perSecond: budget.per_second, burst: budget.burst })
  if (admission.kind !== 'wait') return undefined
  if (check !== '' && memory.repeatOf(check, now) !== undefined) return undefined
  const because = `the budget of ${budget.per_second}/s, burst ${budget.burst}, is spent; the call was not read`
  return { ok: false, reason: { kind: 'rate-exceeded', because }, retryAfterMs: admission.retryAfterMs }
}

/** @param bytes length of the body that had to be read; a debt is never larger than the whole burst */
export function chargeRefusal(caller: Caller, budget: BudgetDocument, check: string, bytes: number, now: number, memory: Memory): void {
  if (check !== '' && memory.repeatOf(check, now) !== undefined) return
  const msPerCost = 1000 / budget.per_second
  const cost = 1 + Math.floor(bytes / BYTES_PER_COST)
  const tat = Math.min(Math.max(memory.budgetOf(caller.id.text) ?? now, now) + cost * msPerCost, now + budget.burst * msPerCost)
  // Without room there is nothing to charge to; a granted call is refused for that, a refused one already is.
  memory.keepBudget(caller.id.text, tat, now)
  if (check !== '') memory.keepRepeat(check, ADMITTED, now)
}

function paid(charge: Charge, budget: BudgetDocument, cost: number): Paid {
  switch (charge.kind) {
    case 'admitted':
      return { ok: true }
    case 'wait': {
      const because = `cost ${cost} is over the budget of ${budget.per_second}/s, burst ${budget.burst}`
      return { ok: false, reason: { kind: 'rate-exceeded', because }, retryAfterMs: charge.retryAfterMs }
    }
    case 'never': {
      const because = `cost ${cost} is above the whole burst of ${budget.burst}`
      return { ok: false, reason: { kind: 'cost-exceeded', because, remedy: `Send at most ${budget.burst} queries a call.` } }
    }
    case 'full':
      return { ok: false, reason: { kind: 'state-unavailable', because: 'there is no room for another budget' } }
  }
}
