import type { DocumentFault, DocumentPath, KnownDatabase, PolicyDocument } from '../core/policy-document.ts'
import { compileIdPattern, type IdPattern } from '../core/spiffe-id.ts'
import type { WhenResult } from './when.ts'

/** What compiling needs on the way, and the faults found so far. */
export interface Work {
  readonly document: PolicyDocument
  readonly tenants: ReadonlySet<string>
  readonly tenantRegions: ReadonlyMap<string, string>
  /** Those whose mode is `shadow`. */
  readonly shadowTenants: ReadonlySet<string>
  readonly trustDomains: ReadonlySet<string>
  /** Class to its place, the weakest 0. */
  readonly attestation: ReadonlyMap<string, number>
  readonly databases: ReadonlyMap<string, KnownDatabase>
  readonly issuers: ReadonlySet<string>
  readonly faults: DocumentFault[]
  /** Conditions by their text: many rules have the same. */
  readonly whens: Map<string, WhenResult>
  /** Names a place for people, such as `policy.yaml:31 collections[0]`. */
  readonly place: (path: DocumentPath) => string
}

/** @param offset characters into the text at that place */
export function fault(work: Work, path: DocumentPath, says: string, remedy: string, offset?: number): void {
  work.faults.push(offset === undefined ? { path, says, remedy } : { path, says, remedy, offset })
}

export function compilePattern(work: Work, text: string, path: DocumentPath): IdPattern | undefined {
  const compiled = compileIdPattern(text)
  if (!compiled.ok) {
    fault(
      work,
      path,
      `"${text}" is not a SPIFFE ID or pattern: ${compiled.detail}`,
      'Write spiffe://trust-domain/path; `*` is one segment.'
    )
    return undefined
  }
  if (!work.trustDomains.has(compiled.pattern.trustDomain)) {
    fault(work, path, `Trust domain "${compiled.pattern.trustDomain}" is not listed`, 'Add it to trust_domains, or correct the ID.')
  }
  return compiled.pattern
}

export function checkTenants(work: Work, ids: readonly string[], path: DocumentPath): void {
  for (const [at, id] of ids.entries()) {
    if (!work.tenants.has(id)) fault(work, [...path, at], `Tenant "${id}" is not listed`, 'Add it to tenants, or correct the name.')
  }
}

/** Place of a class among the policy's; -1 where none is said. */
export function attestationOf(work: Work, name: string | undefined, path: DocumentPath): number {
  if (name === undefined) return -1
  const rank = work.attestation.get(name)
  if (rank !== undefined) return rank
  const known = [...work.attestation.keys()].join(', ') || 'none'
  fault(work, [...path, 'attestation'], `"${name}" is not one of attestation_classes`, `Known, the weakest first: ${known}.`)
  return -1
}
