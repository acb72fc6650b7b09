import type { Result } from '../../src/core/deny-reason.ts'
import type { Inbound } from '../../src/core/inbound.ts'
import type { VectorCall } from '../../src/core/vector-call.ts'
import { milvus } from '../../src/databases/milvus.ts'
import { chunk, floatBytes, frame, number } from './protobuf-write.ts'

export const SERVICE = '/milvus.proto.milvus.MilvusService'

export interface Call {
  /** RPC of MilvusService, or a whole path. */
  readonly rpc?: string
  readonly message?: Uint8Array | readonly Uint8Array[]
  /** Instead of a message in its frame. */
  readonly body?: Uint8Array
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
}

/** What Envoy would hand over for the call. */
export function inboundOf({ rpc = 'Search', message = [], body, method = 'POST', headers = {} }: Call): Inbound {
  const bytes = message instanceof Uint8Array ? message : Buffer.concat(message)
  return {
    method,
    target: rpc.startsWith('/') ? rpc : `${SERVICE}/${rpc}`,
    authority: 'milvus.test',
    headers: new Map(Object.entries({ 'content-type': 'application/grpc', ...headers })),
    body: body ?? frame(bytes),
    peerCertificate: undefined,
    peerPrincipal: undefined,
    httpId: 'one',
    strippedCredentials: [],
    grpc: true
  }
}

export function read(call: Call): Result<VectorCall> {
  return milvus.readCall(inboundOf(call))
}

/** `allowed`, or the kind of the refusal. */
export function outcome(call: Call): string {
  const result = read(call)
  return result.ok ? 'allowed' : result.reason.kind
}

/** The call as read; a refusal is a fault of the test. */
export function reading(call: Call): VectorCall {
  const result = read(call)
  if (!result.ok) throw new Error(`${result.reason.kind}: ${result.reason.because}`)
  return result.value
}

export const pair = (field: number, key: string, value: string) => chunk(field, [chunk(1, key), chunk(2, value)])
export const named = (name = 'docs') => chunk(3, name)

/** `placeholder_group` of dense float vectors. */
export const group = (vectors: readonly (readonly number[])[], type = 101) =>
  chunk(1, [chunk(1, '$0'), number(2, type), ...vectors.map((vector) => chunk(3, floatBytes(vector)))])

/** A search for one vector, whose filter is the first argument; further parts come behind. */
export const search = (filter: string, ...more: readonly Uint8Array[]): Buffer =>
  Buffer.concat([
    named(),
    chunk(5, filter),
    chunk(6, group([[0.5, -1]])),
    number(7, 1),
    pair(9, 'anns_field', 'embedding'),
    pair(9, 'topk', '10'),
    pair(9, 'params', '{"nprobe":8}'),
    ...more
  ])

/** A column of text for an insert. */
export const column = (name: string, values: readonly string[], type = 21, ...more: readonly Uint8Array[]) =>
  chunk(5, [
    number(1, type),
    chunk(2, name),
    chunk(
      3,
      chunk(
        6,
        values.map((value) => chunk(1, value))
      )
    ),
    ...more
  ])

/** A column of vectors of two components. */
export const vectorColumn = (rows: number, name = 'embedding') =>
  chunk(5, [number(1, 101), chunk(2, name), chunk(4, [number(1, 2), chunk(2, chunk(1, floatBytes(Array<number>(rows * 2).fill(0.5))))])])

export const dynamicColumn = (objects: readonly string[]) =>
  chunk(5, [
    number(1, 23),
    chunk(
      3,
      chunk(
        9,
        objects.map((object) => chunk(1, object))
      )
    ),
    number(6, 1)
  ])

export const rows = (count: number, ...columns: readonly Uint8Array[]): Buffer => Buffer.concat([named(), ...columns, number(7, count)])

/** What the first target proves, as plain values. */
export function bounds(call: Call): {
  readonly pins: Record<string, string>
  readonly shards: readonly string[] | undefined
  readonly unpinned: boolean
  readonly unsharded: boolean
} {
  const found = reading(call).targets[0]?.bounds
  if (found === undefined) throw new Error('the target has no bounds')
  return {
    pins: Object.fromEntries(found.pins),
    shards: found.shards,
    unpinned: found.unpinned !== undefined,
    unsharded: found.unsharded !== undefined
  }
}
