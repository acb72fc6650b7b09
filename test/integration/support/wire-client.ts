import { once } from 'node:events'
import { type ClientHttp2Session, connect as connectHttp2, constants, type IncomingHttpHeaders } from 'node:http2'
import type { Socket } from 'node:net'
import { type ConnectionOptions, connect } from 'node:tls'

/** Clients that can say what no ordinary client would: raw HTTP/1.1 and HTTP/2 with chosen frames, over mutual TLS. */

export interface Identity {
  readonly pem: string
  readonly keyPem: string
}

export interface Heard {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly trailers: Readonly<Record<string, string>>
  readonly body: string
}

export interface Http1Request {
  readonly method?: string
  readonly target?: string
  /** In this order, repeated as given. Host and Connection: close come first unless `bare`. */
  readonly headers?: readonly (readonly [name: string, value: string])[]
  readonly body?: Buffer | string
  /** Sends no Host, Connection or Content-Length of its own. */
  readonly bare?: boolean
}

export interface Http2Request {
  readonly headers?: Readonly<Record<string, string | string[]>>
  /** One write each; the last one carries END_STREAM. None: END_STREAM comes with the headers. */
  readonly frames?: readonly Buffer[]
  /** Leave the stream open after the last frame. */
  readonly halfOpen?: boolean
}

export const AUTHORITY = 'chroma.demo.vecauthz.test'
const WAIT_MS = 30_000

export function tlsOptions(port: number, identity: Identity | undefined, more: ConnectionOptions = {}): ConnectionOptions {
  const own = identity === undefined ? {} : { cert: identity.pem, key: identity.keyPem }
  // The server's identity is not what these tests are about, and Envoy's SVID has no DNS name.
  return { port, host: '127.0.0.1', servername: AUTHORITY, rejectUnauthorized: false, ...own, ...more }
}

/** One HTTP/1.1 request on its own connection. @throws when the connection ends without a response. */
export async function http1(port: number, identity: Identity | undefined, request: Http1Request = {}): Promise<Heard> {
  const socket = connect(tlsOptions(port, identity, { ALPNProtocols: ['http/1.1'] }))
  return http1On(socket, request)
}

/** The same on a connection that is there, with TLS or without; it is closed afterwards unless the request keeps it open. */
export async function http1On(socket: Socket, request: Http1Request): Promise<Heard> {
  const chunks: Buffer[] = []
  const { promise, resolve, reject } = Promise.withResolvers<Heard>()
  const late = setTimeout(() => socket.destroy(new Error(`no answer within ${WAIT_MS} ms`)), WAIT_MS)
  const onData = (chunk: Buffer) => {
    chunks.push(chunk)
    const heard = parseHttp1(Buffer.concat(chunks), false)
    if (heard !== undefined) resolve(heard)
  }
  socket.on('data', onData)
  socket.once('error', reject)
  socket.once('close', () => {
    const heard = parseHttp1(Buffer.concat(chunks), true)
    if (heard === undefined) reject(new Error('the connection was closed without an answer'))
    else resolve(heard)
  })
  socket.write(renderHttp1(request))
  try {
    return await promise
  } finally {
    clearTimeout(late)
    socket.off('data', onData)
    const keep = request.headers?.some(([name, value]) => name === 'connection' && value === 'keep-alive')
    if (!keep) socket.destroy()
  }
}

function renderHttp1({ method, target = '/', headers = [], body, bare = false }: Http1Request): Buffer {
  const bytes = Buffer.from(body ?? '')
  const own = bare || headers.some(([name]) => name === 'connection') ? [] : [['connection', 'close']]
  const host = bare || headers.some(([name]) => name === 'host') ? [] : [['host', AUTHORITY]]
  const chunked = headers.some(([name]) => name === 'transfer-encoding')
  const length = bare || body === undefined || chunked ? [] : [['content-length', String(bytes.length)]]
  const lines = [...host, ...own, ...length, ...headers].map(([name, value]) => `${name}: ${value}\r\n`)
  const head = `${method ?? (body === undefined ? 'GET' : 'POST')} ${target} HTTP/1.1\r\n${lines.join('')}\r\n`
  const chunks = chunked ? [Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n0\r\n\r\n')] : [bytes]
  return Buffer.concat([Buffer.from(head, 'latin1'), ...chunks])
}

/** Undefined while more is to come. */
function parseHttp1(bytes: Buffer, ended: boolean): Heard | undefined {
  const text = bytes.toString('latin1')
  const end = text.indexOf('\r\n\r\n')
  if (end < 0) return undefined
  const [first = '', ...lines] = text.slice(0, end).split('\r\n')
  const headers: Record<string, string> = {}
  for (const line of lines) {
    const [name = '', value = ''] = line.split(/: ?(.*)/s)
    const key = name.toLowerCase()
    headers[key] = headers[key] === undefined ? value : `${headers[key]}, ${value}`
  }
  const status = Number(first.split(' ')[1])
  if (status === 100) return parseHttp1(bytes.subarray(end + 4), ended)
  const rest = text.slice(end + 4)
  const length = headers['content-length']
  const chunked = headers['transfer-encoding'] === 'chunked'
  const whole = chunked ? rest.endsWith('0\r\n\r\n') : length !== undefined && rest.length >= Number(length)
  if (!whole && !ended) return undefined
  return { status, headers, trailers: {}, body: chunked ? unchunk(rest) : rest }
}

function unchunk(text: string): string {
  const end = text.indexOf('\r\n')
  const size = Number.parseInt(text.slice(0, end), 16)
  return size > 0 ? text.slice(end + 2, end + 2 + size) + unchunk(text.slice(end + 4 + size)) : ''
}

/** One HTTP/2 request on its own connection. */
export async function http2(port: number, identity: Identity | undefined, request: Http2Request = {}): Promise<Heard> {
  const session = connectHttp2(`https://${AUTHORITY}`, {
    createConnection: () => connect(tlsOptions(port, identity, { ALPNProtocols: ['h2'] }))
  })
  try {
    return await http2On(session, request)
  } finally {
    session.destroy()
  }
}

export async function http2On(session: ClientHttp2Session, { headers = {}, frames = [], halfOpen = false }: Http2Request): Promise<Heard> {
  const stream = session.request(
    { ':method': frames.length > 0 ? 'POST' : 'GET', ':path': '/', ':authority': AUTHORITY, ...headers },
    { endStream: frames.length === 0 }
  )
  stream.setTimeout(WAIT_MS, () => stream.destroy(new Error(`no answer within ${WAIT_MS} ms`)))
  session.once('error', (error) => stream.destroy(error))
  const heard = { headers: {} as IncomingHttpHeaders, trailers: {} as IncomingHttpHeaders, body: '' }
  stream.on('response', (got) => {
    heard.headers = got
  })
  stream.on('trailers', (got) => {
    heard.trailers = got
  })
  stream.on('data', (chunk: Buffer) => {
    heard.body += chunk.toString('latin1')
  })
  for (const [at, frame] of frames.entries()) {
    if (at < frames.length - 1 || halfOpen) stream.write(frame)
    else stream.end(frame)
  }
  await once(stream, 'end')
  if (halfOpen) stream.close(constants.NGHTTP2_CANCEL)
  return { status: Number(heard.headers[':status']), headers: flat(heard.headers), trailers: flat(heard.trailers), body: heard.body }
}

function flat(headers: IncomingHttpHeaders): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]))
}
