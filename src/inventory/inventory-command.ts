/** `vecauthz inventory`: who there is, what each may do and what of that it uses; and what can be taken away. */
import { dirname, isAbsolute, join } from 'node:path'
import { type AdminEdges, CONNECTION_OPTIONS, identityOf, targetOf } from '../admin/admin-terminal.ts'
import { jsonLine, oneLine } from '../admin/approvals-lines.ts'
import { type Configured, configured, type Edges, type Written } from '../admin/check-edges.ts'
import { type Parsed, parsed, running } from '../admin/check-terminal.ts'
import { isUnreadable, unreadable } from '../admin/svid-verify-question.ts'
import { readArchived } from '../config/policy-archive.ts'
import type { PolicyText } from '../config/policy-files.ts'
import type { Settings } from '../config/settings-schema.ts'
import type { PolicyDocument } from '../core/policy-document.ts'
import { type Ages, agesOf } from './age.ts'
import { analyse, type Inventory, periodOf } from './analyse.ts'
import { type Certified, certificationCsv, certificationMarkdown } from './certification.ts'
import { type Grants, grantsOf } from './grants.ts'
import { jsonOf, proseOf } from './lines.ts'
import { type Observed, observedByServers, observedInFiles } from './observed.ts'
import { type PolicyPatch, policyPatch } from './policy-patch.ts'
import { planned } from './prune.ts'
import { deniedBy } from './replayed.ts'

const HELP = `vecauthz inventory: who may do what, who uses it, and what can be taken away (docs/inventory.md)

Usage: vecauthz inventory --admin HOST:PORT... --workload-api ADDRESS [--config FILE|DIR] [options]
       vecauthz inventory --audit FILE... [--config FILE|DIR] [options]

Holds the policy against what was seen: owners, reviews and expiry, first and last seen, grants that are used and that are not,
identities of nobody, callers that still send permanent keys, identities whose certificates do different things, and what each
workload could reach beside what it used. A period that is shorter than what is asked for, or has gaps, calls nothing unused.

  --admin HOST:PORT       the admin port of a server; may be given more than once: every replica and lane
  --audit FILE            or records, without a server; may be given more than once, in any order
  --config FILE|DIR       the settings, which name the policy (default: vecauthz.yaml)
  --days N                what was not used for so many days is unused (default: 90)
  --archive DIR           the policies of before, for what was added when (default: policy_archive of the settings)

  --report md|csv         certification: a row for each workload and grant, with room for the reviewer's decision
  --prune                 a patch (unified diff) of the policy's files that takes out what nobody used, and what stays and why
  --json                  one JSON object

Who you are, for --admin:
  --workload-api ADDRESS  take SVID and bundles from a Workload API: unix:///run/spire/agent/api.sock
  --svid FILE, --key FILE, --bundle FILE   or from PEM files
  --server ID             go on only if each server has this SPIFFE ID; without it, any SVID that verifies will do

Exit codes: 0 nothing to look at (--report, --prune: printed), 1 something is, 2 cannot say (the period is too short or has gaps,
bad arguments, something unreachable).
`

export interface InventoryEdges extends Edges, AdminEdges {
  /** A policy of these texts. Throws `Unreadable` with all its faults. */
  readonly writtenOf: (texts: readonly PolicyText[], settings: Settings) => Written
}

const DAYS = 90
const DAYS_MAX = 3_660

/** @param args what follows `inventory`. @returns the exit code */
export function inventoryCommand(args: readonly string[], edges: InventoryEdges): Promise<number> {
  return running(args, HELP, edges, async () => {
    const options = parsed(args, [...CONNECTION_OPTIONS, 'audit', 'config', 'days', 'archive', 'report'], ['json', 'prune'])
    const days = checked(options)
    const config = configured(options, edges)
    const { document, place, policy, file } = config.written
    const observed = await observedBy(options, policy.revision, edges)
    const grants = grantsOf(document, place)
    const period = periodOf(observed, days)
    const ages = agesFor(observed, period.from, options, config, edges)
    const inventory = analyse(document, grants, observed, period, ages, edges.now())
    const its: Certified = { inventory, revision: policy.revision, policyFile: file, sources: observed.sources, now: edges.now() }
    if (options.has('prune')) return prune(its, { observed, grants, ages }, options, config, edges)
    print(its, options, edges)
    if (period.because.length > 0) return 2
    return options.one('report') === undefined && isToLookAt(inventory) ? 1 : 0
  })
}

/** @returns days */
function checked(options: Parsed): number {
  const { words } = options
  if (words.length > 0) unreadable(`"${oneLine(words[0] ?? '')}" is not an option; see --help.`)
  const report = options.one('report')
  if (report !== undefined && report !== 'md' && report !== 'csv') unreadable('--report is md or csv.')
  if (report !== undefined && (options.has('prune') || options.has('json'))) unreadable('Ask for one: --report, --prune or --json.')
  if (options.many('audit').length > 0 === options.many('admin').length > 0)
    unreadable('Say where to look: --admin HOST:PORT of each server, or --audit FILE of its records.')
  const days = Number(options.one('days') ?? DAYS)
  return days > 0 && days <= DAYS_MAX ? days : unreadable(`--days is a number of days, up to ${DAYS_MAX}.`)
}

async function observedBy(options: Parsed, revision: string, edges: InventoryEdges): Promise<Observed> {
  const files = options.many('audit')
  if (files.length > 0) return observedInFiles(files)
  const targets = options
    .many('admin')
    .map((admin) => targetOf({ ...options, one: (name) => (name === 'admin' ? admin : options.one(name)) }))
  return observedByServers(targets, await identityOf(options, edges), revision, edges.now())
}

function agesFor(
  observed: Observed,
  from: number,
  options: Parsed,
  { settings, settingsFile, written }: Configured,
  edges: InventoryEdges
): Ages {
  const named = options.one('archive') ?? settings.policy_archive
  const archive =
    named === undefined || isAbsolute(named) || options.one('archive') !== undefined ? named : join(dirname(settingsFile), named)
  const documentOf = (revision: string): PolicyDocument | undefined => {
    const read = archive === undefined ? undefined : readArchived(archive, revision)
    if (read?.ok !== true) return undefined
    try {
      return edges.writtenOf(read.files, settings).document
    } catch (cause) {
      // It was good once: then the settings are others now, and what it had cannot be compared.
      if (isUnreadable(cause)) return undefined
      throw cause
    }
  }
  return agesOf(observed.usage.facts().revisions, written.policy.revision, from, documentOf)
}

function isToLookAt({ grants, workloads, unlisted, permanentKeys, diverging, period }: Inventory): boolean {
  return (
    grants.some(({ recommended }) => recommended === 'remove' || recommended === 'narrow') ||
    workloads.some(
      ({ lastAt, expired, overdue, entry }) => expired || overdue || entry.document.owner === undefined || (lastAt ?? 0) < period.from
    ) ||
    unlisted.length + permanentKeys.length + diverging.length > 0
  )
}

function print(its: Certified, options: Parsed, edges: InventoryEdges): void {
  const report = options.one('report')
  if (report === 'md') edges.print(certificationMarkdown(its))
  else if (report === 'csv') edges.print(certificationCsv(its))
  else if (options.has('json')) edges.print(`${jsonLine(jsonOf(its))}\n`)
  else edges.print(proseOf(its))
}

interface Known {
  readonly observed: Observed
  readonly grants: Grants
  readonly ages: Ages
}

async function prune(
  its: Certified,
  { observed, grants, ages }: Known,
  options: Parsed,
  config: Configured,
  edges: InventoryEdges
): Promise<number> {
  const { period } = its.inventory
  const { written, settings } = config
  if (period.because.length > 0) {
    const says = `Nothing can be called unused: ${period.because.join('; ')}.`
    if (options.has('json')) edges.print(`${jsonLine({ verdict: 'cannot tell', says: period.because })}\n`)
    else edges.complain(`vecauthz: ${oneLine(says)}\n`)
    return 2
  }
  const plan = policyPatch(written.file, written.policy.revision, planned(written.document, grants, its.inventory, observed, ages))
  const after = plan.removals.length === 0 ? written : edges.writtenOf(plan.texts, settings)
  const denied = await deniedBy(
    written.policy,
    after.policy,
    grants,
    grantsOf(after.document, after.place),
    observed,
    options.many('audit')
  )
  if (denied.length > 0) unreadable(`The patch would refuse what is used, so it is not printed: ${denied.join('; ')}.`)
  if (options.has('json')) {
    const removed = plan.removals.map(({ what, because }) => ({ what, because }))
    const revisions = { policy_revision: written.policy.revision, policy_revision_after: after.policy.revision }
    edges.print(`${jsonLine({ ...revisions, missing_revisions: ages.missing, removed, left: plan.left, patch: plan.patch })}\n`)
  } else edges.print(said(plan, its, ages))
  return 0
}

/** What comes before a patch is read by people only. */
function said({ removals: all, left, patch }: PolicyPatch, { inventory: { period }, revision }: Certified, { missing }: Ages): string {
  const lines = [
    `policy revision ${revision.slice(0, 12)}, held against ${period.days} days`,
    ...(all.length === 0 ? ['nothing is taken out'] : ['taken out:', ...all.map(({ what, because }) => `  ${what}: ${because}`)]),
    ...(left.length === 0 ? [] : ['stays, though it was not used:', ...left.map(({ what, because }) => `  ${what}: ${because}`)]),
    ...(missing.length === 0
      ? []
      : [`revisions that were in force, and cannot be read: ${missing.map((one) => one.slice(0, 12)).join(', ')}`])
  ]
  return `${lines.map((line) => `# ${oneLine(line)}\n`).join('')}${patch}`
}
