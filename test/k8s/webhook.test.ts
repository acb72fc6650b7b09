import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { type RequestOptions, request } from 'node:https'
import { connect } from 'node:tls'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Registry } from '../../src/k8s/admission.ts'
import { startWebhook, type TlsFiles, type Webhook, type WebhookLine } from '../../src/k8s/webhook.ts'
import { type Authority, issueSvid, makeAuthority, type Svid } from '../support/ca.ts'
import { namespaceOf, namespaceReview, type Part, podOf, podReview } from './reviews.ts'

/** The webhook over real TLS, as an API server calls it, and as nobody should. */

const REGISTRY: Registry = { tenants: new Map([['rag-acme', { id: 'acme' }]]), workload: () => undefined }
const GOOD = namespaceReview(namespaceOf('rag-acme', { 'vecauthz.dev/tenant': 'acme' }))
const BAD = namespaceReview(namespaceOf('rag-acme', { 'vecauthz.dev/tenant': 'globex' }))

let authority: Authority
let own: Svid
let webhook: Webhook | undefined
let lines: WebhookLine[]

beforeAll(async () => {
  authority = await makeAuthority({ trustDomain: 't.test' })
  own = await issueSvid(authority, { id: 'spiffe://t.test/webhook' })
})
afterEach(() => webhook?.close())

const files = (clientCa?: string): TlsFiles => ({ cert: own.pem, key: own.keyPem, clientCa })

async function start(registry: () => Promise<Registry> = async () => REGISTRY, tls = files(), deadlineMs = 2_000): Promise<Webhook> {
  lines = []
  const rules = {
    exempt: new Set(['kube-system']),
    spiffeId: 'spiffe://t.test/{namespace}/{tenant}/{service_account}',
    unregistered: 'deny' as const
  }
  const log = (line: WebhookLine) => void lines.push(line)
  webhook = await startWebhook({ host: '127.0.0.1', port: 0, tls, rules, registry, deadlineMs, now: Date.now, log })
  return webhook
}

interface Heard {
  readonly status: number
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: whatever the webhook answers
  readonly json: any
}

async function ask(body: string | Buffer | undefined, more: RequestOptions & { path?: string } = {}): Promise<Heard> {
  const headers = { 'content-type': 'application/json', ...more.headers }
  const options = {
    host: '127.0.0.1',
    port: webhook?.port,
    path: '/validate',
    method: 'POST',
    rejectUnauthorized: false,
    agent: false as const
  }
  const sent = request({ ...options, ...more, headers })
  // A refused body is not read to its end, which may break what is still being sent.
  sent.on('error', () => undefined)
  sent.end(body)
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk as Buffer)
  const text = Buffer.concat(chunks).toString()
  const isJson = response.headers['content-type'] === 'application/json'
  return { status: response.statusCode ?? 0, text, json: isJson ? JSON.parse(text) : undefined }
}

const review = (one: Part) => ask(JSON.stringify(one))

describe('a review', () => {
  it('that is good is allowed, under its uid', async () => {
    await start()
    const { status, json } = await review(GOOD)
    expect(status).toBe(200)
    expect(json).toEqual({
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
      response: { uid: (GOOD['request'] as Part)['uid'], allowed: true }
    })
    expect(lines).toMatchObject([{ allowed: true, what: 'CREATE namespaces/rag-acme/rag-acme', user: 'dev' }])
  })

  it('that is not is denied, with a sentence and 403', async () => {
    await start()
    const { status, json } = await review(BAD)
    expect(status).toBe(200)
    expect(json.response).toEqual({
      uid: (BAD['request'] as Part)['uid'],
      allowed: false,
      status: {
        code: 403,
        reason: 'Forbidden',
        message: "vecauthz: namespace rag-acme is tenant acme's: the label vecauthz.dev/tenant is globex, and must be acme"
      }
    })
    expect(lines).toMatchObject([{ allowed: false }])
  })

  it('that cannot be read is denied under its uid', async () => {
    await start()
    const broken = { ...GOOD, request: { ...(GOOD['request'] as Part), object: 'x' } }
    const { status, json } = await review(broken)
    expect(status).toBe(200)
    expect(json.response).toMatchObject({ uid: (GOOD['request'] as Part)['uid'], allowed: false, status: { code: 400 } })
  })

  it('of v1beta1 is denied', async () => {
    await start()
    expect((await review({ ...GOOD, apiVersion: 'admission.k8s.io/v1beta1' })).json.response.allowed).toBe(false)
  })

  it('of what is left of another policy comes with a warning', async () => {
    await start()
    const left = namespaceOf('left', { 'vecauthz.dev/tenant': 'gone' })
    const { json } = await review(namespaceReview(left, { operation: 'UPDATE', oldObject: left }))
    expect(json.response).toMatchObject({ allowed: true, warnings: [expect.stringMatching(/^vecauthz: namespace left/)] })
  })
})

describe('what is no review gets no answer that an API server takes for one', () => {
  it.each([
    { name: 'another content type', body: JSON.stringify(GOOD), more: { headers: { 'content-type': 'text/plain' } }, status: 415 },
    { name: 'no content type', body: JSON.stringify(GOOD), more: { headers: { 'content-type': '' } }, status: 415 },
    {
      name: 'protobuf',
      body: JSON.stringify(GOOD),
      more: { headers: { 'content-type': 'application/vnd.kubernetes.protobuf' } },
      status: 415
    },
    { name: 'another method', body: undefined, more: { method: 'GET' }, status: 405 },
    { name: 'another path', body: JSON.stringify(GOOD), more: { path: '/validate/' }, status: 404 },
    { name: 'no JSON', body: 'x', more: {}, status: 400 },
    { name: 'nothing', body: '', more: {}, status: 400 },
    { name: 'no uid', body: JSON.stringify({ ...GOOD, request: {} }), more: {}, status: 400 },
    { name: 'too much', body: Buffer.alloc(8 * 1024 * 1024 + 1, ' '), more: {}, status: 413 },
    {
      name: 'too much, without saying so',
      body: Buffer.alloc(9 * 1024 * 1024, ' '),
      more: { headers: { 'transfer-encoding': 'chunked' } },
      status: 413
    }
  ])('$name: $status', async ({ body, more, status }) => {
    await start()
    const heard = await ask(body, more)
    expect([heard.status, heard.json]).toEqual([status, undefined])
    expect(heard.text).toMatch(/^[a-z].*\n$/)
  })

  it('the largest that is read is read', async () => {
    await start()
    const text = JSON.stringify(GOOD)
    expect((await ask(text + ' '.repeat(8 * 1024 * 1024 - text.length))).json.response.allowed).toBe(true)
  })
})

describe('a policy that cannot be asked', () => {
  const slow = () => new Promise<Registry>(() => undefined)
  const broken = () => Promise.reject(new Error('disk'))
  const pod = (namespace: string, labels: Part = {}) => podReview(namespace, podOf(namespace, labels))

  it.each([
    { name: 'slow', registry: slow, says: /could not be asked within 50 ms/ },
    { name: 'broken', registry: broken, says: /the policy cannot be read/ }
  ])('$name: everybody is denied in time, but for what runs the cluster', async ({ registry, says }) => {
    await start(registry, files(), 50)
    for (const one of [GOOD, pod('rag-acme'), pod('mine')]) {
      const { response } = (await review(one)).json
      expect([response.allowed, response.status.message]).toEqual([false, expect.stringMatching(says)])
    }
    expect((await review(pod('kube-system'))).json.response.allowed).toBe(true)
    expect((await review(namespaceReview(namespaceOf('kube-system')))).json.response.allowed).toBe(true)
    const labelled = await review(pod('kube-system', { 'vecauthz.dev/tenant': 'acme' }))
    expect(labelled.json.response.allowed).toBe(false)
  })

  it('is not ready, and lives', async () => {
    await start(slow, files(), 50)
    expect((await ask(undefined, { path: '/readyz', method: 'GET' })).status).toBe(503)
    expect((await ask(undefined, { path: '/livez', method: 'GET' })).status).toBe(200)
  })
})

describe('the port', () => {
  it('is ready with a policy', async () => {
    await start()
    expect(await ask(undefined, { path: '/readyz', method: 'GET' })).toMatchObject({ status: 200, text: 'ready\n' })
  })

  it('where it asks for a certificate, answers reviews for its bearer only, and probes for all', async () => {
    await start(undefined, files(authority.pem))
    const api = await issueSvid(authority, { id: 'spiffe://t.test/api' })
    const stranger = await issueSvid(await makeAuthority({ trustDomain: 't.test' }), { id: 'spiffe://t.test/api' })
    const body = JSON.stringify(GOOD)
    expect((await ask(body, { cert: api.pem, key: api.keyPem })).json.response.allowed).toBe(true)
    expect((await ask(body, { cert: stranger.pem, key: stranger.keyPem })).status).toBe(401)
    expect((await ask(body)).status).toBe(401)
    expect((await ask(undefined, { path: '/readyz', method: 'GET' })).status).toBe(200)
  })

  it('shows a renewed certificate', async () => {
    const { port, renew } = await start()
    const shown = async () => {
      const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false })
      await once(socket, 'secureConnect')
      const { serialNumber } = socket.getPeerCertificate()
      socket.destroy()
      return serialNumber
    }
    const before = await shown()
    const fresh = await issueSvid(authority, { id: 'spiffe://t.test/webhook' })
    renew({ cert: fresh.pem, key: fresh.keyPem, clientCa: undefined })
    expect(await shown()).not.toBe(before)
  })
})
