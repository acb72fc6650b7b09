import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { CheckRequest } from '@envoyproxy/protos/auth'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { httpFilterOf, httpOf, type Listener } from '../../demo/envoy-config.ts'
import { BODY_BYTES_MAX } from '../../src/core/limits.ts'
import { readCheckRequest } from '../../src/envoy/check-request.ts'
import { EXT_AUTHZ, type GatewayBench, GUARD, STRIP, startBench, type Variant, without } from './support/gateway-bench.ts'
import { allow, deny, requestOf } from './support/scripted-authorizer.ts'
import { AUTHORITY, tlsOptions } from './support/wire-client.ts'

/** Ways around the check in the request itself: each closed by the shipped gateway.yaml, each open in the control beside it. */

const PER_ROUTE = 'type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute'

/** Mistakes made elsewhere that skip the check, or its result; the guard has to catch each. */
const MISTAKES: Readonly<Record<string, Variant>> = {
  'a route that a header selects has ext_authz disabled': (listener) => {
    const skip = { [EXT_AUTHZ]: { '@type': PER_ROUTE, disabled: true } }
    const match = { prefix: '/', headers: [{ name: 'x-debug', present_match: true }] }
    routesOf(listener).unshift({ match, route: { cluster: 'chroma' }, typed_per_filter_config: skip })
  },
  'only a share of requests is checked': (listener) => {
    httpFilterOf(listener, EXT_AUTHZ)['filter_enabled'] = { default_value: { numerator: 0, denominator: 'HUNDRED' } }
  },
  'shadow mode is left on': (listener) => {
    httpFilterOf(listener, EXT_AUTHZ)['shadow_mode'] = true
  }
}

let bench: GatewayBench

beforeAll(async () => {
  const mistakes = Object.entries(MISTAKES).flatMap(([name, make]): [string, Variant][] => [
    [name, make],
    [`${name}, no guard`, (listener, bootstrap) => [make(listener, bootstrap), without(listener, GUARD)]]
  ])
  bench = await startBench({
    ...Object.fromEntries(mistakes),
    upgrades: (listener) => {
      httpOf(listener)['upgrade_configs'] = [{ upgrade_type: 'websocket' }]
    },
    'stripped at the route': (listener) => {
      without(listener, STRIP)
      httpOf(listener)['route_config'].request_headers_to_remove = ['x-tenant-id']
    },
    'short timeouts': (listener) => {
      httpOf(listener)['request_timeout'] = '0.5s'
      listener['filter_chains'][0].transport_socket_connect_timeout = '0.5s'
    },
    'no timeouts': (listener) => {
      delete httpOf(listener)['request_timeout']
      delete listener['filter_chains'][0].transport_socket_connect_timeout
    },
    'internal callers': (listener) => {
      httpOf(listener)['internal_address_config'] = { cidr_ranges: [{ address_prefix: '127.0.0.1', prefix_len: 32 }] }
    },
    'internal callers, no strip': (listener) => {
      httpOf(listener)['internal_address_config'] = { cidr_ranges: [{ address_prefix: '127.0.0.1', prefix_len: 32 }] }
      without(listener, STRIP)
    }
  })
})
afterAll(() => bench?.stop())
beforeEach(() => bench.reset())

const routesOf = (listener: Listener) => httpOf(listener)['route_config'].virtual_hosts[0].routes
const judged = () => requestOf(bench.authorizer.checks.at(-1))
const arrived = () => bench.upstream.seen.at(-1)

describe('hole 1: a body that is larger than Envoy holds', () => {
  const grpc = { 'content-type': 'application/grpc', te: 'trailers' }

  it('of exactly the limit is judged whole, over HTTP/1.1 and HTTP/2', async () => {
    await bench.http1({ body: Buffer.alloc(BODY_BYTES_MAX) })
    await bench.http2({ headers: grpc, frames: [Buffer.alloc(BODY_BYTES_MAX)] })
    expect(bench.authorizer.checks.map((check) => requestOf(check).rawBody.length)).toEqual([BODY_BYTES_MAX, BODY_BYTES_MAX])
    expect(bench.authorizer.checks.map((check) => requestOf(check).all('x-envoy-auth-partial-body'))).toEqual([['false'], ['false']])
  })

  it('by one byte over HTTP/1.1 is 413 without a check', async () => {
    expect((await bench.http1({ body: Buffer.alloc(BODY_BYTES_MAX + 1) })).status).toBe(413)
    expect(bench.authorizer.checks).toHaveLength(0)
  })

  it('by more than a frame over HTTP/2 is 413 without a check', async () => {
    expect((await bench.http2({ frames: [Buffer.alloc(BODY_BYTES_MAX + 3 * 16_384)] })).status).toBe(413)
    expect(bench.authorizer.checks).toHaveLength(0)
  })

  it('in the last frame over HTTP/2 is judged by its beginning and passed on whole: vecauthz has to refuse what it is shown', async () => {
    await bench.http2({ headers: grpc, frames: [Buffer.alloc(BODY_BYTES_MAX + 100)] })
    expect(judged().rawBody).toHaveLength(BODY_BYTES_MAX)
    expect(judged().size).toBe(BODY_BYTES_MAX + 100)
    expect(judged().all('x-envoy-auth-partial-body')).toEqual(['true'])
    expect(arrived()?.body).toHaveLength(BODY_BYTES_MAX + 100)

    const [check] = bench.authorizer.checks
    const read = readCheckRequest(Buffer.from(CheckRequest.encode(check as CheckRequest).finish()))
    expect(read).toMatchObject({ ok: false, reason: { kind: 'call-too-large' } })
  })
})

describe('hole 2: an upgrade', () => {
  const headers: [string, string][] = [
    ['connection', 'upgrade'],
    ['upgrade', 'websocket']
  ]

  it('is refused before the check', async () => {
    expect((await bench.http1({ body: 'hello', headers })).status).toBe(403)
    expect(bench.authorizer.checks).toHaveLength(0)
  })

  it('control: with upgrade_configs its body is not shown to the check', async () => {
    const ended = bench.http1({ body: 'hello', headers }, 'upgrades').catch(() => undefined)
    await vi.waitFor(() => expect(judged().rawBody).toHaveLength(0))
    bench.upstream.disconnect()
    await ended
  })

  it('to h2c is ignored, and the body is judged', async () => {
    const h2c: [string, string][] = [
      ['connection', 'upgrade, http2-settings'],
      ['upgrade', 'h2c'],
      ['http2-settings', 'AAMAAABkAAQAAP__']
    ]
    await bench.http1({ body: 'hello', headers: h2c })
    expect(judged().rawBody.toString()).toBe('hello')
  })
})

it('hole 8, control: stripped at the route instead of before the check, the trusted tenant is gone too', async () => {
  bench.authorizer.answer = () => allow({ set: { 'x-tenant-id': 'trusted' } })
  await bench.http1({ headers: [['x-tenant-id', 'evil']] }, 'stripped at the route')
  expect(judged().all('x-tenant-id')).toEqual(['evil'])
  expect(arrived()?.all('x-tenant-id')).toEqual([])
})

describe('hole 9: a mistake that skips the check is caught by the guard', () => {
  const headers: [string, string][] = [['x-debug', '1']]
  beforeEach(() => {
    bench.authorizer.answer = () => deny()
  })

  it.each(Object.keys(MISTAKES))('%s', async (mistake) => {
    expect((await bench.http1({ headers }, mistake)).status).toBe(403)
    expect(bench.upstream.seen).toHaveLength(0)
  })

  it.each(Object.keys(MISTAKES))('control: without it, %s, and the database is open', async (mistake) => {
    expect((await bench.http1({ headers }, `${mistake}, no guard`)).status).toBe(200)
    expect(bench.upstream.seen).toHaveLength(1)
  })
})

describe('hole 10: a request that does not end', () => {
  const WAIT_MS = 1_200
  const stall = async (listener: string) => {
    const socket = connectTls(tlsOptions(bench.envoy.port(listener), bench.agent, { ALPNProtocols: ['http/1.1'] }))
    socket.write(`POST / HTTP/1.1\r\nhost: ${AUTHORITY}\r\ncontent-length: 10\r\n\r\nabc`)
    const first = await Promise.race([once(socket, 'data'), sleep(WAIT_MS)])
    socket.destroy()
    return Array.isArray(first) ? String(first[0]).slice(0, 12) : 'nothing'
  }
  const shake = async (listener: string) => {
    const socket = connect(bench.envoy.port(listener), '127.0.0.1')
    const ended = await Promise.race([once(socket, 'close').then(() => 'closed'), sleep(WAIT_MS)])
    socket.destroy()
    return ended ?? 'open'
  }
  const neverEnding = { headers: { 'content-type': 'application/grpc', te: 'trailers' }, frames: [Buffer.alloc(5)], halfOpen: true }

  it('is ended by the request timeout (here 0.5 s), without a check', async () => {
    expect(await stall('short timeouts')).toBe('HTTP/1.1 408')
    expect((await bench.http2(neverEnding, 'short timeouts')).headers['grpc-status']).toBe('2')
    expect(bench.authorizer.checks).toHaveLength(0)
  })

  it('control: without one it is held', async () => {
    expect(await stall('no timeouts')).toBe('nothing')
  })

  it('nor does a handshake: it is ended, and held in the control', async () => {
    expect(await Promise.all([shake('short timeouts'), shake('no timeouts')])).toEqual(['closed', 'open'])
  })
})

describe("hole 13 and more: Envoy's own headers from a caller whose address counts as internal", () => {
  const headers: [string, string][] = [
    ['x-envoy-retry-on', '5xx'],
    ['x-envoy-max-retries', '2'],
    ['x-envoy-original-path', '/evil']
  ]
  beforeEach(() => {
    bench.upstream.status = 503
  })

  it('are stripped: the write runs once', async () => {
    await bench.http1({ body: 'write', headers }, 'internal callers')
    expect(bench.upstream.seen).toHaveLength(1)
    expect(arrived()?.all('x-envoy-original-path')).toEqual([])
  })

  it('control: without the strip one check runs the write three times', async () => {
    await bench.http1({ body: 'write', headers }, 'internal callers, no strip')
    expect(bench.authorizer.checks).toHaveLength(1)
    expect(bench.upstream.seen).toHaveLength(3)
    expect(arrived()?.all('x-envoy-original-path')).toEqual(['/evil'])
  })
})
