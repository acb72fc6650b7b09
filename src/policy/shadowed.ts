/** Rules of one entry that allow nothing which another rule of it does not allow as well. */
import type { AllowDocument, LimitsDocument } from '../core/policy-document.ts'

export interface Shadowed {
  /** Index of the rule that says nothing new. */
  readonly rule: number
  /** Index of the one that says it all. */
  readonly by: number
}

export function shadowedIn(rules: readonly AllowDocument[], common: Required<LimitsDocument>): readonly Shadowed[] {
  if (rules.length < 2) return []
  const sets = rules.map((one) => new Set(one.tenants))
  const byTenant = new Map<string, number[]>()
  for (const [at, { tenants }] of rules.entries()) for (const tenant of new Set(tenants)) append(byTenant, tenant, at)
  return rules.flatMap((rule, at) => {
    const others = byTenant.get(rule.tenants[0] ?? '') ?? []
    const covers = (other: number) => other !== at && isWithin(rule, rules[other] as AllowDocument, sets[other] as Set<string>, common)
    // Of two that say the same, the later one says nothing new.
    const by = others.find(
      (other) => covers(other) && (other < at || !isWithin(rules[other] as AllowDocument, rule, sets[at] as Set<string>, common))
    )
    return by === undefined ? [] : [{ rule: at, by }]
  })
}

/** All that a rule allows is allowed by another: asked of what is written, so a wider pattern in other words is not seen. */
function isWithin(rule: AllowDocument, other: AllowDocument, otherTenants: ReadonlySet<string>, common: Required<LimitsDocument>): boolean {
  return (
    rule.tenants.every((one) => otherTenants.has(one)) &&
    rule.actions.every((one) => other.actions.includes(one)) &&
    isSubset(rule.workloads, other.workloads) &&
    isSubset(rule.purposes, other.purposes) &&
    (other.when === undefined || other.when === rule.when) &&
    isWider(other.limits, rule.limits, common)
  )
}

/** Undefined: all there are. */
function isSubset(some: readonly string[] | undefined, others: readonly string[] | undefined): boolean {
  return others === undefined || (some?.every((one) => others.includes(one)) ?? false)
}

function isWider(wide: LimitsDocument | undefined, narrow: LimitsDocument | undefined, common: Required<LimitsDocument>): boolean {
  const most = (name: 'top_k' | 'queries' | 'records', limits: LimitsDocument | undefined) => limits?.[name] ?? common[name] ?? 0
  const vectors = (limits: LimitsDocument | undefined) => limits?.vectors_out ?? common.vectors_out
  return (
    (['top_k', 'queries', 'records'] as const).every((name) => most(name, wide) >= most(name, narrow)) &&
    (vectors(wide) === 'allow' || vectors(narrow) !== 'allow')
  )
}

function append(map: Map<string, number[]>, key: string, one: number): void {
  const list = map.get(key)
  if (list === undefined) map.set(key, [one])
  else list.push(one)
}
