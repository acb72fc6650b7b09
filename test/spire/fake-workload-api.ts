import { rmSync } from 'node:fs'
import { Server, ServerCredentials, type ServerWritableStream, status } from '@grpc/grpc-js'
import { SpiffeWorkloadAPIClient, type X509SVID, type X509SVIDResponse } from '@vecauthz/spiffe-protos/workload'
import type { Authority, Svid } from '../support/ca.ts'

type Stream = ServerWritableStream<unknown, X509SVIDResponse>

/** What the fake does with the next FetchX509SVID calls; the last one stays in force. */
export type Behaviour =
  | { readonly kind: 'messages'; readonly messages: readonly X509SVIDResponse[]; readonly ending?: 'end' | 'stay' | Ending }
  | { readonly kind: 'garbage' }

export interface Ending {
  readonly code: status
  readonly details: string
}

export interface FakeWorkloadApi {
  /** Metadata value of `workload.spiffe.io` of every FetchX509SVID call so far. */
  readonly calls: (readonly string[])[]
  /** Calls that are open right now. */
  readonly open: ReadonlySet<unknown>
  /** Milliseconds since the epoch of each call. */
  readonly times: number[]
  readonly behave: (...behaviours: readonly Behaviour[]) => void
  /** Sends on every open stream. */
  readonly send: (message: X509SVIDResponse) => void
  /** Ends every open stream. */
  readonly end: (ending: Ending | 'end') => void
  /** Kills every connection and removes the socket, as an agent that dies. */
  readonly stop: () => void
}

/** A Workload API on a real unix socket that says what it is told to; nothing of it is shared with `src/spire`. */
export async function startFake(path: string, ...behaviours: readonly Behaviour[]): Promise<FakeWorkloadApi> {
  let queue = [...behaviours]
  const calls: (readonly string[])[] = []
  const times: number[] = []
  const open = new Set<Stream>()
  const server = new Server()
  const { fetchX509Svid } = SpiffeWorkloadAPIClient.service
  const raw = Symbol('garbage')
  server.register(
    fetchX509Svid.path,
    (call: Stream) => {
      calls.push(call.metadata.get('workload.spiffe.io').map(String))
      times.push(Date.now())
      open.add(call)
      call.on('cancelled', () => open.delete(call))
      const behaviour = queue.length > 1 ? queue.shift() : queue[0]
      if (behaviour === undefined) return
      if (behaviour.kind === 'garbage') {
        call.write(raw as unknown as X509SVIDResponse)
        call.end()
        return
      }
      for (const message of behaviour.messages) call.write(message)
      finish(call, behaviour.ending ?? 'stay')
    },
    (message) => (message === (raw as unknown) ? Buffer.from([0x0a, 0x7f]) : fetchX509Svid.responseSerialize(message as X509SVIDResponse)),
    fetchX509Svid.requestDeserialize,
    'serverStream'
  )
  const finish = (call: Stream, how: 'end' | 'stay' | Ending) => {
    if (how === 'stay') return
    open.delete(call)
    if (how === 'end') call.end()
    else call.emit('error', how)
  }
  rmSync(path, { force: true })
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (error) => (error === null ? resolve() : reject(error)))
  })
  return {
    calls,
    open,
    times,
    behave: (...next) => {
      queue = [...next]
    },
    send: (message) => {
      for (const call of open) call.write(message)
    },
    end: (ending) => {
      for (const call of open) finish(call, ending)
    },
    stop: () => {
      server.forceShutdown()
      rmSync(path, { force: true })
    }
  }
}

export function svidMessage(svid: Svid, authority: Authority, changes: Partial<X509SVID> = {}): X509SVID {
  return {
    spiffeId: svid.id,
    x509Svid: Buffer.concat(svid.chain),
    x509SvidKey: Buffer.from(svid.keyDer),
    bundle: Buffer.from(authority.root),
    hint: '',
    ...changes
  }
}

export function response(
  svids: readonly X509SVID[],
  federated: Readonly<Record<string, Uint8Array>> = {},
  crl: readonly Buffer[] = []
): X509SVIDResponse {
  return {
    svids: [...svids],
    crl: [...crl],
    federatedBundles: Object.fromEntries(Object.entries(federated).map(([key, value]) => [key, Buffer.from(value)]))
  }
}

export const denied: Ending = { code: status.PERMISSION_DENIED, details: 'no identity issued' }
export const unavailable: Ending = { code: status.UNAVAILABLE, details: 'the agent is starting' }
