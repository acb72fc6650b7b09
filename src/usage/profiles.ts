/**
 * One identity by several certificates: replicas of one program use data alike, and somebody else with a stolen or second certificate does
 * not. Two certificates are compared when they were in use side by side, for at least half of the time that the shorter one was.
 *
 * Compared are the shares of calls by operation and collection (refused calls are a share of their own), by the Jensen-Shannon
 * divergence in bits: 0 for the same, 1 for nothing in common (Lin 1991). What chance alone makes of it is taken off: two samples of n1 and n2
 * calls over k kinds, alike in truth, have (k − 1) / (8 ln 2) · (1/n1 + 1/n2) on average.
 */
import type { Certificate, UsedWorkload } from './usage-text.ts'

export const DIVERGENCE_MAX = 0.3
/** With fewer calls by either, nothing is said. */
export const CALLS_MIN = 50
const SIDE_BY_SIDE = 0.5
/** Of the latest certificates. */
const COMPARED_MAX = 64

export interface Diverging {
  readonly serials: readonly [string, string]
  /** In bits, without what chance makes of it. */
  readonly divergence: number
  readonly calls: readonly [number, number]
  /** What each does most, in its share. */
  readonly does: readonly [readonly Share[], readonly Share[]]
  /** Middle top-k of each, at most; undefined for one that never asked for any, infinite above 1,024. */
  readonly topK: readonly [number | undefined, number | undefined]
}

export interface Share {
  readonly what: string
  readonly share: number
}

const SHOWN_MAX = 3

/** The pair that differs most; undefined when none does, or nothing can be said. */
export function divergingIn({ certificates, used }: UsedWorkload): Diverging | undefined {
  const some = certificates
    .filter(({ calls }) => calls >= CALLS_MIN)
    .sort((a, b) => b.lastAt - a.lastAt)
    .slice(0, COMPARED_MAX)
  const names = used.map(({ action, tenant, database, namespace, kind, name }) => {
    const where = [database, namespace, kind === 'name' ? name : kind].filter((part) => part !== undefined).join('/')
    return `${action} ${where} for ${tenant}`
  })
  const profiles = some.map((one) => profileOf(one, names))
  let most: Diverging | undefined
  for (const [at, one] of some.entries()) {
    for (let next = at + 1; next < some.length; next++) {
      const other = some[next] as Certificate
      if (!sideBySide(one, other)) continue
      const [first, second] = [profiles[at] as Profile, profiles[next] as Profile]
      const divergence = beyondChance(first, second)
      if (divergence <= Math.max(DIVERGENCE_MAX, most?.divergence ?? 0)) continue
      const calls: Diverging['calls'] = [one.calls, other.calls]
      const does: Diverging['does'] = [mostOf(first), mostOf(second)]
      most = { serials: [one.serial, other.serial], divergence, calls, does, topK: [middleOf(one.topK), middleOf(other.topK)] }
    }
  }
  return most
}

interface Profile {
  readonly total: number
  readonly counts: ReadonlyMap<string, number>
}

function profileOf({ shares, others, refused }: Certificate, names: readonly string[]): Profile {
  const counts = new Map(shares.map(([index, count]) => [names[index] ?? '', count]))
  if (others > 0) counts.set('other uses', others)
  if (refused > 0) counts.set('refused', refused)
  let total = 0
  for (const count of counts.values()) total += count
  return { total, counts }
}

function sideBySide(one: Certificate, other: Certificate): boolean {
  const [oneEnd, otherEnd] = [Math.min(one.lastAt, one.until), Math.min(other.lastAt, other.until)]
  const together = Math.min(oneEnd, otherEnd) - Math.max(one.firstAt, other.firstAt)
  return together > 0 && together >= SIDE_BY_SIDE * Math.min(oneEnd - one.firstAt, otherEnd - other.firstAt)
}

function beyondChance(one: Profile, other: Profile): number {
  if (one.total === 0 || other.total === 0) return 0
  const kinds = new Set([...one.counts.keys(), ...other.counts.keys()])
  let bits = 0
  for (const kind of kinds) {
    const [p, q] = [(one.counts.get(kind) ?? 0) / one.total, (other.counts.get(kind) ?? 0) / other.total]
    const middle = (p + q) / 2
    if (p > 0) bits += (p * Math.log2(p / middle)) / 2
    if (q > 0) bits += (q * Math.log2(q / middle)) / 2
  }
  const chance = ((kinds.size - 1) / (8 * Math.LN2)) * (1 / one.total + 1 / other.total)
  return Math.max(0, bits - chance)
}

function mostOf({ total, counts }: Profile): readonly Share[] {
  const sorted = [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))
  return sorted.slice(0, SHOWN_MAX).map(([what, count]) => ({ what, share: Math.round((count / total) * 100) / 100 }))
}

/** Upper end of the bucket that the middle one is in. */
function middleOf(buckets: readonly number[]): number | undefined {
  const total = buckets.reduce((sum, count) => sum + count, 0)
  let before = 0
  for (const [bucket, count] of buckets.entries()) {
    before += count
    if (total > 0 && before * 2 >= total) return bucket === buckets.length - 1 ? Number.POSITIVE_INFINITY : 2 ** bucket
  }
  return undefined
}
