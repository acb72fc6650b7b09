import type { SpiffeId } from '../core/spiffe-id.ts'
import type { TrustBundles } from '../core/trust.ts'
import { type Fault, fault, type RuleNumber } from './rules.ts'
import { type Certificate, readCertificate } from './x509-certificate.ts'
import { validityFault } from './x509-issuer.ts'
import { readLeaf } from './x509-leaf.ts'
import { findPath } from './x509-path.ts'

/** Presented certificates, leaf included (rule X-25): SPIRE nests three deep. */
export const CHAIN_CERTIFICATES_MAX = 8
/** DER of a presented chain: eight certificates of the largest sensible size. */
const CHAIN_BYTES_MAX = 32 * 1024

export interface X509Accepted {
  readonly ok: true
  readonly id: SpiffeId
  /** From when and until when every certificate on the path is valid, milliseconds since the epoch, both ends inside. */
  readonly notBefore: number
  readonly notAfter: number
  /** Serial number of the leaf, lower-case hex. */
  readonly serial: string
  readonly leaf: {
    readonly notBefore: number
    readonly notAfter: number
    /** SubjectPublicKeyInfo, DER. */
    readonly spki: Uint8Array
  }
}

export interface X509Refused {
  readonly ok: false
  readonly rule: RuleNumber
  /** `svid-expired` only for a leaf that was good until its end. */
  readonly kind: 'svid-expired' | 'svid-untrusted'
  readonly detail: string
}

export type X509Verdict = X509Accepted | X509Refused

/**
 * The X.509-SVID rulebook: whether `chain` (DER, leaf first, then intermediates in any order) proves a SPIFFE ID under these
 * bundles at `now` (milliseconds since the epoch). X509-SVID §5, RFC 5280 §6.1; rules. Never throws.
 */
export function verifyX509Svid(chain: readonly Uint8Array[], bundles: TrustBundles, now: number): X509Verdict {
  const read = readChain(chain)
  if (!read.ok) return untrusted(read)
  const { leaf, hints } = read
  const stated = readLeaf(leaf)
  if (!stated.ok) return untrusted(stated)
  const expiry = now > leaf.notAfter ? validityFault(leaf, now) : undefined
  const early = expiry === undefined ? validityFault(leaf, now) : undefined
  if (early !== undefined) return untrusted(early)
  // An expired leaf is judged as it was at its end: one that was never good must not pass for one that merely grew old.
  const at = expiry === undefined ? now : leaf.notAfter
  const found = findPath(leaf, hints, stated.id.trustDomain, bundles, at)
  if (!found.ok) return untrusted(found)
  if (expiry !== undefined) return { ...expiry, kind: 'svid-expired' }
  return {
    ok: true,
    id: stated.id,
    notBefore: Math.max(...found.path.map((certificate) => certificate.notBefore)),
    notAfter: Math.min(...found.path.map((certificate) => certificate.notAfter)),
    serial: leaf.serial,
    leaf: { notBefore: leaf.notBefore, notAfter: leaf.notAfter, spki: leaf.spki }
  }
}

type ChainResult = { readonly ok: true; readonly leaf: Certificate; readonly hints: readonly Certificate[] } | Fault

function readChain(chain: readonly Uint8Array[]): ChainResult {
  if (chain.length > CHAIN_CERTIFICATES_MAX)
    return fault('X-25', `${chain.length} certificates, and ${CHAIN_CERTIFICATES_MAX} are the most`)
  const bytes = chain.reduce((sum, certificate) => sum + certificate.length, 0)
  if (bytes > CHAIN_BYTES_MAX) return fault('X-25', `${bytes} bytes of certificates, and ${CHAIN_BYTES_MAX} are the most`)
  const certificates: Certificate[] = []
  for (const [position, der] of chain.entries()) {
    const read = readCertificate(der)
    if (!read.ok) return fault(read.rule, `certificate ${position + 1} of ${chain.length}: ${read.detail}`)
    certificates.push(read.certificate)
  }
  const [leaf, ...hints] = certificates
  return leaf === undefined ? fault('X-25', 'no certificate') : { ok: true, leaf, hints }
}

function untrusted({ rule, detail }: Fault): X509Refused {
  return { ok: false, rule, kind: 'svid-untrusted', detail }
}
