/**
 * The story of a decision, on one screen: who → what → may they → how fast → verdict.
 *
 * Every exit is a Decision; nothing here throws on purpose, and what throws by accident becomes `internal` at the edge.
 * All that can change is handed in as one snapshot, so that a decision is made under one policy and one set of trust bundles.
 */
import type { Caller } from './core/caller.ts'
import type { Decision, Grant, ProbeGrant } from './core/decision.ts'
import { accept, type DenyReason, type Result, refuse } from './core/deny-reason.ts'
import type { Inbound } from './core/inbound.ts'
import type { Memory } from './core/memory.ts'
import type { SpiffeId } from './core/spiffe-id.ts'
import type { TrustBundles } from './core/trust.ts'
import type { ResolvedTarget, VectorCall } from './core/vector-call.ts'
import type { Dialect } from './databases/dialect.ts'
import { type CallerCaches, type Evidence, identifyCall, type TokenDoor } from './identity/identify-call.ts'
import { identifySubject, SUBJECT_HEADER, type SubjectKeys } from './identity/identify-subject.ts'
import type { VerdictCache } from './identity/verdict-cache.ts'
import { grantFor, grantProbe, knownSubject, knownWorkload, PURPOSE_HEADER, tenantOf } from './policy/grant.ts'
import type { Policy, Workload } from './policy/policy.ts'
import { charge, chargeRefusal, overdrawn } from './risk/charge.ts'

/** A database behind this server: its dialect, and where its names are asked. */
export interface Served {
  readonly id: string
  readonly dialect: Dialect
  /** Exchanges a collection id for its name, from memory or by asking the database. */
  readonly resolve: (caller: Caller, call: VectorCall, tenant: string) => Resolved | Promise<Resolved>
  /** Told of a granted rename or drop, so that an old name is not believed any longer. */
  readonly forget: (targets: readonly ResolvedTarget[]) => void
}

type Resolved = Result<readonly ResolvedTarget[]>

export interface World {
  readonly trust: TrustBundles | undefined
  /** How long ago the Workload API was last known to stand by that snapshot; 0 while its stream is open. */
  readonly trustAgeMs: number
  readonly trustAgeMsMax: number
  /** Undefined: this port takes no JWT-SVIDs. */
  readonly tokens: TokenDoor | undefined
  readonly subjectKeys: SubjectKeys
  readonly subjectLeewayMs: number
  readonly policy: Policy | undefined
  /** When the standing of a workload last changed, or the policy for all of them (milliseconds since the epoch): older evidence is verified again. */
  readonly changedAt: (id: SpiffeId) => number
  /** Authority (`host` or `host:port`) to database. */
  readonly served: (authority: string) => Served | undefined
  readonly callers: CallerCaches
  readonly subjects: VerdictCache<Caller>
  readonly memory: Memory
}

/** What became known on the way, for the audit record: also when the answer is no. */
export interface Account {
  caller?: Caller
  database?: string
  dialect?: Dialect
  call?: VectorCall
  tenant?: string
  targets?: readonly ResolvedTarget[]
}

export function authorize(inbound: Inbound, check: string, now: number, world: World, account: Account): Decision | Promise<Decision> {
  const trust = usableTrust(world)
  if (!trust.ok) return deny(trust.reason)
  const { policy } = world
  if (policy === undefined) return deny({ kind: 'policy-unavailable', because: 'no policy is loaded' })

  const evidence = { trust: trust.value, tokens: world.tokens, carriers: policy.carriers, since: Number.NEGATIVE_INFINITY }
  const remembered = identifyCall(inbound, evidence, now, world.callers)
  if (!remembered.ok) return deny(remembered.reason)
  account.caller = remembered.value
  const workload = knownWorkload(remembered.value, policy, now)
  if (!workload.ok) return deny(workload.reason)
  const since = Math.max(now - workload.value.reverifyMs, world.changedAt(remembered.value.id))
  const caller = provenSince(since, remembered.value, inbound, evidence, now, world)
  if (!caller.ok) return deny(caller.reason)

  const { budget } = workload.value
  const spent = overdrawn(caller.value, budget, check, now, world.memory)
  if (spent !== undefined) return deny(spent.reason, spent.retryAfterMs)
  const charged = (decision: Decision) => {
    if (decision.verdict === 'deny') chargeRefusal(caller.value, budget, check, inbound.body?.length ?? 0, now, world.memory)
    return decision
  }
  const decision = judge({ inbound, check, now, since, world, account, policy }, caller.value, workload.value)
  return decision instanceof Promise ? decision.then(charged) : charged(decision)
}

interface Case {
  readonly inbound: Inbound
  readonly check: string
  readonly now: number
  readonly since: number
  readonly world: World
  readonly account: Account
  readonly policy: Policy
}

/** The caller again, by evidence that was verified since then: what is remembered may be older than its standing, or than its class allows. */
function provenSince(since: number, caller: Caller, inbound: Inbound, evidence: Evidence, now: number, world: World): Result<Caller> {
  return caller.provenAt >= since ? accept(caller) : identifyCall(inbound, { ...evidence, since }, now, world.callers)
}

/** The caller with the end user behind the call, if there is one. */
function withSubject({ inbound, now, since, world, policy }: Case, caller: Caller): Result<Caller> {
  const token = inbound.headers.get(SUBJECT_HEADER)
  if (token === undefined) return accept(caller)
  const { subjectKeys: keys, subjectLeewayMs: leewayMs } = world
  return identifySubject(token, caller, { issuers: policy.subjects, revision: policy.revision, keys, leewayMs, since }, now, world.subjects)
}

/** What a known workload asks for, and whether it may. */
function judge(its: Case, workloadCaller: Caller, workload: Workload): Decision | Promise<Decision> {
  const { inbound, world, account, policy } = its
  const user = withSubject(its, workloadCaller)
  if (!user.ok) return deny(user.reason)
  const caller = user.value
  account.caller = caller
  const known = knownSubject(caller, workload, policy)
  if (!known.ok) return deny(known.reason)
  const served = world.served(inbound.authority)
  if (served === undefined) {
    return deny({ kind: 'operation-unknown', because: `authority ${JSON.stringify(inbound.authority)} is no database here` })
  }
  account.database = served.id
  account.dialect = served.dialect
  const call = served.dialect.readCall(inbound)
  if (!call.ok) return deny(call.reason)
  account.call = call.value
  if (call.value.operation === 'probe') return settle(grantProbe(caller, call.value), workload, its, served)

  const { id: database, dialect } = served
  const pin = dialect.pin === undefined ? undefined : dialect.pin.bind(undefined, call.value.endpoint)
  const tenant = tenantOf(call.value, { workload, subject: caller.subject, database, policy, pin })
  if (!tenant.ok) return deny(tenant.reason)
  account.tenant = tenant.value
  const circumstances = { workload, purpose: inbound.headers.get(PURPOSE_HEADER), now: its.now }
  const grant = (targets: Resolved) => {
    if (!targets.ok) return deny(targets.reason)
    account.targets = targets.value
    return settle(grantFor(caller, call.value, tenant.value, targets.value, database, policy, circumstances), workload, its, served)
  }
  const targets = served.resolve(caller, call.value, tenant.value)
  return targets instanceof Promise ? targets.then(grant) : grant(targets)
}

export function deny(reason: DenyReason, retryAfterMs?: number): Decision {
  return retryAfterMs === undefined ? { verdict: 'deny', reason } : { verdict: 'deny', reason, retryAfterMs }
}

function usableTrust({ trust, trustAgeMs, trustAgeMsMax }: World): Result<TrustBundles> {
  if (trust === undefined) return refuse('trust-unavailable', 'no trust bundle has come from the Workload API yet')
  if (trustAgeMs <= trustAgeMsMax) return accept(trust)
  const seconds = [trustAgeMs, trustAgeMsMax].map((ms) => Math.round(ms / 1000))
  return refuse('trust-unavailable', `the Workload API has been away for ${seconds[0]} s, bundle_max_age_seconds is ${seconds[1]}`)
}

/** The last step: a granted call is charged to its workload's budget, once however often Envoy asks. */
function settle(grant: Result<Grant | ProbeGrant>, workload: Workload, { check, now, world }: Case, served: Served): Decision {
  if (!grant.ok) return deny(grant.reason)
  const paid = charge(grant.value, workload.budget, check, now, world.memory)
  if (!paid.ok) return deny(paid.reason, paid.retryAfterMs)
  const { operation } = grant.value.call
  if (grant.value.kind === 'tenant' && (operation === 'drop' || operation === 'define')) served.forget(grant.value.targets)
  return { verdict: 'allow', grant: grant.value }
}
