import { CheckResponse } from '@envoyproxy/protos/auth'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { httpFilterOf, httpOf, type Listener } from '../../demo/envoy-config.ts'
import { EXT_AUTHZ, type GatewayBench, GUARD, STRIP, startBench, without } from './support/gateway-bench.ts'
import { allow, deny, OVERWRITE, requestOf } from './support/scripted-authorizer.ts'

/** What Envoy does with each kind of answer: shipped, and with one line changed to show what that line holds back. */

const EMPTY = CheckResponse.fromPartial({})
/** No strip, no limits on changes, no guard: what the filter does when nobody holds it back. */
const BARE = 'bare'

let bench: GatewayBench

beforeAll(async () => {
  bench = await startBench({
    [BARE]: (listener) => {
      without(listener, STRIP, GUARD)
      delete httpFilterOf(listener, EXT_AUTHZ)['decoder_header_mutation_rules']
      httpFilterOf(listener, EXT_AUTHZ)['validate_mutations'] = false
    },
    'without guard': (listener) => without(listener, GUARD),
    'without mutation rules': (listener) => {
      delete httpFilterOf(listener, EXT_AUTHZ)['decoder_header_mutation_rules']
    },
    'ignores unlisted': (listener) => {
      httpFilterOf(listener, EXT_AUTHZ)['decoder_header_mutation_rules'].disallow_is_error = false
    },
    're-routes': (listener) => {
      httpFilterOf(listener, EXT_AUTHZ)['clear_route_cache'] = true
      addSpecialRoute(listener)
    },
    'two routes': addSpecialRoute
  })
})
afterAll(() => bench?.stop())
beforeEach(() => bench.reset())

/** A route that a path, or a header, of vecauthz's answer could lead to. */
function addSpecialRoute(listener: Listener) {
  const [host] = httpOf(listener)['route_config'].virtual_hosts
  const header = { key: 'x-route', value: 'special' }
  host.routes.unshift({ match: { prefix: '/special' }, route: { cluster: 'chroma' }, request_headers_to_add: [{ header }] })
}

const arrived = () => bench.upstream.seen.at(-1)
const answerWith = (answer: CheckResponse) => {
  bench.authorizer.answer = () => answer
}

describe('what counts as yes', () => {
  const ok = { code: 0, message: '', details: [] }
  const denied = deny().deniedResponse
  const verdict = { verdict: 'allow' }
  const rows = [
    { name: 'an empty message', answer: EMPTY },
    { name: 'a denial without a status', answer: CheckResponse.fromPartial({ deniedResponse: denied as never }) },
    { name: 'status OK with a denial', answer: CheckResponse.fromPartial({ status: ok, deniedResponse: denied as never }) },
    { name: 'status OK without a verdict in the metadata', answer: allow({ metadata: undefined }) },
    { name: 'status OK with verdict deny', answer: allow({ metadata: { verdict: 'deny' } }) },
    { name: 'status OK with a verdict that only begins with allow', answer: allow({ metadata: { verdict: 'allowed' } }) },
    { name: 'status OK with a verdict that is no string', answer: allow({ metadata: { verdict: true } }) }
  ]
  it.each(rows)('the guard stops: $name', async ({ answer }) => {
    answerWith(answer)
    expect((await bench.http1()).status).toBe(403)
    expect(bench.authorizer.checks).toHaveLength(1)
    expect(bench.upstream.seen).toHaveLength(0)
  })

  it.each(rows)('control: without the guard it reaches the database: $name', async ({ answer }) => {
    answerWith(answer)
    expect((await bench.http1({}, 'without guard')).status).toBe(200)
    expect(bench.upstream.seen).toHaveLength(1)
  })

  it('status OK with verdict allow passes', async () => {
    answerWith(allow())
    expect((await bench.http1()).status).toBe(200)
    expect(bench.upstream.seen).toHaveLength(1)
  })

  it.each([1, 2, 7, 13, 16])('status %i denies, whatever else the answer says', async (code) => {
    answerWith({ ...allow(), status: { code, message: '', details: [] }, dynamicMetadata: verdict })
    expect((await bench.http1({}, 'without guard')).status).toBe(403)
    expect(bench.upstream.seen).toHaveLength(0)
  })
})

describe('headers of an answer', () => {
  const client = {
    headers: [
      ['x-tenant-id', 'evil-1'],
      ['x-tenant-id', 'evil-2']
    ]
  } as const
  const header = (value: string) => ({ key: 'x-tenant-id', value, rawValue: Buffer.alloc(0) })
  const raw = { key: 'x-tenant-id', value: '', rawValue: Buffer.from('trusted') }

  it.each([
    { name: 'append false', option: { header: header('trusted'), append: false } },
    { name: 'append unset', option: { header: header('trusted') } },
    {
      name: 'append false with OVERWRITE, as vecauthz sends it',
      option: { header: header('trusted'), append: false, appendAction: OVERWRITE }
    },
    { name: 'append unset with ADD_IF_ABSENT, which is ignored', option: { header: header('trusted'), appendAction: 1 } }
  ] as const)('overwrite every copy of the client: $name', async ({ option }) => {
    answerWith(allow({ options: [option] }))
    await bench.http1(client, BARE)
    expect(arrived()?.all('x-tenant-id')).toEqual(['trusted'])
    await bench.http1({}, BARE)
    expect(arrived()?.all('x-tenant-id')).toEqual(['trusted'])
  })

  it('append true leaves the attacker in front, and adds nothing where nothing was', async () => {
    answerWith(allow({ options: [{ header: header('trusted'), append: true }] }))
    await bench.http1(client, BARE)
    expect(arrived()?.all('x-tenant-id')).toEqual(['evil-1,trusted', 'evil-2'])
    await bench.http1({}, BARE)
    expect(arrived()?.all('x-tenant-id')).toEqual([])
  })

  it('a raw_value arrives as nothing at all', async () => {
    answerWith(allow({ options: [{ header: raw, append: false, keepEmptyValue: true }] }))
    await bench.http1(client, BARE)
    expect(arrived()?.all('x-tenant-id')).toEqual([''])
  })

  it('removal comes after setting: one name in both lists is gone', async () => {
    answerWith(allow({ set: { 'x-tenant-id': 'trusted' }, remove: ['X-Tenant-Id'] }))
    await bench.http1(client)
    expect(arrived()?.all('x-tenant-id')).toEqual([])
  })

  it('shipped: the strip and the answer together leave one value', async () => {
    answerWith(allow({ set: { 'x-tenant-id': 'trusted', 'x-vecauthz-tenant': 'trusted' }, remove: ['authorization'] }))
    await bench.http1({ headers: [...client.headers, ['authorization', 'Bearer t'], ['x-vecauthz-tenant', 'evil']] })
    expect(arrived()?.all('x-tenant-id')).toEqual(['trusted'])
    expect(arrived()?.all('x-vecauthz-tenant')).toEqual(['trusted'])
    expect(arrived()?.all('authorization')).toEqual([])
  })
})

describe('what an answer may change', () => {
  const listed = [
    'authorization',
    'x-tenant-id',
    'x-vecauthz-tenant',
    'x-vecauthz-caller',
    'x-vecauthz-decision',
    'x-vecauthz-policy-token',
    'x-vecauthz-subject-token',
    'api-key',
    'x-api-key',
    'x-chroma-token',
    'dbname',
    'db-name',
    'proxy-authorization',
    'x-proxy-user',
    'x-forwarded-client-cert'
  ]
  it.each(listed)('%s may be set, and removed', async (name) => {
    answerWith(allow({ set: { [name]: 'value' } }))
    expect((await bench.http1()).status).toBe(200)
    expect(arrived()?.all(name)).toEqual(['value'])
    answerWith(allow({ remove: [name] }))
    expect((await bench.http1({ headers: [[name, 'client']] })).status).toBe(200)
    expect(arrived()?.all(name)).toEqual([])
  })

  const unlisted = [
    'content-length',
    ':method',
    ':authority',
    ':scheme',
    'host',
    'content-type',
    'transfer-encoding',
    'x-tenant',
    'x-vecauthz-other',
    'x-other'
  ]
  it.each(unlisted)('%s may not be set: 500, nothing reaches the database', async (name) => {
    answerWith(allow({ set: { [name]: '3' } }))
    expect((await bench.http1({ body: 'hello' })).status).toBe(500)
    expect(bench.upstream.seen).toHaveLength(0)
  })

  it.each(['content-length', 'content-type', 'host', 'x-other', 'user-agent'])(
    '%s may not be removed, not even when it is absent',
    async (name) => {
      answerWith(allow({ remove: [name] }))
      expect((await bench.http1()).status).toBe(500)
      expect(bench.upstream.seen).toHaveLength(0)
    }
  )

  it('control: without the rules a shorter content-length makes the database read another body than was judged', async () => {
    answerWith(allow({ set: { 'content-length': '3' } }))
    await bench.http1({ body: 'hello' }, 'without mutation rules').catch(() => undefined)
    expect(bench.upstream.seen.map(({ body }) => body.toString())).not.toContain('hello')
    expect(bench.authorizer.checks.map((check) => requestOf(check).rawBody.toString())).toEqual(['hello'])
  })

  it('control: without the rules the method changes under what was judged', async () => {
    answerWith(allow({ set: { ':method': 'DELETE' } }))
    await bench.http1({}, 'without mutation rules')
    expect(arrived()?.method).toBe('DELETE')
  })

  it('control: without disallow_is_error an unlisted header is dropped in silence', async () => {
    answerWith(allow({ set: { 'x-other': '3' } }))
    expect((await bench.http1({}, 'ignores unlisted')).status).toBe(200)
    expect(arrived()?.all('x-other')).toEqual([])
  })

  it.each([
    { name: 'a line break in a value', parts: { set: { 'x-tenant-id': 'a\r\nx-evil: 1' } } },
    { name: 'a query value with a space', parts: { query: [{ key: 'tenant', value: 'a b' }] } }
  ])('validate_mutations refuses $name', async ({ parts }) => {
    answerWith(allow(parts))
    expect((await bench.http1({ target: '/x?tenant=1' })).status).toBe(500)
    expect(bench.upstream.seen).toHaveLength(0)
  })

  it('control: without validation a space in a query value breaks the request line that the database reads', async () => {
    answerWith(allow({ query: [{ key: 'tenant', value: 'a b' }] }))
    expect((await bench.http1({ target: '/x?tenant=1' }, BARE)).status).toBe(400)
    expect(bench.upstream.seen).toHaveLength(0)
  })

  it('control: query_parameters_to_set leaves other spellings of the name beside its own', async () => {
    answerWith(allow({ query: [{ key: 'tenant', value: 'trusted' }] }))
    await bench.http1({ target: '/x?tenant=evil&Tenant=evil&ten%61nt=evil' })
    expect(arrived()?.target).toBe('/x?Tenant=evil&ten%61nt=evil&tenant=trusted')
  })

  it('a path of the answer goes to the database, and selects no other route', async () => {
    answerWith(allow({ set: { ':path': '/special' } }))
    expect((await bench.http1({}, 'two routes')).status).toBe(200)
    expect(arrived()?.target).toBe('/special')
    expect(arrived()?.all('x-route')).toEqual([])
  })

  it('control: with clear_route_cache the answer selects the route', async () => {
    answerWith(allow({ set: { ':path': '/special' } }))
    await bench.http1({}, 're-routes')
    expect(arrived()?.all('x-route')).toEqual(['special'])
  })
})
