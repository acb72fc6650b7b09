/** Floats of a protobuf message: copied as bytes, never a number object for each. */
import { Buffer } from 'node:buffer'
import { VECTORS_MAX } from '../core/limits.ts'
import { fail } from './json-reader.ts'
import type { TableField } from './protobuf-fields.ts'
import { type ProtoReader, readLength, readVarint } from './protobuf-reader.ts'
import { copyFloats } from './vector-memory.ts'

if (new Uint8Array(Uint16Array.of(1).buffer)[0] !== 1) throw new Error('vectors are read in place, which needs a little-endian machine')

/** Four for each of the most records of a call: vectors, values of sparse ones, and numbers of the records themselves. */
export const FLOAT_LISTS_MAX = 4 * VECTORS_MAX

/** Reads a singular `float` or `double`; finite only. */
export function readNumber(reader: ProtoReader, { kind, name }: TableField): number {
  const size = kind === 'float' ? 4 : 8
  if (reader.end - reader.at < size) fail('call-unreadable', `${name} is cut off`)
  const value = kind === 'float' ? reader.bytes.readFloatLE(reader.at) : reader.bytes.readDoubleLE(reader.at)
  reader.at += size
  if (!Number.isFinite(value)) fail('call-unreadable', `${name} is not a finite number`)
  return value
}

/** Reads a packed field, or the run of single ones that begins here; the tag of the first has been read. */
export function readFloats(reader: ProtoReader, field: TableField, packed: boolean): Float32Array | Float64Array {
  const size = field.kind === 'float' ? 4 : 8
  // A list of one takes some fifty times the memory that it has in the message.
  if (--reader.floats < 0) fail('call-too-large', `more than ${FLOAT_LISTS_MAX} lists of numbers`)
  const values = packed ? readPacked(reader, field, size) : readRun(reader, field, size)
  const finite = values instanceof Float32Array ? allFinite(values) : allFiniteDoubles(values)
  if (!finite) fail('call-unreadable', `${field.name} has a component that is not finite`)
  return values
}

function readPacked(reader: ProtoReader, { name }: TableField, size: number): Float32Array | Float64Array {
  const length = readLength(reader, name)
  if (length % size !== 0) fail('call-unreadable', `${name} is no whole number of values`)
  reader.at += length
  return copied(reader.bytes, reader.at - length, length, size)
}

/** Values with a tag before each, as encoders without packing write them. */
function readRun(reader: ProtoReader, { number, kind, name }: TableField, size: number): Float32Array | Float64Array {
  const tag = number * 8 + (kind === 'float' ? 5 : 1)
  const pieces = Buffer.allocUnsafe(reader.end - reader.at)
  let length = 0
  for (;;) {
    if (reader.end - reader.at < size) fail('call-unreadable', `${name} is cut off`)
    reader.bytes.copy(pieces, length, reader.at, reader.at + size)
    length += size
    reader.at += size
    if (reader.at === reader.end) break
    const before = reader.at
    readVarint(reader, name)
    if (reader.high !== 0 || reader.low >>> 0 !== tag) {
      reader.at = before
      break
    }
  }
  return copied(pieces, 0, length, size)
}

function copied(bytes: Buffer, start: number, length: number, size: number): Float32Array | Float64Array {
  if (size === 4) return copyFloats(bytes, start, length)
  const doubles = new Float64Array(length / 8)
  bytes.copy(Buffer.from(doubles.buffer), 0, start, start + length)
  return doubles
}

/**
 * A sum of doubles that are float32 is finite when all of them are: it takes 2^896 of the largest to reach the largest double. Four
 * sums, so that none waits for the one before.
 */
export function allFinite(values: Float32Array): boolean {
  const whole = values.length & ~7
  let [first, second, third, fourth] = [0, 0, 0, 0]
  for (let index = 0; index < whole; index += 8) {
    first += (values[index] as number) + (values[index + 1] as number)
    second += (values[index + 2] as number) + (values[index + 3] as number)
    third += (values[index + 4] as number) + (values[index + 5] as number)
    fourth += (values[index + 6] as number) + (values[index + 7] as number)
  }
  for (let index = whole; index < values.length; index++) first += values[index] as number
  return Number.isFinite(first + second + third + fourth)
}

/** 0 × x is 0 for a number, and NaN for NaN and the infinities. */
function allFiniteDoubles(values: Float64Array): boolean {
  let sum = 0
  for (const value of values) sum += 0 * value
  return sum === 0
}
