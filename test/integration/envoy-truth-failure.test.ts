import { setTimeout as sleep } from 'node:timers/promises'
import { status as grpc } from '@grpc/grpc-js'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { httpFilterOf } from '../../demo/envoy-config.ts'
import { EXT_AUTHZ, type GatewayBench, GUARD, startBench, without } from './support/gateway-bench.ts'
import { allow, requestOf } from './support/scripted-authorizer.ts'

/** What Envoy does when no answer comes, or a bad one: shipped, and with one line changed. */

const LATE_MS = 150

let bench: GatewayBench

beforeAll(async () => {
  bench = await startBench({
    'fails open': (listener) => {
      httpFilterOf(listener, EXT_AUTHZ)['failure_mode_allow'] = true
    },
    'fails open, without guard': (listener) => {
      httpFilterOf(listener, EXT_AUTHZ)['failure_mode_allow'] = true
      without(listener, GUARD)
    },
    'short back-off': (listener) => {
      httpFilterOf(listener, EXT_AUTHZ)['grpc_service'].retry_policy.retry_back_off.max_interval = '0.05s'
    },
    'default error status': (listener) => {
      delete httpFilterOf(listener, EXT_AUTHZ)['status_on_error']
    }
  })
})
afterAll(() => bench?.stop())
beforeEach(() => bench.reset())

describe('no answer', () => {
  const unavailable = { code: grpc.UNAVAILABLE, message: 'gone' }
  const failures = [
    { name: 'an internal error', answer: () => ({ code: grpc.INTERNAL, message: 'broken' }), checks: 1 },
    { name: 'silence until the timeout', answer: () => undefined, checks: 1 },
    { name: 'unavailable, asked again twice', answer: () => unavailable, checks: 3 }
  ]
  it.each(failures)('$name: 503, nothing reaches the database', async ({ answer, checks }) => {
    bench.authorizer.answer = answer
    expect((await bench.http1()).status).toBe(503)
    expect(bench.authorizer.checks).toHaveLength(checks)
    expect(bench.upstream.seen).toHaveLength(0)
  })

  it('silence lasts for the whole timeout of half a second', async () => {
    bench.authorizer.answer = () => undefined
    const began = performance.now()
    await bench.http1()
    expect(performance.now() - began).toBeGreaterThan(450)
  })

  const late = async () => {
    await sleep(LATE_MS)
    return allow()
  }
  it('an answer that comes late, but in time, is an answer', async () => {
    bench.authorizer.answer = late
    expect((await bench.http1()).status).toBe(200)
  })

  it('control: the longest back-off is also the timeout of each try, so a short one turns late answers into none', async () => {
    bench.authorizer.answer = late
    expect((await bench.http1({}, 'short back-off')).status).toBe(503)
  })

  it('repeats of one check carry one id', async () => {
    bench.authorizer.answer = () => unavailable
    await bench.http1()
    expect(new Set(bench.authorizer.checks.map((check) => requestOf(check).id)).size).toBe(1)
  })

  it('a check that is repeated once and then answered is one request to the database', async () => {
    bench.authorizer.answer = () => (bench.authorizer.checks.length === 1 ? unavailable : allow())
    expect((await bench.http1({ body: 'write' })).status).toBe(200)
    expect(bench.upstream.seen).toHaveLength(1)
  })

  it('a write is never repeated towards the database', async () => {
    bench.upstream.status = 503
    const headers: [string, string][] = [
      ['x-envoy-retry-on', '5xx'],
      ['x-envoy-max-retries', '3']
    ]
    expect((await bench.http1({ body: 'write', headers })).status).toBe(503)
    expect(bench.upstream.seen).toHaveLength(1)
  })

  it('control: the default status on error cannot be told from a denial', async () => {
    bench.authorizer.answer = () => unavailable
    expect((await bench.http1({}, 'default error status')).status).toBe(403)
  })

  it('failure_mode_allow, set by mistake, is stopped by the guard', async () => {
    bench.authorizer.answer = () => unavailable
    expect((await bench.http1({}, 'fails open')).status).toBe(403)
    expect(bench.upstream.seen).toHaveLength(0)
  })

  it('control: without the guard failure_mode_allow opens the database', async () => {
    bench.authorizer.answer = () => unavailable
    expect((await bench.http1({}, 'fails open, without guard')).status).toBe(200)
    expect(bench.upstream.seen).toHaveLength(1)
  })
})
