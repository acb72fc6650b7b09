/**
 * Weaviate as server 1.35 reads it: objects and schema over REST (port 8080), searches and batches over gRPC (50051). A class has
 * tenants of its own (`native`), or each tenant has a class (`collection`); a batch may name another one with each object (tried).
 */
import { accept, type Refused, type Result, refuse } from '../core/deny-reason.ts'
import type { Inbound } from '../core/inbound.ts'
import type { Target, VectorCall } from '../core/vector-call.ts'
import type { Dialect } from './dialect.ts'
import { readGrpcMessage } from './grpc-frame.ts'
import { checkJsonBody, checkMessage, checkNoBody, checkQueryKeys } from './http-message.ts'
import { readJson } from './json.ts'
import { fail, isRefused } from './json-reader.ts'
import { readTarget } from './path.ts'
import { compileRoutes, matchRoute } from './route-table.ts'
import { type Facts, type Place, targetOf } from './weaviate-facts.ts'
import { checkModuleHeaders } from './weaviate-headers.ts'
import { checkClass, checkProperty, checkTenant, checkUuid } from './weaviate-names.ts'
import { readQueryShape } from './weaviate-query.ts'
import { WEAVIATE_ROUTES, type WeaviateRoute } from './weaviate-routes.ts'

const TABLE = compileRoutes(WEAVIATE_ROUTES)

export const weaviate: Dialect = {
  kind: 'weaviate',
  routes: WEAVIATE_ROUTES,
  readCall,
  // Keys for modules (`x-…-api-key`) Envoy takes away, and `checkModuleHeaders` refuses what is left of them.
  credentialHeaders: ['authorization'],
  meaningHeaders: [],
  names: undefined,
  namespaces: false,
  tenancies: ['native', 'collection']
}

function readCall(inbound: Inbound): Result<VectorCall> {
  const message = checkMessage(inbound) ?? checkModuleHeaders(inbound.headers)
  if (message !== undefined) return message
  const target = readTarget(inbound.target)
  if (!target.ok) return target
  const matched = matchRoute(TABLE, inbound.method, target.value.segments)
  if ('ok' in matched) return matched
  const { route, parameters } = matched
  if ('refused' in route) return refuse('operation-unknown', route.refused, route.remedy)
  const { query } = target.value
  const fault = checkQueryKeys(query, route.query ?? [])
  if (fault !== undefined) return fault
  const place = placeOf(route, parameters, query)
  if (!place.ok) return place
  const facts = readFacts(inbound, route, place.value, query)
  return facts.ok ? accept(callOf(route, place.value, facts.value)) : facts
}

function placeOf(route: WeaviateRoute, parameters: ReadonlyMap<string, string>, query: ReadonlyMap<string, string>): Result<Place> {
  return checked(() => {
    const id = parameters.get('id')
    if (id !== undefined) checkUuid(id)
    const property = parameters.get('property')
    if (property !== undefined) checkProperty(property)
    const named = route.about === 'listed' ? classIn(query) : parameters.get('class')
    const tenant = parameters.get('tenant') ?? query.get('tenant') ?? ''
    return { collection: named === undefined ? undefined : checkClass(named), tenant: checkTenant(tenant) }
  })
}

/** Without a class the server lists the objects of every class that has no tenants. */
function classIn(query: ReadonlyMap<string, string>): string {
  const name = query.get('class')
  if (name === undefined || name === '')
    return fail('operation-unknown', 'the list is of every class', 'Name the class in the query: /v1/objects?class={Class}.')
  return name
}

function readFacts(inbound: Inbound, route: WeaviateRoute, place: Place, query: ReadonlyMap<string, string>): Result<Facts> {
  const { body, message } = route
  if (message !== undefined) {
    const bytes = readGrpcMessage(inbound)
    return bytes.ok ? message(bytes.value) : bytes
  }
  const shape = checked(() => readQueryShape(query, route))
  if (!shape.ok) return shape
  if (body === undefined) return checkNoBody(inbound) ?? accept({ shape: shape.value })
  return checkJsonBody(inbound) ?? readJson(inbound.body ?? new Uint8Array(), (json) => body(json, place))
}

function checked<T>(read: () => T): Result<T> | Refused {
  try {
    return accept(read())
  } catch (cause) {
    if (isRefused(cause)) return cause
    throw cause
  }
}

function callOf(route: WeaviateRoute, place: Place, facts: Facts): VectorCall {
  return {
    database: 'weaviate',
    endpoint: route.name,
    operation: facts.operation ?? route.operation,
    targets: facts.targets ?? targetsOf(route, place),
    shape: facts.shape
  }
}

function targetsOf({ about }: WeaviateRoute, { collection, tenant }: Place): readonly Target[] {
  if (about === 'nothing') return []
  if (collection !== undefined) return [targetOf(collection, tenant)]
  return [{ tenant: { kind: 'none' }, namespace: undefined, collection: { kind: 'every' } }]
}
