/** Floats of a protobuf message: copied as bytes, never a number object for each. */
import { fail } from './json-reader.ts'
import type { FieldSpec } from './protobuf-fields.ts'
import { type ProtoReader, readLength, readVarint } from './protobuf-reader.ts'

if (new Uint8Array(Uint16Array.of(1).buffer)[0] !== 1) throw new Error('vectors are read in place, which needs a little-endian machine')

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
  const raw = packed ? readPacked(reader, field, size) : readRun(reader, field, size)
  if (size === 8) return finite(new Float64Array(raw), field.name)
  return finite(new Float32Array(raw), field.name)
}

function readPacked(reader: ProtoReader, { name }: FieldSpec, size: number): ArrayBuffer {
  const length = readLength(reader, name)
  if (length % size !== 0) fail('call-unreadable', `${name} is no whole number of values`)
  const start = reader.at
  reader.at += length
  return copyOf(reader.bytes, start, reader.at)
}

/** Values with a tag before each, as encoders without packing write them. */
function readRun(reader: ProtoReader, { number, kind, name }: FieldSpec, size: number): ArrayBuffer {
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
  return pieces.buffer.slice(0, length)
}

function copyOf(bytes: Uint8Array, start: number, end: number): ArrayBuffer {
  const copy = new ArrayBuffer(end - start)
  new Uint8Array(copy).set(bytes.subarray(start, end))
  return copy
}

/** 0 × x is 0 for a number, and NaN for NaN and the infinities. */
function finite<A extends Float32Array | Float64Array>(values: A, name: string): A {
  let sum = 0
  for (let index = 0; index < values.length; index++) sum += 0 * (values[index] as number)
  if (sum !== 0) fail('call-unreadable', `${name} has a component that is not finite`)
  return values
}
