/** The `workloads` of a policy, and that no two sources disagree about whose one is. */
import type { DocumentPath, WorkloadDocument } from '../core/policy-document.ts'
import type { IdPattern } from '../core/spiffe-id.ts'
import { attestationOf, checkTenants, compilePattern, fault, type Work } from './compile-work.ts'
import { addId, type IdIndex, meetingId, newIdIndex } from './id-index.ts'
import type { Workload } from './policy.ts'

/** Yields after each entry, so that a caller can see to others in between. */
export function* compileWorkloads(work: Work): Generator<void, IdIndex<Workload>> {
  const workloads = newIdIndex<Workload>()
  const wild = newIdIndex<string>()
  const namespaces = namespacesOf(work)
  const delegable = new Set(work.document.subjects?.flatMap((one) => one.tenants))
  for (const [at, one] of work.document.workloads.entries()) {
    const path: DocumentPath = ['workloads', at]
    const pattern = compilePattern(work, one.spiffe_id, [...path, 'spiffe_id'])
    checkTenants(work, one.tenants, [...path, 'tenants'])
    if (one.delegated === true) checkDelegation(work, one.tenants, delegable, path)
    const workload = compileWorkload(work, one, path)
    if (pattern !== undefined) {
      if (!pattern.exact) checkOverlap(work, wild, pattern, path)
      checkNamespace(work, namespaces, pattern, one.tenants, path)
      addId(workloads, pattern, workload)
    }
    yield
  }
  return workloads
}

function compileWorkload(work: Work, one: WorkloadDocument, path: DocumentPath): Workload {
  return {
    tenants: new Set(one.tenants),
    shadow: work.document.mode === 'shadow' || one.tenants.every((tenant) => work.shadowTenants.has(tenant)),
    budget: one.budget ?? work.document.budget,
    delegated: one.delegated ?? false,
    reverifyMs: (one.reverify_every_seconds ?? Number.POSITIVE_INFINITY) * 1000,
    expiresAt: one.expires === undefined ? Number.POSITIVE_INFINITY : startOf(one.expires),
    purposes: new Set(one.purposes),
    regions: new Set(one.regions),
    attestation: attestationOf(work, one.attestation, path),
    attestationClass: one.attestation,
    owner: one.owner,
    agentType: one.agent_type,
    ring: one.ring,
    zone: one.zone,
    source: work.place(path)
  }
}

/** First moment of a day such as `2027-01-31`, ms since the epoch: always UTC, wherever the server runs. */
function startOf(day: string): number {
  const [year = 0, month = 1, date = 1] = day.split('-').map(Number)
  return Date.UTC(year, month - 1, date)
}

/** A tenant that no issuer may name can never be acted for on behalf of a user. */
function checkDelegation(work: Work, tenants: readonly string[], delegable: ReadonlySet<string>, path: DocumentPath): void {
  for (const [at, tenant] of tenants.entries()) {
    if (delegable.has(tenant)) continue
    const says = `No issuer of subjects may name tenant "${tenant}", so this delegated workload can never act for it`
    fault(work, [...path, 'tenants', at], says, "Add it to an issuer's tenants under subjects, or take it away here.")
  }
}

/** Two patterns that one ID could match are two answers to "whose is it": refused unless their segments differ somewhere. */
function checkOverlap(work: Work, wild: IdIndex<string>, pattern: IdPattern, path: DocumentPath): void {
  const other = meetingId(wild, pattern)
  if (other !== undefined) {
    const says = `Pattern "${pattern.text}" and pattern "${other}" can match the same workload`
    fault(work, [...path, 'spiffe_id'], says, 'Make them exclude each other, or write the workloads out.')
  }
  addId(wild, pattern, pattern.text)
}

/** Kubernetes namespaces to the one tenant that each belongs to. */
function namespacesOf(work: Work): ReadonlyMap<string, string> {
  const owners = new Map<string, string>()
  for (const [at, { id, namespaces = [] }] of work.document.tenants.entries()) {
    for (const [index, namespace] of namespaces.entries()) {
      const other = owners.get(namespace)
      if (other !== undefined) {
        const says = `Namespace "${namespace}" already belongs to tenant "${other}"`
        fault(work, ['tenants', at, 'namespaces', index], says, 'Keep it at one tenant; a shared one belongs to none.')
      } else owners.set(namespace, id)
    }
  }
  return owners
}

/** `/ns/acme-prod/…` acts for the tenant of that namespace and for no other. */
function checkNamespace(
  work: Work,
  owners: ReadonlyMap<string, string>,
  { text, segments, open }: IdPattern,
  tenants: readonly string[],
  path: DocumentPath
): void {
  const [first = open ? '*' : '', second = open ? '*' : ''] = segments
  if (owners.size === 0 || (first !== 'ns' && first !== '*') || second === '') return
  const matched = second === '*' ? owners : new Map([...(owners.has(second) ? [[second, owners.get(second) as string] as const] : [])])
  for (const [namespace, owner] of matched) {
    const other = tenants.find((one) => one !== owner)
    if (other === undefined) continue
    const says = `"${text}" can be in namespace "${namespace}" of tenant "${owner}", and acts for tenant "${other}"`
    fault(work, [...path, 'tenants'], says, 'Two sources disagree about the tenant: correct the ID, the tenants or the namespaces.')
    return
  }
}
