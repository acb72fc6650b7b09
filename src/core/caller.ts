import type { SpiffeId } from './spiffe-id.ts'

declare const proven: unique symbol

/**
 * A workload whose identity was proved by a certificate or by a JWT-SVID, and the end user it acts for where a verified token said
 * so. Only `identity/` makes one; there is no anonymous Caller.
 */
export interface Caller {
  readonly [proven]: true
  readonly id: SpiffeId
  readonly evidence: 'x509-svid' | 'jwt-svid'
  /** End of the evidence's validity, milliseconds since the epoch. */
  readonly notAfter: number
  /** `notBefore` of the certificate, milliseconds since the epoch; undefined for a JWT-SVID, of which a workload gets a new one for every call. */
  readonly issuedAt: number | undefined
  /** Serial number of the leaf, lower-case hex; of a JWT-SVID's carrier, where a certificate came with it. */
  readonly serial: string | undefined
  /** `jti` of a JWT-SVID. */
  readonly tokenId: string | undefined
  /** SPIFFE ID of the workload whose connection carried the JWT-SVID of another one. */
  readonly carrier: SpiffeId | undefined
  /** When the signatures were last verified, milliseconds since the epoch: a verdict may be remembered. */
  readonly provenAt: number
  readonly subject: Subject | undefined
}

/** A connection whose peer showed these certificates, and signed with the key of the first: DER, leaf first. The same object as long as it is open. */
export interface Connection {
  readonly chain: readonly Uint8Array[]
}

/** The end user at the beginning of the chain (OpenID Connect Core §2, RFC 9068, RFC 8693 §4.1). */
export interface Subject {
  readonly issuer: string
  readonly id: string
  /** Who acted for the user before the caller, the latest first (`act` within `act`). */
  readonly actors: readonly string[]
  /** The tenants that the token names and its issuer may name. */
  readonly tenants: readonly string[]
  /** Milliseconds since the epoch. */
  readonly expiresAt: number
  readonly tokenId: string | undefined
  readonly provenAt: number
  /** `auth_time`, when the user last authenticated, milliseconds since the epoch; undefined where the token does not say. */
  readonly authTime: number | undefined
  /** `acr`: how. */
  readonly acr: string | undefined
}

/** Who may vouch for end users, as the policy says it. */
export interface SubjectIssuer {
  /** `iss`, compared byte for byte. */
  readonly issuer: string
  /** One of the token's `aud` must be this. */
  readonly audience: string
  /** Name of the claim that holds a tenant or an array of them. */
  readonly tenantClaim: string
  /** What it may name; nothing else counts. */
  readonly tenants: ReadonlySet<string>
}
