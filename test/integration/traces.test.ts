/** One trace from a real Envoy through the decision to the database: spans of vecauthz are in Envoy's. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { call } from '../../demo/client.ts'
import { type Bootstrap, httpOf, named } from '../../demo/envoy-config.ts'
import { type Stack, startStack } from '../../demo/stack.ts'
import { collectionPath, type Scene, sceneOf, searchBody } from '../../demo/step.ts'

const WAIT = { timeout: 20_000, interval: 100 }

interface Span {
  readonly name: string
  readonly traceId: string
  readonly parentSpanId?: string
}
const spans: Span[] = []
let collector: Server
let stack: Stack
let scene: Scene

beforeAll(async () => {
  // Ours come as JSON; what Envoy sends of its own is taken and not looked at.
  collector = createServer((request, response) => {
    let text = ''
    request.setEncoding('utf8').on('data', (chunk) => {
      text += chunk
    })
    request.on('end', () => {
      if (request.headers['content-type'] === 'application/json')
        for (const { scopeSpans } of JSON.parse(text).resourceSpans) for (const one of scopeSpans) spans.push(...one.spans)
      response.writeHead(200, { 'content-type': request.headers['content-type'] ?? '' }).end()
    })
  })
  await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve))
  const { port } = collector.address() as AddressInfo
  stack = await startStack({
    folder: join(import.meta.dirname, '../../.run/test-traces'),
    say: () => undefined,
    // biome-ignore lint/suspicious/noExplicitAny: the document as YAML gives it
    settings: (document: any) => {
      document.traces = { url: `http://127.0.0.1:${port}/v1/traces` }
    },
    envoy: { edit: (bootstrap) => traced(bootstrap, port) }
  })
  scene = sceneOf(stack)
})
afterAll(async () => {
  await stack?.stop()
  collector?.close()
})

/** As docs/operate.md says it is added. */
function traced({ static_resources: { listeners, clusters } }: Bootstrap, port: number): void {
  const http_service = { http_uri: { uri: `http://127.0.0.1:${port}/v1/traces`, cluster: 'collector', timeout: '1s' } }
  const typed = { '@type': 'type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig', service_name: 'gateway', http_service }
  httpOf(named(listeners, 'gateway_in'))['tracing'] = {
    random_sampling: { value: 100 },
    provider: { name: 'envoy.tracers.opentelemetry', typed_config: typed }
  }
  const address = { socket_address: { address: '127.0.0.1', port_value: port } }
  const endpoints = [{ lb_endpoints: [{ endpoint: { address } }] }]
  const options = {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
      '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
      explicit_http_config: { http_protocol_options: {} }
    }
  }
  clusters.push({
    name: 'collector',
    type: 'STATIC',
    typed_extension_protocol_options: options,
    load_assignment: { cluster_name: 'collector', endpoints }
  })
}

describe('traces', () => {
  it("the spans of a decision are in the trace that Envoy begins and the database sees, below Envoy's own", async () => {
    stack.recorder.clear()
    const target = collectionPath('acme', stack.collections['acme'] ?? '', 'query')
    expect((await call(stack.door, scene.who.support, { target, body: searchBody('acme') })).status).toBe(200)
    const [, traceId] = /^00-([0-9a-f]{32})-/.exec(String(stack.recorder.seen().at(-1)?.headers['traceparent'])) ?? []
    expect(traceId).toBeDefined()
    await vi.waitFor(() => expect(spans.filter((one) => one.traceId === traceId && one.name === 'vecauthz.decide')).toHaveLength(1), WAIT)
    const its = spans.filter((one) => one.traceId === traceId)
    expect(its.find(({ name }) => name === 'vecauthz.decide')?.parentSpanId).toMatch(/^[0-9a-f]{16}$/)
    expect(its.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['read', 'identify', 'call', 'grant', 'settle', 'answer'].map((stage) => `vecauthz.${stage}`))
    )
    const text = JSON.stringify(spans)
    for (const word of ['spiffe://', 'handbook', 'acme']) expect(text).not.toContain(word)
  })
})
