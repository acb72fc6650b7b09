/** Who is at the other end of a TLS connection: the SVID rulebook judges, Node's TLS only proves the key. */
import type { SpiffeId } from '../core/spiffe-id.ts'
import type { TrustBundles } from '../core/trust.ts'
import { verifyX509Svid } from '../identity/x509-svid.ts'

export type PeerVerdict =
  | { readonly ok: true; readonly id: SpiffeId; readonly serial: string; readonly notAfter: number }
  | { readonly ok: false; readonly because: string }

/** @param now milliseconds since the epoch */
export function verifyPeer(chain: readonly Uint8Array[], trust: TrustBundles | undefined, now: number): PeerVerdict {
  if (trust === undefined) return { ok: false, because: 'there is no trust bundle' }
  if (chain.length === 0) return { ok: false, because: 'the peer sent no certificate' }
  const verdict = verifyX509Svid(chain, trust, now)
  return verdict.ok ? verdict : { ok: false, because: `${verdict.rule}: ${verdict.detail}` }
}
