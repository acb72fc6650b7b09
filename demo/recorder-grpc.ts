import {
  type ClientHttp2Session,
  connect,
  createServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream
} from 'node:http2'
import { type AddressInfo, connect as connectSocket } from 'node:net'
import type { Recorded, Recorder, Upstream } from './recorder.ts'

/** The recorder for databases that speak gRPC: HTTP/2 without TLS on both sides, trailers and all. */
export async function startGrpcRecorder(upstream: Upstream): Promise<Recorder> {
  let seen: Recorded[] = []
  const sessions = new Set<ServerHttp2Session>()
  const server = createServer()
  const database = keptSession(upstream)
  server.on('session', (session) => {
    sessions.add(session)
    session.once('close', () => sessions.delete(session))
  })
  server.on('stream', (stream, headers) => {
    const entry = { method: String(headers[':method']), target: String(headers[':path']), headers: plain(headers), bodyBytes: 0 }
    seen.push(entry)
    stream.on('data', (chunk: Buffer) => {
      entry.bodyBytes += chunk.length
    })
    pass(stream, headers, database.session())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    seen: () => seen,
    clear: () => {
      seen = []
    },
    stop: () =>
      new Promise((resolve) => {
        database.end()
        server.close(() => resolve())
        for (const session of sessions) session.destroy()
      })
  }
}

/** One connection to the database, opened again when it is gone. */
function keptSession(upstream: Upstream) {
  let open: ClientHttp2Session | undefined
  const session = (): ClientHttp2Session => {
    if (open === undefined || open.closed || open.destroyed) {
      open = connect('http://localhost', {
        createConnection: () => ('port' in upstream ? connectSocket(upstream.port, upstream.host) : connectSocket(upstream.socketPath))
      })
      // Its streams break with it, and tell.
      open.on('error', () => undefined)
    }
    return open
  }
  return { session, end: () => open?.destroy() }
}

function pass(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, database: ClientHttp2Session): void {
  const forward = database.request({ ':method': String(headers[':method']), ':path': String(headers[':path']), ...plain(headers) })
  const broken = () => {
    if (!stream.destroyed) stream.destroy()
    if (!forward.destroyed) forward.destroy()
  }
  stream.on('error', broken)
  stream.on('aborted', broken)
  forward.on('error', broken)
  let trailers: IncomingHttpHeaders = {}
  forward.on('trailers', (sent) => {
    trailers = sent
  })
  forward.on('response', (answer, flags) => {
    const head = { ':status': answer[':status'], ...plain(answer) }
    // An error may come as headers alone.
    const over = (flags & END_STREAM) !== 0
    stream.respond(head, over ? { endStream: true } : { waitForTrailers: true })
    if (over) return
    stream.on('wantTrailers', () => stream.sendTrailers(plain(trailers)))
    forward.pipe(stream)
  })
  stream.pipe(forward)
}

/** RFC 9113 section 6.2. */
const END_STREAM = 0x1

function plain(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith(':')))
}
