/** What the admin port offers about standings, step-ups and figures of other systems. */
import { z } from 'zod'
import { type RiskActed, type RiskDesk, STANDINGS_SHOWN_MAX } from '../core/risk-desk.ts'
import type { StandingRow } from '../core/standings.ts'
import { type AdminRoute, problem, type Reply, route } from './admin-route.ts'
import { reason } from './approval-routes.ts'

const text = (max: number) => z.string().min(1).max(max)
const scope = z.union([
  z.strictObject({ workload: text(2_048) }),
  z.strictObject({ tenant: text(128), agent_type: text(128), database: text(64), collection: text(1_100) })
])
const release = z.strictObject({ scope, reason })
const answer = z.strictObject({ verdict: z.enum(['approve', 'refuse']), reason })

export function standingRoutes(desk: RiskDesk): readonly AdminRoute[] {
  return [
    route({
      method: 'GET',
      path: '/v1/standings',
      who: 'either',
      handle: async ({ now }) => {
        const all = desk.standings(now)
        const shown = all.slice(0, STANDINGS_SHOWN_MAX).map(rowJson)
        return {
          status: 200,
          body: { standings: shown, more: all.length > shown.length, stale_seconds: Math.round(desk.staleMs() / 1000) }
        }
      }
    }),
    route({
      method: 'POST',
      path: '/v1/standings/release',
      who: 'operator',
      body: release,
      act: 'standing.release',
      handle: async ({ id, body: { scope: of, reason: why }, now }) => {
        const meant =
          'workload' in of
            ? ({ kind: 'workload', id: of.workload } as const)
            : ({ kind: 'cohort', tenant: of.tenant, agentType: of.agent_type, database: of.database, collection: of.collection } as const)
        return replyOf(await desk.release(meant, { by: id.text, reason: why, now }))
      }
    }),
    route({
      method: 'POST',
      path: '/v1/step-ups/{id}/answer',
      // Of supervisors the policy says who they are.
      who: 'anybody',
      body: answer,
      act: 'step-up.answer',
      handle: async ({ id, isOperator, parts: [challenge = ''], body: { verdict, reason: why }, now }) =>
        replyOf(desk.answer(challenge, verdict, id, isOperator, { by: id.text, reason: why, now }))
    })
  ]
}

/** The reply to an act, and what of it goes on record. */
export function replyOf(acted: RiskActed): Reply {
  if (acted.kind === 'done') return { status: 200, body: acted.facts, facts: acted.facts }
  if (acted.kind === 'unavailable') return problem(503, 'Unavailable', acted.because)
  return problem(acted.status, acted.status === 404 ? 'Not found' : acted.status === 403 ? 'Forbidden' : 'Not possible', acted.says)
}

function rowJson({ scope: of, standing, cause, evidence, since, until, id }: StandingRow) {
  return {
    id,
    standing,
    scope: of.kind === 'workload' ? { workload: of.id } : { ...cohortJson(of) },
    cause,
    says: evidence.says,
    figures: evidence.figures,
    decision_ids: evidence.decisionIds,
    place: evidence.place && cohortJson(evidence.place),
    for_user: evidence.subject !== undefined,
    since: timeOf(since),
    until: until === undefined ? undefined : timeOf(until)
  }
}

function cohortJson({ tenant, agentType, database, collection }: Exclude<StandingRow['evidence']['place'], undefined>) {
  return { tenant, agent_type: agentType, database, collection }
}

export function timeOf(at: number): string {
  return new Date(Math.min(at, 8.64e15)).toISOString()
}
