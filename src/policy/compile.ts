/**
 * Turns a policy document into lookups, or into every fault it has. Pure: the file was read, and its shape checked, elsewhere.
 */
import type { SubjectIssuer } from '../core/caller.ts'
import type { AllowDocument, DocumentFault, DocumentPath, KnownServer, LimitsDocument, PolicyDocument } from '../core/policy-document.ts'
import { compileIdPattern, type IdPattern } from '../core/spiffe-id.ts'
import { compileCollections } from './compile-collections.ts'
import { fault, type Work } from './compile-work.ts'
import type { Limits, Policy, Revoked, Rule, Workload } from './policy.ts'

export type Compiled = { readonly ok: true; readonly policy: Policy } | { readonly ok: false; readonly faults: readonly DocumentFault[] }

export function compilePolicy(
  document: PolicyDocument,
  known: KnownServer,
  revision: string,
  place: (path: DocumentPath) => string
): Compiled {
  const faults: DocumentFault[] = []
  const databases = new Map(known.databases.map((one) => [one.id, one]))
  const issuers = new Set(known.subjectIssuers)
  const work: Work = { document, tenants: new Set(document.tenants.map((one) => one.id)), databases, issuers, faults, place }
  checkRepeats(work)
  const { exact, patterns } = compileWorkloads(work)
  const compiled = compileCollections(work, (allow, path) => compileRule(work, allow, path))
  const revoked = compileRevoked(work)
  const subjects = compileSubjects(work)
  const carriers = (document.carriers ?? []).flatMap((text, at) => compilePattern(work, text, ['carriers', at]) ?? [])
  if (faults.length > 0) return { ok: false, faults }
  const trustDomains = new Set(document.trust_domains)
  const workloads = { exactWorkloads: exact, workloadPatterns: patterns }
  return {
    ok: true,
    policy: { revision, trustDomains, revoked, subjects, carriers, ...workloads, tenants: work.tenants, databases: compiled }
  }
}

function checkRepeats(work: Work): void {
  const repeats = (values: readonly string[], path: (at: number) => DocumentPath, what: string) => {
    for (const [at, value] of values.entries()) {
      if (values.indexOf(value) !== at) fault(work, path(at), `${what} "${value}" stands here a second time`, 'Keep one of the two.')
    }
  }
  repeats(
    work.document.tenants.map((one) => one.id),
    (at) => ['tenants', at, 'id'],
    'Tenant'
  )
  repeats(work.document.trust_domains, (at) => ['trust_domains', at], 'Trust domain')
  repeats(
    work.document.workloads.map((one) => one.spiffe_id),
    (at) => ['workloads', at, 'spiffe_id'],
    'Workload'
  )
}

function compilePattern(work: Work, text: string, path: DocumentPath): IdPattern | undefined {
  const compiled = compileIdPattern(text)
  if (!compiled.ok) {
    fault(
      work,
      path,
      `"${text}" is not a SPIFFE ID or pattern: ${compiled.detail}`,
      'Write spiffe://trust-domain/path; `*` is one segment.'
    )
    return undefined
  }
  if (!work.document.trust_domains.includes(compiled.pattern.trustDomain)) {
    fault(work, path, `Trust domain "${compiled.pattern.trustDomain}" is not listed`, 'Add it to trust_domains, or correct the ID.')
  }
  return compiled.pattern
}

function checkTenants(work: Work, ids: readonly string[], path: DocumentPath): void {
  for (const [at, id] of ids.entries()) {
    if (!work.tenants.has(id)) fault(work, [...path, at], `Tenant "${id}" is not listed`, 'Add it to tenants, or correct the name.')
  }
}

function compileWorkloads(work: Work): { exact: Map<string, Workload>; patterns: { pattern: IdPattern; workload: Workload }[] } {
  const exact = new Map<string, Workload>()
  const patterns: { pattern: IdPattern; workload: Workload }[] = []
  for (const [at, one] of work.document.workloads.entries()) {
    const path: DocumentPath = ['workloads', at]
    const pattern = compilePattern(work, one.spiffe_id, [...path, 'spiffe_id'])
    checkTenants(work, one.tenants, [...path, 'tenants'])
    const budget = one.budget ?? work.document.budget
    const reverifyMs = (one.reverify_every_seconds ?? Number.POSITIVE_INFINITY) * 1000
    const delegated = one.delegated ?? false
    const workload: Workload = { tenants: new Set(one.tenants), budget, delegated, reverifyMs, source: work.place(path) }
    if (delegated) checkDelegation(work, one.tenants, path)
    if (pattern === undefined) continue
    if (pattern.exact) exact.set(one.spiffe_id, workload)
    else patterns.push({ pattern, workload })
  }
  checkOverlaps(work)
  return { exact, patterns }
}

/** A tenant that no issuer may name can never be acted for on behalf of a user. */
function checkDelegation(work: Work, tenants: readonly string[], path: DocumentPath): void {
  const named = new Set(work.document.subjects?.flatMap((one) => one.tenants))
  for (const [at, tenant] of tenants.entries()) {
    if (named.has(tenant)) continue
    const says = `No issuer of subjects may name tenant "${tenant}", so this delegated workload can never act for it`
    fault(work, [...path, 'tenants', at], says, "Add it to an issuer's tenants under subjects, or take it away here.")
  }
}

function compileSubjects(work: Work): Map<string, SubjectIssuer> {
  const subjects = new Map<string, SubjectIssuer>()
  for (const [at, { issuer, audience, tenant_claim, tenants }] of (work.document.subjects ?? []).entries()) {
    checkTenants(work, tenants, ['subjects', at, 'tenants'])
    if (subjects.has(issuer))
      fault(work, ['subjects', at, 'issuer'], `Issuer "${issuer}" stands here a second time`, 'Keep one of the two.')
    if (!work.issuers.has(issuer)) {
      const says = `The server's settings say nowhere how to get the keys of "${issuer}"`
      fault(work, ['subjects', at, 'issuer'], says, 'Add it to subject_issuers in the settings, or correct the spelling.')
    }
    subjects.set(issuer, { issuer, audience, tenantClaim: tenant_claim, tenants: new Set(tenants) })
  }
  return subjects
}

function compileRevoked(work: Work): Revoked {
  const { spiffe_ids = [], serials = [], token_ids = [] } = work.document.revoked ?? {}
  const ids = spiffe_ids.flatMap((text, at) => compilePattern(work, text, ['revoked', 'spiffe_ids', at]) ?? [])
  return { ids, serials: new Set(serials), tokenIds: new Set(token_ids) }
}

/** Two patterns that one ID could match are two answers to "whose is it": refused unless their segments differ somewhere. */
function checkOverlaps(work: Work): void {
  const wild = work.document.workloads.map((one, at) => ({ at, text: one.spiffe_id })).filter((one) => one.text.includes('*'))
  for (const [index, one] of wild.entries()) {
    for (const other of wild.slice(0, index)) {
      if (!overlaps(one.text.split('/'), other.text.split('/'))) continue
      const says = `Pattern "${one.text}" and pattern "${other.text}" can match the same workload`
      fault(work, ['workloads', one.at, 'spiffe_id'], says, 'Make them exclude each other, or write the workloads out.')
    }
  }
}

function overlaps(one: readonly string[], other: readonly string[]): boolean {
  for (let at = 0; ; at++) {
    const [a, b] = [one[at], other[at]]
    if (a === undefined || b === undefined) return a === b
    if (a === '**' || b === '**') return true
    if (a !== '*' && b !== '*' && a !== b) return false
  }
}

function compileRule(work: Work, allow: AllowDocument, path: DocumentPath): Rule {
  checkTenants(work, allow.tenants, [...path, 'tenants'])
  const workloads = allow.workloads?.flatMap((text, at) => compilePattern(work, text, [...path, 'workloads', at]) ?? [])
  return {
    tenants: new Set(allow.tenants),
    actions: new Set(allow.actions),
    workloads,
    limits: mergeLimits(allow.limits, work.document.limits),
    source: work.place(path)
  }
}

function mergeLimits(own: LimitsDocument | undefined, common: Required<LimitsDocument>): Limits {
  return {
    top_k: own?.top_k ?? common.top_k ?? 0,
    queries: own?.queries ?? common.queries ?? 0,
    records: own?.records ?? common.records ?? 0,
    vectors_out: own?.vectors_out ?? common.vectors_out ?? 'deny'
  }
}
