/** The policy in force together with what operators have revoked. */
import type { Revocations } from './core/revocation.ts'
import { withRevoked } from './policy/revoke.ts'
import type { InForce, PolicyWatch } from './serve-policy.ts'

export interface RevocablePolicy extends PolicyWatch {
  /** From now on, these count as well. */
  readonly obey: (revocations: Revocations) => void
}

export function revocable(watch: PolicyWatch, now: () => number): RevocablePolicy {
  let revocations: Revocations | undefined
  let of: InForce | undefined
  let version = -1
  let merged: InForce | undefined
  return {
    ...watch,
    obey(its) {
      revocations = its
    },
    inForce() {
      const base = watch.inForce()
      if (revocations === undefined) return base
      const current = revocations.version()
      if (merged !== undefined && of === base && version === current) return merged
      // What was proven in this very millisecond may have been proven before.
      const since = version === current || version === -1 ? base.since : now() + 1
      merged = { policy: withRevoked(base.policy, revocations.list()), since: Math.max(since, base.since, merged?.since ?? 0) }
      of = base
      version = current
      return merged
    }
  }
}
