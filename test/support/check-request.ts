/** Builds CheckRequests as Envoy 1.40 writes them, through the generated encoder: our own reader is the thing under test. */
import { CheckRequest } from '@envoyproxy/protos/auth'

export interface CheckParts {
  readonly method?: string
  readonly path?: string
  readonly host?: string
  readonly id?: string
  readonly headers?: readonly (readonly [string, string])[]
  /** `raw`: header_map, as with encode_raw_headers; `map`: the joined map. */
  readonly form?: 'raw' | 'map'
  readonly body?: string | Uint8Array
  readonly size?: number
  readonly partial?: 'true' | 'false' | 'True'
  readonly textBody?: string
  /** URL-encoded PEM. */
  readonly certificate?: string
  readonly principal?: string
}

export function checkRequest(parts: CheckParts): Buffer {
  const body = typeof parts.body === 'string' ? Buffer.from(parts.body) : parts.body
  const method = parts.method ?? (body === undefined ? 'GET' : 'POST')
  const path = parts.path ?? '/api/v2/heartbeat'
  const host = parts.host ?? 'chroma.demo.vecauthz.test'
  const headers: (readonly [string, string])[] = [
    [':method', method],
    [':path', path],
    [':authority', host],
    [':scheme', 'https'],
    ...(parts.headers ?? [])
  ]
  const named = new Set(headers.map(([name]) => name))
  if (body !== undefined && !named.has('content-type')) headers.push(['content-type', 'application/json'])
  if (body !== undefined && !named.has('content-length')) headers.push(['content-length', String(body.length)])
  if (body !== undefined || parts.partial !== undefined) headers.push(['x-envoy-auth-partial-body', parts.partial ?? 'false'])
  const raw = parts.form !== 'map'
  const http = {
    id: parts.id ?? '12345',
    method,
    path,
    host,
    scheme: 'https',
    size: parts.size ?? body?.length ?? 0,
    protocol: 'HTTP/1.1',
    headers: raw ? {} : Object.fromEntries(headers),
    headerMap: raw ? { headers: headers.map(([key, value]) => ({ key, rawValue: Buffer.from(value, 'latin1') })) } : undefined,
    body: parts.textBody ?? '',
    rawBody: body ?? Buffer.alloc(0)
  }
  const source = { certificate: parts.certificate ?? '', principal: parts.principal ?? '' }
  return Buffer.from(CheckRequest.encode(CheckRequest.fromPartial({ attributes: { source, request: { http } } })).finish())
}
