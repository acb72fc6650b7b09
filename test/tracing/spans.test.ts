/** Spans of decisions: whose trace they are in, of which decisions, and what they can never hold. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { type AnyGrant, deny } from '../../src/core/decision.ts'
import { traceParentOf } from '../../src/core/trace-parent.ts'
import { openTraces, type Traceable } from '../../src/tracing/spans.ts'

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const SPAN = '00f067aa0ba902b7'
const SAMPLED = `00-${TRACE}-${SPAN}-01`
const NOW = 1_790_000_000_000

interface Span {
  readonly name: string
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly attributes: { readonly key: string; readonly value: { readonly stringValue: string } }[]
}
const spans: Span[] = []
const server = createServer((request, response) => {
  let text = ''
  request.setEncoding('utf8').on('data', (chunk) => {
    text += chunk
  })
  request.on('end', () => {
    for (const { scopeSpans } of JSON.parse(text).resourceSpans) for (const one of scopeSpans) spans.push(...one.spans)
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
  })
})
let url = ''
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/traces`
})
afterAll(() => void server.close())

const settings = (more = {}) => ({ url, ratio: 0, perSecondMax: 2, role: 'gateway', ...more })
const decided = (more: Partial<Traceable> = {}): Traceable => ({
  decisionId: 'd-1',
  at: NOW,
  account: { database: 'demo', call: { operation: 'search' } },
  decision: { verdict: 'allow', grant: { kind: 'probe' } as AnyGrant },
  ...more
})
const times = {
  began: 5_000,
  ends: [
    { stage: 'read', at: 5_040 },
    { stage: 'identify', at: 5_340 }
  ]
} as const

describe('a traceparent', () => {
  it.each([
    [SAMPLED, { traceId: TRACE, spanId: SPAN, isSampled: true }],
    [`00-${TRACE}-${SPAN}-00`, { traceId: TRACE, spanId: SPAN, isSampled: false }],
    [`cc-${TRACE}-${SPAN}-01-what-comes-later`, { traceId: TRACE, spanId: SPAN, isSampled: true }],
    [`ff-${TRACE}-${SPAN}-01`, undefined],
    [`00-${'0'.repeat(32)}-${SPAN}-01`, undefined],
    [`00-${TRACE}-${'0'.repeat(16)}-01`, undefined],
    [`00-${TRACE.toUpperCase()}-${SPAN}-01`, undefined],
    ['', undefined],
    [undefined, undefined]
  ])('%s', (text, parent) => expect(traceParentOf(text)).toEqual(parent))
})

describe('spans', () => {
  it("a decision is a span in Envoy's trace, its stages are in it one after the other", async () => {
    const traces = openTraces(settings(), () => 0)
    traces.add(
      decided({ decision: deny({ kind: 'tenant-not-allowed', because: 'secret words' }) }),
      { ...times, ends: [...times.ends] },
      SAMPLED
    )
    await traces.close()
    await vi.waitFor(() => expect(spans).toHaveLength(3), { timeout: 5_000 })
    const whole = spans.find(({ name }) => name === 'vecauthz.decide')
    expect(whole).toMatchObject({ traceId: TRACE, parentSpanId: SPAN, startTimeUnixNano: `${NOW}000000` })
    const [read, identify] = ['read', 'identify'].map((stage) => spans.find(({ name }) => name === `vecauthz.${stage}`))
    expect([read?.parentSpanId, identify?.parentSpanId]).toEqual([whole?.spanId, whole?.spanId])
    expect(identify?.startTimeUnixNano).toBe(read?.endTimeUnixNano)
    expect(identify?.endTimeUnixNano).toBe(whole?.endTimeUnixNano)
    const said = Object.fromEntries(whole?.attributes.map(({ key, value }) => [key, value.stringValue]) ?? [])
    expect(said).toEqual({
      'vecauthz.decision_id': 'd-1',
      'vecauthz.verdict': 'deny',
      'vecauthz.reason': 'tenant-not-allowed',
      'vecauthz.database': 'demo',
      'vecauthz.operation': 'search'
    })
  })

  it('Envoy decides for its traces, the ratio for the rest, and nobody for more than so many in a second', () => {
    const traces = openTraces(settings({ ratio: 0.5 }), () => 0.4)
    expect([traces.wants(`00-${TRACE}-${SPAN}-00`, NOW), traces.wants(SAMPLED, NOW), traces.wants(undefined, NOW)]).toEqual([
      false,
      true,
      true
    ])
    expect([traces.wants(SAMPLED, NOW + 999), traces.wants(SAMPLED, NOW + 1_000)]).toEqual([false, true])
    expect(openTraces(settings({ ratio: 0.5 }), () => 0.6).wants(undefined, NOW)).toBe(false)
  })

  it('a collector that is away costs the spans, and throws nothing', async () => {
    const traces = openTraces(settings({ url: 'http://127.0.0.1:9/v1/traces' }), () => 0)
    for (let at = 0; at < 10; at++) traces.add(decided(), { ...times, ends: [...times.ends] }, undefined)
    await traces.close().catch(() => undefined)
    expect(traces.wants(SAMPLED, NOW)).toBe(true)
  })
})
