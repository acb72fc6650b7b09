/** One question to a policy of a test: who does what with which collection, and what the whole of `policy/` says. */
import type { DocumentFault } from '../../src/core/policy-document.ts'
import type { Operation, Shape } from '../../src/core/vector-call.ts'
import { SERVED } from '../../src/databases/dialects.ts'
import { type Compiled, compilePolicy } from '../../src/policy/compile.ts'
import { grantFor, knownWorkload, tenantOf } from '../../src/policy/grant.ts'
import type { Policy } from '../../src/policy/policy.ts'
import { callerOf, callOf, targetOf } from './grants.ts'
import { documentOf } from './policy.ts'

export const TD = 'spiffe://demo.vecauthz.test'
export const NOON = Date.UTC(2026, 10, 21, 12)

export interface Question {
  /** Path of the SPIFFE ID. */
  readonly who: string
  readonly does?: Operation
  readonly tenant?: string
  readonly collection?: string
  readonly shape?: Partial<Shape>
  readonly purpose?: string
  readonly now?: number
}

export interface Answer {
  /** `allow`, or the kind of the denial. */
  readonly said: string
  readonly because: string
  readonly remedy: string | undefined
}

/** A policy with database `demo` (Chroma) and namespace `rag`. */
export function compileText(text: string): Compiled {
  const databases = SERVED.map((one) => ({ id: one.kind === 'chroma' ? 'demo' : one.kind, ...one }))
  return compilePolicy(documentOf(text), { databases, subjectIssuers: [] }, 'r', (path) => path.join('.'))
}

export function policyFrom(text: string): Policy {
  const compiled = compileText(text)
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.faults))
  return compiled.policy
}

export function faultsOf(text: string): readonly DocumentFault[] {
  const compiled = compileText(text)
  return compiled.ok ? [] : compiled.faults
}

export function ask(policy: Policy, { who, does = 'search', tenant = 'acme', collection, shape, purpose, now = NOON }: Question): Answer {
  const denied = ({ kind, because, remedy }: { kind: string; because: string; remedy?: string }) => ({ said: kind, because, remedy })
  const caller = callerOf(TD + who)
  const call = callOf(does, tenant, collection, shape)
  const workload = knownWorkload(caller, policy, now)
  if (!workload.ok) return denied(workload.reason)
  const named = tenantOf(call, { workload: workload.value, subject: undefined, database: 'demo', policy, pin: undefined })
  if (!named.ok) return denied(named.reason)
  const targets = [targetOf(named.value, collection)]
  const grant = grantFor(caller, call, named.value, targets, 'demo', policy, { workload: workload.value, purpose, now })
  return grant.ok ? { said: 'allow', because: grant.value.rule, remedy: undefined } : denied(grant.reason)
}
