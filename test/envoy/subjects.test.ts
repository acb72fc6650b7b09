/** End users, delegated workloads, revoked tokens and evidence that is verified again: through the whole decision. */
import { CheckResponse } from '@envoyproxy/protos/auth'
import { beforeAll, describe, expect, it } from 'vitest'
import { auditLine } from '../../src/audit/record.ts'
import type { Caller } from '../../src/core/caller.ts'
import { createDecider, type Decided } from '../../src/envoy/decide.ts'
import { createCallerCache } from '../../src/identity/identify.ts'
import { createCallerCaches } from '../../src/identity/identify-call.ts'
import { createVerdictCache } from '../../src/identity/verdict-cache.ts'
import type { World } from '../../src/world.ts'
import { envoyPem, issueSvid, type Svid } from '../support/ca.ts'
import { checkRequest } from '../support/check-request.ts'
import { AUDIENCE, es256, JWT_NOW, jwkOf, keySet, makeToken, other } from '../support/jwt.ts'
import { POLICY, policyOf } from '../support/policy.ts'
import { IDP, subjectToken } from '../support/subject.ts'
import { HANDBOOK, type TestWorld, testWorld } from '../support/world.ts'

const TD = 'spiffe://demo.vecauthz.test'
const ENVOY = { ok: true, id: `${TD}/envoy/gateway` } as const
const DELEGATED = `${POLICY.replace(
  'collections:',
  `  - spiffe_id: ${TD}/shared/desk
    tenants: [acme, globex]
    delegated: true
  - spiffe_id: ${TD}/shared/careful
    tenants: [acme]
    reverify_every_seconds: 60
subjects:
  - { issuer: '${IDP}', audience: vecauthz, tenant_claim: tenant, tenants: [acme, globex] }
collections:`
)}`
const POLICIES = {
  good: policyOf(DELEGATED),
  token: policyOf(`${DELEGATED}revoked: { token_ids: [t-1] }\n`),
  carrying: policyOf(`${DELEGATED}carriers: [${TD}/shared/desk]\n`),
  carrier: policyOf(`${DELEGATED}carriers: [${TD}/shared/desk]\nrevoked: { spiffe_ids: [${TD}/shared/desk] }\n`)
}

let test: TestWorld
const svids: Record<'desk' | 'support' | 'careful', Svid> = {} as never
const keys = keySet(jwkOf(other))
const bundles = { generation: 1, keys: new Map([['demo.vecauthz.test', keySet(jwkOf(es256))]]), receivedAt: JWT_NOW }
const tokens = { audience: AUDIENCE, leewayMs: 5_000, bundles }

beforeAll(async () => {
  test = await testWorld({ policy: POLICIES.good, subjectKeys: { generation: 1, keysOf: () => keys, askAgain: () => false } })
  for (const name of ['desk', 'careful'] as const) svids[name] = await issueSvid(test.root, at(`/shared/${name}`))
  svids.support = await issueSvid(test.root, at('/acme/support'))
})

const at = (path: string) => ({ id: TD + path, notBefore: JWT_NOW - 60_000, notAfter: JWT_NOW + 3_600_000 })

interface Asked {
  readonly who?: Svid
  readonly user?: string
  readonly bearer?: string
  readonly tenant?: string
  readonly now?: number
}

let checks = 0

async function ask({ who, user, bearer, tenant = 'acme', now = JWT_NOW }: Asked, change: Partial<World> = {}) {
  const records: Decided[] = []
  const fresh = {
    callers: createCallerCaches(9),
    subjects: createVerdictCache<Caller>(9)
  }
  const world = { ...test.world, ...fresh, ...change }
  const decider = createDecider({
    now: () => now,
    tick: () => 0,
    newDecisionId: () => 'aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee',
    world: () => world,
    credentials: () => undefined,
    record: (one) => records.push(one) > 0,
    onFault: (_, cause) => {
      throw cause
    },
    deadlineMs: 1_000,
    pendingMax: 10
  })
  const headers: (readonly [string, string])[] = []
  if (user !== undefined) headers.push(['x-vecauthz-subject-token', user])
  if (bearer !== undefined) headers.push(['authorization', `Bearer ${bearer}`])
  const evidence = who === undefined ? {} : { certificate: envoyPem(who.chain[0] as Uint8Array), principal: who.id }
  const path = `/api/v2/tenants/${tenant}/databases/rag/collections/${HANDBOOK}/count`
  const message = checkRequest({ id: String(++checks), path, headers, ...evidence })
  const response = CheckResponse.decode(await decider.decide(message, ENVOY))
  const body = response.deniedResponse?.body
  const reason = body === undefined ? 'allow' : (JSON.parse(body).reason as string)
  return { reason, response, record: JSON.parse(auditLine(records[0] as Decided)) }
}

describe('a delegated workload', () => {
  it.each([
    { name: 'with a user of the tenant', user: () => subjectToken(), tenant: 'acme', want: 'allow' },
    { name: 'without a user', user: () => undefined, tenant: 'acme', want: 'subject-required' },
    { name: 'with a user of another tenant', user: () => subjectToken(), tenant: 'globex', want: 'tenant-not-allowed' },
    {
      name: 'with a user of two tenants, for the second',
      user: () => subjectToken({ claims: { tenant: ['acme', 'globex'] } }),
      tenant: 'globex',
      want: 'allow'
    },
    {
      name: 'with a user of no tenant',
      user: () => subjectToken({ claims: { tenant: undefined } }),
      tenant: 'acme',
      want: 'tenant-not-allowed'
    },
    {
      name: 'with a user of a tenant that only the user may have',
      user: () => subjectToken({ claims: { tenant: 'initech' } }),
      tenant: 'initech',
      want: 'tenant-not-allowed'
    },
    { name: 'with a forged token', user: () => subjectToken({ by: es256 }), tenant: 'acme', want: 'subject-invalid' },
    {
      name: 'with an old token',
      user: () => subjectToken({ claims: { exp: JWT_NOW / 1000 - 60 } }),
      tenant: 'acme',
      want: 'subject-expired'
    }
  ])('$name → $want', async ({ user, tenant, want }) => {
    const token = user()
    expect((await ask({ who: svids.desk, tenant, ...(token === undefined ? {} : { user: token }) })).reason).toBe(want)
  })

  it('its record has the chain from the user to the workload, and no token', async () => {
    const user = subjectToken({ claims: { jti: 't-9', act: { sub: `${TD}/shared/desk`, act: { sub: 'planner' } } } })
    const { record, response } = await ask({ who: svids.desk, user })
    expect(record.subject_chain).toEqual([
      { issuer: IDP, sub: 'user-4711', jti: 't-9', tenants: ['acme'], expires: '2026-11-20T12:05:00.000Z' },
      'planner',
      `${TD}/shared/desk`
    ])
    expect(JSON.stringify(record)).not.toContain(user.split('.')[2])
    expect(response.okResponse?.headersToRemove).toContain('x-vecauthz-subject-token')
  })
})

describe('a workload that is not delegated', () => {
  it('needs no user, and its tenants are its own whatever a user has', async () => {
    expect((await ask({ who: svids.support })).reason).toBe('allow')
    const { reason, record } = await ask({ who: svids.support, user: subjectToken({ claims: { tenant: 'globex' } }) })
    expect([reason, record.subject_chain[0].sub]).toEqual(['allow', 'user-4711'])
    expect((await ask({ who: svids.support, tenant: 'globex', user: subjectToken({ claims: { tenant: 'globex' } }) })).reason).toBe(
      'tenant-not-allowed'
    )
  })

  it('a bad token is refused all the same: unreadable is not absent', async () => {
    expect((await ask({ who: svids.support, user: 'not-a-token' })).reason).toBe('subject-invalid')
    expect((await ask({ who: svids.support, user: '' })).reason).toBe('subject-invalid')
    expect((await ask({ who: svids.support, user: subjectToken() }, { policy: policyOf() })).reason).toBe('subject-invalid')
  })
})

describe('revoked tokens', () => {
  it("the jti of a user's token is refused at once, though its verdict is remembered", async () => {
    const kept = { subjects: createVerdictCache<Caller>(9) }
    const asked = { who: svids.desk, user: subjectToken({ claims: { jti: 't-1' } }) }
    expect((await ask(asked, kept)).reason).toBe('allow')
    expect((await ask(asked, { ...kept, policy: POLICIES.token })).reason).toBe('subject-invalid')
    expect((await ask({ ...asked, user: subjectToken({ claims: { jti: 't-2' } }) }, { ...kept, policy: POLICIES.token })).reason).toBe(
      'allow'
    )
  })

  it('so is the jti of a JWT-SVID, and its workload goes on with the next one', async () => {
    const svid = (jti: string) => makeToken({ claims: { sub: `${TD}/acme/support`, jti } })
    expect((await ask({ bearer: svid('t-1') }, { tokens })).reason).toBe('allow')
    expect((await ask({ bearer: svid('t-1') }, { tokens, policy: POLICIES.token })).reason).toBe('identity-revoked')
    expect((await ask({ bearer: svid('t-2') }, { tokens, policy: POLICIES.token })).reason).toBe('allow')
    expect((await ask({ bearer: svid('t-1'), who: svids.support }, { tokens, policy: POLICIES.token })).reason).toBe('identity-revoked')
  })

  it('a carrier is revoked with all that it carries', async () => {
    const asked = { bearer: makeToken({ claims: { sub: `${TD}/acme/support` } }), who: svids.desk }
    const { reason, record } = await ask(asked, { tokens, policy: POLICIES.carrying })
    expect(reason).toBe('allow')
    expect(record.caller).toMatchObject({ spiffe_id: `${TD}/acme/support`, evidence: 'jwt-svid', carrier: `${TD}/shared/desk` })
    expect((await ask(asked, { tokens })).reason).toBe('identity-conflict')
    expect((await ask(asked, { tokens, policy: POLICIES.carrier })).reason).toBe('identity-revoked')
  })
})

describe('evidence is verified again', () => {
  const provenAt = async (kept: Partial<World>, asked: Asked): Promise<number | undefined> => {
    const callers = createCallerCache(9)
    const world = { ...kept, callers: kept.callers ?? { ...createCallerCaches(9), callers } }
    await ask(asked, world)
    const [known] = [...world.callers.callers.proven.values()].flat()
    return known?.verdict.ok === true ? known.verdict.value.provenAt : undefined
  }

  it('after reverify_every_seconds of its class, and not before', async () => {
    const kept = { callers: createCallerCaches(9) }
    const asked = { who: svids.careful }
    expect(await provenAt(kept, { ...asked, now: JWT_NOW })).toBe(JWT_NOW)
    expect(await provenAt(kept, { ...asked, now: JWT_NOW + 60_000 })).toBe(JWT_NOW)
    expect(await provenAt(kept, { ...asked, now: JWT_NOW + 60_001 })).toBe(JWT_NOW + 60_001)
  })

  it('after a change of standing, of any class, certificates, tokens and users alike', async () => {
    const kept = { callers: createCallerCaches(9) }
    const asked = { who: svids.support }
    expect(await provenAt(kept, asked)).toBe(JWT_NOW)
    expect(await provenAt({ ...kept, changedAt: () => JWT_NOW + 5 }, { ...asked, now: JWT_NOW + 9 })).toBe(JWT_NOW + 9)
    expect(await provenAt({ ...kept, changedAt: () => JWT_NOW + 5 }, { ...asked, now: JWT_NOW + 12 })).toBe(JWT_NOW + 9)
    expect(
      await provenAt({ ...kept, changedAt: (id) => (id.path === '/shared/desk' ? JWT_NOW + 15 : 0) }, { ...asked, now: JWT_NOW + 20 })
    ).toBe(JWT_NOW + 9)
  })

  it('and what is then found wrong is refused, though the verdict of before was yes', async () => {
    const kept = { subjects: createVerdictCache<Caller>(9) }
    const asked = { who: svids.desk, user: subjectToken() }
    expect((await ask(asked, kept)).reason).toBe('allow')
    const gone = { subjectKeys: { generation: 1, keysOf: () => [], askAgain: () => false } }
    expect((await ask(asked, { ...kept, ...gone })).reason).toBe('allow')
    expect((await ask({ ...asked, now: JWT_NOW + 9 }, { ...kept, ...gone, changedAt: () => JWT_NOW + 5 })).reason).toBe('subject-invalid')
  })
})
