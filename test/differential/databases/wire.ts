/** Requests as bytes: HTTP/1.1 by hand, so that nothing is put right on the way, and gRPC over HTTP/2 of node. */
import { type ClientHttp2Session, connect as connectHttp2, constants } from 'node:http2'
import { connect } from 'node:net'
import type { Upstream } from '../../../demo/recorder.ts'

export type Header = readonly [name: string, value: string]

export interface Wire {
  readonly port: 'rest' | 'grpc'
  readonly method: string
  readonly target: string
  /** Lower-case names; without `host` and `content-length`, which follow from the rest. */
  readonly headers: readonly Header[]
  readonly body: Buffer | undefined
}

export interface Answer {
  /** Of HTTP; 0 where the connection ended without an answer. */
  readonly status: number
  /** Of gRPC, when it is that. */
  readonly grpc: number | undefined
  readonly headers: string
  readonly body: Buffer
}

const TIMEOUT_MS = 20_000
const NO_ANSWER: Answer = { status: 0, grpc: undefined, headers: '', body: Buffer.alloc(0) }

/** Whether the server did what it was asked. */
export function succeeded({ status, grpc }: Answer): boolean {
  return status >= 200 && status < 300 && (grpc ?? 0) === 0
}

export function sendHttp(upstream: Upstream, { method, target, headers, body }: Wire): Promise<Answer> {
  const lines = [`${method} ${target} HTTP/1.1`, 'host: 127.0.0.1', ...headers.map(([name, value]) => `${name}: ${value}`)]
  if (body !== undefined) lines.push(`content-length: ${body.length}`)
  const head = Buffer.from([...lines, 'connection: close', '', ''].join('\r\n'), 'latin1')
  return new Promise((resolve) => {
    const socket = connect('socketPath' in upstream ? { path: upstream.socketPath } : upstream)
    const chunks: Buffer[] = []
    socket.setTimeout(TIMEOUT_MS, () => socket.destroy())
    socket.on('connect', () => socket.write(Buffer.concat([head, body ?? Buffer.alloc(0)])))
    socket.on('data', (bytes) => chunks.push(bytes))
    socket.on('error', () => undefined)
    socket.on('close', () => resolve(readAnswer(Buffer.concat(chunks))))
  })
}

function readAnswer(bytes: Buffer): Answer {
  const end = bytes.indexOf('\r\n\r\n')
  if (end < 0) return NO_ANSWER
  // 100 Continue and its like come before the answer.
  if (bytes.subarray(0, 10).toString('latin1').startsWith('HTTP/1.1 1')) return readAnswer(bytes.subarray(end + 4))
  const head = bytes.subarray(0, end).toString('latin1')
  const body = bytes.subarray(end + 4)
  const chunked = /^transfer-encoding: *chunked/im.test(head)
  return {
    status: Number(/^HTTP\/1\.1 (\d+)/.exec(head)?.[1] ?? 0),
    grpc: undefined,
    headers: head,
    body: chunked ? dechunked(body) : body
  }
}

function dechunked(body: Buffer): Buffer {
  const pieces: Buffer[] = []
  for (let at = 0; at < body.length; ) {
    const line = body.indexOf('\r\n', at)
    const size = Number.parseInt(body.subarray(at, line).toString('latin1'), 16)
    if (line < 0 || !(size > 0)) break
    pieces.push(body.subarray(line + 2, line + 2 + size))
    at = line + 2 + size + 2
  }
  return Buffer.concat(pieces)
}

/** One HTTP/2 connection, made anew when it has ended. */
export interface GrpcClient {
  readonly send: (wire: Wire) => Promise<Answer>
  readonly close: () => void
}

export function grpcClient(upstream: Upstream): GrpcClient {
  let session: ClientHttp2Session | undefined
  const open = (): ClientHttp2Session => {
    if (session === undefined || session.closed || session.destroyed) {
      session = connectHttp2('http://127.0.0.1', {
        createConnection: () => connect('socketPath' in upstream ? { path: upstream.socketPath } : upstream)
      })
      session.on('error', () => undefined)
    }
    return session
  }
  return { send: (wire) => sendHttp2(open(), wire), close: () => session?.destroy() }
}

function sendHttp2(session: ClientHttp2Session, { method, target, headers, body }: Wire): Promise<Answer> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let answer = NO_ANSWER
    const heard = (fields: Record<string, unknown>) => {
      const said = JSON.stringify(fields)
      const code = fields['grpc-status']
      answer = {
        ...answer,
        status: Number(fields[':status'] ?? answer.status),
        grpc: code === undefined ? answer.grpc : Number(code),
        headers: answer.headers + said.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
      }
    }
    try {
      const stream = session.request({ ...grouped(headers), ':method': method, ':path': target }, { endStream: body === undefined })
      stream.setTimeout(TIMEOUT_MS, () => stream.close(constants.NGHTTP2_CANCEL))
      stream.on('response', heard)
      stream.on('trailers', heard)
      stream.on('data', (bytes: Buffer) => chunks.push(bytes))
      stream.on('error', () => undefined)
      stream.on('close', () => resolve({ ...answer, body: Buffer.concat(chunks) }))
      if (body !== undefined) stream.end(body)
    } catch {
      resolve(NO_ANSWER)
    }
  })
}

function grouped(headers: readonly Header[]): Record<string, string | string[]> {
  const all: Record<string, string | string[]> = {}
  for (const [name, value] of headers) {
    if (name === 'connection' || name === 'transfer-encoding' || name === 'upgrade' || name === 'keep-alive') continue
    const before = all[name]
    all[name] = before === undefined ? value : [...[before].flat(), value]
  }
  return all
}
