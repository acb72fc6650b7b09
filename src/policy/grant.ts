/**
 * Caller × call → Grant, or the first reason why not. The only place that makes a Grant.
 *
 * In two steps, because a name may have to be asked of the database in between, and nobody who may not act for the tenant
 * gets to cause that question: `tenantOf` first, then `grantFor` on resolved targets.
 */
import type { Needs } from '../core/approval.ts'
import type { Caller, Subject } from '../core/caller.ts'
import type { Grant, ProbeGrant, ShadowGrant } from '../core/decision.ts'
import { accept, type DenyReason, type Result, refuse } from '../core/deny-reason.ts'
import type { ResolvedTarget, VectorCall } from '../core/vector-call.ts'
import { type Asked, type Closest, consider, nothingYet, PASSED, purposeOf, refusalOf } from './admit.ts'
import { findId } from './id-index.ts'
import type { ByTenant, Permission } from './name-index.ts'
import { type DatabaseRules, type NamedRules, type Policy, type Rule, type Workload, workloadOf } from './policy.ts'
import { coveringFor, looksOnly, namespacesFor, type Place, provedTenant, speakingOf } from './tenancy.ts'

/**
 * The workload entry of a proven caller, `identity-revoked`, or `caller-unknown`.
 * @param now ms since the epoch
 */
export function knownWorkload(caller: Caller, policy: Policy, now: number): Result<Workload> {
  if (!policy.trustDomains.has(caller.id.trustDomain)) {
    return refuse('caller-unknown', `trust domain ${caller.id.trustDomain} is not in the policy's trust_domains`)
  }
  const revoked = revokedFor(caller, policy)
  if (revoked !== undefined) return refuse('identity-revoked', revoked)
  const workload = workloadOf(policy, caller.id)
  if (workload === undefined) return refuse('caller-unknown', `no workloads entry matches ${caller.id.text}`)
  if (now < workload.expiresAt) return accept(workload)
  const day = new Date(workload.expiresAt).toISOString().slice(0, 10)
  return refuse('caller-unknown', `the workloads entry of ${caller.id.text} expired on ${day} (${workload.source})`)
}

/** What of the caller's evidence is on the revoked list; undefined when nothing is. */
function revokedFor({ id, carrier, serial, tokenId }: Caller, { revoked }: Policy): string | undefined {
  const { ids, serials, tokenIds } = revoked
  if (serial !== undefined && serials.has(serial)) return `certificate ${serial} is on the policy's revoked list`
  if (tokenId !== undefined && tokenIds.has(tokenId)) return "the jti of the JWT-SVID is on the policy's revoked list"
  for (const one of carrier === undefined ? [id] : [id, carrier]) {
    const pattern = findId(ids, one)
    if (pattern !== undefined) return `${one.text} matches ${pattern} on the policy's revoked list`
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
  const namespaces = namespacesFor(policy.databases.get(database), place.namespace, policy.tenants)
  const speaking = speakingOf(namespaces, place, policy.tenants)
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

/** Says what a call is for. */
export const PURPOSE_HEADER = 'x-vecauthz-purpose'

/** What a call is made under, beside who makes it. */
export interface Circumstances {
  /** As `knownWorkload` gave it. */
  readonly workload: Workload
  /** What the call says that it is for: the header `x-vecauthz-purpose`. */
  readonly purpose: string | undefined
  /** Milliseconds since the epoch. */
  readonly now: number
  /** Names behind ids are not asked (role egress): a collection that is not known by name passes as far as anything of its tenant does. */
  readonly unasked?: boolean
}

/** A rule for every target that admits the call, within the limits of that rule. */
export function grantFor(
  caller: Caller,
  call: VectorCall,
  tenant: string,
  targets: readonly ResolvedTarget[],
  database: string,
  policy: Policy,
  { workload, purpose: said, now, unasked = false }: Circumstances
): Result<Grant> {
  const { operation, shape } = call
  if (operation === 'probe') return refuse('internal', 'a tenant grant was asked for a probe')
  const purpose = purposeOf(workload, said)
  if (!purpose.ok) return purpose
  const asked: Asked = { caller, workload, policy, action: operation, tenant, purpose: purpose.value, shape, database, now }
  const [sources, weights]: [string[], number[]] = [[], []]
  let judged: DenyReason | undefined
  let tags: (readonly string[])[] | undefined
  let needs: Needs | undefined
  for (const target of targets) {
    if (target.tenant !== tenant) return refuse('tenant-not-allowed', 'a resolved target belongs to another tenant')
    const rule = ruleFor(asked, target, unasked)
    if (!rule.ok) return rule
    sources.push(rule.value.rule.source)
    weights.push(rule.value.rule.weight)
    // Most data has none.
    if (rule.value.rule.tags.length > 0) tags ??= targets.map(() => [])
    if (tags !== undefined) tags[sources.length - 1] = rule.value.rule.tags
    judged ??= rule.value.judged
    needs = together(needs, rule.value.rule.needs)
  }
  const [source] = sources
  if (source === undefined) return refuse('tenant-not-named', `${call.endpoint} touches nothing that a rule could allow`)
  const grant = { kind: 'tenant', caller, call, tenant, targets, purpose: purpose.value, rule: source, needs, judged } as Grant
  const tagged = tags === undefined ? grant : { ...grant, tags }
  return accept(weights.every((weight) => weight === 1) ? tagged : { ...tagged, weights })
}

/** What two rules ask for, of two targets of one call. */
function together(one: Needs | undefined, other: Needs | undefined): Needs | undefined {
  if (one === undefined || other === undefined) return one ?? other
  return { approval: one.approval || other.approval, grant: one.grant || other.grant }
}

/**
 * What passes in shadow though nothing allows it. Of a tenant that the call proved and its workload may act for, it is as good as a
 * grant; without one it is a grant of nothing.
 */
export function grantShadow(
  caller: Caller,
  call: VectorCall,
  tenant: string | undefined,
  targets: readonly ResolvedTarget[]
): Grant | ShadowGrant {
  if (tenant === undefined) return { kind: 'shadow', caller, call } as ShadowGrant
  return {
    kind: 'tenant',
    caller,
    call,
    tenant,
    targets,
    purpose: undefined,
    rule: 'shadow',
    needs: undefined,
    judged: undefined
  } as unknown as Grant
}

interface Admitted {
  readonly rule: Rule
  /** What it would have refused the call for, were it not in shadow. */
  readonly judged: DenyReason | undefined
}

function ruleFor(asked: Asked, target: ResolvedTarget, unasked: boolean): Result<Admitted> {
  const { policy, action, tenant, database } = asked
  const rules = policy.databases.get(database)
  const place: Place = { ...target, claim: target.claim ?? { kind: 'path', tenant: target.tenant }, bounds: target.bounds }
  if (target.namespace === undefined && place.claim.kind === 'path') return ruleForTenant(asked, target, rules)
  if (target.collection.kind === 'id')
    return unasked ? ruleForAnything(asked, target, rules) : refuse('internal', 'a collection is not known by its name')
  const namespaces = namespacesFor(rules, target.namespace, policy.tenants)
  const closest = nothingYet(target)
  // Looking at the namespace itself shows no collection of it: whoever may look at any may do that.
  if (action === 'observe' && target.collection.kind === 'none') {
    for (const { looks } of namespaces) if (considerLooks(closest, looks, place, asked)) break
  } else {
    const covering = coveringFor(namespaces, place, tenant)
    if (covering.length === 0) return refuse('collection-not-allowed', `no collections entry describes ${whereOf(database, place)}`)
    for (const entry of covering) if (provesTenant(entry, place, asked) && considerRules(closest, entry, asked)) break
  }
  return outcomeOf(closest, asked, () => whereOf(database, place))
}

function outcomeOf(closest: Closest, asked: Asked, where: () => string): Result<Admitted> {
  const { gate, rule, shadow, needy } = closest
  if (gate === PASSED && rule !== undefined) return accept({ rule, judged: undefined })
  if (needy !== undefined) return accept({ rule: needy, judged: undefined })
  const refused = refusalOf(closest, asked, where())
  return shadow === undefined ? refused : accept({ rule: shadow, judged: refused.reason })
}

/** Where names are not asked (role egress): something of this tenant in this database allows it, and the index says whether it is this. */
function ruleForAnything(asked: Asked, target: ResolvedTarget, database: DatabaseRules | undefined): Result<Admitted> {
  const closest = nothingYet(target)
  if (database !== undefined) considerLooks(closest, database.anything, undefined, asked)
  return outcomeOf(closest, asked, () => `any collection of ${asked.database}`)
}

/** Asked once more, so that a rule is never applied to what another entry proved. */
function provesTenant(entry: NamedRules, place: Place, { policy, action, tenant }: Asked): boolean {
  const proved = provedTenant(entry, place, policy.tenants, undefined)
  return proved.ok ? proved.value === tenant : looksOnly(action, place)
}

function considerRules(closest: Closest, entry: NamedRules, asked: Asked): boolean {
  const { own, shared } = entry.rules
  for (const rule of own.get(asked.tenant) ?? []) if (consider(closest, entry, rule, asked)) return true
  for (const rule of shared) if (consider(closest, entry, rule, asked)) return true
  return false
}

/** @param place undefined: whatever it is, its tenant is known */
function considerLooks(closest: Closest, { own, shared }: ByTenant<Permission>, place: Place | undefined, asked: Asked): boolean {
  for (const some of [own.get(asked.tenant) ?? [], shared]) {
    for (const { entry, rule } of some)
      if ((place === undefined || provesTenant(entry, place, asked)) && consider(closest, entry, rule, asked)) return true
  }
  return false
}

/**
 * The tenant itself: Chroma's Python client looks at it when it is made, and learns nothing but the name it sent. Whoever may
 * look at anything in it may do that; nothing else is done to a tenant through here.
 */
function ruleForTenant(asked: Asked, target: ResolvedTarget, database: DatabaseRules | undefined): Result<Admitted> {
  const closest = nothingYet(target)
  const looks = asked.action === 'observe' && target.collection.kind === 'none' ? database?.looks : undefined
  if (looks !== undefined) considerLooks(closest, looks, undefined, asked)
  return outcomeOf(closest, asked, () => `tenant ${asked.tenant} itself`)
}

function whereOf(database: string, { namespace, collection }: Place): string {
  const name = collection.kind === 'name' ? JSON.stringify(collection.name) : collection.kind
  return [database, ...(namespace === undefined ? [] : [namespace]), name].join('/')
}
