/** The port on which Envoy tells of answers: gRPC over mTLS, judged as the ext_authz port is, and only the listed Envoys may tell. */
import * as grpc from '@grpc/grpc-js'
import { readAccessLog, type SeenAnswer } from './access-log.ts'
import { type Listener, type ListenerOptions, listen, type OwnPem } from './listener.ts'

export interface AccessLogOptions extends Omit<ListenerOptions, 'accept'> {
  readonly onSeen: (seen: SeenAnswer, envoy: string) => void
  /** A message that is none, or a fault of whoever takes it. */
  readonly onFault: (because: string) => void
  readonly connectionAgeMs: number
}

export interface AccessLogServer {
  readonly port: number
  readonly renew: (own: OwnPem) => void
  readonly close: () => void
}

/** Envoy flushes at 16 KiB unless told otherwise. */
const MESSAGE_BYTES_MAX = 1024 * 1024
const raw = (bytes: Buffer) => bytes
const service: grpc.ServiceDefinition = {
  streamAccessLogs: {
    path: '/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs',
    requestStream: true,
    responseStream: false,
    requestSerialize: raw,
    requestDeserialize: raw,
    responseSerialize: raw,
    responseDeserialize: raw
  }
}

export async function startAccessLogServer(own: OwnPem, options: AccessLogOptions): Promise<AccessLogServer> {
  const server = new grpc.Server({
    'grpc.enable_channelz': 0,
    'grpc.max_connection_age_ms': options.connectionAgeMs,
    'grpc.max_connection_age_grace_ms': 5_000,
    'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
    'grpc.max_concurrent_streams': 64
  })
  let listener: Listener | undefined
  server.addService(service, {
    streamAccessLogs(call: grpc.ServerReadableStream<Buffer, Buffer>, callback: grpc.sendUnaryData<Buffer>) {
      call.on('data', (message: Buffer) => {
        // At each message: an SVID ends, and bundles change, while the stream stays open.
        const envoy = listener?.peerOf(call.getPeer())
        if (envoy?.ok !== true) return void call.destroy(new Error('who tells this is not proven'))
        take(message, envoy.id, options)
      })
      call.on('end', () => callback(null, Buffer.alloc(0)))
      call.on('error', () => undefined)
    }
  })
  const injector = server.createConnectionInjector(grpc.ServerCredentials.createInsecure())
  listener = await listen(own, { ...options, accept: (socket) => injector.injectConnection(socket) })
  const { port, renew } = listener
  return {
    port,
    renew,
    close() {
      listener?.close()
      server.forceShutdown()
    }
  }
}

function take(message: Buffer, envoy: string, { onSeen, onFault }: AccessLogOptions): void {
  const seen = readAccessLog(message)
  if (seen === undefined) onFault(`${envoy} sent something that is no access log`)
  for (const one of seen ?? []) {
    try {
      onSeen(one, envoy)
    } catch (cause) {
      onFault(cause instanceof Error ? cause.message : String(cause))
    }
  }
}
