/**
 * The admin port: HTTPS over mTLS on an address of its own. Whoever connects is judged by the SVID rulebook before a byte of HTTP is
 * read, and again at each request. Nothing is done that cannot be recorded first.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer, type TLSSocket } from 'node:tls'
import { compileIdPattern, type IdPattern } from '../core/spiffe-id.ts'
import type { TrustBundles } from '../core/trust.ts'
import { chainOf } from '../identity/peer-chain.ts'
import { addId, findId, newIdIndex } from '../policy/id-index.ts'
import { type Answering, answer, send } from './admin-answer.ts'
import { problem } from './admin-route.ts'
import { type PeerVerdict, verifyPeer } from './peer-identity.ts'

export interface AdminOptions extends Answering {
  readonly host: string
  readonly port: number
  /** SPIFFE IDs or patterns, as the settings have them. */
  readonly operators: readonly string[]
  readonly trust: () => TrustBundles | undefined
  readonly onRefused: (address: string, because: string) => void
  /** A fault of ours; the caller is told that there was one and no more. */
  readonly onFault: (cause: unknown) => void
  /** Longest life of a connection, milliseconds; what is being done on it is answered first. */
  readonly connectionMs?: number
  /** Whoever says nothing for longer, while something is expected, is cut off, milliseconds. */
  readonly requestMs?: number
}

export interface AdminPort {
  readonly port: number
  /** @param own our SVID as PEM, the leaf first */
  readonly renew: (own: { readonly key: string; readonly cert: string }) => void
  /** No new connections; what is under way is answered. */
  readonly close: () => Promise<void>
}

type Peer = Extract<PeerVerdict, { ok: true }>

const HANDSHAKE_MS = 5_000
const REQUEST_MS = 10_000
/** Node's own limits of a request work only where its HTTP server listens itself, so whoever sends slowly is cut off by these two. */
const CONNECTION_MS = 30_000
/** What was begun is answered, for whoever hears nothing does it again; what takes longer than this is broken. */
const DONE_MS = 120_000
/** People and their tools: a few connections each. */
const CONNECTIONS_MAX = 128
const CONNECTIONS_PER_PEER_MAX = 16
/** Each request costs a judgement of its peer and up to two audit lines, in the process that decides. */
const REQUESTS_PER_PEER_MAX = 100
const PACE_MS = 10_000
const HEADER_BYTES_MAX = 16 * 1024

export async function startAdminPort(own: { readonly key: string; readonly cert: string }, options: AdminOptions): Promise<AdminPort> {
  const isOperator = operatorsOf(options.operators)
  const open: Open = new Map()
  const followed = new WeakSet<TLSSocket>()
  const inPace = createPace(options.now)
  const http = createServer({ maxHeaderSize: HEADER_BYTES_MAX }, (request, response) => {
    const socket = request.socket as TLSSocket
    const its = open.get(socket)
    if (its === undefined || !inPace(its.peer)) return send(response, TOO_MANY)
    const done = begun(request, response, its)
    answered(request, response, options, isOperator)
      .then(() => {
        // What is not at its end now never is: somebody follows.
        if (!response.writableEnded) followed.add(socket)
      })
      .catch((cause) => {
        options.onFault(cause)
        send(response, problem(500, 'Internal', 'This server failed; its log says more.'))
      })
      .finally(done)
  })
  http.setTimeout(options.requestMs ?? REQUEST_MS)
  const context = (pem: typeof own) => ({ key: pem.key, cert: pem.cert, minVersion: 'TLSv1.3' as const })
  const asking = { requestCert: true, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'], handshakeTimeout: HANDSHAKE_MS }
  const tls = createTlsServer({ ...context(own), ...asking }, (socket) => admit(socket, http, open, options))
  tls.maxConnections = CONNECTIONS_MAX
  tls.on('tlsClientError', (cause, socket) => options.onRefused(socket.remoteAddress ?? '', `TLS handshake failed: ${cause.message}`))
  await new Promise<void>((resolve, reject) => {
    tls.once('error', reject)
    tls.listen(options.port, options.host, () => resolve())
  })
  const address = tls.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : options.port,
    renew: (fresh) => tls.setSecureContext(context(fresh)),
    async close() {
      const closed = new Promise<void>((resolve) => tls.close(() => resolve()))
      const cutOff = (which: (socket: TLSSocket) => boolean) => {
        for (const socket of open.keys()) if (which(socket)) socket.destroy()
      }
      cutOff((socket) => followed.has(socket))
      setTimeout(cutOff, REQUEST_MS, () => true).unref()
      await closed
    }
  }
}

function operatorsOf(texts: readonly string[]): (peer: Peer) => boolean {
  const index = newIdIndex<true>()
  for (const text of texts) {
    const compiled = compileIdPattern(text)
    if (!compiled.ok) throw new Error(`admin.operators: ${compiled.detail}`)
    addId(index, compiled.pattern satisfies IdPattern, true)
  }
  return ({ id }) => findId(index, id) !== undefined
}

interface Connected {
  readonly peer: string
  /** Requests that are there in full, and not answered. */
  doing: number
  /** It has lived for long enough. */
  ends: boolean
}

/** Connections that are open, and whose they are. */
type Open = Map<TLSSocket, Connected>

/** From the last byte of a request on nobody is waited for but ourselves. @returns called when it is answered, or followed */
function begun(request: IncomingMessage, response: ServerResponse, its: Connected): () => void {
  const socket = request.socket
  let doing = 0
  request.once('end', () => {
    its.doing += ++doing
    socket.setTimeout(DONE_MS)
  })
  return () => {
    its.doing -= doing
    if (!its.ends) return
    // What was just said still has to arrive.
    if (response.writableEnded) socket.end()
    else socket.destroy()
  }
}

function admit(socket: TLSSocket, http: Server, open: Open, options: AdminOptions): void {
  socket.on('error', () => socket.destroy())
  const peer = judge(socket, options)
  const because = peer.ok ? crowding(open, peer.id.text) : peer.because
  if (!peer.ok || because !== undefined) {
    options.onRefused(`${socket.remoteAddress}:${socket.remotePort}`, because ?? '')
    socket.destroy()
    return
  }
  const its: Connected = { peer: peer.id.text, doing: 0, ends: false }
  open.set(socket, its)
  const cutOff = () => {
    its.ends = true
    if (its.doing === 0) socket.destroy()
  }
  const end = setTimeout(cutOff, options.connectionMs ?? CONNECTION_MS)
  socket.once('close', () => {
    clearTimeout(end)
    open.delete(socket)
  })
  http.emit('connection', socket)
}

/** Anybody of the trust domain may ask here: none may keep the others out. */
function crowding(open: Open, id: string): string | undefined {
  let own = 0
  for (const { peer } of open.values()) if (peer === id) own++
  return own < CONNECTIONS_PER_PEER_MAX ? undefined : `${id} has ${own} connections already`
}

/** At the beginning and at each request: an SVID ends, bundles change, and policy may revoke it meanwhile. */
function judge(socket: TLSSocket, { trust, policy, now }: AdminOptions): PeerVerdict {
  const peer = verifyPeer(chainOf(socket), trust(), now())
  if (!peer.ok) return peer
  const { revoked, trustDomains } = policy()
  if (!trustDomains.has(peer.id.trustDomain))
    return { ok: false, because: `trust domain ${peer.id.trustDomain} is not in the policy's trust_domains` }
  const listed = revoked.serials.has(peer.serial) || findId(revoked.ids, peer.id) !== undefined
  return listed ? { ok: false, because: `${peer.id.text} is on the policy's revoked list` } : peer
}

const TOO_MANY = problem(429, 'Too many requests', `One identity may ask ${REQUESTS_PER_PEER_MAX} times in ${PACE_MS / 1000} s.`)

/** Counts in windows, so that nothing of one outlives it. */
function createPace(now: () => number): (id: string) => boolean {
  const asked = new Map<string, number>()
  let window = Number.NaN
  return (id) => {
    const current = Math.floor(now() / PACE_MS)
    if (current !== window) asked.clear()
    window = current
    const count = (asked.get(id) ?? 0) + 1
    asked.set(id, count)
    return count <= REQUESTS_PER_PEER_MAX
  }
}

async function answered(
  request: IncomingMessage,
  response: ServerResponse,
  options: AdminOptions,
  isOperator: (peer: Peer) => boolean
): Promise<void> {
  const peer = judge(request.socket as TLSSocket, options)
  if (!peer.ok) return void request.socket.destroy()
  // A browser shows the person's certificate to whoever sends it here.
  const origin = `https://${request.headers.host ?? ''}`
  await answer({ request, response, origin }, { id: peer.id, serial: peer.serial, isOperator: isOperator(peer) }, options)
}
