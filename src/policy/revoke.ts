/** A policy, and what people have revoked beside it. */
import type { Revocation } from '../core/revocation.ts'
import type { Policy } from './policy.ts'

export function withRevoked(policy: Policy, revocations: readonly Revocation[]): Policy {
  if (revocations.length === 0) return policy
  const { ids, serials, tokenIds } = policy.revoked
  const of = (kind: Revocation['kind']) => revocations.filter((one) => one.kind === kind).map(({ value }) => value)
  const exact = new Map([...ids.exact, ...of('spiffe_id').map((value) => [value, value] as const)])
  const revoked = {
    ids: { exact, wild: ids.wild },
    serials: new Set([...serials, ...of('serial')]),
    tokenIds: new Set([...tokenIds, ...of('token_id')])
  }
  return { ...policy, revoked }
}
