/**
 * How a protobuf message is written down for the strict reader: a table with a row for each field that may be there.
 * Names are those of the .proto file. Every value is absent (`undefined`) when its field is not on the wire.
 */

/** What a field holds; the scalar types of the protobuf language guide, told apart where a server reads them differently. */
export type FieldKind =
  | 'text'
  | 'bytes'
  | 'bool'
  | 'int32'
  | 'uint32'
  | 'int'
  | 'uint'
  | 'bigint'
  | 'enumeration'
  | 'float'
  | 'double'
  | 'message'
  | 'map'

export type ProtoValue =
  | string
  | number
  | bigint
  | boolean
  | Uint8Array
  | Float32Array
  | Float64Array
  | ProtoMessage
  | readonly ProtoValue[]
  | ReadonlyMap<string, ProtoValue>

export type ProtoMessage = { readonly [name: string]: ProtoValue | undefined }

declare const reads: unique symbol

export interface FieldSpec<N extends string = string, V = unknown> {
  /** The type of the value; never there at run time. */
  readonly [reads]?: V
  readonly number: number
  readonly name: N
  readonly kind: FieldKind
  readonly repeated: boolean
  readonly message?: (() => MessageTable<unknown>) | undefined
  /** What a map's keys lead to. */
  readonly value?: FieldSpec | undefined
  /** The numbers that an enumeration may have; all of int32 when left out. */
  readonly allowed?: readonly number[] | undefined
  readonly oneof?: string | undefined
}

/** A field in its table, all of one shape, with what the reader asks of each one looked up beforehand. */
export interface TableField {
  readonly number: number
  readonly name: string
  readonly kind: FieldKind
  readonly repeated: boolean
  readonly message: (() => MessageTable<unknown>) | undefined
  /** What `message` leads to, from its first use on: tables name each other before they are made. */
  table: MessageTable<unknown> | undefined
  readonly value: TableField | undefined
  readonly allowed: readonly number[] | undefined
  readonly oneof: string | undefined
  /** A bit of its own in the message. */
  readonly bit: number
  /** A bit of its own for each oneof of the message, 0 outside of any. */
  readonly group: number
  /** Wire type of one value. */
  readonly wire: number
}

/** Wire types (encoding specification, "Message Structure"). */
const WIRE: Readonly<Record<FieldKind, number>> = {
  text: 2,
  bytes: 2,
  message: 2,
  map: 2,
  bool: 0,
  int32: 0,
  uint32: 0,
  int: 0,
  uint: 0,
  bigint: 0,
  enumeration: 0,
  double: 1,
  float: 5
}

export interface MessageTable<T = ProtoMessage> {
  readonly [reads]?: T
  readonly name: string
  /** By field number. */
  readonly fields: readonly (TableField | undefined)[]
}

/** What `readProto` makes of a table. */
export type MessageOf<T> = T extends MessageTable<infer M> ? M : never

type Row<S> = S extends FieldSpec<infer N, infer V> ? { readonly [name in N]: V | undefined } : never
type All<U> = (U extends unknown ? (each: U) => void : never) extends (all: infer I) => void ? I : never
type Shape<S extends readonly FieldSpec[]> = { readonly [K in keyof All<Row<S[number]>>]: All<Row<S[number]>>[K] }

/** A recursive message needs its type written down: `const FILTER: MessageTable<Filter> = table('Filter', …)`. */
export function table<const S extends readonly FieldSpec[]>(name: string, ...specs: S): MessageTable<Shape<S>> {
  const fields: (TableField | undefined)[] = []
  const groups: string[] = []
  for (const [index, spec] of specs.entries()) {
    if (fields[spec.number] !== undefined || specs.some((other) => other !== spec && other.name === spec.name))
      throw new Error(`${name}: two fields are ${spec.number} or ${spec.name}`)
    if (spec.oneof !== undefined && !groups.includes(spec.oneof)) groups.push(spec.oneof)
    fields[spec.number] = tableField(spec, 1 << index, spec.oneof === undefined ? 0 : 1 << groups.indexOf(spec.oneof))
  }
  if (specs.length > 31) throw new Error(`${name}: more fields than bits`)
  // Without holes, so that a look-up stays an array access.
  return { name, fields: Array.from(fields) }
}

/** A field outside of any table, such as the key of a map, has no bits. */
export function tableField({ number, name, kind, repeated, message, value, allowed, oneof }: FieldSpec, bit = 0, group = 0): TableField {
  const of = value === undefined ? undefined : tableField(value)
  return { number, name, kind, repeated, message, table: undefined, value: of, allowed, oneof, bit, group, wire: WIRE[kind] }
}

const scalar =
  <V>(kind: FieldKind, repeated: boolean) =>
  <const N extends string>(number: number, name: N): FieldSpec<N, V> => ({ number, name, kind, repeated })

/** `string`: well-formed UTF-8 only. */
export const text = scalar<string>('text', false)
/** `bytes`: a view of the body, not a copy. */
export const bytes = scalar<Uint8Array>('bytes', false)
/** `bool`: 0 or 1 only, though servers take any number for true. */
export const bool = scalar<boolean>('bool', false)
/** `int32`: servers cut what is larger to 32 bits, so that is refused. */
export const int32 = scalar<number>('int32', false)
/** `uint32`: servers cut what is larger to 32 bits, so that is refused. */
export const uint32 = scalar<number>('uint32', false)
/** `int64` as a number: refused beyond ±2^53. */
export const int = scalar<number>('int', false)
/** `uint64` as a number: refused beyond 2^53. */
export const uint = scalar<number>('uint', false)
/** `int64`, all of it; the bits of a `uint64` are the same. */
export const bigint = scalar<bigint>('bigint', false)
/** `float`: finite only. */
export const float = scalar<number>('float', false)
/** `double`: finite only. */
export const double = scalar<number>('double', false)

export const texts = scalar<readonly string[]>('text', true)
export const bytesList = scalar<readonly Uint8Array[]>('bytes', true)
export const bools = scalar<readonly boolean[]>('bool', true)
export const int32s = scalar<readonly number[]>('int32', true)
export const uint32s = scalar<readonly number[]>('uint32', true)
export const ints = scalar<readonly number[]>('int', true)
export const bigints = scalar<readonly bigint[]>('bigint', true)
/** `repeated float`, packed or one by one but in one run: a copy of the bytes. Finite only. */
export const floats = scalar<Float32Array>('float', true)
/** `repeated double`, likewise. */
export const doubles = scalar<Float64Array>('double', true)

export function enumeration<const N extends string>(number: number, name: N, allowed?: readonly number[]): FieldSpec<N, number> {
  const spec = { number, name, kind: 'enumeration', repeated: false } as const
  return allowed === undefined ? spec : { ...spec, allowed }
}

export function enumerations<const N extends string>(
  number: number,
  name: N,
  allowed?: readonly number[]
): FieldSpec<N, readonly number[]> {
  const spec = { number, name, kind: 'enumeration', repeated: true } as const
  return allowed === undefined ? spec : { ...spec, allowed }
}

/** A message; a function names its table, which may stand further down or be the one it is in. */
export function one<const N extends string, T>(number: number, name: N, message: () => MessageTable<T>): FieldSpec<N, T> {
  return { number, name, kind: 'message', repeated: false, message }
}

/** `repeated` message. */
export function many<const N extends string, T>(number: number, name: N, message: () => MessageTable<T>): FieldSpec<N, readonly T[]> {
  return { number, name, kind: 'message', repeated: true, message }
}

/**
 * `map<string, …>`: a key that comes twice is refused.
 * @param value any singular field: only its kind counts, as in `map(2, 'payload', one(2, 'value', () => VALUE))`
 */
export function map<const N extends string, V>(number: number, name: N, value: FieldSpec<string, V>): FieldSpec<N, ReadonlyMap<string, V>> {
  return { number, name, kind: 'map', repeated: false, value }
}

/** A member of a oneof: a second one in the same message is refused, as servers keep the last and forget the first. */
export function inOneof<const N extends string, V>(group: string, spec: FieldSpec<N, V>): FieldSpec<N, V> {
  return { ...spec, oneof: group }
}
