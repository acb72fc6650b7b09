/**
 * A strict protobuf reader, directed by tables. Stricter than the encoding's specification wherever two servers, or a server and
 * this reader, could take one message for two: what is repeated though it is singular is refused (decoders merge or replace), and so
 * are unknown fields, wrong wire types, groups, long forms of a varint, numbers beyond their type and text that is not UTF-8.
 */
import { Buffer, isUtf8 } from 'node:buffer'
import { accept, type Result } from '../core/deny-reason.ts'
import { PROTO_DEPTH_MAX, PROTO_FIELDS_MAX } from '../core/limits.ts'
import { fail, isRefused } from './json-reader.ts'
import { type MessageTable, type ProtoMessage, type ProtoValue, type TableField, tableField, text } from './protobuf-fields.ts'
import { FLOAT_LISTS_MAX, readFloats, readNumber } from './protobuf-floats.ts'
import { enter, type ProtoReader, readLength, readVarint } from './protobuf-reader.ts'

/** A message that is still being put together. */
type Draft = { [name: string]: ProtoValue | undefined }

/** A message of a write lane is larger, and a batch of records has more fields. */
function fieldsMax(bytes: Uint8Array): number {
  return Math.max(PROTO_FIELDS_MAX, bytes.byteLength >> 3)
}

/** Reads a whole message or refuses it: `call-ambiguous` for repetitions, `call-unreadable` for what is malformed or unknown. */
export function readProto<T>(bytes: Uint8Array, table: MessageTable<T>): Result<T> {
  const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const { length } = buffer
  const reader: ProtoReader = {
    bytes: buffer,
    at: 0,
    end: length,
    low: 0,
    high: 0,
    depth: 0,
    left: fieldsMax(buffer),
    floats: FLOAT_LISTS_MAX
  }
  try {
    return accept(readMessage(reader, table) as T)
  } catch (cause) {
    if (isRefused(cause)) return cause
    throw cause
  }
}

/** Reads up to `reader.end`. */
function readMessage(reader: ProtoReader, table: MessageTable<unknown>): ProtoMessage {
  const message: Draft = {}
  const { fields } = table
  let groups = 0
  let seen = 0
  while (reader.at < reader.end) {
    const tag = readTag(reader, table)
    const field = fields[tag >>> 3]
    if (field === undefined) return unknown(tag >>> 3, table)
    if (--reader.left < 0) fail('call-too-large', `more than ${fieldsMax(reader.bytes)} fields`)
    if (field.group !== 0) {
      if ((groups & field.group) !== 0) twice(table, field, `a member of ${field.oneof}`)
      groups |= field.group
    }
    const wire = tag & 7
    const again = (seen & field.bit) !== 0
    seen |= field.bit
    if (field.repeated) readRepeated(reader, table, field, wire, message, again)
    else if (wire !== field.wire) wrongType(table, field, wire)
    else if (field.kind === 'map') readEntry(reader, table, field, message)
    else if (again) twice(table, field, 'a singular field')
    else message[field.name] = readValue(reader, table, field)
  }
  return message
}

/** @returns field number and wire type as they stand together in the tag */
function readTag(reader: ProtoReader, { name }: MessageTable<unknown>): number {
  const first = reader.bytes[reader.at] as number
  if (first < 0x80) {
    reader.at++
    if (first < 8) fail('call-unreadable', `${name} has a field number 0`)
    return first
  }
  readVarint(reader, name)
  // A field number has 29 bits.
  if (reader.high !== 0) fail('call-unreadable', `${name} has a field number out of range`)
  return reader.low >>> 0
}

function readRepeated(
  reader: ProtoReader,
  table: MessageTable<unknown>,
  field: TableField,
  wire: number,
  message: Draft,
  again: boolean
): void {
  const { name, kind, wire: single } = field
  if (wire !== single && (wire !== 2 || single === 2)) wrongType(table, field, wire)
  if (kind === 'float' || kind === 'double') {
    // Readers put pieces together, but no encoder makes any: a packed field is one piece, an unpacked one is one run.
    if (again) fail('call-ambiguous', `${table.name}.${name} comes in pieces`, 'Send a repeated number field in one piece.')
    message[name] = readFloats(reader, field, wire === 2)
    return
  }
  if (wire === single) {
    const value = readValue(reader, table, field)
    // Most have one element: a list that grows takes room for sixteen more.
    if (again) (message[name] as ProtoValue[]).push(value)
    else message[name] = [value]
    return
  }
  const list = (again ? message[name] : []) as ProtoValue[]
  message[name] = list
  const end = enter(reader, readLength(reader, name))
  while (reader.at < reader.end) {
    if (--reader.left < 0) fail('call-too-large', `more than ${fieldsMax(reader.bytes)} elements`)
    list.push(readValue(reader, table, field))
  }
  reader.end = end
}

function readValue(reader: ProtoReader, table: MessageTable<unknown>, field: TableField): ProtoValue {
  const { kind } = field
  switch (kind) {
    case 'message':
      return readNested(reader, field)
    case 'text':
      return readText(reader, table, field)
    case 'bytes': {
      const length = readLength(reader, field.name)
      reader.at += length
      return reader.bytes.subarray(reader.at - length, reader.at)
    }
    case 'map':
      return fail('internal', `${table.name}.${field.name}: a map within a map`)
    case 'float':
    case 'double':
      return readNumber(reader, field)
    default:
      return readInteger(reader, table, field)
  }
}

function readNested(reader: ProtoReader, field: TableField): ProtoMessage {
  const end = enter(reader, readLength(reader, field.name))
  if (++reader.depth > PROTO_DEPTH_MAX) fail('call-too-large', `messages are nested deeper than ${PROTO_DEPTH_MAX}`)
  field.table ??= (field.message as () => MessageTable<unknown>)()
  const value = readMessage(reader, field.table)
  reader.depth--
  reader.end = end
  return value
}

function readText(reader: ProtoReader, table: MessageTable<unknown>, { name }: TableField): string {
  const length = readLength(reader, name)
  const start = reader.at
  reader.at += length
  const ascii = length > SHORT_TEXT_BYTES ? undefined : readAscii(reader.bytes, start, reader.at)
  if (ascii !== undefined) return ascii
  const text = reader.bytes.toString('utf8', start, reader.at)
  // What is not UTF-8 comes out as U+FFFD, which may also have been written.
  if (text.includes('\ufffd') && !isUtf8(reader.bytes.subarray(start, reader.at)))
    fail('call-unreadable', `${table.name}.${name} is not UTF-8`)
  return text
}

/** Names of fields and tenants mostly: for those, the way into node's own decoder and back takes longer than to read them here. */
const SHORT_TEXT_BYTES = 24

/** @returns undefined where a byte is beyond ASCII */
function readAscii(bytes: Buffer, start: number, end: number): string | undefined {
  let text = ''
  let at = start
  for (; at + 4 <= end; at += 4) {
    const first = bytes[at] as number
    const second = bytes[at + 1] as number
    const third = bytes[at + 2] as number
    const fourth = bytes[at + 3] as number
    if ((first | second | third | fourth) > 0x7f) return undefined
    text += String.fromCharCode(first, second, third, fourth)
  }
  for (; at < end; at++) {
    const byte = bytes[at] as number
    if (byte > 0x7f) return undefined
    text += String.fromCharCode(byte)
  }
  return text
}

function readInteger(reader: ProtoReader, table: MessageTable<unknown>, { name, kind, allowed }: TableField): ProtoValue {
  readVarint(reader, name)
  const { low, high } = reader
  if (kind === 'bool') {
    if (high !== 0 || low >>> 0 > 1) fail('call-unreadable', `${table.name}.${name} is neither 0 nor 1`)
    return low === 1
  }
  if (kind === 'bigint') return (BigInt(high) << 32n) | BigInt(low >>> 0)
  const signed = high * 4294967296 + (low >>> 0)
  const value = kind === 'uint' ? (high >>> 0) * 4294967296 + (low >>> 0) : signed
  const fits =
    kind === 'uint32'
      ? high === 0
      : kind === 'int32' || kind === 'enumeration'
        ? high === low >> 31
        : value <= Number.MAX_SAFE_INTEGER && value >= Number.MIN_SAFE_INTEGER
  if (!fits) fail('call-unreadable', `${table.name}.${name} is out of range`)
  if (allowed !== undefined && !allowed.includes(value)) fail('call-unreadable', `${table.name}.${name} has the unknown value ${value}`)
  return value
}

/** One entry of a map: a message of a key and a value, either left out where it is the default (prost does). */
function readEntry(reader: ProtoReader, table: MessageTable<unknown>, field: TableField, message: Draft): void {
  const end = enter(reader, readLength(reader, field.name))
  const spec = field.value as TableField
  let key: string | undefined
  let value: ProtoValue | undefined
  while (reader.at < reader.end) {
    const tag = readTag(reader, table)
    const number = tag >>> 3
    if (number !== 1 && number !== 2) unknown(number, table)
    const part = number === 1 ? KEY : spec
    if ((tag & 7) !== part.wire) wrongType(table, field, tag & 7)
    if ((number === 1 ? key : value) !== undefined) twice(table, field, 'a part of an entry of')
    const read = readValue(reader, table, part)
    if (number === 1) key = read as string
    else value = read
  }
  reader.end = end
  const entries = (message[field.name] ?? new Map<string, ProtoValue>()) as Map<string, ProtoValue>
  message[field.name] = entries
  const name = key ?? ''
  if (entries.has(name)) fail('call-ambiguous', `${table.name}.${field.name} has a key twice`, 'Write each key of a map once.')
  entries.set(name, value ?? empty(spec))
}

const KEY = tableField(text(1, 'key'))

/** What proto3 says of a value that is not on the wire. */
function empty({ kind }: TableField): ProtoValue {
  if (kind === 'message') return {}
  if (kind === 'text') return ''
  if (kind === 'bytes') return new Uint8Array()
  if (kind === 'bool') return false
  return kind === 'bigint' ? 0n : 0
}

function unknown(number: number, { name }: MessageTable<unknown>): never {
  return fail('call-unreadable', `${name} has the unknown field ${number}`, `Leave out field ${number} of ${name}.`)
}

function twice({ name }: MessageTable<unknown>, field: TableField, what: string): never {
  return fail('call-ambiguous', `${what} stands twice in ${name}: ${field.name}`, `Send ${name} with each singular field once.`)
}

function wrongType({ name }: MessageTable<unknown>, field: TableField, wire: number): never {
  return fail('call-unreadable', `${name}.${field.name} has wire type ${wire}`)
}
