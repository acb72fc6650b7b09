/**
 * Qdrant's REST and gRPC APIs as 1.19 reads them. Ids go past every filter there, and past the shard key of a query; what a call
 * itself proves about the records it touches is in the bounds of its targets (`core/vector-call.ts`).
 */
import { accept, type Refused, type Result, refuse } from '../core/deny-reason.ts'
import type { Inbound } from '../core/inbound.ts'
import type { Bounds, Operation, Target, VectorCall } from '../core/vector-call.ts'
import type { Dialect } from './dialect.ts'
import { readGrpcMessage } from './grpc-frame.ts'
import { checkJsonBody, checkMessage, checkNoBody, checkQueryKeys } from './http-message.ts'
import { readJson } from './json.ts'
import { readTarget } from './path.ts'
import { checkCollection } from './qdrant-names.ts'
import { pin } from './qdrant-pin.ts'
import { ALL_SHARDS, addLookup, boundsOf, lookupBounds, newReach, operationOf, type Reach, shapeOf } from './qdrant-reach.ts'
import { REFUSED_ROUTES } from './qdrant-refused.ts'
import { type QdrantRoute, REST_ROUTES } from './qdrant-routes.ts'
import { RPC_ROUTES } from './qdrant-rpc-routes.ts'
import { compileRoutes, matchRoute } from './route-table.ts'

const ROUTES = [...REST_ROUTES, ...RPC_ROUTES, ...REFUSED_ROUTES]
const TABLE = compileRoutes(ROUTES)

export const qdrant: Dialect = {
  kind: 'qdrant',
  routes: ROUTES,
  readCall,
  // The first goes before the second there.
  credentialHeaders: ['api-key', 'authorization'],
  meaningHeaders: [],
  names: undefined,
  namespaces: false,
  tenancies: ['collection', 'shard', 'filter'],
  pin
}

function readCall(inbound: Inbound): Result<VectorCall> {
  const message = checkMessage(inbound)
  if (message !== undefined) return message
  const place = placeOf(inbound.method, inbound.target)
  if (!place.ok) return place
  const { route, collection } = place.value
  const reach = newReach()
  const body = readBody(inbound, route, reach)
  return body.ok ? callOf(route, body.value ?? collection, reach) : body
}

/** What method and target alone say. */
interface Place {
  readonly method: string
  readonly route: QdrantRoute
  readonly collection: string | undefined
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
  const collection = parameters.get('collection')
  const fault = (collection === undefined ? undefined : checkCollection(collection)) ?? checkQuery(target.value.query, route)
  return fault ?? accept({ method, route, collection })
}

/** What each query key can say (src/actix/api/read_params.rs, lib/collection/src/operations/point_ops.rs). */
const QUERY_VALUES: Readonly<Record<string, RegExp>> = {
  wait: /^(true|false)$/,
  ordering: /^(weak|medium|strong)$/,
  consistency: /^(majority|quorum|all|[1-9][0-9]{0,9})$/,
  timeout: /^[0-9]{1,10}$/
}

function checkQuery(query: ReadonlyMap<string, string>, route: QdrantRoute): Refused | undefined {
  const unknown = checkQueryKeys(query, route.query ?? [])
  if (unknown !== undefined) return unknown
  for (const [key, value] of query) {
    if (QUERY_VALUES[key]?.test(value) !== true) return refuse('call-unreadable', `query key ${key} has no value that it knows`)
  }
  return undefined
}

/** @returns the collection that a message names */
function readBody(inbound: Inbound, route: QdrantRoute, reach: Reach): Result<string | undefined> {
  const { rpc, body } = route
  if (rpc !== undefined) {
    const message = readGrpcMessage(inbound)
    return message.ok ? rpc(message.value, reach) : message
  }
  if (body === undefined) {
    if (route.vectorsOut === true) addLookup(reach, 1, ALL_SHARDS, true)
    return checkNoBody(inbound) ?? accept(undefined)
  }
  const fault = checkJsonBody(inbound)
  return fault ?? readJson(inbound.body ?? new Uint8Array(), (json) => void body(json, reach))
}

function callOf(route: QdrantRoute, collection: string | undefined, reach: Reach): Result<VectorCall> {
  const operation = operationOf(reach)
  if (!operation.ok) return operation
  const targets = targetsOf(route, collection, reach)
  return accept({ database: 'qdrant', endpoint: route.name, operation: operation.value ?? route.operation, targets, shape: shapeOf(reach) })
}

function targetsOf(route: QdrantRoute, collection: string | undefined, reach: Reach): readonly Target[] {
  if (route.about === 'nothing') return []
  if (collection === undefined) return [{ tenant: NO_TENANT, namespace: undefined, collection: { kind: 'every' } }]
  if (!TOUCHES_RECORDS.has(route.operation))
    return [{ tenant: NO_TENANT, namespace: undefined, collection: { kind: 'name', name: collection } }]
  const targets = [target(collection, boundsOf(reach))]
  for (const lookup of reach.lookups?.values() ?? []) targets.push(target(lookup.collection, lookupBounds(lookup)))
  return targets
}

const NO_TENANT = { kind: 'none' } as const

function target(name: string, bounds: Bounds): Target {
  return { tenant: NO_TENANT, namespace: undefined, collection: { kind: 'name', name }, bounds }
}

/** The other operations are about a collection as a whole, which no filter confines. */
const TOUCHES_RECORDS: ReadonlySet<Operation> = new Set(['search', 'read', 'write', 'delete'])
