/** The ext_authz service: grpc-js behind our own TLS, with health, connection age and drain. */
import * as grpc from '@grpc/grpc-js'
import { HealthImplementation } from 'grpc-health-check'
import type { Decider } from './decide.ts'
import { type Listener, type ListenerOptions, listen, type OwnPem } from './listener.ts'

const SERVICE = 'envoy.service.auth.v3.Authorization'

export interface ServerOptions extends Omit<ListenerOptions, 'accept'> {
  readonly decider: Decider
  /** Connections are asked to end after about this long: below half the lifetime of the SVIDs, so that no expired one is met. */
  readonly connectionAgeMs: number
  readonly messageBytesMax: number
  /** Envoy's trace is looked at. */
  readonly isTraced?: boolean
}

export interface AuthzServer {
  readonly port: number
  readonly setReady: (ready: boolean) => void
  readonly renew: (own: OwnPem) => void
  /** Stops accepting, lets what is under way finish, and ends after `graceMs` at the latest. */
  readonly drain: (graceMs: number) => Promise<void>
}

/**
 * What grpc-js keeps of a call for as long as it keeps the call, which outlives young collections: its message, of some 20 kB, is taken
 * out to be judged. Kept, messages fill the memory beside the heap until the whole heap has to be collected.
 */
interface Asked {
  message: Buffer
}

const NOTHING = Buffer.alloc(0)

function taken(asked: Asked): Buffer {
  const { message } = asked
  asked.message = NOTHING
  return message
}

/** Buffers go in and out untouched: reading the message is `check-request.ts`, writing it `check-response.ts`. */
const raw = (bytes: Buffer) => bytes
const authorization: grpc.ServiceDefinition = {
  check: {
    path: `/${SERVICE}/Check`,
    requestStream: false,
    responseStream: false,
    requestSerialize: ({ message }: Asked) => message,
    requestDeserialize: (message: Buffer): Asked => ({ message }),
    responseSerialize: raw,
    responseDeserialize: raw
  }
}

export async function startServer(own: OwnPem, options: ServerOptions): Promise<AuthzServer> {
  const server = new grpc.Server({
    'grpc.enable_channelz': 0,
    'grpc.max_connection_age_ms': options.connectionAgeMs,
    'grpc.max_connection_age_grace_ms': 5_000,
    'grpc.max_receive_message_length': options.messageBytesMax,
    'grpc.max_concurrent_streams': 1_024
  })
  let listener: Listener | undefined
  server.addService(authorization, {
    check: (call: grpc.ServerUnaryCall<Asked, Buffer>, callback: grpc.sendUnaryData<Buffer>) => {
      const envoy = listener?.peerOf(call.getPeer()) ?? { ok: false as const, because: 'the port is not open yet' }
      const parent = options.isTraced === true ? String(call.metadata.get('traceparent')[0] ?? '') : undefined
      const verdict = options.decider.decide(taken(call.request), envoy, Number(call.getDeadline()), parent)
      if (verdict instanceof Promise) void verdict.then((bytes) => callback(null, bytes))
      else callback(null, verdict)
    }
  })
  const health = new HealthImplementation({ '': 'NOT_SERVING', [SERVICE]: 'NOT_SERVING' })
  health.addToServer(server)
  const injector = server.createConnectionInjector(grpc.ServerCredentials.createInsecure())
  listener = await listen(own, { ...options, accept: (socket) => injector.injectConnection(socket) })
  return {
    port: listener.port,
    setReady(ready) {
      for (const name of ['', SERVICE]) health.setStatus(name, ready ? 'SERVING' : 'NOT_SERVING')
    },
    renew: listener.renew,
    drain: (graceMs) => drain(server, injector, listener as Listener, graceMs)
  }
}

/**
 * grpc-js says that it is done as soon as its sessions were told to close, and calls that came before are still answered then (tried):
 * it is over when the connections are.
 */
async function drain(server: grpc.Server, injector: grpc.ConnectionInjector, listener: Listener, graceMs: number): Promise<void> {
  listener.close()
  await new Promise<void>((resolve) => {
    const timer = setTimeout(() => {
      server.forceShutdown()
      // That alone leaves the sessions of an injector as they are.
      injector.drain(0)
      void listener.empty().then(resolve)
    }, graceMs)
    server.tryShutdown(() => {
      void listener.empty().then(() => {
        clearTimeout(timer)
        resolve()
      })
    })
  })
}
