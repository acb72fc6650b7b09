import type { DocumentFault, DocumentPath, KnownDatabase, PolicyDocument } from '../core/policy-document.ts'

/** What compiling needs on the way, and the faults found so far. */
export interface Work {
  readonly document: PolicyDocument
  readonly tenants: ReadonlySet<string>
  readonly databases: ReadonlyMap<string, KnownDatabase>
  readonly issuers: ReadonlySet<string>
  readonly faults: DocumentFault[]
  /** Names a place for people, such as `policy.yaml:31 collections[0]`. */
  readonly place: (path: DocumentPath) => string
}

export function fault(work: Work, path: DocumentPath, says: string, remedy: string): void {
  work.faults.push({ path, says, remedy })
}
