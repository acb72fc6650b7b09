/**
 * What must not be done on a workload's own word: irreversible calls wait for an approval, step-wise permissions for a grant.
 * An approval is for one call, once. A grant is for one kind of call on the same targets, as often as it likes until its end.
 */
import type { SpiffeId } from './spiffe-id.ts'
import type { Operation } from './vector-call.ts'

/** Names the run (job, session) that a call belongs to; what was approved for a run ends with it. */
export const RUN_HEADER = 'x-vecauthz-run'
/** Printable ASCII without spaces, 1 to 128. */
export const RUN_PATTERN = /^[\x21-\x7e]{1,128}$/
/** How long a request waits for somebody to look at it, milliseconds. */
export const REQUEST_MS = 15 * 60_000
/** Requests, approvals and grants of one caller that are kept at a time: more is a caller that nobody will read. */
export const REQUESTS_PER_CALLER_MAX = 32
/** An ended run stays ended so long: longer than anything that could have been approved for it. */
export const ENDED_RUN_MS = 2 * 86_400_000
/** Characters of the reason that goes with an approval. */
export const REASON_CHARACTERS_MAX = 500

/** What policy asks for a call beside a rule that allows it; copied from the rules that admitted it. */
export interface Needs {
  readonly approval: boolean
  readonly grant: boolean
}

export type Step = 'grant' | 'approval'

/** What a yes is for. Everything but `because` and `blocked` is what it is bound to. */
interface ApprovalSubject {
  /** SPIFFE ID. */
  readonly caller: string
  /** SPIFFE IDs that may not approve it: the caller, its carrier, and whoever is in its chain. */
  readonly blocked: readonly string[]
  readonly operation: Operation
  /** Row of the dialect's route table. */
  readonly endpoint: string
  /** Id of the database. */
  readonly database: string
  readonly tenant: string
  /** `namespace/collection` for each target, sorted, none twice. */
  readonly targets: readonly string[]
  /** `requestDigest`; empty where only a grant is needed, which is for any request of its kind. */
  readonly digest: string
  readonly run: string | undefined
  /** Which line of the policy asks for it. */
  readonly because: string
}

/** One call and what it has to have. */
export interface ApprovalNeed extends ApprovalSubject {
  /** In this order; an approval is used up only when all else is there. */
  readonly steps: readonly Step[]
  /** How long an approval is good for once it is given, milliseconds. */
  readonly approvalMs: number
  /** The same for a grant. */
  readonly grantMs: number
}

export type ApprovalAnswer =
  /** `id` and `by` are those of the last step. */
  | { readonly kind: 'approved'; readonly id: string; readonly by: string }
  /** `asked`: this call made the request; `waiting`: it was there; `refused`: somebody said no, and so it stays until it is over. */
  | { readonly kind: 'required'; readonly step: Step; readonly id: string; readonly state: 'asked' | 'waiting' | 'refused' }
  /** The run was ended: nothing more is approved for it. */
  | { readonly kind: 'ended'; readonly run: string }
  | { readonly kind: 'unavailable'; readonly because: string }

/** What a decision asks; `state/approvals.ts` implements it. */
export interface Approvals {
  /**
   * Uses what was approved for this call, or asks for it.
   * @param check key of the Envoy that asks and its `http.id`, or empty: the same check again is the same use
   * @param now milliseconds since the epoch
   */
  readonly use: (need: ApprovalNeed, check: string, now: number) => ApprovalAnswer | Promise<ApprovalAnswer>
}

/** A request, and what became of it, as operators read it. Times are milliseconds since the epoch. */
export interface ApprovalEntry extends ApprovalSubject {
  readonly id: string
  readonly step: Step
  readonly state: 'waiting' | 'approved' | 'refused' | 'used'
  readonly askedAt: number
  /** How long it will be good for, once approved. */
  readonly lastsMs: number
  /** End of its present state. */
  readonly until: number
  /** SPIFFE ID of who decided. */
  readonly by: string | undefined
  readonly reason: string | undefined
}

/** What came of an act; `not` with a sentence for whoever acted. */
export type Acted =
  | { readonly kind: 'done'; readonly entry: ApprovalEntry }
  | { readonly kind: 'not'; readonly says: string; readonly status: 403 | 404 | 409 }
  | { readonly kind: 'unavailable'; readonly because: string }

/** What people and callers do about requests; `state/approvals.ts` implements it, the admin port offers it. */
export interface ApprovalDesk {
  /** The oldest first. `more`: there are others, too many to show. @param of whose; undefined: everybody's */
  readonly list: (now: number, of?: SpiffeId) => Promise<ApprovalList | Unavailable>
  /** @param by never the caller, nor anybody in its chain. @param reason 1 to REASON_CHARACTERS_MAX characters */
  readonly decide: (id: string, verdict: 'approve' | 'refuse', by: SpiffeId, reason: string, now: number) => Promise<Acted>
  /** A grant, ahead of the calls it is for. */
  readonly request: (need: ApprovalNeed, now: number) => Promise<Acted>
  /** Ends what waits or is approved: by its holder, or by who may approve. */
  readonly release: (id: string, by: SpiffeId, now: number) => Promise<Acted>
  /** Nothing is approved for that run any more. @param of whose run, one that it asked something for; undefined: whoever says that it belongs to it */
  readonly endRun: (
    run: string,
    of: SpiffeId | undefined,
    now: number
  ) => Promise<{ readonly kind: 'done' } | { readonly kind: 'none' } | Unavailable>
}

export interface ApprovalList {
  readonly kind: 'entries'
  readonly entries: readonly ApprovalEntry[]
  readonly more: boolean
}

interface Unavailable {
  readonly kind: 'unavailable'
  readonly because: string
}
