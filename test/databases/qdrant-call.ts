import type { Inbound } from '../../src/core/inbound.ts'
import type { Bounds } from '../../src/core/vector-call.ts'
import { qdrant } from '../../src/databases/qdrant.ts'
import { frame } from './protobuf-write.ts'

export const C = '/collections/docs'
export const POINTS = `${C}/points`

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
export function inboundOf({ method = 'POST', target = `${POINTS}/query`, body, message, headers = {} }: Call): Inbound {
  const bytes =
    message !== undefined
      ? frame(message)
      : body === undefined || body instanceof Uint8Array
        ? body
        : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
  const type = message === undefined ? 'application/json' : 'application/grpc+proto'
  const all = new Map<string, string>(bytes === undefined ? [] : [['content-type', type]])
  for (const [name, value] of Object.entries(headers)) value === undefined ? all.delete(name) : all.set(name, value)
  return {
    method,
    target,
    authority: 'qdrant.test',
    headers: all,
    body: bytes,
    peerCertificate: undefined,
    peerPrincipal: undefined,
    httpId: 'one',
    strippedCredentials: [],
    grpc: message !== undefined
  }
}

export function read(call: Call): ReturnType<typeof qdrant.readCall> {
  return qdrant.readCall(inboundOf(call))
}

/** `allowed`, or the kind of the refusal. */
export function outcome(call: Call): string {
  const result = read(call)
  return result.ok ? 'allowed' : result.reason.kind
}

/** What the grant asks in filter mode, of one target: the field's value, or why it has none. */
export function pinned({ pins, unpinned, changes }: Bounds, field = 'tenant_id'): string {
  if (unpinned !== undefined) return 'unpinned'
  if (changes.includes('*') || changes.includes(field)) return 'changed'
  return pins.get(field) ?? 'not named'
}

/** For every target with bounds: the tenant that a filter proves, or why there is none. `docs=acme other=unpinned`. */
export function filterMode(call: Call, field = 'tenant_id'): string {
  return ofTargets(call, (bounds) => pinned(bounds, field))
}

/** The same for shards: `docs=acme`, `docs=all`, `docs=unsharded`. */
export function shardMode(call: Call): string {
  return ofTargets(call, ({ shards, unsharded }) => (unsharded !== undefined ? 'unsharded' : (shards?.join('+') ?? 'all')))
}

function ofTargets(call: Call, say: (bounds: Bounds) => string): string {
  const result = read(call)
  if (!result.ok) return result.reason.kind
  return result.value.targets
    .map(({ collection, bounds }) => {
      const name = collection.kind === 'name' ? collection.name : '*'
      return `${name}=${bounds === undefined ? 'all of it' : say(bounds)}`
    })
    .join(' ')
}
