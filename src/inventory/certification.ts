/** The report that somebody signs: one row for each workload and grant, with room for what the reviewer decides. */
import type { Inventory } from './analyse.ts'
import { collectionsOf } from './analyse.ts'
import type { Source } from './observed.ts'

export interface Certified {
  readonly inventory: Inventory
  readonly revision: string
  readonly policyFile: string
  readonly sources: readonly Source[]
  /** Milliseconds since the epoch. */
  readonly now: number
}

const COLUMNS = [
  'workload',
  'owner',
  'review by',
  'expires',
  'rule',
  'collections',
  'tenants',
  'actions',
  'conditions',
  'used',
  'last used',
  'recommended',
  'because',
  'decision',
  'decided by',
  'date'
] as const

/** RFC 4180; the first lines say what it is about. */
export function certificationCsv(its: Certified): string {
  const lines = [...headOf(its).map(([name, value]) => [`# ${name}`, value]), COLUMNS, ...rowsOf(its)]
  return lines.map((cells) => `${cells.map(csvCell).join(',')}\r\n`).join('')
}

export function certificationMarkdown(its: Certified): string {
  const line = (cells: readonly string[]) => `| ${cells.map(markdownCell).join(' | ')} |\n`
  const head = headOf(its).map(([name, value]) => `- **${name}**: ${markdownCell(value)}\n`)
  const table = [line(COLUMNS), `|${' --- |'.repeat(COLUMNS.length)}\n`, ...rowsOf(its).map(line)]
  const signed = '\nReviewed by: ______________________  Date: ______________\n'
  return `# Certification of access\n\n${head.join('')}\n${table.join('')}${signed}`
}

function headOf({ inventory: { period }, revision, policyFile, sources, now }: Certified): readonly (readonly [string, string])[] {
  const complete =
    period.because.length === 0 ? 'nothing is known to be missing' : `cannot tell what is unused: ${period.because.join('; ')}`
  return [
    ['policy', `${policyFile}, revision ${revision}`],
    ['made', timeOf(now)],
    ['period', `${timeOf(period.from)} to ${timeOf(period.to)} (${period.days} days)`],
    ...sources.map(({ name, from, to, notes }): [string, string] => [
      'source',
      `${name}: ${from === undefined ? 'nothing' : `${timeOf(from)} to ${timeOf(to ?? from)}`}${notes.map((one) => `; ${one}`).join('')}`
    ]),
    ['complete', complete]
  ]
}

function rowsOf({ inventory: { grants } }: Certified): readonly (readonly string[])[] {
  return grants.map(({ workload, grant, tenants, used, lastUsed, recommended, because }) => {
    const { spiffe_id, owner = '', review_by = '', expires = '' } = workload.document
    const counts = [...used].map(([action, count]) => `${action} ${count}`).join(', ')
    const row = [spiffe_id, owner, review_by, expires, grant.source, collectionsOf(grant).join(', '), tenants.join(', ')]
    const rest = [
      grant.rule.actions.join(', '),
      conditionsOf(grant.rule),
      counts === '' ? 'no' : counts,
      lastUsed === undefined ? '' : timeOf(lastUsed)
    ]
    return [...row, ...rest, recommended, because, '', '', '']
  })
}

export function conditionsOf({ purposes, when, approval, grant, mode }: Inventory['grants'][number]['grant']['rule']): string {
  return [
    ...(purposes === undefined ? [] : [`purposes ${purposes.join(', ')}`]),
    ...(when === undefined ? [] : [`when ${when}`]),
    ...(approval === undefined ? [] : ['approval']),
    ...(grant === undefined ? [] : ['grant']),
    ...(mode === 'shadow' ? ['shadow'] : [])
  ].join('; ')
}

export function timeOf(at: number): string {
  return new Date(at).toISOString().replace(/\.\d+Z$/, 'Z')
}

/** What a spreadsheet would take for a formula is shown as text (CWE-1236): blanks before it are cut off by some, and its signs have wide twins. */
function csvCell(text: string): string {
  const safe = /^[\s\p{Cc}]*[=+\-@\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]/u.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}

function markdownCell(text: string): string {
  return text.replace(/[\\`*_[\]<>|#]/g, '\\$&').replace(/[\r\n]+/g, ' ')
}
