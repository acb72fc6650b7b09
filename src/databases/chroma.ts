/**
 * Chroma's v2 API as server 1.5.9 reads it. That server has no authentication, and tenant and database in the path do not
 * bind a call that names a collection by id (tried): the name behind an id is asked of the server before anything is granted.
 */
import { accept, type Refused, type Result, refuse } from '../core/deny-reason.ts'
import type { Inbound } from '../core/inbound.ts'
import { type CollectionRef, NO_SHAPE, type Target, type TenantClaim, type VectorCall } from '../core/vector-call.ts'
import { checkId, checkName, chromaNames } from './chroma-names.ts'
import { type BodyFacts, U32_MAX } from './chroma-records.ts'
import { CHROMA_ROUTES, type ChromaRoute } from './chroma-routes.ts'
import { READ_LEVELS } from './chroma-search.ts'
import type { Dialect } from './dialect.ts'
import { checkJsonBody, checkMessage, checkNoBody, checkQueryKeys } from './http-message.ts'
import { readJson } from './json.ts'
import { readTarget } from './path.ts'
import { compileRoutes, matchRoute } from './route-table.ts'

const TABLE = compileRoutes(CHROMA_ROUTES)

export const chroma: Dialect = {
  kind: 'chroma',
  routes: CHROMA_ROUTES,
  readCall,
  // The first is what Chroma Cloud and older servers take, the second any proxy's.
  credentialHeaders: ['x-chroma-token', 'authorization'],
  meaningHeaders: [],
  names: chromaNames,
  namespaces: true,
  tenancies: ['path']
}

function readCall(inbound: Inbound): Result<VectorCall> {
  const message = checkMessage(inbound)
  if (message !== undefined) return message
  const place = placeOf(inbound.method, inbound.target)
  if (!place.ok) return place
  const { route, parameters } = place.value
  const facts = readBody(inbound, route)
  return facts.ok ? accept(callOf(route, parameters, facts.value)) : facts
}

/** What method and target alone say. */
interface Place {
  readonly method: string
  readonly route: ChromaRoute
  readonly parameters: ReadonlyMap<string, string>
}

/** Places read lately, by target: agents ask the same few collections again and again. Refusals are not kept. */
const places = new Map<string, Result<Place> & { readonly ok: true }>()
const PLACES_MAX = 1_024

function placeOf(method: string, raw: string): Result<Place> {
  const known = places.get(raw)
  if (known?.value.method === method) return known
  const place = readPlace(method, raw)
  if (!place.ok) return place
  if (places.size >= PLACES_MAX) places.clear()
  places.set(raw, place)
  return place
}

function readPlace(method: string, raw: string): Result<Place> {
  const target = readTarget(raw)
  if (!target.ok) return target
  const matched = matchRoute(TABLE, method, target.value.segments)
  if ('ok' in matched) return matched
  const { route, parameters } = matched
  if ('refused' in route) return refuse('operation-unknown', route.refused, route.remedy)
  const fault = checkParameters(parameters) ?? checkQuery(target.value.query, route)
  return fault ?? accept({ method, route, parameters })
}

function checkParameters(parameters: ReadonlyMap<string, string>): Refused | undefined {
  for (const [parameter, text] of parameters) {
    const fault = parameter === 'id' ? checkId(text) : checkName(text, parameter === 'name' ? 'collection' : parameter)
    if (fault !== undefined) return fault
  }
  return undefined
}

const COUNT = /^(0|[1-9][0-9]{0,9})$/

function checkQuery(query: ReadonlyMap<string, string>, route: ChromaRoute): Refused | undefined {
  const unknown = checkQueryKeys(query, route.query ?? [])
  if (unknown !== undefined) return unknown
  for (const [key, value] of query) {
    const readable = key === 'read_level' ? READ_LEVELS.has(value) : COUNT.test(value) && Number(value) <= U32_MAX
    if (!readable) return refuse('call-unreadable', `query key ${key} has no value that it knows`)
  }
  return undefined
}

const NO_FACTS: BodyFacts = { shape: NO_SHAPE }

function readBody(inbound: Inbound, route: ChromaRoute): Result<BodyFacts> {
  if (route.body === undefined) return checkNoBody(inbound) ?? accept(NO_FACTS)
  return checkJsonBody(inbound) ?? readJson(inbound.body ?? new Uint8Array(), route.body)
}

function callOf(route: ChromaRoute, parameters: ReadonlyMap<string, string>, facts: BodyFacts): VectorCall {
  return {
    database: 'chroma',
    endpoint: route.name,
    operation: facts.operation ?? route.operation,
    targets: targetsOf(route, parameters, facts.named),
    shape: facts.shape
  }
}

/** The place in the path, and beside or instead of it the name that the body gives. */
function targetsOf(route: ChromaRoute, parameters: ReadonlyMap<string, string>, named: string | undefined): readonly Target[] {
  if (route.about === 'nothing') return []
  const tenant: TenantClaim = { kind: 'path', tenant: parameters.get('tenant') as string }
  const namespace = parameters.get('database')
  if (named !== undefined && route.names === 'database') return [{ tenant, namespace: named, collection: { kind: 'none' } }]
  const targets: Target[] = []
  const collection = collectionOf(route, parameters)
  if (named === undefined || collection.kind === 'id') targets.push({ tenant, namespace, collection })
  if (named !== undefined) targets.push({ tenant, namespace, collection: { kind: 'name', name: named } })
  return targets
}

function collectionOf({ about }: ChromaRoute, parameters: ReadonlyMap<string, string>): CollectionRef {
  if (about === 'every') return { kind: 'every' }
  if (about === 'id') return { kind: 'id', id: parameters.get('id') as string }
  if (about === 'name') return { kind: 'name', name: parameters.get('name') as string }
  return { kind: 'none' }
}
