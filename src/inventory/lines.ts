/** The inventory in prose, and as JSON. */
import { oneLine } from '../admin/approvals-lines.ts'
import type { Diverging } from '../usage/profiles.ts'
import type { UsedWorkload } from '../usage/usage-text.ts'
import { collectionsOf, type GrantLine, type Radius, type WorkloadLine } from './analyse.ts'
import { type Certified, conditionsOf, timeOf } from './certification.ts'

const LISTED_MAX = 8

export function proseOf({ inventory, revision, policyFile, sources }: Certified): string {
  const { period, workloads, grants, unlisted, permanentKeys, diverging } = inventory
  const told = period.because.length === 0
  const never = workloads.filter(({ lastAt }) => lastAt === undefined || lastAt < period.from)
  const lines = [
    `${workloads.length} workloads and ${grants.length} grants of ${policyFile}, revision ${revision.slice(0, 12)}`,
    `period: the last ${period.days} days, from ${timeOf(period.from)} to ${timeOf(period.to)}`,
    ...sources.map(({ name, from, to, notes }) => {
      const when = from === undefined || to === undefined ? 'nothing' : `${timeOf(from)} to ${timeOf(to)}`
      return `source: ${name}: ${when}${notes.map((one) => `; ${one}`).join('')}`
    }),
    ...(told ? [] : ['', 'CANNOT TELL what is unused:', ...period.because.map((one) => `  ${one}`)]),
    ...section('unused grants', grants.filter(({ recommended }) => recommended === 'remove').map(grantText)),
    ...section('grants of which a part is unused', grants.filter(({ recommended }) => recommended === 'narrow').map(grantText)),
    ...section(
      'in the policy, not seen in the period',
      told ? never.map(({ entry, lastAt }) => `${nameOf(entry)}${lastAt === undefined ? ', never' : `, last ${timeOf(lastAt)}`}`) : []
    ),
    ...section(
      'seen, not in the policy',
      unlisted.map((one) => `${one.id}, ${timeOf(one.firstAt)} to ${timeOf(one.lastAt)}, ${deniedText(one)}`)
    ),
    ...section(
      'without an owner',
      workloads.filter(({ entry }) => entry.document.owner === undefined).map(({ entry }) => nameOf(entry))
    ),
    ...section(
      'expired',
      workloads.filter(({ expired }) => expired).map(({ entry }) => `${nameOf(entry)}, on ${entry.document.expires}`)
    ),
    ...section(
      'review overdue',
      workloads.filter(({ overdue }) => overdue).map(({ entry }) => `${nameOf(entry)}, since ${entry.document.review_by}`)
    ),
    ...section('still send permanent keys', permanentKeys.map(keysText)),
    ...section(
      'one identity, several certificates that do different things',
      diverging.map(({ workload, found }) => divergingText(workload, found))
    ),
    ...section('workloads: what each could reach, and what it used', workloads.map(workloadText))
  ]
  return `${lines.map((line) => line.split('\n').map(oneLine).join('\n')).join('\n')}\n`
}

function section(title: string, all: readonly string[]): readonly string[] {
  return all.length === 0 ? [] : ['', `${title}: ${all.length}`, ...all.map((one) => `  ${one}`)]
}

const nameOf = ({ document }: WorkloadLine['entry']) => `${document.spiffe_id}${document.owner === undefined ? '' : ` (${document.owner})`}`

function grantText({ workload, grant, tenants, because }: GrantLine): string {
  const what = `${grant.rule.actions.join(', ')} in ${collectionsOf(grant).join(', ')} for ${tenants.join(', ')}`
  return `${workload.document.spiffe_id}: ${what}\n      ${grant.source}: ${because}`
}

function deniedText({ allowed, denied }: UsedWorkload): string {
  const refused = denied.map(({ reason, count }) => `${count} ${reason}`).join(', ')
  return [...(allowed === 0 ? [] : [`${allowed} passed`]), ...(refused === '' ? [] : [refused])].join(', ')
}

function keysText({ id, keys }: UsedWorkload): string {
  return `${id}: ${keys.map(({ header, count, lastAt }) => `${header} ${count} times, last ${timeOf(lastAt)}`).join('; ')}`
}

function divergingText({ id }: UsedWorkload, { serials, divergence, calls, does, topK }: Diverging): string {
  const one = (at: 0 | 1) => {
    const most = does[at].map(({ what, share }) => `${Math.round(share * 100)} % ${what}`).join(', ')
    const top = topK[at] === undefined ? '' : `, top-k mostly to ${Number.isFinite(topK[at]) ? topK[at] : 'above 1024'}`
    return `\n      ${serials[at]}: ${calls[at]} calls: ${most}${top}`
  }
  return `${id}: ${divergence.toFixed(2)} bits apart${one(0)}${one(1)}`
}

function workloadText({ entry, seen, firstAt, lastAt, reach, used }: WorkloadLine): string {
  const when = firstAt === undefined || lastAt === undefined ? 'never seen' : `seen ${timeOf(firstAt)} to ${timeOf(lastAt)}`
  const many = seen.length > 1 ? `, ${seen.length} identities` : ''
  return `${nameOf(entry)}: ${when}${many}\n      could: ${radiusText(reach)}, exposure ${reach.exposure}\n      used:  ${used.actions.length === 0 ? 'nothing' : radiusText(used)}`
}

function radiusText({ tenants, collections, actions }: Omit<Radius, 'exposure'>): string {
  return `${actions.join(', ') || 'nothing'} in ${listed(collections)} for ${listed(tenants)}`
}

function listed(all: readonly string[]): string {
  return all.length <= LISTED_MAX ? all.join(', ') || 'none' : `${all.slice(0, LISTED_MAX).join(', ')} and ${all.length - LISTED_MAX} more`
}

/** The same as one object. Names as the admin API has them. */
export function jsonOf({ inventory, revision, sources, now }: Certified): Readonly<Record<string, unknown>> {
  const { period, workloads, grants, unlisted, permanentKeys, diverging } = inventory
  const at = (time: number | undefined) => (time === undefined ? undefined : timeOf(time))
  return {
    now: timeOf(now),
    policy_revision: revision,
    period: { from: at(period.from), to: at(period.to), days: period.days },
    told: period.because.length === 0,
    cannot_tell_because: period.because,
    sources: sources.map(({ name, from, to, notes }) => ({ name, from: at(from), to: at(to), notes })),
    workloads: workloads.map(({ entry, seen, firstAt, lastAt, expired, overdue, reach, used }) => ({
      spiffe_id: entry.document.spiffe_id,
      source: entry.source,
      owner: entry.document.owner,
      review_by: entry.document.review_by,
      overdue,
      expires: entry.document.expires,
      expired,
      identities: seen.length,
      first_seen: at(firstAt),
      last_seen: at(lastAt),
      seen_in_period: lastAt !== undefined && lastAt >= period.from,
      reach,
      used
    })),
    grants: grants.map((one) => ({
      workload: one.workload.document.spiffe_id,
      owner: one.workload.document.owner,
      rule: one.grant.source,
      collections: collectionsOf(one.grant),
      tenants: one.tenants,
      actions: one.grant.rule.actions,
      conditions: conditionsOf(one.grant.rule),
      used: Object.fromEntries(one.used),
      last_used: at(one.lastUsed),
      refused: one.refused,
      unused_actions: one.unusedActions,
      unused_tenants: one.unusedTenants,
      recommended: one.recommended,
      because: one.because
    })),
    not_in_policy: unlisted.map(({ id, firstAt, lastAt, allowed, denied }) => ({
      spiffe_id: id,
      first_seen: at(firstAt),
      last_seen: at(lastAt),
      allowed,
      denied: Object.fromEntries(denied.map(({ reason, count }) => [reason, count]))
    })),
    permanent_keys: permanentKeys.map(({ id, keys }) => ({
      spiffe_id: id,
      headers: keys.map(({ header, count, firstAt, lastAt }) => ({ header, count, first: at(firstAt), last: at(lastAt) }))
    })),
    diverging_certificates: diverging.map(({ workload, found: { topK, ...found } }) => ({
      spiffe_id: workload.id,
      ...found,
      top_k: topK.map((one) => (one === Number.POSITIVE_INFINITY ? 'above 1024' : one))
    }))
  }
}
