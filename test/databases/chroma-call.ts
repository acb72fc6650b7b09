import type { Inbound } from '../../src/core/inbound.ts'
import { chroma } from '../../src/databases/chroma.ts'

export const ID = 'e531aac4-f945-4ee0-bb69-0e862969a3ec'
export const API = '/api/v2'
export const DATABASE = `${API}/tenants/acme/databases/rag`
export const COLLECTIONS = `${DATABASE}/collections`
export const COLLECTION = `${COLLECTIONS}/${ID}`

export interface Call {
  readonly method?: string
  readonly target?: string
  /** Text, bytes, or a value to be written as JSON; undefined is no body. */
  readonly body?: unknown
  /** Over the usual ones; undefined takes one away. */
  readonly headers?: Readonly<Record<string, string | undefined>>
}

/** What Envoy would hand over for the call. */
export function inboundOf({ method = 'POST', target = `${COLLECTION}/get`, body, headers = {} }: Call): Inbound {
  const bytes =
    body === undefined || body instanceof Uint8Array ? body : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
  const all = new Map<string, string>(bytes === undefined ? [] : [['content-type', 'application/json']])
  for (const [name, value] of Object.entries(headers)) value === undefined ? all.delete(name) : all.set(name, value)
  return {
    method,
    target,
    authority: 'chroma.test',
    headers: all,
    body: bytes,
    peerCertificate: undefined,
    peerPrincipal: undefined,
    httpId: 'one',
    strippedCredentials: [],
    grpc: false
  }
}

export function read(call: Call): ReturnType<typeof chroma.readCall> {
  return chroma.readCall(inboundOf(call))
}

/** `allowed`, or the kind of the refusal. */
export function outcome(call: Call): string {
  const result = read(call)
  return result.ok ? 'allowed' : result.reason.kind
}
