import { parseSpiffeId, type SpiffeId } from '../core/spiffe-id.ts'
import { type Fault, fault } from './rules.ts'
import { keyFamily } from './x509-algorithms.ts'
import type { Certificate } from './x509-certificate.ts'
import { EXTENDED_KEY_USAGE, KEY_USAGE } from './x509-extensions.ts'
import { EMPTY_NAME, NAME_TYPE } from './x509-name.ts'

export type LeafResult = { readonly ok: true; readonly id: SpiffeId } | Fault

/**
 * The SPIFFE ID that a leaf states, if it is fit to state one (X509-SVID §5.2; rules X-1 to X-11). Nothing is proven yet: the
 * path is built for the trust domain that is named here.
 */
export function readLeaf(leaf: Certificate): LeafResult {
  return purposeFault(leaf) ?? readId(leaf)
}

function readId(leaf: Certificate): LeafResult {
  const san = leaf.extensions.subjectAltName
  const uris = san?.names.filter((name) => name.type === NAME_TYPE.uri) ?? []
  const [uri] = uris
  if (uri === undefined || uris.length > 1) return fault('X-1', `${uris.length === 0 ? 'no URI SAN' : `${uris.length} URI SANs`}`)
  if (leaf.subject === EMPTY_NAME && san?.critical !== true)
    return fault('X-5', 'an empty subject, and a SAN extension that is not critical')
  const parsed = parseSpiffeId(uri.text)
  if (!parsed.ok) return fault('X-3', `the URI SAN is no SPIFFE ID: it ${parsed.detail} (${parsed.rule})`)
  if (parsed.id.path === '') return fault('X-4', 'the URI SAN names a trust domain, not a workload')
  return { ok: true, id: parsed.id }
}

function purposeFault(leaf: Certificate): Fault | undefined {
  const { basicConstraints, keyUsage, extendedKeyUsage, unknownCritical } = leaf.extensions
  const has = (bit: number): boolean => ((keyUsage?.bits ?? 0) & bit) !== 0
  if (basicConstraints?.ca === true) {
    return has(KEY_USAGE.keyCertSign) ? fault('X-11', 'a signing certificate in the place of a leaf') : fault('X-6', 'a leaf that is a CA')
  }
  if (has(KEY_USAGE.keyCertSign)) return fault('X-7', 'a leaf with keyCertSign')
  if (has(KEY_USAGE.cRLSign)) return fault('X-8', 'a leaf with cRLSign')
  if (keyUsage === undefined) return fault('X-9', 'a leaf without key usage')
  if (!keyUsage.critical) return fault('X-9', 'a leaf whose key usage is not critical')
  if (!has(KEY_USAGE.digitalSignature)) return fault('X-9', 'a leaf without digitalSignature')
  const { serverAuth, clientAuth } = EXTENDED_KEY_USAGE
  if (extendedKeyUsage !== undefined && !(extendedKeyUsage.includes(serverAuth) && extendedKeyUsage.includes(clientAuth))) {
    return fault('X-10', 'a leaf whose extended key usage lacks serverAuth or clientAuth')
  }
  if (unknownCritical !== undefined) return fault('X-18', `a leaf with the critical extension ${unknownCritical}, which is not processed`)
  const key = keyFamily(leaf.spki)
  return key.ok ? undefined : fault('X-28', `a leaf with ${key.detail}`)
}
