/** From the grant on: a call that is known, under a policy. The one place where the commands ask a policy by themselves. */
import type { Caller } from '../core/caller.ts'
import type { DenyReason } from '../core/deny-reason.ts'
import { grantFor, grantProbe, knownSubject, knownWorkload, tenantOf } from '../policy/grant.ts'
import type { Policy } from '../policy/policy.ts'
import type { CallFacts } from './replay-facts.ts'

export type Outcome =
  | { readonly verdict: 'allow'; readonly rule: string; readonly tenant: string | undefined }
  | { readonly verdict: 'deny'; readonly reason: DenyReason; readonly tenant: string | undefined }
  /** A fact is missing. */
  | { readonly verdict: 'unknown'; readonly because: string }

/** Budgets, risk and approvals are not of the policy alone: they are not asked here. */
export function regrant({ at, caller: proven, database, purpose, call, targets }: CallFacts, policy: Policy): Outcome {
  if (proven === undefined) return unknown('nobody was proven to call')
  const workload = knownWorkload(proven, policy, at)
  if (!workload.ok) return deny(workload.reason)
  const caller = underIssuers(proven, policy)
  if (caller === undefined) return deny({ kind: 'subject-invalid', because: `the policy lists no issuer ${proven.subject?.issuer}` })
  const known = knownSubject(caller, workload.value, policy)
  if (!known.ok) return deny(known.reason)
  if (call === undefined) return unknown('it was refused before the call was read')
  if (call.operation === 'probe') {
    const probe = grantProbe(caller, call)
    return probe.ok ? { verdict: 'allow', rule: 'probe', tenant: undefined } : deny(probe.reason)
  }
  const tenant = tenantOf(call, { workload: workload.value, subject: caller.subject, database, policy, pin: undefined })
  if (!tenant.ok) return deny(tenant.reason)
  if (targets === undefined) return unknown('it names a collection by an id only')
  const mine = targets.map((target) => ({ ...target, tenant: target.claim?.kind === 'none' ? tenant.value : target.tenant }))
  const grant = grantFor(caller, call, tenant.value, mine, database, policy, { workload: workload.value, purpose, now: at })
  return grant.ok ? { verdict: 'allow', rule: grant.value.rule, tenant: tenant.value } : deny(grant.reason, tenant.value)
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
