/**
 * What may vouch for whom: the X.509 trust anchors of each trust domain, as one immutable snapshot.
 * A check uses one snapshot from beginning to end (SPIFFE Workload API §4.4; spiffe rules ).
 */
export interface TrustBundles {
  /** Grows with every change of content; part of every cache key. */
  readonly generation: number
  /** Trust domain name (no scheme) to its anchors, each one DER certificate. A domain that is absent is untrusted; an empty list trusts nothing. */
  readonly x509: ReadonlyMap<string, readonly Uint8Array[]>
  /** When the Workload API last confirmed this snapshot, milliseconds since the epoch. */
  readonly receivedAt: number
}

/**
 * The keys that may have signed JWT-SVIDs, as one immutable snapshot (Workload API §6.2.2; rules A-18, J-18 to J-21). What a key is,
 * `identity/` knows; those that carry it need not.
 */
export interface JwtBundles<Key> {
  /** Grows with every change of content; part of every cache key. */
  readonly generation: number
  /** Trust domain name (no scheme) to its keys. A domain that is absent is untrusted; an empty list trusts nothing. */
  readonly keys: ReadonlyMap<string, readonly Key[]>
  /** When the Workload API last vouched for this snapshot, milliseconds since the epoch. */
  readonly receivedAt: number
}
