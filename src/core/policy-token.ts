/** The policy token: what an egress vecauthz says of one call, and an index vecauthz believes for some seconds. */
import type { DenyKind } from './deny-reason.ts'
import type { SpiffeId } from './spiffe-id.ts'
import type { Operation } from './vector-call.ts'

export const POLICY_TOKEN_HEADER = 'x-vecauthz-policy-token'
/** `typ` of its header, with this case: no other token of this system, or of anybody's, has it. */
export const POLICY_TOKEN_TYPE = 'vecauthz-policy+jwt'
/** `alg` of its header; which one, the issuer's key says. */
export const POLICY_TOKEN_ALGORITHMS: readonly string[] = ['ES256', 'ES384', 'RS256', 'PS256']
/** From `iat` to `exp`, at most: an Envoy that waits for the index, and repeats, is done by then. */
export const POLICY_TOKEN_SECONDS_MAX = 30
/** Clock difference between egress and index that is tolerated, at most. */
export const POLICY_TOKEN_LEEWAY_MS_MAX = 5_000
/** Three certificates of RSA-4096 in `x5c` are 10 KiB, encoded twice; Envoy takes 32 KiB of headers (envoy/gateway.yaml). */
export const POLICY_TOKEN_CHARS_MAX = 16 * 1024
/** Issuers kept per process, by certificate chain: about 6 KiB each. An egress vecauthz has one chain an hour. */
export const POLICY_ISSUERS_CACHED_MAX = 1_024
/** Single-use tokens remembered per process: 35 s at 2,800 mutations a second, about 200 bytes each. */
export const SPENT_TOKENS_MAX = 100_000

/** The claims as they are written. This list is closed: what is not on it refuses, so a newer egress is never half understood. */
export interface PolicyClaims {
  /** SPIFFE ID of the vecauthz that signed: the URI SAN of the first certificate in `x5c`. */
  readonly iss: string
  /** SPIFFE ID of the caller: that of the TLS peer at the index. Bound by ID, so that a rotation does not break it. */
  readonly sub: string
  /** Name of the index. */
  readonly aud: string
  /** Not there where `act` is `probe`, nor where `judged` says that it could not be proved; else always. */
  readonly tenant?: string | undefined
  readonly purpose?: string | undefined
  /** Operation class, as far as egress read the call. */
  readonly act: Operation
  /** `requestDigest`. */
  readonly dig: string
  /** Revision of the policy that said yes. */
  readonly policy: string
  /** What egress would have denied the call for, had its policy not been in shadow: the index lets it pass only where it is in shadow too. */
  readonly judged?: DenyKind | undefined
  /** 128 random bits or more. An ES* token has two spellings, so its text names nothing: this does. */
  readonly jti: string
  /** Whole seconds since the epoch. */
  readonly iat: number
  readonly exp: number
}

/** Which issuer may vouch for whom, as the policy of the index says it. None is listed unless somebody lists it. */
export interface PolicyIssuer {
  readonly tenants: ReadonlySet<string>
  readonly audiences: ReadonlySet<string>
}

declare const verified: unique symbol

/** What a policy token proves about one request and its peer. Only `identity/policy-token.ts` makes one. */
export interface PolicyToken {
  readonly [verified]: true
  readonly issuer: SpiffeId
  /** Serial number of the issuer's leaf, lower-case hex: for the revocation list. */
  readonly issuerSerial: string
  /** Undefined for a probe, and where egress could not prove one (`judged`). */
  readonly tenant: string | undefined
  readonly judged: DenyKind | undefined
  readonly purpose: string | undefined
  readonly act: Operation
  readonly digest: string
  readonly policy: string
  /** `jti`: unique for its issuer, so never a key alone. */
  readonly tokenId: string
  /** From then on nobody accepts it, milliseconds since the epoch. */
  readonly until: number
}

/** What came of a single use: it is this check's, it was another's, there was no room to note it, or nobody can say. */
export type Spending = 'ours' | 'spent' | 'full' | 'unavailable'

/** Which tokens were used: the port that `state/` implements. */
export interface SpentTokens {
  /**
   * Notes one use, at once and for good, until nobody accepts the token any more.
   * @param token key of issuer and `jti`
   * @param check key of the Envoy that asks and its `http.id`: the same check again is the same use; an empty one is never the same
   * @param until when it can be forgotten, milliseconds since the epoch
   */
  readonly spend: (token: string, check: string, until: number, now: number) => Spending | Promise<Spending>
}

/** What changes something in the database: a token for it is used once. Reads may repeat, as Envoy does. */
export function isMutation(operation: Operation): boolean {
  switch (operation) {
    case 'write':
    case 'delete':
    case 'define':
    case 'drop':
      return true
    case 'search':
    case 'read':
    case 'export':
    case 'observe':
    case 'probe':
      return false
  }
}
