/** The parts of Qdrant's gRPC messages as a call's reach sees them. */
import { accept, type Result } from '../core/deny-reason.ts'
import { VECTORS_MAX } from '../core/limits.ts'
import { fail, isRefused } from './json-reader.ts'
import { readProto } from './protobuf.ts'
import type { MessageTable } from './protobuf-fields.ts'
import { shardsOf } from './qdrant-fields.ts'
import type { Filter, ShardSelector, WithVectors } from './qdrant-messages.ts'
import { checkCollection } from './qdrant-names.ts'
import { conjunction, holds, type Pins } from './qdrant-pins.ts'
import { ALL_SHARDS, addNamedVectors, type Reach, type Shards } from './qdrant-reach.ts'
import type { StoredVector, StoredVectors } from './qdrant-vector-messages.ts'
import { refuseInference } from './qdrant-vectors.ts'

/** Reads a message into a reach. @returns the collection that it names */
export type Rpc = (bytes: Uint8Array, reach: Reach) => Result<string | undefined>

/** An RPC that names a collection. */
export function rpc<T extends { readonly collection_name: string | undefined }>(
  message: MessageTable<T>,
  read: (message: T, reach: Reach) => void
): Rpc {
  return (bytes, reach) => {
    const parsed = readProto(bytes, message)
    if (!parsed.ok) return parsed
    try {
      const collection = collectionOf(parsed.value.collection_name)
      read(parsed.value, reach)
      return accept(collection)
    } catch (cause) {
      if (isRefused(cause)) return cause
      throw cause
    }
  }
}

/** An RPC that names none. */
export function rpcOf(message: MessageTable<unknown>): Rpc {
  return (bytes) => {
    const parsed = readProto(bytes, message)
    return parsed.ok ? accept(undefined) : parsed
  }
}

export function collectionOf(name: string | undefined): string {
  const fault = checkCollection(name ?? '')
  if (fault !== undefined) fail(fault.reason.kind, fault.reason.because, fault.reason.remedy)
  return name ?? ''
}

export function filterPins({ must = [] }: Filter): Pins {
  const conditions = conjunction()
  for (const { field } of must) {
    if (field?.key === undefined || field.match?.keyword === undefined) continue
    // A second check in the condition could let other values pass.
    if (Object.keys(field).length === 2) holds(conditions, field.key, field.match.keyword)
  }
  return conditions.pins
}

export function selectedShards(selector: ShardSelector | undefined): Shards {
  if (selector === undefined) return ALL_SHARDS
  const { shard_keys = [], fallback } = selector
  const all = fallback === undefined ? shard_keys : [...shard_keys, fallback]
  const found = all.flatMap(({ keyword }) => keyword ?? [])
  return shardsOf(found, found.length < all.length)
}

export function vectorsOut(selector: WithVectors | undefined): boolean {
  return selector?.enable === true || (selector?.include?.names ?? []).length > 0
}

interface Row {
  readonly data: Float32Array | undefined
}

export function pushRow(into: Float32Array[], { data }: Row): void {
  if (data === undefined) fail('call-unreadable', 'a vector has no components')
  into.push(data)
}

export function pushRows(into: Float32Array[], rows: readonly Row[]): void {
  for (const row of rows) pushRow(into, row)
}

interface SparseMessage {
  readonly values: Float32Array | undefined
  readonly indices: readonly number[] | undefined
}

export function checkSparseMessage({ values, indices }: SparseMessage): void {
  if ((values?.length ?? 0) !== (indices?.length ?? 0)) fail('call-unreadable', 'a sparse vector has not as many indices as values')
}

/** A stored vector, or one given as an example in the older calls. */
export function pushStored(into: Float32Array[], vector: StoredVector): void {
  const { data, indices, vectors_count, dense, sparse, multi_dense, document, image, object } = vector
  if (document !== undefined || image !== undefined || object !== undefined) refuseInference()
  const older = data !== undefined || indices !== undefined || vectors_count !== undefined
  if (older && (dense !== undefined || sparse !== undefined || multi_dense !== undefined))
    fail('call-ambiguous', 'a vector is written in the older fields and in the newer ones', 'Write each vector once.')
  if (dense !== undefined) pushRow(into, dense)
  else if (sparse !== undefined) checkSparseMessage(sparse)
  else if (multi_dense !== undefined) pushRows(into, multi_dense.vectors ?? [])
  else if (indices !== undefined) checkSparseMessage({ values: data, indices: indices.data })
  else if (data === undefined) fail('call-unreadable', 'a vector has no components')
  else pushFlat(into, data, vectors_count ?? 1)
}

/** The rows of a multi-vector, one behind the other. */
function pushFlat(into: Float32Array[], data: Float32Array, rows: number): void {
  const length = data.length / rows
  if (!Number.isInteger(length) || length === 0) fail('call-unreadable', 'a multi-vector is no whole number of rows')
  if (rows > VECTORS_MAX) fail('call-too-large', `more than ${VECTORS_MAX} vectors`)
  for (let row = 0; row < rows; row++) into.push(data.slice(row * length, (row + 1) * length))
}

export function addStoredVectors(reach: Reach, vectors: StoredVectors | undefined): void {
  const named = vectors?.vector === undefined ? [...(vectors?.vectors?.vectors ?? [])] : ([['', vectors.vector]] as const)
  const read = named.map(([name, vector]) => {
    const into: Float32Array[] = []
    pushStored(into, vector)
    return [name, into] as const
  })
  addNamedVectors(reach, read)
}
