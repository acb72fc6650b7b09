/** What was seen, put together from running servers or from audit files; and how far it can be relied on. */
import { type AdminAnswer, type AdminIdentity, type AdminTarget, askAdmin } from '../admin/admin-client.ts'
import { oneLine } from '../admin/approvals-lines.ts'
import { inventoryAnswer } from '../admin/inventory-routes.ts'
import { linesOf } from '../admin/replay.ts'
import { unreadable } from '../admin/svid-verify-question.ts'
import { createUsage, type UsageBook } from '../usage/usage.ts'
import type { UsageLimits } from '../usage/usage-counts.ts'
import { createLinks } from './links.ts'
import { readUse } from './record-use.ts'

/** Where a part of it comes from. */
export interface Source {
  /** Name of a file, or of a server. */
  readonly name: string
  /** Milliseconds since the epoch; undefined for a file without a decision. */
  readonly from: number | undefined
  readonly to: number | undefined
  /** What a reader of the result has to know of it. */
  readonly notes: readonly string[]
}

export interface Observed {
  readonly kind: 'servers' | 'records'
  readonly usage: UsageBook
  /** From when on all of it is known, and until when. */
  readonly from: number
  readonly to: number
  readonly sources: readonly Source[]
  /** Why what is not in it may have been all the same. */
  readonly gaps: readonly string[]
}

/** Of a command that reads what many servers have seen. */
const LIMITS: UsageLimits = { workloads: 50_000, places: 10_000, allPlaces: 500_000, certificates: 256 }
const FAULTS_SHOWN = 3
const DAY_MS = 86_400_000

/** In one pass, whatever their length. Throws `Unreadable`. */
export async function observedInFiles(files: readonly string[]): Promise<Observed> {
  const usage = createUsage(LIMITS)
  const sources: Source[] = []
  const gaps: string[] = []
  const links = createLinks()
  const days = new Set<number>()
  let unchained = 0
  for (const file of files) {
    const its = { from: Number.POSITIVE_INFINITY, to: Number.NEGATIVE_INFINITY, decisions: 0, bad: 0 }
    const faults: string[] = []
    let at = 0
    for await (const line of linesOf(file)) {
      at++
      if (line.trim() === '') continue
      const read = readUse(line)
      if (read.kind === 'bad') {
        its.bad++
        if (faults.length < FAULTS_SHOWN) faults.push(`${oneLine(file)}:${at}: ${read.says}.`)
        continue
      }
      if (read.link !== undefined) links.note(read.link)
      else unchained++
      if (read.kind === 'other') continue
      its.decisions++
      its.from = Math.min(its.from, read.at)
      its.to = Math.max(its.to, read.at)
      days.add(Math.floor(read.at / DAY_MS))
      if (read.use !== undefined) usage.note(read.use)
    }
    if (its.bad > 0) gaps.push(`${its.bad} lines of ${oneLine(file)} could not be read: ${faults.join(' ')}`)
    const none = its.decisions === 0
    sources.push({ name: file, from: none ? undefined : its.from, to: none ? undefined : its.to, notes: [`${its.decisions} decisions`] })
  }
  const [from, to] = [sources.map((one) => one.from), sources.map((one) => one.to)].map((all) => all.filter((one) => one !== undefined))
  if (from === undefined || to === undefined || from.length === 0) return unreadable('There is no decision in these files.')
  for (const { chain, lines } of links.missing())
    gaps.push(`${lines} lines are missing between the first and the last one of chain ${oneLine(chain)}`)
  const period = { from: Math.min(...from), to: Math.max(...to) }
  const notes = [...(unchained === 0 ? [] : ['records are not chained: whether lines are missing cannot be seen'])]
  const all = Math.floor(period.to / DAY_MS) - Math.floor(period.from / DAY_MS) + 1
  if (days.size < all) notes.push(`no decision on ${all - days.size} of ${all} days`)
  const [first, ...rest] = sources
  const said = first === undefined ? sources : [{ ...first, notes: [...first.notes, ...notes] }, ...rest]
  return { kind: 'records', usage, ...period, sources: said, gaps: [...gaps, ...gapsOf(usage)] }
}

/** Each is asked for all that it has kept. Throws `Unreadable`. @param revision of the policy that it is held against */
export async function observedByServers(
  targets: readonly AdminTarget[],
  identity: AdminIdentity,
  revision: string,
  now: number
): Promise<Observed> {
  const usage = createUsage(LIMITS)
  const sources: Source[] = []
  const gaps: string[] = []
  for (const target of targets) {
    const where = `${target.host}:${target.port}`
    const { usage: its, policy_revision: inForce } = answered(
      await askAdmin(target, identity, { method: 'GET', path: '/v1/inventory' }, now),
      where
    )
    usage.add(its)
    const name = `${its.instance} (${where})`
    const notes = [
      ...(its.killed === 0 ? [] : [`killed ${its.killed} times, and did not keep the last ${its.everySeconds} s each time`]),
      ...(its.everySeconds === 0 ? ['keeps it in memory only: it begins anew with each start'] : []),
      ...(inForce === revision ? [] : [`has policy ${inForce.slice(0, 12)} in force, which is not the one here`])
    ]
    if (its.killed > 0) notes.push(`runs: ${its.runsBefore + its.runs.length}`)
    sources.push({ name, from: its.since, to: now, notes })
  }
  if (new Set(sources.map(({ name }) => name)).size < sources.length) unreadable('One server is asked twice.')
  return {
    kind: 'servers',
    usage,
    from: Math.max(...sources.map(({ from }) => from ?? now)),
    to: now,
    sources,
    gaps: [...gaps, ...gapsOf(usage)]
  }
}

function answered({ status, body }: AdminAnswer, where: string) {
  if (status !== 200) return unreadable(`${where} says: ${oneLine(String(body['detail'] ?? `status ${status}`))}`)
  const read = inventoryAnswer.safeParse(body)
  return read.success ? read.data : unreadable(`${where} gives an answer of another version.`)
}

function gapsOf(usage: UsageBook): readonly string[] {
  const { forgotten, lost } = usage.facts()
  return [
    ...(forgotten === 0 ? [] : [`there was no room for ${forgotten} workloads, and what they used is not known`]),
    ...(lost === 0 ? [] : [`${lost} uses or more are not known: there was no room, or two processes wrote the file of one instance`])
  ]
}
