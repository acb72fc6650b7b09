/** The compiled policy: immutable lookups. A request keeps the one it began with; a reload swaps it whole. */
import type { Needs } from '../core/approval.ts'
import type { SubjectIssuer } from '../core/caller.ts'
import type { Action, BudgetDocument, Irreversible, LimitsDocument } from '../core/policy-document.ts'
import type { PolicyIssuer } from '../core/policy-token.ts'
import type { FurtherBudgets, MonitoringRule, RiskRules } from '../core/risk-rules.ts'
import type { ScreeningRules } from '../core/screening.ts'
import type { IdPattern, SpiffeId } from '../core/spiffe-id.ts'
import { findId, type IdIndex } from './id-index.ts'
import type { ByTenant, Names, Permission, Templates } from './name-index.ts'
import type { NamePattern } from './names.ts'
import type { When } from './when.ts'

export type Limits = Required<{ readonly [K in keyof LimitsDocument]: NonNullable<LimitsDocument[K]> }>

export interface Workload {
  readonly tenants: ReadonlySet<string>
  /** Whatever it calls is in shadow: the whole policy is, or every tenant it may act for. */
  readonly shadow: boolean
  readonly budget: BudgetDocument
  /** The tenant must be named by an end user's token as well. */
  readonly delegated: boolean
  /** Evidence older than this many milliseconds is verified again; infinite without a rule. */
  readonly reverifyMs: number
  /** From this moment on the entry names nobody, milliseconds since the epoch; infinite without an end. */
  readonly expiresAt: number
  readonly purposes: ReadonlySet<string>
  readonly regions: ReadonlySet<string>
  /** Place among the policy's classes; -1, weaker than all, where none is said. */
  readonly attestation: number
  readonly owner: string | undefined
  readonly agentType: string | undefined
  readonly ring: string | undefined
  readonly zone: string | undefined
  readonly attestationClass: string | undefined
  /** Where it stands in the file, such as `policy.yaml:12 workloads[0]`. */
  readonly source: string
}

export interface Rule {
  readonly tenants: ReadonlySet<string>
  readonly actions: ReadonlySet<Action>
  /** Its conditions and limits are judged, not enforced. */
  readonly shadow: boolean
  /** undefined: every workload of the tenants. */
  readonly workloads: IdIndex<true> | undefined
  /** undefined: any. */
  readonly purposes: ReadonlySet<string> | undefined
  /** What must be true of the call as well. */
  readonly when: When | undefined
  readonly limits: Limits
  /** Somebody else's yes that a call under this rule needs. */
  readonly needs: Needs | undefined
  /** Of the data of its entry. */
  readonly weight: number
  /** Of the data that it is for. */
  readonly tags: readonly string[]
  readonly source: string
}

/** How the collections of an entry keep tenants apart. */
export type TenancyRule =
  | { readonly kind: 'path' | 'native' | 'collection' | 'shard' }
  | { readonly kind: 'database'; readonly pattern: NamePattern }
  /** `field` of every record says whose it is. */
  | { readonly kind: 'filter'; readonly field: string }

/** What the data of an entry asks of whoever gets at it. */
export interface Data {
  readonly region: string | undefined
  /** Place among the policy's classes of the weakest that is enough; -1: any. */
  readonly attestation: number
  readonly attestationClass: string | undefined
  /** undefined: any. */
  readonly purposes: ReadonlySet<string> | undefined
  readonly tags: readonly string[]
  /** The largest weight of its tags; 1 without. */
  readonly weight: number
}

/** The rules for one name of one namespace. */
export interface NamedRules {
  readonly pattern: NamePattern
  readonly tenancy: TenancyRule
  readonly data: Data
  readonly rules: ByTenant<Rule>
  readonly everyRule: readonly Rule[]
  readonly source: string
}

export interface DatabaseRules {
  /** By namespace (Chroma and Milvus: database); '' where a database has none. */
  readonly exact: ReadonlyMap<string, Names>
  /** By a namespace with `{tenant}` in it. */
  readonly templates: Templates<NamespaceTemplate>
  /** What allows `observe` in namespaces of one name, for looking at a tenant itself. */
  readonly looks: ByTenant<Permission>
  /** All that is allowed anywhere in it, for calls whose collection is not known by name. */
  readonly anything: ByTenant<Permission>
}

export interface NamespaceTemplate {
  readonly pattern: NamePattern
  readonly names: Names
}

export interface ApprovalRules {
  /** They need an approval under every rule. */
  readonly actions: ReadonlySet<Irreversible>
  /** To the pattern's text. */
  readonly approvers: IdIndex<string>
  /** How long an approval is good for, milliseconds. */
  readonly approvalMs: number
  readonly grantMs: number
  readonly source: string
}

export interface Revoked {
  /** To the pattern's text. */
  readonly ids: IdIndex<string>
  readonly serials: ReadonlySet<string>
  readonly tokenIds: ReadonlySet<string>
}

export interface Policy {
  /** Content hash of the file, hex: which policy decided. */
  readonly revision: string
  /** What policy and risk would deny passes. */
  readonly shadow: boolean
  /** The same, for these tenants only. */
  readonly shadowTenants: ReadonlySet<string>
  /** Whose policy tokens are believed, by SPIFFE ID. */
  readonly issuers: ReadonlyMap<string, PolicyIssuer>
  readonly trustDomains: ReadonlySet<string>
  readonly revoked: Revoked
  /** By `iss`. */
  readonly subjects: ReadonlyMap<string, SubjectIssuer>
  readonly carriers: readonly IdPattern[]
  readonly workloads: IdIndex<Workload>
  readonly tenants: ReadonlySet<string>
  /** Where the data of a tenant stays; only those that say it. */
  readonly tenantRegions: ReadonlyMap<string, string>
  /** By database id. */
  readonly databases: ReadonlyMap<string, DatabaseRules>
  /** Undefined: nobody may approve anything, and nothing asks for it. */
  readonly approvals: ApprovalRules | undefined
  /** Undefined: nobody looks through the texts of calls. */
  readonly screening: ScreeningRules | undefined
  readonly risk: RiskRules
  readonly monitoring: readonly MonitoringRule[]
  /** Beside each workload's own. */
  readonly budgets: FurtherBudgets
}

/** The workload entry of an identity: the exact one, else the one pattern that matches (compiling refuses overlaps). */
export function workloadOf(policy: Policy, id: SpiffeId): Workload | undefined {
  return findId(policy.workloads, id)
}

/** Whether what policy and risk would deny passes: the whole policy is in shadow, or this tenant, once it is proved. */
export function isInShadow({ shadow, shadowTenants }: Policy, tenant: string | undefined): boolean {
  return shadow || (tenant !== undefined && shadowTenants.has(tenant))
}
