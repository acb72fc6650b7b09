import type { Inbound } from '../../src/core/inbound.ts'
import { weaviate } from '../../src/databases/weaviate.ts'
import { frame } from './protobuf-write.ts'

export const ID = '00000000-0000-4000-8000-000000000001'
export const OBJECT = `/v1/objects/Doc/${ID}`
export const RPC = '/weaviate.v1.Weaviate'

export interface Call {
  readonly method?: string
  readonly target?: string
  /** Text, bytes, or a value to be written as JSON; undefined is no body. */
  readonly body?: unknown
  /** A gRPC message: framed, and sent as one. */
  readonly message?: Uint8Array
  /** Over the usual ones; undefined takes one away. */
  readonly headers?: Readonly<Record<string, string | undefined>>
}

/** What Envoy would hand over for the call. */
export function inboundOf({ method = 'POST', target = '/v1/objects', body, message, headers = {} }: Call): Inbound {
  const bytes =
    message !== undefined
      ? frame(message)
      : body === undefined || body instanceof Uint8Array
        ? body
        : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
  const type = message === undefined ? 'application/json' : 'application/grpc'
  const all = new Map<string, string>(bytes === undefined ? [] : [['content-type', type]])
  for (const [name, value] of Object.entries(headers)) value === undefined ? all.delete(name) : all.set(name, value)
  return {
    method,
    target,
    authority: 'weaviate.test',
    headers: all,
    body: bytes,
    peerCertificate: undefined,
    peerPrincipal: undefined,
    httpId: 'one',
    strippedCredentials: [],
    grpc: message !== undefined
  }
}

export function read(call: Call): ReturnType<typeof weaviate.readCall> {
  return weaviate.readCall(inboundOf(call))
}

/** `allowed`, or the kind of the refusal. */
export function outcome(call: Call): string {
  const result = read(call)
  return result.ok ? 'allowed' : result.reason.kind
}

/** Every place the call touches, as `tenant/Class`; `-` is no tenant, `*` every class. */
export function places(call: Call): readonly string[] {
  const result = read(call)
  if (!result.ok) return [result.reason.kind]
  return result.value.targets.map(({ tenant, collection }) => {
    const whose = tenant.kind === 'none' ? '-' : tenant.tenant
    return `${whose}/${collection.kind === 'name' ? collection.name : '*'}`
  })
}
