/** What a client may not say to the database itself: credentials, and headers by which a database is told whose call it is. */
import type { AnyGrant } from '../core/decision.ts'
import { accept, type Result, refuse } from '../core/deny-reason.ts'
import type { VectorCall } from '../core/vector-call.ts'

/**
 * Removed from every call that is let through, unless the answer sets them. Not only the served database's own: a credential
 * for another one is nothing it should see, and a database of tomorrow may read what that of today ignores.
 */
export const CREDENTIAL_HEADERS = [
  'authorization',
  'proxy-authorization',
  'api-key',
  'x-api-key',
  'x-chroma-token',
  // OpenSearch's trusted proxy, which says who calls.
  'x-proxy-user',
  'x-proxy-roles'
] as const

/** Choose the database of Milvus: over gRPC, and over its REST interface. */
export const PLACE_HEADERS = ['dbname', 'db-name'] as const

/** Milvus's own name for where a call goes that names no database. */
const DEFAULT_PLACE = 'default'

/** Headers of the trusted proxy beside the known ones (`x-proxy-ext-…`): whatever they say, they say it for us. */
export function otherProxyHeaders(headers: ReadonlyMap<string, string>): readonly string[] {
  const found: string[] = []
  for (const name of headers.keys()) {
    if (name.startsWith('x-proxy-') && !(CREDENTIAL_HEADERS as readonly string[]).includes(name)) found.push(name)
  }
  return found.length === 0 ? NONE : found
}

const NONE: readonly string[] = []

/**
 * The credentials that a client sent along, for counting: known names as they are, all others as `other`.
 * @param noted what the gateway took away before the check, and noted
 * @param ownIdentity the caller proved itself by a JWT-SVID in `authorization`, which is no permanent key
 */
export function clientCopies(headers: ReadonlyMap<string, string>, noted: readonly string[], ownIdentity: boolean): readonly string[] {
  const found = new Set(noted.map((name) => (KNOWN.has(name) ? name : 'other')))
  for (const name of CREDENTIAL_HEADERS) if (headers.has(name) && !(ownIdentity && name === 'authorization')) found.add(name)
  return found.size === 0 ? NONE : [...found]
}

const KNOWN: ReadonlySet<string> = new Set(CREDENTIAL_HEADERS)

/**
 * The database that the call was judged for, for a database that reads it from a header; undefined for others. A message that
 * names none goes where the header says, so the header says what was judged and never what the client wrote.
 */
export function placeOf(grant: AnyGrant, meaningHeaders: readonly string[]): Result<string | undefined> {
  if (!meaningHeaders.includes('dbname')) return accept(undefined)
  if (grant.kind === 'probe') return accept(DEFAULT_PLACE)
  if (grant.kind === 'shadow') return shadowPlace(grant.call)
  const place = grant.targets[0]?.namespace ?? DEFAULT_PLACE
  if (grant.targets.every(({ namespace }) => (namespace ?? DEFAULT_PLACE) === place)) return accept(place)
  return TWO_PLACES
}

const TWO_PLACES = refuse(
  'call-ambiguous',
  'the call is about two databases, and one header has to name it',
  'Ask for each database by itself.'
)

/** The one place that all targets of the call name; nothing is resolved for a call that is in shadow. */
function shadowPlace({ targets }: VectorCall): Result<string | undefined> {
  const [first = DEFAULT_PLACE, ...others] = new Set(targets.map(({ namespace }) => namespace ?? DEFAULT_PLACE))
  return others.length === 0 ? accept(first) : TWO_PLACES
}
