/** Asks a server for a verdict directly, as an Envoy would: what a workload can do whose SVID opens the connection. */
import { X509Certificate } from 'node:crypto'
import { AuthorizationClient, CheckRequest, type CheckResponse } from '@envoyproxy/protos/auth'
import { credentials, Metadata } from '@grpc/grpc-js'
import { type Answer, type Ask, bytesOf, type Credentials } from './client.ts'
import { HOST } from './identities.ts'

export interface DirectAsk extends Omit<Ask, 'agent'> {
  /** Whose certificate the message says the peer of Envoy has shown: a chain (PEM) and its name. */
  readonly asserted?: { readonly id: string; readonly chainPem: string }
  /** `http.id`: the same is Envoy's repeat of one check. */
  readonly id?: string
}

export interface Verdict {
  /** As the caller of Envoy would see it; 200 for an allow. */
  readonly answer: Answer
  /** What an allow sets, by name. */
  readonly set: ReadonlyMap<string, string>
  readonly remove: readonly string[]
}

const TIMEOUT_MS = 5_000

/** @throws Error when the server does not answer, so also when it does not take the connection. */
export async function askDirectly(
  server: { readonly port: number; readonly ca: string },
  who: Credentials,
  ask: DirectAsk
): Promise<Verdict> {
  const tls = credentials.createSsl(Buffer.from(server.ca), Buffer.from(who.key), Buffer.from(who.cert), {
    checkServerIdentity: () => undefined
  })
  // An address is no server name (RFC 6066 §3), and any will do: identities are not names of hosts.
  const client = new AuthorizationClient(`127.0.0.1:${server.port}`, tls, { 'grpc.ssl_target_name_override': HOST })
  const began = performance.now()
  try {
    const { promise, resolve, reject } = Promise.withResolvers<CheckResponse>()
    const answered = (error: Error | null, said: CheckResponse) => (error === null ? resolve(said) : reject(error))
    client.check(checkOf(ask), new Metadata(), { deadline: Date.now() + TIMEOUT_MS }, answered)
    return verdictOf(await promise, performance.now() - began)
  } finally {
    client.close()
  }
}

/** A check as Envoy 1.40 writes it with `encode_raw_headers` and `pack_as_bytes`. */
export function checkOf({ method, target, headers = {}, body: given, asserted, id = '1' }: DirectAsk) {
  const body = bytesOf(given)
  const { host = HOST, ...own } = headers
  const verb = method ?? (body === undefined ? 'GET' : 'POST')
  const ofBody: [string, string][] = [
    ['content-type', 'application/json'],
    ['content-length', String(body?.length)],
    ['x-envoy-auth-partial-body', 'false']
  ]
  const all: [string, string][] = [
    [':method', verb],
    [':path', target],
    [':authority', String(host)],
    [':scheme', 'https'],
    ...Object.entries(own).flatMap(([name, value]) => [value].flat().map((one): [string, string] => [name, one])),
    ...(asserted === undefined ? [] : [['x-forwarded-client-cert', xfccOf(asserted.chainPem)] as [string, string]]),
    ...(body === undefined ? [] : ofBody.filter(([name]) => !(name in own)))
  ]
  const http = {
    id,
    method: verb,
    path: target,
    host: String(host),
    scheme: 'https',
    protocol: 'HTTP/1.1',
    size: body?.length ?? 0,
    headerMap: { headers: all.map(([key, value]) => ({ key, rawValue: Buffer.from(value, 'latin1') })) },
    rawBody: body ?? Buffer.alloc(0)
  }
  const source = { certificate: encodeURIComponent(asserted === undefined ? '' : leafOf(asserted.chainPem)), principal: asserted?.id ?? '' }
  return CheckRequest.fromPartial({ attributes: { source, request: { http } } })
}

/** As Envoy writes it with `set_current_client_cert_details: { chain: true }`. */
function xfccOf(chainPem: string): string {
  const hash = new X509Certificate(chainPem).fingerprint256.replaceAll(':', '').toLowerCase()
  return `Hash=${hash};Chain="${encodeURIComponent(chainPem)}"`
}

/** Envoy gives the first certificate of a chain. */
function leafOf(chainPem: string): string {
  return new X509Certificate(chainPem).toString()
}

export function verdictOf({ status, okResponse, deniedResponse }: CheckResponse, ms: number): Verdict {
  const listed = okResponse?.headers ?? deniedResponse?.headers ?? []
  const set = new Map(listed.map(({ header }) => [header?.key ?? '', header?.value ?? '']))
  const body = deniedResponse?.body ?? ''
  const reason = body === '' ? undefined : (JSON.parse(body) as { reason?: string }).reason
  const http = status?.code === 0 ? 200 : (deniedResponse?.status?.code ?? 403)
  const ids = { decisionId: set.get('x-vecauthz-decision'), approvalId: set.get('x-vecauthz-approval') }
  const answer = { status: http, reason, ...ids, body, ms }
  return { answer, set, remove: okResponse?.headersToRemove ?? [] }
}
