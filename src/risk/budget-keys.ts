/**
 * Names of the budgets that a call is charged to, composed once per caller, tenant and collection: putting a name together and hashing
 * it costs more than charging it.
 */
import type { Caller } from '../core/caller.ts'
import { key } from '../core/keys.ts'
import type { Operation, ResolvedTarget } from '../core/vector-call.ts'

interface CallerKeys {
  readonly bytes: string
  readonly operations: Map<Operation, string>
  readonly tenants: Map<string, TenantKeys>
}

interface TenantKeys {
  readonly tenant: string
  /** By database, namespace and name. */
  readonly collections: Map<string, Map<string, Map<string, string>>>
  count: number
}

/** A caller that calls for more than this is composed for again. */
const KEPT_MAX = 256

// By the verified caller's object, which identity remembers as long as its evidence is good: forgotten with it.
const kept = new WeakMap<Caller, CallerKeys>()

function keysOf(caller: Caller): CallerKeys {
  const found = kept.get(caller)
  if (found !== undefined) return found
  const made = { bytes: key('bytes', caller.id.text), operations: new Map(), tenants: new Map() }
  kept.set(caller, made)
  return made
}

export function bytesKey(caller: Caller): string {
  return keysOf(caller).bytes
}

export function operationKey(caller: Caller, operation: Operation): string {
  const { operations } = keysOf(caller)
  const found = operations.get(operation)
  if (found !== undefined) return found
  const made = key('operation', caller.id.text, operation)
  operations.set(operation, made)
  return made
}

export function tenantKey(caller: Caller, tenant: string): string {
  return tenantKeys(caller, tenant).tenant
}

function tenantKeys(caller: Caller, tenant: string): TenantKeys {
  const { tenants } = keysOf(caller)
  const found = tenants.get(tenant)
  if (found !== undefined) return found
  if (tenants.size >= KEPT_MAX) tenants.clear()
  const made = { tenant: key('tenant', tenant), collections: new Map(), count: 0 }
  tenants.set(tenant, made)
  return made
}

/** undefined for a target that is no single collection. */
export function collectionKey(
  caller: Caller,
  database: string,
  { tenant, namespace = '', collection }: ResolvedTarget
): string | undefined {
  if (collection.kind !== 'name') return undefined
  const keys = tenantKeys(caller, tenant)
  const found = keys.collections.get(database)?.get(namespace)?.get(collection.name)
  if (found !== undefined) return found
  if (keys.count++ >= KEPT_MAX) {
    keys.collections.clear()
    keys.count = 1
  }
  const made = key('collection', tenant, database, namespace, collection.name)
  within(within(keys.collections, database), namespace).set(collection.name, made)
  return made
}

function within<T>(map: Map<string, Map<string, T>>, name: string): Map<string, T> {
  const found = map.get(name)
  if (found !== undefined) return found
  const made = new Map<string, T>()
  map.set(name, made)
  return made
}
