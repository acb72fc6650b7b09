/** What people are shown: decisions in prose, workloads, what is allowed and used, alerts; and that it stays within its bounds. */
import { describe, expect, it } from 'vitest'
import { match, type Reply, type Visit } from '../../src/admin/admin-route.ts'
import { inventoryAnswer } from '../../src/admin/inventory-routes.ts'
import { RECENT_MAX } from '../../src/admin/seen.ts'
import { consoleDesk, decidedBy } from '../support/console-desk.ts'
import { idOf } from '../support/ids.ts'
import { POLICY, policyOf } from '../support/policy.ts'

const A = 'spiffe://demo.vecauthz.test/acme/support'
const GRACE = idOf('spiffe://demo.vecauthz.test/people/grace')
const policy = policyOf(POLICY)

function open() {
  const desk = consoleDesk()
  const ask = async (method: string, path: string, body?: unknown): Promise<Reply> => {
    const found = match(desk.routes, method, path)
    if (found.kind !== 'route') throw new Error(`${path}: ${found.kind}`)
    const visit: Visit<unknown> = { id: GRACE, isOperator: true, isApprover: false, parts: found.parts, body, policy, now: Date.now() }
    return (await found.route.handle(visit)) as Reply
  }
  return { ...desk, ask }
}

describe('what people are shown', () => {
  it('the last decisions, the newest first, with the sentence for the reason', async () => {
    const { seen, ask } = open()
    for (let at = 0; at < RECENT_MAX + 5; at++) seen.decided(decidedBy(A))
    seen.decided(decidedBy(A, { deny: 'tenant-not-allowed' }))
    const { decisions } = (await ask('GET', '/v1/decisions')).body as { decisions: Record<string, unknown>[] }
    expect(decisions).toHaveLength(RECENT_MAX)
    expect(decisions[0]).toMatchObject({
      verdict: 'deny',
      reason: 'tenant-not-allowed',
      tells: 'This workload may not act for the tenant it named.',
      because: `${A} may not`
    })
  })

  it('a workload with its entry, what it used, what it was refused for, and its drift', async () => {
    const { seen, ask } = open()
    seen.decided(decidedBy(A, { score: 0.3 }))
    seen.decided(decidedBy(A))
    seen.decided(decidedBy(A, { deny: 'rate-exceeded' }))
    const { body } = await ask('GET', `/v1/workloads/${encodeURIComponent(A)}`)
    expect(body).toMatchObject({
      id: A,
      listed: true,
      standing: 'normal',
      allowed: 2,
      denied: { 'rate-exceeded': 1 },
      budget_left: { limit: 10, remaining: 7 },
      drift: [{ score: 0.3, standing: 'slowed', causes: ['novel queries'] }],
      used: [{ tenant: 'acme', collection: 'demo/rag/handbook', action: 'search', count: 2 }]
    })
    expect((await ask('GET', `/v1/workloads/${encodeURIComponent(`${A}/nobody`)}`)).status).toBe(404)
  })

  it('what is allowed, and what of it was used; and the nearest that was not', async () => {
    const { seen, ask } = open()
    seen.decided(decidedBy(A))
    seen.decided(decidedBy(A, { collection: 'handbook2' }))
    const { rows } = (await ask('GET', '/v1/matrix')).body as {
      rows: { tenant: string; collection: string; namespace: string; used: object; actions: string[] }[]
    }
    const of = (tenant: string) => rows.find((row) => row.tenant === tenant && row.collection === 'handbook')
    expect(of('acme')).toMatchObject({ used: { search: 1 }, actions: expect.arrayContaining(['search']) })
    expect(of('globex')?.used).toEqual({})
    const { body } = await ask('GET', '/v1/inventory')
    const { unused } = body as { unused: { tenant: string }[] }
    // What a command reads of it, over the wire.
    const told = inventoryAnswer.parse(JSON.parse(JSON.stringify(body)))
    expect(told).toMatchObject({ policy_revision: policy.revision, usage: { instance: 'test', workloads: [{ id: A, allowed: 2 }] } })
    expect(unused.some(({ tenant }) => tenant === 'globex')).toBe(true)
    expect(unused.some(({ tenant, ...row }) => tenant === 'acme' && (row as { collection?: string }).collection === 'handbook')).toBe(false)
  })

  it('one alert for each subject until somebody says what it was, once', async () => {
    const { inbox, ask } = open()
    const facts = { kind: 'standing', subject: A, says: 'quarantine: three pivots', severity: 'page' } as const
    inbox.add(facts, 1)
    inbox.add(facts, 2)
    const { alerts } = (await ask('GET', '/v1/alerts')).body as { alerts: { id: string; count: number }[] }
    expect(alerts).toMatchObject([{ subject: A, count: 2 }])
    const path = `/v1/alerts/${alerts[0]?.id}/acknowledge`
    // Somebody looked when it had been raised once.
    expect(await ask('POST', path, { as: 'false-positive', reason: 'looked', count: 1 })).toMatchObject({ status: 409 })
    expect(inbox.list()[0]?.acknowledged).toBeUndefined()
    expect(await ask('POST', path, { as: 'seen', reason: 'looked', count: 2 })).toMatchObject({ status: 200, facts: { subject: A } })
    expect((await ask('POST', path, { as: 'seen', reason: 'again', count: 2 })).status).toBe(409)
    expect((await ask('POST', '/v1/alerts/none/acknowledge', { as: 'seen', reason: 'x', count: 1 })).status).toBe(404)
    inbox.add(facts, 3)
    expect(inbox.list().filter(({ acknowledged }) => acknowledged === undefined)).toHaveLength(1)
  })

  it('any number of workloads and alerts stays within bounds', () => {
    const { seen, usage, inbox } = open()
    for (let at = 0; at < 2_500; at++) seen.decided(decidedBy(`spiffe://demo.vecauthz.test/acme/${at}`, { score: 0.5 }))
    for (let at = 0; at < 700; at++) inbox.add({ kind: 'monitoring', subject: String(at), says: 'much', severity: 'page' }, at)
    expect([...usage.workloads()]).toHaveLength(2_000)
    expect(usage.workload('spiffe://demo.vecauthz.test/acme/2499')).toBeDefined()
    expect(usage.workload('spiffe://demo.vecauthz.test/acme/0')).toBeUndefined()
    // Those that left had used something, and nobody knows what any more.
    expect(usage.facts().forgotten).toBe(500)
    expect(seen.scoresOf('spiffe://demo.vecauthz.test/acme/2499')).toHaveLength(1)
    expect(seen.scoresOf('spiffe://demo.vecauthz.test/acme/0')).toEqual([])
    expect(inbox.list()).toHaveLength(500)
  })

  it('the OpenAPI document has every route of the table, and no page', async () => {
    const { routes, ask } = open()
    const { paths, openapi } = (await ask('GET', '/v1/openapi.json')).body as {
      openapi: string
      paths: Record<string, Record<string, unknown>>
    }
    expect(openapi).toBe('3.1.0')
    const told = Object.entries(paths).flatMap(([path, operations]) =>
      Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`)
    )
    expect(told.sort()).toEqual(
      routes
        .filter(({ isPage }) => isPage !== true)
        .map(({ method, path }) => `${method} ${path}`)
        .sort()
    )
    expect(told).not.toContain('GET /')
  })
})
