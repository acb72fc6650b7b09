/** What the policy says about namespaces and workloads, for admission. */

import type { PolicyDocument, TenantDocument } from '../core/policy-document.ts'
import { parseSpiffeId } from '../core/spiffe-id.ts'
import { findId } from '../policy/id-index.ts'
import { type Policy, workloadOf } from '../policy/policy.ts'
import type { Registry } from './admission.ts'

export function registryOf(policy: Policy, document: PolicyDocument): Registry {
  const tenants = new Map<string, TenantDocument>()
  // No namespace is at two tenants: compiling refuses that.
  for (const tenant of document.tenants) for (const namespace of tenant.namespaces ?? []) tenants.set(namespace, tenant)
  return {
    tenants,
    workload: (spiffeId) => {
      const read = parseSpiffeId(spiffeId)
      const found = read.ok && policy.trustDomains.has(read.id.trustDomain) ? workloadOf(policy, read.id) : undefined
      if (!read.ok || found === undefined) return undefined
      return {
        tenants: found.tenants,
        regions: found.regions,
        expiresAt: found.expiresAt,
        revoked: findId(policy.revoked.ids, read.id) !== undefined
      }
    }
  }
}
