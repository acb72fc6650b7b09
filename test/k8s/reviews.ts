/** AdmissionReviews as an API server sends them. */

export interface Part {
  readonly [key: string]: unknown
}

interface Asked {
  readonly operation?: string
  readonly subResource?: string
  readonly name?: string
  readonly namespace?: string
  readonly oldObject?: unknown
  readonly resource?: Part
}

let uids = 0

function review(kind: string, plural: string, object: unknown, asked: Asked): Part {
  const { resource, ...rest } = asked
  const request = {
    uid: `0b7d3c1e-0000-4000-8000-${String(++uids).padStart(12, '0')}`,
    kind: { group: '', version: 'v1', kind },
    resource: resource ?? { group: '', version: 'v1', resource: plural },
    operation: 'CREATE',
    userInfo: { username: 'dev', groups: ['system:authenticated'] },
    object,
    oldObject: null,
    dryRun: false,
    ...rest
  }
  return { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request }
}

export function namespaceOf(name: string, labels: Part = {}, more: Part = {}): Part {
  const own = { 'kubernetes.io/metadata.name': name }
  return {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name, labels: { ...own, ...labels }, ...more },
    spec: { finalizers: ['kubernetes'] }
  }
}

export function podOf(namespace: string, labels: Part = {}, spec: Part = {}, metadata: Part = {}): Part {
  const own = { serviceAccountName: 'support', containers: [{ name: 'agent', image: 'agent:1' }] }
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'agent-1', namespace, labels, ...metadata }, spec: { ...own, ...spec } }
}

export function namespaceReview(object: Part, asked: Asked = {}): Part {
  const { name } = object['metadata'] as { name: string }
  return review('Namespace', 'namespaces', object, { name, namespace: name, ...asked })
}

export function podReview(namespace: string, object: Part, asked: Asked = {}): Part {
  return review('Pod', 'pods', object, { namespace, ...asked })
}

export function bindingReview(namespace: string, labels: Part): Part {
  const object = {
    apiVersion: 'v1',
    kind: 'Binding',
    metadata: { name: 'agent-1', namespace, labels },
    target: { kind: 'Node', name: 'n' }
  }
  return review('Binding', 'pods', object, { namespace, name: 'agent-1', subResource: 'binding' })
}
