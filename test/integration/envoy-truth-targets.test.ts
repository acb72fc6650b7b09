import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { httpFilterOf, httpOf } from '../../demo/envoy-config.ts'
import { type GatewayBench, startBench } from './support/gateway-bench.ts'
import { requestOf } from './support/scripted-authorizer.ts'
import { AUTHORITY } from './support/wire-client.ts'

/** Paths, hosts and framing that can be read in two ways: what the shipped gateway.yaml makes of them, and what comes without it. */

let bench: GatewayBench

beforeAll(async () => {
  bench = await startBench({
    'paths as they come': (listener) => {
      for (const name of ['normalize_path', 'merge_slashes', 'path_with_escaped_slashes_action']) delete httpOf(listener)[name]
    },
    'wide limits': (listener) => {
      httpOf(listener)['max_request_headers_kb'] = 96
      httpOf(listener)['common_http_protocol_options'].max_headers_count = 200
    },
    talkative: (listener) => {
      delete httpFilterOf(listener, 'envoy.filters.http.router')['suppress_envoy_headers']
    },
    underscores: (listener) => {
      delete httpOf(listener)['common_http_protocol_options'].headers_with_underscores_action
    },
    'any host': (listener) => {
      httpOf(listener)['route_config'].virtual_hosts[0].domains = ['*']
      delete httpOf(listener)['http_protocol_options']
    }
  })
})
afterAll(() => bench?.stop())
beforeEach(() => bench.reset())

const judged = () => requestOf(bench.authorizer.checks.at(-1))
const arrived = () => bench.upstream.seen.at(-1)

describe('holes 11 and 14: a path that can be read in two ways', () => {
  const folded = [
    ['/a/../b', '/b'],
    ['/a/%2e%2e/b', '/b'],
    ['/a/.%2E/b', '/b'],
    ['/a/./b', '/a/b'],
    ['/../../b', '/b'],
    ['/a//b', '/a/b'],
    ['/a\\b', '/a/b'],
    ['/%61%2Db', '/a-b'],
    ['//evil/secret', '/evil/secret'],
    ['/\\evil/secret', '/evil/secret'],
    ['/a/..;/b', '/b']
  ] as const
  it.each(folded)('%s is folded to %s, for the check and for the database alike', async (target, canonical) => {
    await bench.http1({ target })
    expect(judged().path).toBe(canonical)
    expect(arrived()?.target).toBe(canonical)
  })

  it.each(['/a%2Fb', '/a%2fb', '/a%5Cb', '/a%5cb', '/a%00', '/a#b', 'a/b', '/caf\xe9'])('%s is refused by Envoy', async (target) => {
    expect((await bench.http1({ target })).status).toBe(400)
    expect(bench.authorizer.checks).toHaveLength(0)
  })

  it.each(['/a%252fb', '/a;x=1', '/A', '/a/', '/a%20b', '/caf%C3%A9', '/a?x=..%2F'])(
    '%s passes as it is: vecauthz judges the very bytes that the database gets',
    async (target) => {
      await bench.http1({ target })
      expect(judged().path).toBe(target)
      expect(arrived()?.target).toBe(target)
    }
  )

  it.each(['/a/../b', '/a/%2e%2e/b', '/a//b', '/a%2Fb', '/a\\b', '//evil/secret'])(
    'control: without normalisation %s passes',
    async (target) => {
      await bench.http1({ target }, 'paths as they come')
      expect(judged().path).toBe(target)
      expect(arrived()?.target).toBe(target)
    }
  )
})

describe('hole 12: a name with an underscore', () => {
  it('is refused', async () => {
    expect((await bench.http1({ headers: [['x_tenant_id', 'evil']] })).status).toBe(400)
    expect(bench.authorizer.checks).toHaveLength(0)
  })

  it('control: passes beside the trusted one', async () => {
    await bench.http1({ headers: [['x_tenant_id', 'evil']] }, 'underscores')
    expect(arrived()?.all('x_tenant_id')).toEqual(['evil'])
  })
})

describe('a host that is not listed', () => {
  const rows = [
    { name: 'another name', request: { headers: [['host', 'evil.test']] } },
    { name: 'this machine by its address', request: { headers: [['host', '127.0.0.1:8443']] } },
    { name: 'a target in absolute form', request: { target: 'http://evil.test/x' } },
    { name: 'a target in absolute form with the right name', request: { target: `http://${AUTHORITY}/x` } }
  ] as const
  it.each(rows)('$name: no check, no database', async ({ request }) => {
    expect([403, 404]).toContain((await bench.http1(request)).status)
    expect(bench.authorizer.checks).toHaveLength(0)
    expect(bench.upstream.seen).toHaveLength(0)
  })

  it('two of them: refused', async () => {
    const headers: [string, string][] = [
      ['host', AUTHORITY],
      ['host', 'evil.test']
    ]
    expect((await bench.http1({ headers })).status).toBe(403)
  })

  it('a Host beside :authority over HTTP/2 is dropped: there is one host', async () => {
    await bench.http2({ headers: { host: 'evil.test' } })
    expect([judged().host, ...judged().all('host')]).toEqual([AUTHORITY])
    expect(arrived()?.all('host')).toEqual([AUTHORITY])
  })

  it.each([AUTHORITY.toUpperCase(), `${AUTHORITY}:evil`])('%s counts as listed, and reaches vecauthz as it is', async (name) => {
    await bench.http1({ headers: [['host', name]] })
    expect(judged().host).toBe(name)
  })

  it('CONNECT leads nowhere', async () => {
    expect((await bench.http1({ method: 'CONNECT', target: `${AUTHORITY}:443` })).status).toBe(403)
    expect(bench.authorizer.checks).toHaveLength(0)
  })

  it('a port may follow the listed name', async () => {
    expect((await bench.http1({ headers: [['host', `${AUTHORITY}:8443`]] })).status).toBe(200)
    expect(judged().host).toBe(`${AUTHORITY}:8443`)
  })

  it.each(rows.slice(0, 3))('control: with domains * and absolute targets, $name reaches the database', async ({ request }) => {
    expect((await bench.http1(request, 'any host')).status).toBe(200)
    expect(arrived()?.all('host')).not.toEqual([AUTHORITY])
  })
})

describe('headers without measure', () => {
  const many = Array.from({ length: 101 }, (_, at): [string, string] => [`x-h-${at}`, 'v'])
  const large: [string, string][] = [['x-large', 'v'.repeat(33 * 1024)]]

  it.each([
    { name: 'too many', headers: many },
    { name: 'too large', headers: large }
  ])('are refused when they are $name, and asked about in the control', async ({ headers }) => {
    expect((await bench.http1({ headers })).status).toBe(431)
    expect(bench.authorizer.checks).toHaveLength(0)
    await bench.http1({ headers }, 'wide limits')
    expect(bench.authorizer.checks).toHaveLength(1)
  })

  it("of Envoy's own go neither to the caller nor to the database", async () => {
    const { headers } = await bench.http1()
    expect(Object.keys(headers).filter((name) => name.startsWith('x-envoy-'))).toEqual([])
    expect(arrived()?.all('x-envoy-expected-rq-timeout-ms')).toEqual([])
    expect(Object.keys((await bench.http1({}, 'talkative')).headers)).toContain('x-envoy-upstream-service-time')
    expect(arrived()?.all('x-envoy-expected-rq-timeout-ms')).toEqual(['30000'])
  })
})

describe('a message that two parsers would cut differently', () => {
  it.each([
    {
      name: 'content-length and chunks',
      headers: [
        ['content-length', '5'],
        ['transfer-encoding', 'chunked']
      ]
    },
    {
      name: 'two lengths',
      headers: [
        ['content-length', '5'],
        ['content-length', '3']
      ]
    },
    { name: 'an unknown transfer-encoding', headers: [['transfer-encoding', 'gzip, chunked']] }
  ] as const)('$name: refused', async ({ headers }) => {
    expect([400, 501]).toContain((await bench.http1({ method: 'POST', body: 'hello', headers })).status)
    expect(bench.authorizer.checks).toHaveLength(0)
  })
})
