/** From the grant on: a call that is known, under a policy. The one place where the commands ask a policy by themselves. */
import type { Caller } from '../core/caller.ts'
import { type DenyReason, isShadowed } from '../core/deny-reason.ts'
import type { VectorCall } from '../core/vector-call.ts'
import { approvalNeed } from '../policy/approval-need.ts'
import { grantFor, grantProbe, knownSubject, knownWorkload, tenantOf } from '../policy/grant.ts'
import { isInShadow, type Policy, type Workload } from '../policy/policy.ts'
import type { CallFacts } from './replay-facts.ts'

export type Outcome =
  | {
      readonly verdict: 'allow'
      readonly rule: string
      readonly tenant: string | undefined
      /** What it would be denied for, were that not in shadow. */
      readonly judged: DenyReason | undefined
      /** Somebody else has to say yes as well, because of this line of the policy. */
      readonly waits: string | undefined
    }
  | { readonly verdict: 'deny'; readonly reason: DenyReason; readonly tenant: string | undefined }
  /** A fact is missing. */
  | { readonly verdict: 'unknown'; readonly because: string }

/** Budgets and risk are not of the policy alone: they are not asked here. Nor is whether somebody said yes, only whether somebody must. */
export function regrant(facts: CallFacts, policy: Policy): Outcome {
  const { at, caller: proven, call } = facts
  if (proven === undefined) return unknown('nobody was proven to call')
  const workload = knownWorkload(proven, policy, at)
  if (!workload.ok) {
    const outcome = shadowed(workload.reason, undefined, policy)
    return outcome.verdict === 'allow' && call === undefined ? unknown(UNREAD) : outcome
  }
  const caller = underIssuers(proven, policy)
  if (caller === undefined) return deny({ kind: 'subject-invalid', because: `the policy lists no issuer ${proven.subject?.issuer}` })
  const known = knownSubject(caller, workload.value, policy)
  if (!known.ok) return deny(known.reason)
  if (call === undefined) return unknown(UNREAD)
  if (call.operation === 'probe') {
    const probe = grantProbe(caller, call)
    return probe.ok ? { verdict: 'allow', rule: 'probe', tenant: undefined, judged: undefined, waits: undefined } : deny(probe.reason)
  }
  return regrantCall(facts, call, caller, workload.value, policy)
}

const UNREAD = 'it was refused before the call was read'

function regrantCall(
  { at, database, purpose, targets }: CallFacts,
  call: VectorCall,
  caller: Caller,
  workload: Workload,
  policy: Policy
): Outcome {
  const tenant = tenantOf(call, { workload, subject: caller.subject, database, policy, pin: undefined })
  if (!tenant.ok) return shadowed(tenant.reason, undefined, policy)
  if (targets === undefined) return unknown('it names a collection by an id only')
  const mine = targets.map((target) => ({ ...target, tenant: target.claim?.kind === 'none' ? tenant.value : target.tenant }))
  const grant = grantFor(caller, call, tenant.value, mine, database, policy, { workload, purpose, now: at })
  if (!grant.ok) return shadowed(grant.reason, tenant.value, policy)
  const { rule, judged, needs } = grant.value
  const need = approvalNeed(grant.value, needs, policy, { database, digest: () => '', run: undefined })
  const allowed = { verdict: 'allow', rule, tenant: tenant.value } as const
  if (need === undefined || !isInShadow(policy, tenant.value)) return { ...allowed, judged, waits: need?.because }
  return { ...allowed, judged: judged ?? { kind: 'approval-required', because: need.because }, waits: undefined }
}

/** A denial, or in shadow an allow that says so, as `settle.ts` has it. */
function shadowed(reason: DenyReason, tenant: string | undefined, policy: Policy): Outcome {
  if (!isInShadow(policy, tenant) || !isShadowed(reason.kind)) return deny(reason, tenant)
  return { verdict: 'allow', rule: 'shadow', tenant, judged: reason, waits: undefined }
}

/** Where the entry of a workload stands; undefined for one that is not known. */
export function sourceOfWorkload(caller: Caller, policy: Policy, at: number): string | undefined {
  const workload = knownWorkload(caller, policy, at)
  return workload.ok ? workload.value.source : undefined
}

/** The end user under this policy's list of issuers: what a token may name is what is listed. */
function underIssuers(caller: Caller, policy: Policy): Caller | undefined {
  const { subject } = caller
  if (subject === undefined) return caller
  const issuer = policy.subjects.get(subject.issuer)
  if (issuer === undefined) return undefined
  return { ...caller, subject: { ...subject, tenants: subject.tenants.filter((one) => issuer.tenants.has(one)) } }
}

function deny(reason: DenyReason, tenant?: string): Outcome {
  return { verdict: 'deny', reason, tenant }
}

function unknown(because: string): Outcome {
  return { verdict: 'unknown', because }
}
