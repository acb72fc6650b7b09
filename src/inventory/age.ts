/**
 * Whether something in the policy is as old as the period that is looked at: only then is it unused for so long. Which revisions were in
 * force when, those who saw decisions say; what stood in them, the archive of policies says.
 */
import type { AllowDocument, CollectionsDocument, PolicyDocument, WorkloadDocument } from '../core/policy-document.ts'

export type Age = 'old' | 'new' | 'unknown'

export interface Ages {
  /** All that a rule allows, or this part of it. */
  readonly ofRule: (entry: CollectionsDocument, rule: AllowDocument) => Age
  readonly ofWorkload: (workload: WorkloadDocument) => Age
  /** Revisions that were in force in the period and cannot be read: what they had is not known. */
  readonly missing: readonly string[]
}

export interface SeenRevision {
  readonly revision: string
  readonly firstAt: number
  readonly lastAt: number
}

/** @param from milliseconds since the epoch. @param documentOf undefined: it cannot be had */
export function agesOf(
  revisions: readonly SeenRevision[],
  current: string,
  from: number,
  documentOf: (revision: string) => PolicyDocument | undefined
): Ages {
  const before = revisions.filter(({ firstAt }) => firstAt <= from).sort((a, b) => b.lastAt - a.lastAt)[0]
  // Whatever was decided by within the period, and the one that was in force when it began.
  const needed = revisions.filter((one) => one.lastAt >= from || one === before).map(({ revision }) => revision)
  const documents = [...new Set(needed)].filter((one) => one !== current).map((revision) => ({ revision, document: documentOf(revision) }))
  const missing = documents.filter(({ document }) => document === undefined).map(({ revision }) => revision)
  const known = documents.flatMap(({ document }) => document ?? [])
  const age = (stands: (document: PolicyDocument) => boolean): Age => {
    if (!known.every(stands)) return 'new'
    return before === undefined || missing.length > 0 ? 'unknown' : 'old'
  }
  return {
    ofRule: (entry, rule) =>
      age((document) => document.collections.some((one) => sameData(one, entry) && one.allow.some((old) => allows(old, rule)))),
    ofWorkload: (workload) =>
      age((document) => document.workloads.some((old) => old.spiffe_id === workload.spiffe_id && within(workload.tenants, old.tenants))),
    missing
  }
}

function sameData(old: CollectionsDocument, entry: CollectionsDocument): boolean {
  const of = ({ database, namespace, tenancy, region, attestation, tags = [], purposes = [] }: CollectionsDocument) =>
    JSON.stringify([database, namespace, tenancy, region, attestation, [...tags].sort(), [...purposes].sort()])
  return of(old) === of(entry) && within(entry.names, old.names)
}

/** A rule that was there before allowed all that this one does, on the same conditions. */
function allows(old: AllowDocument, rule: AllowDocument): boolean {
  const of = ({ mode, when, purposes = [], approval, grant, limits = {} }: AllowDocument) =>
    JSON.stringify([mode, when, [...purposes].sort(), approval, grant, Object.entries(limits).sort()])
  const people =
    old.workloads === undefined ? rule.workloads === undefined : rule.workloads !== undefined && within(rule.workloads, old.workloads)
  return of(old) === of(rule) && people && within(rule.tenants, old.tenants) && within(rule.actions, old.actions)
}

function within(some: readonly string[], all: readonly string[]): boolean {
  return some.every((one) => all.includes(one))
}
