/**
 * Decided → one line of JSON. Fields are chosen: bodies, tokens, vectors and header values have no way in.
 *
 * The text is put together by hand because this runs for every decision: a general serialiser took four times as long as all
 * the rest of the record (measured with `npm run bench`).
 */
import { type ApprovalAnswer, RUN_HEADER, RUN_PATTERN } from '../core/approval.ts'
import type { Stream } from '../core/audit-anchor.ts'
import type { Caller } from '../core/caller.ts'
import type { Decision } from '../core/decision.ts'
import { namesOnly } from '../core/quoted.ts'
import type { RiskCause, RiskRecord } from '../core/risk.ts'
import type { Screened } from '../core/screening.ts'
import type { Bounds, ResolvedTarget, Shape, Target, VectorCall } from '../core/vector-call.ts'
import { mappingOf, snapshotOf } from './record-mapping.ts'

/** What a record is made of; `envoy/decide.ts` hands over more than is written. */
export interface Recordable {
  readonly decisionId: string
  readonly at: number
  readonly latencyUs: number
  readonly role: 'gateway' | 'egress' | 'index'
  readonly envoy: string
  readonly policyRevision: string
  /** All tenants of that policy: of the texts in a call's filter, only these names are written. */
  readonly tenants: ReadonlySet<string>
  readonly inbound:
    | {
        readonly method: string
        readonly target: string
        readonly httpId: string
        readonly headers: ReadonlyMap<string, string>
        readonly strippedCredentials: readonly string[]
      }
    | undefined
  readonly account: {
    readonly caller?: Caller
    /** Of the workload, as the policy has it; undefined where it has none, or does not know the workload. */
    readonly agentType?: string | undefined
    readonly database?: string
    readonly call?: VectorCall
    readonly tenant?: string
    readonly targets?: readonly ResolvedTarget[]
    /** Of role `index`: its `jti` is the decision id at egress. */
    readonly token?: { readonly issuer: { readonly text: string }; readonly tokenId: string; readonly policy: string }
    readonly approval?: ApprovalAnswer
    readonly risk?: RiskRecord
    readonly screened?: readonly Screened[]
    readonly dialect?: { readonly credentialHeaders: readonly string[] }
  }
  readonly decision: Decision
  /** Where the settings have a key for it. */
  readonly promptId?: string | undefined
}

const REQUEST_ID_CHARACTERS_MAX = 128
/** What could be a purpose of some policy. */
const PURPOSE = /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}$/
/** What could be the name of a tenant of some policy. */
const TENANT = /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,127}$/
const FIELD_CHARACTERS_MAX = 128
const CHANGES_MAX = 16
const CAUSES_MAX = 8
const PINS_MAX = 16
/** Needs no escaping in JSON: printable ASCII without quote and backslash. */
const PLAIN = /^[ !#-[\]-~]*$/
/** A caller is written often and does not change. */
const callers = new WeakMap<Caller, { readonly agentType: string | undefined; readonly fields: string }>()

/** One JSON object, without the line's end. */
export function auditLine(one: Recordable): string {
  const { account, decision, inbound } = one
  const { call } = account
  let line = `{"ts":"${stampOf(one.at)}","decision_id":${quote(one.decisionId)},"verdict":"${decision.verdict}"`
  line += reasonOf(decision) + mappingOf(decision.verdict === 'deny' ? decision.reason.kind : undefined, account.screened, call?.operation)
  line += `,"role":"${one.role}","envoy":${quoteKnown(one.envoy)}`
  line += text('request_id', inbound?.headers.get('x-request-id')?.slice(0, REQUEST_ID_CHARACTERS_MAX)) + text('http_id', inbound?.httpId)
  line += traceOf(inbound?.headers.get('traceparent')) + workflowOf(inbound?.headers.get(RUN_HEADER))
  if (account.caller !== undefined) line += callerOf(account.caller, account.agentType)
  line += text('tenant', account.tenant) + text('database', account.database)
  line += purposeOf(inbound?.headers.get('x-vecauthz-purpose'))
  if (call !== undefined)
    line += `,"endpoint":${quoteKnown(call.endpoint)},"operation":"${call.operation}"${scopeOf(call, one)}${shapeOf(call.shape)}`
  line += text('prompt_id', one.promptId)
  if (account.token !== undefined) line += tokenOf(account.token)
  if (account.approval !== undefined) line += approvalOf(account.approval)
  if (account.risk !== undefined) line += riskOf(account.risk)
  return `${line}${credentialsOf(one)},${policyOf(one.policyRevision)},"latency_us":${one.latencyUs}}`
}

/** The policy that was written last, and its text. */
let revision: string | undefined
let policyText = ''

function policyOf(written: string): string {
  if (written !== revision) {
    revision = written
    policyText = `"policy_revision":${quote(written)},"policy_snapshot":"${snapshotOf(written)}"`
  }
  return policyText
}

/** Records that name an end user may have to be kept elsewhere, and for another time, than those of agents. */
export function streamOf({ account }: Recordable): Stream {
  return account.caller?.subject === undefined ? 'agents' : 'people'
}

/** Who acts: an end user through a workload, an agent by itself, or a service that is no agent. */
function actorOf({ subject }: Caller, agentType: string | undefined): string {
  const kind = subject !== undefined ? 'user' : agentType !== undefined ? 'agent' : 'service'
  return `,"actor_kind":"${kind}"${agentType === undefined ? '' : `,"agent_type":${quoteKnown(agentType)}`}`
}

/** W3C Trace Context §3.2, version 00. */
const TRACEPARENT_CHARACTERS = 55
const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/

function traceOf(header: string | undefined): string {
  return header?.length === TRACEPARENT_CHARACTERS && TRACEPARENT.test(header) ? `,"traceparent":"${header}"` : ''
}

/** The run that the call belongs to, as its workload says. */
function workflowOf(header: string | undefined): string {
  return header !== undefined && RUN_PATTERN.test(header) ? `,"workflow":${quote(header)}` : ''
}

function quote(value: string): string {
  return PLAIN.test(value) ? `"${value}"` : JSON.stringify(value)
}

/** Texts of the policy, the settings and the dialects, which come again in every line. */
const quoted = new Map<string, string>()
const QUOTED_MAX = 1_024

function quoteKnown(value: string): string {
  const known = quoted.get(value)
  if (known !== undefined) return known
  const text = quote(value)
  // What an old policy said is forgotten with all the rest.
  if (quoted.size >= QUOTED_MAX) quoted.clear()
  quoted.set(value, text)
  return text
}

/** The second that was last written, and its text up to the point: the calendar is asked once a second, not for each line. */
let second = Number.NaN
let untilPoint = ''

/** As `toISOString`. @throws RangeError as that does */
function stampOf(ms: number): string {
  const whole = Math.trunc(ms)
  const its = Math.floor(whole / 1000)
  if (its !== second) {
    untilPoint = new Date(its * 1000).toISOString().slice(0, -4)
    second = its
  }
  const rest = whole - its * 1000
  return `${untilPoint}${rest < 10 ? '00' : rest < 100 ? '0' : ''}${rest}Z`
}

function text(name: string, value: string | undefined): string {
  return value === undefined ? '' : `,"${name}":${quote(value)}`
}

/** What the call says that it is for; `?` for a text that is no purpose anywhere, which stays out. */
function purposeOf(said: string | undefined): string {
  return text('purpose', said === undefined || PURPOSE.test(said) ? said : '?')
}

function reasonOf(decision: Decision): string {
  if (decision.verdict === 'allow') {
    const { grant, judged } = decision
    const shadow =
      judged === undefined
        ? ''
        : `,"judged":"deny"${text('judged_reason', judged.kind)}${text('judged_because', namesOnly(judged.because))}`
    return `,"rule":${quoteKnown(grant.kind === 'tenant' ? grant.rule : grant.kind)}${shadow}`
  }
  const { kind, because } = decision.reason
  const retry = decision.retryAfterMs === undefined ? '' : `,"retry_after_ms":${decision.retryAfterMs}`
  return text('reason', kind) + text('because', namesOnly(because)) + retry
}

function tokenOf({ issuer, tokenId, policy }: NonNullable<Recordable['account']['token']>): string {
  return `,"policy_token":{"issuer":${quote(issuer.text)},"jti":${quote(tokenId)},"policy_revision":${quote(policy)}}`
}

function approvalOf(answer: ApprovalAnswer): string {
  const id = 'id' in answer ? text('id', answer.id) : ''
  const by = answer.kind === 'approved' ? text('by', answer.by) : ''
  return `,"approval":{"state":"${answer.kind === 'required' ? answer.state : answer.kind}"${id}${by}}`
}

/** `vectors` says `unseen` where a query had no vector to look at: the budget alone bounds those. */
function riskOf({ score, causes, before, after, vectors, learning }: RiskRecord): string {
  const number = score === undefined ? '' : `"score":${Math.round(score * 1000) / 1000},`
  const said = learning === undefined || learning === 'none' ? '' : `,"learning":"${learning}"`
  const named = causes.length === 0 ? '' : `,"causes":[${causes.slice(0, CAUSES_MAX).map(causeOf).join(',')}]`
  const seen = vectors === undefined || vectors === 'none' ? '' : `,"vectors":"${vectors}"`
  return `${seen},"risk":{${number}"standing_before":"${before}","standing_after":"${after}"${said}${named}}`
}

function causeOf({ cause, says, figures }: RiskCause): string {
  const numbers = Object.entries(figures).map(([name, value]) => `${quote(name)}:${Number.isFinite(value) ? value : null}`)
  return `{"cause":"${cause}","says":${quote(says)},"figures":{${numbers.join(',')}}}`
}

function callerOf(caller: Caller, agentType: string | undefined): string {
  const known = callers.get(caller)
  if (known !== undefined && known.agentType === agentType) return known.fields
  const until = isoOf(caller.notAfter)
  const proof = `${text('serial', caller.serial)}${text('jti', caller.tokenId)}${text('carrier', caller.carrier?.text)}`
  const fields = `,"caller":{"spiffe_id":${quote(caller.id.text)},"evidence":"${caller.evidence}"${proof},"not_after":"${until}"}${chainOf(caller)}${actorOf(caller, agentType)}`
  callers.set(caller, { agentType, fields })
  return fields
}

/** End user → agents → workload, the first mover first. */
function chainOf({ id, subject }: Caller): string {
  if (subject === undefined) return ''
  const tenants = subject.tenants.map(quote).join(',')
  const user = `{"issuer":${quote(subject.issuer)},"sub":${quote(subject.id)}${text('jti', subject.tokenId)},"tenants":[${tenants}],"expires":"${isoOf(subject.expiresAt)}"}`
  const rest = [...[...subject.actors].reverse(), id.text].map(quote)
  return `,"subject_chain":[${[user, ...rest].join(',')}]`
}

/** A token's end may lie outside of what a date can hold by the leeway only, but a record must never fail. */
function isoOf(ms: number): string {
  return Number.isFinite(ms) && Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : 'never'
}

/** The collections by the names they were resolved to, or as the call named them when it did not come to that. */
function scopeOf(call: VectorCall, { account, tenants, decision }: Recordable): string {
  const tags = decision.verdict === 'allow' && decision.grant.kind === 'tenant' ? decision.grant.tags : undefined
  let scope = ''
  let at = 0
  for (const target of account.targets ?? call.targets) {
    const { namespace, collection, bounds } = target
    const name = 'name' in collection ? text('name', collection.name) : ''
    const id = 'id' in collection ? text('id', collection.id) : ''
    const proof = claimOf(target, account.tenant) + (bounds === undefined ? '' : boundsOf(bounds, tenants))
    const tagged = tags === undefined ? '' : `,"tags":[${tags[at++]?.map(quoteKnown).join(',') ?? ''}]`
    scope += `${scope === '' ? '' : ','}{"kind":"${collection.kind}"${text('namespace', namespace)}${name}${id}${tagged}${proof}}`
  }
  return `,"dataset_scope":[${scope}]`
}

/** Where the database's own grammar names the tenant, and which one, if that is not the tenant of the record. */
function claimOf(target: Target | ResolvedTarget, proved: string | undefined): string {
  const claim = typeof target.tenant === 'string' ? (target as ResolvedTarget).claim : target.tenant
  if (claim === undefined) return ',"claim":"path"'
  if (claim.kind === 'none') return ''
  const claimed = claim.tenant === proved ? '' : `,"claimed":${TENANT.test(claim.tenant) ? `"${claim.tenant}"` : null}`
  return `,"claim":"${claim.kind}"${claimed}`
}

/** What the call proved of its records: a text in a filter that names no tenant is data, and null stands for it. */
function boundsOf({ shards, pins, changes, unpinned, unsharded }: Bounds, tenants: ReadonlySet<string>): string {
  let fields = ''
  if (shards !== undefined) fields += `,"shards":[${shards.map((one) => (tenants.has(one) ? quote(one) : 'null')).join(',')}]`
  if (pins.size > 0) fields += pinsOf(pins, tenants)
  if (changes.length > 0) fields += `,"changes":[${changesOf(changes).map(quote).join(',')}]`
  fields += text('unpinned', unpinned) + text('unsharded', unsharded)
  return fields === '' ? '' : `,"bounds":{${fields.slice(1)}}`
}

/** Those to a tenant are all written. */
function pinsOf(pins: Bounds['pins'], tenants: ReadonlySet<string>): string {
  const short = [...pins].filter(([field]) => field.length <= FIELD_CHARACTERS_MAX)
  const named = short.filter(([, value]) => tenants.has(value)).map(([field, value]) => `${quote(field)}:${quote(value)}`)
  const others = short.filter(([, value]) => !tenants.has(value)).slice(0, PINS_MAX)
  const written = [...named, ...others.map(([field]) => `${quote(field)}:null`)]
  return written.length === 0 ? '' : `,"pins":{${written.join(',')}}`
}

/** What is not written out could be any field. */
function changesOf(changes: readonly string[]): readonly string[] {
  return changes.length > CHANGES_MAX || changes.some((one) => one.length > FIELD_CHARACTERS_MAX) ? ['*'] : changes
}

function shapeOf({ queries, topK, records, vectorsOut, dimensions }: Shape): string {
  // JSON has no infinity: a read without a limit is written as null.
  const top = Number.isFinite(topK) ? topK : null
  return `,"shape":{"queries":${queries},"top_k":${top},"records":${records},"vectors_out":${vectorsOut},"dimensions":${dimensions}}`
}

/** A caller that still sends a permanent key is a finding; the header's name is enough. */
function credentialsOf({ account, inbound }: Recordable): string {
  if (account.dialect === undefined || inbound === undefined) return ''
  const { strippedCredentials, headers } = inbound
  // A JWT-SVID that the listener takes is not a permanent key.
  const ours = account.caller?.evidence === 'jwt-svid' ? 'authorization' : ''
  let found = strippedCredentials
  for (const name of account.dialect.credentialHeaders) if (name !== ours && headers.has(name)) found = [...found, name]
  if (found.length === 0) return ''
  return `,"client_credentials":[${found.map(quote).join(',')}]`
}
