/** Policies of any size, and the settings they are for. */
import { type Settings, settingsSchema } from '../../src/config/settings-schema.ts'
import type { PolicyDocument } from '../../src/core/policy-document.ts'

export const SETTINGS: Settings = settingsSchema.parse({
  version: 1,
  role: 'gateway',
  listen: '127.0.0.1:0',
  workload_api: 'unix:///none',
  envoys: ['spiffe://demo.vecauthz.test/envoy/gateway'],
  policy: 'policy.yaml',
  databases: [{ id: 'demo', kind: 'chroma', authorities: ['localhost'], url: 'http://127.0.0.1:1', version: '1.5.9' }],
  audit: { file: 'stdout' },
  svid_ttl_seconds: 3600,
  bundle_max_age_seconds: 60,
  deadline_ms: 100
})

/** Every tenth workload is a pattern, every seventh collection a prefix, and collections differ in their tags. */
export function largePolicy(tenants: number, workloads: number, collections: number): PolicyDocument {
  const listOf = <T>(length: number, make: (at: number) => T) => Array.from({ length }, (_, at) => make(at))
  return {
    version: 1,
    trust_domains: ['demo.vecauthz.test'],
    tenants: listOf(tenants, (at) => ({ id: `t${at}`, region: 'eu' })),
    tags: { internal: 1, pii: 10 },
    workloads: listOf(workloads, (at) => ({
      spiffe_id: `spiffe://demo.vecauthz.test/${at % 10 === 0 ? `p${at}/*` : `w${at}`}`,
      tenants: [`t${at % tenants}`],
      regions: ['eu']
    })),
    collections: listOf(collections, (at) => ({
      database: 'demo',
      namespace: 'rag',
      names: [at % 7 === 0 ? `c${at}-*` : `c${at}`],
      tenancy: 'path',
      region: 'eu',
      tags: [at % 2 === 0 ? 'internal' : 'pii'],
      allow: [{ tenants: [`t${at % tenants}`], actions: ['search', 'observe'] }]
    })),
    limits: { top_k: 20, queries: 4, records: 100, vectors_out: 'deny' },
    budget: { per_second: 10, burst: 30 }
  }
}
