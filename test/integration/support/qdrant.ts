/**
 * What stands where Qdrant would: a stand-in that answers everything in the affirmative and keeps what came, byte for byte; and the
 * real server, which is in no package registry, where somebody has one.
 */
import { existsSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import { createServer as createHttp2Server, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { delimiter, join } from 'node:path'
import { freePort, startDatabase } from '../../../demo/database-process.ts'
import type { OtherServer } from '../../../demo/databases.ts'

export interface Arrived {
  readonly method: string
  readonly target: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

export interface StandIn extends OtherServer {
  readonly seen: () => readonly Arrived[]
  readonly clear: () => void
}

/** What the clients look for when they check that a server is as old as they are. */
const ANSWER = { title: 'stand-in', version: '1.19.0', status: 'ok', time: 0, result: true }

export async function startStandIn(): Promise<StandIn> {
  let seen: Arrived[] = []
  const sessions = new Set<ServerHttp2Session>()
  const rest = createServer(async (incoming, answer) => {
    const { method = '', url = '', rawHeaders } = incoming
    const headers = Object.fromEntries(
      rawHeaders.flatMap((name, at) => (at % 2 === 0 ? [[name.toLowerCase(), rawHeaders[at + 1] ?? '']] : []))
    )
    seen.push({ method, target: url, headers, body: await bytesOf(incoming) })
    answer.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(ANSWER))
  })
  const grpc = createHttp2Server()
  grpc.on('session', (session) => {
    sessions.add(session)
    session.once('close', () => sessions.delete(session))
  })
  grpc.on('stream', async (stream, all) => {
    const plain = Object.entries(all).filter(([name]) => !name.startsWith(':'))
    const headers = Object.fromEntries(plain.map(([name, value]) => [name, String(value)]))
    seen.push({ method: String(all[':method']), target: String(all[':path']), headers, body: await bytesOf(stream) })
    stream.respond({ ':status': 200, 'content-type': 'application/grpc+proto' }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
    // An empty message is a valid answer of every type.
    stream.end(Buffer.alloc(5))
  })
  for (const server of [rest, grpc]) await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const at = (server: { address(): unknown }) => ({ host: '127.0.0.1', port: (server.address() as AddressInfo).port })
  return {
    rest: at(rest),
    grpc: at(grpc),
    seen: () => seen,
    clear: () => {
      seen = []
    },
    async stop() {
      for (const session of sessions) session.destroy()
      rest.closeAllConnections()
      await Promise.all([rest, grpc].map((server) => new Promise((resolve) => server.close(resolve))))
    }
  }
}

async function bytesOf(message: IncomingMessage | ServerHttp2Stream): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of message) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

/** The binary that QDRANT_BIN names, else `qdrant` on PATH. @throws Error when the variable names nothing. */
export function findQdrant(environment: Readonly<Record<string, string | undefined>>): string | undefined {
  const own = environment['QDRANT_BIN']
  if (own !== undefined && !existsSync(own)) throw new Error(`There is nothing at ${own}, which QDRANT_BIN names.`)
  const folders = (environment['PATH'] ?? '').split(delimiter)
  return own ?? folders.map((folder) => join(folder, 'qdrant')).find((path) => existsSync(path))
}

/** Starts the real server on loopback. */
export async function startQdrant(binary: string, folder: string): Promise<OtherServer> {
  const [rest, grpc] = await Promise.all([freePort(0), freePort(0)])
  const url = `http://127.0.0.1:${rest}`
  const stop = await startDatabase({
    name: 'Qdrant',
    command: binary,
    args: [],
    env: {
      PATH: process.env['PATH'],
      QDRANT__SERVICE__HOST: '127.0.0.1',
      QDRANT__SERVICE__HTTP_PORT: String(rest),
      QDRANT__SERVICE__GRPC_PORT: String(grpc),
      QDRANT__STORAGE__STORAGE_PATH: join(folder, 'storage'),
      QDRANT__STORAGE__SNAPSHOTS_PATH: join(folder, 'snapshots'),
      QDRANT__TELEMETRY_DISABLED: 'true'
    },
    logFile: join(folder, 'qdrant.log'),
    isUp: async () => (await fetch(`${url}/readyz`)).ok
  })
  return { rest: { host: '127.0.0.1', port: rest }, grpc: { host: '127.0.0.1', port: grpc }, stop }
}
