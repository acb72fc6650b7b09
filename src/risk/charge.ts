/** Charges a granted call to its workload's budget. Only a Grant can be charged, so an unchecked call never spends anything. */
import type { Grant, ProbeGrant } from '../core/decision.ts'
import type { DenyReason } from '../core/deny-reason.ts'
import type { Charge, Memory } from '../core/memory.ts'
import type { BudgetDocument } from '../core/policy-document.ts'
import { admit } from './rate.ts'

export type Paid = { readonly ok: true } | { readonly ok: false; readonly reason: DenyReason; readonly retryAfterMs?: number }

/**
 * @param check names this check and its repeats (Envoy's SVID and `http.id`); empty when it cannot be named, then each one counts
 * @param now ms since the epoch
 */
export function charge(grant: Grant | ProbeGrant, budget: BudgetDocument, check: string, now: number, memory: Memory): Paid {
  const before = check === '' ? undefined : memory.repeatOf(check, now)
  if (before !== undefined) return paid(before, budget, costOf(grant))
  const result = spend(grant, budget, now, memory)
  if (check !== '') memory.keepRepeat(check, result, now)
  return paid(result, budget, costOf(grant))
}

/** A batch of searches costs what its searches would cost one by one. */
function costOf(grant: Grant | ProbeGrant): number {
  return Math.max(1, grant.call.shape.queries)
}

/** Kept for every check for some seconds, so one object serves them all. */
const ADMITTED: Charge = { kind: 'admitted' }
const FULL: Charge = { kind: 'full' }

function spend(grant: Grant | ProbeGrant, budget: BudgetDocument, now: number, memory: Memory): Charge {
  const name = grant.caller.id.text
  const admission = admit(memory.budgetOf(name), now, costOf(grant), { perSecond: budget.per_second, burst: budget.burst })
  if (admission.kind !== 'admitted') return admission
  return memory.keepBudget(name, admission.tat, now) ? ADMITTED : FULL
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
