import { ChannelCredentials, type ClientOptions, Metadata, status } from '@grpc/grpc-js'
import { SpiffeWorkloadAPIClient } from '@vecauthz/spiffe-protos/workload'
import type { EndpointAddress } from './endpoint-address.ts'

/** Workload Endpoint §3: the header that a browser or a proxy would not send by accident. */
const SECURITY_HEADER = 'workload.spiffe.io'

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

/** A client that is not connected yet. Workload Endpoint §3.1: there is no TLS on this socket (rule E-5). */
export function workloadClient(address: EndpointAddress): SpiffeWorkloadAPIClient {
  return new SpiffeWorkloadAPIClient(address.target, ChannelCredentials.createInsecure(), CHANNEL)
}

/** What goes with every call (rule E-4). */
export function securityHeader(): Metadata {
  const metadata = new Metadata()
  metadata.set(SECURITY_HEADER, 'true')
  return metadata
}

export function statusName(code: number): string {
  return status[code] ?? `status ${code}`
}
