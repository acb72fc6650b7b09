/**
 * NetworkPolicies from the policy: who can reach whom at all, before anybody is asked who they are. Namespaces are named by the label that
 * the API server itself sets (`kubernetes.io/metadata.name`), which nobody can put on another one. Pure.
 */
import type { PolicyDocument, TenantDocument } from '../core/policy-document.ts'

export interface Pods {
  readonly namespace: string
  readonly label: readonly [name: string, value: string]
  readonly ports: readonly number[]
}

export interface Places {
  /** The Envoy in front of the databases. */
  readonly gateway: Pods
  /** vecauthz itself; what the gateway asks. */
  readonly server: Pods
  /** By the id that the policy's collections name. */
  readonly databases: ReadonlyMap<string, Pods>
  /** Whose pods may read vecauthz's metrics. */
  readonly metrics: { readonly namespace: string; readonly port: number } | undefined
}

type Manifest = Readonly<Record<string, unknown>>

const NAME = 'kubernetes.io/metadata.name'
const OWN = { 'app.kubernetes.io/managed-by': 'vecauthz' }
const DNS = {
  to: [{ namespaceSelector: { matchLabels: { [NAME]: 'kube-system' } }, podSelector: { matchLabels: { 'k8s-app': 'kube-dns' } } }],
  ports: [
    { protocol: 'UDP', port: 53 },
    { protocol: 'TCP', port: 53 }
  ]
}

/** Policies only add up: what else a namespace needs goes into one of its own. */
export function networkPolicies(document: PolicyDocument, places: Places): readonly Manifest[] {
  const served = document.tenants.filter((tenant) => reaches(document, tenant))
  const callers = served.flatMap(({ namespaces = [] }) => namespaces)
  const tenants = document.tenants.flatMap((tenant) => tenantPolicies(tenant, served.includes(tenant), places))
  const databases = [...places.databases.values()].map((pods, at) => databasePolicy(`vecauthz-database-${at + 1}`, pods, places))
  return [...tenants, gatewayPolicy(callers, places), serverPolicy(places), ...databases]
}

/** Whether any rule of any collection is for the tenant: who may call nothing has no way to call. */
function reaches({ collections }: PolicyDocument, { id }: TenantDocument): boolean {
  return collections.some(({ allow }) => allow.some(({ tenants }) => tenants.includes(id)))
}

function tenantPolicies({ namespaces = [] }: TenantDocument, served: boolean, { gateway }: Places): readonly Manifest[] {
  if (namespaces.length === 0) return []
  const own = { namespaceSelector: { matchExpressions: [{ key: NAME, operator: 'In', values: [...namespaces] }] } }
  const egress = [{ to: [own] }, DNS, ...(served ? [{ to: [peerOf(gateway)], ports: portsOf(gateway) }] : [])]
  return namespaces.map((namespace) =>
    policy(namespace, 'vecauthz-tenant', {}, { policyTypes: ['Ingress', 'Egress'], ingress: [{ from: [own] }], egress })
  )
}

function gatewayPolicy(callers: readonly string[], { gateway, server, databases }: Places): Manifest {
  // An empty list of sources would mean everybody.
  const from = callers.map((namespace) => ({ namespaceSelector: { matchLabels: { [NAME]: namespace } } }))
  const ingress = from.length === 0 ? [] : [{ from, ports: portsOf(gateway) }]
  const egress = [DNS, ...[server, ...databases.values()].map((pods) => ({ to: [peerOf(pods)], ports: portsOf(pods) }))]
  return policy(gateway.namespace, 'vecauthz-gateway', matching(gateway), { policyTypes: ['Ingress', 'Egress'], ingress, egress })
}

function serverPolicy({ gateway, server, databases, metrics }: Places): Manifest {
  const reading =
    metrics === undefined
      ? []
      : [
          {
            from: [{ namespaceSelector: { matchLabels: { [NAME]: metrics.namespace } } }],
            ports: [{ protocol: 'TCP', port: metrics.port }]
          }
        ]
  const ingress = [{ from: [peerOf(gateway)], ports: portsOf(server) }, ...reading]
  // It asks databases for names, and its own kind and its store are beside it.
  const beside = { to: [{ podSelector: {} }] }
  const egress = [DNS, beside, ...[...databases.values()].map((pods) => ({ to: [peerOf(pods)], ports: portsOf(pods) }))]
  return policy(server.namespace, 'vecauthz-server', matching(server), { policyTypes: ['Ingress', 'Egress'], ingress, egress })
}

/** @param name by its place: an id may have letters that a name in Kubernetes has not */
function databasePolicy(name: string, pods: Pods, { gateway, server }: Places): Manifest {
  const ingress = [{ from: [peerOf(gateway), peerOf(server)], ports: portsOf(pods) }]
  return policy(pods.namespace, name, matching(pods), { policyTypes: ['Ingress'], ingress })
}

function policy(namespace: string, name: string, podSelector: object, spec: object): Manifest {
  const metadata = { name, namespace, labels: OWN }
  return { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata, spec: { podSelector, ...spec } }
}

function matching({ label: [name, value] }: Pods) {
  return { matchLabels: { [name]: value } }
}

function peerOf(pods: Pods) {
  return { namespaceSelector: { matchLabels: { [NAME]: pods.namespace } }, podSelector: matching(pods) }
}

function portsOf({ ports }: Pods) {
  return ports.map((port) => ({ protocol: 'TCP', port }))
}
