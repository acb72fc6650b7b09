/** Envoy's request with the lies removed. Nothing else of Envoy's message goes further than this. */
export interface Inbound {
  /** As on the wire, case kept: compared with upper case only. */
  readonly method: string
  /** The raw request target: path and query exactly as Envoy forwards it. */
  readonly target: string
  /** `:authority` or `Host`, as Envoy forwards it. */
  readonly authority: string
  /** Lower-cased names, one value each: a repeated header that could change meaning never gets here. */
  readonly headers: ReadonlyMap<string, string>
  /** The exact body bytes; undefined when the request had none. */
  readonly body: Uint8Array | undefined
  /** Most bytes that a body may have here, unpacked; BODY_BYTES_MAX where the port does not say. */
  readonly bodyBytesMax?: number
  /** URL-encoded PEM of the TLS peer's leaf as Envoy saw it, or undefined on a connection without one. */
  readonly peerCertificate: string | undefined
  /** Envoy's idea of the peer; a name to compare with, never an identity. */
  readonly peerPrincipal: string | undefined
  /** Envoy's stream id: equal for the repeats of one check. */
  readonly httpId: string
  /** True when the content type is one of gRPC's: then denials carry `grpc-status`. */
  readonly grpc: boolean
  /** Names of permanent database credentials that the client sent and Envoy already took away. */
  readonly strippedCredentials: readonly string[]
}
