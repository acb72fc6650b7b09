import { CLOCK_SKEW_MS } from '../core/limits.ts'
import { parseSpiffeId } from '../core/spiffe-id.ts'
import { type Fault, fault } from './rules.ts'
import { algorithmFault } from './x509-algorithms.ts'
import type { Certificate } from './x509-certificate.ts'
import { EXTENDED_KEY_USAGE, KEY_USAGE } from './x509-extensions.ts'
import { NAME_TYPE } from './x509-name.ts'
import { forbiddenName } from './x509-names-allowed.ts'

/**
 * Why a certificate cannot be the issuer of the last one of `below`, before any signature is checked; undefined when it can.
 * `below` is the path so far, leaf first. Anchors are held to the same rules as intermediates.
 */
export function issuerFault(issuer: Certificate, below: readonly Certificate[], at: number): Fault | undefined {
  return authorityFault(issuer) ?? validityFault(issuer, at) ?? limitsFault(issuer, below)
}

/** Validity at `at`: the skew is for clocks that lag behind the issuer's, so it loosens the beginning only (rules ). */
export function validityFault(certificate: Certificate, at: number): Fault | undefined {
  const { notBefore, notAfter, serial } = certificate
  // Asked so that a time which is no number refuses.
  if (!(at + CLOCK_SKEW_MS >= notBefore))
    return fault('X-15', `certificate ${serial} is not valid before ${new Date(notBefore).toISOString()}`)
  if (!(at <= notAfter)) return fault('X-15', `certificate ${serial} expired at ${new Date(notAfter).toISOString()}`)
  return undefined
}

function authorityFault({ serial, extensions }: Certificate): Fault | undefined {
  const { basicConstraints, keyUsage, extendedKeyUsage, subjectAltName, unknownCritical } = extensions
  if (basicConstraints?.ca !== true) return fault('X-12', `issuer ${serial} is no CA`)
  if (((keyUsage?.bits ?? 0) & KEY_USAGE.keyCertSign) === 0) return fault('X-12', `issuer ${serial} has no keyCertSign`)
  // An issuer restricted to other purposes, such as code signing, cannot vouch for both ends of a TLS connection.
  const { serverAuth, clientAuth, any } = EXTENDED_KEY_USAGE
  const usages = extendedKeyUsage ?? [any]
  if (!usages.includes(any) && !(usages.includes(serverAuth) && usages.includes(clientAuth))) {
    return fault('X-10', `issuer ${serial} has an extended key usage without serverAuth or clientAuth`)
  }
  for (const { type, text } of subjectAltName?.names ?? []) {
    if (type !== NAME_TYPE.uri || !/^spiffe:/i.test(text)) continue
    const parsed = parseSpiffeId(text)
    if (!parsed.ok) return fault('X-13', `issuer ${serial} has a SPIFFE ID that ${parsed.detail} (${parsed.rule})`)
    if (parsed.id.path !== '') return fault('X-13', `issuer ${serial} has the SPIFFE ID of a workload`)
  }
  if (unknownCritical !== undefined) {
    return fault('X-18', `issuer ${serial} has the critical extension ${unknownCritical}, which is not processed`)
  }
  return undefined
}

function limitsFault(issuer: Certificate, below: readonly Certificate[]): Fault | undefined {
  const { serial, extensions, spki } = issuer
  const longest = extensions.basicConstraints?.pathLength
  const intermediates = below.length - 1
  if (longest !== undefined && intermediates > longest) {
    return fault('X-16', `issuer ${serial} allows ${longest} intermediates below it, and there are ${intermediates}`)
  }
  const name = forbiddenName(issuer, below)
  if (name !== undefined) return fault('X-17', `issuer ${serial}: ${name}`)
  const issued = below.at(-1)
  const algorithm = issued && algorithmFault(issued, spki)
  return algorithm === undefined ? undefined : fault('X-28', `certificate ${issued?.serial} has ${algorithm}`)
}
