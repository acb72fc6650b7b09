/** What decisions are made of, as a server has it: one snapshot for each. */
import type { Settings } from './config/settings-schema.ts'
import type { Caller } from './core/caller.ts'
import { CALLERS_CACHED_MAX } from './core/limits.ts'
import { createCallerCaches } from './identity/identify-call.ts'
import { createVerdictCache } from './identity/verdict-cache.ts'
import { type EvidenceSources, subjectKeys, tokenDoor } from './serve-evidence.ts'
import type { InForce } from './serve-policy.ts'
import type { ServedRisk } from './serve-risk.ts'
import type { ServedState } from './serve-state.ts'
import { createMemory } from './state/memory.ts'
import type { World } from './world.ts'

/** Issuers of end users' tokens are other people's machines. */
export const SUBJECT_LEEWAY_MS = 30_000

export function worldOf(
  settings: Settings,
  evidence: EvidenceSources,
  policy: () => InForce,
  served: World['served'],
  { role, approvals }: ServedState,
  risk: ServedRisk | undefined
): () => World {
  const fixed = {
    trustAgeMsMax: settings.bundle_max_age_seconds * 1000,
    subjectKeys: subjectKeys(evidence),
    subjectLeewayMs: SUBJECT_LEEWAY_MS,
    served,
    callers: createCallerCaches(CALLERS_CACHED_MAX),
    subjects: createVerdictCache<Caller>(CALLERS_CACHED_MAX),
    memory: risk?.memory ?? createMemory(),
    risk: risk?.risk,
    role,
    approvals
  }
  return () => {
    const snapshot = evidence.svid.current()
    const inForce = policy()
    return {
      ...fixed,
      trust: snapshot?.bundles,
      trustAgeMs: snapshot === undefined ? 0 : Date.now() - snapshot.receivedAt,
      tokens: tokenDoor(evidence, settings),
      policy: inForce.policy,
      // A new policy can be a new standing for anybody.
      changedAt: () => inForce.since
    }
  }
}
