import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { httpFilterOf } from '../../demo/envoy-config.ts'
import { stepUpId } from '../../src/admin/step-up-client.ts'
import { denyAnswer } from '../../src/verdict/answer.ts'
import { type GatewayBench, startBench } from './support/gateway-bench.ts'
import { deny } from './support/scripted-authorizer.ts'

/** How a denial looks to the caller, over HTTP and over gRPC, with the shipped gateway.yaml. */

const GRPC = { headers: { 'content-type': 'application/grpc', te: 'trailers' }, frames: [Buffer.alloc(5)] }
const BODY_BYTES_MAX = 4096

let bench: GatewayBench

beforeAll(async () => {
  bench = await startBench({
    'long bodies': (listener) => {
      delete httpFilterOf(listener, 'envoy.filters.http.ext_authz')['max_denied_response_body_bytes']
    }
  })
})
afterAll(() => bench?.stop())
beforeEach(() => bench.reset())

const denyWith = (parts: Parameters<typeof deny>[0]) => {
  bench.authorizer.answer = () => deny(parts)
}

describe('over HTTP', () => {
  it.each([400, 401, 403, 413, 429, 500, 503])('status %i, headers and body arrive as given', async (http) => {
    denyWith({ http, headers: { 'content-type': 'application/problem+json', 'x-vecauthz-decision': 'd-1' }, body: '{"reason":"x"}' })
    const heard = await bench.http1()
    expect(heard.status).toBe(http)
    expect(heard.headers['content-type']).toBe('application/problem+json')
    expect(heard.headers['x-vecauthz-decision']).toBe('d-1')
    expect(heard.body).toBe('{"reason":"x"}')
    expect(bench.upstream.seen).toHaveLength(0)
  })

  it('without an HTTP status it is 403, whatever the code of the answer says', async () => {
    bench.authorizer.answer = () => ({ ...deny({ code: 8 }), deniedResponse: undefined })
    expect((await bench.http1()).status).toBe(403)
  })

  it('neither code nor message of the answer reach the caller', async () => {
    denyWith({ code: 16, body: 'no' })
    const heard = await bench.http1()
    expect(JSON.stringify(heard)).not.toContain('never seen by a client')
    expect(heard.headers['grpc-status']).toBeUndefined()
  })

  it('a body is cut where the shipped limit says', async () => {
    denyWith({ body: 'x'.repeat(BODY_BYTES_MAX + 1) })
    expect((await bench.http1()).body).toHaveLength(BODY_BYTES_MAX)
    denyWith({ body: 'x'.repeat(BODY_BYTES_MAX + 1) })
    expect((await bench.http1({}, 'long bodies')).body).toHaveLength(BODY_BYTES_MAX + 1)
  })

  it('grpc-status in the headers leaks to a caller who speaks no gRPC', async () => {
    denyWith({ headers: { 'grpc-status': '8' } })
    expect((await bench.http1()).headers['grpc-status']).toBe('8')
  })
})

describe('over gRPC', () => {
  it.each([
    [400, '13'],
    [401, '16'],
    [403, '7'],
    [413, '2'],
    [428, '2'],
    [429, '14'],
    [503, '14']
  ])('status %i becomes grpc-status %s when the answer names none', async (http, wanted) => {
    denyWith({ http })
    const heard = await bench.http2(GRPC)
    expect(heard.status).toBe(200)
    expect(heard.headers['grpc-status']).toBe(wanted)
  })

  it.each([
    [400, '3'],
    [401, '16'],
    [403, '7'],
    [413, '8'],
    [429, '8'],
    [503, '14']
  ])('status %i with grpc-status %s in the headers is that status', async (http, wanted) => {
    denyWith({ http, headers: { 'grpc-status': wanted } })
    expect((await bench.http2(GRPC)).headers['grpc-status']).toBe(wanted)
  })

  it('the body becomes grpc-message, percent-encoded; headers come along', async () => {
    denyWith({ body: '{"a":"é"}\n', headers: { 'x-vecauthz-decision': 'd-1' } })
    const heard = await bench.http2(GRPC)
    expect(heard.headers['grpc-message']).toBe('{"a":"%C3%A9"}%0A')
    expect(heard.headers['x-vecauthz-decision']).toBe('d-1')
    expect(heard.body).toBe('')
  })

  it('a challenge (RFC 9470) arrives as given, over HTTP and beside grpc-status, and the body says the same', async () => {
    const stepUp = {
      id: `${'f'.repeat(24)}-${'a'.repeat(16)}.1`,
      forUser: true,
      acrValues: ['urn:mfa'],
      maxAgeSeconds: 7,
      secondsLeft: 293
    }
    const reason = { kind: 'step-up-required', because: '', remedy: `vecauthz step-up answer ${stepUp.id}.`, stepUp } as const
    for (const grpc of [false, true]) {
      const { http, headers, body } = denyAnswer({ verdict: 'deny', reason }, 'd-1', grpc)
      denyWith({ http, headers: Object.fromEntries(headers), body })
      const heard = await (grpc ? bench.http2(GRPC) : bench.http1())
      const challenge = heard.headers['www-authenticate'] ?? ''
      expect(challenge).toBe(new Map(headers).get('www-authenticate'))
      expect([stepUpId(challenge), heard.headers['x-vecauthz-step-up']]).toEqual([stepUp.id, stepUp.id])
      expect([heard.status, heard.headers['grpc-status']]).toEqual(grpc ? [200, '16'] : [401, undefined])
      const said = grpc ? decodeURIComponent(heard.headers['grpc-message'] ?? '') : heard.body
      expect(JSON.parse(said)).toMatchObject({ step_up: { id: stepUp.id, by: ['end-user', 'supervisor', 'operator'], seconds_left: 293 } })
    }
  })

  it('no answer is UNAVAILABLE', async () => {
    bench.authorizer.answer = () => ({ code: 13 })
    expect((await bench.http2(GRPC)).headers['grpc-status']).toBe('14')
  })

  it('what the guard stops is PERMISSION_DENIED', async () => {
    bench.authorizer.answer = () => ({ ...deny(), status: { code: 0, message: '', details: [] } })
    expect((await bench.http2(GRPC)).headers['grpc-status']).toBe('7')
  })
})
