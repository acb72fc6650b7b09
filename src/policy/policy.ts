/** The compiled policy: immutable lookups. A request keeps the one it began with; a reload swaps it whole. */
import type { SubjectIssuer } from '../core/caller.ts'
import type { Action, BudgetDocument, LimitsDocument } from '../core/policy-document.ts'
import { type IdPattern, matchesId, type SpiffeId } from '../core/spiffe-id.ts'
import type { NamePattern } from './names.ts'

export type Limits = Required<{ readonly [K in keyof LimitsDocument]: NonNullable<LimitsDocument[K]> }>

export interface Workload {
  readonly tenants: ReadonlySet<string>
  readonly budget: BudgetDocument
  /** The tenant must be named by an end user's token as well. */
  readonly delegated: boolean
  /** Evidence older than this many milliseconds is verified again; infinite without a rule. */
  readonly reverifyMs: number
  /** Where it stands in the file, such as `policy.yaml:12 workloads[0]`. */
  readonly source: string
}

export interface Rule {
  readonly tenants: ReadonlySet<string>
  readonly actions: ReadonlySet<Action>
  /** undefined: every workload of the tenants. */
  readonly workloads: readonly IdPattern[] | undefined
  readonly limits: Limits
  readonly source: string
}

/** How the collections of an entry keep tenants apart. */
export type TenancyRule =
  | { readonly kind: 'path' | 'native' | 'collection' | 'shard' }
  | { readonly kind: 'database'; readonly pattern: NamePattern }
  /** `field` of every record says whose it is. */
  | { readonly kind: 'filter'; readonly field: string }

/** The rules for one name of one namespace. */
export interface NamedRules {
  readonly pattern: NamePattern
  readonly tenancy: TenancyRule
  readonly rules: readonly Rule[]
  readonly source: string
}

/** The entries of a database, in the order of the file. */
export interface DatabaseRules {
  /** By namespace (Chroma and Milvus: database); '' where a database has none. */
  readonly exact: ReadonlyMap<string, readonly NamedRules[]>
  /** By a namespace with `{tenant}` in it. */
  readonly templates: readonly { readonly pattern: NamePattern; readonly named: readonly NamedRules[] }[]
}

export interface Revoked {
  readonly ids: readonly IdPattern[]
  readonly serials: ReadonlySet<string>
  readonly tokenIds: ReadonlySet<string>
}

export interface Policy {
  /** Content hash of the file, hex: which policy decided. */
  readonly revision: string
  readonly trustDomains: ReadonlySet<string>
  readonly revoked: Revoked
  /** By `iss`. */
  readonly subjects: ReadonlyMap<string, SubjectIssuer>
  readonly carriers: readonly IdPattern[]
  readonly exactWorkloads: ReadonlyMap<string, Workload>
  readonly workloadPatterns: readonly { readonly pattern: IdPattern; readonly workload: Workload }[]
  readonly tenants: ReadonlySet<string>
  /** By database id. */
  readonly databases: ReadonlyMap<string, DatabaseRules>
}

/** The workload entry of an identity: the exact one, else the one pattern that matches (compiling refuses overlaps that disagree). */
export function workloadOf(policy: Policy, id: SpiffeId): Workload | undefined {
  const exact = policy.exactWorkloads.get(id.text)
  if (exact !== undefined) return exact
  for (const { pattern, workload } of policy.workloadPatterns) if (matchesId(pattern, id)) return workload
  return undefined
}
