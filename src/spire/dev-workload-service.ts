import { type Metadata, type ServerWritableStream, status } from '@grpc/grpc-js'
import { JWTBundlesResponse, type SpiffeWorkloadAPIServer, X509BundlesResponse, X509SVIDResponse } from '@vecauthz/spiffe-protos/workload'
import { parseSpiffeId } from '../core/spiffe-id.ts'
import type { IssuedSvid } from './dev-authority.ts'
import { type JwtKey, jwkSet, readJwtSvid, signJwtSvid } from './dev-jwt.ts'

/** What one trust domain publishes. */
export interface PublishedTrust {
  /** DER roots. */
  readonly roots: readonly Uint8Array[]
  readonly jwtKey: JwtKey
}

/** Everything one workload may see right now. */
export interface WorkloadView {
  readonly svid: IssuedSvid
  readonly hint: string
  readonly trustDomain: string
  /** Own trust domain and federated ones. */
  readonly trust: ReadonlyMap<string, PublishedTrust>
}

export interface WorkloadSource {
  /** Undefined once the identity was revoked. */
  readonly view: () => WorkloadView | undefined
  /** Calls back after every change of the view; returns the way to stop. */
  readonly onChange: (listener: () => void) => () => void
  /** Aborted when the issuer closes. */
  readonly closing: AbortSignal
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

interface Refusal {
  readonly code: status
  readonly details: string
}

const JWT_TTL_MS = 300_000
const NO_HEADER: Refusal = { code: status.INVALID_ARGUMENT, details: 'security header missing from request' }
const NO_IDENTITY: Refusal = { code: status.PERMISSION_DENIED, details: 'no identity issued' }
const CLOSING: Refusal = { code: status.UNAVAILABLE, details: 'the dev issuer is closing' }

/**
 * The Workload API for one workload (Workload API §4 to §6, Workload Endpoint §3; rules S-1 to S-13). The WIT calls are not in the
 * service, so grpc-js answers Unimplemented (S-12).
 */
export function workloadService(source: WorkloadSource): SpiffeWorkloadAPIServer {
  return {
    fetchX509Svid: (call) => serveStream(call, source, x509SvidMessage, (message) => X509SVIDResponse.encode(message).finish()),
    fetchX509Bundles: (call) => serveStream(call, source, x509BundlesMessage, (message) => X509BundlesResponse.encode(message).finish()),
    fetchJwtBundles: (call) => serveStream(call, source, jwtBundlesMessage, (message) => JWTBundlesResponse.encode(message).finish()),
    fetchJwtsvid: ({ metadata, request }, answer) => {
      const view = source.view()
      const refusal = refusalFor(metadata, view) ?? jwtRequestRefusal(request.audience, request.spiffeId, view?.svid.id)
      const key = view?.trust.get(view.trustDomain)?.jwtKey
      if (refusal !== undefined || view === undefined || key === undefined) return answer(refusal ?? NO_IDENTITY)
      const svid = signJwtSvid(view.svid.id, request.audience, key, source.now(), JWT_TTL_MS)
      answer(null, { svids: [{ spiffeId: view.svid.id, svid, hint: view.hint }] })
    },
    validateJwtsvid: ({ metadata, request }, answer) => {
      const view = source.view()
      const refusal = refusalFor(metadata, view)
      if (refusal !== undefined) return answer(refusal)
      const read = readJwtSvid(request.svid, request.audience, (name) => view?.trust.get(name)?.jwtKey, source.now())
      if (!read.ok) return answer({ code: status.INVALID_ARGUMENT, details: read.because })
      answer(null, { spiffeId: read.id.text, claims: { ...read.claims, aud: [...read.claims.aud] } })
    }
  }
}

/** The first message at once, a further one for each change of content, PermissionDenied as soon as the identity is gone (S-4, S-5, S-7). */
function serveStream<Message>(
  call: ServerWritableStream<unknown, Message>,
  source: WorkloadSource,
  messageOf: (view: WorkloadView) => Message,
  encode: (message: Message) => Uint8Array
): void {
  let sent: Uint8Array | undefined
  const end = (refusal: Refusal) => {
    stop()
    call.emit('error', refusal)
  }
  const send = () => {
    const view = source.view()
    const refusal = refusalFor(call.metadata, view)
    if (refusal !== undefined || view === undefined) return end(refusal ?? NO_IDENTITY)
    const message = messageOf(view)
    const bytes = encode(message)
    if (sent !== undefined && Buffer.compare(bytes, sent) === 0) return
    sent = bytes
    call.write(message)
  }
  const onClosing = () => end(CLOSING)
  const stopListening = source.onChange(send)
  const stop = () => {
    stopListening()
    source.closing.removeEventListener('abort', onClosing)
  }
  source.closing.addEventListener('abort', onClosing)
  call.once('cancelled', stop)
  send()
}

/** Exactly `true`, once (Workload Endpoint §3): anything else may be a request that a page or a proxy was tricked into (S-1). */
function refusalFor(metadata: Metadata, view: WorkloadView | undefined): Refusal | undefined {
  const values = metadata.get('workload.spiffe.io')
  if (values.length !== 1 || values[0] !== 'true') return NO_HEADER
  return view === undefined ? NO_IDENTITY : undefined
}

/** As SPIRE answers it (S-10). An empty `asked` means every identity, and there is one. */
function jwtRequestRefusal(audience: readonly string[], asked: string, own: string | undefined): Refusal | undefined {
  if (audience.length === 0 || audience.includes('')) return { code: status.INVALID_ARGUMENT, details: 'audience must be specified' }
  if (asked === '') return undefined
  if (!parseSpiffeId(asked).ok) return { code: status.INVALID_ARGUMENT, details: 'the requested SPIFFE ID is not valid' }
  return asked === own ? undefined : NO_IDENTITY
}

function x509SvidMessage(view: WorkloadView): X509SVIDResponse {
  const bundles = x509BundlesMessage(view).bundles
  const own = `spiffe://${view.trustDomain}`
  const { [own]: bundle = Buffer.alloc(0), ...federatedBundles } = bundles
  const svid = {
    spiffeId: view.svid.id,
    x509Svid: Buffer.concat(view.svid.chain),
    x509SvidKey: view.svid.key.export({ type: 'pkcs8', format: 'der' }),
    bundle,
    hint: view.hint
  }
  return { svids: [svid], crl: [], federatedBundles }
}

function x509BundlesMessage(view: WorkloadView): X509BundlesResponse {
  return { crl: [], bundles: Object.fromEntries(Array.from(view.trust, ([name, { roots }]) => [`spiffe://${name}`, Buffer.concat(roots)])) }
}

function jwtBundlesMessage(view: WorkloadView): JWTBundlesResponse {
  return { bundles: Object.fromEntries(Array.from(view.trust, ([name, { jwtKey }]) => [`spiffe://${name}`, jwkSet([jwtKey])])) }
}
