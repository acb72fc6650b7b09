/** Stories, from the bytes that Envoy sends to the bytes it gets: who, call, policy, memory, verdict. Then what goes wrong at the edges. */
import { CheckResponse } from '@envoyproxy/protos/auth'
import { beforeAll, describe, expect, it } from 'vitest'
import { auditLine } from '../../src/audit/record.ts'
import { type AskingEnvoy, createDecider, type Decided, type Edges } from '../../src/envoy/decide.ts'
import type { World } from '../../src/world.ts'
import { envoyPem, issueSvid, type Svid } from '../support/ca.ts'
import { type CheckParts, checkRequest } from '../support/check-request.ts'
import { HANDBOOK, type TestWorld, testWorld } from '../support/world.ts'

const ID = 'aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee'
const ENVOY = { ok: true, id: 'spiffe://demo.vecauthz.test/envoy/gateway' } as const
const PLACE = '/api/v2/tenants/acme/databases/rag/collections'
const QUERY = JSON.stringify({ query_embeddings: [[0.1, 0.2]], n_results: 5 })

let test: TestWorld
let slow: TestWorld
const svids: Record<'support' | 'indexer' | 'reporter' | 'stranger', Svid> = {} as never

beforeAll(async () => {
  test = await testWorld()
  slow = await testWorld({}, 200)
  const of = (path: string) => issueSvid(test.root, { id: `spiffe://demo.vecauthz.test${path}` })
  Object.assign(svids, {
    support: await of('/acme/support'),
    indexer: await of('/acme/indexer'),
    reporter: await of('/shared/reporter'),
    stranger: await of('/acme/nobody')
  })
})

interface Options {
  readonly world?: World
  readonly record?: Edges['record']
  readonly credentials?: Edges['credentials']
  readonly now?: () => number
  readonly deadlineMs?: number
  readonly pendingMax?: number
}

function deciderOf(options: Options = {}) {
  const records: Decided[] = []
  const faults: unknown[] = []
  let tick = 0
  const decider = createDecider({
    now: options.now ?? Date.now,
    tick: () => tick++ * 100,
    newDecisionId: () => ID,
    world: () => options.world ?? test.world,
    credentials: options.credentials ?? (() => undefined),
    record: options.record ?? ((one) => records.push(one) > 0),
    onFault: (_, cause) => faults.push(cause),
    deadlineMs: options.deadlineMs ?? 1_000,
    pendingMax: options.pendingMax ?? 10
  })
  return { decider, records, faults }
}

let checks = 0

function messageOf(who: Svid | undefined, parts: CheckParts): Buffer {
  const evidence = who === undefined ? {} : { certificate: envoyPem(who.chain[0] as Uint8Array), principal: who.id }
  return checkRequest({ id: String(++checks), ...evidence, ...parts })
}

const search = (change: Partial<CheckParts> = {}): CheckParts => ({ path: `${PLACE}/${HANDBOOK}/query`, body: QUERY, ...change })

async function ask(who: Svid | undefined, parts: CheckParts, options: Options = {}) {
  const { decider, records, faults } = deciderOf(options)
  const response = CheckResponse.decode(await decider.decide(messageOf(who, parts), ENVOY))
  const body = response.deniedResponse?.body
  return { response, reason: body === undefined ? 'allow' : (JSON.parse(body).reason as string), records, faults }
}

describe('a refusal before the call is read', () => {
  const grpcStatus = async (headers: readonly (readonly [string, string])[], envoy: AskingEnvoy = ENVOY) => {
    const { decider } = deciderOf()
    const message = checkRequest({ headers: [...headers, ['x-a', '1'], ['x-a', '2']], path: '/qdrant.Points/Query', method: 'POST' })
    const { deniedResponse } = CheckResponse.decode(await decider.decide(message, envoy))
    return deniedResponse?.headers.find(({ header }) => header?.key === 'grpc-status')?.header?.value
  }

  it('tells a gRPC caller its status all the same, for Envoy would make one up', async () => {
    expect(await grpcStatus([['content-type', 'application/grpc']])).toBe('3')
    expect(await grpcStatus([['content-type', 'application/grpc+proto']], { ok: false, because: 'gone' })).toBe('14')
    expect(await grpcStatus([['content-type', 'application/json']])).toBeUndefined()
  })
})

describe('stories', () => {
  const rows: readonly { name: string; who: keyof typeof svids | undefined; call: () => CheckParts; want: string }[] = [
    { name: 'support searches its handbook', who: 'support', call: search, want: 'allow' },
    { name: 'nobody searches it', who: undefined, call: search, want: 'no-identity' },
    { name: 'a stranger with a good SVID searches it', who: 'stranger', call: search, want: 'caller-unknown' },
    {
      name: "support searches globex's",
      who: 'support',
      call: () => search({ path: `${PLACE.replace('acme', 'globex')}/${HANDBOOK}/query` }),
      want: 'tenant-not-allowed'
    },
    { name: 'the reporter of both tenants searches it', who: 'reporter', call: search, want: 'allow' },
    {
      name: 'support searches an id that is not there',
      who: 'support',
      call: () => search({ path: `${PLACE}/${HANDBOOK.replace('1', '9')}/query` }),
      want: 'collection-not-allowed'
    },
    {
      name: 'support asks another host',
      who: 'support',
      call: () => search({ host: 'other.demo.vecauthz.test' }),
      want: 'operation-unknown'
    },
    {
      name: 'support asks with a body that Envoy cut',
      who: 'support',
      call: () => search({ partial: 'true', size: 9_999 }),
      want: 'call-too-large'
    },
    {
      name: 'support asks with a key twice',
      who: 'support',
      call: () => search({ body: '{"n_results":1,"n_results":2}' }),
      want: 'call-ambiguous'
    },
    { name: 'support looks whether the database is there', who: 'support', call: () => ({ path: '/api/v2/heartbeat' }), want: 'allow' },
    { name: 'nobody looks whether it is there', who: undefined, call: () => ({ path: '/api/v2/heartbeat' }), want: 'no-identity' },
    {
      name: 'support drops its handbook',
      who: 'support',
      call: () => ({ method: 'DELETE', path: `${PLACE}/handbook` }),
      want: 'delete-not-allowed'
    },
    { name: 'the indexer drops it', who: 'indexer', call: () => ({ method: 'DELETE', path: `${PLACE}/handbook` }), want: 'allow' },
    {
      name: 'the indexer renames it to what no rule knows',
      who: 'indexer',
      call: () => ({ method: 'PUT', path: `${PLACE}/${HANDBOOK}`, body: '{"new_name":"mine"}' }),
      want: 'collection-not-allowed'
    }
  ]
  it.each(rows)('$name → $want', async ({ who, call, want }) => {
    const { response, reason, records } = await ask(who === undefined ? undefined : svids[who], call())
    expect(reason).toBe(want)
    expect(response.status?.code === 0).toBe(want === 'allow')
    expect(records).toHaveLength(1)
    expect(JSON.parse(auditLine(records[0] as Decided))).toMatchObject({ verdict: want === 'allow' ? 'allow' : 'deny', decision_id: ID })
  })

  it('a name is forgotten when a granted call defines or drops it, and only then', async () => {
    const before = test.forgotten.length
    await ask(svids.support, { method: 'DELETE', path: `${PLACE}/handbook` })
    expect(test.forgotten.length).toBe(before)
    await ask(svids.indexer, { method: 'DELETE', path: `${PLACE}/handbook` })
    expect(test.forgotten.at(-1)).toMatchObject([{ tenant: 'acme', namespace: 'rag', collection: { name: 'handbook' } }])
  })

  it('an SVID that has expired since it was cached is refused on the next call', async () => {
    const soon = await issueSvid(test.root, { id: 'spiffe://demo.vecauthz.test/acme/support', notAfter: Date.now() + 60_000 })
    expect((await ask(soon, search())).reason).toBe('allow')
    expect((await ask(soon, search(), { now: () => Date.now() + 61_000 })).reason).toBe('svid-expired')
  })

  it('the budget is charged once for the repeats of a check, and each time for others', async () => {
    const fresh = { ...test.world, memory: (await testWorld()).world.memory }
    const same = () => ask(svids.reporter, search({ id: 'one-and-the-same' }), { world: fresh })
    for (let at = 0; at < 40; at++) expect((await same()).reason).toBe('allow')
    const others: string[] = []
    for (let at = 0; at < 40; at++) others.push((await ask(svids.reporter, search(), { world: fresh })).reason)
    expect(others.filter((one) => one === 'allow').length).toBeLessThan(35)
    expect(others.at(-1)).toBe('rate-exceeded')
  })
})

describe('what fails is a written denial', () => {
  const gone: readonly { name: string; change: Partial<World>; want: string }[] = [
    { name: 'no trust bundle', change: { trust: undefined }, want: 'trust-unavailable' },
    { name: 'a trust bundle that is too old', change: { trustAgeMs: 60_001 }, want: 'trust-unavailable' },
    { name: 'a trust bundle just young enough', change: { trustAgeMs: 60_000 }, want: 'allow' },
    { name: 'no policy', change: { policy: undefined }, want: 'policy-unavailable' }
  ]
  it.each(gone)('$name → $want', async ({ change, want }) => {
    expect((await ask(svids.support, search(), { world: { ...test.world, ...change } })).reason).toBe(want)
  })

  it('bytes that are no CheckRequest', async () => {
    const response = CheckResponse.decode(await deciderOf().decider.decide(Buffer.from([0xff, 0xff]), ENVOY))
    expect(response.status?.code).toBeGreaterThan(0)
    expect(response.deniedResponse?.body).toContain('call-unreadable')
  })

  it('an Envoy that is not proven (any more)', async () => {
    const response = CheckResponse.decode(
      await deciderOf().decider.decide(messageOf(svids.support, search()), { ok: false, because: 'expired' })
    )
    expect(response.deniedResponse?.body).toContain('trust-unavailable')
  })

  it('a check that Envoy no longer waits for is not decided', async () => {
    const { decider } = deciderOf({ now: () => 1_000 })
    const late = CheckResponse.decode(await decider.decide(messageOf(svids.support, search()), ENVOY, 1_000))
    expect(late.deniedResponse?.body).toContain('deadline')
    const asked = CheckResponse.decode(await deciderOf().decider.decide(messageOf(svids.support, search()), ENVOY, Date.now() + 1_000))
    expect(asked.status?.code).toBe(0)
  })

  it('a fault of ours: 500, and the operator hears of it', async () => {
    const broken: World = { ...test.world, served: () => { throw new Error('boom') } } // biome-ignore format: one line
    const { reason, faults, response } = await ask(svids.support, search(), { world: broken })
    expect(reason).toBe('internal')
    expect(faults).toHaveLength(1)
    expect(response.deniedResponse?.body).not.toContain('boom')
  })

  it('a record that cannot be kept: no allow, and no denial whose id nobody finds', async () => {
    expect((await ask(svids.support, search(), { record: () => false })).reason).toBe('state-unavailable')
    expect((await ask(svids.stranger, search(), { record: () => false })).reason).toBe('state-unavailable')
  })

  it('a record that throws is a fault, not an allow', async () => {
    const record = () => {
      throw new Error('disk')
    }
    expect((await ask(svids.support, search(), { record })).reason).toBe('internal')
  })

  it('a name that comes too late: deadline; in time: allow; too many waiting: refused at once', async () => {
    const world = { ...slow.world, trust: test.world.trust }
    expect((await ask(svids.support, search(), { world, deadlineMs: 20 })).reason).toBe('deadline')
    expect((await ask(svids.support, search(), { world })).reason).toBe('allow')
    const { decider } = deciderOf({ world, pendingMax: 1 })
    const first = decider.decide(messageOf(svids.support, search()), ENVOY)
    expect(decider.pending()).toBe(1)
    const second = CheckResponse.decode(await decider.decide(messageOf(svids.support, search()), ENVOY))
    expect(second.deniedResponse?.body).toContain('state-unavailable')
    expect(CheckResponse.decode(await first).status?.code).toBe(0)
    expect(decider.pending()).toBe(0)
  })
})

describe('the answer to an allow', () => {
  it('is the same from the template as built anew, but for the decision id', async () => {
    const first = (await ask(svids.support, search())).response
    const { decider } = deciderOf()
    await decider.decide(messageOf(svids.support, search()), ENVOY)
    const second = CheckResponse.decode(await decider.decide(messageOf(svids.support, search()), ENVOY))
    expect(second).toEqual(first)
    const set = Object.fromEntries((first.okResponse?.headers ?? []).map((one) => [one.header?.key, one.header?.value]))
    expect(set).toEqual({
      'x-tenant-id': 'acme',
      'x-vecauthz-tenant': 'acme',
      'x-vecauthz-caller': svids.support.id,
      'x-vecauthz-decision': ID
    })
    expect(first.okResponse?.headersToRemove).toEqual(expect.arrayContaining(['authorization', 'x-chroma-token']))
  })

  it('names the tenant of this call, though the caller acts for two and asked for the other before', async () => {
    const { decider } = deciderOf()
    const tenants: (string | undefined)[] = []
    for (const tenant of ['acme', 'globex', 'acme']) {
      const path = `${PLACE.replace('acme', tenant)}/${HANDBOOK}/query`
      const response = CheckResponse.decode(await decider.decide(messageOf(svids.reporter, search({ path })), ENVOY))
      tenants.push(response.okResponse?.headers.find((one) => one.header?.key === 'x-tenant-id')?.header?.value)
    }
    expect(tenants).toEqual(['acme', 'globex', 'acme'])
  })

  it('carries the credential of this call, though the same caller had another one for the same tenant before', async () => {
    const issued = ['one', 'two', 'two', 'three'].map((text) => ({ header: ['x-chroma-token', text] as const }))
    issued[2] = issued[1] as (typeof issued)[number]
    let calls = 0
    const { decider } = deciderOf({ credentials: () => () => ({ ok: true, value: issued[calls++] }) })
    const sent: (string | undefined)[] = []
    for (const _ of issued) {
      const response = CheckResponse.decode(await decider.decide(messageOf(svids.support, search()), ENVOY))
      sent.push(response.okResponse?.headers.find((one) => one.header?.key === 'x-chroma-token')?.header?.value)
    }
    expect(sent).toEqual(['one', 'two', 'two', 'three'])
  })
})
