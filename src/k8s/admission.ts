/**
 * Whether Kubernetes may store a namespace or a pod: the first links of the chain namespace → pod → SPIFFE ID → tenant. The policy
 * says which namespaces are whose (`tenants[].namespaces`), so nothing is believed of a label but that it says the same. Pure.
 */

import type { TenantDocument } from '../core/policy-document.ts'
import { parseSpiffeId } from '../core/spiffe-id.ts'
import { guardedOf, LABEL_PREFIX, labelFault, RESIDENCY, sameLabels, TENANT } from './labels.ts'
import { countOf, isOn, type Review, type Thing, textIn } from './review.ts'

/** What is known of an identity that policy has an entry for. */
export interface Registered {
  readonly tenants: ReadonlySet<string>
  readonly regions: ReadonlySet<string>
  /** Milliseconds since the epoch. */
  readonly expiresAt: number
  readonly revoked: boolean
}

export interface Registry {
  /** By Kubernetes namespace. */
  readonly tenants: ReadonlyMap<string, TenantDocument>
  readonly workload: (spiffeId: string) => Registered | undefined
}

export interface AdmissionRules {
  /** Namespaces that are nobody's, and go on when all else is refused: those that run the cluster and this webhook. */
  readonly exempt: ReadonlySet<string>
  /** With `{namespace}`, `{tenant}` and `{service_account}`, as the ClusterSPIFFEID has it. */
  readonly spiffeId: string
  /** Pods without an entry in the policy may run; their SVID opens nothing. */
  readonly unregistered: 'deny' | 'allow'
}

export type Admission = { readonly allowed: true; readonly warning?: string } | { readonly allowed: false; readonly because: string }

const ALLOWED: Admission = { allowed: true }
/** Each shares the network, the processes or the memory of the node with whatever runs there. */
const SHARED = ['hostNetwork', 'hostPID', 'hostIPC'] as const
/** Through these, too, the labels of an object can be written. */
const NAMESPACE_PARTS = new Set([undefined, 'status', 'finalize'])
const POD_PARTS = new Set([undefined, 'status', 'resize', 'ephemeralcontainers'])

/** @param now milliseconds since the epoch */
export function admit(review: Review, registry: Registry, rules: AdmissionRules, now: number): Admission {
  const { resource, subresource, operation, object, before } = review
  const what = subresource === undefined ? resource : `${resource}/${subresource}`
  if (operation !== 'CREATE' && operation !== 'UPDATE') return deny(`${operation} of ${what} is not decided here`)
  if (review.name !== undefined && object.name !== review.name)
    return deny(`the request names ${review.name}, and the object ${object.name ?? 'nothing'}`)
  if (before !== undefined && (before.name !== object.name || before.kind !== object.kind))
    return deny('the object and what it was before are not the same one')
  if (resource === 'namespaces' && object.kind === 'Namespace' && NAMESPACE_PARTS.has(subresource))
    return namespace(review, registry, rules)
  if (resource === 'pods' && object.kind === 'Pod' && POD_PARTS.has(subresource)) return pod(review, registry, rules, now)
  if (resource === 'pods' && object.kind === 'Binding' && subresource === 'binding' && operation === 'CREATE') return binding(object)
  return deny(`${what} (${object.kind}) are not decided here`)
}

function namespace({ object, before }: Review, { tenants }: Registry, { exempt }: AdmissionRules): Admission {
  const { name, labels } = object
  if (name === undefined) return deny('a namespace has a name before it is decided upon')
  const calledItself = labels.get('kubernetes.io/metadata.name')
  if (calledItself !== undefined && calledItself !== name)
    return deny(`the label kubernetes.io/metadata.name is ${calledItself}, and the namespace ${name}`)
  const found = guardedOf(labels)
  const tenant = ownerOf(name, tenants, exempt)
  const fault = tenant === undefined ? ofNobody(`namespace ${name}`, found, exempt.has(name)) : labelFault(found, tenant)
  if (fault === undefined) return ALLOWED
  // What was let in once and is not made worse: a policy that moved on must not keep a namespace from being emptied and deleted.
  if (before !== undefined && sameLabels(guardedOf(before.labels), found))
    return { allowed: true, warning: `namespace ${name}: ${fault} under the present policy` }
  return deny(tenant === undefined ? fault : `namespace ${name} is tenant ${tenant.id}'s: ${fault}`)
}

function pod(review: Review, registry: Registry, rules: AdmissionRules, now: number): Admission {
  const { object, before, namespace: place } = review
  if (place === undefined) return deny('the request names no namespace')
  if (object.namespace !== undefined && object.namespace !== place)
    return deny(`the request is for namespace ${place}, and the pod for ${object.namespace}`)
  const found = guardedOf(object.labels)
  const tenant = ownerOf(place, registry.tenants, rules.exempt)
  if (before !== undefined) return changed(review, found, before, tenant !== undefined)
  if (tenant === undefined) {
    const fault = ofNobody(`namespace ${place}`, found, rules.exempt.has(place))
    return fault === undefined ? ALLOWED : deny(`pod ${shownName(object)}: ${fault}`)
  }
  const fault = labelFault(found, tenant) ?? specFault(object) ?? identityFault(object, place, tenant, registry, rules, now)
  return fault === undefined ? ALLOWED : deny(`pod ${shownName(object)} in ${place}, which is tenant ${tenant.id}'s: ${fault}`)
}

/** An identity was given to what the pod is: neither its labels nor who speaks for it changes while it runs. */
function changed({ object, subresource }: Review, found: ReadonlyMap<string, string>, before: Thing, owned: boolean): Admission {
  const had = guardedOf(before.labels)
  if (!sameLabels(had, found)) return deny(`the ${LABEL_PREFIX}* labels of a pod do not change while it runs (pod ${shownName(object)})`)
  const joins =
    subresource === 'ephemeralcontainers' || countOf(object.spec, 'ephemeralContainers') > countOf(before.spec, 'ephemeralContainers')
  if (joins && (owned || had.has(TENANT))) return deny(`a container that joins pod ${shownName(object)} would speak with its identity`)
  return ALLOWED
}

/** The labels of a binding become the pod's. */
function binding(object: Thing): Admission {
  return guardedOf(object.labels).size === 0 ? ALLOWED : deny(`a binding carries no ${LABEL_PREFIX}* labels`)
}

/** What is exempt is nobody's, also where a policy says otherwise: it goes on without one. */
function ownerOf(name: string, tenants: Registry['tenants'], exempt: AdmissionRules['exempt']): TenantDocument | undefined {
  return exempt.has(name) ? undefined : tenants.get(name)
}

function ofNobody(what: string, found: ReadonlyMap<string, string>, exempt: boolean): string | undefined {
  const [first] = found.keys()
  if (first === undefined) return undefined
  return exempt ? `${what} is exempt, so it carries no ${first}` : `${what} is no tenant's in the policy, so it carries no ${first}`
}

function specFault({ spec }: Thing): string | undefined {
  const shared = SHARED.find((name) => isOn(spec, name))
  if (shared !== undefined) return `${shared} would put it beside everything else on its node`
  // A pod that arrives with one has it from nowhere: they are added to what runs.
  return countOf(spec, 'ephemeralContainers') > 0 ? 'it comes with an ephemeral container' : undefined
}

function identityFault(
  { spec }: Thing,
  place: string,
  tenant: TenantDocument,
  { workload }: Registry,
  { spiffeId, unregistered }: AdmissionRules,
  now: number
): string | undefined {
  const account = textIn(spec, 'serviceAccountName') ?? 'default'
  if (account === 'default') return "it needs a service account of its own: the default one is everybody's"
  const filled: Readonly<Record<string, string>> = { namespace: place, tenant: tenant.id, service_account: account }
  const id = spiffeId.replace(/\{(\w+)\}/g, (_, name: string) => filled[name] ?? '')
  const read = parseSpiffeId(id)
  if (!read.ok) return `its SPIFFE ID would be ${id}, which is none`
  const known = workload(id)
  if (known === undefined) return unregistered === 'allow' ? undefined : `no workload of the policy is ${id}`
  if (known.revoked) return `${id} is revoked`
  if (now >= known.expiresAt) return `the policy's entry for ${id} has ended`
  if (!known.tenants.has(tenant.id)) return `${id} acts for another tenant in the policy`
  const { region } = tenant
  if (region !== undefined && !known.regions.has(region))
    return `data of tenant ${tenant.id} stays in ${region} (${RESIDENCY}), and ${id} is not in that region in the policy`
  return undefined
}

function shownName({ name }: Thing): string {
  return name ?? '(without a name yet)'
}

function deny(because: string): Admission {
  return { allowed: false, because }
}
