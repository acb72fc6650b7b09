/**
 * Who calls, by certificate and, on a listener that takes them, by a JWT-SVID in `authorization`. Two proofs of two workloads
 * are two identities: whose call it is then says the policy's list of carriers, and nothing of the one is believed of the other (rule J-26).
 */
import type { Caller, Connection } from '../core/caller.ts'
import { accept, type Result, refuse } from '../core/deny-reason.ts'
import type { Inbound } from '../core/inbound.ts'
import { type IdPattern, matchesId } from '../core/spiffe-id.ts'
import type { JwtBundles, TrustBundles } from '../core/trust.ts'
import { type CallerCache, createCallerCache, identify } from './identify.ts'
import { type ConnectionCache, createConnectionCache, identifyConnection } from './identify-connection.ts'
import { readBearer } from './jwt-bearer.ts'
import type { JwtKey } from './jwt-keys.ts'
import { verifyJwtSvid } from './jwt-svid.ts'
import { createVerdictCache, remembered, type VerdictCache } from './verdict-cache.ts'

/** A listener that takes JWT-SVIDs. */
export interface TokenDoor {
  /** Ours: one of a token's audiences must be this. */
  readonly audience: string
  readonly leewayMs: number
  /** The keys in force, or undefined while there are none that may still be believed. */
  readonly bundles: JwtBundles<JwtKey> | undefined
}

export interface Evidence {
  readonly trust: TrustBundles
  /** Undefined: the `authorization` header identifies nobody. */
  readonly tokens: TokenDoor | undefined
  /** Workloads whose connection may carry the JWT-SVID of another one. */
  readonly carriers: readonly IdPattern[]
  /** Verdicts from before this instant (milliseconds since the epoch) are not believed any more. */
  readonly since: number
  /** In the role `egress`: the connection that asks, and nothing in the message, says who calls. */
  readonly connection?: { readonly asks: Connection | undefined } | undefined
}

export interface CallerCaches {
  readonly connections: ConnectionCache
  readonly callers: CallerCache
  readonly tokens: VerdictCache<Caller>
}

export function createCallerCaches(callersMax: number): CallerCaches {
  return { connections: createConnectionCache(), callers: createCallerCache(callersMax), tokens: createVerdictCache(callersMax) }
}

/** The caller, or the first reason why there is none. `now` is milliseconds since the epoch; never throws. */
export function identifyCall(inbound: Inbound, evidence: Evidence, now: number, caches: CallerCaches): Result<Caller> {
  const { tokens, connection } = evidence
  if (connection !== undefined) return identifyConnection(connection.asks, evidence.trust, now, caches.connections, evidence.since)
  const authorization = tokens === undefined ? undefined : inbound.headers.get('authorization')
  const fromPeer = () => identify(inbound, evidence.trust, now, caches.callers, evidence.since)
  if (tokens === undefined || authorization === undefined) return fromPeer()
  // A certificate or an XFCC that is no proof is not made good by a token that is one; nor is a name that came without its
  // certificate, or a workload would carry any other's token where Envoy is told not to send certificates.
  const { peerCertificate, peerPrincipal } = inbound
  const bare = peerCertificate === undefined && peerPrincipal === undefined && !inbound.headers.has('x-forwarded-client-cert')
  const peer = bare ? undefined : fromPeer()
  if (peer?.ok === false) return peer
  return identifyToken(authorization, peer?.value, tokens, evidence, now, caches.tokens)
}

function identifyToken(
  authorization: string,
  peer: Caller | undefined,
  door: TokenDoor,
  { carriers, since }: Evidence,
  now: number,
  cache: VerdictCache<Caller>
): Result<Caller> {
  const bearer = readBearer(authorization)
  if (!bearer.ok) return refuse('svid-untrusted', `${bearer.rule}: ${bearer.detail}`)
  const { audience, leewayMs, bundles } = door
  if (bundles === undefined) return refuse('trust-unavailable', 'there are no JWT bundles from the Workload API that may still be believed')
  const key = `${peer?.id.text ?? ''} ${peer?.serial ?? ''} ${bearer.token}`
  const token = remembered(cache, { basis: String(bundles.generation), key, now, since }, () => {
    const judged = verifyJwtSvid(bearer.token, bundles.keys, { audience, now, leewayMs })
    if (!judged.ok) return { verdict: refuse(judged.kind, `${judged.rule}: ${judged.detail}`), until: now }
    const { id, expiresAt, tokenId } = judged
    const carrier = peer === undefined || peer.id.text === id.text ? undefined : peer.id
    const caller = {
      id,
      evidence: 'jwt-svid',
      notAfter: expiresAt,
      issuedAt: undefined,
      serial: peer?.serial,
      tokenId,
      carrier,
      provenAt: now,
      subject: undefined
    }
    return { verdict: accept(caller as unknown as Caller), until: expiresAt + leewayMs }
  })
  if (!token.ok || token.value.carrier === undefined) return token
  const { id, carrier } = token.value
  if (carriers.some((pattern) => matchesId(pattern, carrier))) return token
  return refuse(
    'identity-conflict',
    `J-26: the certificate is that of ${carrier.text}, the JWT-SVID that of ${id.text}, and the policy's carriers do not list the former`
  )
}
