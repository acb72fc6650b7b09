/** Floats of a protobuf message: copied as bytes, never a number object for each. */
import { VECTORS_MAX } from '../core/limits.ts'
import { fail } from './json-reader.ts'
import type { FieldSpec } from './protobuf-fields.ts'
import { type ProtoReader, readLength, readVarint } from './protobuf-reader.ts'

if (new Uint8Array(Uint16Array.of(1).buffer)[0] !== 1) throw new Error('vectors are read in place, which needs a little-endian machine')

/** Four for each of the most records of a call: vectors, values of sparse ones, and numbers of the records themselves. */
export const FLOAT_LISTS_MAX = 4 * VECTORS_MAX

/** Reads a singular `float` or `double`; finite only. */
export function readNumber(reader: ProtoReader, { kind, name }: FieldSpec): number {
  const size = kind === 'float' ? 4 : 8
  if (reader.end - reader.at < size) fail('call-unreadable', `${name} is cut off`)
  const value = kind === 'float' ? reader.view.getFloat32(reader.at, true) : reader.view.getFloat64(reader.at, true)
  reader.at += size
  if (!Number.isFinite(value)) fail('call-unreadable', `${name} is not a finite number`)
  return value
}

/** Reads a packed field, or the run of single ones that begins here; the tag of the first has been read. */
export function readFloats(reader: ProtoReader, field: FieldSpec, packed: boolean): Float32Array | Float64Array {
  const size = field.kind === 'float' ? 4 : 8
  // A list of one takes some fifty times the memory that it has in the message.
  if (--reader.floats < 0) fail('call-too-large', `more than ${FLOAT_LISTS_MAX} lists of numbers`)
  const raw = packed ? readPacked(reader, field, size) : readRun(reader, field, size)
  const values = size === 4 ? new Float32Array(raw.length / 4) : new Float64Array(raw.length / 8)
  new Uint8Array(values.buffer).set(raw)
  if (!allFinite(values)) fail('call-unreadable', `${field.name} has a component that is not finite`)
  return values
}

function readPacked(reader: ProtoReader, { name }: FieldSpec, size: number): Uint8Array {
  const length = readLength(reader, name)
  if (length % size !== 0) fail('call-unreadable', `${name} is no whole number of values`)
  const start = reader.at
  reader.at += length
  return reader.bytes.subarray(start, reader.at)
}

/** Values with a tag before each, as encoders without packing write them. */
function readRun(reader: ProtoReader, { number, kind, name }: FieldSpec, size: number): Uint8Array {
  const tag = number * 8 + (kind === 'float' ? 5 : 1)
  const pieces = new Uint8Array(reader.end - reader.at)
  let length = 0
  for (;;) {
    if (reader.end - reader.at < size) fail('call-unreadable', `${name} is cut off`)
    pieces.set(reader.bytes.subarray(reader.at, reader.at + size), length)
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
  return pieces.subarray(0, length)
}

/** 0 × x is 0 for a number, and NaN for NaN and the infinities. Four sums, so that none waits for the one before. */
export function allFinite(values: Float32Array | Float64Array): boolean {
  const whole = values.length & ~3
  let [first, second, third, fourth] = [0, 0, 0, 0]
  for (let index = 0; index < whole; index += 4) {
    first += 0 * (values[index] as number)
    second += 0 * (values[index + 1] as number)
    third += 0 * (values[index + 2] as number)
    fourth += 0 * (values[index + 3] as number)
  }
  for (let index = whole; index < values.length; index++) first += 0 * (values[index] as number)
  return first + second + third + fourth === 0
}
