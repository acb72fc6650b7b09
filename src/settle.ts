/** The last steps of a granted call: it is paid for, its policy token is used, its approval is there. And what shadow lets pass. */
import { createHash } from 'node:crypto'
import { RUN_HEADER } from './core/approval.ts'
import { type AnyGrant, type Decision, deny, tenantOfGrant } from './core/decision.ts'
import { type DenyReason, isShadowed, type Refused, type Result } from './core/deny-reason.ts'
import { requestDigest } from './core/request-digest.ts'
import type { Held, Judgement, RiskCall } from './core/risk.ts'
import { spendPolicyToken } from './identity/policy-token-use.ts'
import { approvalNeed, approvalRefusal, runOf } from './policy/approval-need.ts'
import { isInShadow, type Workload } from './policy/policy.ts'
import { charge, rateLeft, type Terms } from './risk/charge.ts'
import { screenCall } from './screen-stage.ts'
import type { Case, Served } from './world.ts'

type Later<T> = T | Promise<T>

/** Charged once however often Envoy asks, and before anything is used up: whoever is over budget has lost nothing else. */
export function settle(its: Case, granted: Result<AnyGrant>, workload: Workload, served: Served): Later<Decision> {
  if (!granted.ok) return deny(granted.reason)
  const grant = granted.value
  const screened = screenedOf(its, grant)
  if (screened !== undefined && !isInShadow(its.policy, tenantOfGrant(grant))) return deny(screened)
  const before = its.judged ?? (grant.kind === 'tenant' ? grant.judged : undefined) ?? screened
  const egress = its.account.token?.judged
  const seen =
    egress === undefined ? before : (before ?? { kind: egress, because: 'so judged by the vecauthz that issued the policy token' })
  const shadow = isInShadow(its.policy, tenantOfGrant(grant))
  const passes = (reason: DenyReason) => shadow && isShadowed(reason.kind)
  const { memory } = its.world
  const calls = its.calls === undefined ? undefined : { ...its.calls, caller: grant.caller, shadow }
  const held = heldFor(its, grant, calls)
  if (held?.refusal !== undefined && !passes(held.refusal)) return deny(held.refusal)
  const { budget, share: left } = held ?? { budget: workload.budget, share: 1 }
  const whole = memory.share()
  const share = left * whole
  const paid = charge(grant, budget, its.check, its.now, memory, termsOf(its, share, whole))
  if (!paid.ok && !passes(paid.reason)) return deny(paid.reason, paid.retryAfterMs, rateLeft(grant.caller, budget, its.now, memory, share))
  const risk = riskOf(its, grant, calls)
  if (risk?.refusal !== undefined && !passes(risk.refusal)) return deny(risk.refusal, risk.retryAfterMs)
  const judged = seen ?? held?.refusal ?? (paid.ok ? undefined : paid.reason) ?? risk?.refusal
  const used = useToken(its, grant)
  const go = (refused: Refused | undefined) => (refused === undefined ? approve(its, grant, judged, served) : deny(refused.reason))
  return used instanceof Promise ? used.then(go) : go(used)
}

/** Whether its texts are refused; nothing is looked at unless the policy asks for it. */
function screenedOf({ policy, inbound, account }: Case, grant: AnyGrant): DenyReason | undefined {
  if (policy.screening === undefined || grant.kind !== 'tenant') return undefined
  const screening = screenCall(inbound, policy.screening, policy.tenants, grant.tenant)
  if (screening === undefined) return undefined
  account.screened = screening.found
  return screening.refusal
}

/** How it stands there: an agent type may be quarantined in one of the collections. */
function heldFor({ world, account }: Case, grant: AnyGrant, calls: RiskCall | undefined): Held | undefined {
  if (world.risk === undefined || calls === undefined) return undefined
  const place = grant.kind === 'tenant' ? { tenant: grant.tenant, database: account.database ?? '', targets: grant.targets } : undefined
  return world.risk.held(calls, place)
}

function termsOf({ world, policy, account, inbound }: Case, share: number, whole: number): Terms {
  // At egress names are ids, and the index charges what its tenants share.
  const further = world.role.kind === 'egress' ? undefined : policy.budgets
  return { further, database: account.database ?? '', bytes: inbound.body?.length ?? 0, share, whole }
}

/** What a paid call adds to what is known of its workload: only what could have been done counts. */
function riskOf({ world, account, inbound }: Case, grant: AnyGrant, calls: RiskCall | undefined): Judgement | undefined {
  if (world.risk === undefined || calls === undefined || grant.kind !== 'tenant') return undefined
  const judgement = world.risk.observe(grant, calls, account.database ?? '', inbound.body)
  account.risk = judgement
  return judgement
}

/** A call of nobody whom the policy knows, in shadow: there is no budget that it could be charged to, and its token is used like any other. */
export function settleUnknown(its: Case, grant: AnyGrant, judged: DenyReason): Later<Decision> {
  const used = useToken(its, grant)
  const go = (refused: Refused | undefined): Decision =>
    refused === undefined ? { verdict: 'allow', grant, judged } : deny(refused.reason)
  return used instanceof Promise ? used.then(go) : go(used)
}

function useToken({ account: { token }, world: { role }, check, now }: Case, { call }: AnyGrant): Later<Refused | undefined> {
  if (role.kind !== 'index' || token === undefined) return undefined
  return spendPolicyToken(token, call.operation, check, now, role.spent)
}

/** What a rule, or the nature of the call, asks of somebody else. At egress nobody is asked: the index does that, once. */
function approve(its: Case, grant: AnyGrant, judged: DenyReason | undefined, served: Served): Later<Decision> {
  const { inbound, world, policy, account, check, now } = its
  if (grant.kind !== 'tenant' || world.role.kind === 'egress') return pass(grant, judged, served)
  const run = runOf(inbound.headers.get(RUN_HEADER))
  if (!run.ok) return deny(run.reason)
  const digest = () => requestDigest(inbound, account.dialect?.meaningHeaders ?? [], createHash('sha256'))
  const need = approvalNeed(grant, grant.needs, policy, { database: account.database ?? '', digest, run: run.value })
  if (need === undefined) return pass(grant, judged, served)
  if (world.approvals === undefined) return deny({ kind: 'state-unavailable', because: 'approvals are not kept here' })
  const answer = world.approvals.use(need, check, now)
  const go = (said: Awaited<typeof answer>): Decision => {
    const refused = approvalRefusal(need, said)
    const reason = refused !== undefined && said.kind === 'required' ? { ...refused, requestId: said.id } : refused
    account.approval = said
    if (reason === undefined) return pass(grant, judged, served)
    if (!isInShadow(policy, grant.tenant)) return deny(reason)
    // Somebody's yes or no would both let it pass, so that neither can be had stops nothing: 32 requests would be all that shadow takes.
    return pass(grant, judged ?? { ...reason, kind: 'approval-required' }, served)
  }
  return answer instanceof Promise ? answer.then(go) : go(answer)
}

function pass(grant: AnyGrant, judged: DenyReason | undefined, served: Served): Decision {
  const { operation } = grant.call
  if (grant.kind === 'tenant' && (operation === 'drop' || operation === 'define')) served.forget(grant.targets)
  return judged === undefined ? { verdict: 'allow', grant } : { verdict: 'allow', grant, judged }
}

/**
 * A denial by policy, which passes where the policy, or this tenant of it, is in shadow.
 * @param passing what then is done, with the denial on record
 */
export function shadowed(
  its: Case,
  reason: DenyReason,
  tenant: string | undefined,
  passing: (its: Case) => Later<Decision>
): Later<Decision> {
  return isInShadow(its.policy, tenant) && isShadowed(reason.kind) ? passing({ ...its, judged: its.judged ?? reason }) : deny(reason)
}
