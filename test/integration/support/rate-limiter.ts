import { Server, ServerCredentials } from '@grpc/grpc-js'
import { chunk, number } from '../../databases/protobuf-write.ts'

/** A rate limit service that never limits anybody, and adds a header to each request that it is asked about. */
export async function startRateLimiter(
  name: string,
  value: string
): Promise<{ readonly port: number; readonly stop: () => Promise<void> }> {
  const server = new Server()
  const bytes = (one: Buffer) => one
  const header = Buffer.concat([chunk(1, name), chunk(2, value)])
  // RateLimitResponse: overall_code OK, request_headers_to_add.
  const answer = Buffer.concat([number(1, 1), chunk(4, header)])
  const definition = {
    path: '/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit',
    requestStream: false,
    responseStream: false,
    requestSerialize: bytes,
    requestDeserialize: bytes,
    responseSerialize: bytes,
    responseDeserialize: bytes
  } as const
  server.addService(
    { ShouldRateLimit: definition },
    { ShouldRateLimit: (_: unknown, done: (error: null, one: Buffer) => void) => done(null, answer) }
  )
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => (error === null ? resolve(port) : reject(error)))
  return { port: await promise, stop: async () => server.forceShutdown() }
}
