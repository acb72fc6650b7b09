/**
 * Turns a policy document into lookups, or into every fault it has. Pure: the file was read, and its shape checked, elsewhere.
 */
import type { SubjectIssuer } from '../core/caller.ts'
import type { AllowDocument, DocumentFault, DocumentPath, KnownServer, LimitsDocument, PolicyDocument } from '../core/policy-document.ts'
import type { PolicyIssuer } from '../core/policy-token.ts'
import { compileApprovals, needsOf } from './compile-approvals.ts'
import { compileCollections } from './compile-collections.ts'
import { compileRisk } from './compile-risk.ts'
import { checkTenants, compilePattern, fault, type Work } from './compile-work.ts'
import { compileWorkloads } from './compile-workloads.ts'
import { addId, type IdIndex, newIdIndex } from './id-index.ts'
import type { Data, Limits, Policy, Revoked, Rule } from './policy.ts'
import { compileWhen, type When } from './when.ts'

export type Compiled = { readonly ok: true; readonly policy: Policy } | { readonly ok: false; readonly faults: readonly DocumentFault[] }

export function compilePolicy(
  document: PolicyDocument,
  known: KnownServer,
  revision: string,
  place: (path: DocumentPath) => string
): Compiled {
  const steps = compileSteps(document, known, revision, place)
  for (;;) {
    const { done, value } = steps.next()
    if (done) return value
  }
}

/** The same in small steps: it yields after each entry of the document, so that a server can go on serving in between. */
export function* compileSteps(
  document: PolicyDocument,
  known: KnownServer,
  revision: string,
  place: (path: DocumentPath) => string
): Generator<void, Compiled> {
  const work = workOf(document, known, place)
  yield* checkRepeats(work)
  const workloads = yield* compileWorkloads(work)
  const databases = yield* compileCollections(work, (allow, data, path) => compileRule(work, allow, data, path))
  const revoked = compileRevoked(work)
  const subjects = compileSubjects(work)
  const issuers = compileIssuers(work)
  const carriers = (document.carriers ?? []).flatMap((text, at) => compilePattern(work, text, ['carriers', at]) ?? [])
  const approvals = compileApprovals(work)
  const risk = compileRisk(work)
  if (work.faults.length > 0) return { ok: false, faults: work.faults }
  const { trustDomains, tenants, tenantRegions, shadowTenants } = work
  const modes = { shadow: document.mode === 'shadow', shadowTenants }
  const who = { trustDomains, revoked, subjects, issuers, carriers, workloads }
  return {
    ok: true,
    policy: { revision, ...modes, ...who, tenants, tenantRegions, databases, approvals, screening: screeningOf(document), ...risk }
  }
}

function screeningOf({ screening }: PolicyDocument): Policy['screening'] {
  const { instructions, secrets, tenants } = screening ?? {}
  return instructions === undefined && secrets === undefined && tenants === undefined ? undefined : { instructions, secrets, tenants }
}

function workOf(document: PolicyDocument, known: KnownServer, place: (path: DocumentPath) => string): Work {
  return {
    document,
    tenants: new Set(document.tenants.map((one) => one.id)),
    tenantRegions: new Map(document.tenants.flatMap(({ id, region }) => (region === undefined ? [] : [[id, region]]))),
    shadowTenants: new Set(document.tenants.flatMap(({ id, mode }) => (mode === 'shadow' ? [id] : []))),
    trustDomains: new Set(document.trust_domains),
    attestation: new Map(document.attestation_classes?.map((name, rank) => [name, rank])),
    databases: new Map(known.databases.map((one) => [one.id, one])),
    issuers: new Set(known.subjectIssuers),
    faults: [],
    whens: new Map(),
    place
  }
}

function* checkRepeats(work: Work): Generator<void, void> {
  const { tenants, trust_domains, workloads, attestation_classes = [] } = work.document
  const repeats = function* (values: readonly string[], path: (at: number) => DocumentPath, what: string): Generator<void, void> {
    yield
    const seen = new Set<string>()
    for (const [at, value] of values.entries()) {
      if (seen.has(value)) fault(work, path(at), `${what} "${value}" stands here a second time`, 'Keep one of the two.')
      seen.add(value)
    }
  }
  const ids = tenants.map((one) => one.id)
  yield* repeats(ids, (at) => ['tenants', at, 'id'], 'Tenant')
  yield* repeats(trust_domains, (at) => ['trust_domains', at], 'Trust domain')
  const spiffeIds = workloads.map((one) => one.spiffe_id)
  yield* repeats(spiffeIds, (at) => ['workloads', at, 'spiffe_id'], 'Workload')
  yield* repeats(attestation_classes, (at) => ['attestation_classes', at], 'Class')
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

function compileIssuers(work: Work): Map<string, PolicyIssuer> {
  const issuers = new Map<string, PolicyIssuer>()
  for (const [at, { spiffe_id, tenants, audiences }] of (work.document.issuers ?? []).entries()) {
    const path = ['issuers', at]
    checkTenants(work, tenants, [...path, 'tenants'])
    const id = compilePattern(work, spiffe_id, [...path, 'spiffe_id'])
    if (id?.exact === false)
      fault(work, [...path, 'spiffe_id'], `"${spiffe_id}" is a pattern`, 'Write the exact SPIFFE ID: whoever matches vouches for others.')
    if (issuers.has(spiffe_id))
      fault(work, [...path, 'spiffe_id'], `Issuer "${spiffe_id}" stands here a second time`, 'Keep one of the two.')
    issuers.set(spiffe_id, { tenants: new Set(tenants), audiences: new Set(audiences) })
  }
  return issuers
}

function compileRevoked(work: Work): Revoked {
  const { spiffe_ids = [], serials = [], token_ids = [] } = work.document.revoked ?? {}
  const ids = newIdIndex<string>()
  for (const [at, text] of spiffe_ids.entries()) {
    const pattern = compilePattern(work, text, ['revoked', 'spiffe_ids', at])
    if (pattern !== undefined) addId(ids, pattern, pattern.text)
  }
  return { ids, serials: new Set(serials), tokenIds: new Set(token_ids) }
}

function compileRule(work: Work, allow: AllowDocument, { weight, tags }: Data, path: DocumentPath): Rule {
  checkTenants(work, allow.tenants, [...path, 'tenants'])
  return {
    tenants: new Set(allow.tenants),
    shadow: allow.mode === 'shadow',
    actions: new Set(allow.actions),
    workloads: compileAllowed(work, allow, path),
    purposes: allow.purposes === undefined ? undefined : new Set(allow.purposes),
    when: conditionOf(work, allow.when, [...path, 'when']),
    limits: mergeLimits(allow.limits, work.document.limits),
    needs: needsOf(work, allow, path),
    weight,
    tags,
    source: work.place(path)
  }
}

function compileAllowed(work: Work, { workloads }: AllowDocument, path: DocumentPath): IdIndex<true> | undefined {
  if (workloads === undefined) return undefined
  const allowed = newIdIndex<true>()
  for (const [at, text] of workloads.entries()) {
    const pattern = compilePattern(work, text, [...path, 'workloads', at])
    if (pattern !== undefined) addId(allowed, pattern, true)
  }
  return allowed
}

function conditionOf(work: Work, text: string | undefined, path: DocumentPath): When | undefined {
  if (text === undefined) return undefined
  const compiled = work.whens.get(text) ?? compileWhen(text)
  work.whens.set(text, compiled)
  if (compiled.ok) return compiled.when
  const { says, at } = compiled
  fault(work, path, `The condition cannot be used: ${says}`, 'Correct the CEL; docs/policy.md says what a condition can ask.', at)
  return undefined
}

function mergeLimits(own: LimitsDocument | undefined, common: Required<LimitsDocument>): Limits {
  return {
    top_k: own?.top_k ?? common.top_k ?? 0,
    queries: own?.queries ?? common.queries ?? 0,
    records: own?.records ?? common.records ?? 0,
    vectors_out: own?.vectors_out ?? common.vectors_out ?? 'deny'
  }
}
