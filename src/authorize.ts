/**
 * The story of a decision, on one screen: who → what → may they → and then the last steps (settle.ts) → verdict.
 *
 * Every exit is a Decision; nothing here throws on purpose, and what throws by accident becomes `internal` at the edge.
 * All that can change is handed in as one snapshot, so that a decision is made under one policy and one set of trust bundles.
 */
import type { Caller } from './core/caller.ts'
import { type Decision, deny } from './core/decision.ts'
import { accept, type DenyReason, isShadowed, type Result, refuse } from './core/deny-reason.ts'
import type { Inbound } from './core/inbound.ts'
import type { RiskCall } from './core/risk.ts'
import type { TrustBundles } from './core/trust.ts'
import type { Target, VectorCall } from './core/vector-call.ts'
import { type Evidence, identifyCall } from './identity/identify-call.ts'
import { identifySubject, SUBJECT_HEADER } from './identity/identify-subject.ts'
import { grantFor, grantProbe, grantShadow, knownSubject, knownWorkload, PURPOSE_HEADER, tenantOf } from './policy/grant.ts'
import type { Workload } from './policy/policy.ts'
import { chargeRefusal, overdrawn, rateLeft } from './risk/charge.ts'
import { settle, settleUnknown, shadowed } from './settle.ts'
import { tokenFault, vouchedFor } from './vouched.ts'
import type { Account, Asking, Case, Resolved, Served, World } from './world.ts'

export function authorize(inbound: Inbound, asking: Asking, world: World, account: Account): Decision | Promise<Decision> {
  const trust = usableTrust(world)
  if (!trust.ok) return deny(trust.reason)
  const { policy, role } = world
  const { check, now, mark } = asking
  if (policy === undefined) return deny({ kind: 'policy-unavailable', because: 'no policy is loaded' })

  const connection = role.kind === 'egress' ? { asks: asking.connection } : undefined
  const evidence = { trust: trust.value, tokens: world.tokens, carriers: policy.carriers, since: Number.NEGATIVE_INFINITY, connection }
  const remembered = identifyCall(inbound, evidence, now, world.callers)
  if (!remembered.ok) return deny(remembered.reason)
  account.caller = remembered.value
  const workload = knownWorkload(remembered.value, policy, now)
  if (!workload.ok && !(policy.shadow && isShadowed(workload.reason.kind))) return deny(workload.reason)
  const reverifyMs = workload.ok ? workload.value.reverifyMs : 0
  const since = Math.max(now - reverifyMs, world.changedAt(remembered.value.id))
  const caller = provenSince(since, remembered.value, inbound, evidence, now, world)
  if (!caller.ok) return deny(caller.reason)
  mark?.('identify')

  const its: Case = { inbound, check, now, since, world, trust: trust.value, account, policy, judged: undefined, calls: undefined, mark }
  if (!workload.ok) return judgeUnknown(its, caller.value, workload.reason)
  const { shadow, agentType } = workload.value
  account.agentType = agentType
  const { budget: written } = workload.value
  const calls: RiskCall = { caller: caller.value, agentType, budget: written, policy, check, decisionId: asking.decisionId, shadow, now }
  const held = world.risk?.held(calls, undefined)
  if (held !== undefined) account.risk = { causes: [], before: held.standing, after: held.standing }
  // An end user may have come back with the answer to a step-up: then his token is looked at first.
  const answers = held?.refusal?.kind === 'step-up-required' && inbound.headers.has(SUBJECT_HEADER)
  if (held?.refusal !== undefined && !shadow && !answers) return deny(held.refusal)
  const { budget, share: left } = held ?? { budget: written, share: 1 }
  const share = left * world.memory.share()
  const spent = overdrawn(caller.value, budget, check, now, world.memory, share)
  if (spent !== undefined && !shadow)
    return deny(spent.reason, spent.retryAfterMs, rateLeft(caller.value, budget, now, world.memory, share))
  const charged = (decision: Decision) => {
    if (decision.verdict === 'allow') return decision
    chargeRefusal(caller.value, budget, check, inbound.body?.length ?? 0, now, world.memory, share)
    noteRefusal(its, calls, decision.reason)
    return decision
  }
  const judged = held?.refusal ?? spent?.reason
  const decision = judge(
    { ...its, judged: answers ? spent?.reason : judged, calls },
    caller.value,
    workload.value,
    answers ? held?.refusal : undefined
  )
  return decision instanceof Promise ? decision.then(charged) : charged(decision)
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

/** What the call is, whoever may make it: the database it is for, its policy token where one is asked for, and what it does there. */
function understand(its: Case, caller: Caller): Result<{ readonly served: Served; readonly call: VectorCall }> {
  const { inbound, world, account } = its
  const served = world.served(inbound.authority)
  if (served === undefined) return refuse('operation-unknown', `authority ${JSON.stringify(inbound.authority)} is no database here`)
  account.database = served.id
  account.dialect = served.dialect
  if (world.role.kind === 'index') {
    const token = vouchedFor(its, world.role, caller, served)
    if (!token.ok) return token
    account.token = token.value
  }
  const call = served.dialect.readCall(inbound)
  if (!call.ok) return call
  its.mark?.('call')
  account.call = call.value
  if (account.token !== undefined && account.token.act !== call.value.operation)
    return refuse('token-mismatch', `T-14: it is for the operation ${account.token.act}, and the call is ${call.value.operation}`)
  return accept({ served, call: call.value })
}

/** A proven workload that the policy does not know, while all of the policy is in shadow. */
function judgeUnknown(its: Case, workloadCaller: Caller, reason: DenyReason): Decision | Promise<Decision> {
  const user = withSubject(its, workloadCaller)
  if (!user.ok) return deny(user.reason)
  its.account.caller = user.value
  const understood = understand(its, user.value)
  if (!understood.ok) return deny(understood.reason)
  return settleUnknown(its, grantShadow(user.value, understood.value.call, undefined, []), reason)
}

/** Denials of a proven identity count, whoever repeats them. */
function noteRefusal({ inbound, account, world }: Case, calls: RiskCall, reason: DenyReason): void {
  if (world.risk === undefined) return
  const { call, tenant, database = '', targets } = account
  const [path = ''] = inbound.target.split('?', 1)
  const asked = call === undefined ? `${inbound.method} ${path}` : [call.endpoint, ...call.targets.map(wordsOf)].join(' ')
  const place = { tenant, database, targets: targets ?? [] }
  const refusal = world.risk.refused(reason, asked, { ...calls, caller: account.caller ?? calls.caller }, place, inbound.body?.length ?? 0)
  if (refusal === undefined) return
  const { before = refusal.before, causes = [], score = 0 } = account.risk ?? {}
  const all = { causes: [...causes, ...refusal.causes], score: Math.max(score, refusal.score) }
  account.risk = { ...account.risk, ...all, before, after: refusal.after }
}

function wordsOf({ tenant, namespace = '', collection }: Target): string {
  const name = collection.kind === 'name' ? collection.name : collection.kind === 'id' ? collection.id : collection.kind
  return [tenant.kind === 'none' ? '' : tenant.tenant, namespace, name].join('/')
}

/** So that the id of the challenge, at the end of the remedy, is whole in what the caller gets. */
const WRONG_CHARACTERS_MAX = 67

/** The challenge again, and why this was no answer to it. */
function unproven(stepUp: DenyReason, wrong: string): DenyReason {
  return {
    ...stepUp,
    because: `${stepUp.because}; no answer: ${wrong}`,
    remedy: `${wrong.slice(0, WRONG_CHARACTERS_MAX)} ${stepUp.remedy ?? ''}`
  }
}

/**
 * What a known workload asks for, and whether it may.
 * @param stepUp is open, and this call's end user may be the answer
 */
function judge(its: Case, workloadCaller: Caller, workload: Workload, stepUp: DenyReason | undefined): Decision | Promise<Decision> {
  const { inbound, world, account, policy } = its
  const user = withSubject(its, workloadCaller)
  if (!user.ok) return deny(user.reason)
  const caller = user.value
  account.caller = caller
  const known = knownSubject(caller, workload, policy)
  if (!known.ok) return deny(known.reason)
  const wrong = stepUp === undefined || its.calls === undefined ? undefined : world.risk?.prove({ ...its.calls, caller })
  if (stepUp !== undefined && wrong !== undefined && !workload.shadow) return deny(unproven(stepUp, wrong))
  const understood = understand(its, caller)
  if (!understood.ok) return deny(understood.reason)
  const { served, call } = understood.value
  if (call.operation === 'probe') {
    const fault = tokenFault(account.token, undefined, its)
    return fault === undefined ? settle(its, grantProbe(caller, call), workload, served) : deny(fault.reason)
  }

  const { id: database, dialect } = served
  const pin = dialect.pin === undefined ? undefined : dialect.pin.bind(undefined, call.endpoint)
  const tenant = tenantOf(call, { workload, subject: caller.subject, database, policy, pin })
  if (!tenant.ok)
    return shadowed(its, tenant.reason, undefined, (judged) =>
      settle(judged, accept(grantShadow(caller, call, undefined, [])), workload, served)
    )
  account.tenant = tenant.value
  // What egress judged is held against what is judged here, once that is known.
  const token = tokenFault(account.token, tenant.value, its, account.token?.judged)
  if (token !== undefined) return deny(token.reason)
  const purpose = account.token?.purpose ?? inbound.headers.get(PURPOSE_HEADER)
  const circumstances = { workload, purpose, now: its.now, unasked: world.role.kind === 'egress' }
  const grant = (targets: Resolved) => {
    const granted = targets.ok ? grantFor(caller, call, tenant.value, targets.value, database, policy, circumstances) : targets
    its.mark?.('grant')
    if (targets.ok) account.targets = targets.value
    const fault = granted.ok ? tokenFault(account.token, tenant.value, its, granted.value.judged?.kind) : undefined
    if (fault !== undefined) return deny(fault.reason)
    if (granted.ok) return settle(its, granted, workload, served)
    const shadow = (judged: Case) =>
      settle(judged, accept(grantShadow(caller, call, tenant.value, targets.ok ? targets.value : [])), workload, served)
    // What may be another tenant's is no matter of this one: the database would look an id up wherever it is.
    const own = targets.ok && granted.reason.kind !== 'tenant-not-allowed'
    return shadowed(its, granted.reason, own ? tenant.value : undefined, shadow)
  }
  const targets = served.resolve(caller, call, tenant.value)
  return targets instanceof Promise ? targets.then(grant) : grant(targets)
}

function usableTrust({ trust, trustAgeMs, trustAgeMsMax }: World): Result<TrustBundles> {
  if (trust === undefined) return refuse('trust-unavailable', 'no trust bundle has come from the Workload API yet')
  if (trustAgeMs <= trustAgeMsMax) return accept(trust)
  const seconds = [trustAgeMs, trustAgeMsMax].map((ms) => Math.round(ms / 1000))
  return refuse('trust-unavailable', `the Workload API has been away for ${seconds[0]} s, bundle_max_age_seconds is ${seconds[1]}`)
}
