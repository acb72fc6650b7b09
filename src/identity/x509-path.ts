import type { TrustBundles } from '../core/trust.ts'
import { type Fault, fault } from './rules.ts'
import { signatureVerifies } from './x509-algorithms.ts'
import { anchorsOf, keepKeys, keyOf, namedElsewhere } from './x509-anchors.ts'
import type { Certificate } from './x509-certificate.ts'
import { issuerFault } from './x509-issuer.ts'

/** Signatures checked for one chain: three same-named roots at each of four levels are 12. Beyond it somebody is making us work. */
const SIGNATURES_MAX = 16

/** From the leaf to an anchor. */
export type PathResult = { readonly ok: true; readonly path: readonly Certificate[] } | Fault

interface Search {
  readonly anchors: readonly Certificate[]
  readonly hints: readonly Certificate[]
  readonly at: number
  readonly bundles: TrustBundles
  signaturesLeft: number
  /** The best explanation so far of why there is no path. */
  fault: Fault | undefined
}

/**
 * Looks for a path from the leaf to an anchor of this trust domain that is whole at `at` (RFC 5280 §6.1; rules ).
 * Every candidate issuer is tried; `hints` come from the peer and may be anything.
 */
export function findPath(
  leaf: Certificate,
  hints: readonly Certificate[],
  trustDomain: string,
  bundles: TrustBundles,
  at: number
): PathResult {
  const anchors = anchorsOf(trustDomain, bundles)
  if (anchors === undefined) return fault('X-21', `there is no bundle for the trust domain ${trustDomain}`)
  if (anchors.length === 0) return fault('X-22', `the bundle of the trust domain ${trustDomain} has no anchors`)
  const search: Search = { anchors, hints, at, bundles, signaturesLeft: SIGNATURES_MAX, fault: undefined }
  const path = extend(search, [leaf])
  if (path === undefined) {
    if (anchors.some((anchor) => anchor.der.equals(leaf.der)))
      return fault('X-26', 'the leaf itself is listed as an anchor, and an anchor is a CA')
    return search.fault ?? nowhere(leaf, trustDomain, bundles)
  }
  keepKeys(path.slice(1), bundles)
  return { ok: true, path }
}

function extend(search: Search, path: readonly Certificate[]): readonly Certificate[] | undefined {
  const issued = path.at(-1)
  if (issued === undefined) return undefined
  for (const anchor of candidates(search.anchors, issued)) {
    if (links(search, anchor, path, true)) return [...path, anchor]
  }
  for (const hint of candidates(search.hints, issued)) {
    if (path.some((certificate) => certificate.der.equals(hint.der))) continue
    if (!links(search, hint, path, false)) continue
    const before = search.fault
    const whole = extend(search, [...path, hint])
    if (whole !== undefined) return whole
    if (search.fault === before)
      explain(search, fault('X-20', `the path ends at certificate ${hint.serial}, which no anchor of the trust domain vouches for`))
  }
  return undefined
}

/** Those with the right name, and first those whose key identifier is the one that was written down. */
function candidates(from: readonly Certificate[], issued: Certificate): readonly Certificate[] {
  const named = from.filter((certificate) => certificate.subject === issued.issuer)
  const wanted = issued.extensions.authorityKeyId
  if (named.length < 2 || wanted === undefined) return named
  const meant = (certificate: Certificate): boolean => certificate.extensions.subjectKeyId === wanted
  return [...named.filter(meant), ...named.filter((certificate) => !meant(certificate))]
}

function links(search: Search, issuer: Certificate, path: readonly Certificate[], anchor: boolean): boolean {
  const unfit = issuerFault(issuer, path, search.at)
  if (unfit !== undefined) {
    explain(search, anchor && unfit.rule === 'X-12' ? fault('X-26', `the anchor cannot issue: ${unfit.detail}`) : unfit)
    return false
  }
  if (search.signaturesLeft === 0) {
    explain(search, fault('X-25', `more than ${SIGNATURES_MAX} signatures to check`))
    return false
  }
  search.signaturesLeft--
  const issued = path.at(-1)
  const key = keyOf(issuer, search.bundles)
  if (issued !== undefined && key !== undefined && signatureVerifies(issued, key)) return true
  explain(search, fault('X-14', `the signature of certificate ${issued?.serial} does not verify with the key of issuer ${issuer.serial}`))
  return false
}

/** The first explanation stands, except that a wrong key among several candidates explains least. */
function explain(search: Search, found: Fault): undefined {
  if (search.fault === undefined || search.fault.rule === 'X-14') search.fault = found
}

function nowhere(leaf: Certificate, trustDomain: string, bundles: TrustBundles): Fault {
  if (namedElsewhere(leaf.issuer, trustDomain, bundles)) {
    return fault('X-20', `its issuer has the name of an anchor of another trust domain than ${trustDomain}`)
  }
  return fault('X-19', `no certificate has the name of its issuer, neither among those sent nor among the anchors of ${trustDomain}`)
}
