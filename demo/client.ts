/** Calls through the gateway, down to the bytes that well-behaved clients never send. */
import { type ClientRequest, type RequestOptions, request as requestPlain } from 'node:http'
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2'
import { Agent, request } from 'node:https'
import { HOST } from './identities.ts'

/** A client certificate with its key, as PEM; undefined for a connection without one. */
export interface Credentials {
  readonly cert: string
  readonly key: string
}

export interface Door {
  readonly port: number
  /** PEM of the trust bundle that the gateway's certificate must lead to. */
  readonly ca: string
}

export interface Ask {
  readonly method?: string
  readonly target: string
  readonly headers?: Readonly<Record<string, string | string[]>>
  /** An object is sent as JSON, text and bytes as they are. */
  readonly body?: object | string | Buffer
  /** Reuses one connection; without it each call opens its own. */
  readonly agent?: Agent
}

export interface Answer {
  /** HTTP status, or `tls` when the connection was refused before any HTTP. */
  readonly status: number | 'tls'
  /** The kind of a denial, from the problem details. */
  readonly reason: string | undefined
  readonly decisionId: string | undefined
  /** Under which somebody else can approve it, when that is what it lacks. */
  readonly approvalId?: string | undefined
  /** How somebody has to vouch for the caller first (RFC 9470): `www-authenticate`. */
  readonly challenge?: string | undefined
  /** Of that, the id: `x-vecauthz-step-up`. */
  readonly stepUpId?: string | undefined
  readonly body: string
  readonly ms: number
}

const TIMEOUT_MS = 20_000

export function keptOpen(): Agent {
  return new Agent({ keepAlive: true, maxSockets: 1 })
}

export function bytesOf(body: Ask['body']): Buffer | undefined {
  if (body === undefined || Buffer.isBuffer(body)) return body
  return Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
}

/** One HTTP/1.1 call over mTLS. The target goes out as written: nothing is resolved or escaped. */
export function call(door: Door, who: Credentials | undefined, ask: Ask): Promise<Answer> {
  const tls = { servername: HOST, ca: door.ca, ...who, agent: ask.agent ?? new Agent({ maxCachedSessions: 0 }) }
  return answerTo((message) => request({ ...message, ...tls, port: door.port }), ask)
}

/** The same without TLS, as an agent speaks to its own Envoy on loopback. */
export function callPlain(port: number, ask: Omit<Ask, 'agent'>): Promise<Answer> {
  return answerTo((message) => requestPlain({ ...message, port, agent: false }), ask)
}

function answerTo(send: (message: RequestOptions) => ClientRequest, ask: Ask): Promise<Answer> {
  const body = bytesOf(ask.body)
  const began = performance.now()
  const headers: Record<string, string | string[]> = { host: HOST, ...ask.headers }
  if (body !== undefined) {
    headers['content-type'] ??= 'application/json'
    headers['content-length'] ??= String(body.length)
  }
  return new Promise((resolve, reject) => {
    const method = ask.method ?? (body === undefined ? 'GET' : 'POST')
    const outgoing = send({ host: '127.0.0.1', method, path: ask.target, headers, timeout: TIMEOUT_MS })
    let answered = false
    outgoing.on('response', (incoming) => {
      answered = true
      const chunks: Buffer[] = []
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
      incoming.on('end', () => resolve(answerOf(incoming.statusCode ?? 0, incoming.headers, Buffer.concat(chunks).toString(), began)))
      incoming.on('error', reject)
    })
    outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer within ${TIMEOUT_MS / 1000} s`)))
    outgoing.on('error', (cause: NodeJS.ErrnoException) => {
      if (answered) return
      if (isTlsRefusal(cause))
        resolve({
          status: 'tls',
          reason: undefined,
          decisionId: undefined,
          body: cause.code ?? cause.message,
          ms: performance.now() - began
        })
      else reject(cause)
    })
    outgoing.end(body)
  })
}

/** With TLS 1.3 a refused client certificate shows as an alert, or as a reset, on the first read. */
function isTlsRefusal(cause: NodeJS.ErrnoException): boolean {
  return cause.code === 'ECONNRESET' || cause.code === 'EPIPE' || (cause.code ?? '').startsWith('ERR_SSL_')
}

/**
 * One HTTP/2 call whose body goes out in the given pieces, the last one carrying END_STREAM: Envoy lets such a last frame pass
 * its size limit.
 */
export async function callHttp2(
  door: Door,
  who: Credentials,
  ask: Omit<Ask, 'agent' | 'body'> & { readonly pieces: readonly Buffer[] }
): Promise<Answer> {
  const began = performance.now()
  const session = connectHttp2(`https://127.0.0.1:${door.port}`, { ca: door.ca, servername: HOST, ...who, ALPNProtocols: ['h2'] })
  try {
    return await new Promise<Answer>((resolve, reject) => {
      session.on('error', reject)
      sendPieces(session, ask, began, resolve, reject)
    })
  } finally {
    session.destroy()
  }
}

function sendPieces(
  session: ClientHttp2Session,
  ask: { readonly method?: string; readonly target: string; readonly pieces: readonly Buffer[]; readonly headers?: Ask['headers'] },
  began: number,
  resolve: (answer: Answer) => void,
  reject: (cause: Error) => void
): void {
  const stream = session.request({
    ':method': ask.method ?? 'POST',
    ':path': ask.target,
    ':authority': HOST,
    'content-type': 'application/json',
    ...ask.headers
  })
  let status = 0
  let headers: Record<string, unknown> = {}
  let body = ''
  stream.setEncoding('utf8')
  stream.on('response', (got) => {
    status = Number(got[':status'])
    headers = got
  })
  stream.on('data', (chunk: string) => {
    body += chunk
  })
  stream.on('end', () => resolve(answerOf(status, headers, body, began)))
  stream.on('error', reject)
  const [last, ...rest] = ask.pieces.toReversed()
  for (const piece of rest.toReversed()) stream.write(piece)
  stream.end(last)
}

function answerOf(status: number, headers: Record<string, unknown>, body: string, began: number): Answer {
  const header = headers['x-vecauthz-decision']
  let reason: string | undefined
  if (String(headers['content-type']).startsWith('application/problem+json')) reason = (JSON.parse(body) as { reason?: string }).reason
  const text = (value: unknown) => (typeof value === 'string' ? value : undefined)
  const approvalId = text(headers['x-vecauthz-approval'])
  const [challenge, stepUpId] = [text(headers['www-authenticate']), text(headers['x-vecauthz-step-up'])]
  return { status, reason, decisionId: text(header), approvalId, challenge, stepUpId, body, ms: performance.now() - began }
}
