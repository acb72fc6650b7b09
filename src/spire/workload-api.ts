import { ChannelCredentials, type ClientOptions, connectivityState, Metadata, status } from '@grpc/grpc-js'
import { SpiffeWorkloadAPIClient, type X509SVIDResponse } from '@vecauthz/spiffe-protos/workload'
import type { TrustBundles } from '../core/trust.ts'
import { BACKOFF, type BackoffLimits } from './backoff.ts'
import type { EndpointAddress } from './endpoint-address.ts'
import { keepStream, type StreamFailure } from './stream-loop.ts'
import { type OwnSvid, readX509Message, sameAnchors, sameCertificates, type TrustMap, type VerifyChain } from './x509-message.ts'

/** One whole state of the Workload API; immutable, swapped whole (rule A-18). */
export interface SvidSnapshot {
  /** Grows with every change of content, ours or the bundles'. */
  readonly generation: number
  readonly svid: OwnSvid
  /** Own and federated trust domains. Its generation grows with the bundles only, so that our own rotation empties no cache. */
  readonly bundles: TrustBundles
  /** When the Workload API last vouched for this state, milliseconds since the epoch: by a message, or by a stream that is still open. */
  readonly receivedAt: number
}

export type WorkloadApiEvent =
  | { readonly kind: 'updated'; readonly snapshot: SvidSnapshot }
  /** The message was refused whole; the state before it stays. */
  | { readonly kind: 'message-dropped'; readonly because: string }
  /** A part of a good message was ignored; said once for each text. */
  | { readonly kind: 'warning'; readonly because: string }
  | { readonly kind: 'disconnected'; readonly code: number; readonly because: string; readonly retryInMs: number }
  /** PermissionDenied: SVID and bundles are no longer used (rule A-5). */
  | { readonly kind: 'redacted'; readonly because: string; readonly retryInMs: number }
  /** There will be no further try (rules E-6, E-9). */
  | { readonly kind: 'failed'; readonly code: number; readonly because: string }

/**
 * - `waiting`: no state yet. - `live`: an open stream vouches for the state. - `stale`: there is a state, and its age grows: the
 * stream is broken, or what came last could not be used. - `denied`: redacted. - `failed`: no further try.
 */
type SvidSourceState = 'waiting' | 'live' | 'stale' | 'denied' | 'failed' | 'closed'

export interface SvidSource {
  /** The state to use right now, or undefined: before the first message, after a redaction, after close. */
  readonly current: () => SvidSnapshot | undefined
  /** For readiness: how the stream is, and the last thing that went wrong with it. */
  readonly state: () => { readonly state: SvidSourceState; readonly because: string }
  /** Resolves with the first usable state. Rejects with a sentence after `timeoutMs`, after a permanent failure and after close. */
  readonly ready: (timeoutMs: number) => Promise<SvidSnapshot>
  /** Called after each change of content, with undefined after a redaction. Returns the way to stop listening. */
  readonly onChange: (listener: (snapshot: SvidSnapshot | undefined) => void) => () => void
  readonly close: () => void
}

export interface WorkloadApiOptions {
  readonly address: EndpointAddress
  readonly verify: VerifyChain
  /** Milliseconds since the epoch. */
  readonly now: () => number
  readonly onEvent: (event: WorkloadApiEvent) => void
  /** In [0, 1); jitter of the back-off. */
  readonly random?: () => number
  readonly backoff?: BackoffLimits
}

/** Workload Endpoint §3: the header that a browser or a proxy would not send by accident. */
const SECURITY_HEADER = 'workload.spiffe.io'

/** An open stream vouches for the state that it brought; this often is enough for an age that is shown and compared in seconds. */
const VOUCH_MS = 1_000

/** Warnings said per source; the texts hold names from the agent, so their number is not ours. */
const WARNINGS_MAX = 100

const CHANNEL: ClientOptions = {
  // With the defaults a client came back 44 s after its agent did, however often it asked (rule E-13).
  'grpc.initial_reconnect_backoff_ms': 200,
  'grpc.max_reconnect_backoff_ms': 600,
  // Subchannels are shared between clients otherwise, and so is another client's back-off.
  'grpc.use_local_subchannel_pool': 1,
  // A frozen agent keeps its socket open. grpc-go, which SPIRE is built on, hangs up on pings more often than every 5 minutes.
  'grpc.keepalive_time_ms': 330_000,
  'grpc.keepalive_timeout_ms': 10_000,
  // Private keys come this way: never through what http_proxy names.
  'grpc.enable_http_proxy': 0
}

/**
 * Keeps this process's X.509-SVID and the trust bundles current from a SPIFFE Workload API (Workload API §4, §5; rules E-4 to
 * E-13 and ). It never throws after it was made: faults are events, and the state they leave is `current()`.
 *
 * What ends trust and what does not: PermissionDenied drops SVID and bundles in the same moment, without a time of grace, because
 * a deleted registration entry is how an operator takes a workload out. An agent that cannot be reached takes nothing back: the
 * last state stays and its age grows; whoever uses it decides how old is too old.
 */
export function connectWorkloadApi(options: WorkloadApiOptions): SvidSource {
  return new WorkloadApiSource(options)
}

class WorkloadApiSource implements SvidSource {
  readonly #options: WorkloadApiOptions
  readonly #client: SpiffeWorkloadAPIClient
  readonly #stream: { readonly close: () => void }
  readonly #listeners = new Set<(snapshot: SvidSnapshot | undefined) => void>()
  readonly #waiting = new Set<() => void>()
  readonly #said = new Set<string>()
  #snapshot: SvidSnapshot | undefined
  #generation = 0
  #bundleGeneration = 0
  #state: SvidSourceState = 'waiting'
  #because = 'No message has come yet.'

  constructor(options: WorkloadApiOptions) {
    this.#options = options
    this.#client = new SpiffeWorkloadAPIClient(options.address.target, ChannelCredentials.createInsecure(), CHANNEL)
    this.#stream = keepStream<X509SVIDResponse>({
      open: () => this.#client.fetchX509Svid({}, securityHeader()),
      isConnected: () => this.#client.getChannel().getConnectivityState(false) === connectivityState.READY,
      onMessage: (message) => this.#take(message),
      onFailure: (failure) => this.#fail(failure),
      backoff: options.backoff ?? BACKOFF,
      random: options.random ?? Math.random
    })
  }

  current = (): SvidSnapshot | undefined => {
    const now = this.#options.now()
    if (this.#state === 'live' && this.#snapshot !== undefined && now - this.#snapshot.receivedAt >= VOUCH_MS) this.#vouch(now)
    return this.#snapshot
  }

  state = (): { readonly state: SvidSourceState; readonly because: string } => ({ state: this.#state, because: this.#because })

  ready = (timeoutMs: number): Promise<SvidSnapshot> =>
    new Promise((resolve, reject) => {
      const settle = () => {
        const snapshot = this.current()
        const over = this.#state === 'failed' || this.#state === 'closed'
        if (snapshot === undefined && !over) return
        clearTimeout(timer)
        this.#waiting.delete(settle)
        if (snapshot !== undefined) resolve(snapshot)
        else reject(new Error(`No SVID from ${this.#options.address.text}: ${this.#because}`))
      }
      const timer = setTimeout(() => {
        this.#waiting.delete(settle)
        reject(new Error(`No SVID from ${this.#options.address.text} within ${timeoutMs} ms: ${this.#because}`))
      }, timeoutMs)
      this.#waiting.add(settle)
      settle()
    })

  onChange = (listener: (snapshot: SvidSnapshot | undefined) => void): (() => void) => {
    this.#listeners.add(listener)
    return () => {
      this.#listeners.delete(listener)
    }
  }

  close = (): void => {
    if (this.#state === 'closed') return
    this.#become('closed', 'The Workload API client was closed.')
    this.#snapshot = undefined
    this.#stream.close()
    this.#client.close()
    this.#listeners.clear()
    for (const settle of this.#waiting) settle()
  }

  #take(message: X509SVIDResponse): boolean {
    const now = this.#options.now()
    const before = this.#snapshot
    const reading = readX509Message(message, { verify: this.#options.verify, bundlesOf: (anchors) => this.#number(anchors, now), now })
    if (!reading.ok) {
      this.#doubt(reading.because, now)
      this.#options.onEvent({ kind: 'message-dropped', because: reading.because })
      return false
    }
    for (const because of reading.warnings) this.#warn(because)
    this.#become('live', 'The stream is open.')
    const { svid, bundles } = reading
    if (before !== undefined && bundles.generation === before.bundles.generation && sameSvid(svid, before.svid)) {
      this.#vouch(now)
      return true
    }
    this.#generation += 1
    const snapshot: SvidSnapshot = Object.freeze({ generation: this.#generation, svid, bundles, receivedAt: now })
    this.#snapshot = snapshot
    this.#options.onEvent({ kind: 'updated', snapshot })
    this.#tell(snapshot)
    return true
  }

  /** A number is spent even when the message is then dropped: no cache may ever see one number on two different sets of anchors. */
  #number(anchors: TrustMap, now: number): TrustBundles {
    const before = this.#snapshot?.bundles
    if (before !== undefined && sameAnchors(before.x509, anchors)) return { ...before, receivedAt: now }
    this.#bundleGeneration += 1
    return Object.freeze({ generation: this.#bundleGeneration, x509: anchors, receivedAt: now })
  }

  #fail({ code, because, retryInMs }: StreamFailure): void {
    if (retryInMs === undefined) {
      this.#become('failed', `The Workload API refused for good (${statusName(code)}): ${because}`)
      this.#options.onEvent({ kind: 'failed', code, because })
      for (const settle of this.#waiting) settle()
    } else if (code === status.PERMISSION_DENIED) {
      const had = this.#snapshot !== undefined
      this.#become('denied', `The Workload API has no identity for this process (${because}): is there a registration entry for it?`)
      this.#snapshot = undefined
      this.#options.onEvent({ kind: 'redacted', because, retryInMs })
      if (had) this.#tell(undefined)
    } else {
      this.#doubt(`The Workload API is not available (${statusName(code)}): ${because}`, this.#options.now())
      this.#options.onEvent({ kind: 'disconnected', code, because, retryInMs })
    }
  }

  /** Nobody vouches for the state any more: from here on it ages. */
  #doubt(because: string, now: number): void {
    if (this.#state === 'live') this.#vouch(now)
    this.#become(this.#snapshot === undefined ? 'waiting' : 'stale', because)
  }

  #become(state: SvidSourceState, because: string): void {
    if (this.#state === 'closed') return
    this.#state = state
    this.#because = because
  }

  #vouch(now: number): void {
    const snapshot = this.#snapshot
    if (snapshot === undefined) return
    const bundles = Object.freeze({ ...snapshot.bundles, receivedAt: now })
    this.#snapshot = Object.freeze({ ...snapshot, bundles, receivedAt: now })
  }

  #warn(because: string): void {
    if (this.#said.has(because) || this.#said.size >= WARNINGS_MAX) return
    this.#said.add(because)
    this.#options.onEvent({ kind: 'warning', because })
  }

  #tell(snapshot: SvidSnapshot | undefined): void {
    for (const settle of this.#waiting) settle()
    for (const listener of this.#listeners) listener(snapshot)
  }
}

function securityHeader(): Metadata {
  const metadata = new Metadata()
  metadata.set(SECURITY_HEADER, 'true')
  return metadata
}

function sameSvid(a: OwnSvid, b: OwnSvid): boolean {
  return a.hint === b.hint && a.id.text === b.id.text && a.key.equals(b.key) && sameCertificates(a.certificates, b.certificates)
}

function statusName(code: number): string {
  return status[code] ?? `status ${code}`
}
