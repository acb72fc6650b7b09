/** What a Weaviate body says, and the places that it touches: each object of a batch may name another class and tenant (tried). */
import { key } from '../core/keys.ts'
import { PLACES_MAX } from '../core/limits.ts'
import type { Operation, Shape, Target, TenantClaim } from '../core/vector-call.ts'
import { fail } from './json-reader.ts'
import { checkClass, checkTenant } from './weaviate-names.ts'

/** What method, path and query have said before the body is read. */
export interface Place {
  /** `{Class}` of the path. */
  readonly collection: string | undefined
  /** `?tenant=` of the query. */
  readonly tenant: string | undefined
}

export interface Facts {
  readonly shape: Shape
  /** Where the body makes the call another operation than its route's. */
  readonly operation?: Operation
  /** Undefined: what path and query name is all. */
  readonly targets?: readonly Target[]
}

/** Each place once, however many objects go there. */
export interface Touched {
  readonly places: Map<string, Target>
  /** What the last object named, for most batches name one place. */
  last: { readonly collection: string; readonly tenant: string } | undefined
}

export function nothingTouched(): Touched {
  return { places: new Map(), last: undefined }
}

/** Adds a class in a tenant, both as the call spells them; no tenant is the empty text or undefined. */
export function touch(touched: Touched, collection: string, tenant = ''): void {
  if (touched.last?.collection === collection && touched.last.tenant === tenant) return
  const target = targetOf(checkClass(collection), checkTenant(tenant))
  touched.places.set(key('class', collection, tenant), target)
  if (touched.places.size > PLACES_MAX)
    fail('call-too-large', `more than ${PLACES_MAX} classes and tenants`, 'Split the batch by class and tenant.')
  touched.last = { collection, tenant }
}

/**
 * Adds every class of a tenant: the call goes along references, and which class is at their other end stands in the schema only
 * (for a property with one class, the server ignores the one that the call names).
 */
export function touchEvery(touched: Touched, tenant = ''): void {
  touched.places.set(key('every', tenant), { tenant: claimOf(checkTenant(tenant)), namespace: undefined, collection: { kind: 'every' } })
}

/** Adds the class that a reference leads to. */
export function touchReferred(touched: Touched, collection: string | undefined, tenant = ''): void {
  if (collection === undefined) touchEvery(touched, tenant)
  else touch(touched, collection, tenant)
}

export function targetsOf(touched: Touched): readonly Target[] {
  return [...touched.places.values()]
}

export function targetOf(collection: string, tenant: string | undefined): Target {
  return { tenant: claimOf(tenant), namespace: undefined, collection: { kind: 'name', name: collection } }
}

function claimOf(tenant: string | undefined): TenantClaim {
  return tenant === undefined ? { kind: 'none' } : { kind: 'native', tenant }
}

export function longest(vectors: readonly Float32Array[]): number {
  return vectors.reduce((most, vector) => Math.max(most, vector.length), 0)
}
