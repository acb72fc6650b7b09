/** Just enough of WebAssembly's binary format (core specification 2.0, §5) to write the three functions of kernel-wasm.ts. */

/** Bytes of instructions, nested as they were put together. */
export type Code = readonly (number | Code)[]

interface Shape {
  /** Parameters in their order. */
  readonly params: readonly ('i32' | 'f32')[]
  readonly result?: 'f32'
  /** Further locals, which come behind the parameters in this order. */
  readonly i32: number
  readonly v128: number
}

interface Func {
  readonly name: string
  readonly shape: Shape
  readonly code: Code
}

const I32 = 0x7f
const F32 = 0x7d
const V128 = 0x7b
const SIMD = 0xfd
const NO_VALUE = 0x40

export const get = (local: number): Code => [0x20, unsigned(local)]
export const set = (local: number): Code => [0x21, unsigned(local)]
export const constI32 = (value: number): Code => [0x41, signed(value)]
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
    list(shape.params.map((type) => (type === 'f32' ? F32 : I32))),
    list(shape.result ? [F32] : [])
  ])
  const exported = functions.map(({ name }, index) => [text(name), 0x00, unsigned(index)])
  const bodies = functions.map(({ shape, code }) => {
    const locals = list([
      [unsigned(shape.i32), I32],
      [unsigned(shape.v128), V128]
    ])
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
  const low = value & 0x7f
  const rest = value >> 7
  const last = (rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0)
  return last ? [low] : [low | 0x80, signed(rest)]
}
