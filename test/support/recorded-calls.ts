/** Records of calls to all four databases under generated policies, as the server writes them: for properties. */
import { CheckRequest } from '@envoyproxy/protos/auth'
import fc from 'fast-check'
import { settingsSchema } from '../../src/config/settings-schema.ts'
import type { PolicyDocument } from '../../src/core/policy-document.ts'
import { SERVED } from '../../src/databases/dialects.ts'
import { createJudge } from '../../src/offline.ts'
import { compilePolicy } from '../../src/policy/compile.ts'
import type { Policy } from '../../src/policy/policy.ts'
import { NOON, TD } from './asking.ts'
import { generatedPolicy, IDP, KNOWN } from './generated-policy.ts'
import { HANDBOOK } from './world.ts'

const SETTINGS = settingsSchema.parse({
  version: 1,
  role: 'gateway',
  listen: '127.0.0.1:0',
  workload_api: 'unix:///none',
  envoys: ['spiffe://demo.vecauthz.test/envoy/gateway'],
  policy: 'policy.yaml',
  databases: SERVED.map(({ kind }) => ({ id: kind, kind, version: '1', authorities: [`${kind}.test`], url: 'http://127.0.0.1:1' })),
  subject_issuers: [{ issuer: IDP, jwks_url: `${IDP}/keys` }],
  audit: { file: 'stdout' },
  svid_ttl_seconds: 3600,
  bundle_max_age_seconds: 60,
  deadline_ms: 100
})
const RESOLVED = new Map([[HANDBOOK, { name: 'x', tenant: 'acme', namespace: 'rag' }]])

const CHROMA = '/api/v2/tenants/acme/databases/rag'
const owner = (tenant: string) => ({ must: [{ key: 'owner', match: { value: tenant } }] })
const REQUESTS: readonly { readonly host: string; readonly method: string; readonly path: string; readonly json?: unknown }[] = [
  {
    host: 'chroma.test',
    method: 'POST',
    path: `${CHROMA}/collections/${HANDBOOK}/query`,
    json: { query_embeddings: [[0.1]], n_results: 6 }
  },
  { host: 'chroma.test', method: 'POST', path: `${CHROMA}/collections`, json: { name: 'y' } },
  { host: 'chroma.test', method: 'GET', path: `${CHROMA}/collections` },
  { host: 'chroma.test', method: 'GET', path: CHROMA },
  { host: 'chroma.test', method: 'DELETE', path: `${CHROMA.replace('acme', 'globex')}/collections/xx` },
  { host: 'chroma.test', method: 'GET', path: '/api/v2/heartbeat' },
  { host: 'chroma.test', method: 'GET', path: '/api/v9' },
  {
    host: 'qdrant.test',
    method: 'POST',
    path: '/collections/shared/points/query',
    json: { query: [0.1], limit: 1, filter: owner('acme') }
  },
  {
    host: 'qdrant.test',
    method: 'POST',
    path: '/collections/shared/points/query',
    json: { query: [0.1], limit: 1, filter: owner('hooli') }
  },
  {
    host: 'qdrant.test',
    method: 'POST',
    path: '/collections/docs_globex/points/query',
    json: { query: [0.1], limit: 9, with_vector: true }
  },
  { host: 'qdrant.test', method: 'POST', path: '/collections/parts/points/query', json: { query: [0.1], limit: 1, shard_key: 'acme' } },
  { host: 'qdrant.test', method: 'DELETE', path: '/collections/docs_acme' },
  { host: 'qdrant.test', method: 'GET', path: '/collections' },
  {
    host: 'milvus.test',
    method: 'POST',
    path: '/v2/vectordb/entities/query',
    json: { dbName: 'db_acme', collectionName: 'x', filter: 'a > 1', limit: 5 }
  },
  {
    host: 'milvus.test',
    method: 'POST',
    path: '/v2/vectordb/entities/query',
    json: { dbName: 'default', collectionName: 'x', filter: 'owner == "globex"', limit: 5 }
  },
  { host: 'weaviate.test', method: 'GET', path: `/v1/objects/Docs/${HANDBOOK}?tenant=acme` },
  { host: 'weaviate.test', method: 'GET', path: `/v1/objects/Docs/${HANDBOOK}` }
]

/** Some of it in shadow, and some of it with somebody else's yes. */
export const withModes = fc
  .record({
    document: generatedPolicy,
    mode: fc.constantFrom(undefined, undefined, undefined, 'shadow' as const),
    tenant: fc.constantFrom(undefined, undefined, 'shadow' as const),
    rules: fc.infiniteStream(
      fc.constantFrom({}, {}, {}, { mode: 'shadow' as const }, { approval: 'required' as const }, { grant: 'required' as const })
    ),
    actions: fc.constantFrom(['drop' as const], ['define' as const, 'drop' as const])
  })
  .map(
    ({ document, mode, tenant, rules, actions }): PolicyDocument => ({
      ...document,
      mode,
      tenants: document.tenants.map((one) => (one.id === 'acme' ? { ...one, mode: tenant } : one)),
      approvals: { actions, seconds: 60, approvers: [`${TD}/boss`] },
      collections: document.collections.map((entry) => ({
        ...entry,
        allow: entry.allow.map((rule) => ({ ...rule, ...rules.next().value }))
      }))
    })
  )

export const question = fc.record({
  request: fc.constantFrom(...REQUESTS),
  who: fc.constantFrom('/a/one', '/a/one', '/a/two', '/b', '/c'),
  user: fc.constantFrom(undefined, undefined, ['acme'], ['acme', 'globex']),
  purpose: fc.constantFrom(undefined, 'p', 'q')
})
export type Question = typeof question extends fc.Arbitrary<infer One> ? One : never

export function policyOf(document: PolicyDocument): Policy {
  const compiled = compilePolicy(document, KNOWN, 'r', (path) => path.join('.'))
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.faults))
  return compiled.policy
}

function messageOf({ request: { json, ...target }, purpose }: Question): Buffer {
  const rawBody = Buffer.from(json === undefined ? '' : JSON.stringify(json))
  const headers = { 'content-type': 'application/json', ...(purpose === undefined ? {} : { 'x-vecauthz-purpose': purpose }) }
  const http = { id: 'r', ...target, headers, size: rawBody.length, rawBody }
  return Buffer.from(CheckRequest.encode(CheckRequest.fromPartial({ attributes: { request: { http } } })).finish())
}

/** The records that the server writes under a policy. */
export async function recordsUnder(policy: Policy, questions: readonly Question[]) {
  const facts = { at: NOON, anchors: undefined, jwtKeys: undefined, subjectKeys: new Map(), resolved: RESOLVED }
  const judge = createJudge(SETTINGS, policy, facts)
  const records: Readonly<Record<string, unknown>>[] = []
  for (const one of questions) {
    const user = one.user && { issuer: IDP, tenants: one.user }
    const { record } = await judge(messageOf(one), { caller: `${TD}${one.who}`, user })
    records.push(record)
  }
  return records
}
