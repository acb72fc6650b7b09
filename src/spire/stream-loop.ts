import { type ClientReadableStream, status } from '@grpc/grpc-js'
import { type BackoffLimits, backoffMs } from './backoff.ts'

export interface StreamFailure {
  /** gRPC status; OK (0) for a stream that the server ended cleanly, which is a failure too: these streams have no end. */
  readonly code: number
  readonly because: string
  /** Milliseconds until the next try; undefined when there will be none (rules E-6, E-9). */
  readonly retryInMs: number | undefined
}

export interface StreamLoopOptions<Message> {
  readonly open: () => ClientReadableStream<Message>
  /** True while there is a connection: tells an agent that refuses from an agent that is not there. */
  readonly isConnected: () => boolean
  /** Returns whether the message was good; only a good one resets the back-off (rule E-11). */
  readonly onMessage: (message: Message) => boolean
  readonly onFailure: (failure: StreamFailure) => void
  readonly backoff: BackoffLimits
  /** In [0, 1). */
  readonly random: () => number
}

/** Statuses that no repetition changes: a wrong request, or an RPC that the server does not have. */
const FINAL: ReadonlySet<number> = new Set([status.INVALID_ARGUMENT, status.UNIMPLEMENTED])

/** Keeps one server stream open until it is closed or ends for good: one retry per failure, whatever events that failure emits (E-12). */
export function keepStream<Message>(options: StreamLoopOptions<Message>): { readonly close: () => void } {
  const { backoff } = options
  let closed = false
  let stream: ClientReadableStream<Message> | undefined
  let timer: NodeJS.Timeout | undefined
  let failures = 0
  let lastMost = 0

  const fail = (code: number, because: string) => {
    stream = undefined
    if (closed) return
    if (FINAL.has(code)) {
      options.onFailure({ code, because, retryInMs: undefined })
      return
    }
    const most = mostFor(code, options.isConnected(), backoff)
    // An agent that comes back after an hour of absence and is not yet ready must not inherit that hour's back-off.
    failures = most === lastMost ? failures + 1 : 1
    lastMost = most
    const retryInMs = backoffMs(failures, backoff.firstMs, most, options.random())
    timer = setTimeout(start, retryInMs)
    options.onFailure({ code, because, retryInMs })
  }

  const start = () => {
    const opened = options.open()
    stream = opened
    listen(opened, {
      isCurrent: () => stream === opened && !closed,
      onMessage: (message) => {
        if (options.onMessage(message)) failures = 0
      },
      onEnd: fail
    })
  }

  start()
  return {
    close: () => {
      closed = true
      clearTimeout(timer)
      stream?.cancel()
    }
  }
}

interface Listeners<Message> {
  readonly isCurrent: () => boolean
  readonly onMessage: (message: Message) => void
  readonly onEnd: (code: number, because: string) => void
}

function listen<Message>(stream: ClientReadableStream<Message>, { isCurrent, onMessage, onEnd }: Listeners<Message>): void {
  // One failure is seen as error, status, end and close (grpc-js 1.14): the first of them takes the stream out of `isCurrent`.
  const end = (code: number, because: string) => {
    if (isCurrent()) onEnd(code, because)
  }
  stream.on('data', (message: Message) => {
    if (isCurrent()) onMessage(message)
  })
  stream.on('error', (error: Error & { code?: number; details?: string }) =>
    end(error.code ?? status.UNKNOWN, error.details === undefined || error.details === '' ? error.message : error.details)
  )
  stream.on('status', ({ code, details }: { code: number; details: string }) =>
    end(code, code === status.OK ? 'The server ended the stream.' : details)
  )
  stream.on('close', () => end(status.UNKNOWN, 'The stream closed without a status.'))
}

function mostFor(code: number, connected: boolean, backoff: BackoffLimits): number {
  if (code === status.PERMISSION_DENIED) return backoff.deniedMs
  return code === status.UNAVAILABLE && !connected ? backoff.unreachableMs : backoff.mostMs
}
