import { describe, expect, it } from 'vitest'
import type { Settings } from '../../src/config/settings-schema.ts'
import type { PolicyDocument } from '../../src/core/policy-document.ts'
import { namespaceManifests } from '../../src/k8s/namespaces.ts'
import { networkPolicies } from '../../src/k8s/network-policies.ts'
import { type PlaceOptions, placesOf } from '../../src/k8s/places.ts'

/** Who may open a connection to whom, read back from the manifests as a cluster reads them. */

const DOCUMENT = {
  version: 1,
  trust_domains: ['t.test'],
  tenants: [
    { id: 'acme', region: 'eu', retention_days: 30, namespaces: ['rag-acme', 'rag-acme-batch'] },
    { id: 'globex', namespaces: ['rag-globex'] },
    { id: 'initech', namespaces: ['rag-initech'] },
    { id: 'nowhere' }
  ],
  workloads: [],
  collections: [
    { database: 'docs', names: ['a'], tenancy: 'path', allow: [{ tenants: ['acme'], actions: ['search'] }] },
    { database: 'notes', names: ['b'], tenancy: 'native', allow: [{ tenants: ['globex', 'nowhere'], actions: ['search'] }] }
  ]
} as unknown as PolicyDocument
const SETTINGS = {
  databases: [
    { id: 'docs', url: 'http://chroma.data.svc:8000' },
    { id: 'notes', url: 'http://127.0.0.1:8080' }
  ]
} as unknown as Settings
const NONE: PlaceOptions = { gateway: undefined, server: undefined, databases: [], metrics: undefined }
const NOTES = 'notes=other/app=weaviate:8080,50051'

interface Peer {
  readonly namespaceSelector?: {
    readonly matchLabels?: Record<string, string>
    readonly matchExpressions?: { readonly values: string[] }[]
  }
  readonly podSelector?: { readonly matchLabels?: Record<string, string> }
}

interface Rule {
  readonly from?: Peer[]
  readonly to?: Peer[]
  readonly ports?: { readonly protocol: string; readonly port: number }[]
}

interface Policy {
  readonly metadata: { readonly name: string; readonly namespace: string }
  readonly spec: {
    readonly podSelector: { readonly matchLabels?: Record<string, string> }
    readonly policyTypes: string[]
    readonly ingress?: Rule[]
    readonly egress?: Rule[]
  }
}

interface Pod {
  readonly namespace: string
  readonly labels: Record<string, string>
}

const places = placesOf({ ...NONE, databases: [NOTES], metrics: 'monitoring:9902' }, SETTINGS, DOCUMENT)
const policies = (typeof places === 'string' ? [] : networkPolicies(DOCUMENT, places)) as unknown as Policy[]

const has = (wanted: Record<string, string> = {}, labels: Record<string, string>) =>
  Object.entries(wanted).every(([name, value]) => labels[name] === value)

function matches({ namespaceSelector, podSelector }: Peer, pod: Pod, own: string): boolean {
  const named = { 'kubernetes.io/metadata.name': pod.namespace }
  const inNamespace =
    namespaceSelector === undefined
      ? pod.namespace === own
      : has(namespaceSelector.matchLabels, named) &&
        (namespaceSelector.matchExpressions ?? []).every(({ values }) => values.includes(pod.namespace))
  return inNamespace && has(podSelector?.matchLabels, pod.labels)
}

/** As a cluster does it: what no policy selects is open, and of those that select it one is enough. */
function passes(direction: 'ingress' | 'egress', pod: Pod, other: Pod, port: number): boolean {
  const type = direction === 'ingress' ? 'Ingress' : 'Egress'
  const selecting = policies.filter(
    ({ metadata, spec }) =>
      metadata.namespace === pod.namespace && spec.policyTypes.includes(type) && has(spec.podSelector.matchLabels, pod.labels)
  )
  if (selecting.length === 0) return true
  return selecting.some(({ spec, metadata }) =>
    (spec[direction] ?? []).some((rule) => {
      const peers = rule.from ?? rule.to
      const toPort = rule.ports === undefined || rule.ports.some((one) => one.port === port)
      return toPort && (peers === undefined || peers.some((peer) => matches(peer, other, metadata.namespace)))
    })
  )
}

const reaches = (from: Pod, to: Pod, port: number) => passes('egress', from, to, port) && passes('ingress', to, from, port)

const agent = (namespace: string): Pod => ({ namespace, labels: { app: 'agent' } })
const gateway: Pod = { namespace: 'vecauthz', labels: { 'app.kubernetes.io/name': 'vecauthz-gateway' } }
const server: Pod = { namespace: 'vecauthz', labels: { 'app.kubernetes.io/name': 'vecauthz' } }
const chroma: Pod = { namespace: 'data', labels: { 'app.kubernetes.io/name': 'chroma' } }
const weaviate: Pod = { namespace: 'other', labels: { app: 'weaviate' } }
const dns: Pod = { namespace: 'kube-system', labels: { 'k8s-app': 'kube-dns' } }

describe('who reaches whom', () => {
  it.each([
    ['an agent the gateway', agent('rag-acme'), gateway, 8443, true],
    ['an agent the gateway at another port', agent('rag-acme'), gateway, 9901, false],
    ['an agent the database', agent('rag-acme'), chroma, 8000, false],
    ['an agent vecauthz', agent('rag-acme'), server, 9901, false],
    ["an agent another tenant's", agent('rag-acme'), agent('rag-globex'), 80, false],
    ["an agent its tenant's other namespace", agent('rag-acme'), agent('rag-acme-batch'), 80, true],
    ['an agent the names of things', agent('rag-acme'), dns, 53, true],
    ['an agent what else is beside those', agent('rag-acme'), { ...dns, labels: {} }, 53, false],
    ['an agent of a tenant without any rule the gateway', agent('rag-initech'), gateway, 8443, false],
    ['somebody without a tenant the gateway', agent('mine'), gateway, 8443, false],
    ['somebody without a tenant the database', agent('mine'), chroma, 8000, false],
    ['somebody beside the database the database', agent('data'), chroma, 8000, false],
    ['the gateway vecauthz', gateway, server, 9901, true],
    ["the gateway vecauthz's write lane", gateway, server, 9911, true],
    ["the gateway vecauthz's admin port", gateway, server, 9903, false],
    ['the gateway a database', gateway, chroma, 8000, true],
    ["the gateway a database's other port", gateway, weaviate, 50_051, true],
    ['the gateway an agent', gateway, agent('rag-acme'), 80, false],
    ['vecauthz a database', server, chroma, 8000, true],
    ['metrics vecauthz', agent('monitoring'), server, 9902, true],
    ['metrics another port of vecauthz', agent('monitoring'), server, 9901, false]
  ])('%s: %o', (_, from, to, port, want) => expect(reaches(from, to, port)).toBe(want))
})

describe('where things are', () => {
  it.each([
    [{}, 'database notes: say where its pods are with --database notes=NAMESPACE/LABEL=VALUE:PORT,PORT'],
    [{ databases: ['mine=a/b=c:1'] }, '--database mine: no collection of the policy is in a database of this id'],
    [{ databases: ['notes=a:1'] }, /^database notes: say where/],
    [{ databases: ['notes=a/b=c:0'] }, /^database notes: say where/],
    [{ databases: ['notes=a/b=c:65536'] }, /^database notes: say where/],
    [{ databases: [NOTES], gateway: 'x' }, '--gateway x: this is no NAMESPACE/LABEL=VALUE:PORT'],
    [{ databases: [NOTES], server: 'x/y:1' }, '--server x/y:1: this is no NAMESPACE/LABEL=VALUE:PORT,PORT'],
    [{ databases: [NOTES], metrics: 'x' }, '--metrics-from x: this is no NAMESPACE:PORT']
  ])('%o: %s', (options, want) => {
    const said = placesOf({ ...NONE, ...options }, SETTINGS, DOCUMENT)
    expect(said).toEqual(typeof want === 'string' ? want : expect.stringMatching(want))
  })
})

describe('namespaces', () => {
  it('have the labels that admission asks of them', () => {
    const manifests = namespaceManifests(DOCUMENT)
    expect(manifests).toHaveLength(4)
    expect(manifests[0]).toMatchObject({
      kind: 'Namespace',
      metadata: {
        name: 'rag-acme',
        labels: {
          'vecauthz.dev/tenant': 'acme',
          'vecauthz.dev/region': 'eu',
          'vecauthz.dev/residency': 'eu',
          'vecauthz.dev/retention': '30d',
          'pod-security.kubernetes.io/enforce': 'restricted'
        }
      }
    })
  })

  it('of a tenant that cannot be a label are none', () => {
    const tenants = [{ id: 'a tenant', namespaces: ['x'] }]
    expect(namespaceManifests({ ...DOCUMENT, tenants })).toMatch(/"a tenant" cannot be the value of a Kubernetes label/)
  })
})
