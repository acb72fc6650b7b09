/**
 * Charges calls to budgets: a granted one to all that it touches, by what it costs; a refused one to its workload, by its size. A refusal
 * costs too, because reading costs us: a workload whose budget is gone is not read any further, so none can keep the others waiting.
 */
import type { Caller } from '../core/caller.ts'
import type { AnyGrant } from '../core/decision.ts'
import type { DenyReason } from '../core/deny-reason.ts'
import type { Charge, Memory } from '../core/memory.ts'
import type { BudgetDocument } from '../core/policy-document.ts'
import type { RateFacts } from '../core/risk.ts'
import type { FurtherBudgets, Pace } from '../core/risk-rules.ts'
import { collectionKey, keysOf, operationKey, tenantKey } from './budget-keys.ts'
import { costOf, SMALL_BODY_BYTES } from './price.ts'
import { admit, rateFacts } from './rate.ts'

interface Unpaid {
  readonly ok: false
  readonly reason: DenyReason
  readonly retryAfterMs?: number
}

export type Paid = { readonly ok: true } | Unpaid

/** What a call is charged with beside its workload's own budget. */
export interface Terms {
  /** Undefined: none but the workload's own. */
  readonly further: FurtherBudgets | undefined
  /** Id of the database. */
  readonly database: string
  /** Length of the body. */
  readonly bytes: number
  /** What its standing and this process's share leave of the workload's own budgets: above 0, at most 1. */
  readonly share: number
  /** This process's share of the others: `Memory.share`. */
  readonly whole: number
}

const PLAIN: Terms = { further: undefined, database: '', bytes: 0, share: 1, whole: 1 }

/**
 * @param budget the workload's own: as written, or as learnt
 * @param check names this check and its repeats (Envoy's SVID and `http.id`); empty when it cannot be named, then each one counts
 * @param now ms since the epoch
 */
export function charge(grant: AnyGrant, budget: BudgetDocument, check: string, now: number, memory: Memory, terms: Terms = PLAIN): Paid {
  const before = check === '' ? undefined : memory.repeatOf(check, now)
  const result = before ?? spend(grant, budget, now, memory, terms)
  if (before === undefined && check !== '') memory.keepRepeat(check, result, now)
  return result.kind === 'admitted' ? PAID : unpaid(result, budget, costOf(grant.call))
}

/** Kept for every check for some seconds, so one object serves them all. */
const ADMITTED: Charge = { kind: 'admitted' }
const FULL: Charge = { kind: 'full' }
const PAID: Paid = { ok: true }

function paceOf({ per_second: perSecond, burst }: BudgetDocument): Pace {
  return { perSecond, burst }
}

/**
 * No call leaves a larger debt than a burst, so what is larger was left by a clock that was ahead and has come back: it is cut to the
 * whole burst, which gives nothing away, and nobody waits for an hour that will not pass.
 */
function tatOf(memory: Memory, name: string, now: number, { perSecond, burst }: Pace, share: number): number | undefined {
  const tat = memory.budgetOf(name)
  const most = now + (burst * 1000) / perSecond / share
  // A second of slack: rounding is no step of a clock.
  if (tat === undefined || tat <= most + 1000) return tat
  memory.keepBudget(name, most, now)
  return most
}

/** All or nothing: a call that is over one budget is charged to none. */
function spend(grant: AnyGrant, budget: BudgetDocument, now: number, memory: Memory, terms: Terms): Charge {
  const cost = costOf(grant.call)
  const name = grant.caller.id.text
  const pace = paceOf(budget)
  const own = admit(tatOf(memory, name, now, pace, terms.share), now, cost, pace, terms.share)
  if (own.kind !== 'admitted') return own
  const { further } = terms
  if (further === undefined) return memory.keepBudget(name, own.tat, now) ? ADMITTED : FULL
  const [names, tats]: [string[], number[]] = [[name], [own.tat]]
  const asked = (of: string, its: Pace, price: number, where: string, share: number): Charge | undefined => {
    const admission = admit(tatOf(memory, where, now, its, share), now, price, its, share)
    if (admission.kind !== 'admitted') return { ...admission, of, pace: its }
    names.push(where)
    tats.push(admission.tat)
    return undefined
  }
  const refused = askFurther(grant, further, cost, terms, asked)
  if (refused !== undefined) return refused
  for (let at = 0; at < names.length; at++) if (!memory.keepBudget(names[at] as string, tats[at] as number, now)) return FULL
  return ADMITTED
}

type Asked = (of: string, pace: Pace, price: number, where: string, share: number) => Charge | undefined

function askFurther(grant: AnyGrant, further: FurtherBudgets, cost: number, terms: Terms, asked: Asked): Charge | undefined {
  const { call } = grant
  const keys = keysOf(grant.caller)
  // One body, however long, can be sent with a full budget: what may not be sent at all is another limit's matter.
  if (terms.bytes > SMALL_BODY_BYTES) {
    const refused = asked('bytes', further.bytes, Math.min(terms.bytes, further.bytes.burst), keys.bytes, terms.share)
    if (refused !== undefined) return refused
  }
  const kind = further.operations?.[call.operation]
  if (kind !== undefined) {
    const refused = asked(call.operation, kind, cost, operationKey(keys, call.operation), terms.share)
    if (refused !== undefined) return refused
  }
  if (grant.kind !== 'tenant') return undefined
  if (further.tenant !== undefined) {
    const refused = asked('tenant', further.tenant, cost, tenantKey(keys, grant.tenant), terms.whole)
    if (refused !== undefined) return refused
  }
  return further.collection === undefined ? undefined : askCollections(grant, further.collection, cost, terms, asked)
}

/** Each collection pays the whole price, and once however often the call names it: nothing is kept before all are asked. */
function askCollections(
  grant: Extract<AnyGrant, { kind: 'tenant' }>,
  pace: Pace,
  cost: number,
  { database, whole }: Terms,
  asked: Asked
): Charge | undefined {
  const { targets } = grant
  const keys = keysOf(grant.caller)
  for (const target of targets) {
    const where = collectionKey(keys, database, target)
    if (where === undefined) continue
    const refused = asked('collection', pace, cost, where, whole)
    if (refused !== undefined) return refused
  }
  return undefined
}

/** Bytes of a refused body that cost as much as one query: reading them takes about as long as a whole decision. */
const BYTES_PER_COST = 32 * 1024

/** Asked before a call is read: the denial when not even one more query is in the budget. A repeat of a charged check passes. */
export function overdrawn(
  caller: Caller,
  budget: BudgetDocument,
  check: string,
  now: number,
  memory: Memory,
  share = 1
): Unpaid | undefined {
  const pace = paceOf(budget)
  const admission = admit(tatOf(memory, caller.id.text, now, pace, share), now, 1, pace, share)
  if (admission.kind !== 'wait') return undefined
  if (check !== '' && memory.repeatOf(check, now) !== undefined) return undefined
  const because = `the budget of ${budget.per_second}/s, burst ${budget.burst}, is spent; the call was not read`
  return { ok: false, reason: { kind: 'rate-exceeded', because }, retryAfterMs: admission.retryAfterMs }
}

/** @param bytes length of the body that had to be read; a debt is never larger than the whole burst */
export function chargeRefusal(
  caller: Caller,
  budget: BudgetDocument,
  check: string,
  bytes: number,
  now: number,
  memory: Memory,
  share = 1
): void {
  if (check !== '' && memory.repeatOf(check, now) !== undefined) return
  const msPerCost = 1000 / budget.per_second / share
  const cost = 1 + Math.floor(bytes / BYTES_PER_COST)
  const before = Math.max(tatOf(memory, caller.id.text, now, paceOf(budget), share) ?? now, now)
  // A debt that was larger already, by a larger budget or a slower rate, is not forgiven for that.
  const tat = Math.max(before, Math.min(before + cost * msPerCost, now + (budget.burst * 1000) / budget.per_second))
  // Without room there is nothing to charge to; a granted call is refused for that, a refused one already is.
  memory.keepBudget(caller.id.text, tat, now)
  if (check !== '') memory.keepRepeat(check, ADMITTED, now)
}

/** What is left of the workload's own budget, for headers. */
export function rateLeft(caller: Caller, budget: BudgetDocument, now: number, memory: Memory, share = 1): RateFacts {
  return rateFacts(memory.budgetOf(caller.id.text), now, paceOf(budget), share)
}

function unpaid(charge: Exclude<Charge, { kind: 'admitted' }>, own: BudgetDocument, cost: number): Unpaid {
  if (charge.kind === 'full') {
    return { ok: false, reason: { kind: 'state-unavailable', because: 'there is no room for another budget' } }
  }
  const { perSecond, burst } = charge.pace ?? paceOf(own)
  const budget = charge.of === undefined ? 'the budget' : `the budget for ${charge.of}`
  const price = Number(cost.toFixed(2))
  if (charge.kind === 'wait') {
    const because = `cost ${price} is over ${budget} of ${perSecond}/s, burst ${burst}`
    return { ok: false, reason: { kind: 'rate-exceeded', because }, retryAfterMs: charge.retryAfterMs }
  }
  const because = `cost ${price} is above the whole burst of ${burst}${charge.of === undefined ? '' : ` of ${budget}`}`
  const remedy = `Send smaller calls: fewer queries, fewer results, or no raw vectors; one call can cost at most ${burst}.`
  return { ok: false, reason: { kind: 'cost-exceeded', because, remedy } }
}
