/** What an operator revoked at once, beside `revoked` of the policy. */
export const REVOCATION_KINDS = ['spiffe_id', 'serial', 'token_id'] as const

export interface Revocation {
  readonly kind: (typeof REVOCATION_KINDS)[number]
  /** A SPIFFE ID, the serial number of a certificate (lower-case hex), or the `jti` of a token. */
  readonly value: string
  readonly by: string
  readonly reason: string
  /** Milliseconds since the epoch. */
  readonly at: number
}

/** `here`: in force in this process; the store has not got it, and is told again. */
export type RevocationKept = 'everywhere' | 'here' | 'full'

export interface Revocations {
  readonly list: () => readonly Revocation[]
  /** Another number: the list is another one. */
  readonly version: () => number
  readonly add: (one: Revocation) => Promise<RevocationKept>
  /** Takes one back. False: there is none, or the store cannot be told; then it stays. */
  readonly lift: (kind: Revocation['kind'], value: string, now: number) => Promise<boolean>
  /** All that the store knew at the start is known here. */
  readonly isLoaded: () => boolean
}

/** A policy is the place for more. */
export const REVOCATIONS_MAX = 1_000
