/** The texts of a granted call, looked through where its policy asks for it. */
import type { DenyReason } from './core/deny-reason.ts'
import type { Inbound } from './core/inbound.ts'
import type { Screened, ScreeningRules } from './core/screening.ts'
import { textsOf } from './databases/call-text.ts'
import { actionOf, screen, type TenantNames, tenantNames } from './screening/screen.ts'

export interface Screening {
  readonly found: readonly Screened[]
  readonly refusal: DenyReason | undefined
}

/** By the tenants of a policy: made once for each. */
const namesOf = new WeakMap<ReadonlySet<string>, TenantNames>()

/** @param tenants of the policy. @param tenant whose call it is */
export function screenCall(inbound: Inbound, rules: ScreeningRules, tenants: ReadonlySet<string>, tenant: string): Screening | undefined {
  let names = namesOf.get(tenants)
  if (names === undefined) {
    names = tenantNames(rules.tenants === undefined ? [] : tenants)
    namesOf.set(tenants, names)
  }
  const found = screen(textsOf(inbound), rules, names, tenant)
  if (found.length === 0) return undefined
  const denied = found.filter((one) => actionOf(one, rules) === 'deny')
  const refusal: DenyReason | undefined =
    denied.length === 0 ? undefined : { kind: 'text-not-allowed', because: `its text was screened, and has: ${denied.join(', ')}` }
  return { found, refusal }
}
