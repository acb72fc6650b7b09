/** Attacks through the real Envoy to the real Chroma: each refused for its reason, nothing of it reaches Chroma, its neighbour passes. */
import { connect, type IncomingHttpHeaders } from 'node:http2'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { HOST } from '../../demo/identities.ts'
import { type Stack, startStack } from '../../demo/stack.ts'
import { collectionPath, hitsOf, runStep, type Scene, sceneOf } from '../../demo/step.ts'
import { STEPS } from '../../demo/steps.ts'
import { ATTACKS } from './support/attack-rows.ts'

let stack: Stack
let scene: Scene

beforeAll(async () => {
  // The budgets are for the demo's last step; here they would refuse before what is tested does.
  const policy = (document: { budget: object }) => {
    document.budget = { per_second: 1000, burst: 10_000 }
  }
  stack = await startStack({ folder: join(import.meta.dirname, '../../.run/test-attacks'), say: () => undefined, policy })
  scene = sceneOf(stack)
})

afterAll(() => stack?.stop())

describe("the demo's steps", () => {
  it.each(STEPS.map((step) => ({ name: step.name, step })))('$name', async ({ step }) => {
    const outcome = await runStep(step, scene)
    expect(outcome.wrong).toBeUndefined()
  })
})

describe('attacks', () => {
  it('are at least forty, with the steps that are refused', () => {
    const refused = STEPS.filter((step) => step.want.status !== 200).length
    expect(ATTACKS.length + refused).toBeGreaterThanOrEqual(40)
    expect(new Set(ATTACKS.map((one) => one.name)).size).toBe(ATTACKS.length)
  })

  it.each(ATTACKS.map((attack) => ({ name: attack.name, attack })))('$name', async ({ attack }) => {
    const outcome = await runStep(attack, scene)
    expect(outcome.wrong).toBeUndefined()
    expect(outcome.reached).toBe(0)
    stack.recorder.clear()
    const neighbour = await attack.neighbour(scene)
    expect(neighbour.status, neighbour.body).toBe(200)
    expect(stack.recorder.seen()).toHaveLength(1)
    expect(ownDocuments(neighbour.body)).toBeGreaterThan(0)
  })
})

it('a gRPC caller is told in its own words: an explicit grpc-status, with the sentence as message', async () => {
  const session = connect(`https://127.0.0.1:${stack.door.port}`, { ca: stack.door.ca, servername: HOST, ...scene.who.support })
  const headers = await new Promise<IncomingHttpHeaders>((resolve, reject) => {
    const path = collectionPath('acme', stack.collections['acme'] ?? '', 'query')
    const stream = session.request({
      ':method': 'POST',
      ':path': path,
      ':authority': HOST,
      'content-type': 'application/grpc',
      te: 'trailers'
    })
    stream.on('response', resolve)
    stream.on('error', reject)
    stream.end(Buffer.from([0, 0, 0, 0, 0]))
  })
  session.destroy()
  expect(headers).toMatchObject({ ':status': 200, 'grpc-status': '3' })
  expect(decodeURIComponent(String(headers['grpc-message']))).toContain('call-ambiguous')
})

/** Documents in an answer, of a search (a list for each query) or a read; none may be another tenant's. */
function ownDocuments(body: string): number {
  const ids = (JSON.parse(body) as { ids: (string | string[])[] }).ids.flat()
  expect(ids.filter((id) => !id.startsWith('acme'))).toEqual([])
  return ids.length
}

it('the neighbour check itself can fail: a hit of another tenant is seen', () => {
  const stray = {
    status: 200,
    reason: undefined,
    decisionId: undefined,
    ms: 0,
    body: JSON.stringify({ ids: [['globex-1']], documents: [['x']] })
  }
  expect(hitsOf('acme')(stray, scene)).toBeDefined()
})
