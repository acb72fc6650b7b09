/** The compiled policy: immutable lookups. A request keeps the one it began with; a reload swaps it whole. */
import type { SubjectIssuer } from '../core/caller.ts'
import type { Action, BudgetDocument, LimitsDocument } from '../core/policy-document.ts'
import { type IdPattern, matchesId, type SpiffeId } from '../core/spiffe-id.ts'

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

/** The rules for one name or name prefix of one namespace. */
export interface NamedRules {
  /** `prefix` with `open` true stands for `prefix*`. */
  readonly name: string
  readonly open: boolean
  readonly rules: readonly Rule[]
}

/** Namespace (Chroma: database) to its rules, in the order of the file. */
export type Namespaces = ReadonlyMap<string, readonly NamedRules[]>

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
  /** Database id to its namespaces. */
  readonly databases: ReadonlyMap<string, Namespaces>
}

/** The workload entry of an identity: the exact one, else the one pattern that matches (compiling refuses overlaps that disagree). */
export function workloadOf(policy: Policy, id: SpiffeId): Workload | undefined {
  const exact = policy.exactWorkloads.get(id.text)
  if (exact !== undefined) return exact
  for (const { pattern, workload } of policy.workloadPatterns) if (matchesId(pattern, id)) return workload
  return undefined
}
