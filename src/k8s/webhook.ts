/** The admission webhook on its port: HTTPS, one path, and a denial for whatever goes wrong on the way. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { TLSSocket } from 'node:tls'
import { bytesOf } from '../admin/admin-body.ts'
import { type Admission, type AdmissionRules, admit, type Registry } from './admission.ts'
import { type Review, readReview } from './review.ts'

export interface WebhookOptions {
  readonly host: string
  readonly port: number
  readonly tls: TlsFiles
  readonly rules: AdmissionRules
  /** The registry that is in force. May be slow, may fail: then the answer is no. */
  readonly registry: () => Promise<Registry>
  /** Longest time until a decision, milliseconds: below the `timeoutSeconds` of the webhook configuration, so that the sentence arrives. */
  readonly deadlineMs: number
  readonly now: () => number
  readonly log: (line: WebhookLine) => void
}

export interface TlsFiles {
  readonly key: string
  readonly cert: string
  /** PEM of the authorities whose certificate an API server has to show; undefined: it shows none. */
  readonly clientCa: string | undefined
}

export interface WebhookLine {
  readonly allowed: boolean
  readonly because: string | undefined
  readonly uid: string | undefined
  readonly what: string
  readonly user: string
}

export interface Webhook {
  readonly port: number
  readonly renew: (tls: TlsFiles) => void
  readonly close: () => Promise<void>
}

export const WEBHOOK_PATH = '/validate'
/** etcd takes 1.5 MiB for one object, and a review holds what is and what was. */
const BODY_BYTES_MAX = 8 * 1024 * 1024
const HANDSHAKE_MS = 5_000
const REQUEST_MS = 10_000
const CONNECTIONS_MAX = 256

export async function startWebhook(options: WebhookOptions): Promise<Webhook> {
  const server = createServer(
    { ...context(options.tls), handshakeTimeout: HANDSHAKE_MS, maxHeaderSize: 16 * 1024 },
    (request, response) => {
      answer(request, response, options).catch((cause: unknown) => {
        options.log({ allowed: false, because: `a fault of this webhook: ${String(cause)}`, uid: undefined, what: '', user: '' })
        plain(response, 500, 'the webhook failed; its log says why')
      })
    }
  )
  server.requestTimeout = REQUEST_MS
  server.headersTimeout = HANDSHAKE_MS
  server.maxConnections = CONNECTIONS_MAX
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port, options.host, () => resolve())
  })
  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : options.port,
    renew: (tls) => server.setSecureContext(context(tls)),
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeIdleConnections()
      })
  }
}

function context({ key, cert, clientCa }: TlsFiles) {
  // Asked for and judged here, not by TLS: the kubelet's probe has no certificate to show.
  const asking = clientCa === undefined ? {} : { ca: clientCa, requestCert: true, rejectUnauthorized: false }
  return { key, cert, minVersion: 'TLSv1.2' as const, ...asking }
}

async function answer(request: IncomingMessage, response: ServerResponse, options: WebhookOptions): Promise<void> {
  const path = request.url?.split('?')[0]
  if (path === '/livez') return plain(response, 200, 'ok')
  if (path === '/readyz') return plain(response, ...(await readiness(options)))
  if (path !== WEBHOOK_PATH) return plain(response, 404, `there is ${WEBHOOK_PATH}, /livez and /readyz`)
  if (options.tls.clientCa !== undefined && !(request.socket as TLSSocket).authorized)
    return plain(response, 401, 'show a certificate of the API server')
  if (request.method !== 'POST') return plain(response, 405, 'a review is sent with POST')
  if (!/^application\/json(; ?charset=utf-8)?$/i.test(request.headers['content-type'] ?? ''))
    return plain(response, 415, 'a review is application/json')
  const bytes = await bodyOf(request)
  if (bytes === undefined) return plain(response, 413, `a review has at most ${BODY_BYTES_MAX} bytes`)
  const read = readReview(bytes)
  if (read.ok) return decided(response, read.review, await within(read.review, options), options)
  options.log({ allowed: false, because: read.because, uid: read.uid, what: '', user: '' })
  // Without its uid there is nothing that an API server would take for an answer; anything but 200 is a no to it.
  if (read.uid === undefined) return plain(response, 400, read.because)
  send(response, read.uid, { allowed: false, because: read.because }, 400)
}

async function readiness({ registry, deadlineMs }: WebhookOptions): Promise<[number, string]> {
  const read = await before(deadlineMs, registry())
  return read.ok ? [200, 'ready'] : [503, read.because]
}

async function within(review: Review, { registry, rules, deadlineMs, now }: WebhookOptions): Promise<Admission> {
  // The cluster must come up, and this webhook with it, whatever became of the policy: what is nobody's needs no look at it.
  const read = await before(deadlineMs, registry())
  if (read.ok) return admit(review, read.value, rules, now())
  const without = admit(review, NOBODY, rules, now())
  const place = review.resource === 'namespaces' ? review.object.name : review.namespace
  if (without.allowed && place !== undefined && rules.exempt.has(place)) return without
  return { allowed: false, because: read.because }
}

const NOBODY: Registry = { tenants: new Map(), workload: () => undefined }

async function before<T>(ms: number, wanted: Promise<T>): Promise<{ ok: true; value: T } | { ok: false; because: string }> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<{ ok: false; because: string }>((resolve) => {
    timer = setTimeout(() => resolve({ ok: false, because: `the policy could not be asked within ${ms} ms; try again` }), ms)
  })
  const said = wanted.then(
    (value) => ({ ok: true as const, value }),
    () => ({ ok: false as const, because: 'the policy cannot be read; the log of the webhook says why' })
  )
  return Promise.race([said, late]).finally(() => clearTimeout(timer))
}

function decided(response: ServerResponse, review: Review, admission: Admission, { log }: WebhookOptions): void {
  const place = [review.resource, review.subresource, review.namespace, review.name].filter((one) => one !== undefined).join('/')
  const because = admission.allowed ? admission.warning : admission.because
  log({ allowed: admission.allowed, because, uid: review.uid, what: `${review.operation} ${place}`, user: review.user })
  send(response, review.uid, admission, 403)
}

function send(response: ServerResponse, uid: string, admission: Admission, code: number): void {
  const said = admission.allowed
    ? { uid, allowed: true, ...(admission.warning === undefined ? {} : { warnings: [`vecauthz: ${admission.warning}`.slice(0, 250)] }) }
    : {
        uid,
        allowed: false,
        status: { code, reason: code === 403 ? 'Forbidden' : 'BadRequest', message: `vecauthz: ${admission.because}` }
      }
  const body = JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response: said })
  response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' }).end(body)
}

function plain(response: ServerResponse, status: number, text: string): void {
  if (response.headersSent) return void response.destroy()
  // What was not read of the request is not read any more.
  response
    .writeHead(status, { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store', connection: 'close' })
    .end(`${text}\n`)
}

/** Undefined when there are too many bytes, or as soon as so many are announced. */
async function bodyOf(request: IncomingMessage): Promise<Buffer | undefined> {
  return Number(request.headers['content-length'] ?? 0) > BODY_BYTES_MAX ? undefined : bytesOf(request, BODY_BYTES_MAX)
}
