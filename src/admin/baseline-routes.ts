/** What the admin port offers about baselines: for operators only, since what is normal decides who is stopped. */
import { z } from 'zod'
import type { BaselineItem, By, FrozenItem, RiskActed, RiskDesk } from '../core/risk-desk.ts'
import { type AdminRoute, problem, route, type Visit } from './admin-route.ts'
import { reason } from './approval-routes.ts'
import { replyOf, timeOf } from './standing-routes.ts'

/** An exported baseline, with its escapes. */
const IMPORT_BYTES_MAX = 384 * 1024

const text = (max: number) => z.string().min(1).max(max)
const named = { tenant: text(128), agent_type: text(128), collection: text(1_100), reason }
const plain = z.strictObject(named)
const approval = z.strictObject({ ...named, records_a_day: z.number().min(1).max(1e9).optional() })
const adoption = z.strictObject({ ...named, proposal: text(64), anyway: z.boolean().default(false) })
const taken = z.strictObject({ baseline: text(IMPORT_BYTES_MAX), add: z.boolean().default(false), reason })

export function baselineRoutes(desk: RiskDesk): readonly AdminRoute[] {
  const act = <B extends z.infer<typeof plain>>(
    verb: string,
    body: z.ZodType<B>,
    handle: (key: BaselineItem['key'], by: By, body: B) => Promise<RiskActed>
  ) =>
    route({
      method: 'POST',
      path: `/v1/baselines/${verb}`,
      who: 'operator',
      body,
      act: `baseline.${verb}`,
      handle: async (visit: Visit<B>) => replyOf(await handle(keyOf(visit.body), byOf(visit, visit.body.reason), visit.body))
    })
  return [
    route({
      method: 'GET',
      path: '/v1/baselines',
      who: 'either',
      handle: async () => ({ status: 200, body: { baselines: desk.baselines().map(itemJson) } })
    }),
    act('freeze', plain, (key, by) => desk.freeze(key, by)),
    act('approve', approval, (key, by, { records_a_day: daily }) => desk.approve(key, daily, by)),
    act('reset', plain, (key, by) => desk.reset(key, by)),
    act('adopt', adoption, (key, by, { proposal, anyway }) => desk.adopt(key, proposal, anyway, by)),
    route({
      // It holds a secret of the tenant, so that it was handed out goes on record.
      method: 'POST',
      path: '/v1/baselines/export',
      who: 'operator',
      body: plain,
      act: 'baseline.export',
      handle: async ({ body }) => {
        const { reason: _, ...facts } = body
        const baseline = desk.exported(keyOf(body))
        return baseline === undefined
          ? problem(404, 'Not found', 'No baseline is in force under that tenant, agent type and collection.')
          : { status: 200, body: { baseline }, facts }
      }
    }),
    route({
      method: 'POST',
      path: '/v1/baselines/import',
      who: 'operator',
      body: taken,
      bodyBytesMax: IMPORT_BYTES_MAX,
      act: 'baseline.import',
      handle: async (visit) => replyOf(await desk.imported(visit.body.baseline, visit.body.add, byOf(visit, visit.body.reason)))
    })
  ]
}

function keyOf({ tenant, agent_type: agentType, collection }: z.infer<typeof plain>): BaselineItem['key'] {
  return { tenant, agentType, collection }
}

function byOf({ id, now }: Visit<unknown>, why: string): By {
  return { by: id.text, reason: why, now }
}

function itemJson({ key, state, learning, inForce, waiting, daily, proposals }: BaselineItem) {
  return {
    tenant: key.tenant,
    agent_type: key.agentType,
    collection: key.collection,
    state,
    learning: learning && {
      queries: learning.queries,
      skipped: learning.skipped,
      workloads: learning.workloads,
      bursts: learning.bursts,
      bursts_until_it_judges: learning.burstsToJudge,
      bursts_until_rhythm_counts: learning.burstsToCoherence,
      full: learning.full
    },
    in_force: inForce && { ...frozenJson(inForce), records_a_day: daily },
    waiting: waiting && frozenJson(waiting),
    proposals: proposals.map(({ id, queries, supporters, doubts, firstAt, lastAt }) => ({
      id,
      queries,
      supporters: supporters.map(({ raised, ...one }) => ({ ...one, raised_meanwhile: raised })),
      doubts,
      first_at: timeOf(firstAt),
      last_at: timeOf(lastAt)
    }))
  }
}

function frozenJson({ at, ...rest }: FrozenItem) {
  return { ...rest, at: timeOf(at) }
}
