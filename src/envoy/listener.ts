/**
 * The ext_authz port's own TLS: who may ask at all.
 *
 * Node's TLS must not be the judge of a peer (it knows no SPIFFE rule), so it accepts any certificate and the SVID rulebook
 * decides before a single gRPC byte is read. A peer that is not one of the listed Envoys is cut off. Its verified identity is
 * found again in each call by the connection's address, because grpc-js knows nothing of it.
 */
import { createServer, type TLSSocket, type Server as TlsServer } from 'node:tls'
import type { Connection } from '../core/caller.ts'
import type { TrustBundles } from '../core/trust.ts'

/** Verifies a chain (leaf first, DER) under a set of bundles; `notAfter` in ms since the epoch. */
export type VerifyPeer = (
  chain: readonly Uint8Array[],
  bundles: TrustBundles,
  now: number
) =>
  | { readonly ok: true; readonly id: { readonly text: string }; readonly notAfter: number }
  | { readonly ok: false; readonly rule: string; readonly detail: string }

/** Our own SVID as PEM, for Node's TLS. */
export interface OwnPem {
  readonly key: string
  readonly cert: string
}

export interface ListenerOptions {
  readonly host: string
  readonly port: number
  /** Who may ask; undefined (role egress): whoever has an SVID, for it asks about itself. */
  readonly envoys: ReadonlySet<string> | undefined
  readonly verify: VerifyPeer
  readonly trust: () => TrustBundles | undefined
  readonly now: () => number
  /** Hands an accepted connection to the gRPC server. */
  readonly accept: (socket: TLSSocket) => void
  readonly onRefused: (address: string, because: string) => void
  /** Connections of one identity, where anybody may ask. */
  readonly connectionsPerPeerMax?: number
}

export interface Listener {
  readonly port: number
  /** The listed Envoy behind a connection, or why it may not ask (any more). */
  readonly peerOf: (
    address: string
  ) => { readonly ok: true; readonly id: string; readonly connection: Connection } | { readonly ok: false; readonly because: string }
  readonly renew: (own: OwnPem) => void
  readonly close: () => void
  /** Resolves when no accepted connection is open any more. */
  readonly empty: () => Promise<void>
}

/** An Envoy on the same network needs milliseconds; who needs longer holds a connection open on purpose. */
const HANDSHAKE_MS = 5_000
/** Each worker thread of each Envoy keeps one or two. */
const CONNECTIONS_MAX = 1_024
/** A hundred replicas of one workload; whoever takes more than that keeps others out. */
const CONNECTIONS_PER_PEER_MAX = 256

interface Peer {
  readonly chain: readonly Uint8Array[]
  id: string
  notAfter: number
  generation: number
}

export async function listen(own: OwnPem, options: ListenerOptions): Promise<Listener> {
  const peers = new Map<string, Peer>()
  let onEmpty: (() => void) | undefined
  const server = createServer({
    ...contextOf(own),
    requestCert: true,
    rejectUnauthorized: false,
    ALPNProtocols: ['h2'],
    handshakeTimeout: HANDSHAKE_MS
  })
  server.maxConnections = CONNECTIONS_MAX
  server.on('secureConnection', (socket) => {
    admit(socket, peers, options)
    // After admit's own listener, which takes the peer away.
    socket.once('close', () => peers.size === 0 && onEmpty?.())
  })
  // A handshake that fails is the peer's problem; without a listener it would be ours.
  server.on('tlsClientError', (cause, socket) => options.onRefused(socket.remoteAddress ?? '', `TLS handshake failed: ${cause.message}`))
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port, options.host, () => resolve())
  })
  return {
    port: portOf(server),
    peerOf: (address) => standing(peers.get(address), options),
    renew: (fresh) => server.setSecureContext(contextOf(fresh)),
    close: () => server.close(),
    empty: () =>
      new Promise((resolve) => {
        onEmpty = resolve
        if (peers.size === 0) resolve()
      })
  }
}

function contextOf({ key, cert }: OwnPem) {
  return { key, cert, minVersion: 'TLSv1.3' as const }
}

function portOf(server: TlsServer): number {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the ext_authz port is not a TCP port')
  return address.port
}

function admit(socket: TLSSocket, peers: Map<string, Peer>, options: ListenerOptions): void {
  const address = `${socket.remoteAddress}:${socket.remotePort}`
  socket.on('error', () => socket.destroy())
  const judged = judgeSocket(socket, options)
  if (!judged.ok) {
    options.onRefused(address, judged.because)
    socket.destroy()
    return
  }
  if (socket.alpnProtocol !== 'h2') {
    options.onRefused(address, 'no ALPN h2; set alpn_protocols: [h2] on the Envoy cluster')
    socket.destroy()
    return
  }
  if (isCrowd(judged.peer, peers, options)) {
    options.onRefused(address, `${judged.peer.id} has as many connections as one identity may have`)
    socket.destroy()
    return
  }
  peers.set(address, judged.peer)
  socket.once('close', () => peers.delete(address))
  options.accept(socket)
}

function isCrowd({ id }: Peer, peers: ReadonlyMap<string, Peer>, options: ListenerOptions): boolean {
  if (options.envoys !== undefined) return false
  let own = 0
  for (const other of peers.values()) if (other.id === id) own++
  return own >= (options.connectionsPerPeerMax ?? CONNECTIONS_PER_PEER_MAX)
}

/** Whatever node makes of a strange certificate, it must end this connection and not the process. */
function judgeSocket(socket: TLSSocket, options: ListenerOptions): ReturnType<typeof judge> {
  try {
    return judge(chainOf(socket), options)
  } catch {
    return { ok: false, because: 'the certificate cannot be read' }
  }
}

function judge(chain: readonly Uint8Array[], options: ListenerOptions): { ok: true; peer: Peer } | { ok: false; because: string } {
  const trust = options.trust()
  if (trust === undefined) return { ok: false, because: 'no trust bundle has come from the Workload API yet' }
  if (chain.length === 0) return { ok: false, because: 'the peer sent no certificate' }
  const verdict = options.verify(chain, trust, options.now())
  if (!verdict.ok) return { ok: false, because: `${verdict.rule}: ${verdict.detail}` }
  if (options.envoys?.has(verdict.id.text) === false) return { ok: false, because: `${verdict.id.text} is not one of the settings' envoys` }
  return { ok: true, peer: { chain, id: verdict.id.text, notAfter: verdict.notAfter, generation: trust.generation } }
}

/** Asked on every call: an SVID can expire, and a trust bundle can change, while the connection stays open. */
function standing(
  peer: Peer | undefined,
  options: ListenerOptions
): { ok: true; id: string; connection: Connection } | { ok: false; because: string } {
  if (peer === undefined) return { ok: false, because: 'the connection has no verified peer' }
  const generation = options.trust()?.generation
  if (generation !== peer.generation) {
    const again = judge(peer.chain, options)
    if (!again.ok) return again
    Object.assign(peer, again.peer)
  }
  if (peer.notAfter <= options.now()) return { ok: false, because: `the SVID of ${peer.id} on this connection has expired` }
  return { ok: true, id: peer.id, connection: peer }
}

/** The certificates the peer sent, leaf first; anything beyond them that Node adds is a hint to the rulebook and no more. */
function chainOf(socket: TLSSocket): Uint8Array[] {
  const chain: Uint8Array[] = []
  let at: ReturnType<TLSSocket['getPeerCertificate']> | undefined = socket.getPeerCertificate(true)
  while (at?.raw !== undefined && chain.length < 8) {
    const { raw } = at
    if (chain.some((one) => Buffer.compare(one, raw) === 0)) break
    chain.push(raw)
    at = (at as { issuerCertificate?: typeof at }).issuerCertificate
  }
  return chain
}
