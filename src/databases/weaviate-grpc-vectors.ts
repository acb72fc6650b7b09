/** Vectors in gRPC messages: little-endian float32, and several of them behind a dimension (usecases/byteops of the server). */
import { VECTOR_DIMENSIONS_MAX, VECTORS_MAX } from '../core/limits.ts'
import type { Shape } from '../core/vector-call.ts'
import { fail } from './json-reader.ts'
import { longest } from './weaviate-facts.ts'
import type { Hybrid, NearVector, Vectors } from './weaviate-grpc-tables.ts'
import { checkUuid } from './weaviate-names.ts'

const MULTI = 2
const FLOAT_BYTES = 4
/** The dimension before a multi-vector: uint16, little-endian. */
const DIMENSION_BYTES = 2

/** Vectors of queries, and how many of them are one query: several for a multi-vector. */
export interface Queried {
  readonly vectors: Float32Array[]
  readonly rows: number[]
}

export function nothingQueried(): Queried {
  return { vectors: [], rows: [] }
}

/** What a call's queries come to in its shape. */
export function queriedShape({ vectors, rows }: Queried): Pick<Shape, 'dimensions' | 'vectors' | 'rows'> {
  return { dimensions: longest(vectors), vectors, ...(rows.some((count) => count > 1) ? { rows } : {}) }
}

/** However many rows it has. */
function oneQuery({ vectors, rows }: Queried, read: (into: Float32Array[]) => void): void {
  const before = vectors.length
  read(vectors)
  rows.push(vectors.length - before)
}

/** @returns the similarity queries that the message asks, their vectors in `into` */
export function readNearVector(near: NearVector, into: Queried): number {
  const { vector, vector_bytes, vectors = [], vector_per_target, vector_for_targets = [] } = near
  // The server takes the first form that is there, and forgets the others.
  const forms = [vector, vector_bytes, vectors, vector_per_target, vector_for_targets].filter((form) => sizeOf(form) > 0).length
  if (forms === 0) fail('call-unreadable', 'a near_vector without a vector')
  if (forms > 1) fail('call-ambiguous', 'a near_vector in two forms', 'Send the vector once: in vectors.')
  const before = into.rows.length
  if (vector_per_target !== undefined)
    for (const one of vector_per_target.values()) oneQuery(into, (vectors) => push(vectors, floatsOf(one)))
  for (const one of vector_for_targets) readForTarget(one.vector_bytes, one.vectors ?? [], into)
  if (sizeOf(vector_per_target) > 0 || vector_for_targets.length > 0) return into.rows.length - before
  readOne(vector, vector_bytes, vectors, into)
  // One vector may be asked of several named vectors of a class.
  return Math.max(1, near.targets?.target_vectors?.length ?? 0, near.target_vectors?.length ?? 0)
}

function readForTarget(bytes: Uint8Array | undefined, vectors: readonly Vectors[], into: Queried): void {
  if (sizeOf(bytes) > 0 === vectors.length > 0) fail('call-ambiguous', 'a vector for a target in two forms, or in none')
  if (vectors.length === 0) oneQuery(into, (rows) => push(rows, floatsOf(bytes as Uint8Array)))
  for (const one of vectors) oneQuery(into, (rows) => readVectors(one, rows))
}

/** The three forms of one vector, one of which is there. */
function readOne(vector: Float32Array | undefined, bytes: Uint8Array | undefined, vectors: readonly Vectors[], into: Queried): void {
  if (vectors.length > 1) fail('call-unreadable', 'more vectors than one in a query')
  const [first] = vectors
  if (first !== undefined) oneQuery(into, (rows) => readVectors(first, rows))
  else if (sizeOf(bytes) > 0) oneQuery(into, (rows) => push(rows, floatsOf(bytes as Uint8Array)))
  else if (vector !== undefined) oneQuery(into, (rows) => push(rows, plain(vector)))
}

/** A hybrid search: by words, and by a vector if there is one. */
export function readHybrid(hybrid: Hybrid, into: Queried): number {
  const { near_text, near_vector, vector, vector_bytes, vectors = [], alpha = 0 } = hybrid
  if (near_text !== undefined) asksModule('near_text')
  const forms = [vector, vector_bytes, vectors].filter((form) => sizeOf(form) > 0).length + (near_vector === undefined ? 0 : 1)
  if (forms > 1) fail('call-ambiguous', 'a hybrid search with two vectors', 'Send the vector of a hybrid search once: in vectors.')
  if (near_vector !== undefined) return readNearVector(near_vector, into)
  // A module of the server would make the vector out of the words, where nobody sees it.
  if (forms === 0 && alpha !== 0)
    fail('operation-unknown', 'a hybrid search without a vector', 'Send the query vector with a hybrid search, or set alpha to 0.')
  readOne(vector, vector_bytes, vectors, into)
  return Math.max(1, hybrid.targets?.target_vectors?.length ?? 0, hybrid.target_vectors?.length ?? 0)
}

/** @param name the field, for the record */
export function asksModule(name: string): never {
  return fail('operation-unknown', `${name} asks a module of the server`, 'Bring your own query vector: near_vector.')
}

/** A near_object: the vector is the one that an object of the same class and tenant has. */
export function readNearObject(id: string | undefined, targets: number): number {
  checkUuid(id ?? '')
  return Math.max(1, targets)
}

/** One vector or the several of one record. */
export function readVectors({ type, vector_bytes = new Uint8Array() }: Vectors, into: Float32Array[]): void {
  if (type !== MULTI) {
    push(into, floatsOf(vector_bytes))
    return
  }
  if (vector_bytes.length <= DIMENSION_BYTES) fail('call-unreadable', 'a multi-vector without vectors')
  const size = ((vector_bytes[0] as number) + (vector_bytes[1] as number) * 256) * FLOAT_BYTES
  const bytes = vector_bytes.subarray(DIMENSION_BYTES)
  if (size === 0 || bytes.length % size !== 0) fail('call-unreadable', 'a multi-vector that is no whole number of vectors')
  if (bytes.length / size > VECTORS_MAX) fail('call-too-large', `a multi-vector of more than ${VECTORS_MAX} vectors`)
  for (let at = 0; at < bytes.length; at += size) push(into, floatsOf(bytes.subarray(at, at + size)))
}

/** Asked of each vector and not at the end: a vector of one component takes a hundred times the memory that it has in the message. */
export function push(into: Float32Array[], vector: Float32Array): void {
  if (into.length === VECTORS_MAX) fail('call-too-large', `more than ${VECTORS_MAX} vectors`)
  into.push(vector)
}

/** Copied out of the body, which may begin anywhere. */
export function floatsOf(bytes: Uint8Array): Float32Array {
  if (bytes.length === 0 || bytes.length % FLOAT_BYTES !== 0) fail('call-unreadable', 'a vector that is no whole number of float32 values')
  const copy = new Uint8Array(bytes.length)
  copy.set(bytes)
  return plain(new Float32Array(copy.buffer))
}

/** 0 × x is 0 for a number, and NaN for NaN and the infinities. */
export function plain(vector: Float32Array): Float32Array {
  if (vector.length > VECTOR_DIMENSIONS_MAX) fail('call-too-large', `a vector of more than ${VECTOR_DIMENSIONS_MAX} components`)
  let sum = 0
  for (let index = 0; index < vector.length; index++) sum += 0 * (vector[index] as number)
  if (sum !== 0) fail('call-unreadable', 'a vector with a component that is not finite')
  return vector
}

export function sizeOf(form: { readonly length: number } | { readonly size: number } | undefined): number {
  if (form === undefined) return 0
  return 'size' in form ? form.size : form.length
}
