/**
 * The admin port: HTTPS over mTLS on an address of its own. Whoever connects is judged by the SVID rulebook before a byte of HTTP is
 * read, and again at each request. Nothing is done that cannot be recorded first.
 */
import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer, type TLSSocket } from 'node:tls'
import type { OperatorAct } from '../core/operator-act.ts'
import { compileIdPattern, type IdPattern } from '../core/spiffe-id.ts'
import type { TrustBundles } from '../core/trust.ts'
import { mayApprove } from '../policy/approval-need.ts'
import { addId, findId, newIdIndex } from '../policy/id-index.ts'
import type { Policy } from '../policy/policy.ts'
import { BODY_REFUSED, readBody } from './admin-body.ts'
import { type AdminRoute, match, problem, type Reply, type Visit } from './admin-route.ts'
import { chainOf, type PeerVerdict, verifyPeer } from './peer-identity.ts'

export interface AdminOptions {
  readonly host: string
  readonly port: number
  /** SPIFFE IDs or patterns, as the settings have them. */
  readonly operators: readonly string[]
  readonly routes: readonly AdminRoute[]
  readonly trust: () => TrustBundles | undefined
  readonly policy: () => Policy
  readonly now: () => number
  /** Keeps one audit line; false when it cannot. */
  readonly record: (act: OperatorAct) => boolean
  readonly onRefused: (address: string, because: string) => void
  /** A fault of ours; the caller is told that there was one and no more. */
  readonly onFault: (cause: unknown) => void
  /** Longest life of a connection, milliseconds. */
  readonly connectionMs?: number
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
  const inPace = createPace(options.now)
  const http = createServer({ maxHeaderSize: HEADER_BYTES_MAX }, (request, response) => {
    if (!inPace(open.get(request.socket as TLSSocket) ?? '')) return send(response, TOO_MANY)
    answer(request, response, options, isOperator).catch((cause) => {
      options.onFault(cause)
      send(response, problem(500, 'Internal', 'This server failed; its log says more.'))
    })
  })
  http.setTimeout(REQUEST_MS)
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
      const cutOff = () => {
        for (const socket of open.keys()) socket.destroy()
      }
      setTimeout(cutOff, REQUEST_MS).unref()
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

/** Connections that are open, and whose they are. */
type Open = Map<TLSSocket, string>

function admit(socket: TLSSocket, http: Server, open: Open, options: AdminOptions): void {
  socket.on('error', () => socket.destroy())
  const peer = judge(socket, options)
  const because = peer.ok ? crowding(open, peer.id.text) : peer.because
  if (!peer.ok || because !== undefined) {
    options.onRefused(`${socket.remoteAddress}:${socket.remotePort}`, because ?? '')
    socket.destroy()
    return
  }
  open.set(socket, peer.id.text)
  const end = setTimeout(() => socket.destroy(), options.connectionMs ?? CONNECTION_MS)
  socket.once('close', () => {
    clearTimeout(end)
    open.delete(socket)
  })
  http.emit('connection', socket)
}

/** Anybody of the trust domain may ask here: none may keep the others out. */
function crowding(open: Open, id: string): string | undefined {
  let own = 0
  for (const other of open.values()) if (other === id) own++
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

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  options: AdminOptions,
  isOperator: (peer: Peer) => boolean
): Promise<void> {
  const peer = judge(request.socket as TLSSocket, options)
  if (!peer.ok) return void request.socket.destroy()
  const found = match(options.routes, request.method ?? '', request.url ?? '')
  if (found.kind === 'none') return send(response, problem(404, 'Not found', 'There is nothing at this path.'))
  if (found.kind === 'method') return send(response, problem(405, 'Method not allowed', 'This path takes another method.'))
  const { route, parts } = found
  const policy = options.policy()
  const visitor = { id: peer.id, isOperator: isOperator(peer), isApprover: mayApprove(peer.id, policy) }
  const body = await readBody(request, route.body, route.bodyBytesMax)
  if (BODY_REFUSED in body) return send(response, body[BODY_REFUSED])
  const visit: Visit<unknown> = { ...visitor, parts, body: body.value, policy, now: options.now() }
  send(response, await acted(route, visit, peer, options))
}

/** Two lines for whatever changes something: that it is tried, and what came of it. */
async function acted(one: AdminRoute, visit: Visit<unknown>, peer: Peer, options: AdminOptions): Promise<Reply> {
  const allowed = isAllowed(one, visit)
  if (one.act === undefined) return allowed ? one.handle(visit) : FORBIDDEN
  const reason = (visit.body as { readonly reason?: unknown } | undefined)?.reason
  const common = {
    actId: randomUUID(),
    act: one.act,
    by: peer.id.text,
    serial: peer.serial,
    about: visit.parts.join(' '),
    reason: typeof reason === 'string' ? reason : undefined
  }
  const keep = (stage: OperatorAct['stage'], reply?: Reply) =>
    options.record({ at: options.now(), stage, ...common, status: reply?.status, facts: reply?.facts })
  if (!keep('begun')) return problem(503, 'Unavailable', 'This cannot be recorded right now, and so it is not done.')
  try {
    const reply = allowed ? await one.handle(visit) : FORBIDDEN
    keep(reply.status < 300 ? 'done' : reply.status < 500 ? 'refused' : 'failed', reply)
    return reply
  } catch (cause) {
    keep('failed')
    throw cause
  }
}

const FORBIDDEN = problem(403, 'Forbidden', 'You may not do this here.')

function isAllowed({ who }: AdminRoute, { isOperator, isApprover }: Visit<unknown>): boolean {
  if (who === 'anybody') return true
  return (who !== 'approver' && isOperator) || (who !== 'operator' && isApprover)
}

function send(response: ServerResponse, { status, body }: Reply): void {
  if (response.headersSent) return void response.destroy()
  const type = status < 300 ? 'application/json' : 'application/problem+json'
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' }).end(`${JSON.stringify(body)}\n`)
}
