/**
 * Whether one rule lets one call pass. A rule is a permission of its own: a call passes when any rule admits it, within that rule's
 * limits, so the order of rules says nothing. A refusal speaks of the rule that came closest.
 */
import type { Caller } from '../core/caller.ts'
import { accept, type DenyKind, type Refused, type Result, refuse } from '../core/deny-reason.ts'
import type { Action } from '../core/policy-document.ts'
import type { Operation, ResolvedTarget, Shape } from '../core/vector-call.ts'
import { findId } from './id-index.ts'
import type { Data, Limits, NamedRules, Policy, Rule, Workload } from './policy.ts'
import type { Facts } from './when.ts'
import { factsOf } from './when-facts.ts'

/** What a rule is asked about. */
export interface Asked {
  readonly caller: Caller
  readonly workload: Workload
  readonly policy: Policy
  readonly action: Action
  readonly tenant: string
  readonly purpose: string | undefined
  readonly shape: Shape
  /** Id of the database. */
  readonly database: string
  /** Milliseconds since the epoch. */
  readonly now: number
}

/** How far a rule got with a call; the first gate that is closed is what it is refused for. */
const GATES = ['rule', 'region', 'attestation', 'purpose', 'when', 'vectors_out', 'top_k', 'queries', 'records'] as const
/** The gate after the last one. */
export const PASSED = GATES.length
const OWN_GATE = GATES.indexOf('purpose')

/** The rule that came closest so far. */
export interface Closest {
  readonly target: ResolvedTarget
  /** What conditions speak about at this target, once one has asked. */
  facts: { readonly of: Data; readonly are: Facts } | undefined
  gate: number
  entry: NamedRules | undefined
  rule: Rule | undefined
  /** A rule in shadow that is for this call, and would refuse it. */
  shadow: Rule | undefined
  /** A rule that admits the call with somebody else's yes. */
  needy: Rule | undefined
}

export function nothingYet(target: ResolvedTarget): Closest {
  return { target, facts: undefined, gate: -1, entry: undefined, rule: undefined, shadow: undefined, needy: undefined }
}

/** Asks one more rule; true when it admits the call. */
export function consider(closest: Closest, entry: NamedRules, rule: Rule, asked: Asked): boolean {
  const gate = gateOf(closest, entry, rule, asked)
  if (gate === PASSED && rule.needs !== undefined) return considerNeedy(closest, rule)
  if (gate > closest.gate || (gate === closest.gate && isWider(rule, closest.rule, gate))) {
    closest.gate = gate
    closest.entry = entry
    closest.rule = rule
  }
  if (rule.shadow && isOfRule(gate, entry, asked) && (closest.shadow === undefined || weightOf(rule) < weightOf(closest.shadow)))
    closest.shadow = rule
  return gate === PASSED
}

/** Whether the gate is one that the rule itself has: a region, a class of attestation and the purposes of the data are not its to put in shadow. */
function isOfRule(gate: number, { data }: NamedRules, { purpose }: Asked): boolean {
  return gate >= OWN_GATE && gate < PASSED && serves(data.purposes, purpose)
}

/** A rule that admits the call if somebody else says yes too: the one that asks for least, and none where another asks for nothing. */
function considerNeedy(closest: Closest, rule: Rule): false {
  if (closest.needy === undefined || weightOf(rule) < weightOf(closest.needy)) closest.needy = rule
  return false
}

/** No two kinds of needs weigh the same, so that order says nothing. A grant is given once, an approval for each call. */
function weightOf({ needs }: Rule): number {
  return (needs?.grant === true ? 1 : 0) + (needs?.approval === true ? 2 : 0)
}

function gateOf(closest: Closest, { data }: NamedRules, rule: Rule, asked: Asked): number {
  const { caller, workload, policy, action, tenant, purpose, shape } = asked
  if (!rule.tenants.has(tenant) || !rule.actions.has(action)) return 0
  if (rule.workloads !== undefined && findId(rule.workloads, caller.id) === undefined) return 0
  const region = data.region ?? policy.tenantRegions.get(tenant)
  if (region !== undefined && !workload.regions.has(region)) return 1
  if (workload.attestation < data.attestation) return 2
  if (!serves(data.purposes, purpose) || !serves(rule.purposes, purpose)) return 3
  if (rule.when !== undefined && rule.when.fails(factsAt(closest, data, asked)) !== undefined) return 4
  const { limits } = rule
  if (shape.vectorsOut && limits.vectors_out === 'deny') return 5
  if (shape.topK > limits.top_k) return 6
  if (shape.queries > limits.queries) return 7
  return shape.records > limits.records ? 8 : PASSED
}

function factsAt(closest: Closest, data: Data, asked: Asked): Facts {
  if (closest.facts?.of !== data) closest.facts = { of: data, are: factsOf(asked, closest.target, data) }
  return closest.facts.are
}

function serves(purposes: ReadonlySet<string> | undefined, purpose: string | undefined): boolean {
  return purposes === undefined || (purpose !== undefined && purposes.has(purpose))
}

/** Of two rules that fail at the same limit, the wider one is what the caller is told of. */
function isWider(rule: Rule, other: Rule | undefined, gate: number): boolean {
  const limit = GATES[gate]
  return (limit === 'top_k' || limit === 'queries' || limit === 'records') && rule.limits[limit] > (other?.limits[limit] ?? 0)
}

/** Why the rule that came closest does not admit the call. @param where names the collection, for the record */
export function refusalOf(closest: Closest, asked: Asked, where: string): Refused {
  const { gate, entry, rule } = closest
  const { caller, workload, policy, action, tenant, purpose, shape } = asked
  if (entry === undefined || rule === undefined || gate <= 0) {
    return refuseAction(action, `no rule allows ${action} on ${where} for tenant ${tenant} and ${caller.id.text}`)
  }
  const { data } = entry
  switch (GATES[gate]) {
    case 'region': {
      const region = data.region ?? policy.tenantRegions.get(tenant)
      return refuse('residency-conflict', `${where} is in ${region}, and ${workload.source} has regions ${shown(workload.regions)}`)
    }
    case 'attestation': {
      const has = workload.attestationClass ?? 'no class'
      return refuse('attestation-too-weak', `${where} asks for ${data.attestationClass}, and ${workload.source} has ${has}`)
    }
    case 'purpose': {
      const wanted = serves(data.purposes, purpose) ? `${rule.source} is for` : `${where} serves`
      const purposes = serves(data.purposes, purpose) ? rule.purposes : data.purposes
      const because = `${wanted} ${shown(purposes ?? new Set())}, and the purpose of the call is ${purpose ?? 'not said'}`
      return refuse('purpose-conflict', because, purpose === undefined ? 'Say the purpose in x-vecauthz-purpose.' : undefined)
    }
    case 'when':
      return refuseAction(action, `when ${rule.when?.fails(factsAt(closest, data, asked))} (${rule.source}) for ${action} on ${where}`)
    default:
      return refuseLimit(gate, rule, shape)
  }
}

function refuseLimit(gate: number, { limits, source }: Rule, shape: Shape): Refused {
  const limit = GATES[gate]
  if (limit === 'vectors_out') {
    return refuse('vectors-not-allowed', `limits.vectors_out is deny (${source})`, 'Leave embeddings out of what the call includes.')
  }
  if (limit === 'top_k') {
    const asked = Number.isFinite(shape.topK) ? `${shape.topK} results` : 'an unbounded number of results'
    return tooLarge(`${asked} asked`, limit, limits, source, `Ask for at most ${limits.top_k} results.`)
  }
  if (limit === 'queries') {
    return tooLarge(`${shape.queries} queries`, limit, limits, source, `Send at most ${limits.queries} queries a call.`)
  }
  return tooLarge(`${shape.records} records`, 'records', limits, source, `Send at most ${limits.records} records a call.`)
}

function tooLarge(asked: string, limit: 'top_k' | 'queries' | 'records', limits: Limits, source: string, remedy: string): Refused {
  return refuse('call-too-large', `${asked}, limits.${limit} is ${limits[limit]} (${source})`, remedy)
}

const REFUSED_ACTION = {
  search: 'collection-not-allowed',
  read: 'collection-not-allowed',
  observe: 'collection-not-allowed',
  write: 'write-not-allowed',
  define: 'write-not-allowed',
  delete: 'delete-not-allowed',
  drop: 'delete-not-allowed',
  export: 'export-not-allowed'
} as const satisfies Record<Exclude<Operation, 'probe'>, DenyKind>

function refuseAction(action: Action, because: string): Refused {
  return refuse(REFUSED_ACTION[action], because)
}

/**
 * What the call is for: what it says, if its workload may say that; else the one purpose of a workload that has one only.
 * @param said the header `x-vecauthz-purpose`
 */
export function purposeOf({ purposes, source }: Workload, said: string | undefined): Result<string | undefined> {
  if (said === undefined) return accept(purposes.size === 1 ? [...purposes][0] : undefined)
  if (purposes.has(said)) return accept(said)
  return refuse('purpose-conflict', `the call says purpose ${JSON.stringify(said.slice(0, 64))}, and ${source} has ${shown(purposes)}`)
}

function shown(names: ReadonlySet<string>): string {
  return [...names].join(', ') || 'none'
}
