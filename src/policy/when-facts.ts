/** What is true of one call at one target, for the conditions of rules; made only where a rule has one. */
import type { Action } from '../core/policy-document.ts'
import type { ResolvedTarget, Shape } from '../core/vector-call.ts'
import type { Asked } from './admit.ts'
import type { Data } from './policy.ts'
import { type Facts, WHEN_LIST_MAX } from './when.ts'

/** Results beyond this are all alike: everything. */
const RESULTS_MAX = 1_000_000_000
/** A raw embedding gives away its text far better than a hit does. */
const VECTORS_FACTOR = 10

export function factsOf(asked: Asked, target: ResolvedTarget, data: Data): Facts {
  const { caller, workload, policy, action, tenant, purpose, shape, database, now } = asked
  const { subject } = caller
  const { namespace, collection } = target
  const actors = subject?.actors
  return {
    action,
    subject: {
      id: caller.id.text,
      trust_domain: caller.id.trustDomain,
      path: caller.id.path,
      purposes: [...workload.purposes],
      ...present({ owner: workload.owner, agent_type: workload.agentType, attestation: workload.attestationClass }),
      ...present({ user: subject?.id, user_issuer: subject?.issuer, actors: (actors?.length ?? 0) > WHEN_LIST_MAX ? undefined : actors })
    },
    resource: {
      database,
      tenant,
      tags: data.tags,
      ...present({ namespace, region: data.region ?? policy.tenantRegions.get(tenant) }),
      ...present({ collection: collection.kind === 'name' ? collection.name : undefined })
    },
    environment: {
      ...present({ ring: workload.ring, zone: workload.zone, purpose }),
      time: new Date(now),
      exposure: BigInt(exposureOf(action, shape, data.weight)),
      top_k: BigInt(bounded(shape.topK)),
      queries: BigInt(bounded(shape.queries)),
      records: BigInt(bounded(shape.records)),
      vectors_out: shape.vectorsOut
    }
  }
}

/**
 * How much a call can carry away: weight of the data's tags × most records that come back × 10 with raw embeddings. Nothing comes
 * back from a write.
 */
export function exposureOf(action: Action, shape: Shape, weight: number): number {
  const reads = action === 'search' || action === 'read' || action === 'export'
  const results = reads ? bounded(Math.max(shape.topK * Math.max(shape.queries, 1), shape.records)) : 0
  return weight * results * (shape.vectorsOut ? VECTORS_FACTOR : 1)
}

function bounded(count: number): number {
  return Math.min(Math.max(Math.trunc(count), 0), RESULTS_MAX)
}

function present(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
}
