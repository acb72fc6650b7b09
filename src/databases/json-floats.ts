/**
 * The components of a vector, sixteen digits at a time, in WebAssembly SIMD: JavaScript has neither bytes side by side nor 64-bit
 * integers that cost nothing. Its twin in json-vector.ts reads where this is not at hand; both give `Math.fround(Number(text))`.
 */
import { VECTOR_DIMENSIONS_MAX } from '../core/limits.ts'
import * as wasm from '../core/wasm-assembler.ts'
import {
  type Code,
  constI32,
  constI64,
  dotI16x8,
  either,
  get,
  loadByte,
  loadF64,
  loadI64,
  loadV128,
  op,
  set,
  simd,
  tee,
  when
} from '../core/wasm-assembler.ts'

/** Reads text that was copied into its window. */
export interface FloatReader {
  /** `WINDOW_BYTES` of text, and zeros behind what is put there: as many as `SLACK_BYTES`. */
  readonly window: Buffer
  readonly values: Float32Array
  /** Of `values`. */
  readonly bytes: Buffer
  /** How many `values` were read when `read` came back. */
  readonly count: Int32Array
  /**
   * Reads components from the one that begins at `at` in the window, as number `count` and on, while they are written as encoders
   * write them: one digit, a point, digits, a comma.
   * @returns index of a component that it leaves to others; the last one of a vector always is, since no comma follows
   */
  readonly read: (at: number, count: number) => number
}

export const WINDOW_BYTES = 32 * 1024
/** Digits are looked at up to 34 bytes beyond the place that is reached. */
export const SLACK_BYTES = 48

const PAGE = 65_536
const FLOATS_AT = 2_048
const WINDOW_AT = 2 * PAGE
const PAGES = 3
/** i64 and f64 of 10^0 to 10^16. */
const [COUNT_AT, POWERS_I64, POWERS_F64] = [0, 64, 256]
/** Digits behind the point that are read. */
const PLACES = 16
/** For each number of digits, which byte of the text goes to which place. */
const RIGHT_AT = 512

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer }
  readonly read: (at: number, count: number) => number
}

/** Undefined where the runtime has no WebAssembly, or no SIMD. */
export function startFloatReader(runtime: object = globalThis): FloatReader | undefined {
  const shape = { params: ['i32', 'i32'], result: 'i32', locals: { i32: 4, i64: 1, f32: 1, v128: 1 } } as const
  const exports = wasm.instantiate(wasm.moduleBytes(PAGES, [wasm.func('read', shape, readCode())]), runtime)
  if (exports === undefined) return undefined
  const { memory, read } = exports as Exports
  const { buffer } = memory
  for (let count = 0; count <= PLACES; count++) {
    new BigInt64Array(buffer, POWERS_I64)[count] = 10n ** BigInt(count)
    new Float64Array(buffer, POWERS_F64)[count] = 10 ** count
    // A place without a byte gets zero.
    const from = Array.from({ length: PLACES }, (_, place) => (place < PLACES - count ? 0xff : place - (PLACES - count)))
    new Uint8Array(buffer, RIGHT_AT + count * PLACES).set(from)
  }
  return {
    window: Buffer.from(buffer, WINDOW_AT, WINDOW_BYTES + SLACK_BYTES),
    values: new Float32Array(buffer, FLOATS_AT, VECTOR_DIMENSIONS_MAX),
    bytes: Buffer.from(buffer, FLOATS_AT, VECTOR_DIMENSIONS_MAX * 4),
    count: new Int32Array(buffer, COUNT_AT, 1),
    read
  }
}

/** Locals: the two parameters, then by type. `AT` is an index in the window. */
const [AT, COUNT, NEXT, BYTE, DIGITS, MINUS, NUMBER, VALUE, TEXT] = [0, 1, 2, 3, 4, 5, 6, 7, 8] as const
const ZERO = 0x30
/** Integers up to here are exact in a double. */
const EXACT = constI64(2n ** 53n)
/** On either side of a number of 17 digits: more than what follows them and the two roundings can move it. */
const DOUBT = constI64(32n)

const isByte = (char: string): Code => [get(BYTE), constI32(char.charCodeAt(0)), op.equalI32]
const byteAt = (offset: number): Code => [get(AT), loadByte(WINDOW_AT + offset)]
const counted: Code = [constI32(COUNT_AT), get(COUNT), wasm.storeI32(0)]
const leaveIt: Code = [counted, get(AT), op.leave]
const power = (load: (offset: number) => Code, at: number): Code => [get(DIGITS), constI32(3), op.leftI32, load(at)]

/**
 * From one component to the next there is a comma to be found and nothing else: what is between is worked out while the next ones
 * are. And no branch depends on digits or sign, for to guess one wrong costs as much as all the rest.
 */
function readCode(): Code {
  return [wasm.loop([skipSpace, findComma, begin, fraction, either(many, few), store]), op.never]
}

const isSpace: Code = [isByte(' '), isByte('\n'), op.orI32, isByte('\r'), op.orI32, isByte('\t'), op.orI32]

const skipSpace: Code = wasm.repeatWhile(
  [byteAt(0), tee(BYTE), constI32(0x21), op.belowU32, either(isSpace, constI32(0), 'i32')],
  [get(AT), constI32(1), op.addI32, set(AT)]
)

const commasAt = (offset: number): Code => [
  [get(AT), loadV128(WINDOW_AT + offset), simd.splatI8(','.charCodeAt(0)), simd.equalI8x16, simd.bitmaskI8x16]
]

/** `NEXT` stands on it. Where there is none in 32 bytes, there is a long component or the last. */
const findComma: Code = [
  [commasAt(0), commasAt(16), constI32(16), op.leftI32, op.orI32, tee(NEXT), op.isZeroI32, when(leaveIt)],
  [get(NEXT), op.trailingZerosI32, get(AT), op.addI32, set(NEXT)],
  [get(COUNT), constI32(VECTOR_DIMENSIONS_MAX), op.equalI32, when(leaveIt)]
]

/** The first digit behind the sign, and a point. From here on `DIGITS` is how many bytes are between the point and the comma. */
const begin: Code = [
  [isByte('-'), set(MINUS)],
  [get(AT), get(MINUS), op.addI32, tee(DIGITS), loadByte(WINDOW_AT), constI32(ZERO), op.subI32, tee(BYTE), constI32(9), op.aboveU32],
  [get(DIGITS), loadByte(WINDOW_AT + 1), constI32('.'.charCodeAt(0)), op.notEqualI32, op.orI32, when(leaveIt)],
  [get(NEXT), get(DIGITS), op.subI32, constI32(2), op.subI32, tee(DIGITS), op.isZeroI32, when(leaveIt)]
]

/** Bit n is set where the n-th byte of `TEXT` is no digit; from byte `offset` behind the point. */
const others = (offset: number): Code => [
  [get(NEXT), get(DIGITS), op.subI32, loadV128(WINDOW_AT + offset), simd.splatI8(ZERO), simd.subI8x16, tee(TEXT)],
  [simd.splatI8(9), simd.aboveU8x16, simd.bitmaskI8x16]
]

/** Of the bits before it, those below the number that `count` leaves are zero. */
const noneBelow = (count: Code): Code => [constI32(-1), count, op.leftI32, constI32(-1), op.xorI32, op.andI32, when(leaveIt)]

/** All bytes up to the comma have to be digits; leaves whether there are 16 or more. */
const fraction: Code = [others(0), noneBelow(get(DIGITS)), get(DIGITS), constI32(PLACES - 1), op.aboveU32]

/**
 * `NUMBER` is the first digit and the `DIGITS` of `TEXT`. They are put to the right of 16 places with zeros before them; then pairs
 * are put together, fours, and eights.
 */
const together: Code = [
  [get(TEXT), get(DIGITS), constI32(4), op.leftI32, loadV128(RIGHT_AT), simd.swizzle, tee(TEXT)],
  [simd.splatI16(0xff), simd.and, simd.splatI16(10), simd.mulI16x8, get(TEXT), constI32(8), simd.rightU16x8, simd.addI16x8],
  [simd.alternateI16(100, 1), dotI16x8, tee(TEXT), get(TEXT), simd.narrowU32x4, simd.alternateI16(10_000, 1), dotI16x8, tee(TEXT)],
  [simd.laneI32(0), op.extendU32, constI64(100_000_000n), op.mulI64, get(TEXT), simd.laneI32(1), op.extendU32, op.addI64],
  [get(BYTE), op.extendU32, power(loadI64, POWERS_I64), op.mulI64, op.addI64, set(NUMBER)]
]

/** One exact integer divided by one exact power is rounded once, so it is `Number(text)`. */
const few: Code = [
  [together, get(NUMBER), EXACT, op.aboveU64, when(leaveIt)],
  [get(NUMBER), op.floatOfI64, power(loadF64, POWERS_F64), op.divF64, op.demoteF64, set(VALUE)]
]

/** Digits behind the 17th are left out: both neighbours have to be the same float. */
const many: Code = [
  [others(PLACES), noneBelow([get(DIGITS), constI32(PLACES), op.subI32])],
  [others(0), wasm.drop, constI32(PLACES), set(DIGITS), together],
  [get(NUMBER), DOUBT, op.subI64, op.floatOfI64, wasm.constF64(1e16), op.divF64, op.demoteF64, tee(VALUE)],
  [get(NUMBER), DOUBT, op.addI64, op.floatOfI64, wasm.constF64(1e16), op.divF64, op.demoteF64, op.notEqualF32, when(leaveIt)]
]

const store: Code = [
  [get(COUNT), constI32(2), op.leftI32, get(VALUE)],
  [constI32(1), get(MINUS), constI32(1), op.leftI32, op.subI32, op.floatOfI32, op.mulF32, wasm.storeF32(FLOATS_AT)],
  [get(COUNT), constI32(1), op.addI32, set(COUNT)],
  [get(NEXT), constI32(1), op.addI32, set(AT), wasm.again()]
]
