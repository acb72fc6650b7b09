/** Decision → what Envoy is to do: headers to set and remove, or a denial a person can read. Pure; encoding is the edge's. */

import { RUN_HEADER } from '../core/approval.ts'
import { type AnyGrant, type Decision, tenantOfGrant } from '../core/decision.ts'
import { DENIALS, type DenyReason } from '../core/deny-reason.ts'
import { POLICY_TOKEN_HEADER } from '../core/policy-token.ts'
import type { RateFacts, RiskRecord, StepUp } from '../core/risk.ts'
import { CREDENTIAL_HEADERS, PLACE_HEADERS } from './client-headers.ts'

export type HeaderPair = readonly [name: string, value: string]

export interface AllowAnswer {
  readonly verdict: 'allow'
  /** Overwrite every copy the client sent. */
  readonly set: readonly HeaderPair[]
  readonly remove: readonly string[]
  /** Added to the database's answer, so that a caller can name the decision when it asks why. */
  readonly respond: readonly HeaderPair[]
}

export interface DenyAnswer {
  readonly verdict: 'deny'
  readonly http: number
  readonly grpc: number
  readonly headers: readonly HeaderPair[]
  /** RFC 9457 problem details, at most 1 KiB. */
  readonly body: string
}

/** Sent to Envoy as dynamic metadata on both outcomes; its RBAC guard demands `verdict: allow`. */
export type Metadata = readonly HeaderPair[]

/** Input of ours that no database needs to see, whatever it is. */
const OURS = [POLICY_TOKEN_HEADER, 'x-vecauthz-subject-token', 'x-vecauthz-purpose', RUN_HEADER] as const

/** Longest remedy sent to a caller: the whole body stays below 1 KiB, as gRPC clients get it in one header. */
const REMEDY_CHARACTERS_MAX = 220

/** What the database gets from us beside the decision. */
export interface Native {
  /** Its own credential, and where it reads from a header what the call is about, that too. */
  readonly set: readonly HeaderPair[]
  /** Headers of this client that are not known beforehand. */
  readonly remove: readonly string[]
}

const NOTHING_NATIVE: Native = { set: [], remove: [] }

/** The headers that carry the decision. Each is always set, also to `none`: a header that is only removed can be forgotten. */
function decisionHeaders(grant: AnyGrant, decisionId: string): readonly HeaderPair[] {
  const tenant = tenantOfGrant(grant) ?? 'none'
  return [
    ['x-tenant-id', tenant],
    ['x-vecauthz-tenant', tenant],
    ['x-vecauthz-caller', grant.caller.id.text],
    ['x-vecauthz-decision', decisionId]
  ]
}

/**
 * What a database gets beside the call.
 * @param clientCredentials of this database, from its dialect
 */
export function allowAnswer(
  grant: AnyGrant,
  decisionId: string,
  clientCredentials: readonly string[],
  native: Native = NOTHING_NATIVE
): AllowAnswer {
  const set = [...decisionHeaders(grant, decisionId), ...native.set]
  // Envoy removes after it sets: what is in both lists would be gone.
  const kept = new Set(set.map(([name]) => name))
  const gone = new Set([...clientCredentials, ...CREDENTIAL_HEADERS, ...PLACE_HEADERS, ...native.remove, ...OURS])
  return { verdict: 'allow', set, remove: [...gone].filter((name) => !kept.has(name)), respond: [['x-vecauthz-decision', decisionId]] }
}

/**
 * What leaves the role `egress`: the policy token, and no credential of anybody for a database. The end user's token, the purpose and
 * the run stay for the index, which judges them itself; so does what a database reads, for the token is about this very request.
 */
export function egressAnswer(grant: AnyGrant, decisionId: string, token: string): AllowAnswer {
  const set: readonly HeaderPair[] = [...decisionHeaders(grant, decisionId), [POLICY_TOKEN_HEADER, token]]
  return { verdict: 'allow', set, remove: CREDENTIAL_HEADERS, respond: [['x-vecauthz-egress-decision', decisionId]] }
}

export function denyAnswer(decision: Extract<Decision, { verdict: 'deny' }>, decisionId: string, grpcCaller: boolean): DenyAnswer {
  const row = DENIALS[decision.reason.kind]
  const headers: HeaderPair[] = [
    ['content-type', 'application/problem+json'],
    ['cache-control', 'no-store'],
    ['x-vecauthz-decision', decisionId]
  ]
  const { requestId, stepUp } = decision.reason
  if (requestId !== undefined) headers.push(['x-vecauthz-approval', requestId])
  if (stepUp !== undefined) headers.push(['www-authenticate', challengeHeader(stepUp)], ['x-vecauthz-step-up', stepUp.id])
  if (decision.rate !== undefined) headers.push(...rateHeaders(decision.rate))
  if (decision.retryAfterMs !== undefined) {
    headers.push(['retry-after', String(Math.max(1, Math.ceil(decision.retryAfterMs / 1000)))])
  }
  if (grpcCaller) {
    // Envoy maps 429 to UNAVAILABLE, which gRPC clients retry at once; an explicit status overrides that (seen on 1.40).
    headers.push(['grpc-status', String(row.grpc)])
    if (decision.retryAfterMs !== undefined) headers.push(['grpc-retry-pushback-ms', String(Math.ceil(decision.retryAfterMs))])
  }
  return { verdict: 'deny', http: row.http, grpc: row.grpc, headers, body: problem(decision.reason, decisionId) }
}

/** RFC 9470 §3, with the id of the step-up as a further parameter. */
function challengeHeader({ id, forUser, acrValues, maxAgeSeconds }: StepUp): string {
  const says = forUser ? 'The end user has to authenticate again' : 'A supervisor or an operator has to approve'
  const parts = [`error="insufficient_user_authentication"`, `error_description="${says}"`]
  if (forUser && acrValues.length > 0) parts.push(`acr_values="${acrValues.map(quotable).join(' ')}"`)
  if (forUser) parts.push(`max_age="${maxAgeSeconds}"`)
  return `Bearer ${[...parts, `request_id="${quotable(id)}"`].join(', ')}`
}

/** What can stand in a quoted string of a header. */
function quotable(text: string): string {
  return text.replace(/[^\x21\x23-\x5b\x5d-\x7e]/g, '')
}

/** draft-ietf-httpapi-ratelimit-headers, with one policy: the workload's own budget. */
function rateHeaders({ limit, windowSeconds, remaining, resetSeconds }: RateFacts): HeaderPair[] {
  return [
    ['ratelimit-policy', `"workload";q=${limit};w=${windowSeconds}`],
    ['ratelimit', `"workload";r=${remaining};t=${resetSeconds}`]
  ]
}

function problem(reason: DenyReason, decisionId: string): string {
  const { http, tells } = DENIALS[reason.kind]
  const message = reason.remedy === undefined ? tells : `${tells} ${reason.remedy.slice(0, REMEDY_CHARACTERS_MAX)}`
  return JSON.stringify({
    type: `urn:vecauthz:denied:${reason.kind}`,
    title: tells,
    status: http,
    detail: message,
    reason: reason.kind,
    decision_id: decisionId,
    ...(reason.requestId === undefined ? {} : { approval_id: reason.requestId }),
    ...(reason.stepUp === undefined ? {} : { step_up: stepUpOf(reason.stepUp) }),
    // Database clients show the `message` member of an error body, so that is where their users look.
    message: `${message} (vecauthz ${reason.kind}, decision ${decisionId})`
  })
}

/** For programs: who can answer, and until when. How an end user has to sign in is in the challenge. */
function stepUpOf({ id, forUser, secondsLeft }: StepUp): object {
  const by = forUser ? ['end-user', 'supervisor', 'operator'] : ['supervisor', 'operator']
  return { id, by, seconds_left: secondsLeft }
}

const SCORES = ['0', '0.1', '0.2', '0.3', '0.4', '0.5', '0.6', '0.7', '0.8', '0.9', '1'] as const

/** Of a risk, in tenths, rounded down: few texts, for which answers can be kept. */
export function scoreOf(risk: RiskRecord | undefined): string | undefined {
  return risk?.score === undefined ? undefined : SCORES[Math.min(10, Math.max(0, Math.floor(risk.score * 10)))]
}

export function metadataOf(decision: Decision, decisionId: string, policyRevision: string, risk?: RiskRecord): Metadata {
  const common: HeaderPair[] = [
    ['verdict', decision.verdict],
    ['decision_id', decisionId],
    ['policy_revision', policyRevision]
  ]
  if (risk !== undefined) common.push(['standing', risk.after])
  const score = scoreOf(risk)
  if (score !== undefined) common.push(['risk_score', score])
  if (decision.verdict === 'allow') {
    common.push(['tenant', tenantOfGrant(decision.grant) ?? 'none'])
    if (decision.judged !== undefined) common.push(['judged', 'deny'], ['judged_reason', decision.judged.kind])
    return common
  }
  common.push(['reason', decision.reason.kind])
  const { atlas } = DENIALS[decision.reason.kind]
  if (atlas !== null) common.push(['atlas', atlas])
  return common
}
