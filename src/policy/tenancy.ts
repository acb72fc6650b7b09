/** For which tenant a call is, by the tenancy of the collections it touches: what the call proves, never what it says on the side. */
import { accept, type Result, refuse } from '../core/deny-reason.ts'
import type { Bounds, CollectionRef, Operation, ResolvedTarget, TenantClaim } from '../core/vector-call.ts'
import { entriesNaming, type Names, templatesNaming } from './name-index.ts'
import { covers, type NamePattern, tenantIn } from './names.ts'
import type { DatabaseRules, NamedRules } from './policy.ts'

/** A target, resolved or not. */
export interface Place {
  readonly claim: TenantClaim
  readonly namespace: string | undefined
  readonly collection: CollectionRef | ResolvedTarget['collection']
  readonly bounds: Bounds | undefined
}

/** Prints what a caller writes so that the field is proved to be of its tenant. */
export type Show = (field: string) => string

/** The entries of a namespace: those of its exact name, and those of a template that it fits. */
export function namespacesFor(
  rules: DatabaseRules | undefined,
  namespace: string | undefined,
  tenants: ReadonlySet<string>
): readonly Names[] {
  if (rules === undefined) return []
  const exact = rules.exact.get(namespace ?? '')
  const found = exact === undefined ? [] : [exact]
  if (namespace === undefined || rules.templates.shapes.length === 0) return found
  for (const { pattern, names } of templatesNaming(rules.templates, namespace, []))
    if (tenantIn(pattern, namespace, tenants) !== undefined) found.push(names)
  return found
}

/** The entries that speak of a collection, whoever's it is; for a call without one, an entry for each tenancy. */
export function speakingOf(all: readonly Names[], place: Place, tenants: ReadonlySet<string>): readonly NamedRules[] {
  const { collection } = place
  if (collection.kind === 'none') return all.flatMap((one) => one.tenancies)
  if (collection.kind !== 'name') return all.flatMap((one) => one.every)
  return all.flatMap((one) => entriesNaming(one, collection.name)).filter(({ pattern }) => speaksOfName(pattern, collection.name, tenants))
}

function speaksOfName(pattern: NamePattern, name: string, tenants: ReadonlySet<string>): boolean {
  return pattern.after === undefined ? covers(pattern, name, '') : tenantIn(pattern, name, tenants) !== undefined
}

/** The tenant that a target proves under an entry that speaks of it. */
export function provedTenant(entry: NamedRules, place: Place, tenants: ReadonlySet<string>, show: Show | undefined): Result<string> {
  const { tenancy, source } = entry
  const { claim, bounds, namespace, collection } = place
  switch (tenancy.kind) {
    case 'path':
    case 'native':
      return claim.kind === tenancy.kind
        ? accept(claim.tenant)
        : unnamed(`no tenant in the call, and the tenancy is ${tenancy.kind} (${source})`)
    case 'database':
    case 'collection': {
      if (claim.kind !== 'none')
        return refuse('tenant-not-allowed', `the call names a tenant, and the tenancy is ${tenancy.kind} (${source})`)
      const [pattern, name] = tenancy.kind === 'database' ? [tenancy.pattern, namespace] : [entry.pattern, nameOf(collection)]
      const tenant = name === undefined ? undefined : tenantIn(pattern, name, tenants)
      return tenant === undefined ? unnamed(`no name in the call is one of ${pattern.text} (${source})`) : accept(tenant)
    }
    case 'shard':
      return claim.kind === 'none'
        ? shardOf(bounds, source)
        : refuse('tenant-not-allowed', `the call names a tenant, and the tenancy is shard (${source})`)
    case 'filter':
      return claim.kind === 'none'
        ? pinned(bounds, tenancy.field, source, show)
        : refuse('tenant-not-allowed', `the call names a tenant, and the tenancy is a filter (${source})`)
  }
}

function shardOf(bounds: Bounds | undefined, source: string): Result<string> {
  const remedy = "Name your tenant's shard key, and only that one."
  if (bounds?.unsharded !== undefined) return unnamed(`${bounds.unsharded} (${source})`, remedy)
  const [shard, ...others] = bounds?.shards ?? []
  return shard === undefined || others.length > 0 ? unnamed(`not confined to one shard key (${source})`, remedy) : accept(shard)
}

function pinned(bounds: Bounds | undefined, field: string, source: string, show: Show | undefined): Result<string> {
  const remedy = show === undefined ? undefined : `This would pass: ${show(field)}`
  if (bounds?.unpinned !== undefined) return unnamed(`${bounds.unpinned} (${source})`, remedy)
  if (bounds?.changes.some((one) => one === field || one === '*') === true) {
    return refuse(
      'write-not-allowed',
      `the call could change ${field}, which says whose a record is (${source})`,
      `Leave ${field} as it is.`
    )
  }
  const tenant = bounds?.pins.get(field)
  return tenant === undefined ? unnamed(`nothing in the call proves that ${field} is one tenant's (${source})`, remedy) : accept(tenant)
}

/** What is common to all tenants of a collection, and tells nothing about any of them, may be looked at by whoever has only one. */
export function looksOnly(operation: Operation, { claim }: Place): boolean {
  return operation === 'observe' && claim.kind === 'none'
}

function nameOf(collection: Place['collection']): string | undefined {
  return collection.kind === 'name' ? collection.name : undefined
}

function unnamed(because: string, remedy?: string): Result<never> {
  return refuse('tenant-not-named', because, remedy)
}

/** The entries that cover a tenant's collection, or a listing: that shows every name, so only `*` covers it. */
export function coveringFor(all: readonly Names[], { collection }: Place, tenant: string): readonly NamedRules[] {
  if (collection.kind !== 'name') return all.flatMap((one) => one.every)
  const covering: NamedRules[] = []
  for (const names of all) {
    for (const entry of entriesNaming(names, collection.name)) if (covers(entry.pattern, collection.name, tenant)) covering.push(entry)
  }
  return covering
}
