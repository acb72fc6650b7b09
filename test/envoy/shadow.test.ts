/** What shadow lets pass and records, for a policy, a tenant and a rule; and what it never does. */
import { CheckResponse } from '@envoyproxy/protos/auth'
import { describe, expect, it } from 'vitest'
import { auditLine } from '../../src/audit/record.ts'
import { isShadowed, refuse } from '../../src/core/deny-reason.ts'
import { createDecider, type Decided } from '../../src/envoy/decide.ts'
import { createMemory } from '../../src/state/memory.ts'
import type { World } from '../../src/world.ts'
import { envoyPem, issueSvid } from '../support/ca.ts'
import { type CheckParts, checkRequest } from '../support/check-request.ts'
import { POLICY, policyOf } from '../support/policy.ts'
import { HANDBOOK, testWorld } from '../support/world.ts'

const test = await testWorld()
const ENVOY = { ok: true, id: 'spiffe://demo.vecauthz.test/envoy/gateway' } as const
const PLACE = `/api/v2/tenants/acme/databases/rag/collections/${HANDBOOK}`
const body = (n = 5) => JSON.stringify({ query_embeddings: [[0.1, 0.2]], n_results: n })
const search: CheckParts = { path: `${PLACE}/query`, body: body() }
const write: CheckParts = { path: `${PLACE}/add`, body: JSON.stringify({ ids: ['a'], embeddings: [[0.1, 0.2]] }) }

const svids = new Map<string, Awaited<ReturnType<typeof issueSvid>>>()
let checks = 0

async function ask(policy: string, path: string, parts: CheckParts, memory = createMemory(), change: Partial<World> = {}) {
  const svid = svids.get(path) ?? (await issueSvid(test.root, { id: `spiffe://demo.vecauthz.test${path}` }))
  svids.set(path, svid)
  const records: Decided[] = []
  const decider = createDecider({
    now: Date.now,
    tick: () => 0,
    newDecisionId: () => 'aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee',
    world: () => ({ ...test.world, memory, policy: policyOf(policy), ...change }),
    credentials: () => undefined,
    record: (one) => records.push(one) > 0,
    onFault: (_, cause) => {
      throw cause
    },
    deadlineMs: 1_000,
    pendingMax: 10
  })
  const message = checkRequest({ id: String(++checks), certificate: envoyPem(svid.chain[0] as Uint8Array), principal: svid.id, ...parts })
  const response = CheckResponse.decode(await decider.decide(message, ENVOY))
  const denied = response.deniedResponse?.body
  const set = new Map(response.okResponse?.headers.map(({ header }) => [header?.key, header?.value]))
  const record = JSON.parse(auditLine(records[0] as Decided))
  const { judged_reason } = response.dynamicMetadata as { readonly judged_reason?: string }
  expect(record.judged_reason).toBe(judged_reason)
  return { verdict: denied === undefined ? 'allow' : JSON.parse(denied).reason, judged: judged_reason, tenant: set.get('x-tenant-id') }
}

const WHOLE = `mode: shadow\n${POLICY}`
const OF_ACME = POLICY.replace('{ id: acme }', '{ id: acme, mode: shadow }')
const OF_RULE = POLICY.replace('      - tenants: [acme, globex]\n', '      - tenants: [acme, globex]\n        mode: shadow\n')

describe('a policy in shadow', () => {
  it.each([
    ['what is allowed', '/acme/support', search, undefined, 'acme'],
    ['a write that no rule allows', '/acme/support', write, 'write-not-allowed', 'acme'],
    ['more than the limit', '/acme/support', { ...search, body: body(21) }, 'call-too-large', 'acme'],
    ['the tenant of others', '/globex/desk', search, 'tenant-not-allowed', 'none'],
    ['a workload that is not listed', '/acme/nobody', search, 'caller-unknown', 'none']
  ] as const)('%s passes', async (_, who, parts, judged, tenant) => {
    expect(await ask(WHOLE, who, parts)).toEqual({ verdict: 'allow', judged, tenant })
    expect((await ask(POLICY, who, parts)).verdict).toBe(judged ?? 'allow')
  })

  it.each([
    [
      'a body with two readings',
      '/acme/support',
      { ...search, body: '{"n_results":1,"n_results":2,"query_embeddings":[[1]]}' },
      'call-ambiguous'
    ],
    ['an unknown operation', '/acme/support', { ...search, path: `${PLACE}/forks` }, 'operation-unknown'],
    ['a database that is none', '/acme/support', { ...search, host: 'other.test' }, 'operation-unknown']
  ] as const)('%s does not', async (_, who, parts, reason) => {
    expect((await ask(WHOLE, who, parts)).verdict).toBe(reason)
  })

  it('a name that cannot be had is no reason of policy', async () => {
    const served = test.world.served('chroma.demo.vecauthz.test')
    if (served === undefined) throw new Error('no database')
    const silent = (kind: 'state-unavailable' | 'collection-not-allowed') => ({
      served: () => ({ ...served, resolve: () => refuse(kind, 'the database does not answer') })
    })
    expect((await ask(WHOLE, '/acme/support', search, createMemory(), silent('state-unavailable'))).verdict).toBe('state-unavailable')
    expect((await ask(WHOLE, '/acme/support', search, createMemory(), silent('collection-not-allowed'))).verdict).toBe('allow')
  })

  it('a spent budget is recorded, and stops nobody', async () => {
    const narrow = POLICY.replace('budget: { per_second: 10, burst: 30 }', 'budget: { per_second: 0.001, burst: 2 }')
    for (const [policy, want] of [
      [narrow, 'rate-exceeded'],
      [`mode: shadow\n${narrow}`, 'allow']
    ] as const) {
      const memory = createMemory()
      for (let at = 0; at < 2; at++) expect((await ask(policy, '/acme/support', search, memory)).verdict).toBe('allow')
      const third = await ask(policy, '/acme/support', search, memory)
      expect([third.verdict, third.judged]).toEqual([want, want === 'allow' ? 'rate-exceeded' : undefined])
    }
  })
})

describe('a tenant in shadow', () => {
  it('passes with its own data, and never with that of others', async () => {
    expect(await ask(OF_ACME, '/acme/support', write)).toMatchObject({ verdict: 'allow', judged: 'write-not-allowed', tenant: 'acme' })
    expect((await ask(OF_ACME, '/globex/desk', search)).verdict).toBe('tenant-not-allowed')
    expect((await ask(OF_ACME, '/acme/nobody', search)).verdict).toBe('caller-unknown')
    const theirs = { ...write, path: write.path?.replace('/acme/', '/globex/') ?? '' }
    expect((await ask(OF_ACME, '/globex/desk', theirs)).verdict).toBe('write-not-allowed')
  })

  it('an id that is not of the tenant stays refused: Chroma would find it at whoever has it', async () => {
    const theirs = { ...search, path: search.path?.replace(HANDBOOK, '99999999-2222-4333-8444-555555555555') ?? '' }
    expect((await ask(OF_ACME, '/acme/support', theirs)).verdict).toBe('collection-not-allowed')
    expect(await ask(WHOLE, '/acme/support', theirs)).toMatchObject({ verdict: 'allow', judged: 'collection-not-allowed' })
  })
})

describe('a rule in shadow', () => {
  it('judges its limits and does not enforce them; whom and what it is for stays as it is', async () => {
    expect(await ask(OF_RULE, '/acme/support', { ...search, body: body(21) })).toMatchObject({ verdict: 'allow', judged: 'call-too-large' })
    expect(await ask(OF_RULE, '/acme/support', search)).toMatchObject({ verdict: 'allow', judged: undefined })
    expect((await ask(OF_RULE, '/acme/support', write)).verdict).toBe('write-not-allowed')
    // Another rule allows it within its own limits: then nothing was to be judged.
    expect(await ask(OF_RULE, '/acme/indexer', { ...search, body: body(21) })).toMatchObject({ verdict: 'allow', judged: undefined })
  })
})

it('identity, tokens, reading and what cannot be known are never in shadow', () => {
  const never = [
    'no-identity',
    'svid-expired',
    'identity-revoked',
    'token-missing',
    'token-mismatch',
    'call-unreadable',
    'state-unavailable'
  ]
  expect(never.filter(isShadowed)).toEqual([])
})
