import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { call, callHttp2 } from '../../demo/client.ts'
import { readBootstrap } from '../../demo/envoy-config.ts'
import { type Stack, startStack } from '../../demo/stack.ts'
import { hitsOf, type Scene, sceneOf, supportSearch } from '../../demo/step.ts'
import { STEPS } from '../../demo/steps.ts'
import { BODY_BYTES_MAX } from '../../src/core/limits.ts'

/**
 * envoy/shadow.yaml in front of a real vecauthz and a real Chroma: the demo's own steps, of which vecauthz refuses most, and all of which
 * reach the database as they were sent. What shadow does not give is here as well, for whoever would leave it on.
 */

let stack: Stack
let scene: Scene

beforeAll(async () => {
  const policy = (document: { budget: object }) => {
    document.budget = { per_second: 1000, burst: 10_000 }
  }
  const shadow = readBootstrap(join(import.meta.dirname, '../../envoy/shadow.yaml'))
  const envoy = { edit: (bootstrap: object) => void Object.assign(bootstrap, shadow) }
  stack = await startStack({ folder: join(import.meta.dirname, '../../.run/test-shadow'), say: () => undefined, policy, envoy })
  scene = sceneOf(stack)
})

afterAll(() => stack?.stop())

const counted = (what: string) => stack.envoy.stats(`http.gateway_in.ext_authz.vecauthz.${what}`)

/** What a call did: answers, requests at the database, and what vecauthz would have said, as Envoy counts it. */
async function seen<T>(run: () => Promise<T>) {
  stack.recorder.clear()
  const before = { denied: await counted('shadow_denied'), error: await counted('shadow_error'), ok: await counted('ok') }
  const answer = await run()
  const counts = {
    denied: (await counted('shadow_denied')) - before.denied,
    error: (await counted('shadow_error')) - before.error,
    ok: (await counted('ok')) - before.ok
  }
  return { answer, counts, arrived: stack.recorder.seen() }
}

/** Not those that Envoy refuses itself, or TLS does: these it still refuses. Envoy's own, too, is the 413 over HTTP/2, below. */
const REFUSED = STEPS.filter(
  ({ want }) => want.reason !== undefined && want.reason !== 'envoy' && want.status !== 'tls' && want.reason !== 'call-too-large'
)

describe('in shadow', () => {
  it('there is something to show', () => expect(REFUSED.length).toBeGreaterThan(15))

  it('an allowed call is answered as ever, and nothing is set on it', async () => {
    const { answer, counts, arrived } = await seen(() => supportSearch(scene))
    expect(hitsOf('acme')(answer, scene)).toBeUndefined()
    expect(counts).toEqual({ denied: 0, error: 0, ok: 1 })
    expect(Object.keys(arrived[0]?.headers ?? {}).filter((name) => /tenant|vecauthz/.test(name))).toEqual([])
  })

  it.each(REFUSED.map((step) => ({ name: step.name, step })))('noted and let through: $name', async ({ step }) => {
    const { answer, counts, arrived } = await seen(() => step.run(scene))
    expect(counts.denied + counts.error).toBeGreaterThan(0)
    expect(arrived.length).toBeGreaterThan(0)
    expect([answer.reason, answer.decisionId]).toEqual([undefined, undefined])
  })

  it('the key by which the database knows the caller goes on', async () => {
    const { arrived } = await seen(() => supportSearch(scene, { headers: { 'x-chroma-token': 'its-own' } }))
    expect(arrived[0]?.headers['x-chroma-token']).toBe('its-own')
  })

  it('a body above the limit is not answered 413', async () => {
    const body = { query_embeddings: [[1]], n_results: 1, more: 'x'.repeat(BODY_BYTES_MAX) }
    const { answer, counts, arrived } = await seen(() => supportSearch(scene, { body }))
    expect(answer.status).not.toBe(413)
    expect(arrived[0]?.bodyBytes).toBeGreaterThan(BODY_BYTES_MAX)
    expect(counts.denied).toBe(1)
  })

  it('over HTTP/2 it is, when frames come in while vecauthz is asked', async () => {
    const pieces = [Buffer.alloc(BODY_BYTES_MAX - 8192, 0x20), Buffer.alloc(8191, 0x20), Buffer.alloc(16_000, 0x20)]
    const target = '/api/v2/tenants/acme/databases/rag/collections'
    const { answer, arrived } = await seen(() => callHttp2(stack.door, scene.who.support, { target, pieces }))
    expect([answer.status, answer.reason, arrived.length]).toEqual([413, undefined, 0])
  })

  it('what vecauthz would have said is in the access log, with its reason and the id of its record', async () => {
    const target = '/api/v2/shadow-probe'
    await call(stack.door, scene.who.support, { target })
    const line = await vi.waitFor(() => {
      const all = readFileSync(stack.envoy.accessLogFile, 'utf8').split('\n')
      return JSON.parse(all.find((one) => one.includes(target)) ?? 'none yet')
    }, 10_000)
    expect(line).toMatchObject({ hop: 'gateway-shadow', verdict: 'deny', reason: 'operation-unknown' })
    expect(JSON.stringify(line.shadow)).toContain('DENIED')
    // Records are written some at a time: the last line may still be on its way, and only be there in part.
    await vi.waitFor(() => {
      const records = readFileSync(stack.auditFile, 'utf8').split('\n').slice(0, -1)
      expect(records.map((record) => JSON.parse(record).decision_id)).toContain(line.decision_id)
    }, 10_000)
  })

  it('without a certificate there is still no connection', async () => {
    expect((await call(stack.door, undefined, { target: '/api/v2/heartbeat' })).status).toBe('tls')
  })

  it('a host that is not listed is still not answered', async () => {
    const { answer, arrived } = await seen(() =>
      call(stack.door, scene.who.support, { target: '/api/v2/heartbeat', headers: { host: 'other.test' } })
    )
    expect([answer.status, arrived]).toEqual([404, []])
  })

  it('and with vecauthz gone, calls go on', async () => {
    await stack.server.stop()
    const { answer, counts } = await seen(() => call(stack.door, scene.who.support, { target: '/api/v2/heartbeat' }))
    expect(answer.status).toBe(200)
    expect(counts).toMatchObject({ error: 1, ok: 0 })
  })
})
