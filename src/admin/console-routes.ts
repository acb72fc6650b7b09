/** What people look at: the state of the server, decisions as they are made, workloads, what is allowed and used, and what waits for them. */
import { z } from 'zod'
import { DENIALS, type DenyKind } from '../core/deny-reason.ts'
import type { RiskDesk } from '../core/risk-desk.ts'
import { parseSpiffeId } from '../core/spiffe-id.ts'
import { type Policy, type Workload, workloadOf } from '../policy/policy.ts'
import type { Used, UsedWorkload } from '../usage/usage-text.ts'
import { type AdminRoute, problem, type Reply, route, type Visit } from './admin-route.ts'
import { reason } from './approval-routes.ts'
import type { Alert, Inbox } from './inbox.ts'
import { inventoryRoutes, type UsageDesk } from './inventory-routes.ts'
import type { Seen, SeenDecision } from './seen.ts'
import { timeOf } from './standing-routes.ts'
import type { Tail } from './tail-stream.ts'

export interface ConsoleDesk {
  /** Names and numbers of this server, for its page of the console. */
  readonly state: () => Readonly<Record<string, unknown>>
  readonly seen: Seen
  readonly usage: UsageDesk
  readonly inbox: Inbox
  /** Writes what became of alerts; false where that cannot be. */
  readonly keepAlerts: () => Promise<boolean>
  readonly tail: Tail
  /** Undefined at egress. */
  readonly risk: Pick<RiskDesk, 'standings' | 'baselines' | 'release'> | undefined
  /** What is left of a workload's budget. */
  readonly budgetLeft: (workload: string, budget: Workload['budget'], now: number) => Readonly<Record<string, number>>
}

const WORKLOADS_SHOWN_MAX = 500
/** `count`: that of the alert which was looked at. */
const acknowledgement = z.strictObject({ as: z.enum(['seen', 'false-positive']), reason, count: z.int().min(1) })

export function consoleRoutes(desk: ConsoleDesk): readonly AdminRoute[] {
  const look = (path: string, says: string, handle: (visit: Visit<unknown>) => Reply | Promise<Reply>) =>
    route({ method: 'GET', path, who: 'either', says, handle: async (visit) => handle(visit) })
  return [
    look('/v1/state', 'Readiness and why not, policy, identity, standings and buffers of this server.', () => ({
      status: 200,
      body: desk.state()
    })),
    look('/v1/decisions', 'The last decisions of this process, the newest first.', () => ({
      status: 200,
      body: { decisions: [...desk.seen.recent()].reverse().map(decisionJson) }
    })),
    route({
      method: 'GET',
      path: '/v1/tail',
      who: 'either',
      says: 'Decisions as they are made, as server-sent events. `joined`: of which run of the process, and the number of its last decision; `skipped`: how many were left out.',
      handle: async () => ({ stream: (response) => void (desk.tail.join(response) || response.destroy()) })
    }),
    look('/v1/workloads', 'Who has called since that is kept, the latest first.', (visit) => workloads(desk, visit)),
    look('/v1/workloads/{id}', 'One workload: its entry, standing, budget, drift over time, and what is normal for its type.', (visit) =>
      workload(desk, visit)
    ),
    ...inventoryRoutes(desk),
    look('/v1/alerts', 'What waits for a person, the newest first.', () => ({
      status: 200,
      body: { alerts: desk.inbox.list().map(alertJson) }
    })),
    route({
      method: 'POST',
      path: '/v1/alerts/{id}/acknowledge',
      who: 'operator',
      body: acknowledgement,
      act: 'alert.acknowledge',
      says: 'Says what an alert was. A false positive releases what it holds. `count` is that of the alert as it was looked at: raised once more meanwhile, it is to be looked at again.',
      handle: (visit) => acknowledge(desk, visit)
    })
  ]
}

export function decisionJson({ at, latencyUs, ...rest }: SeenDecision) {
  const tells = rest.reason === undefined ? undefined : DENIALS[rest.reason as DenyKind].tells
  return { ...rest, at: timeOf(at), tells, latency_us: latencyUs }
}

function workloads({ usage }: ConsoleDesk, { policy }: Visit<unknown>): Reply {
  const all = [...usage.book.workloads()].sort((one, other) => other.lastAt - one.lastAt)
  const shown = all.slice(0, WORKLOADS_SHOWN_MAX).map((one) => ({ ...countsOf(one), ...entryOf(policy, one.id) }))
  return { status: 200, body: { workloads: shown, more: all.length > shown.length } }
}

function countsOf({ id, firstAt, lastAt, allowed, denied, certificates }: UsedWorkload) {
  const refused = Object.fromEntries(denied.map(({ reason: kind, count }) => [kind, count]))
  const serials = certificates.map(({ serial }) => serial)
  return { id, first_at: timeOf(firstAt), last_at: timeOf(lastAt), allowed, denied: refused, certificates: serials }
}

function entryOf(policy: Policy, id: string) {
  const its = workloadIn(policy, id)
  if (its === undefined) return { listed: false }
  const { tenants, owner, agentType, purposes, delegated, expiresAt, budget, ring, attestationClass, shadow, source } = its
  return {
    listed: true,
    tenants: [...tenants],
    owner,
    agent_type: agentType,
    purposes: [...purposes],
    delegated,
    shadow,
    ring,
    attestation: attestationClass,
    expires: Number.isFinite(expiresAt) ? timeOf(expiresAt) : undefined,
    budget: { per_second: budget.per_second, burst: budget.burst },
    source
  }
}

function workloadIn(policy: Policy, id: string): Workload | undefined {
  const read = parseSpiffeId(id)
  return read.ok ? workloadOf(policy, read.id) : undefined
}

function workload({ seen, usage, risk, budgetLeft }: ConsoleDesk, { parts: [id = ''], policy, now }: Visit<unknown>): Reply {
  const its = usage.book.workload(id)
  const entry = workloadIn(policy, id)
  if (its === undefined && entry === undefined)
    return problem(404, 'Not found', 'That workload has not called, and the policy does not list it.')
  const agentType = entry?.agentType
  const rows = risk?.standings(now) ?? []
  const own = rows.find(({ scope }) => scope.kind === 'workload' && scope.id === id)
  const cohorts = rows.filter(({ scope }) => scope.kind === 'cohort' && scope.agentType === agentType)
  const normal = (risk?.baselines() ?? []).filter(({ key }) => key.agentType === agentType && entry?.tenants.has(key.tenant) === true)
  const body = {
    id,
    ...(its === undefined ? {} : countsOf(its)),
    ...entryOf(policy, id),
    standing: own?.standing ?? 'normal',
    why: own && {
      cause: own.cause,
      says: own.evidence.says,
      figures: own.evidence.figures,
      since: timeOf(own.since),
      decision_ids: own.evidence.decisionIds
    },
    until: own?.until === undefined ? undefined : timeOf(own.until),
    cohorts: cohorts.map(({ scope, standing, evidence }) => ({ scope, standing, says: evidence.says })),
    budget_left: entry && budgetLeft(id, entry.budget, now),
    drift: seen.scoresOf(id).map(({ at, ...rest }) => ({ at: timeOf(at), ...rest })),
    used: (its?.used ?? []).filter(({ allowed }) => allowed > 0).map(usedJson),
    normal: normal.map(({ key, state, learning, inForce, proposals }) => ({
      tenant: key.tenant,
      agent_type: key.agentType,
      collection: key.collection,
      state,
      neighbourhoods: inForce?.neighbourhoods,
      queries: inForce?.queries,
      approved_by: inForce?.by,
      learning,
      proposals: proposals.map(({ id: proposal, queries, supporters, doubts }) => ({
        id: proposal,
        queries,
        supporters: supporters.map(({ raised, ...one }) => ({ ...one, raised_meanwhile: raised })),
        doubts
      }))
    }))
  }
  return { status: 200, body }
}

function usedJson({ tenant, database, namespace, kind, name = `(${kind})`, action, allowed }: Used) {
  const collection = [database, ...(namespace === undefined ? [] : [namespace]), name].join('/')
  return { tenant, collection, action, count: allowed }
}

async function acknowledge(
  { inbox, risk, keepAlerts }: ConsoleDesk,
  { id: by, parts: [about = ''], body: { as, reason: why, count }, now }: Visit<z.infer<typeof acknowledgement>>
): Promise<Reply> {
  const open = inbox.get(about)
  if (open === undefined) return problem(404, 'Not found', 'There is no alert of that id.')
  if (open.acknowledged !== undefined) return problem(409, 'Not possible', `${open.acknowledged.by} has done that already.`)
  // What came meanwhile may be worse than what was looked at.
  if (open.count !== count) return problem(409, 'Not possible', 'It was raised once more since you looked: look at it again.')
  let released: string | undefined
  if (as === 'false-positive' && open.scope !== undefined && risk !== undefined) {
    const acted = await risk.release(open.scope, { by: by.text, reason: why, now })
    // It may have ended by itself; that nobody releases itself is no reason to say that it was nothing.
    if (acted.kind === 'unavailable') return problem(503, 'Unavailable', acted.because)
    if (acted.kind === 'not' && acted.status === 403) return problem(403, 'Forbidden', acted.says)
    released = acted.kind === 'done' ? 'normal' : undefined
  }
  const alert = inbox.acknowledge(about, as, by.text, why, now)
  if (alert === undefined) return problem(409, 'Not possible', 'Somebody else was first.')
  // On the disk before it is answered; where that cannot be, a restart shows the alert as open again.
  await keepAlerts()
  const facts = { alert: about, as, subject: alert.subject, standing: released }
  return { status: 200, body: { ...alertJson(alert), standing: released }, facts }
}

function alertJson({ firstAt, lastAt, acknowledged, decisionIds, ...rest }: Alert) {
  const done = acknowledged && { ...acknowledged, at: timeOf(acknowledged.at) }
  return { ...rest, first_at: timeOf(firstAt), last_at: timeOf(lastAt), decision_ids: decisionIds, acknowledged: done }
}
