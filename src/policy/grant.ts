/**
 * Caller × call → Grant, or the first reason why not. The only place that makes a Grant.
 *
 * In two steps, because a name may have to be asked of the database in between, and nobody who may not act for the tenant
 * gets to cause that question: `tenantOf` first, then `grantFor` on resolved targets.
 */
import type { Caller, Subject } from '../core/caller.ts'
import type { Grant, ProbeGrant } from '../core/decision.ts'
import { accept, type DenyKind, type Refused, type Result, refuse } from '../core/deny-reason.ts'
import type { Action } from '../core/policy-document.ts'
import { matchesId } from '../core/spiffe-id.ts'
import type { Operation, ResolvedTarget, Shape, VectorCall } from '../core/vector-call.ts'
import { type DatabaseRules, type Policy, type Rule, type Workload, workloadOf } from './policy.ts'
import { coversTarget, entriesFor, looksOnly, type Place, provedTenant, speaksOfCollection } from './tenancy.ts'

/** The workload entry of a proven caller, `identity-revoked`, or `caller-unknown`. */
export function knownWorkload(caller: Caller, policy: Policy): Result<Workload> {
  if (!policy.trustDomains.has(caller.id.trustDomain)) {
    return refuse('caller-unknown', `trust domain ${caller.id.trustDomain} is not in the policy's trust_domains`)
  }
  const revoked = revokedFor(caller, policy)
  if (revoked !== undefined) return refuse('identity-revoked', revoked)
  const workload = workloadOf(policy, caller.id)
  return workload === undefined ? refuse('caller-unknown', `no workloads entry matches ${caller.id.text}`) : accept(workload)
}

/** What of the caller's evidence is on the revoked list; undefined when nothing is. */
function revokedFor({ id, carrier, serial, tokenId }: Caller, { revoked }: Policy): string | undefined {
  const { ids, serials, tokenIds } = revoked
  if (serial !== undefined && serials.has(serial)) return `certificate ${serial} is on the policy's revoked list`
  if (tokenId !== undefined && tokenIds.has(tokenId)) return "the jti of the JWT-SVID is on the policy's revoked list"
  for (const one of carrier === undefined ? [id] : [id, carrier]) {
    const pattern = ids.find((each) => matchesId(each, one))
    if (pattern !== undefined) return `${one.text} matches ${pattern.text} on the policy's revoked list`
  }
  return undefined
}

/** The end user may be acted for, and is there where the workload may act for nobody else. */
export function knownSubject({ subject }: Caller, workload: Workload, policy: Policy): Result<true> {
  if (subject === undefined) {
    const remedy = "Send the user's token in x-vecauthz-subject-token."
    return workload.delegated ? refuse('subject-required', `the workload is delegated (${workload.source})`, remedy) : accept(true)
  }
  const { tokenId } = subject
  if (tokenId === undefined || !policy.revoked.tokenIds.has(tokenId)) return accept(true)
  return refuse('subject-invalid', "the jti of the end user's token is on the policy's revoked list")
}

/** The one tenant that every target of the call is for, as its tenancy has it, if the workload may act for it. */
export function tenantOf(call: VectorCall, { workload, subject, database, policy, pin }: Asking): Result<string> {
  if (call.targets.length === 0) return refuse('tenant-not-named', `${call.endpoint} names no tenant`)
  let tenant: string | undefined
  for (const target of call.targets) {
    const place: Place = { ...target, claim: target.tenant, bounds: target.bounds }
    const named = tenantOfPlace(place, call, { workload, subject, database, policy, pin })
    if (!named.ok) return named
    if (tenant !== undefined && named.value !== tenant) return refuse('tenant-not-allowed', `${call.endpoint} names two tenants`)
    tenant = named.value
  }
  return mayActFor(tenant ?? '', workload, subject)
}

/** Who asks, and what decides about it. */
export interface Asking {
  readonly workload: Workload
  readonly subject: Subject | undefined
  /** Id of the database. */
  readonly database: string
  readonly policy: Policy
  /** Prints what a caller writes so that a field is proved; of the dialect. */
  readonly pin: ((field: string, value: string) => string) | undefined
}

function tenantOfPlace(place: Place, call: VectorCall, { workload, subject, database, policy, pin }: Asking): Result<string> {
  // The tenant of a path is there before its collection has a name.
  if (place.claim.kind === 'path') return accept(place.claim.tenant)
  const entries = entriesFor(policy.databases.get(database), place.namespace, policy.tenants)
  const speaking = entries.filter((entry) => speaksOfCollection(entry, place, policy.tenants))
  if (speaking.length === 0) return refuse('collection-not-allowed', `no collections entry describes ${whereOf(database, place)}`)
  // A caller of one tenant is shown its own; which tenants there are is nobody else's to learn.
  const own = ownTenants(workload, subject)
  const show = pin === undefined ? undefined : (field: string) => pin(field, own.length === 1 ? (own[0] as string) : 'YOUR_TENANT')
  let tenant: string | undefined
  for (const entry of speaking) {
    const proved = provedTenant(entry, place, policy.tenants, show)
    if (!proved.ok) return looksOnly(call.operation, place) ? onlyTenant(workload, subject, proved) : proved
    if (tenant !== undefined && tenant !== proved.value)
      return refuse('tenant-not-allowed', `${whereOf(database, place)} can be of two tenants`)
    tenant = proved.value
  }
  return accept(tenant ?? '')
}

/** The tenant of a workload that has one only, for looking at what tenants share; else what was said before. */
function onlyTenant(workload: Workload, subject: Subject | undefined, otherwise: Result<string>): Result<string> {
  const [only, ...others] = ownTenants(workload, subject)
  return only !== undefined && others.length === 0 ? accept(only) : otherwise
}

function ownTenants(workload: Workload, subject: Subject | undefined): readonly string[] {
  return [...workload.tenants].filter((one) => !workload.delegated || subject?.tenants.includes(one) === true)
}

function mayActFor(tenant: string, workload: Workload, subject: Subject | undefined): Result<string> {
  if (!workload.tenants.has(tenant)) {
    const listed = [...workload.tenants].join(', ')
    return refuse('tenant-not-allowed', `tenant ${JSON.stringify(tenant)} is not one of ${listed} (${workload.source})`)
  }
  if (workload.delegated && subject?.tenants.includes(tenant) !== true) {
    const named = subject?.tenants.join(', ') ?? ''
    return refuse(
      'tenant-not-allowed',
      `tenant ${JSON.stringify(tenant)} is not one that the end user's token may name: ${named || 'none'}`
    )
  }
  return accept(tenant)
}

export function grantProbe(caller: Caller, call: VectorCall): Result<ProbeGrant> {
  if (call.operation !== 'probe' || call.targets.length > 0) return refuse('internal', 'a probe grant was asked for a call that is none')
  return accept({ kind: 'probe', caller, call } as ProbeGrant)
}

/** A rule for every target, and the call within the limits of each. */
export function grantFor(
  caller: Caller,
  call: VectorCall,
  tenant: string,
  targets: readonly ResolvedTarget[],
  database: string,
  policy: Policy
): Result<Grant> {
  if (call.operation === 'probe') return refuse('internal', 'a tenant grant was asked for a probe')
  let source = ''
  for (const target of targets) {
    if (target.tenant !== tenant) return refuse('tenant-not-allowed', 'a resolved target belongs to another tenant')
    const rule = ruleFor(caller, call.operation, tenant, target, database, policy)
    if (!rule.ok) return rule
    const within = withinLimits(call.shape, rule.value)
    if (!within.ok) return within
    source ||= rule.value.source
  }
  if (source === '') return refuse('tenant-not-named', `${call.endpoint} touches nothing that a rule could allow`)
  return accept({ kind: 'tenant', caller, call, tenant, targets, rule: source } as Grant)
}

function ruleFor(caller: Caller, action: Action, tenant: string, target: ResolvedTarget, database: string, policy: Policy): Result<Rule> {
  const rules = policy.databases.get(database)
  const place: Place = { ...target, claim: target.claim ?? { kind: 'path', tenant: target.tenant }, bounds: target.bounds }
  if (target.namespace === undefined && place.claim.kind === 'path') return ruleForTenant(caller, action, tenant, target, rules)
  const looks = action === 'observe'
  const entries = entriesFor(rules, target.namespace, policy.tenants)
  const covering = entries.filter((entry) => coversTarget(entry, place, tenant, looks))
  for (const entry of covering) {
    // Asked once more, so that a rule is never applied to what another entry proved.
    const proved = provedTenant(entry, place, policy.tenants, undefined)
    if (proved.ok ? proved.value !== tenant : !looksOnly(action, place)) continue
    const rule = entry.rules.find((one) => speaksOf(one, caller, action, tenant))
    if (rule !== undefined) return accept(rule)
  }
  const where = whereOf(database, place)
  return covering.length > 0
    ? refuseAction(action, `no rule allows ${action} on ${where} for tenant ${tenant} and ${caller.id.text}`)
    : refuse('collection-not-allowed', `no collections entry describes ${where}`)
}

function speaksOf(rule: Rule, caller: Caller, action: Action, tenant: string): boolean {
  if (!rule.tenants.has(tenant) || !rule.actions.has(action)) return false
  return rule.workloads === undefined || rule.workloads.some((pattern) => matchesId(pattern, caller.id))
}

/**
 * The tenant itself: Chroma's Python client looks at it when it is made, and learns nothing but the name it sent. Whoever may
 * look at anything in it may do that; nothing else is done to a tenant through here.
 */
function ruleForTenant(
  caller: Caller,
  action: Action,
  tenant: string,
  target: ResolvedTarget,
  database: DatabaseRules | undefined
): Result<Rule> {
  const looks = action === 'observe' && target.collection.kind === 'none'
  for (const entries of looks ? (database?.exact.values() ?? []) : []) {
    for (const { rules } of entries) {
      const rule = rules.find((one) => speaksOf(one, caller, action, tenant))
      if (rule !== undefined) return accept(rule)
    }
  }
  return refuseAction(action, `no rule allows ${action} on tenant ${tenant} itself`)
}

function whereOf(database: string, { namespace, collection }: Place): string {
  const name = collection.kind === 'name' ? JSON.stringify(collection.name) : collection.kind
  return [database, ...(namespace === undefined ? [] : [namespace]), name].join('/')
}

const REFUSED_ACTION = {
  search: 'collection-not-allowed',
  read: 'collection-not-allowed',
  observe: 'collection-not-allowed',
  write: 'write-not-allowed',
  define: 'write-not-allowed',
  delete: 'delete-not-allowed',
  drop: 'delete-not-allowed',
  export: 'export-not-allowed'
} as const satisfies Record<Exclude<Operation, 'probe'>, DenyKind>

function refuseAction(action: Action, because: string): Refused {
  return refuse(REFUSED_ACTION[action], because)
}

function withinLimits(shape: Shape, { limits, source }: Rule): Result<true> {
  if (shape.vectorsOut && limits.vectors_out === 'deny') {
    return refuse('vectors-not-allowed', `limits.vectors_out is deny (${source})`, 'Leave embeddings out of what the call includes.')
  }
  if (shape.topK > limits.top_k) {
    const asked = Number.isFinite(shape.topK) ? `${shape.topK} results` : 'an unbounded number of results'
    return refuse(
      'call-too-large',
      `${asked} asked, limits.top_k is ${limits.top_k} (${source})`,
      `Ask for at most ${limits.top_k} results.`
    )
  }
  if (shape.queries > limits.queries) {
    return refuse(
      'call-too-large',
      `${shape.queries} queries, limits.queries is ${limits.queries} (${source})`,
      `Send at most ${limits.queries} queries a call.`
    )
  }
  if (shape.records > limits.records) {
    return refuse(
      'call-too-large',
      `${shape.records} records, limits.records is ${limits.records} (${source})`,
      `Send at most ${limits.records} records a call.`
    )
  }
  return accept(true)
}
