import { type ClientReadableStream, connectivityState, type Metadata, status } from '@grpc/grpc-js'
import type { SpiffeWorkloadAPIClient } from '@vecauthz/spiffe-protos/workload'
import { BACKOFF, type BackoffLimits } from './backoff.ts'
import type { EndpointAddress } from './endpoint-address.ts'
import { keepStream, type StreamFailure } from './stream-loop.ts'
import { securityHeader, statusName, workloadClient } from './workload-client.ts'

/** One whole state of a stream; immutable, swapped whole (rule A-18). */
export interface Snapshot {
  /** Grows with every change of content. */
  readonly generation: number
  /** When the Workload API last vouched for this state, milliseconds since the epoch: by a message, or by a stream that is still open. */
  readonly receivedAt: number
}

export type SourceEvent<S extends Snapshot> =
  | { readonly kind: 'updated'; readonly snapshot: S }
  /** The message was refused whole; the state before it stays. */
  | { readonly kind: 'message-dropped'; readonly because: string }
  /** A part of a good message was ignored; said once for each text. */
  | { readonly kind: 'warning'; readonly because: string }
  | { readonly kind: 'disconnected'; readonly code: number; readonly because: string; readonly retryInMs: number }
  /** PermissionDenied: the state is no longer used (rule A-5). */
  | { readonly kind: 'redacted'; readonly because: string; readonly retryInMs: number }
  /** There will be no further try (rules E-6, E-9). */
  | { readonly kind: 'failed'; readonly code: number; readonly because: string }

/**
 * - `waiting`: no state yet. - `live`: an open stream vouches for the state. - `stale`: there is a state, and its age grows: the
 * stream is broken, or what came last could not be used. - `denied`: redacted. - `failed`: no further try.
 */
type SourceState = 'waiting' | 'live' | 'stale' | 'denied' | 'failed' | 'closed'

export interface StreamSource<S extends Snapshot> {
  /** The state to use right now, or undefined: before the first message, after a redaction, after close. */
  readonly current: () => S | undefined
  /** For readiness: how the stream is, and the last thing that went wrong with it. */
  readonly state: () => { readonly state: SourceState; readonly because: string }
  /** Resolves with the first usable state. Rejects with a sentence after `timeoutMs`, after a permanent failure and after close. */
  readonly ready: (timeoutMs: number) => Promise<S>
  /** Called after each change of content, with undefined after a redaction. Returns the way to stop listening. */
  readonly onChange: (listener: (snapshot: S | undefined) => void) => () => void
  readonly close: () => void
}

export interface SourceOptions<S extends Snapshot> {
  readonly address: EndpointAddress
  /** Milliseconds since the epoch. */
  readonly now: () => number
  readonly onEvent: (event: SourceEvent<S>) => void
  /** In [0, 1); jitter of the back-off. */
  readonly random?: () => number
  readonly backoff?: BackoffLimits
}

/** What came of one message: nothing, the state that was there already, or a new one that waits for its number. */
export type MessageReading<S extends Snapshot> =
  | { readonly ok: true; readonly warnings: readonly string[]; readonly next: ((generation: number) => S) | undefined }
  | { readonly ok: false; readonly because: string }

/** What makes one stream of the Workload API different from another. */
export interface StreamKind<Message, S extends Snapshot> {
  /** In sentences: `No … from unix:///run/agent.sock`. */
  readonly what: string
  readonly open: (client: SpiffeWorkloadAPIClient, header: Metadata) => ClientReadableStream<Message>
  /** `before` is the state that the message would replace; undefined for none, and after a redaction. */
  readonly read: (message: Message, before: S | undefined, now: number) => MessageReading<S>
  /** The same content, vouched for at `now`. */
  readonly vouched: (snapshot: S, now: number) => S
}

/** An open stream vouches for the state that it brought; this often is enough for an age that is shown and compared in seconds. */
const VOUCH_MS = 1_000

/** Warnings said per source; the texts hold names from the agent, so their number is not ours. */
const WARNINGS_MAX = 100

/**
 * Keeps one stream of a SPIFFE Workload API open and its last good message at hand (Workload API §4; rules E-4 to E-13, A-1 to A-6,
 * It never throws after it was made: faults are events, and the state they leave is `current()`.
 *
 * What ends trust and what does not: PermissionDenied drops the state in the same moment, without a time of grace, because a deleted
 * registration entry is how an operator takes a workload out. An agent that cannot be reached takes nothing back: the last state
 * stays and its age grows; whoever uses it decides how old is too old.
 */
export function openSource<Message, S extends Snapshot>(kind: StreamKind<Message, S>, options: SourceOptions<S>): StreamSource<S> {
  return new WorkloadApiSource(kind, options)
}

class WorkloadApiSource<Message, S extends Snapshot> implements StreamSource<S> {
  readonly #kind: StreamKind<Message, S>
  readonly #options: SourceOptions<S>
  readonly #client: SpiffeWorkloadAPIClient
  readonly #stream: { readonly close: () => void }
  readonly #listeners = new Set<(snapshot: S | undefined) => void>()
  readonly #waiting = new Set<() => void>()
  readonly #said = new Set<string>()
  #snapshot: S | undefined
  #generation = 0
  #state: SourceState = 'waiting'
  #because = 'No message has come yet.'

  constructor(kind: StreamKind<Message, S>, options: SourceOptions<S>) {
    this.#kind = kind
    this.#options = options
    this.#client = workloadClient(options.address)
    this.#stream = keepStream<Message>({
      open: () => kind.open(this.#client, securityHeader()),
      isConnected: () => this.#client.getChannel().getConnectivityState(false) === connectivityState.READY,
      onMessage: (message) => this.#take(message),
      onFailure: (failure) => this.#fail(failure),
      backoff: options.backoff ?? BACKOFF,
      random: options.random ?? Math.random
    })
  }

  current = (): S | undefined => {
    const now = this.#options.now()
    if (this.#state === 'live' && this.#snapshot !== undefined && now - this.#snapshot.receivedAt >= VOUCH_MS) this.#vouch(now)
    return this.#snapshot
  }

  state = (): { readonly state: SourceState; readonly because: string } => ({ state: this.#state, because: this.#because })

  ready = (timeoutMs: number): Promise<S> =>
    new Promise((resolve, reject) => {
      const settle = () => {
        const snapshot = this.current()
        const over = this.#state === 'failed' || this.#state === 'closed'
        if (snapshot === undefined && !over) return
        clearTimeout(timer)
        this.#waiting.delete(settle)
        if (snapshot !== undefined) resolve(snapshot)
        else reject(new Error(`No ${this.#kind.what} from ${this.#options.address.text}: ${this.#because}`))
      }
      const timer = setTimeout(() => {
        this.#waiting.delete(settle)
        reject(new Error(`No ${this.#kind.what} from ${this.#options.address.text} within ${timeoutMs} ms: ${this.#because}`))
      }, timeoutMs)
      this.#waiting.add(settle)
      settle()
    })

  onChange = (listener: (snapshot: S | undefined) => void): (() => void) => {
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

  #take(message: Message): boolean {
    const now = this.#options.now()
    const reading = this.#kind.read(message, this.#snapshot, now)
    if (!reading.ok) {
      this.#doubt(reading.because, now)
      this.#options.onEvent({ kind: 'message-dropped', because: reading.because })
      return false
    }
    for (const because of reading.warnings) this.#warn(because)
    this.#become('live', 'The stream is open.')
    if (reading.next === undefined) {
      this.#vouch(now)
      return true
    }
    this.#generation += 1
    const snapshot = reading.next(this.#generation)
    this.#snapshot = snapshot
    this.#options.onEvent({ kind: 'updated', snapshot })
    this.#tell(snapshot)
    return true
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

  #become(state: SourceState, because: string): void {
    if (this.#state === 'closed') return
    this.#state = state
    this.#because = because
  }

  #vouch(now: number): void {
    if (this.#snapshot !== undefined) this.#snapshot = this.#kind.vouched(this.#snapshot, now)
  }

  #warn(because: string): void {
    if (this.#said.has(because) || this.#said.size >= WARNINGS_MAX) return
    this.#said.add(because)
    this.#options.onEvent({ kind: 'warning', because })
  }

  #tell(snapshot: S | undefined): void {
    for (const settle of this.#waiting) settle()
    for (const listener of this.#listeners) listener(snapshot)
  }
}
