/** What can be taken out of a policy because nobody used it, and what stays all the same, and why. */
import type { DocumentPath, PolicyDocument } from '../core/policy-document.ts'
import { compileIdPattern, matchesId, parseSpiffeId } from '../core/spiffe-id.ts'
import type { Used } from '../usage/usage-text.ts'
import type { Age, Ages } from './age.ts'
import type { Inventory, Period, WorkloadLine } from './analyse.ts'
import { describes, type Entry, type Grant, type Grants, patternsOf } from './grants.ts'
import type { Observed } from './observed.ts'

export interface Removal {
  readonly path: DocumentPath
  /** Where it stands, and what it is. */
  readonly what: string
  readonly because: string
}

export interface Left {
  readonly what: string
  readonly because: string
}

export interface Plan {
  readonly removals: readonly Removal[]
  readonly left: readonly Left[]
}

interface Total {
  readonly tenants: Set<string>
  readonly actions: Set<string>
  readonly ids: Set<string>
  lastAt: number
}

interface Work {
  readonly document: PolicyDocument
  readonly grants: Grants
  readonly period: Period
  readonly ages: Ages
  /** Whoever a rule is for. */
  readonly peopleOf: ReadonlyMap<Grant, readonly Entry[]>
  readonly removals: Removal[]
  readonly left: Left[]
}

/** Only where all can be told (`period.because` is empty). */
export function planned(document: PolicyDocument, grants: Grants, { period, workloads }: Inventory, observed: Observed, ages: Ages): Plan {
  const counts = countsFor(observed, period)
  const work: Work = { document, grants, period, ages, peopleOf: peopleOf(grants), removals: [], left: [] }
  const totals = totalsOf(grants, observed, counts)
  const gone = grants.all.filter((grant) => {
    const total = totals.get(grant)
    if (total !== undefined && total.lastAt < period.from) {
      const day = new Date(total.lastAt).toISOString().slice(0, 10)
      work.left.push({ what: describe(grant), because: `last used on ${day}, before the period; the records that were given show it` })
    }
    if (total !== undefined) narrowRule(work, grant, total)
    return total === undefined && isRemovable(work, grant)
  })
  removeRules(work, gone, usesIn(observed, counts))
  removeWorkloads(work, workloads, observed)
  return { removals: work.removals, left: work.left }
}

/** What a file of records shows is used, however long ago: replayed, it comes out as before. What servers keep counts in the period. */
function countsFor({ kind }: Observed, { from }: Period): (use: Used) => boolean {
  if (kind === 'records') return () => true
  return ({ lastAt = Number.NEGATIVE_INFINITY, refusedAt = Number.NEGATIVE_INFINITY }) => Math.max(lastAt, refusedAt) >= from
}

function totalsOf(grants: Grants, { usage }: Observed, counts: (use: Used) => boolean): ReadonlyMap<Grant, Total> {
  const totals = new Map<Grant, Total>()
  for (const { id, used } of usage.workloads()) {
    for (const use of used) {
      if (!counts(use)) continue
      for (const grant of grants.serving(use, id)) {
        const total = totals.get(grant) ?? { tenants: new Set(), actions: new Set(), ids: new Set(), lastAt: 0 }
        totals.set(grant, total)
        total.tenants.add(use.tenant)
        total.actions.add(use.action)
        total.ids.add(id)
        total.lastAt = Math.max(total.lastAt, use.lastAt ?? 0, use.refusedAt ?? 0)
      }
    }
  }
  return totals
}

function peopleOf(grants: Grants): ReadonlyMap<Grant, readonly Entry[]> {
  const people = new Map<Grant, Entry[]>()
  for (const entry of grants.entries) {
    for (const grant of grants.of(entry)) people.set(grant, [...(people.get(grant) ?? []), entry])
  }
  return people
}

const describe = ({ source, rule, entry }: Grant) =>
  `${source} (${rule.actions.join(', ')} in ${entry.names.join(', ')} of ${entry.database} for ${rule.tenants.join(', ')})`

/** Nobody used it, and it is as old as the period, as is everybody whom it is for. */
function isRemovable(work: Work, grant: Grant): boolean {
  const { left, ages, peopleOf: people } = work
  const stays = (because: string) => {
    left.push({ what: describe(grant), because })
    return false
  }
  const age = ages.ofRule(grant.entry, grant.rule)
  if (age !== 'old') return stays(sentence(age, 'it'))
  for (const entry of people.get(grant) ?? []) {
    const its = ages.ofWorkload(entry.document)
    if (its !== 'old') return stays(sentence(its, entry.document.spiffe_id))
  }
  return true
}

function sentence(age: Age, what: string): string {
  return age === 'new' ? `${what} was added or widened in the period` : `when ${what} was added is not known`
}

/** A rule that is used stays; tenants, actions and workloads of it that nobody used go. */
function narrowRule(work: Work, grant: Grant, { tenants, actions, ids }: Total): void {
  const { rule, entry, path, source } = grant
  const narrow = (list: 'tenants' | 'actions' | 'workloads', all: readonly string[], isUsed: (one: string) => boolean) => {
    for (const [at, one] of all.entries()) {
      if (isUsed(one)) continue
      const what = `${source}: ${list === 'actions' ? 'action' : list === 'tenants' ? 'tenant' : 'workload'} ${one}`
      const ages = [work.ages.ofRule(entry, { ...rule, [list]: [one] }), ...ofPeople(work, grant, list, one)]
      const age = ages.find((some) => some !== 'old')
      if (age !== undefined) work.left.push({ what, because: sentence(age, 'it, or a workload that it is for,') })
      else work.removals.push({ path: [...path, list, at], what, because: unusedFor(work) })
    }
  }
  narrow('tenants', rule.tenants, (one) => tenants.has(one))
  narrow('actions', rule.actions, (one) => actions.has(one))
  // An identity in two lines of the list is used in both.
  if (rule.workloads !== undefined)
    narrow('workloads', rule.workloads, (one) => patternsOf([one]).some((pattern) => [...ids].some((id) => isIn(pattern, id))))
}

/** Of those who could have used that part. */
function ofPeople({ peopleOf: people, ages }: Work, grant: Grant, list: string, one: string): readonly Age[] {
  const its = people.get(grant) ?? []
  const meant =
    list === 'tenants'
      ? its.filter(({ document }) => document.tenants.includes(one))
      : list === 'workloads'
        ? its.filter(({ document }) => document.spiffe_id === one)
        : its
  return meant.map(({ document }) => ages.ofWorkload(document))
}

function isIn(pattern: ReturnType<typeof patternsOf>[number], text: string): boolean {
  const id = parseSpiffeId(text)
  return id.ok && matchesId(pattern, id.id)
}

function unusedFor({ period }: Work): string {
  return `not used in ${period.days} days`
}

function usesIn({ usage }: Observed, counts: (use: Used) => boolean): readonly Used[] {
  return [...usage.workloads()].flatMap(({ used }) => used.filter(counts))
}

/**
 * An entry whose rules all go goes with them, unless calls come to what it describes: in shadow they pass though no rule allows them,
 * and only the entry says whose they are.
 */
function removeRules(work: Work, gone: readonly Grant[], uses: readonly Used[]): void {
  const byEntry = Map.groupBy(gone, ({ path }) => path[1])
  const whole = [...byEntry].filter(([at, some]) => some.length === work.document.collections[at]?.allow.length)
  const nothingLeft = whole.length === work.document.collections.length
  for (const [at, some] of byEntry) {
    if (!whole.some(([one]) => one === at)) {
      for (const grant of some) work.removals.push({ path: grant.path, what: describe(grant), because: unusedFor(work) })
    } else if (uses.some((use) => describes(some[0] as Grant, use))) {
      for (const grant of some)
        work.left.push({ what: describe(grant), because: 'calls come to what it describes, and only it says whose they are' })
    } else if (nothingLeft && at === 0) {
      for (const grant of some) work.left.push({ what: describe(grant), because: 'a policy has at least one entry under collections' })
    } else
      work.removals.push({ path: ['collections', at], what: some.map(describe).join('; '), because: `${unusedFor(work)}: all rules of it` })
  }
}

function removeWorkloads(work: Work, workloads: readonly WorkloadLine[], { kind }: Observed): void {
  const { document, left, removals, ages, period } = work
  const elsewhere = [...(document.approvals?.approvers ?? []), ...(document.carriers ?? [])]
  const going = workloads.filter(({ entry, lastAt, expired }) => {
    const isSeen = lastAt !== undefined && (kind === 'records' || lastAt >= period.from)
    const stays = (because: string) => {
      left.push({ what: `${entry.source} (${entry.document.spiffe_id})`, because })
      return false
    }
    if (isSeen) return expired ? stays('it has expired, and was seen') : false
    if (elsewhere.some((text) => meets(text, entry))) return stays('it is not seen, and it is also an approver or a carrier')
    const age = ages.ofWorkload(entry.document)
    return age === 'old' || stays(`it is not seen; ${sentence(age, 'it')}`)
  })
  for (const [at, { entry, expired }] of going.entries()) {
    const { spiffe_id, expires } = entry.document
    const what = `${entry.source} (${spiffe_id})`
    if (at === 0 && going.length === document.workloads.length) left.push({ what, because: 'a policy has at least one workload' })
    else
      removals.push({
        path: ['workloads', entry.at],
        what,
        because: expired ? `it expired on ${expires}, and was not seen` : `not seen in ${period.days} days`
      })
  }
}

function meets(text: string, { document }: Entry): boolean {
  if (text === document.spiffe_id) return true
  const compiled = compileIdPattern(text)
  const id = parseSpiffeId(document.spiffe_id)
  return compiled.ok && id.ok && matchesId(compiled.pattern, id.id)
}
