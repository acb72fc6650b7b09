/** The labels by which a Kubernetes namespace belongs to a tenant, and what each must say under the policy. */
import type { TenantDocument } from '../core/policy-document.ts'

export const LABEL_PREFIX = 'vecauthz.dev/'
export const TENANT = `${LABEL_PREFIX}tenant`
/** Where the namespace's pods run. */
export const REGION = `${LABEL_PREFIX}region`
/** Where the tenant's data stays. */
export const RESIDENCY = `${LABEL_PREFIX}residency`
/** How long its data is kept, such as `30d`. */
export const RETENTION = `${LABEL_PREFIX}retention`
const GUARDED = [TENANT, REGION, RESIDENCY, RETENTION] as const

export type Labels = ReadonlyMap<string, string>

/** The guarded labels that a namespace of this tenant has, and its pods; a region may stand there beside them when its data has none. */
export function labelsOf(tenant: TenantDocument): Labels {
  const labels = new Map([[TENANT, tenant.id]])
  // Data that has to stay somewhere is read there too.
  if (tenant.region !== undefined) labels.set(REGION, tenant.region).set(RESIDENCY, tenant.region)
  if (tenant.retention_days !== undefined) labels.set(RETENTION, `${tenant.retention_days}d`)
  return labels
}

/** Those that decide, and whatever else has our prefix, which nobody means well with. */
export function guardedOf(labels: Labels): Labels {
  return new Map([...labels].filter(([name]) => name.startsWith(LABEL_PREFIX)))
}

/** What is wrong with the guarded labels of a namespace or pod of this tenant; undefined when nothing is. */
export function labelFault(found: Labels, tenant: TenantDocument): string | undefined {
  const wanted = labelsOf(tenant)
  const known: readonly string[] = GUARDED
  for (const [name, value] of found) {
    if (!known.includes(name)) return `the label ${name} means nothing here`
    const should = wanted.get(name)
    // The pods of a tenant whose data may be anywhere say where they run.
    if (should === undefined && name === REGION) continue
    if (should === undefined) return `the label ${name} is ${value}, and tenant ${tenant.id} has no ${name.slice(LABEL_PREFIX.length)}`
    if (should !== value) return `the label ${name} is ${value}, and must be ${should}`
  }
  const lacking = [...wanted].find(([name]) => !found.has(name))
  return lacking === undefined ? undefined : `the label ${lacking[0]} is missing, and must be ${lacking[1]}`
}

export function sameLabels(a: Labels, b: Labels): boolean {
  return a.size === b.size && [...a].every(([name, value]) => b.get(name) === value)
}
