/**
 * What is no fault and yet not meant: rules that say nothing new or can never be met, workloads and tenants that nothing speaks of,
 * reviews that are overdue. Reported when a policy is loaded; nothing is denied for it.
 */
import type {
  AllowDocument,
  CollectionsDocument,
  DocumentFault,
  DocumentPath,
  PolicyDocument,
  WorkloadDocument
} from '../core/policy-document.ts'
import { compileIdPattern, type IdPattern, parseSpiffeId } from '../core/spiffe-id.ts'
import { addId, findId, meetingId, newIdIndex } from './id-index.ts'
import { shadowedIn } from './shadowed.ts'

/** Something to look at, with the place and what to do about it. */
export type Finding = DocumentFault

/**
 * @param document one that compiles without faults
 * @param now ms since the epoch
 */
export function policyFindings(document: PolicyDocument, now: number): readonly Finding[] {
  const found: Finding[] = []
  const find = (path: DocumentPath, says: string, remedy: string) => void found.push({ path, says, remedy })
  const today = new Date(now).toISOString().slice(0, 10)
  findDates(document, today, find)
  const living = document.workloads.filter((one) => !isPast(one.expires, today))
  findTenants(document, living, find)
  findRules(document, living, find)
  return found
}

type Find = (path: DocumentPath, says: string, remedy: string) => void

/** Days are written so that their order is that of their texts. */
function isPast(day: string | undefined, today: string): boolean {
  return day !== undefined && day <= today
}

function findDates({ workloads }: PolicyDocument, today: string, find: Find): void {
  for (const [at, { spiffe_id, owner, expires, review_by }] of workloads.entries()) {
    if (isPast(expires, today)) {
      find(
        ['workloads', at, 'expires'],
        `"${spiffe_id}" expired on ${expires} and is denied`,
        'Take the entry away, or give it a later day.'
      )
    } else if (isPast(review_by, today)) {
      const whose = owner === undefined ? 'it has no owner' : `its owner is ${owner}`
      find(
        ['workloads', at, 'review_by'],
        `The review of "${spiffe_id}" is overdue since ${review_by}; ${whose}`,
        'Review it, then move the day.'
      )
    }
  }
}

function findTenants({ tenants, collections }: PolicyDocument, living: readonly WorkloadDocument[], find: Find): void {
  const actedFor = new Set(living.flatMap((one) => one.tenants))
  const deletable = new Set<string>()
  for (const { allow } of collections)
    for (const rule of allow)
      if (rule.actions.includes('delete') || rule.actions.includes('drop')) for (const one of rule.tenants) deletable.add(one)
  for (const [at, { id, retention_days }] of tenants.entries()) {
    if (!actedFor.has(id)) find(['tenants', at, 'id'], `No workload may act for tenant "${id}"`, 'Add it to a workload, or take it away.')
    else if (retention_days !== undefined && !deletable.has(id)) {
      const says = `Data of tenant "${id}" is kept for ${retention_days} days, and no rule lets anybody delete it`
      find(['tenants', at, 'retention_days'], says, 'Allow delete to the workload that clears it away.')
    }
  }
}

function findRules(document: PolicyDocument, living: readonly WorkloadDocument[], find: Find): void {
  const spokenOf = createSpokenOf(document)
  const alive = new Set(living)
  for (const [at, one] of document.workloads.entries()) {
    if (alive.has(one) && !spokenOf(one))
      find(['workloads', at, 'spiffe_id'], `No rule allows "${one.spiffe_id}" anything`, 'Write a rule for it, or take it away.')
  }
  const reachable = createReachable(living)
  for (const [at, entry] of document.collections.entries()) {
    for (const [index, rule] of entry.allow.entries()) {
      if (!reachable(entry, rule))
        find(
          ['collections', at, 'allow', index],
          'No workload can meet this rule',
          'Correct its tenants, workloads or purposes, or take it away.'
        )
    }
    for (const { rule, by } of shadowedIn(entry.allow, document.limits)) {
      const says = `Rule ${by + 1} of this collection allows all that this one does`
      find(['collections', at, 'allow', rule], says, 'Take one of the two away.')
    }
  }
}

/** Whether any rule is for a workload: one of its tenants, and its ID. */
function createSpokenOf({ collections }: PolicyDocument): (one: WorkloadDocument) => boolean {
  const forAll = new Set<string>()
  const forSome = new Map<string, IdPattern[]>()
  for (const { tenants, workloads } of collections.flatMap((one) => one.allow)) {
    for (const tenant of tenants) {
      if (workloads === undefined) forAll.add(tenant)
      else if (forSome.has(tenant)) forSome.get(tenant)?.push(...patternsOf(workloads))
      else forSome.set(tenant, patternsOf(workloads))
    }
  }
  return ({ spiffe_id, tenants }) => {
    if (tenants.some((one) => forAll.has(one))) return true
    const own = patternsOf([spiffe_id])[0]
    return own === undefined || tenants.some((one) => forSome.get(one)?.some((pattern) => meet(own, pattern)) === true)
  }
}

/** Whether any workload that lives can be met by a rule. */
function createReachable(living: readonly WorkloadDocument[]): (entry: CollectionsDocument, rule: AllowDocument) => boolean {
  const byTenant = new Map<string, { readonly pattern: IdPattern; readonly purposes: readonly string[] }[]>()
  for (const { spiffe_id, tenants, purposes = [] } of living) {
    for (const pattern of patternsOf([spiffe_id])) {
      for (const tenant of tenants) {
        const list = byTenant.get(tenant)
        if (list === undefined) byTenant.set(tenant, [{ pattern, purposes }])
        else list.push({ pattern, purposes })
      }
    }
  }
  return (entry, { tenants, workloads, purposes }) => {
    const wanted = [entry.purposes, purposes].filter((one) => one !== undefined)
    const serves = (own: readonly string[]) => wanted.length === 0 || own.some((one) => wanted.every((some) => some.includes(one)))
    const patterns = workloads && patternsOf(workloads)
    return tenants.some((tenant) =>
      byTenant
        .get(tenant)
        ?.some((one) => serves(one.purposes) && (patterns === undefined || patterns.some((some) => meet(one.pattern, some))))
    )
  }
}

function patternsOf(texts: readonly string[]): IdPattern[] {
  return texts.flatMap((text) => {
    const compiled = compileIdPattern(text)
    return compiled.ok ? [compiled.pattern] : []
  })
}

/** Whether one ID can match both. */
function meet(one: IdPattern, other: IdPattern): boolean {
  if (one.exact && other.exact) return one.text === other.text
  const [wild, second] = one.exact ? [other, one] : [one, other]
  const index = newIdIndex<true>()
  addId(index, wild, true)
  if (!second.exact) return meetingId(index, second) === true
  const id = parseSpiffeId(second.text)
  return id.ok && findId(index, id.id) === true
}
