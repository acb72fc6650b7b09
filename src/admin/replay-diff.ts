/** A recorded decision beside what another policy says about the same call, and many of them counted. */
import { type DenyKind, POLICY_DENIALS } from '../core/deny-reason.ts'
import type { Policy } from '../policy/policy.ts'
import type { CallFacts, Recorded } from './replay-facts.ts'
import { regrant } from './replay-grant.ts'

/** What a policy alone decides. Everything else (identity, reading, budgets, risk, outages) is as it was. */
const OF_POLICY: readonly DenyKind[] = [...POLICY_DENIALS, 'identity-revoked', 'subject-required']

/** Why a call could not be read, which comes after who calls and for whom, and before anything that it says. */
const OF_READING: readonly DenyKind[] = ['operation-unknown', 'call-unreadable', 'call-ambiguous', 'call-too-large']

export interface Compared {
  /** `allow`, or the reason of the denial. */
  readonly before: string
  /** The same, or `unknown` where the record does not have what the other policy asks for. */
  readonly after: string
  readonly because: string | undefined
  /** The rule that allowed it, or allows it now. */
  readonly rule: string | undefined
}

export function compare(facts: CallFacts, recorded: Recorded, policy: Policy): Compared {
  const before = recorded.verdict === 'allow' ? 'allow' : (recorded.reason ?? 'deny')
  const as = (after: string, because: string | undefined, rule = recorded.rule): Compared => ({ before, after, because, rule })
  const ofPolicy = before === 'allow' || OF_POLICY.some((kind) => kind === before)
  const unread = facts.call === undefined && OF_READING.some((kind) => kind === before)
  // Its call was never read, and why not is no matter of policy.
  if (!ofPolicy && facts.call === undefined && !unread) return as(before, undefined)
  const outcome = regrant(facts, policy)
  if (outcome.verdict === 'deny') return as(outcome.reason.kind, outcome.reason.because)
  if (!ofPolicy || (outcome.verdict === 'unknown' && (unread || isOfDatabase(facts, before)))) return as(before, undefined)
  if (outcome.verdict === 'unknown') return as('unknown', outcome.because)
  const { rule, waits } = outcome
  return waits === undefined || recorded.approved ? as('allow', undefined, rule) : as('approval-required', waits, rule)
}

/** A record for which there is no policy to ask. */
export function cannotSay({ verdict, reason, rule }: Recorded, because: string): Compared {
  return { before: verdict === 'allow' ? 'allow' : (reason ?? 'deny'), after: 'unknown', because, rule }
}

/** A tenant's database has no collection of that id, whatever the policy. */
function isOfDatabase({ call, targets }: CallFacts, before: string): boolean {
  return call !== undefined && targets === undefined && before === 'collection-not-allowed'
}

/** One that comes out otherwise, or cannot be said. */
export interface Change extends Compared {
  readonly line: number
  readonly id: string
  readonly ts: string
  readonly caller: string | undefined
  readonly tenant: string | undefined
  readonly operation: string | undefined
  /** Places as `database/namespace/name`. */
  readonly where: readonly string[]
}

export function changeOf(line: number, { database, caller, call }: CallFacts, { id, ts, tenant }: Recorded, compared: Compared): Change {
  const where = (call?.targets ?? []).map(({ namespace, collection }) => {
    const name = collection.kind === 'name' ? collection.name : collection.kind === 'id' ? collection.id : collection.kind
    return [database, ...(namespace === undefined ? [] : [namespace]), name].join('/')
  })
  return { line, id, ts, caller: caller?.id.text, tenant, operation: call?.operation, where, ...compared }
}

/** Counted by the words that `of` gives, most first. */
export function counted<T>(all: readonly T[], of: (one: T) => string): readonly (readonly [words: string, count: number])[] {
  const counts = new Map<string, number>()
  for (const one of all) counts.set(of(one), (counts.get(of(one)) ?? 0) + 1)
  return [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))
}
