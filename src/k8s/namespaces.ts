/** Namespaces with the labels that admission asks of them. Pure. */
import type { PolicyDocument } from '../core/policy-document.ts'
import { labelsOf } from './labels.ts'

const LABEL_VALUE = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/

/** @returns a sentence when a tenant cannot be written as a label */
export function namespaceManifests(document: PolicyDocument): readonly Readonly<Record<string, unknown>>[] | string {
  const manifests = []
  for (const tenant of document.tenants) {
    const labels = labelsOf(tenant)
    const odd = [...labels].find(([, value]) => !LABEL_VALUE.test(value))
    const namespaces = tenant.namespaces ?? []
    if (odd !== undefined && namespaces.length > 0)
      return `Tenant "${tenant.id}": "${odd[1]}" cannot be the value of a Kubernetes label (${odd[0]})`
    for (const name of namespaces) {
      // Without these, a pod could reach the node, and the sockets of others on it.
      const security = { 'pod-security.kubernetes.io/enforce': 'restricted' }
      manifests.push({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: { ...Object.fromEntries(labels), ...security } } })
    }
  }
  return manifests
}
