/**
 * The policy as it is written: what `config/policy-schema.ts` accepts and `policy/compile.ts` turns into lookups.
 * Silence never means yes: what no rule names is denied.
 */
import type { BudgetsDocument, MonitoringDocument, RiskDocument } from './risk-document.ts'
import type { ScreeningAction } from './screening.ts'
import type { DatabaseKind, Operation, Tenancy } from './vector-call.ts'

/** What a rule can allow. A `probe` needs no rule: it names no tenant and returns nothing of one. */
export type Action = Exclude<Operation, 'probe'>

export const ACTIONS = ['search', 'read', 'write', 'delete', 'define', 'drop', 'export', 'observe'] as const satisfies readonly Action[]

export interface LimitsDocument {
  /** Most results one query may ask for, and most records one read may return. */
  readonly top_k?: number | undefined
  /** Most similarity queries in one call. */
  readonly queries?: number | undefined
  /** Most records written, or named by id, in one call. */
  readonly records?: number | undefined
  /** Whether raw embeddings may be in an answer. */
  readonly vectors_out?: 'allow' | 'deny' | undefined
}

export interface BudgetDocument {
  /** Sustained queries per second. */
  readonly per_second: number
  /** Queries that may come at once after a pause. */
  readonly burst: number
  /** What its agent type needs is learnt, up to these figures; without it, these figures hold. */
  readonly learn?: boolean | undefined
}

/** `shadow`: what policy and risk would deny passes, and is recorded as it was judged. Identity, tokens and reading are always enforced. */
export type Mode = 'enforce' | 'shadow'

export interface WorkloadDocument {
  /** A SPIFFE ID, or a pattern: `*` is one whole path segment, a final `**` is one or more. */
  readonly spiffe_id: string
  /** The tenants this workload may act for; the call names one of them. */
  readonly tenants: readonly string[]
  readonly budget?: BudgetDocument | undefined
  /** It acts for end users: each call names a tenant that both the list above and the user's verified token have. */
  readonly delegated?: boolean | undefined
  /** Signatures are verified again after this many seconds, however long the evidence is valid. */
  readonly reverify_every_seconds?: number | undefined
  /** Who answers for it. */
  readonly owner?: string | undefined
  /** `YYYY-MM-DD`: from that day (UTC) the review of this entry is overdue, which is reported and denies nothing. */
  readonly review_by?: string | undefined
  /** `YYYY-MM-DD`: from the first moment of that day (UTC) the entry names nobody. */
  readonly expires?: string | undefined
  readonly agent_type?: string | undefined
  /** What it may say that it calls for. */
  readonly purposes?: readonly string[] | undefined
  /** Deployment ring, such as `canary`. */
  readonly ring?: string | undefined
  readonly zone?: string | undefined
  /** One of `attestation_classes`: how the workloads of this SPIFFE ID are attested. */
  readonly attestation?: string | undefined
  /** Regions whose data may come to it. */
  readonly regions?: readonly string[] | undefined
}

export interface TenantDocument {
  readonly id: string
  readonly mode?: Mode | undefined
  /** Where its data stays. */
  readonly region?: string | undefined
  readonly retention_days?: number | undefined
  /** Kubernetes namespaces that are this tenant's alone. */
  readonly namespaces?: readonly string[] | undefined
}

/** Who may vouch for end users. Where its keys are is a matter of the server's settings. */
export interface SubjectDocument {
  readonly issuer: string
  readonly audience: string
  readonly tenant_claim: string
  readonly tenants: readonly string[]
}

/** A vecauthz in front of workloads whose policy tokens an index believes. */
export interface IssuerDocument {
  readonly spiffe_id: string
  /** Whom it may vouch for. */
  readonly tenants: readonly string[]
  /** Names of the indexes that it may vouch to. */
  readonly audiences: readonly string[]
}

export interface AllowDocument {
  /** Under shadow its conditions, purposes and limits are judged and not enforced; whom and what it is for stays as it is. */
  readonly mode?: Mode | undefined
  readonly tenants: readonly string[]
  readonly actions: readonly Action[]
  /** SPIFFE IDs or patterns; without it, every workload of those tenants. */
  readonly workloads?: readonly string[] | undefined
  /** The call's purpose must be one of these. */
  readonly purposes?: readonly string[] | undefined
  /** CEL over subject, action, resource and environment; true, or the rule does not apply. */
  readonly when?: string | undefined
  /** Each call waits for somebody else's yes to this very call. */
  readonly approval?: 'required' | undefined
  /** Calls of this kind wait for a grant, and pass until it ends. */
  readonly grant?: 'required' | undefined
  readonly limits?: LimitsDocument | undefined
}

export interface CollectionsDocument {
  /** Id of a database in the server's settings. */
  readonly database: string
  /** Chroma: the database inside the tenant. Milvus: the database, with `{tenant}` where the tenancy is `database`. Others have none. */
  readonly namespace?: string | undefined
  /** Exact names, or a prefix and a final `*`; with `{tenant}` where the tenancy is `collection`. */
  readonly names: readonly string[]
  readonly tenancy: Exclude<Tenancy, 'filter'> | { readonly filter: string }
  readonly region?: string | undefined
  /** Keys of `tags`: how sensitive the data is. */
  readonly tags?: readonly string[] | undefined
  /** The weakest of `attestation_classes` that is enough. */
  readonly attestation?: string | undefined
  /** What the data may be used for. */
  readonly purposes?: readonly string[] | undefined
  readonly allow: readonly AllowDocument[]
}

/** What cannot be undone. `define`: where it changes what is there. `delete`: by filter; what is named by id is known to the caller. */
export type Irreversible = Extract<Action, 'drop' | 'define' | 'delete'>

export const IRREVERSIBLE = ['drop', 'define', 'delete'] as const satisfies readonly Irreversible[]

export interface ApprovalsDocument {
  /** Operations that need an approval wherever a rule allows them. */
  readonly actions: readonly Irreversible[]
  /** SPIFFE IDs or patterns of those who may approve; never what they asked for themselves. */
  readonly approvers: readonly string[]
  /** How long an approval is good for. */
  readonly seconds?: number | undefined
  /** How long a grant is good for. */
  readonly grant_seconds?: number | undefined
}

/** Identities that are refused at once, whatever else says yes: effective when the file is saved. */
export interface RevokedDocument {
  /** SPIFFE IDs or patterns. */
  readonly spiffe_ids?: readonly string[] | undefined
  /** Serial numbers of certificates, lower-case hex as the audit record shows them. */
  readonly serials?: readonly string[] | undefined
  /** `jti` of JWT-SVIDs and of end users' tokens. */
  readonly token_ids?: readonly string[] | undefined
}

export interface PolicyDocument {
  readonly version: 1
  readonly mode?: Mode | undefined
  readonly trust_domains: readonly string[]
  readonly tenants: readonly TenantDocument[]
  readonly workloads: readonly WorkloadDocument[]
  readonly collections: readonly CollectionsDocument[]
  readonly subjects?: readonly SubjectDocument[] | undefined
  /** Whose policy tokens are believed; nobody's, unless it is listed. For the role `index`. */
  readonly issuers?: readonly IssuerDocument[] | undefined
  /** SPIFFE IDs or patterns of workloads whose connection may carry the JWT-SVID of another one. */
  readonly carriers?: readonly string[] | undefined
  readonly revoked?: RevokedDocument | undefined
  /** The weakest first. */
  readonly attestation_classes?: readonly string[] | undefined
  /** Tags of collections to their weight: a record with the weight 10 exposes as much as ten with 1. */
  readonly tags?: Readonly<Record<string, number>> | undefined
  readonly limits: Required<LimitsDocument>
  readonly budget: BudgetDocument
  readonly budgets?: BudgetsDocument | undefined
  readonly risk?: RiskDocument | undefined
  readonly monitoring?: readonly MonitoringDocument[] | undefined
  readonly approvals?: ApprovalsDocument | undefined
  readonly screening?: ScreeningDocument | undefined
}

/** What the texts of calls are looked through for, and what follows; what is not said is not looked for. */
export interface ScreeningDocument {
  readonly instructions?: ScreeningAction | undefined
  readonly secrets?: ScreeningAction | undefined
  readonly tenants?: ScreeningAction | undefined
}

/** A place in a document: `['collections', 0, 'allow', 1]`. */
export type DocumentPath = readonly (string | number)[]

/** Something wrong with a document, with the place and what to do about it. */
export interface DocumentFault {
  readonly path: DocumentPath
  /** Characters into the text that stands there. */
  readonly offset?: number
  readonly says: string
  readonly remedy: string
}

/** What configuration needs to know of a kind of database that is served. */
export interface KnownKind {
  readonly kind: DatabaseKind
  readonly tenancies: readonly Tenancy[]
  /** Whether its calls name a namespace above collections. */
  readonly namespaces: boolean
  /** Whether it must be asked for names, and so has to be reachable. */
  readonly asked: boolean
}

/** A database as the server's settings name it. */
export interface KnownDatabase extends KnownKind {
  readonly id: string
}

/** What policy needs to know of the server's settings. */
export interface KnownServer {
  readonly databases: readonly KnownDatabase[]
  /** Issuers of end users' tokens whose keys the server can get. */
  readonly subjectIssuers: readonly string[]
}
