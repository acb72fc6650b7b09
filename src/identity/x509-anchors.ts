import type { KeyObject } from 'node:crypto'
import type { TrustBundles } from '../core/trust.ts'
import { publicKeyOf } from './x509-algorithms.ts'
import { type Certificate, readCertificate } from './x509-certificate.ts'

/**
 * What was read from one set of bundles, kept as long as the set is: anchors are parsed once, and issuers' keys made once.
 * It remembers work, not trust: every signature is still checked.
 */
interface Readings {
  readonly anchors: Map<string, readonly Certificate[]>
  readonly keys: Map<string, KeyObject>
}

/** Issuers' keys kept for one set of bundles: hundreds of federated trust domains, at about 1 KB each. */
const KEYS_MAX = 1_000

const readings = new WeakMap<TrustBundles['x509'], Readings>()

function readingsOf(bundles: TrustBundles): Readings {
  const known = readings.get(bundles.x509)
  if (known !== undefined) return known
  const fresh: Readings = { anchors: new Map(), keys: new Map() }
  readings.set(bundles.x509, fresh)
  return fresh
}

/** The anchors of one trust domain, without those that are no certificates; undefined when it has no bundle. */
export function anchorsOf(trustDomain: string, bundles: TrustBundles): readonly Certificate[] | undefined {
  const { anchors } = readingsOf(bundles)
  const known = anchors.get(trustDomain)
  if (known !== undefined) return known
  const read = bundles.x509.get(trustDomain)?.map(readCertificate)
  if (read === undefined) return undefined
  const fresh = read.flatMap((result) => (result.ok ? [result.certificate] : []))
  anchors.set(trustDomain, fresh)
  return fresh
}

/** Whether an anchor of some other trust domain has this name: for the sentence of a refusal only. */
export function namedElsewhere(subject: string, trustDomain: string, bundles: TrustBundles): boolean {
  const others = [...bundles.x509.keys()].filter((other) => other !== trustDomain)
  return others.some((other) => anchorsOf(other, bundles)?.some((anchor) => anchor.subject === subject))
}

export function keyOf(issuer: Certificate, bundles: TrustBundles): KeyObject | undefined {
  return readingsOf(bundles).keys.get(issuer.spki.toString('latin1')) ?? publicKeyOf(issuer.spki)
}

/** Keeps the keys of issuers that stand on a verified path: what strangers present as intermediates is not kept. */
export function keepKeys(issuers: readonly Certificate[], bundles: TrustBundles): void {
  const { keys } = readingsOf(bundles)
  for (const { spki } of issuers) {
    const name = spki.toString('latin1')
    if (keys.has(name)) continue
    const key = publicKeyOf(spki)
    if (keys.size >= KEYS_MAX) keys.clear()
    if (key !== undefined) keys.set(name, key)
  }
}
