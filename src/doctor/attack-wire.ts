/** Requests down to the bytes that well-behaved clients never send, and what comes back. */
import { connect as connectHttp2 } from 'node:http2'
import { connect as connectPlain, type Socket } from 'node:net'
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls'

/** The listener that is attacked, and who we are to it. */
export interface Door {
  readonly host: string
  readonly port: number
  readonly tls: boolean
  /** What calls name: the host of the database, and the name in the handshake. */
  readonly name: string
  /** PEM; undefined where the door is plain. */
  readonly cert: string | undefined
  readonly key: string | undefined
  /** PEM of the authorities that the door must be signed by. */
  readonly ca: string | undefined
}

export type Heard =
  | { readonly kind: 'answer'; readonly status: number; readonly headers: ReadonlyMap<string, string>; readonly body: string }
  /** No HTTP came back: refused, reset, or an alert. */
  | { readonly kind: 'closed'; readonly because: string }
  | { readonly kind: 'silent' }

const ANSWER_MS = 10_000
const ANSWER_BYTES_MAX = 1024 * 1024

/** Opens a connection, says these bytes, and listens until it ends, an answer is whole, or `waitMs` have passed. */
export function speak(door: Door, bytes: string | Buffer, more: ConnectionOptions = {}, waitMs = ANSWER_MS): Promise<Heard> {
  const { promise, resolve } = Promise.withResolvers<Heard>()
  const socket = open(door, more)
  let got = Buffer.alloc(0)
  const end = (heard: Heard) => {
    clearTimeout(late)
    socket.destroy()
    resolve(heard)
  }
  const late = setTimeout(() => end(got.length > 0 ? read(got) : { kind: 'silent' }), waitMs)
  socket.once(door.tls ? 'secureConnect' : 'connect', () => socket.write(bytes))
  socket.on('data', (chunk: Buffer) => {
    got = Buffer.concat([got, chunk])
    if (isWhole(got) || got.length > ANSWER_BYTES_MAX) end(read(got))
  })
  socket.on('error', (cause: NodeJS.ErrnoException) =>
    end(got.length > 0 ? read(got) : { kind: 'closed', because: cause.code ?? cause.message })
  )
  socket.on('close', () => end(got.length > 0 ? read(got) : { kind: 'closed', because: 'it was closed' }))
  return promise
}

function open({ host, port, tls, name, cert, key, ca }: Door, more: ConnectionOptions): Socket | TLSSocket {
  if (!tls) return connectPlain({ host, port })
  const ours = { cert, key, ca, servername: name, checkServerIdentity: () => undefined, ALPNProtocols: ['http/1.1'] }
  return connectTls({ host, port, ...ours, ...more })
}

/** One HTTP/1.1 request as text; header lines go out as they are given. */
export function http1(method: string, target: string, headers: readonly (readonly [string, string])[], body = ''): string {
  const sized =
    body === '' ? [] : [['content-type', 'application/json'] as const, ['content-length', String(Buffer.byteLength(body))] as const]
  const lines = [...headers, ...sized, ['connection', 'close'] as const].filter(
    ([name], index, all) => !(name === 'connection' && all.findIndex(([one]) => one === name) < index)
  )
  return `${method} ${target} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${body}`
}

function isWhole(got: Buffer): boolean {
  const text = got.toString('latin1')
  const end = text.indexOf('\r\n\r\n')
  if (end === -1) return false
  const length = /\r\ncontent-length: (\d+)/i.exec(text.slice(0, end))?.[1]
  return / 101 /.test(text.slice(0, text.indexOf('\r\n'))) || (length !== undefined && got.length >= end + 4 + Number(length))
}

function read(got: Buffer): Heard {
  const text = got.toString('latin1')
  const [head = '', ...rest] = text.split('\r\n\r\n')
  const [first = '', ...lines] = head.split('\r\n')
  const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(first)?.[1] ?? 0)
  if (status === 0) return { kind: 'closed', because: 'what came back is no HTTP' }
  const headers = new Map(lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]))
  return { kind: 'answer', status, headers, body: rest.join('\r\n\r\n') }
}

/** A body in pieces over HTTP/2, the last of which crosses the limit and ends the stream. */
export function speakHttp2(
  door: Door,
  target: string,
  headers: Readonly<Record<string, string>>,
  pieces: readonly Buffer[]
): Promise<Heard> {
  const { promise, resolve } = Promise.withResolvers<Heard>()
  const { cert, key, ca, name, host, port, tls } = door
  const session = connectHttp2(`${tls ? 'https' : 'http'}://${host}:${port}`, {
    ...(tls ? { cert, key, ca, servername: name, checkServerIdentity: () => undefined, ALPNProtocols: ['h2'] } : {})
  })
  const end = (heard: Heard) => {
    clearTimeout(late)
    session.destroy()
    resolve(heard)
  }
  const late = setTimeout(() => end({ kind: 'silent' }), ANSWER_MS)
  session.on('error', (cause: NodeJS.ErrnoException) => end({ kind: 'closed', because: cause.code ?? cause.message }))
  const stream = session.request({ ':method': 'POST', ':path': target, ':authority': name, 'content-type': 'application/json', ...headers })
  stream.on('error', (cause: NodeJS.ErrnoException) => end({ kind: 'closed', because: cause.code ?? cause.message }))
  stream.on('response', (got) => {
    const all = new Map(Object.entries(got).map(([key, value]) => [key, String(value)]))
    end({ kind: 'answer', status: Number(got[':status']), headers: all, body: '' })
  })
  for (const piece of pieces.slice(0, -1)) stream.write(piece)
  stream.end(pieces.at(-1))
  return promise
}

/** Whether a second connection takes up the session of the first, without looking at the certificate again. */
export async function resumes(door: Door, request: string): Promise<boolean | undefined> {
  const session = await new Promise<Buffer | undefined>((resolve) => {
    const socket = open(door, {}) as TLSSocket
    let kept: Buffer | undefined
    socket.on('session', (one) => {
      kept = one
    })
    socket.once('secureConnect', () => socket.write(request))
    const end = () => {
      socket.destroy()
      resolve(kept)
    }
    const late = setTimeout(end, ANSWER_MS)
    socket.on('error', end)
    socket.on('close', () => {
      clearTimeout(late)
      end()
    })
    // Tickets come after the handshake, before the answer.
    socket.once('data', () => setTimeout(end, 50))
  })
  if (session === undefined) return false
  return await new Promise((resolve) => {
    const socket = open(door, { session }) as TLSSocket
    const end = (reused: boolean | undefined) => {
      clearTimeout(late)
      socket.destroy()
      resolve(reused)
    }
    const late = setTimeout(() => end(undefined), ANSWER_MS)
    socket.once('secureConnect', () => end(socket.isSessionReused()))
    socket.on('error', () => end(false))
  })
}

/** Whether a connection comes about, and stays for half a second: a server that takes nobody like us cuts it. */
export function connects(door: Door, more: ConnectionOptions = {}): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = open(door, more)
    const end = (came: boolean) => {
      clearTimeout(late)
      socket.destroy()
      resolve(came)
    }
    const late = setTimeout(() => end(false), ANSWER_MS)
    socket.once(door.tls ? 'secureConnect' : 'connect', () => setTimeout(() => end(true), 500))
    socket.on('error', () => end(false))
    socket.on('close', () => end(false))
  })
}
