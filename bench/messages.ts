/** CheckRequests as the gateway's Envoy sends them for a search of the demo, with another stream id each. */

import { createHash, X509Certificate } from 'node:crypto'
import { CheckRequest } from '@envoyproxy/protos/auth'
import { HOST } from '../demo/identities.ts'

const ID = '0000000000000000000'

export interface SearchMessage {
  /** Of the TLS peer; undefined at egress, where a message says nothing of one. */
  readonly certPem: string | undefined
  readonly principal: string
  readonly target: string
  readonly dimensions: number
}

/** Bodies in turn. */
export const BODIES = 16

/** Gives the n-th message: several different vectors in turn, and a stream id of its own, so that no repeat is ever seen. */
/** @param tokens a policy token for each body, for the role `index` */
export function searchMessages(search: SearchMessage, tokens: readonly string[] = []): (at: number) => Buffer {
  const templates = Array.from({ length: BODIES }, (_, seed) => template(search, seed, tokens[seed]))
  const base = Math.floor(Math.random() * 1e9)
  return (at) => {
    const one = templates[at % templates.length] as { bytes: Buffer; idAt: number }
    const bytes = Buffer.from(one.bytes)
    bytes.write(String(base + at).padStart(ID.length, '1'), one.idAt, 'latin1')
    return bytes
  }
}

function template(search: SearchMessage, seed: number, token: string | undefined): { bytes: Buffer; idAt: number } {
  const { certPem, principal } = search
  const leaf = certPem === undefined ? '' : (/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n/.exec(certPem)?.[0] ?? '')
  const body = Buffer.from(
    JSON.stringify({ query_embeddings: [vector(search.dimensions, seed)], n_results: 10, include: ['documents', 'metadatas', 'distances'] })
  )
  const headers: [string, string][] = [
    [':authority', HOST],
    [':path', search.target],
    [':method', 'POST'],
    [':scheme', 'https'],
    ['accept', '*/*'],
    ['accept-language', '*'],
    ['content-type', 'application/json'],
    ['user-agent', 'node'],
    ['accept-encoding', 'gzip, deflate'],
    ['content-length', String(body.length)],
    ['x-request-id', '1c4ae2b9-6a5e-4b6b-9c4e-0b8f3f1d2a77'],
    ['x-forwarded-proto', 'https'],
    ...(certPem === undefined ? [] : [['x-forwarded-client-cert', xfccOf(certPem, leaf)] as [string, string]]),
    ...(token === undefined ? [] : [['x-vecauthz-policy-token', token] as [string, string]]),
    ['x-envoy-auth-partial-body', 'false']
  ]
  const http = {
    id: ID,
    method: 'POST',
    path: search.target,
    host: HOST,
    scheme: 'https',
    protocol: 'HTTP/1.1',
    size: body.length,
    rawBody: body,
    headerMap: { headers: headers.map(([key, value]) => ({ key, rawValue: Buffer.from(value) })) }
  }
  const source = { principal: certPem === undefined ? '' : principal, certificate: encodeURIComponent(leaf) }
  const bytes = Buffer.from(CheckRequest.encode(CheckRequest.fromPartial({ attributes: { source, request: { http } } })).finish())
  return { bytes, idAt: bytes.indexOf(ID) }
}

function xfccOf(certPem: string, leaf: string): string {
  const hash = createHash('sha256').update(new X509Certificate(leaf).raw).digest('hex')
  return `By=spiffe://demo.vecauthz.test/envoy/gateway;Hash=${hash};Chain="${encodeURIComponent(certPem)}"`
}

/** A unit vector with the digits that embedding models print. */
function vector(dimensions: number, seed: number): number[] {
  let state = seed * 7919 + 17
  const raw = Array.from({ length: dimensions }, () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648
    return state / 2_147_483_648 - 0.5
  })
  const length = Math.hypot(...raw)
  return raw.map((one) => Math.fround(one / length)).map((one) => Number(one.toPrecision(8)))
}
