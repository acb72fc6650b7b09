/** The certificates that a TLS peer has shown, as the rulebook takes them. */
import { CHAIN_CERTIFICATES_MAX } from './x509-svid.ts'

interface PeerCertificate {
  readonly raw?: Uint8Array
  readonly issuerCertificate?: PeerCertificate
}

/** Leaf first; whatever node makes of a strange one, it is no certificate then. @param socket a `TLSSocket` of node */
export function chainOf(socket: { readonly getPeerCertificate: (detailed: true) => object }): Uint8Array[] {
  try {
    const chain: Uint8Array[] = []
    let at: PeerCertificate | undefined = socket.getPeerCertificate(true)
    while (at?.raw !== undefined && chain.length < CHAIN_CERTIFICATES_MAX) {
      const { raw } = at
      if (chain.some((one) => Buffer.compare(one, raw) === 0)) break
      chain.push(raw)
      at = at.issuerCertificate
    }
    return chain
  } catch {
    return []
  }
}
