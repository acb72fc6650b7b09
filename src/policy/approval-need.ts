/** Whether a granted call waits for somebody else's yes as well, and what that yes would be bound to. */
import { type ApprovalAnswer, type ApprovalNeed, type Needs, RUN_HEADER, RUN_PATTERN, type Step } from '../core/approval.ts'
import type { Caller } from '../core/caller.ts'
import type { Grant } from '../core/decision.ts'
import { accept, type DenyReason, type Result, refuse } from '../core/deny-reason.ts'
import type { Action } from '../core/policy-document.ts'
import type { SpiffeId } from '../core/spiffe-id.ts'
import type { ResolvedTarget, VectorCall } from '../core/vector-call.ts'
import { findId } from './id-index.ts'
import { type Policy, workloadOf } from './policy.ts'

/** Definitions that add, or that can be taken back without loss. Whatever is not here changes what is there. */
const HARMLESS_DEFINITIONS: ReadonlySet<string> = new Set([
  ...['database.create', 'collection.create', 'partition.create', 'index.create', 'vector.create', 'class.create', 'class.add-property'],
  ...['collection.load', 'collection.release', 'collection.flush', 'partition.load', 'partition.release'],
  ...['Collections/Create', 'Points/CreateFieldIndex', 'Points/CreateVectorName']
])

/** Deletions that are either by id or by filter. A batch can be both, so its ids say nothing. */
const SINGLE_DELETIONS: ReadonlySet<string> = new Set([
  ...['records.delete', 'points.delete', 'vectors.delete', 'objects.delete'],
  ...['Points/Delete', 'Points/DeleteVectors']
])

/** What the request itself adds to a grant. */
export interface AskedWith {
  /** Id of the database. */
  readonly database: string
  /** `requestDigest` of the request; asked for only where it is needed. */
  readonly digest: () => string
  /** As `runOf` gave it. */
  readonly run: string | undefined
}

/**
 * @param needs what the rules that admitted the call ask for, all together
 * @returns undefined where the grant is enough
 */
export function approvalNeed(
  grant: Grant,
  needs: Needs | undefined,
  policy: Policy,
  { database, digest, run }: AskedWith
): ApprovalNeed | undefined {
  const { caller, call, tenant, targets, rule } = grant
  const { approvals } = policy
  const everywhere = approvals !== undefined && isIrreversible(call) && approvals.actions.has(call.operation as never)
  const steps: Step[] = []
  if (needs?.grant === true) steps.push('grant')
  if (needs?.approval === true || everywhere) steps.push('approval')
  if (steps.length === 0) return undefined
  return {
    steps,
    caller: caller.id.text,
    blocked: blockedFor(caller),
    operation: call.operation,
    endpoint: call.endpoint,
    database,
    tenant,
    targets: [...new Set(targets.map(spelled))].sort(),
    digest: steps.includes('approval') ? digest() : '',
    run,
    because: needs === undefined ? `${approvals?.source} lists ${call.operation}` : rule,
    // Compiling refuses a rule that needs what nobody may give; were there one, no yes would last.
    approvalMs: approvals?.approvalMs ?? 0,
    grantMs: approvals?.grantMs ?? 0
  }
}

/** What a caller says that it wants a grant for, ahead of the calls. */
export interface GrantAsked {
  readonly database: string
  readonly tenant: string
  readonly operation: Action
  /** As `spelled` prints them. */
  readonly targets: readonly string[]
  readonly run: string | undefined
}

/** @returns a sentence where policy knows no such caller, tenant or database; whether a rule allows it, each call is asked */
export function grantNeed(id: SpiffeId, asked: GrantAsked, policy: Policy, now: number): ApprovalNeed | string {
  const { approvals, databases } = policy
  const { database, tenant, operation, run } = asked
  const workload = workloadOf(policy, id)
  if (approvals === undefined) return 'Nothing needs a grant here.'
  if (workload === undefined || workload.expiresAt <= now) return 'You are not a workload of this policy.'
  if (!workload.tenants.has(tenant)) return 'You may not act for that tenant.'
  if (!databases.has(database)) return 'There is no such database.'
  return {
    steps: ['grant'],
    caller: id.text,
    blocked: [id.text],
    operation,
    endpoint: '',
    database,
    tenant,
    targets: [...new Set(asked.targets)].sort(),
    digest: '',
    run,
    because: 'asked for by the caller',
    approvalMs: approvals.approvalMs,
    grantMs: approvals.grantMs
  }
}

/** Drops; definitions that change what is there; deletions that do not name each record by its id. */
export function isIrreversible({ operation, endpoint, shape }: VectorCall): boolean {
  switch (operation) {
    case 'drop':
      return true
    case 'define':
      return !HARMLESS_DEFINITIONS.has(endpoint)
    case 'delete':
      return shape.records === 0 || !SINGLE_DELETIONS.has(endpoint)
    default:
      return false
  }
}

/** Whether policy lets this identity say yes to others; never to itself, which is asked elsewhere. */
export function mayApprove(id: SpiffeId, { approvals, revoked }: Policy): boolean {
  return approvals !== undefined && findId(approvals.approvers, id) !== undefined && findId(revoked.ids, id) === undefined
}

/** Whoever called, carried the call, or stands in its chain: none of them is somebody else. */
function blockedFor({ id, carrier, subject }: Caller): readonly string[] {
  const chain = subject === undefined ? [] : [...subject.actors, subject.id]
  return [...new Set([id.text, ...(carrier === undefined ? [] : [carrier.text]), ...chain])]
}

const PLAIN = /^[\w.-]+$/

/** One text for each target: a name with other characters is quoted, and words with a space between them are no name. */
export function spelled({ namespace, collection }: Pick<ResolvedTarget, 'namespace' | 'collection'>): string {
  const quoted = (name: string) => (PLAIN.test(name) ? name : JSON.stringify(name))
  const place = namespace === undefined ? '' : `${quoted(namespace)}/`
  switch (collection.kind) {
    case 'name':
      return `${place}${quoted(collection.name)}`
    case 'every':
      return `${place}every collection`
    default:
      return `${place}${collection.kind === 'none' ? 'the namespace itself' : 'a collection that is not known by name'}`
  }
}

/** The run that a call says it belongs to. @param header value of `x-vecauthz-run` */
export function runOf(header: string | undefined): Result<string | undefined> {
  if (header === undefined || RUN_PATTERN.test(header)) return accept(header)
  return refuse(
    'call-unreadable',
    `${RUN_HEADER} is not 1 to 128 printable characters`,
    `Send ${RUN_HEADER} without spaces, or leave it out.`
  )
}

/** Why a call that waits for somebody's yes does not pass; undefined when it does. */
export function approvalRefusal(need: ApprovalNeed, answer: ApprovalAnswer): DenyReason | undefined {
  switch (answer.kind) {
    case 'approved':
      return undefined
    case 'unavailable':
      return { kind: 'state-unavailable', because: answer.because }
    case 'ended':
      return {
        kind: 'approval-required',
        because: `run ${answer.run} has ended (${need.because})`,
        remedy: 'The run of this call has ended.'
      }
    case 'required': {
      const { step, id, state } = answer
      const because = `${step} ${id} is ${state === 'refused' ? 'refused' : 'asked for'} (${need.because})`
      const remedy =
        state === 'refused'
          ? `Request ${id} was refused.`
          : `Request ${id} waits for ${step === 'grant' ? 'a grant' : 'an approval'}: vecauthz approve ${id}; then send the very same call again.`
      return { kind: 'approval-required', because, remedy }
    }
  }
}
