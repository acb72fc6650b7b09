/** Who is at the other end of a TLS connection: the SVID rulebook judges, Node's TLS only proves the key. */
import type { TLSSocket } from 'node:tls'
import type { SpiffeId } from '../core/spiffe-id.ts'
import type { TrustBundles } from '../core/trust.ts'
import { CHAIN_CERTIFICATES_MAX, verifyX509Svid } from '../identity/x509-svid.ts'

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

/** The certificates that the peer sent, leaf first; whatever node makes of a strange one, it is no certificate then. */
export function chainOf(socket: TLSSocket): Uint8Array[] {
  try {
    const chain: Uint8Array[] = []
    let at: ReturnType<TLSSocket['getPeerCertificate']> | undefined = socket.getPeerCertificate(true)
    while (at?.raw !== undefined && chain.length < CHAIN_CERTIFICATES_MAX) {
      const { raw } = at
      if (chain.some((one) => Buffer.compare(one, raw) === 0)) break
      chain.push(raw)
      at = (at as { issuerCertificate?: typeof at }).issuerCertificate
    }
    return chain
  } catch {
    return []
  }
}
