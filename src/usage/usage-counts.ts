/** The counters behind what was used, in their bounds: places, reasons, keys and certificates of each workload. */
import { key } from '../core/keys.ts'
import type { Certificate, Place, Used, UsedWorkload } from './usage-text.ts'

export interface UsageLimits {
  readonly workloads: number
  /** Exact places of one workload; further ones are counted by their namespace, without a name. */
  readonly places: number
  /** Of all workloads together. */
  readonly allPlaces: number
  readonly certificates: number
}

/** Of a server: some megabytes at the very most. */
export const SERVER_LIMITS: UsageLimits = { workloads: 2_000, places: 256, allPlaces: 16_384, certificates: 16 }

const NAME_CHARS_MAX = 256
const SHARES_MAX = 32
const REASONS_MAX = 64
const KEYS_MAX = 16
/** Top-k of 1, to 2, to 4, … to 1,024, and above. */
const TOP_K_BUCKETS = 12

export interface Its {
  readonly id: string
  firstAt: number
  lastAt: number
  allowed: number
  readonly denied: Map<string, { count: number; lastAt: number }>
  readonly keys: Map<string, { count: number; firstAt: number; lastAt: number }>
  readonly places: Map<string, Counted>
  /** That of the call before. */
  last: Counted | undefined
  readonly certificates: Map<string, Shown>
  certificatesGone: number
}

interface Where {
  readonly tenant: string
  readonly database: string
  readonly action: string
}

interface Target {
  readonly namespace: string | undefined
  readonly collection: { readonly kind: 'name' | 'id' | 'every' | 'none'; readonly name?: string }
}

type Counted = { -readonly [K in keyof Used]: Used[K] }

type Shown = { -readonly [K in keyof Omit<Certificate, 'shares'>]: Certificate[K] } & { readonly counts: Map<Counted, number> }

export interface All {
  readonly limits: UsageLimits
  readonly workloads: Map<string, Its>
  places: number
  forgotten: number
  lost: number
}

export function enter(all: All, id: string, at: number): Its {
  if (all.workloads.size >= all.limits.workloads) makeRoom(all)
  const [denied, keys, places, certificates] = [new Map(), new Map(), new Map(), new Map()]
  const its: Its = { id, firstAt: at, lastAt: at, allowed: 0, denied, keys, places, last: undefined, certificates, certificatesGone: 0 }
  all.workloads.set(id, its)
  return its
}

/** Whoever was never let through leaves first, then whoever was quiet for longest. What that one used is not known from then on. */
function makeRoom(all: All): void {
  const rank = (its: Its) => (its.allowed === 0 ? its.lastAt - Number.MAX_SAFE_INTEGER : its.lastAt)
  let leaves: Its | undefined
  for (const its of all.workloads.values()) if (leaves === undefined || rank(its) < rank(leaves)) leaves = its
  if (leaves === undefined) return
  all.workloads.delete(leaves.id)
  all.places -= leaves.places.size
  if (leaves.places.size > 0) all.forgotten++
}

export function addDenied({ denied }: Its, reason: string, count: number, at: number): void {
  const known = denied.get(reason)
  if (known === undefined) {
    if (denied.size < REASONS_MAX) denied.set(reason, { count, lastAt: at })
    return
  }
  known.count += count
  if (at > known.lastAt) known.lastAt = at
}

export function addKey({ keys }: Its, header: string, count: number, firstAt: number, lastAt: number): void {
  const known = keys.get(header)
  if (known === undefined) {
    if (keys.size < KEYS_MAX) keys.set(header, { count, firstAt, lastAt })
    return
  }
  known.count += count
  if (firstAt < known.firstAt) known.firstAt = firstAt
  if (lastAt > known.lastAt) known.lastAt = lastAt
}

export function shownBy(all: All, its: Its, serial: string, until: number, at: number): Shown {
  const known = its.certificates.get(serial)
  if (known !== undefined) return known
  if (its.certificates.size >= all.limits.certificates) {
    let oldest: Shown | undefined
    for (const one of its.certificates.values()) if (oldest === undefined || one.lastAt < oldest.lastAt) oldest = one
    if (oldest !== undefined) its.certificates.delete(oldest.serial)
    its.certificatesGone++
  }
  const topK = new Array<number>(TOP_K_BUCKETS).fill(0)
  const shown: Shown = { serial, until, firstAt: at, lastAt: at, calls: 0, counts: new Map(), others: 0, refused: 0, topK }
  its.certificates.set(serial, shown)
  return shown
}

export function addShare(shown: Shown, place: Counted, count: number): void {
  const known = shown.counts.get(place)
  if (known !== undefined) shown.counts.set(place, known + count)
  else if (shown.counts.size < SHARES_MAX) shown.counts.set(place, count)
  else shown.others += count
}

export function addTopK({ topK }: Shown, bucket: number, count: number): void {
  topK[bucket] = (topK[bucket] ?? 0) + count
}

export function bucketOf(topK: number): number {
  return topK > 1_024 ? TOP_K_BUCKETS - 1 : 32 - Math.clz32(topK - 1)
}

/** Where a use is counted: exactly there; else, with no room for that, somewhere in its namespace. */
export function placeOf(all: All, its: Its, where: Where, { namespace, collection }: Target): Counted | undefined {
  const { tenant, database, action } = where
  const { kind, name } = collection
  const { last } = its
  if (
    last !== undefined &&
    last.kind === kind &&
    last.name === name &&
    last.action === action &&
    last.tenant === tenant &&
    last.namespace === namespace &&
    last.database === database
  )
    return last
  // An id may be that of any collection, in any namespace.
  const exact: Place = kind === 'id' ? { kind: 'any' } : kind === 'name' ? { namespace, kind, name } : { namespace, kind }
  const found =
    ((name?.length ?? 0) <= NAME_CHARS_MAX ? known(all, its, where, exact, false) : undefined) ??
    known(all, its, where, { namespace, kind: 'any' }, true)
  if (found === undefined) all.lost++
  else its.last = found
  return found
}

function known(all: All, its: Its, { tenant, database, action }: Where, place: Place, coarse: boolean): Counted | undefined {
  const { namespace, kind, name } = place
  const spelled = key(action, tenant, database, namespace === undefined ? '' : `/${namespace}`, kind, name ?? '')
  const found = its.places.get(spelled)
  if (found !== undefined) return found
  // What is less exact has twice the room, so that it is there when the rest is full.
  const times = coarse ? 2 : 1
  if (its.places.size >= all.limits.places * times || all.places >= all.limits.allPlaces * times) return undefined
  const made: Counted = { tenant, database, ...place, action, allowed: 0, refused: 0 }
  its.places.set(spelled, made)
  all.places++
  return made
}

export function addWorkload(all: All, one: UsedWorkload): void {
  const its = all.workloads.get(one.id) ?? enter(all, one.id, one.firstAt)
  its.firstAt = Math.min(its.firstAt, one.firstAt)
  its.lastAt = Math.max(its.lastAt, one.lastAt)
  its.allowed += one.allowed
  its.certificatesGone += one.certificatesGone
  for (const { reason, count, lastAt } of one.denied) addDenied(its, reason, count, lastAt)
  for (const { header, count, firstAt, lastAt } of one.keys) addKey(its, header, count, firstAt, lastAt)
  const places = one.used.map((used) => addPlace(all, its, used))
  for (const certificate of one.certificates) addCertificate(all, its, certificate, places)
}

function addPlace(all: All, its: Its, one: Used): Counted | undefined {
  const { namespace, kind, name } = one
  const place =
    known(all, its, one, kind === 'name' ? { namespace, kind, name } : { namespace, kind }, false) ??
    known(all, its, one, { namespace, kind: 'any' }, true)
  if (place === undefined) {
    all.lost++
    return undefined
  }
  place.allowed += one.allowed
  place.refused += one.refused
  place.firstAt = least(place.firstAt, one.firstAt)
  place.lastAt = most(place.lastAt, one.lastAt)
  place.refusedAt = most(place.refusedAt, one.refusedAt)
  return place
}

function addCertificate(all: All, its: Its, one: Certificate, places: readonly (Counted | undefined)[]): void {
  const shown = shownBy(all, its, one.serial, one.until, one.firstAt)
  shown.firstAt = Math.min(shown.firstAt, one.firstAt)
  shown.lastAt = Math.max(shown.lastAt, one.lastAt)
  shown.calls += one.calls
  shown.others += one.others
  shown.refused += one.refused
  for (const [index, count] of one.shares) {
    const place = places[index]
    if (place === undefined) shown.others += count
    else addShare(shown, place, count)
  }
  for (const [bucket, count] of one.topK.entries()) addTopK(shown, bucket, count)
}

function least(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined || other === undefined ? (one ?? other) : Math.min(one, other)
}

function most(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined || other === undefined ? (one ?? other) : Math.max(one, other)
}

export function plain(its: Its): UsedWorkload {
  const { id, firstAt, lastAt, allowed, certificatesGone } = its
  const places = [...its.places.values()]
  const index = new Map(places.map((place, at) => [place, at]))
  return {
    id,
    firstAt,
    lastAt,
    allowed,
    denied: [...its.denied].map(([reason, one]) => ({ reason, ...one })),
    keys: [...its.keys].map(([header, one]) => ({ header, ...one })),
    used: places.map((one) => ({ ...one })),
    certificates: [...its.certificates.values()].map(({ counts, topK, ...one }) => ({
      ...one,
      shares: [...counts].map(([place, count]): [number, number] => [index.get(place) ?? 0, count]),
      topK: [...topK]
    })),
    certificatesGone
  }
}
