import { rmSync } from 'node:fs'
import { Server, ServerCredentials, type ServerWritableStream, type sendUnaryData, status } from '@grpc/grpc-js'
import {
  type JWTBundlesResponse,
  type JWTSVIDRequest,
  type JWTSVIDResponse,
  SpiffeWorkloadAPIClient,
  type X509SVID,
  type X509SVIDResponse
} from '@vecauthz/spiffe-protos/workload'
import type { Authority, Svid } from '../support/ca.ts'

/** What the fake does with the next calls of a stream; the last one stays in force. */
export type Behaviour<Message = X509SVIDResponse> =
  | { readonly kind: 'messages'; readonly messages: readonly Message[]; readonly ending?: 'end' | 'stay' | Ending }
  | { readonly kind: 'garbage' }

export interface Ending {
  readonly code: status
  readonly details: string
}

export interface FakeStream<Message> {
  /** Metadata value of `workload.spiffe.io` of every call so far. */
  readonly calls: (readonly string[])[]
  /** Calls that are open right now. */
  readonly open: ReadonlySet<unknown>
  /** Milliseconds since the epoch of each call. */
  readonly times: number[]
  readonly behave: (...behaviours: readonly Behaviour<Message>[]) => void
  /** Sends on every open stream. */
  readonly send: (message: Message) => void
  /** Ends every open stream. */
  readonly end: (ending: Ending | 'end') => void
}

export interface FakeJwtSvid {
  /** The same metadata value, and what was asked. */
  readonly calls: { readonly header: readonly string[]; readonly request: JWTSVIDRequest }[]
  readonly behave: (answer: (request: JWTSVIDRequest) => JWTSVIDResponse | Ending) => void
}

/** FetchX509SVID itself, and the other calls beside it. */
export interface FakeWorkloadApi extends FakeStream<X509SVIDResponse> {
  readonly jwtBundles: FakeStream<JWTBundlesResponse>
  readonly jwtSvid: FakeJwtSvid
  /** Kills every connection and removes the socket, as an agent that dies. */
  readonly stop: () => void
}

/** A Workload API on a real unix socket that says what it is told to; nothing of it is shared with `src/spire`. */
export async function startFake(path: string, ...behaviours: readonly Behaviour[]): Promise<FakeWorkloadApi> {
  const server = new Server()
  const { fetchX509Svid, fetchJwtBundles } = SpiffeWorkloadAPIClient.service
  const x509 = serveStream(server, fetchX509Svid)
  const jwtBundles = serveStream(server, fetchJwtBundles)
  const jwtSvid = serveJwtSvid(server)
  x509.behave(...behaviours)
  rmSync(path, { force: true })
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (error) => (error === null ? resolve() : reject(error)))
  })
  return {
    ...x509,
    jwtBundles,
    jwtSvid,
    stop: () => {
      server.forceShutdown()
      rmSync(path, { force: true })
    }
  }
}

const GARBAGE = Buffer.from([0x0a, 0x7f])

interface StreamMethod<Message> {
  readonly path: string
  readonly requestDeserialize: (bytes: Buffer) => unknown
  readonly responseSerialize: (message: Message) => Buffer
}

function serveStream<Message>(server: Server, method: StreamMethod<Message>): FakeStream<Message> {
  type Stream = ServerWritableStream<unknown, Message>
  let queue: Behaviour<Message>[] = []
  const calls: (readonly string[])[] = []
  const times: number[] = []
  const open = new Set<Stream>()
  const raw = Symbol('garbage')
  const finish = (call: Stream, how: 'end' | 'stay' | Ending) => {
    if (how === 'stay') return
    open.delete(call)
    if (how === 'end') call.end()
    else call.emit('error', how)
  }
  server.register(
    method.path,
    (call: Stream) => {
      calls.push(call.metadata.get('workload.spiffe.io').map(String))
      times.push(Date.now())
      open.add(call)
      call.on('cancelled', () => open.delete(call))
      const behaviour = queue.length > 1 ? queue.shift() : queue[0]
      if (behaviour === undefined) return
      if (behaviour.kind === 'garbage') {
        call.write(raw as unknown as Message)
        call.end()
        return
      }
      for (const message of behaviour.messages) call.write(message)
      finish(call, behaviour.ending ?? 'stay')
    },
    (message) => (message === (raw as unknown) ? GARBAGE : method.responseSerialize(message as Message)),
    method.requestDeserialize,
    'serverStream'
  )
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
    }
  }
}

function serveJwtSvid(server: Server): FakeJwtSvid {
  const { fetchJwtsvid } = SpiffeWorkloadAPIClient.service
  const calls: FakeJwtSvid['calls'] = []
  let answer: (request: JWTSVIDRequest) => JWTSVIDResponse | Ending = () => denied
  server.register(
    fetchJwtsvid.path,
    (call: { metadata: { get: (name: string) => unknown[] }; request: JWTSVIDRequest }, done: sendUnaryData<JWTSVIDResponse>) => {
      calls.push({ header: call.metadata.get('workload.spiffe.io').map(String), request: call.request })
      const said = answer(call.request)
      if ('code' in said) done(said)
      else done(null, said)
    },
    fetchJwtsvid.responseSerialize,
    fetchJwtsvid.requestDeserialize,
    'unary'
  )
  return {
    calls,
    behave: (next) => {
      answer = next
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

/** A FetchJWTBundles message: trust domain SPIFFE ID to its JWKs, or to a document as it is. */
export function jwtMessage(sets: Readonly<Record<string, readonly unknown[] | string>>): JWTBundlesResponse {
  const document = (set: readonly unknown[] | string) => Buffer.from(typeof set === 'string' ? set : JSON.stringify({ keys: set }))
  return { bundles: Object.fromEntries(Object.entries(sets).map(([name, set]) => [name, document(set)])) }
}

export const denied: Ending = { code: status.PERMISSION_DENIED, details: 'no identity issued' }
export const unavailable: Ending = { code: status.UNAVAILABLE, details: 'the agent is starting' }
