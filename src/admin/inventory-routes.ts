/** What is allowed and what of it was used, and by whom: since when it is kept, which may be long before this process began. */
import { z } from 'zod'
import { matrixOf } from '../policy/matrix.ts'
import type { Policy } from '../policy/policy.ts'
import { divergingIn } from '../usage/profiles.ts'
import type { KeptUsage } from '../usage/usage-file.ts'
import { headSchema, type Usage, type Used, type UsedWorkload, workloadSchema } from '../usage/usage-text.ts'
import { type AdminRoute, type Reply, route } from './admin-route.ts'
import { timeOf } from './standing-routes.ts'

export type UsageDesk = Pick<KeptUsage, 'book' | 'head'>

/** What a command reads of the answer. */
export const inventoryAnswer = z.object({
  policy_revision: z.string(),
  now: z.iso.datetime(),
  since: z.iso.datetime(),
  usage: z.strictObject({ ...headSchema.shape, workloads: z.array(workloadSchema) })
})

/** What there is beside that, for people. */
const shown = inventoryAnswer.extend({
  unused: z.array(
    z.object({ tenant: z.string(), database: z.string(), namespace: z.string(), collection: z.string(), source: z.string() })
  ),
  several_certificates: z.array(z.object({ id: z.string(), certificates: z.int(), diverging: z.unknown() }))
})

export function inventoryRoutes({ usage }: { readonly usage: UsageDesk }): readonly AdminRoute[] {
  return [
    route({
      method: 'GET',
      path: '/v1/matrix',
      who: 'either',
      says: 'What the policy allows to each tenant, and what of it was used since that is kept.',
      handle: async ({ policy }) => matrix(usage, policy)
    }),
    route({
      method: 'GET',
      path: '/v1/inventory',
      who: 'either',
      says: 'All that is kept of what workloads used, rules that nobody used, and identities with several certificates.',
      answer: shown,
      handle: async ({ policy, now }) => inventory(usage, policy, now)
    })
  ]
}

interface Row {
  readonly used: Readonly<Record<string, number>>
}

function rowsOf({ book }: UsageDesk, policy: Policy) {
  const used = Map.groupBy(
    [...book.workloads()].flatMap((one) => one.used.filter(({ allowed }) => allowed > 0)),
    ({ tenant, database }) => JSON.stringify([tenant, database])
  )
  const { rows, more } = matrixOf(policy)
  const counted = rows.map(({ isAbout, ...row }) => {
    const its = used.get(JSON.stringify([row.tenant, row.database])) ?? []
    const counts: Record<string, number> = {}
    for (const one of its) if (isAbout(nameOf(one))) counts[one.action] = (counts[one.action] ?? 0) + one.allowed
    return { ...row, used: counts }
  })
  return { rows: counted, more }
}

/** With its namespace, as rows have it. */
function nameOf({ namespace, kind, name = kind }: Used): string {
  return namespace === undefined ? name : `${namespace}/${name}`
}

function matrix(usage: UsageDesk, policy: Policy): Reply {
  const { rows, more } = rowsOf(usage, policy)
  return { status: 200, body: { since: timeOf(usage.head().since), rows, more } }
}

function inventory(usage: UsageDesk, policy: Policy, now: number): Reply {
  const head = usage.head()
  const workloads = [...usage.book.workloads()]
  const kept: Usage = { ...head, workloads }
  const isUnused = ({ used }: Row) => Object.keys(used).length === 0
  const body = {
    now: timeOf(now),
    since: timeOf(head.since),
    policy_revision: policy.revision,
    unused: rowsOf(usage, policy)
      .rows.filter(isUnused)
      .map(({ used: _, ...row }) => row),
    several_certificates: workloads.filter(hasSeveral).map((one) => ({
      id: one.id,
      certificates: one.certificates.length,
      diverging: divergingIn(one)
    })),
    usage: kept
  }
  return { status: 200, body }
}

function hasSeveral({ certificates }: UsedWorkload): boolean {
  return certificates.length > 1
}
