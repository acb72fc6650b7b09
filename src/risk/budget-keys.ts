/**
 * Names of the budgets that a call is charged to, composed once per caller, tenant and collection: putting a name together and hashing
 * it costs more than charging it.
 */
import type { Caller } from '../core/caller.ts'
import { key } from '../core/keys.ts'
import type { Operation, ResolvedTarget } from '../core/vector-call.ts'

interface Keys {
  readonly id: string
  readonly bytes: string
  readonly operations: Map<Operation, string>
  /** By database, namespace and name; of the tenant before. */
  readonly collections: Map<string, string>
  tenant: string
  tenantKey: string
  /** The last one: an agent stays in one for a while. */
  database: string
  namespace: string
  name: string
  collectionKey: string
}

/** A caller that calls for more than this is composed for again. */
const KEPT_MAX = 256

// By the verified caller's object, which identity remembers as long as its evidence is good: forgotten with it.
const kept = new WeakMap<Caller, Keys>()

export function keysOf(caller: Caller): Keys {
  const found = kept.get(caller)
  if (found !== undefined) return found
  const { text: id } = caller.id
  const none = { tenant: '', tenantKey: '', database: '', namespace: '', name: '', collectionKey: '' }
  const made = { id, bytes: key('bytes', id), operations: new Map(), collections: new Map(), ...none }
  kept.set(caller, made)
  return made
}

export function operationKey(keys: Keys, operation: Operation): string {
  const found = keys.operations.get(operation)
  if (found !== undefined) return found
  const made = key('operation', keys.id, operation)
  keys.operations.set(operation, made)
  return made
}

export function tenantKey(keys: Keys, tenant: string): string {
  if (keys.tenant !== tenant || keys.tenantKey === '') setTenant(keys, tenant)
  return keys.tenantKey
}

function setTenant(keys: Keys, tenant: string): void {
  keys.tenant = tenant
  keys.tenantKey = key('tenant', tenant)
  keys.collections.clear()
  keys.collectionKey = ''
}

/** undefined for a target that is no single collection. */
export function collectionKey(keys: Keys, database: string, { tenant, namespace = '', collection }: ResolvedTarget): string | undefined {
  if (collection.kind !== 'name') return undefined
  if (keys.tenant !== tenant || keys.tenantKey === '') setTenant(keys, tenant)
  const { name } = collection
  const isLast = keys.collectionKey !== '' && keys.name === name && keys.database === database && keys.namespace === namespace
  if (isLast) return keys.collectionKey
  const where = key(database, namespace, name)
  let made = keys.collections.get(where)
  if (made === undefined) {
    if (keys.collections.size >= KEPT_MAX) keys.collections.clear()
    made = key('collection', tenant, database, namespace, name)
    keys.collections.set(where, made)
  }
  Object.assign(keys, { database, namespace, name, collectionKey: made })
  return made
}
