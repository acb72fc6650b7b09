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

type Counts = Record<string, number>

function rowsOf({ book }: UsageDesk, policy: Policy) {
  const places = placesIn(book.workloads())
  const { rows, more } = matrixOf(policy)
  const counted = rows.map(({ isAbout, ...row }) => {
    const its = places.get(JSON.stringify([row.tenant, row.database]))
    const name = row.namespace === '' ? row.collection : `${row.namespace}/${row.collection}`
    // Only what ends in * is about more than one name.
    const found = row.collection.endsWith('*')
      ? [...(its ?? [])].filter(([one]) => isAbout(one)).map(([, counts]) => counts)
      : [its?.get(name) ?? {}]
    return { ...row, used: summed(found) }
  })
  return { rows: counted, more }
}

/** Of all workloads together: by tenant and database, then by name, how often each action was. */
function placesIn(workloads: Iterable<UsedWorkload>): ReadonlyMap<string, ReadonlyMap<string, Counts>> {
  const places = new Map<string, Map<string, Counts>>()
  for (const { used } of workloads) {
    for (const one of used) {
      if (one.allowed === 0) continue
      const key = JSON.stringify([one.tenant, one.database])
      const its = places.get(key) ?? new Map<string, Counts>()
      places.set(key, its)
      its.set(nameOf(one), summed([its.get(nameOf(one)) ?? {}, { [one.action]: one.allowed }]))
    }
  }
  return places
}

function summed(all: readonly Counts[]): Counts {
  const sum: Counts = {}
  for (const counts of all) for (const [action, count] of Object.entries(counts)) sum[action] = (sum[action] ?? 0) + count
  return sum
}

/** With its namespace, as rows have it. */
function nameOf({ namespace, kind, name = `(${kind})` }: Used): string {
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
