/** The policy that most tests share: two tenants, a shared rule with limits, a writer, a pattern of workloads. */
import { createHash } from 'node:crypto'
import { policySchema } from '../../src/config/policy-schema.ts'
import { readYaml } from '../../src/config/read-yaml.ts'
import type { PolicyDocument } from '../../src/core/policy-document.ts'
import { compilePolicy } from '../../src/policy/compile.ts'
import type { Policy } from '../../src/policy/policy.ts'

export const POLICY = `
version: 1
trust_domains: [demo.vecauthz.test]
tenants: [{ id: acme }, { id: globex }]
workloads:
  - spiffe_id: spiffe://demo.vecauthz.test/acme/support
    tenants: [acme]
  - spiffe_id: spiffe://demo.vecauthz.test/acme/indexer
    tenants: [acme]
    budget: { per_second: 100, burst: 1000 }
  - spiffe_id: spiffe://demo.vecauthz.test/globex/*
    tenants: [globex]
  - spiffe_id: spiffe://demo.vecauthz.test/shared/reporter
    tenants: [acme, globex]
collections:
  - database: demo
    namespace: rag
    names: [handbook]
    tenancy: path
    allow:
      - tenants: [acme]
        actions: [search, read, observe, write, delete, define, drop]
        workloads: [spiffe://demo.vecauthz.test/acme/indexer]
        limits: { top_k: 500, records: 5461, vectors_out: allow }
      - tenants: [acme, globex]
        actions: [search, read, observe]
  - database: demo
    namespace: rag
    names: [scratch-*]
    tenancy: path
    allow:
      - tenants: [acme]
        actions: [search, read, write, delete, define, drop, observe]
limits: { top_k: 20, queries: 4, records: 100, vectors_out: deny }
budget: { per_second: 10, burst: 30 }
`

export function documentOf(text: string): PolicyDocument {
  const read = readYaml('policy.yaml', text, policySchema)
  if (!read.ok) throw new Error(JSON.stringify(read.faults))
  return read.value
}

export function policyOf(text: string = POLICY): Policy {
  const compiled = compilePolicy(
    documentOf(text),
    {
      databases: [{ id: 'demo', kind: 'chroma', tenancies: ['path'], namespaces: true, asked: true }],
      subjectIssuers: ['https://idp.vecauthz.test']
    },
    createHash('sha256').update(text).digest('hex'),
    (path) => path.join('.')
  )
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.faults))
  return compiled.policy
}
