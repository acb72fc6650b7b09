/** Vectors as Milvus has them on the wire: little-endian components, one query or row after the other. */
import { isUtf8 } from 'node:buffer'
import { VECTOR_DIMENSIONS_MAX, VECTORS_MAX } from '../core/limits.ts'
import { fail } from './json-reader.ts'
import { PLACEHOLDER_GROUP } from './milvus-messages.ts'
import { read } from './milvus-place.ts'
import { allFinite } from './protobuf-floats.ts'

export interface Queries {
  readonly count: number
  /** The dense ones; none for binary, sparse and text queries, and for embedding lists, whose cuts the call does not tell. */
  readonly vectors: readonly Float32Array[]
  readonly dimensions: number
}

type Decode = (bytes: Uint8Array, what: string) => Float32Array

/** common.proto, PlaceholderType: numbers of dense types to what reads them. */
const DENSE: Readonly<Record<number, Decode>> = { 101: float32, 102: float16, 103: bfloat16, 105: int8 }
const BINARY = 100
const SPARSE = 104
const TEXT = 21
/** 300 added to the type of the vectors in the list. */
const LISTS: Readonly<Record<number, Decode | undefined>> = { 300: undefined, 301: float32, 302: float16, 303: bfloat16, 305: int8 }

/** Reads `placeholder_group`: one placeholder, a value for each query. */
export function readQueries(bytes: Uint8Array): Queries {
  const { placeholders = [] } = read(bytes, PLACEHOLDER_GROUP)
  const [placeholder] = placeholders
  // Milvus Lite takes the first of several, the server counts them all.
  if (placeholder === undefined || placeholders.length > 1) fail('call-ambiguous', 'placeholder_group has not exactly one placeholder')
  const { type = 0, values = [] } = placeholder
  if (values.length === 0) fail('call-unreadable', 'placeholder_group has no queries')
  if (values.length > VECTORS_MAX) fail('call-too-large', `more than ${VECTORS_MAX} queries`)
  const decode = DENSE[type]
  if (decode !== undefined) {
    const vectors = values.map((value) => decode(value, 'a query vector'))
    return { count: values.length, vectors, dimensions: Math.max(...vectors.map((vector) => vector.length)) }
  }
  for (const value of values) checkOther(type, value)
  return { count: values.length, vectors: [], dimensions: type === BINARY ? Math.max(...values.map((value) => value.length * 8)) : 0 }
}

function checkOther(type: number, value: Uint8Array): void {
  if (type === TEXT) {
    if (!isUtf8(value)) fail('call-unreadable', 'a query text is not UTF-8')
  } else if (type === SPARSE) checkSparse(value)
  else if (type === BINARY || type in LISTS) {
    if (value.length === 0) fail('call-unreadable', 'a query vector is empty')
    // However many vectors it is, every component must be a number.
    if (LISTS[type] !== undefined) for (const piece of pieces(value)) LISTS[type](piece, 'an embedding list')
  } else fail('call-unreadable', `a placeholder of the unknown type ${type}`)
}

/** At most as many bytes at once as the longest vector has. */
function* pieces(value: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < value.length; at += VECTOR_DIMENSIONS_MAX) yield value.subarray(at, at + VECTOR_DIMENSIONS_MAX)
}

/** A sparse vector: `uint32` index and `float` weight in turn. */
export function checkSparse(bytes: Uint8Array): void {
  if (bytes.length % 8 !== 0) fail('call-unreadable', 'a sparse vector is no whole number of entries')
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  for (let at = 4; at < bytes.length; at += 8) {
    if (!Number.isFinite(view.getFloat32(at, true))) fail('call-unreadable', 'a sparse vector has a weight that is not finite')
  }
}

export function float32(bytes: Uint8Array, what: string): Float32Array {
  const vector = new Float32Array(lengthOf(bytes, 4, what))
  new Uint8Array(vector.buffer).set(bytes)
  return finite(vector, what)
}

/** IEEE 754 binary16: 1 bit of sign, 5 of exponent, 10 of fraction. */
export function float16(bytes: Uint8Array, what: string): Float32Array {
  const vector = new Float32Array(lengthOf(bytes, 2, what))
  for (let index = 0; index < vector.length; index++) {
    const bits = (bytes[index * 2] as number) | ((bytes[index * 2 + 1] as number) << 8)
    const exponent = (bits >> 10) & 31
    const fraction = bits & 1023
    const size = exponent === 0 ? fraction * 2 ** -24 : exponent === 31 ? Number.NaN : (1024 + fraction) * 2 ** (exponent - 25)
    vector[index] = bits & 0x8000 ? -size : size
  }
  return finite(vector, what)
}

/** The upper half of a float32. */
export function bfloat16(bytes: Uint8Array, what: string): Float32Array {
  const vector = new Float32Array(lengthOf(bytes, 2, what))
  const whole = new Uint8Array(vector.buffer)
  for (let index = 0; index < vector.length; index++) {
    whole[index * 4 + 2] = bytes[index * 2] as number
    whole[index * 4 + 3] = bytes[index * 2 + 1] as number
  }
  return finite(vector, what)
}

export function int8(bytes: Uint8Array, what: string): Float32Array {
  lengthOf(bytes, 1, what)
  return Float32Array.from(new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length))
}

function lengthOf(bytes: Uint8Array, size: number, what: string): number {
  const length = bytes.length / size
  if (length === 0 || !Number.isInteger(length)) fail('call-unreadable', `${what} is no whole number of components`)
  if (length > VECTOR_DIMENSIONS_MAX) fail('call-too-large', `${what} has more than ${VECTOR_DIMENSIONS_MAX} components`)
  return length
}

function finite(vector: Float32Array, what: string): Float32Array {
  if (!allFinite(vector)) fail('call-unreadable', `${what} has a component that is not finite`)
  return vector
}
