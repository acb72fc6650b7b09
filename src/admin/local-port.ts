/**
 * The admin port for people on the host itself: a unix socket that only its owner may open, or loopback with a token from a file that
 * only its owner may read. Whoever has the one or the other acts as one identity of the settings, and is recorded under it.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { chmodSync, linkSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { dirname } from 'node:path'
import type { SpiffeId } from '../core/spiffe-id.ts'
import { type Answering, type Asker, answer, send } from './admin-answer.ts'
import { problem } from './admin-route.ts'

export type LocalListen =
  | { readonly kind: 'socket'; readonly path: string }
  /** `host` is a loopback address. */
  | { readonly kind: 'loopback'; readonly host: string; readonly port: number; readonly tokenFile: string }

export interface LocalOptions extends Answering {
  readonly listen: LocalListen
  /** In whose name it is acted. */
  readonly as: SpiffeId
  readonly onFault: (cause: unknown) => void
  /** Whoever takes longer over the head of a request is cut off, milliseconds. */
  readonly headersMs?: number
}

export interface LocalPort {
  /** 0 for a socket. */
  readonly port: number
  readonly close: () => Promise<void>
}

const TOKEN_BYTES = 32
const TOKEN = /^[\w-]{43}$/
const CONNECTIONS_MAX = 64
const HEADERS_MS = 5_000
const HEADER_BYTES_MAX = 16 * 1024

/** @throws Error when the socket or the token file cannot be made */
export async function startLocalPort(options: LocalOptions): Promise<LocalPort> {
  const { listen } = options
  const token = listen.kind === 'loopback' ? tokenOf(listen.tokenFile) : undefined
  let port = 0
  const { headersMs = HEADERS_MS } = options
  const limits = {
    maxHeaderSize: HEADER_BYTES_MAX,
    headersTimeout: headersMs,
    requestTimeout: 2 * headersMs,
    connectionsCheckingInterval: headersMs / 5,
    keepAliveTimeout: 5_000
  }
  const server = createServer(limits, (request, response) => {
    const origin = listen.kind === 'socket' ? '' : originOf(request, port)
    // A name that a page's own server made point here would be an origin like any other (DNS rebinding).
    if (origin === undefined) return send(response, problem(421, 'Misdirected', 'Ask for 127.0.0.1 or localhost.'))
    const isProven = token === undefined || isToken(request.headers.authorization, token)
    const serial = listen.kind === 'socket' ? 'unix socket' : 'token file'
    const asker: Asker | undefined = isProven ? { id: options.as, serial, isOperator: true } : undefined
    answer({ request, response, origin }, asker, options).catch((cause) => {
      options.onFault(cause)
      send(response, problem(500, 'Internal', 'This server failed; its log says more.'))
    })
  })
  server.maxConnections = CONNECTIONS_MAX
  await opened(server, listen)
  const address = server.address()
  if (typeof address === 'object' && address !== null) port = address.port
  return {
    port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
  }
}

function opened(server: Server, listen: LocalListen): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    if (listen.kind === 'loopback') {
      server.listen(listen.port, listen.host, resolve)
      return
    }
    // What a process that was killed left behind; the folder is ours alone, so nobody else can have put it there.
    mkdirSync(dirname(listen.path), { recursive: true, mode: 0o700 })
    rmSync(listen.path, { force: true })
    const before = process.umask(0o177)
    server.listen(listen.path, () => {
      chmodSync(listen.path, 0o600)
      resolve()
    })
    process.umask(before)
  })
}

/** One for all processes that share the file; whoever removes it has the next start make another. @throws Error for one that others may read */
function tokenOf(file: string): Buffer {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  // Linked whole: another process that starts at the same time finds all of it or nothing.
  const own = `${file}.${process.pid}`
  writeFileSync(own, `${randomBytes(TOKEN_BYTES).toString('base64url')}\n`, { mode: 0o600 })
  try {
    linkSync(own, file)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause
  } finally {
    rmSync(own, { force: true })
  }
  if ((statSync(file).mode & 0o077) !== 0) throw new Error(`the token file ${file} may be read by others: chmod 600, or remove it`)
  const token = readFileSync(file, 'utf8').trim()
  if (!TOKEN.test(token)) throw new Error(`the token file ${file} has no token in it: remove it`)
  return digest(token)
}

function isToken(header: string | undefined, expected: Buffer): boolean {
  const said = header?.startsWith('Bearer ') === true ? header.slice('Bearer '.length) : ''
  return timingSafeEqual(digest(said), expected)
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

/** Undefined for a host that is not this one. */
function originOf({ headers: { host = '' } }: IncomingMessage, port: number): string | undefined {
  return ['127.0.0.1', 'localhost', '[::1]'].some((name) => host === `${name}:${port}`) ? `http://${host}` : undefined
}
