/** Two policies that disagree about the same calls, a bad one, and a large one that agrees with the first. */
import { createHash, X509Certificate } from 'node:crypto'
import { CheckRequest } from '@envoyproxy/protos/auth'
import { GATEWAY_ENVOY, HOST, INDEXER, SUPPORT, TRIALS } from '../demo/identities.ts'
import type { PolicyDocument } from '../src/core/policy-document.ts'
import { largePolicy } from '../test/support/large-policy.ts'

const BASE = '/api/v2/tenants/acme/databases/rag/collections'
/** Each is decided from the policy alone: no name has to be asked for. */
const CALLS = [
  { who: SUPPORT, method: 'GET', path: `${BASE}/handbook`, under: { first: 'allow', second: 'collection-not-allowed' } },
  { who: INDEXER, method: 'DELETE', path: `${BASE}/handbook`, under: { first: 'delete-not-allowed', second: 'allow' } },
  { who: TRIALS, method: 'GET', path: `${BASE}/handbook`, under: { first: 'caller-unknown', second: 'allow' } },
  { who: INDEXER, method: 'GET', path: `${BASE}/handbook`, under: { first: 'allow', second: 'allow' } }
] as const

const COMMON = {
  version: 1,
  trust_domains: ['demo.vecauthz.test'],
  limits: { top_k: 20, queries: 4, records: 100, vectors_out: 'deny' },
  budget: { per_second: 100_000, burst: 1_000_000 }
} as const
const handbook = { database: 'demo', namespace: 'rag', names: ['handbook'], tenancy: 'path' } as const

const FIRST: PolicyDocument = {
  ...COMMON,
  tenants: [{ id: 'acme' }],
  workloads: [SUPPORT, INDEXER].map((spiffe_id) => ({ spiffe_id, tenants: ['acme'] })),
  collections: [{ ...handbook, allow: [{ tenants: ['acme'], actions: ['observe'] }] }]
}
const SECOND: PolicyDocument = {
  ...COMMON,
  tenants: [{ id: 'acme' }],
  workloads: [SUPPORT, INDEXER, TRIALS].map((spiffe_id) => ({ spiffe_id, tenants: ['acme'] })),
  collections: [{ ...handbook, allow: [{ tenants: ['acme'], actions: ['observe', 'drop'], workloads: [INDEXER, TRIALS] }] }]
}

/** The first, among so many others. */
function large(tenants: number, workloads: number, collections: number): PolicyDocument {
  const others = largePolicy(tenants, workloads, collections)
  return {
    ...others,
    ...COMMON,
    tenants: [...others.tenants, ...FIRST.tenants],
    workloads: [...others.workloads, ...FIRST.workloads],
    collections: [...others.collections, ...FIRST.collections]
  }
}

export interface Snapshot {
  readonly text: string
  readonly revision: string
  readonly says: 'first' | 'second'
}

function snapshot(document: PolicyDocument, says: Snapshot['says']): Snapshot {
  const text = JSON.stringify(document, null, 1)
  return { text, revision: createHash('sha256').update(text).digest('hex'), says }
}

export const TWO: readonly [Snapshot, Snapshot] = [snapshot(FIRST, 'first'), snapshot(SECOND, 'second')]

export function largeSnapshot(tenants: number, workloads: number, collections: number): Snapshot {
  return snapshot(large(tenants, workloads, collections), 'first')
}

/** A text that is no YAML, one that has a wrong key, and one whose tenant is nowhere listed. */
export const BAD: readonly string[] = [
  `${TWO[0].text}}`,
  TWO[0].text.replace('"actions"', '"action"'),
  TWO[1].text.replace('"id": "acme"', '"id": "acne"')
]

/** The n-th call and what it should come to. Each check has a stream id of its own, so that no repeat is ever seen. */
export function createCalls(chainOf: (id: string) => string) {
  const shown = new Map(CALLS.map(({ who }) => [who, shownBy(chainOf(who))]))
  const base = Math.floor(Math.random() * 1e12)
  return (at: number) => {
    const { who, method, path, under } = CALLS[at % CALLS.length] as (typeof CALLS)[number]
    const { certificate = '', xfcc = '' } = shown.get(who) ?? {}
    const headers = { ':authority': HOST, ':path': path, ':method': method, ':scheme': 'https', 'x-forwarded-client-cert': xfcc }
    const headerMap = { headers: Object.entries(headers).map(([key, value]) => ({ key, rawValue: Buffer.from(value) })) }
    const http = { id: String(base + at), method, path, host: HOST, scheme: 'https', protocol: 'HTTP/1.1', headerMap }
    const source = { principal: who, certificate }
    const bytes = CheckRequest.encode(CheckRequest.fromPartial({ attributes: { source, request: { http } } })).finish()
    return { message: Buffer.from(bytes), under }
  }
}

/** As the gateway's Envoy shows the certificate of its peer, and the chain behind it. */
export function shownBy(chainPem: string) {
  const leaf = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n/.exec(chainPem)?.[0] ?? ''
  const hash = createHash('sha256').update(new X509Certificate(leaf).raw).digest('hex')
  const xfcc = `By=${GATEWAY_ENVOY};Hash=${hash};Chain="${encodeURIComponent(chainPem)}"`
  return { certificate: encodeURIComponent(leaf), xfcc }
}
