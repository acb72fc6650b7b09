import { X509Certificate } from 'node:crypto'
import { expect } from 'vitest'
import type { TrustBundles } from '../../src/core/trust.ts'
import { verifyX509Svid, type X509Verdict } from '../../src/identity/x509-svid.ts'

/** The rulebook's verdict, after node:crypto was asked for a second opinion on names, signatures, dates and anchors. */
export function verifyTwice(chain: readonly Uint8Array[], bundles: TrustBundles, now: number): X509Verdict {
  const verdict = verifyX509Svid(chain, bundles, now)
  if (verdict.ok) expect(hasPath(chain, bundles, verdict.id.trustDomain, now), 'node:crypto finds a path too').toBe(true)
  return verdict
}

function hasPath(chain: readonly Uint8Array[], bundles: TrustBundles, trustDomain: string, now: number): boolean {
  const anchors = (bundles.x509.get(trustDomain) ?? []).map((der) => new X509Certificate(der))
  const [leaf, ...above] = chain.map((der) => new X509Certificate(der))
  let at = leaf
  for (const issuer of [...above, ...anchors]) {
    if (at === undefined || now < at.validFromDate.getTime() || now > at.validToDate.getTime()) return false
    if (!at.checkIssued(issuer) || !at.verify(issuer.publicKey)) continue
    if (anchors.includes(issuer)) return true
    at = issuer
  }
  return false
}
