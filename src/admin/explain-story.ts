/** A decision as a story: who, what, which checks passed in which order, where it ended, and what would end it otherwise. */
import type { Caller } from '../core/caller.ts'
import { DENIALS, type DenyReason } from '../core/deny-reason.ts'
import type { ResolvedTarget, Shape, Target, VectorCall } from '../core/vector-call.ts'
import type { Written } from './check-edges.ts'
import { changeFor } from './explain-changes.ts'
import { nearestRule } from './explain-rules.ts'
import { sourceOfWorkload } from './replay-grant.ts'

/** What is known of a decision, made now or recorded. */
export interface View {
  readonly at: number
  readonly caller: Caller | undefined
  readonly assumed: boolean
  readonly database: string | undefined
  readonly call: VectorCall | undefined
  readonly tenant: string | undefined
  readonly targets: readonly ResolvedTarget[] | undefined
  /** The message could be read as one HTTP request. */
  readonly readable: boolean
  /** Undefined for an allow. */
  readonly reason: DenyReason | undefined
  readonly rule: string | undefined
}

/** The checks in their order, in words that are true when they pass. */
const CHECKS = {
  message: 'the message is one HTTP request',
  identity: 'the identity is proven',
  workload: 'the policy knows the workload',
  user: 'the end user is known, where one is needed',
  call: 'the call can be read as the database reads it',
  tenant: 'its tenant is one that the workload may act for',
  names: 'each collection has a name',
  rule: 'a rule allows it, within its limits',
  budget: 'the budget has room for it',
  answer: 'it can be sent on as it was judged'
} as const
type Check = keyof typeof CHECKS

export interface Story {
  readonly verdict: string
  readonly tells: string | undefined
  readonly who: string
  readonly what: string
  readonly checks: readonly { readonly check: string; readonly result: 'yes' | 'no' | 'not asked'; readonly says: string | undefined }[]
  readonly nearest: { readonly rule: string; readonly if: readonly string[] } | undefined
  readonly change: readonly string[]
}

export function storyOf(view: View, written: Written): Story {
  const failed = view.reason === undefined ? undefined : failedCheck(view, view.reason)
  const checks = (Object.keys(CHECKS) as Check[]).map((check) => {
    const result = check === failed ? ('no' as const) : isPassed(check, view, failed) ? ('yes' as const) : ('not asked' as const)
    const says = result === 'no' ? view.reason?.because : result === 'yes' ? detailOf(check, view, written) : undefined
    return { check: CHECKS[check], result, says }
  })
  const nearest = failed === 'rule' ? nearestTo(view, written) : undefined
  const { reason } = view
  const change =
    reason === undefined ? [] : [reason.remedy, nearest === undefined || nearest.if.length === 0 ? changeFor(reason.kind) : undefined]
  return {
    verdict: reason === undefined ? 'allowed' : `denied: ${reason.kind}`,
    tells: reason && DENIALS[reason.kind].tells,
    who: whoOf(view),
    what: whatOf(view),
    checks,
    nearest,
    change: change.filter((one) => one !== undefined)
  }
}

/** The check that ended it, by the reason and by how far it had come. */
function failedCheck(view: View, { kind }: DenyReason): Check {
  const { caller, call, tenant, targets } = view
  if (caller === undefined) return view.readable ? 'identity' : 'message'
  if (kind === 'caller-unknown' || kind === 'identity-revoked') return 'workload'
  if (kind.startsWith('subject-')) return 'user'
  const isBudget = kind === 'rate-exceeded' || kind === 'cost-exceeded'
  if (call === undefined) return isBudget ? 'budget' : kind === 'trust-unavailable' ? 'user' : 'call'
  if (call.operation === 'probe') return isBudget ? 'budget' : 'answer'
  if (tenant === undefined) return 'tenant'
  if (targets === undefined) return 'names'
  if (isBudget) return 'budget'
  return DENIALS[kind].http >= 500 ? 'answer' : 'rule'
}

function isPassed(check: Check, view: View, failed: Check | undefined): boolean {
  const order = Object.keys(CHECKS)
  if (failed === undefined) return true
  // Of a caller whose budget is spent, nothing is read any more.
  const skipped = failed === 'budget' && view.call === undefined && ['user', 'call', 'tenant', 'names', 'rule'].includes(check)
  return order.indexOf(check) < order.indexOf(failed) && !skipped
}

function detailOf(check: Check, view: View, { policy }: Written): string | undefined {
  switch (check) {
    case 'identity':
      return view.assumed ? 'assumed, as was asked' : undefined
    case 'workload':
      return view.caller && sourceOfWorkload(view.caller, policy, view.at)
    case 'tenant':
      return view.tenant === undefined ? 'the call is about none' : view.tenant
    case 'rule':
      return view.rule
    default:
      return undefined
  }
}

function nearestTo({ caller, call, tenant, targets, database }: View, written: Written): Story['nearest'] {
  if (caller === undefined || call === undefined || tenant === undefined || database === undefined || call.operation === 'probe')
    return undefined
  const { operation, shape } = call
  const all = (targets ?? []).map(({ namespace, collection }) =>
    nearestRule(written, { database, namespace, collection, caller: caller.id, tenant, operation, shape })
  )
  // A call passes when each of its places does, so the one that lacks most is what keeps it.
  const [worst] = all.filter((one) => one !== undefined).sort((a, b) => b.lacks.length - a.lacks.length)
  return worst && { rule: worst.rule.source, if: worst.lacks.map(({ words }) => words) }
}

function whoOf({ caller, assumed }: View): string {
  if (caller === undefined) return 'nobody that was proven'
  const by = assumed ? 'assumed' : `proven by ${caller.evidence === 'x509-svid' ? 'an X.509-SVID' : 'a JWT-SVID'}`
  const carrier = caller.carrier === undefined ? '' : `, over the connection of ${caller.carrier.text}`
  const { subject } = caller
  const user = subject && `, for a user of ${subject.issuer} whose token names ${subject.tenants.join(', ') || 'no tenant that counts'}`
  return `${caller.id.text} (${by}${carrier})${user ?? ''}`
}

function whatOf({ call, database, tenant, targets }: View): string {
  if (call === undefined) return database === undefined ? 'a call that was not read' : `a call to ${database} that was not read`
  const places = (targets ?? call.targets).map((one) => placeOf(database ?? '', one))
  const about = places.length === 0 ? (database ?? '') : places.join(' and ')
  const whose = tenant === undefined ? '' : ` for tenant ${tenant}`
  return `${call.operation} (${call.endpoint}) on ${about}${whose}${costOf(call.shape)}`
}

function placeOf(database: string, { namespace, collection }: Target | ResolvedTarget): string {
  const named = collection.kind === 'every' ? 'every collection' : 'the place itself'
  const name = collection.kind === 'name' ? collection.name : collection.kind === 'id' ? `the collection ${collection.id}` : named
  return [database, ...(namespace === undefined ? [] : [namespace]), name].join('/')
}

function costOf({ queries, topK, records, vectorsOut }: Shape): string {
  const top = Number.isFinite(topK) ? `${topK} results` : 'results without bound'
  const parts = [
    queries > 0 ? `${queries} ${queries === 1 ? 'query' : 'queries'}` : '',
    topK > 0 ? top : '',
    records > 0 ? `${records} ${records === 1 ? 'record' : 'records'}` : '',
    vectorsOut ? 'embeddings in the answer' : ''
  ].filter(Boolean)
  return parts.length === 0 ? '' : `: ${parts.join(', ')}`
}

export function inProse({ verdict, tells, who, what, checks, nearest, change }: Story, notes: readonly string[]): string {
  const lines = [
    verdict,
    ...(tells === undefined ? [] : [`  the caller reads: ${tells}`]),
    '',
    `who    ${who}`,
    `what   ${what}`,
    '',
    'checks, in their order'
  ]
  const mark = { yes: 'yes', no: 'NO ', 'not asked': '-  ' }
  for (const { check, result, says } of checks) lines.push(`  ${mark[result]}  ${check}${says === undefined ? '' : `: ${says}`}`)
  if (nearest !== undefined) {
    lines.push('', `the nearest rule is ${nearest.rule}`)
    if (nearest.if.length > 0) lines.push('  it would allow this if', ...nearest.if.map((one) => `    ${one}`))
    else lines.push('  it speaks of this call, and what keeps it from allowing it stands above')
  }
  if (change.length > 0) lines.push('', 'what would change it', ...change.map((one) => `  ${one}`))
  if (notes.length > 0) lines.push('', ...notes)
  return `${lines.join('\n')}\n`
}
