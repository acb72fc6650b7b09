/** Registration entries from the policy and the registrations: what SPIRE's server is told, or every reason why it cannot be. */
import type { PolicyDocument, WorkloadDocument } from '../core/policy-document.ts'
import { compileIdPattern, matchesId, parseSpiffeId, type SpiffeId } from '../core/spiffe-id.ts'
import type { Registration, Registrations } from './registrations.ts'

/** As `spire-server entry create -data` reads it (spire.common.RegistrationEntry). */
export interface Entry {
  readonly spiffe_id: string
  readonly parent_id: string
  readonly selectors: readonly { readonly type: string; readonly value: string }[]
  readonly x509_svid_ttl: number
  readonly federates_with: readonly string[]
  readonly dns_names: readonly string[]
  /** By which our own entries are known among others. */
  readonly hint: string
}

export type Made = { readonly ok: true; readonly entries: readonly Entry[] } | { readonly ok: false; readonly faults: readonly string[] }

export const HINT = 'vecauthz'

/** What the path of a Kubernetes workload says of it: `/ns/NAMESPACE/sa/ACCOUNT`, with anything between. */
const K8S_PATH = /^\/(?:.*\/)?ns\/([^/]+)\/(?:.*\/)?sa\/([^/]+)$/

/** In the order of the registrations; workloads that are known by their path alone after them. */
export function entriesOf(policy: PolicyDocument, registrations: Registrations): Made {
  const faults: string[] = []
  const isRevoked = revokedIn(policy)
  const workloads = policy.workloads.filter(({ spiffe_id }) => !isRevoked(spiffe_id)).map((one) => ({ one, pattern: patternOf(one) }))
  const written = new Set(registrations.entries.map((one) => one.spiffe_id))
  const implied: Registration[] = workloads
    .filter(({ one }) => !one.spiffe_id.includes('*') && !written.has(one.spiffe_id))
    .map(({ one }) => ({ spiffe_id: one.spiffe_id, infrastructure: false, dns: [], federates_with: [] }))
  const entries = [...registrations.entries, ...implied].flatMap((registration) => {
    const parsed = parseSpiffeId(registration.spiffe_id)
    if (!parsed.ok || isRevoked(registration.spiffe_id)) return []
    const workload = workloads.find(({ pattern }) => pattern !== undefined && matchesId(pattern, parsed.id))?.one
    const made = entryOf(registration, parsed.id, workload, registrations)
    if (typeof made !== 'string') return [made]
    faults.push(made)
    return []
  })
  for (const { one, pattern } of workloads) {
    const known = entries.some(({ spiffe_id }) => {
      const parsed = parseSpiffeId(spiffe_id)
      return parsed.ok && pattern !== undefined && matchesId(pattern, parsed.id)
    })
    if (one.spiffe_id.includes('*') && !known)
      faults.push(`${one.spiffe_id} is a pattern: name the workloads that it stands for under entries, or take --form cluster-spiffe-ids.`)
  }
  faults.push(...shared(entries))
  return faults.length === 0 ? { ok: true, entries } : { ok: false, faults }
}

function entryOf(
  registration: Registration,
  id: SpiffeId,
  workload: WorkloadDocument | undefined,
  { parent, classes }: Registrations
): Entry | string {
  const { spiffe_id, infrastructure } = registration
  if (workload === undefined && !infrastructure)
    return `${spiffe_id} is no workload of the policy: take it out, or say infrastructure: true for a server or an Envoy.`
  if (workload !== undefined && infrastructure) return `${spiffe_id} is a workload of the policy, and no infrastructure.`
  const selectors = registration.selectors ?? impliedSelectors(id)
  if (selectors === undefined) return `${spiffe_id} has no selectors: nobody would be this workload. Give it an entry with some.`
  const needed = workload?.attestation === undefined ? [] : classes[workload.attestation]
  if (needed === undefined)
    return `${spiffe_id} is attested as ${workload?.attestation} by the policy: say under classes which selectors that takes.`
  const lacking = needed.filter((type) => !selectors.some((one) => one === type || one.startsWith(`${type}:`)))
  if (lacking.length > 0)
    return `${spiffe_id} is attested as ${workload?.attestation} by the policy, and has no ${lacking.join(' and no ')} selector.`
  return {
    spiffe_id,
    parent_id: registration.parent ?? parent,
    selectors: [...selectors].sort().map((one) => ({ type: one.slice(0, one.indexOf(':')), value: one.slice(one.indexOf(':') + 1) })),
    x509_svid_ttl: registration.ttl_seconds ?? 0,
    federates_with: [...registration.federates_with].sort(),
    dns_names: registration.dns,
    hint: HINT
  }
}

function impliedSelectors({ path }: SpiffeId): readonly string[] | undefined {
  const [, namespace, account] = K8S_PATH.exec(path) ?? []
  return namespace === undefined ? undefined : [`k8s:ns:${namespace}`, `k8s:sa:${account}`]
}

/** Whoever is revoked gets no SVID any more, also where its workload is still in the policy: an entry that was removed stays removed. */
function revokedIn({ revoked }: PolicyDocument): (spiffeId: string) => boolean {
  const patterns = (revoked?.spiffe_ids ?? []).map((text) => ({ text, compiled: compileIdPattern(text) }))
  return (spiffeId) => {
    const id = parseSpiffeId(spiffeId)
    return patterns.some(({ text, compiled }) => text === spiffeId || (id.ok && compiled.ok && matchesId(compiled.pattern, id.id)))
  }
}

/** Whoever is two workloads gets two SVIDs and may show either: the stronger of both. */
function shared(entries: readonly Entry[]): readonly string[] {
  const keyed = entries.map((one) => ({ ...one, known: new Set(one.selectors.map(({ type, value }) => `${type}:${value}`)) }))
  const bySelectors = Map.groupBy(keyed, ({ parent_id, known }) => JSON.stringify([parent_id, ...known]))
  const same = [...bySelectors.values()]
    .filter((some) => some.length > 1)
    .map((some) => `${some.map(({ spiffe_id }) => spiffe_id).join(' and ')} have the same selectors: one process would be all of them.`)
  // SPIRE gives an SVID for each entry of which a process has all selectors.
  const wider = keyed.flatMap((one) =>
    keyed
      .filter(
        ({ parent_id, known }) =>
          parent_id === one.parent_id && one.known.size < known.size && [...one.known].every((selector) => known.has(selector))
      )
      .map(({ spiffe_id }) => `${one.spiffe_id} has some of the selectors of ${spiffe_id}, and no others: whoever is that would be both.`)
  )
  return [...same, ...wider]
}

function patternOf({ spiffe_id }: WorkloadDocument) {
  const compiled = compileIdPattern(spiffe_id)
  return compiled.ok ? compiled.pattern : undefined
}

/** For the SPIRE controller manager: one ClusterSPIFFEID for each workload whose path says namespace and service account. */
export function clusterSpiffeIds(policy: PolicyDocument): { readonly documents: readonly object[]; readonly others: readonly string[] } {
  const isRevoked = revokedIn(policy)
  const owners = new Map(policy.tenants.flatMap(({ id, namespaces = [] }) => namespaces.map((name) => [name, id])))
  const listed = policy.workloads.filter(({ spiffe_id }) => !isRevoked(spiffe_id))
  const read = listed.map(({ spiffe_id }) => {
    const parsed = compileIdPattern(spiffe_id)
    const path = parsed.ok ? spiffe_id.slice('spiffe://'.length + parsed.pattern.trustDomain.length) : ''
    const [, namespace, account] = K8S_PATH.exec(path) ?? []
    return { spiffe_id, path, namespace, account }
  })
  const documents = read.flatMap(({ path, namespace, account }) => {
    if (namespace === undefined || account === undefined || isOpen(path, account)) return []
    const template = path.replace(/\/sa\/[^/]+$/, account === '*' ? '/sa/{{ .PodSpec.ServiceAccountName }}' : `/sa/${account}`)
    const name = `vecauthz-${namespace}-${account === '*' ? 'any' : account}`.toLowerCase()
    const selectors = account === '*' ? {} : { workloadSelectorTemplates: [`k8s:ns:${namespace}`, `k8s:sa:${account}`] }
    const owner = owners.get(namespace)
    // Of a tenant's namespace the label counts as well: whoever makes one of that name, while there is none, has nothing of it.
    const owned = owner === undefined ? {} : { 'vecauthz.dev/tenant': owner }
    const spec = {
      spiffeIDTemplate: `spiffe://{{ .TrustDomain }}${template}`,
      namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace, ...owned } },
      ...(owner === undefined ? {} : { podSelector: { matchLabels: owned } }),
      ...selectors,
      hint: HINT
    }
    return [{ apiVersion: 'spire.spiffe.io/v1alpha1', kind: 'ClusterSPIFFEID', metadata: { name }, spec }]
  })
  const others = read.filter(({ path, namespace, account }) => namespace === undefined || isOpen(path, account ?? ''))
  return { documents, others: others.map(({ spiffe_id }) => spiffe_id) }
}

/** A pattern for more than the account, which nothing of a pod could fill in. */
function isOpen(path: string, account: string): boolean {
  return path.slice(0, path.length - account.length).includes('*') || (account.includes('*') && account !== '*')
}
