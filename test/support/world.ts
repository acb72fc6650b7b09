/** A whole world for decisions in one process: a real CA, the shared policy, the real dialect, memory, names from a table. */

import { accept, refuse } from '../../src/core/deny-reason.ts'
import type { ResolvedTarget } from '../../src/core/vector-call.ts'
import { chroma } from '../../src/databases/chroma.ts'
import { createCallerCaches } from '../../src/identity/identify-call.ts'
import { createVerdictCache } from '../../src/identity/verdict-cache.ts'
import { createMemory } from '../../src/state/memory.ts'
import type { Served, World } from '../../src/world.ts'
import { type Authority, bundlesOf, makeAuthority } from './ca.ts'
import { policyOf } from './policy.ts'

export const HANDBOOK = '11111111-2222-4333-8444-555555555555'
export const NAMES: Readonly<Record<string, string>> = { [HANDBOOK]: 'handbook' }

export interface TestWorld {
  readonly root: Authority
  readonly world: World
  readonly forgotten: readonly ResolvedTarget[][]
}

export async function testWorld(change: Partial<World> = {}, pauseMs?: number): Promise<TestWorld> {
  // Good for tests with a clock of their own as well.
  const root = await makeAuthority({ trustDomain: 'demo.vecauthz.test', notBefore: Date.UTC(2026, 0), notAfter: Date.UTC(2046, 0) })
  const forgotten: ResolvedTarget[][] = []
  const served: Served = {
    id: 'demo',
    dialect: chroma,
    resolve: (_, call, tenant) => {
      const targets = call.targets.map((target) => {
        if (target.collection.kind !== 'id') return { tenant, namespace: target.namespace, collection: target.collection }
        const name = NAMES[target.collection.id]
        return name === undefined
          ? undefined
          : { tenant, namespace: target.namespace, collection: { kind: 'name' as const, name, id: target.collection.id } }
      })
      const known = targets.filter((one) => one !== undefined)
      const resolved = known.length === targets.length ? accept(known) : refuse('collection-not-allowed', 'no such collection there')
      return pauseMs === undefined ? resolved : new Promise((resolve) => setTimeout(() => resolve(resolved), pauseMs))
    },
    forget: (targets) => void forgotten.push([...targets])
  }
  const world: World = {
    trust: bundlesOf([root]),
    trustAgeMs: 0,
    trustAgeMsMax: 60_000,
    policy: policyOf(),
    served: (authority) => (authority === 'chroma.demo.vecauthz.test' ? served : undefined),
    tokens: undefined,
    subjectKeys: { generation: 1, keysOf: () => undefined, askAgain: () => false },
    subjectLeewayMs: 5_000,
    changedAt: () => 0,
    callers: createCallerCaches(100),
    subjects: createVerdictCache(100),
    memory: createMemory(),
    risk: undefined,
    role: { kind: 'gateway' },
    approvals: undefined,
    ...change
  }
  return { root, world, forgotten }
}
