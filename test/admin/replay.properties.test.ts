/** What a replay says is what the server would have said: the same records under the same policy, and under another one. */
import { CheckRequest } from '@envoyproxy/protos/auth'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compare } from '../../src/admin/replay-diff.ts'
import { readRecord } from '../../src/admin/replay-facts.ts'
import { regrant } from '../../src/admin/replay-grant.ts'
import { settingsSchema } from '../../src/config/settings-schema.ts'
import type { PolicyDocument } from '../../src/core/policy-document.ts'
import { SERVED } from '../../src/databases/dialects.ts'
import { createJudge } from '../../src/offline.ts'
import { compilePolicy } from '../../src/policy/compile.ts'
import type { Policy } from '../../src/policy/policy.ts'
import { runs } from '../fuzz/runs.ts'
import { NOON, TD } from '../support/asking.ts'
import { generatedPolicy, IDP, KNOWN } from '../support/generated-policy.ts'
import { HANDBOOK } from '../support/world.ts'

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
const withModes = fc
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

const question = fc.record({
  request: fc.constantFrom(...REQUESTS),
  who: fc.constantFrom('/a/one', '/a/one', '/a/two', '/b', '/c'),
  user: fc.constantFrom(undefined, undefined, ['acme'], ['acme', 'globex']),
  purpose: fc.constantFrom(undefined, 'p', 'q')
})
type Question = typeof question extends fc.Arbitrary<infer One> ? One : never

function policyOf(document: PolicyDocument): Policy {
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
async function recordsUnder(policy: Policy, questions: readonly Question[]) {
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

const verdictOf = (record: Readonly<Record<string, unknown>>) => String(record['verdict'] === 'allow' ? 'allow' : record['reason'])
const read = (record: object) => {
  const one = readRecord(JSON.stringify(record))
  if (!one.ok) throw new Error(one.says)
  return one
}

describe('a replay', () => {
  it('gives each recorded verdict and rule again, though they are blanked', async () => {
    const seen = { again: 0, unread: 0, allowed: 0 }
    await fc.assert(
      fc.asyncProperty(withModes, fc.array(question, { minLength: 12, maxLength: 12 }), async (document, questions) => {
        const policy = policyOf(document)
        for (const record of await recordsUnder(policy, questions)) {
          const { facts } = read({ ...record, verdict: 'deny', reason: undefined, because: undefined, rule: undefined })
          const outcome = regrant(facts, policy)
          seen[facts.call === undefined ? 'unread' : 'again']++
          // Why a call could not be read is not known from its record.
          if (facts.call === undefined && outcome.verdict === 'unknown') continue
          if (outcome.verdict === 'allow') seen.allowed++
          const waits = outcome.verdict === 'allow' && outcome.waits !== undefined
          expect(outcome.verdict === 'deny' ? outcome.reason.kind : waits ? 'approval-required' : outcome.verdict).toBe(verdictOf(record))
          expect(outcome.verdict === 'allow' && !waits ? outcome.rule : undefined).toBe(record['rule'])
          expect(outcome.verdict === 'allow' ? outcome.judged?.kind : undefined).toBe(record['judged_reason'])
        }
      }),
      runs(25)
    )
    expect(Math.min(seen.again, seen.allowed)).toBeGreaterThan(20)
  })

  it('under another policy flips exactly what the server would have decided otherwise', async () => {
    const seen = { same: 0, flips: 0, unknown: 0 }
    await fc.assert(
      fc.asyncProperty(withModes, withModes, fc.array(question, { minLength: 12, maxLength: 12 }), async (one, other, questions) => {
        const [before, after] = [policyOf(one), policyOf(other)]
        const [was, is] = [await recordsUnder(before, questions), await recordsUnder(after, questions)]
        for (const [at, record] of was.entries()) {
          const { facts, recorded } = read(record)
          const compared = compare(facts, recorded, after)
          const expected = verdictOf(is[at] ?? {})
          seen[compared.after === 'unknown' ? 'unknown' : compared.after === compared.before ? 'same' : 'flips']++
          // A call that was refused before it was read cannot be judged by what it was.
          if (compared.after === 'unknown') expect([facts.call, facts.targets]).toContain(undefined)
          else expect(compared).toMatchObject({ before: verdictOf(record), after: expected })
        }
      }),
      runs(25)
    )
    expect(Math.min(seen.same, seen.flips)).toBeGreaterThan(20)
    expect(seen.unknown).toBeLessThan(seen.flips)
  })
})
