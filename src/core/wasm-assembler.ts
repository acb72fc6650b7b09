/**
 * Just enough of WebAssembly's binary format (core specification 2.0, §5) to write the few functions that are worth it: a module is
 * put together at start-up from its instructions, so that there is neither a binary in the repository nor a compiler to build one.
 */

/** Bytes of instructions, nested as they were put together. */
export type Code = readonly (number | Code)[]

interface Shape {
  /** Parameters in their order. */
  readonly params: readonly ('i32' | 'f32')[]
  readonly result?: 'i32' | 'f32'
  /** How many further locals of each type, which come behind the parameters in this order. */
  readonly locals: Partial<Readonly<Record<keyof typeof TYPES, number>>>
}

const TYPES = { i32: 0x7f, i64: 0x7e, f32: 0x7d, v128: 0x7b }

interface Func {
  readonly name: string
  readonly shape: Shape
  readonly code: Code
}

const LOCALS = ['i32', 'i64', 'f32', 'v128'] as const
const SIMD = 0xfd
const NO_VALUE = 0x40

export const get = (local: number): Code => [0x20, unsigned(local)]
export const set = (local: number): Code => [0x21, unsigned(local)]
export const constI32 = (value: number): Code => [0x41, signed(value)]
export const tee = (local: number): Code => [0x22, unsigned(local)]
export const constI64 = (value: bigint): Code => [0x42, signed64(value)]
export const constF64 = (value: number): Code => [0x44, bytesOf(new Float64Array([value]))]

export const drop: Code = [0x1a]

/** Instructions with nothing behind them, by the names of the specification (§5.4). */
export const op = {
  notEqualF32: 0x5c,
  isZeroI32: 0x45,
  equalI32: 0x46,
  notEqualI32: 0x47,
  belowU32: 0x49,
  aboveU32: 0x4b,
  aboveU64: 0x56,
  trailingZerosI32: 0x68,
  addI32: 0x6a,
  subI32: 0x6b,
  andI32: 0x71,
  orI32: 0x72,
  xorI32: 0x73,
  leftI32: 0x74,
  addI64: 0x7c,
  subI64: 0x7d,
  mulI64: 0x7e,
  mulF32: 0x94,
  divF64: 0xa3,
  extendU32: 0xad,
  demoteF64: 0xb6,
  floatOfI32: 0xb2,
  floatOfI64: 0xb9,
  leave: 0x0f,
  /** Where nothing can come. */
  never: 0x00
} as const

export const when = (code: Code): Code => [0x04, NO_VALUE, code, 0x0b]
export const either = (yes: Code, no: Code, value?: 'i32'): Code => [0x04, value ? TYPES[value] : NO_VALUE, yes, 0x05, no, 0x0b]
/** A loop that goes round at `again`, as often as that is met, and ends where it is not. */
export const loop = (code: Code): Code => [0x03, NO_VALUE, code, 0x0b]
export const again = (depth = 0): Code => [0x0c, unsigned(depth)]
/** Goes round while `condition`, which may do things and leaves an i32. */
export const repeatWhile = (condition: Code, body: Code): Code => loop([condition, when([body, again(1)])])

export const loadByte = (offset: number): Code => [0x2d, 0, unsigned(offset)]
export const loadI64 = (offset: number): Code => [0x29, 0, unsigned(offset)]
export const loadF64 = (offset: number): Code => [0x2b, 3, unsigned(offset)]

export const addI32: Code = [0x6a]
export const zeroV128: Code = [SIMD, 0x0c, Array.from({ length: 16 }, () => 0)]
export const splatF32x4: Code = [SIMD, 0x13]
export const addF32x4: Code = [SIMD, unsigned(0xe4)]
export const subF32x4: Code = [SIMD, unsigned(0xe5)]
export const mulF32x4: Code = [SIMD, unsigned(0xe6)]
export const addI32x4: Code = [SIMD, unsigned(0xae)]
export const dotI16x8: Code = [SIMD, unsigned(0xba)]
export const extendLowI8x16: Code = [SIMD, unsigned(0x87)]
export const extendHighI8x16: Code = [SIMD, unsigned(0x88)]

/** More of SIMD, by lanes of 8 and 16 bits (§5.4.9). */
export const simd = {
  splatI8: (value: number): Code => [constI32(value), SIMD, 0x0f],
  splatI16: (value: number): Code => [constI32(value), SIMD, 0x10],
  /** `one` and `other` in turn. */
  alternateI16: (one: number, other: number): Code => [
    SIMD,
    0x0c,
    bytesOf(Uint16Array.from({ length: 8 }, (_, at) => (at % 2 ? other : one)))
  ],
  laneI32: (lane: number): Code => [SIMD, 0x1b, lane],
  and: [SIMD, 0x4e],
  swizzle: [SIMD, 0x0e],
  equalI8x16: [SIMD, 0x23],
  aboveU8x16: [SIMD, 0x28],
  bitmaskI8x16: [SIMD, 0x64],
  subI8x16: [SIMD, 0x71],
  narrowU32x4: [SIMD, unsigned(0x86)],
  rightU16x8: [SIMD, unsigned(0x8d)],
  addI16x8: [SIMD, unsigned(0x8e)],
  mulI16x8: [SIMD, unsigned(0x95)]
} as const

/** Of the address on the stack plus `offset`; all places are multiples of 16 but the engine does not mind others. */
export const loadV128 = (offset: number): Code => [SIMD, 0x00, 4, unsigned(offset)]
export const storeV128 = (offset: number): Code => [SIMD, 0x0b, 4, unsigned(offset)]
export const storeF32 = (offset: number): Code => [0x38, 2, unsigned(offset)]
export const storeI32 = (offset: number): Code => [0x36, 2, unsigned(offset)]
export const getAt = (address: number): Code => [constI32(address), loadV128(0)]

/** local = local `add` value */
export const accumulate = (local: number, value: Code, add: Code): Code => [get(local), value, add, set(local)]

/** Runs `body` and takes `step` from `counter` until that is zero; at least once. */
export function untilZero(counter: number, step: number, body: Code): Code {
  const tee = [0x22, unsigned(counter)]
  return [0x03, NO_VALUE, body, get(counter), constI32(-step), addI32, tee, [0x0d, 0], 0x0b]
}

/** (lane 0 + lane 1) + (lane 2 + lane 3): the order that the plain kernel keeps too. */
export function lanesTogetherF32(local: number): Code {
  return lanesTogether(local, [SIMD, 0x1f], [0x92])
}

export function lanesTogetherI32(local: number): Code {
  return lanesTogether(local, [SIMD, 0x1b], addI32)
}

function lanesTogether(local: number, extract: Code, add: Code): Code {
  const lane = (index: number): Code => [get(local), extract, index]
  return [lane(0), lane(1), add, lane(2), lane(3), add, add]
}

export function func(name: string, shape: Shape, code: Code): Func {
  return { name, shape, code }
}

/** A module with a memory of fixed size, exported as `memory`, and these functions. */
export function moduleBytes(pages: number, functions: readonly Func[]): Uint8Array {
  const types = functions.map(({ shape }) => [
    0x60,
    list(shape.params.map((type) => TYPES[type])),
    list(shape.result ? [TYPES[shape.result]] : [])
  ])
  const exported = functions.map(({ name }, index) => [text(name), 0x00, unsigned(index)])
  const bodies = functions.map(({ shape, code }) => {
    const locals = list(LOCALS.filter((type) => shape.locals[type]).map((type) => [unsigned(shape.locals[type] ?? 0), TYPES[type]]))
    return sized([locals, code, 0x0b])
  })
  return Uint8Array.from(
    flat([
      [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
      section(1, list(types)),
      section(3, list(functions.map((_, index) => unsigned(index)))),
      section(5, list([[0x01, unsigned(pages), unsigned(pages)]])),
      section(7, list([[text('memory'), 0x02, 0], ...exported])),
      section(10, list(bodies))
    ])
  )
}

function section(id: number, content: Code): Code {
  return [id, sized(content)]
}

function sized(content: Code): Code {
  const bytes = flat(content)
  return [unsigned(bytes.length), bytes]
}

function list(items: Code): Code {
  return [unsigned(items.length), items]
}

function text(name: string): Code {
  return list([...name].map((letter) => letter.charCodeAt(0)))
}

function flat(code: Code): number[] {
  return code.flatMap((part) => (typeof part === 'number' ? [part] : flat(part)))
}

/** LEB128. */
function unsigned(value: number): Code {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, unsigned(value >>> 7)]
}

function signed(value: number): Code {
  return signed64(BigInt(value))
}

function signed64(value: bigint): Code {
  const low = Number(value & 0x7fn)
  const rest = BigInt.asIntN(64, value) >> 7n
  const last = (rest === 0n && (low & 0x40) === 0) || (rest === -1n && (low & 0x40) !== 0)
  return last ? [low] : [low | 0x80, signed64(rest)]
}

function bytesOf(number: Uint16Array | Float32Array | Float64Array): Code {
  return [...new Uint8Array(number.buffer)]
}

interface WebAssemblyApi {
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object) => { readonly exports: object }
  readonly validate: (bytes: Uint8Array) => boolean
}

/** What the module exports; undefined where the runtime has no WebAssembly, or not enough of it. */
export function instantiate(bytes: Uint8Array, runtime: object = globalThis): object | undefined {
  const { WebAssembly: api } = runtime as { readonly WebAssembly?: WebAssemblyApi }
  if (api === undefined || !api.validate(bytes)) return undefined
  return new api.Instance(new api.Module(bytes)).exports
}
