/** A decision as `vecauthz check` prints it: the server's own record and answer, with everything secret left out. */

import type { Decision } from '../core/decision.ts'
import type { DenyKind } from '../core/deny-reason.ts'
import type { Policy } from '../policy/policy.ts'
import type { Account } from '../world.ts'

/** Whose call it is taken to be, where that is said and not proven. */
export interface Assumed {
  readonly caller: string
  /** The end user behind it, by one of the policy's issuers. */
  readonly user?: { readonly issuer: string; readonly tenants: readonly string[] } | undefined
}

/** What Envoy would be told. */
export interface Told {
  readonly grpc: number
  /** Of a denial. */
  readonly http: number | undefined
  readonly set: readonly (readonly [name: string, value: string])[]
  readonly remove: readonly string[]
  /** Added to the answer of the database, or the headers of the denial. */
  readonly respond: readonly (readonly [name: string, value: string])[]
}

/** A decision that was made here as the server makes it, with all that is known about it. */
export interface Judged {
  /** The line of the audit file that the server would write. */
  readonly record: Readonly<Record<string, unknown>>
  readonly account: Account
  /** The message could be read as one HTTP request. */
  readonly readable: boolean
  readonly decision: Decision
  readonly policy: Policy
  readonly told: Told
  readonly assumed: Assumed | undefined
}

/** Judges the bytes of a CheckRequest. */
export type Judge = (message: Buffer, assumed: Assumed | undefined) => Promise<Judged>

/** Values that are about the decision; the value of any other header may be a credential. */
const SHOWN = ['x-tenant-id', 'x-vecauthz-tenant', 'x-vecauthz-caller', 'dbname', 'content-type', 'cache-control', 'retry-after']
const SHOWN_TOO = ['grpc-status', 'grpc-retry-pushback-ms', 'www-authenticate']
/** Of the record: when and how fast it was decided, which says nothing about a call that nobody sent. */
const NOT_PRINTED = ['ts', 'decision_id', 'latency_us', 'envoy', 'http_id', 'request_id']
/** Not a no: a fact was missing. */
const CANNOT_SAY: readonly DenyKind[] = ['trust-unavailable', 'policy-unavailable', 'state-unavailable', 'deadline', 'internal']

/** 0 yes, 1 no, 2 cannot say. */
export function exitCode({ decision }: Judged): number {
  if (decision.verdict === 'allow') return 0
  return CANNOT_SAY.includes(decision.reason.kind) ? 2 : 1
}

export function decisionJson(judged: Judged): Readonly<Record<string, unknown>> {
  const { record, decision, told, assumed } = judged
  const { dataset_scope: targets, caller, ...rest } = record
  const kept = Object.fromEntries(Object.entries(rest).filter(([name]) => !NOT_PRINTED.includes(name)))
  const remedy = decision.verdict === 'deny' ? decision.reason.remedy : undefined
  const note = noteOf(judged)
  return {
    ...kept,
    ...(remedy === undefined ? {} : { remedy }),
    ...(caller === undefined ? {} : { caller: assumed === undefined ? caller : { spiffe_id: assumed.caller, assumed: true } }),
    ...(targets === undefined ? {} : { targets }),
    answer: {
      ...(told.http === undefined ? {} : { http: told.http }),
      grpc: told.grpc,
      set: headersOf(told.set),
      remove: told.remove,
      respond: headersOf(told.respond)
    },
    ...(note === undefined ? {} : { note })
  }
}

function headersOf(pairs: Told['set']): Readonly<Record<string, string>> {
  return Object.fromEntries(pairs.map(([name, value]) => [name, shownValue(name, value)]))
}

function shownValue(name: string, value: string): string {
  if (SHOWN.includes(name) || SHOWN_TOO.includes(name)) return value
  return name === 'x-vecauthz-decision' ? '(the id of the decision)' : '(not shown)'
}

/** What is missing for an answer, and how it is given. */
export function noteOf({ decision, account, assumed }: Judged): string | undefined {
  if (decision.verdict === 'allow') return undefined
  const { kind } = decision.reason
  if (kind === 'trust-unavailable' && assumed === undefined && account.caller === undefined)
    return 'Give what proves the certificate with --bundle TRUST-DOMAIN=FILE, or say whose call it is with --assume-caller SPIFFE-ID.'
  if (kind === 'trust-unavailable') return 'Give the keys of the issuer with --subject-keys ISSUER=FILE.'
  if (kind !== 'state-unavailable' || account.call === undefined || account.targets !== undefined) return undefined
  const ids = account.call.targets.flatMap(({ collection }) => (collection.kind === 'id' ? [collection.id] : []))
  return `Only the database knows the name behind ${ids.join(', ')}. Say it with --resolved FILE: {"ID": {"name": …, "tenant": …, "namespace": …}}.`
}
