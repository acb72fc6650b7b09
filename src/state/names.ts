/**
 * The one thing a decision may wait for: the name behind a collection id, asked of the database itself.
 *
 * A positive answer is kept for a short time and given without a promise; a question is asked once however many wait for it;
 * and a caller that keeps asking for ids that are not there is stopped before it has learnt anything.
 */
import { accept, type Refused, type Result, refuse } from '../core/deny-reason.ts'
import { key } from '../core/keys.ts'
import { LOOKUPS_IN_FLIGHT_MAX, RESOLVED_NAME_TTL_MS, RESOLVED_NAMES_MAX } from '../core/limits.ts'
import type { ResolvedTarget, Target } from '../core/vector-call.ts'
import { createMisses } from './names-misses.ts'

/** Sends one GET to the database. Rejects when there is no answer. */
export type FetchName = (path: string, signal: AbortSignal) => Promise<{ readonly status: number; readonly body: Uint8Array }>

/** A database that can be asked. */
export interface NameSource {
  /** Its id in the settings. */
  readonly server: string
  /** Request target of the question. */
  readonly path: (tenant: string, namespace: string, id: string) => string
  /** What the answer says; `absent` when there is no such id in that tenant and namespace. */
  readonly read: (status: number, body: Uint8Array) => Result<Described | 'absent'>
  readonly fetchName: FetchName
}

export interface Place {
  readonly tenant: string
  readonly namespace: string
  readonly id: string
}

interface Described extends Place {
  readonly name: string
}

type Resolved = Result<readonly ResolvedTarget[]>
type Named = Result<string>

export interface Names {
  /** @param caller SPIFFE ID whose misses are counted. @returns a promise only where the database must be asked */
  readonly nameOf: (source: NameSource, caller: string, place: Place) => Named | Promise<Named>
  /** All targets of a call, each id exchanged for its name. */
  readonly resolve: (source: NameSource, caller: string, targets: readonly Target[]) => Resolved | Promise<Resolved>
  /**
   * Told of a granted rename or drop. The database carries it out a little later, so for one time to live the names that it
   * concerns are asked each time and not kept.
   */
  readonly forget: (server: string, targets: readonly ResolvedTarget[]) => void
}

export interface NamesOptions {
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** Longest wait for one answer; below the server's `deadline_ms`. */
  readonly timeoutMs?: number
  readonly keptMax?: number
}

const LOOKUP_TIMEOUT_MS = 300

/** A name that is kept until then, or (without a name) an id whose name must not be kept until then. */
interface Kept {
  readonly server: string
  readonly place: Place
  readonly name: Named | undefined
  readonly until: number
}

interface Flight {
  readonly answer: Promise<Named>
  readonly callers: Set<string>
}

export function createNames({ now, timeoutMs = LOOKUP_TIMEOUT_MS, keptMax = RESOLVED_NAMES_MAX }: NamesOptions): Names {
  const kept = new Map<string, Kept>()
  const flights = new Map<string, Flight>()
  const misses = createMisses()

  const keep = (at: string, entry: Kept) => {
    kept.delete(at)
    // The oldest goes first; a name that is still in use comes back with one question.
    if (kept.size >= keptMax) kept.delete(kept.keys().next().value as string)
    kept.set(at, entry)
  }

  const ask = (at: string, source: NameSource, place: Place): Flight => {
    const asked = now()
    const callers = new Set<string>()
    const answer = lookUp(source, place, timeoutMs).then((name) => {
      if (flights.get(at) === flight) flights.delete(at)
      const absent = !name.ok && name.reason.kind === 'collection-not-allowed'
      for (const caller of callers) misses.settle(caller, absent, now())
      const held = (kept.get(at)?.until ?? 0) > now()
      if (name.ok && !held) keep(at, { server: source.server, place, name, until: asked + RESOLVED_NAME_TTL_MS })
      return name
    })
    const flight = { answer, callers }
    flights.set(at, flight)
    return flight
  }

  const nameOf: Names['nameOf'] = (source, caller, place) => {
    const at = key(source.server, place.tenant, place.namespace, place.id)
    const entry = kept.get(at)
    const time = now()
    if (entry?.name !== undefined && entry.until > time) return entry.name
    const under = flights.get(at)
    if (under?.callers.has(caller) === true) return under.answer
    if (under === undefined && flights.size >= LOOKUPS_IN_FLIGHT_MAX) return unavailable('too many are under way')
    if (!misses.reserve(caller, time)) return refuse('rate-exceeded', 'too many name look-ups of this caller failed or are under way')
    const flight = under ?? ask(at, source, place)
    flight.callers.add(caller)
    return flight.answer
  }

  const resolve: Names['resolve'] = (source, caller, targets) => {
    const resolved = targets.map((target) => resolveOne(target, (place) => nameOf(source, caller, place)))
    if (resolved.some((one) => one instanceof Promise)) return Promise.all(resolved).then(allOf)
    return allOf(resolved as readonly Result<ResolvedTarget>[])
  }

  const forget: Names['forget'] = (server, targets) => {
    const until = now() + RESOLVED_NAME_TTL_MS
    for (const target of targets) {
      for (const [at, entry] of concerned(kept, server, target)) {
        flights.delete(at)
        keep(at, { ...entry, name: undefined, until })
      }
    }
  }

  return { nameOf, resolve, forget }
}

/** The entries that a change of the target may make wrong; for an id, also the one that may be on its way here. */
function concerned(kept: ReadonlyMap<string, Kept>, server: string, target: ResolvedTarget): [string, Omit<Kept, 'until'>][] {
  const { tenant, namespace = '', collection } = target
  if (collection.kind === 'name' && collection.id !== undefined) {
    const { id } = collection
    return [[key(server, tenant, namespace, id), { server, place: { tenant, namespace, id }, name: undefined }]]
  }
  // Defining and dropping are rare, so looking at every name is cheaper than keeping a second index of them.
  return [...kept].filter(([, entry]) => concerns(entry, server, tenant, namespace, collection))
}

function concerns(entry: Kept, server: string, tenant: string, namespace: string, collection: ResolvedTarget['collection']): boolean {
  if (entry.server !== server || entry.place.tenant !== tenant || entry.place.namespace !== namespace) return false
  if (collection.kind !== 'name') return collection.kind === 'every'
  return entry.name?.ok === true && entry.name.value === collection.name
}

function resolveOne(
  target: Target,
  nameOf: (place: Place) => Named | Promise<Named>
): Result<ResolvedTarget> | Promise<Result<ResolvedTarget>> {
  const { tenant: claim, namespace, collection } = target
  if (claim.kind === 'none') return refuse('tenant-not-named', 'a target names no tenant')
  const { tenant } = claim
  if (collection.kind !== 'id') return accept({ tenant, namespace, collection })
  if (namespace === undefined) return refuse('call-unreadable', 'a collection id without a namespace')
  const { id } = collection
  const found = (name: Named): Result<ResolvedTarget> =>
    name.ok ? accept({ tenant, namespace, collection: { kind: 'name', name: name.value, id } }) : name
  const name = nameOf({ tenant, namespace, id })
  return name instanceof Promise ? name.then(found) : found(name)
}

function allOf(results: readonly Result<ResolvedTarget>[]): Resolved {
  const targets: ResolvedTarget[] = []
  for (const result of results) {
    if (!result.ok) return result
    targets.push(result.value)
  }
  return accept(targets)
}

/** Asks, and believes an answer only if it speaks of what was asked. Never rejects. */
async function lookUp(source: NameSource, place: Place, timeoutMs: number): Promise<Named> {
  const abort = new AbortController()
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<Refused>((resolve) => {
    timer = setTimeout(() => resolve(unavailable(`no answer within ${timeoutMs} ms`)), timeoutMs)
  })
  try {
    return await Promise.race([late, answerOf(source, place, abort.signal)])
  } catch (cause) {
    return unavailable(cause instanceof Error ? cause.message : String(cause))
  } finally {
    clearTimeout(timer)
    abort.abort()
  }
}

async function answerOf(source: NameSource, place: Place, signal: AbortSignal): Promise<Named> {
  const { tenant, namespace, id } = place
  const { status, body } = await source.fetchName(source.path(tenant, namespace, id), signal)
  const answer = source.read(status, body)
  if (!answer.ok) return answer
  // One sentence for an id that is nowhere and one that is somebody else's: the caller must not be able to tell.
  if (answer.value === 'absent') return refuse('collection-not-allowed', `no collection ${id} in ${tenant}/${namespace}`)
  const { value } = answer
  const same = value.id === id && value.tenant === tenant && value.namespace === namespace && value.name !== ''
  return same ? accept(value.name) : unavailable('the answer is about another collection')
}

function unavailable(because: string): Refused {
  return refuse('state-unavailable', `name look-up: ${because}`)
}
