/** The policy beside what was seen: each workload and each grant of it, what is unused, who belongs to nobody, and how far each could reach. */

import type { LimitsDocument, PolicyDocument } from '../core/policy-document.ts'
import { NO_SHAPE } from '../core/vector-call.ts'
import { exposureOf } from '../policy/when-facts.ts'
import { type Diverging, divergingIn } from '../usage/profiles.ts'
import type { Used, UsedWorkload } from '../usage/usage-text.ts'
import type { Ages } from './age.ts'
import type { Entry, Grant, Grants } from './grants.ts'
import type { Observed } from './observed.ts'

export interface Period {
  /** Milliseconds since the epoch. */
  readonly from: number
  readonly to: number
  readonly days: number
  /** Why nothing can be called unused; empty: it can. */
  readonly because: readonly string[]
}

export type Recommendation = 'keep' | 'narrow' | 'remove' | 'cannot tell'

/** One workload of the policy and one rule that is for it. */
export interface GrantLine {
  readonly workload: Entry
  readonly grant: Grant
  /** Those that it shares with the rule. */
  readonly tenants: readonly string[]
  /** Actions that were used in the period, and how often as far back as is known. */
  readonly used: ReadonlyMap<string, number>
  /** Ever, as far as that is known. */
  readonly lastUsed: number | undefined
  /** Refused for something other than a rule, in the period. */
  readonly refused: number
  readonly unusedActions: readonly string[]
  readonly unusedTenants: readonly string[]
  readonly recommended: Recommendation
  readonly because: string
}

export interface WorkloadLine {
  readonly entry: Entry
  /** Of those that it names, as far as they were seen. */
  readonly seen: readonly UsedWorkload[]
  readonly firstAt: number | undefined
  readonly lastAt: number | undefined
  readonly expired: boolean
  readonly overdue: boolean
  readonly reach: Radius
  readonly used: Omit<Radius, 'exposure'>
}

/** What a workload could get at, or got at. */
export interface Radius {
  readonly tenants: readonly string[]
  /** `database/namespace/name`, as the policy or as calls have it. */
  readonly collections: readonly string[]
  readonly actions: readonly string[]
  /** Of the call that shows most: weight of the tags × records that come back × 10 with raw embeddings (`environment.exposure`). */
  readonly exposure: number
}

export interface Inventory {
  readonly period: Period
  readonly workloads: readonly WorkloadLine[]
  readonly grants: readonly GrantLine[]
  /** Seen, and in no line of the policy. */
  readonly unlisted: readonly UsedWorkload[]
  readonly permanentKeys: readonly UsedWorkload[]
  readonly diverging: readonly { readonly workload: UsedWorkload; readonly found: Diverging }[]
}

const DAY_MS = 86_400_000

/** @param now milliseconds since the epoch, for what is overdue or expired */
export function periodOf({ from, to, gaps }: Observed, days: number): Period {
  const wanted = to - days * DAY_MS
  const short = from > wanted
  const seen = Math.floor(((to - from) / DAY_MS) * 100) / 100
  const because = short ? [`what was used is known for ${seen} days only, and ${days} are asked for`, ...gaps] : [...gaps]
  return { from: wanted, to, days, because }
}

export function analyse(document: PolicyDocument, grants: Grants, observed: Observed, period: Period, ages: Ages, now: number): Inventory {
  const seen = [...observed.usage.workloads()]
  const byEntry = new Map<Entry, UsedWorkload[]>()
  const unlisted: UsedWorkload[] = []
  for (const one of seen) {
    const entry = grants.entryOf(one.id)
    if (entry === undefined) unlisted.push(one)
    else byEntry.set(entry, [...(byEntry.get(entry) ?? []), one])
  }
  const today = new Date(now).toISOString().slice(0, 10)
  const lines = grants.entries.map((entry) => {
    const its = byEntry.get(entry) ?? []
    const rules = grants.of(entry)
    return {
      workload: workloadLine(entry, its, rules, document, period, today),
      grants: grantLines(entry, its, rules, grants, period, ages)
    }
  })
  return {
    period,
    workloads: lines.map(({ workload }) => workload),
    grants: lines.flatMap((one) => one.grants),
    unlisted,
    permanentKeys: seen.filter(({ keys }) => keys.some(({ lastAt }) => lastAt >= period.from)),
    diverging: seen.flatMap((workload) => {
      const found = divergingIn(workload)
      return found === undefined ? [] : [{ workload, found }]
    })
  }
}

function grantLines(
  entry: Entry,
  seen: readonly UsedWorkload[],
  rules: readonly Grant[],
  grants: Grants,
  period: Period,
  ages: Ages
): readonly GrantLine[] {
  const uses = new Map<Grant, Used[]>()
  for (const one of seen) {
    for (const use of one.used) {
      for (const grant of grants.serving(use, one.id)) {
        const list = uses.get(grant)
        if (list === undefined) uses.set(grant, [use])
        else list.push(use)
      }
    }
  }
  return rules.map((grant) => grantLine(entry, grant, uses.get(grant) ?? [], period, ages))
}

function grantLine(workload: Entry, grant: Grant, uses: readonly Used[], period: Period, ages: Ages): GrantLine {
  const tenants = workload.document.tenants.filter((one) => grant.rule.tenants.includes(one))
  const recent = uses.filter((one) => isRecent(one, period))
  const used = new Map<string, number>()
  // The counts are of all that is known: of what was used before the period as well, that it was used in it is all there is.
  for (const { action, allowed } of recent) used.set(action, (used.get(action) ?? 0) + allowed)
  const refused = uses
    .filter(({ refusedAt = Number.NEGATIVE_INFINITY }) => refusedAt >= period.from)
    .reduce((sum, one) => sum + one.refused, 0)
  const usedTenants = new Set(recent.map(({ tenant }) => tenant))
  const times = uses.flatMap(({ lastAt }) => lastAt ?? [])
  const lastUsed = times.length === 0 ? undefined : Math.max(...times)
  const unusedActions = grant.rule.actions.filter((one) => !used.has(one))
  const unusedTenants = tenants.filter((one) => !usedTenants.has(one))
  const line = { workload, grant, tenants, used, lastUsed, refused, unusedActions, unusedTenants }
  return { ...line, ...recommendation(line, period, ages) }
}

/** Passed in the period. */
export function isRecent({ lastAt = Number.NEGATIVE_INFINITY }: Used, { from }: Period): boolean {
  return lastAt >= from
}

function recommendation(
  { workload, grant, used, refused, unusedActions, unusedTenants }: Omit<GrantLine, 'recommended' | 'because'>,
  { days, because: gaps }: Period,
  ages: Ages
): Pick<GrantLine, 'recommended' | 'because'> {
  const say = (recommended: Recommendation, because: string) => ({ recommended, because })
  const narrower = unusedActions.length > 0 || unusedTenants.length > 0
  if (used.size > 0 && !narrower) return say('keep', `all of it was used in ${days} days`)
  if (gaps.length > 0) return used.size > 0 ? say('keep', 'used; what of it was not cannot be told') : say('cannot tell', gaps.join('; '))
  if (used.size === 0 && refused > 0) return say('keep', `not used, and asked for ${refused} times: something else than a rule refused it`)
  const age = worst(ages.ofRule(grant.entry, grant.rule), ages.ofWorkload(workload.document))
  if (age === 'new') return say('keep', 'it, or its workload, was added or widened in the period')
  if (age === 'unknown') {
    const says = 'when it was added is not known'
    return used.size > 0 ? say('keep', `used; ${says}`) : say('cannot tell', says)
  }
  if (used.size === 0) return say('remove', `not used in ${days} days`)
  const what = [...unusedActions, ...unusedTenants.map((one) => `tenant ${one}`)].join(', ')
  return say('narrow', `not used in ${days} days: ${what}`)
}

function worst(one: ReturnType<Ages['ofRule']>, other: ReturnType<Ages['ofRule']>) {
  return one === 'new' || other === 'new' ? 'new' : one === 'unknown' || other === 'unknown' ? 'unknown' : 'old'
}

function workloadLine(
  entry: Entry,
  seen: readonly UsedWorkload[],
  rules: readonly Grant[],
  document: PolicyDocument,
  period: Period,
  today: string
): WorkloadLine {
  const { expires, review_by, tenants } = entry.document
  const recent = seen.flatMap(({ used }) => used).filter((one) => isRecent(one, period))
  return {
    entry,
    seen,
    firstAt: seen.length === 0 ? undefined : Math.min(...seen.map((one) => one.firstAt)),
    lastAt: seen.length === 0 ? undefined : Math.max(...seen.map((one) => one.lastAt)),
    expired: expires !== undefined && expires <= today,
    overdue: review_by !== undefined && review_by <= today,
    reach: {
      tenants: sorted(rules.flatMap(({ rule }) => rule.tenants.filter((one) => tenants.includes(one)))),
      collections: sorted(rules.flatMap(collectionsOf)),
      actions: sorted(rules.flatMap(({ rule }) => rule.actions)),
      exposure: Math.max(0, ...rules.map((grant) => exposure(grant, document)))
    },
    used: {
      tenants: sorted(recent.map(({ tenant }) => tenant)),
      collections: sorted(recent.map(placeOf)),
      actions: sorted(recent.map(({ action }) => action))
    }
  }
}

export function collectionsOf({ entry }: Grant): readonly string[] {
  const { database, namespace, names } = entry
  return names.map((name) => [database, ...(namespace === undefined ? [] : [namespace]), name].join('/'))
}

function placeOf({ database, namespace, kind, name = `(${kind})` }: Used): string {
  return [database, ...(namespace === undefined ? [] : [namespace]), name].join('/')
}

/** Of the call that shows most under a rule. */
function exposure({ entry, rule }: Grant, { limits: common, tags = {} }: PolicyDocument): number {
  const limits: LimitsDocument = { ...common, ...rule.limits }
  const weight = Math.max(1, ...(entry.tags ?? []).map((tag) => tags[tag] ?? 1))
  const { top_k = 0, queries = 0, records = 0, vectors_out } = limits
  const search = { ...NO_SHAPE, topK: top_k, queries, vectorsOut: vectors_out === 'allow' }
  const read = { ...NO_SHAPE, topK: top_k, records, vectorsOut: vectors_out === 'allow' }
  return Math.max(...rule.actions.map((action) => exposureOf(action, action === 'search' ? search : read, weight)))
}

function sorted(all: readonly string[]): readonly string[] {
  return [...new Set(all)].sort()
}
