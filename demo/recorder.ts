import { createServer, type IncomingHttpHeaders, request } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What reached the database's side of Envoy. */
export interface Recorded {
  readonly method: string
  readonly target: string
  readonly headers: IncomingHttpHeaders
  readonly bodyBytes: number
}

export interface Recorder {
  readonly port: number
  /** Everything since the start or the last `clear`. */
  readonly seen: () => readonly Recorded[]
  readonly clear: () => void
  readonly stop: () => Promise<void>
}

/** Where a database listens: a port of loopback, or a socket in the file system. */
export type Upstream = { readonly host: string; readonly port: number } | { readonly socketPath: string }

export interface RecorderOptions {
  /** A free port of loopback unless told. */
  readonly listen?: { readonly host: string; readonly port: number }
  /** Awaited before a request goes on: whoever watches from another process knows of it before anybody has an answer. */
  readonly told?: (entry: Recorded) => Promise<void>
}

const ANY_PORT = { host: '127.0.0.1', port: 0 }

/** Longer than Envoy keeps an idle upstream connection (60 s): whoever closes first must be the one who sends, or a call is lost. */
const IDLE_MS = 90_000

/**
 * Stands between Envoy and the database, passes every byte on and writes down what came: the proof that a denied call never
 * reached the database, and of what an allowed one carried.
 */
export async function startRecorder(upstream: Upstream, { listen = ANY_PORT, told }: RecorderOptions = {}): Promise<Recorder> {
  let seen: Recorded[] = []
  const server = createServer({ keepAliveTimeout: IDLE_MS }, async (incoming, outgoing) => {
    const entry = { method: incoming.method ?? '', target: incoming.url ?? '', headers: incoming.headers, bodyBytes: 0 }
    seen.push(entry)
    if (told !== undefined) await told(entry)
    const forward = request({
      ...upstream,
      method: incoming.method,
      path: incoming.url,
      headers: incoming.rawHeaders.length > 0 ? pairs(incoming.rawHeaders) : {}
    })
    forward.on('response', (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(outgoing)
    })
    forward.on('error', () => outgoing.destroy())
    incoming.on('data', (chunk: Buffer) => {
      entry.bodyBytes += chunk.length
    })
    incoming.on('aborted', () => forward.destroy())
    incoming.pipe(forward)
  })
  await new Promise<void>((resolve) => server.listen(listen.port, listen.host, resolve))
  return {
    port: (server.address() as AddressInfo).port,
    seen: () => seen,
    clear: () => {
      seen = []
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
  }
}

/** Node's flat list of names and values as one entry per name; a repeated header stays repeated. */
function pairs(raw: readonly string[]): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = {}
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const [name, value] = [raw[at] as string, raw[at + 1] as string]
    const before = headers[name]
    headers[name] = before === undefined ? value : [...(Array.isArray(before) ? before : [before]), value]
  }
  return headers
}
