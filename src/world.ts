/** What a decision is made of: all that can change, as one snapshot, and what becomes known on the way. Types only. */
import type { ApprovalAnswer, Approvals } from './core/approval.ts'
import type { Caller, Connection } from './core/caller.ts'
import type { DenyReason, Result } from './core/deny-reason.ts'
import type { Inbound } from './core/inbound.ts'
import type { Memory } from './core/memory.ts'
import type { PolicyToken, SpentTokens } from './core/policy-token.ts'
import type { Risk, RiskCall, RiskRecord } from './core/risk.ts'
import type { Screened } from './core/screening.ts'
import type { SpiffeId } from './core/spiffe-id.ts'
import type { Mark } from './core/stages.ts'
import type { TrustBundles } from './core/trust.ts'
import type { ResolvedTarget, VectorCall } from './core/vector-call.ts'
import type { Dialect } from './databases/dialect.ts'
import type { CallerCaches, TokenDoor } from './identity/identify-call.ts'
import type { SubjectKeys } from './identity/identify-subject.ts'
import type { PolicyIssuerCache } from './identity/policy-token-issuer.ts'
import type { VerdictCache } from './identity/verdict-cache.ts'
import type { Policy } from './policy/policy.ts'

/** A database behind this server: its dialect, and where its names are asked. */
export interface Served {
  readonly id: string
  readonly dialect: Dialect
  /** Exchanges a collection id for its name, from memory or by asking the database. */
  readonly resolve: (caller: Caller, call: VectorCall, tenant: string) => Resolved | Promise<Resolved>
  /** Told of a granted rename or drop, so that an old name is not believed any longer. */
  readonly forget: (targets: readonly ResolvedTarget[]) => void
}

export type Resolved = Result<readonly ResolvedTarget[]>

export interface World {
  readonly trust: TrustBundles | undefined
  /** How long ago the Workload API was last known to stand by that snapshot; 0 while its stream is open. */
  readonly trustAgeMs: number
  readonly trustAgeMsMax: number
  /** Undefined: this port takes no JWT-SVIDs. */
  readonly tokens: TokenDoor | undefined
  readonly subjectKeys: SubjectKeys
  readonly subjectLeewayMs: number
  readonly policy: Policy | undefined
  /** When the standing of a workload last changed, or the policy for all of them (milliseconds since the epoch): older evidence is verified again. */
  readonly changedAt: (id: SpiffeId) => number
  /** Authority (`host` or `host:port`) to database. */
  readonly served: (authority: string) => Served | undefined
  readonly callers: CallerCaches
  readonly subjects: VerdictCache<Caller>
  readonly memory: Memory
  /** Undefined at egress: exactly one role owns standings. */
  readonly risk: Risk | undefined
  readonly role: Role
  /** Undefined: whatever needs an approval is refused. At egress nothing asks for one, for the index does. */
  readonly approvals: Approvals | undefined
}

/** What this port is for; fixed in its settings, never chosen by a message. */
export type Role =
  | { readonly kind: 'gateway' }
  /** In front of workloads: says who they are and what they may, and vouches for it with a policy token. */
  | { readonly kind: 'egress' }
  /** In front of databases: takes calls with a policy token only. */
  | {
      readonly kind: 'index'
      /** Our name in the tokens. */
      readonly audience: string
      readonly leewayMs: number
      readonly issuers: PolicyIssuerCache
      readonly spent: SpentTokens
    }

/** What became known on the way, for the audit record: also when the answer is no. */
export interface Account {
  caller?: Caller
  /** Of the workload, where the policy gives it one. */
  agentType?: string | undefined
  database?: string
  dialect?: Dialect
  call?: VectorCall
  tenant?: string
  targets?: readonly ResolvedTarget[]
  token?: PolicyToken
  approval?: ApprovalAnswer
  risk?: RiskRecord
  /** What its texts have; undefined where nobody looked, or nothing was found. */
  screened?: readonly Screened[]
}

/** What belongs to a check beside the request. */
export interface Asking {
  /** Names the check and its repeats, or is empty. */
  readonly check: string
  readonly decisionId: string
  /** Milliseconds since the epoch. */
  readonly now: number
  /** The connection that asks, as far as it was judged. */
  readonly connection: Connection | undefined
  /** Undefined: nobody measures this one. */
  readonly mark?: Mark | undefined
}

/** One call under decision. */
export interface Case {
  readonly inbound: Inbound
  readonly check: string
  readonly now: number
  /** Evidence from before is verified again, milliseconds since the epoch. */
  readonly since: number
  readonly world: World
  readonly trust: TrustBundles
  readonly account: Account
  readonly policy: Policy
  /** What it would have been denied for already, had it not been in shadow. */
  readonly judged: DenyReason | undefined
  /** Whose call it is, as risk has to know; undefined where the policy does not know the workload. */
  readonly calls: RiskCall | undefined
  readonly mark: Mark | undefined
}
