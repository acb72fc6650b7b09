import type { SpiffeId } from './spiffe-id.ts'

declare const proven: unique symbol

/**
 * A workload whose identity was proved by certificate bytes. Only `identity/identify.ts` makes one; there is no anonymous Caller.
 */
export interface Caller {
  readonly [proven]: true
  readonly id: SpiffeId
  readonly evidence: 'x509-svid'
  /** End of the leaf's validity, milliseconds since the epoch. */
  readonly notAfter: number
  /** Serial number of the leaf, lower-case hex. */
  readonly serial: string
}
