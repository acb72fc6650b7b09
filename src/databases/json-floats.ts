/**
 * The components of a vector, eight digits at a time, in WebAssembly: JavaScript has no 64-bit integers that cost nothing. Two and a
 * half times as fast as its twin in json-vector.ts, which reads where this is not at hand; both give `Math.fround(Number(text))`.
 */
import { VECTOR_DIMENSIONS_MAX } from '../core/limits.ts'
import * as wasm from '../core/wasm-assembler.ts'
import { type Code, constI32, constI64, either, get, loadByte, loadF64, loadI64, op, set, tee, when } from '../core/wasm-assembler.ts'

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
   * write them: one digit, a point, digits.
   * @returns index of the closing bracket, or `~index` of a component that it leaves to others
   */
  readonly read: (at: number, count: number) => number
}

export const WINDOW_BYTES = 32 * 1024
/** Digits are looked at up to 24 bytes beyond the place that is reached. */
export const SLACK_BYTES = 32

const PAGE = 65_536
const FLOATS_AT = 1_024
const WINDOW_AT = 2 * PAGE
const PAGES = 3
/** i64 and f64 of 10^0 to 10^15. */
const [COUNT_AT, POWERS_I64, POWERS_F64] = [0, 64, 256]
const POWERS = 16

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer }
  readonly read: (at: number, count: number) => number
}

/** Undefined where the runtime has no WebAssembly. */
export function startFloatReader(runtime: object = globalThis): FloatReader | undefined {
  const shape = { params: ['i32', 'i32'], result: 'i32', locals: { i32: 3, i64: 3, f32: 2 } } as const
  const exports = wasm.instantiate(wasm.moduleBytes(PAGES, [wasm.func('read', shape, readCode())]), runtime)
  if (exports === undefined) return undefined
  const { memory, read } = exports as Exports
  const { buffer } = memory
  for (let power = 0; power < POWERS; power++) {
    new BigInt64Array(buffer, POWERS_I64)[power] = 10n ** BigInt(power)
    new Float64Array(buffer, POWERS_F64)[power] = 10 ** power
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
const [AT, COUNT, START, BYTE, DIGITS, WORD, OTHERS, NUMBER, VALUE, SIGN] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] as const
const [COMMA, BRACKET, MINUS, POINT, ZERO] = [0x2c, 0x5d, 0x2d, 0x2e, 0x30]
const ZEROS = constI64(0x3030303030303030n)
/** Integers up to here are exact in a double. */
const EXACT = constI64(2n ** 53n)
/** On either side of a number of 17 digits: more than what follows them and the two roundings can move it. */
const DOUBT = constI64(32n)

const isByte = (code: number): Code => [get(BYTE), constI32(code), op.equalI32]
const forward = (by: Code): Code => [get(AT), by, op.addI32, set(AT)]
const eightTimes = (local: number): Code => [get(local), constI32(3), op.leftI32]
const counted: Code = [constI32(COUNT_AT), get(COUNT), wasm.storeI32(0)]
/** To others, from the beginning of this component. */
const leaveIt: Code = [counted, get(START), constI32(-1), op.xorI32, op.leave]
const nextWord = (offset: number): Code => [get(AT), loadI64(WINDOW_AT + offset), set(WORD), otherBytes, tee(OTHERS), op.isZeroI64]

function readCode(): Code {
  return [wasm.loop([skipSpace, [get(AT), set(START)], begin, fraction(), store]), op.never]
}

const skipSpace: Code = wasm.repeatWhile(
  [
    [get(AT), loadByte(WINDOW_AT), set(BYTE)],
    [isByte(0x20), isByte(0x0a), op.orI32, isByte(0x0d), op.orI32, isByte(0x09), op.orI32]
  ],
  forward(constI32(1))
)

/** Sign and first digit, which a point follows; there has to be room. */
const begin: Code = [
  [get(COUNT), constI32(VECTOR_DIMENSIONS_MAX), op.equalI32, when(leaveIt)],
  [wasm.constF32(1), set(SIGN)],
  [isByte(MINUS), when([wasm.constF32(-1), set(SIGN), forward(constI32(1)), get(AT), loadByte(WINDOW_AT), set(BYTE)])],
  [get(BYTE), constI32(ZERO), op.subI32, tee(BYTE), constI32(9), op.aboveU32],
  [get(AT), loadByte(WINDOW_AT + 1), constI32(POINT), op.notEqualI32, op.orI32, when(leaveIt)],
  [get(BYTE), op.extendU32, set(NUMBER)]
]

/** Fewer than 8 digits behind the point, fewer than 16, or more. `AT` then is behind them. */
function fraction(): Code {
  const few: Code = [digitsLeft, [get(DIGITS), op.isZeroI32, when(leaveIt)], addFew, divide(0), pass(2)]
  const more: Code = [digitsLeft, [get(DIGITS), when(addFew)], [get(NUMBER), EXACT, op.aboveU64, when(leaveIt)], divide(8), pass(10)]
  return [nextWord(2), either([addEight, nextWord(10), either([addEight, many], more)], few)]
}

/** 0x80 in each byte of `WORD` that is not a digit; exact up to and including the first such byte. */
const otherBytes: Code = [
  [get(WORD), constI64(0x4646464646464646n), op.addI64, get(WORD), ZEROS, op.subI64, op.orI64],
  [constI64(0x8080808080808080n), op.andI64]
]

/** How many bytes of `WORD` stand before the first one that is not a digit. */
const digitsLeft: Code = [get(OTHERS), op.trailingZerosI64, op.wrapI64, constI32(3), op.rightU32, set(DIGITS)]

/** Digits behind the 17th are passed by: both neighbours have to be the same float. */
const many: Code = [
  [get(NUMBER), DOUBT, op.subI64, op.floatOfI64, wasm.constF64(1e16), op.divF64, op.demoteF64, tee(VALUE)],
  [get(NUMBER), DOUBT, op.addI64, op.floatOfI64, wasm.constF64(1e16), op.divF64, op.demoteF64, op.notEqualF32, when(leaveIt)],
  forward(constI32(18)),
  wasm.repeatWhile(nextWord(0), forward(constI32(8))),
  [digitsLeft, forward(get(DIGITS))]
]

/** The number that the eight digits of `WORD` make: pairs, then fours, then all. */
const eight: Code = [
  [get(WORD), ZEROS, op.subI64, tee(WORD), constI64(10n), op.mulI64, get(WORD), constI64(8n), op.rightU64, op.addI64, set(WORD)],
  [get(WORD), constI64(0xff000000ffn), op.andI64, constI64((1_000_000n << 32n) + 100n), op.mulI64],
  [get(WORD), constI64(16n), op.rightU64, constI64(0xff000000ffn), op.andI64, constI64((10_000n << 32n) + 1n), op.mulI64],
  [op.addI64, constI64(32n), op.rightU64]
]

const addEight: Code = [get(NUMBER), constI64(100_000_000n), op.mulI64, eight, op.addI64, set(NUMBER)]

/** The same for the first 1 to 7 digits of `WORD`: zeros are put before them. */
const addFew: Code = [
  [get(WORD), constI64(64n), eightTimes(DIGITS), op.extendU32, op.subI64, op.leftI64],
  [ZEROS, eightTimes(DIGITS), op.extendU32, op.rightU64, op.orI64, set(WORD)],
  [get(NUMBER), eightTimes(DIGITS), loadI64(POWERS_I64), op.mulI64, eight, op.addI64, set(NUMBER)]
]

/** One exact integer divided by one exact power is rounded once, so it is `Number(text)`. */
function divide(digitsBefore: number): Code {
  const power: Code = [eightTimes(DIGITS), loadF64(POWERS_F64 + digitsBefore * 8)]
  return [get(NUMBER), op.floatOfI64, power, op.divF64, op.demoteF64, set(VALUE)]
}

function pass(offset: number): Code {
  return forward([get(DIGITS), constI32(offset), op.addI32])
}

/** Nothing but a comma or the bracket may follow; anything else is for others to read, or to refuse. */
const store: Code = [
  [get(AT), loadByte(WINDOW_AT), set(BYTE)],
  [isByte(COMMA), isByte(BRACKET), op.orI32, op.isZeroI32, when(leaveIt)],
  [get(COUNT), constI32(2), op.leftI32, get(VALUE), get(SIGN), op.mulF32, wasm.storeF32(FLOATS_AT)],
  [get(COUNT), constI32(1), op.addI32, set(COUNT)],
  [isByte(BRACKET), when([counted, get(AT), op.leave])],
  [forward(constI32(1)), wasm.again()]
]
