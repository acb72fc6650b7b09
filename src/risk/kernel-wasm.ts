/**
 * The kernel in WebAssembly SIMD. The module is put together here, at start-up, from its instructions, so that there is neither a
 * binary in the repository nor a compiler to build one (WebAssembly core specification 2.0, §5 binary format).
 */
import { FOLDED_DIMENSIONS, SKETCH_DIMENSIONS } from '../core/drift.ts'
import {
  accumulate,
  addF32x4,
  addI32,
  addI32x4,
  type Code,
  constI32,
  dotI16x8,
  extendHighI8x16,
  extendLowI8x16,
  func,
  get,
  getAt,
  instantiate,
  lanesTogetherF32,
  lanesTogetherI32,
  loadV128,
  moduleBytes,
  mulF32x4,
  set,
  splatF32x4,
  storeF32,
  storeI32,
  storeV128,
  subF32x4,
  untilZero,
  zeroV128
} from '../core/wasm-assembler.ts'
import { INPUT_FLOATS, type Kernel, type KernelBlock, PRODUCTS_MAX, plainKernel, RING_ROWS, SQUARE_FLOATS } from './kernel.ts'

const PAGE = 65_536
/** 16 MiB: about 150 spaces of 1536 dimensions. When it is full, all copies are dropped and made anew as they are needed. */
const PAGES = 256
const FLOAT = 4
/** Bytes of 128 bits. */
const VECTOR = 16

const INPUT_AT = 0
const FOLDED_AT = INPUT_AT + INPUT_FLOATS * FLOAT
const SKETCH_AT = FOLDED_AT + FOLDED_DIMENSIONS * FLOAT
const PRODUCTS_AT = SKETCH_AT + SKETCH_DIMENSIONS * FLOAT
const RINGS_AT = PRODUCTS_AT + PRODUCTS_MAX * FLOAT
const QUERY_AT = RINGS_AT + RING_ROWS * SKETCH_DIMENSIONS
const CLOSENESS_AT = QUERY_AT + SKETCH_DIMENSIONS
const BLOCKS_AT = 2 * PAGE

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer }
  readonly square: (bytes: number) => number
  readonly fold: (space: number, columns: number, folds: number, scale: number) => number
  readonly multiply: (matrix: number, rows: number, vector: number, columns: number) => void
  readonly rings: () => void
}

/** The SIMD kernel, or the plain one where the runtime has no WebAssembly or no SIMD. */
export function startKernel(runtime: object = globalThis): Kernel {
  const exports = instantiate(kernelBytes(), runtime)
  return exports === undefined ? plainKernel() : kernelOf(exports as Exports)
}

function kernelOf({ memory, square, fold, multiply, rings }: Exports): Kernel {
  const { buffer } = memory
  const floats = new Float32Array(buffer)
  const ringBytes = new Int8Array(buffer, RINGS_AT, RING_ROWS * SKETCH_DIMENSIONS)
  const queryBytes = new Int8Array(buffer, QUERY_AT, SKETCH_DIMENSIONS)
  let kept = {}
  let free = BLOCKS_AT
  const placeOf = (block: KernelBlock): number => {
    if (block.kept === kept) return block.place
    const bytes = block.data.byteLength
    if (free + bytes > PAGES * PAGE) {
      kept = {}
      free = BLOCKS_AT
    }
    floats.set(block.data, free / FLOAT)
    block.place = free
    block.kept = kept
    free += bytes
    return block.place
  }
  return {
    kind: 'simd',
    input: new Float32Array(buffer, INPUT_AT, INPUT_FLOATS),
    sketch: new Float32Array(buffer, SKETCH_AT, SKETCH_DIMENSIONS),
    products: new Float32Array(buffer, PRODUCTS_AT, PRODUCTS_MAX),
    closeness: new Int32Array(buffer, CLOSENESS_AT, RING_ROWS),
    square: (floats) => square(floats * FLOAT),
    project(space, scale) {
      const at = placeOf(space)
      const energy = fold(at, space.columns * FLOAT, space.folds, scale)
      multiply(at + (space.folds + 1) * space.columns * FLOAT, SKETCH_DIMENSIONS, FOLDED_AT, space.columns * FLOAT)
      return energy
    },
    compare(codebook) {
      multiply(placeOf(codebook), codebook.rows, SKETCH_AT, SKETCH_DIMENSIONS * FLOAT)
    },
    compareRings(rows, query) {
      ringBytes.set(rows)
      queryBytes.set(query)
      rings()
    }
  }
}

/** Some 1.5 KB, and so quick to put together that nobody waits for it. */
export function kernelBytes(): Uint8Array {
  return moduleBytes(PAGES, [
    func('square', { params: ['i32'], result: 'f32', locals: { i32: 1, v128: SQUARES + 1 } }, squareCode()),
    func('fold', { params: ['i32', 'i32', 'i32', 'f32'], result: 'f32', locals: { i32: 5, v128: 2 } }, foldCode()),
    func('multiply', { params: ['i32', 'i32', 'i32', 'i32'], locals: { i32: 3, v128: 9 } }, multiplyCode()),
    func('rings', { params: [], locals: { i32: 2, v128: 9 } }, ringsCode())
  ])
}

/** Sums of squares side by side: an addition need not wait for the one before. */
const SQUARES = SQUARE_FLOATS / 4

/** Σ input² over so many bytes, `SQUARE_FLOATS` at a time. */
function squareCode(): Code {
  const [left, at, part] = [0, 1, 2]
  const sums = Array.from({ length: SQUARES }, (_, index) => 3 + index)
  return [
    [constI32(0), set(at), sums.map((sum) => [zeroV128, set(sum)])],
    untilZero(left, SQUARES * VECTOR, [
      sums.map((sum, index) => [
        [get(at), loadV128(INPUT_AT + index * VECTOR), set(part)],
        accumulate(sum, [get(part), get(part), mulF32x4], addF32x4)
      ]),
      [get(at), constI32(SQUARES * VECTOR), addI32, set(at)]
    ]),
    // Pairs first, then the pairs of pairs, then the lanes.
    [get(3), get(4), addF32x4, get(5), get(6), addF32x4, addF32x4, set(3)],
    lanesTogetherF32(3)
  ]
}

/** folded = scale × Σ signs × input - mean, four columns at a time; returns Σ folded². Columns are in bytes. */
function foldCode(): Code {
  const [space, columns, folds, scale, column, left, sign, value, fold, sum, energy] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
  return [
    [get(columns), set(left), constI32(0), set(column), zeroV128, set(energy)],
    untilZero(left, VECTOR, [
      [zeroV128, set(sum), get(space), get(column), addI32, set(sign), get(column), set(value), get(folds), set(fold)],
      untilZero(fold, 1, [
        [get(sum), get(sign), loadV128(0), get(value), loadV128(INPUT_AT), mulF32x4, addF32x4, set(sum)],
        [get(sign), get(columns), addI32, set(sign), get(value), get(columns), addI32, set(value)]
      ]),
      // After the last fold `sign` points at the mean, which lies behind the signs.
      [get(sum), get(scale), splatF32x4, mulF32x4, get(sign), loadV128(0), subF32x4, set(sum), get(column), get(sum), storeV128(FOLDED_AT)],
      [get(energy), get(sum), get(sum), mulF32x4, addF32x4, set(energy)],
      [get(column), constI32(VECTOR), addI32, set(column)]
    ]),
    lanesTogetherF32(energy)
  ]
}

const GROUP = 8

/** products[row] = matrix row × vector, eight rows at a time. Columns are in bytes. */
function multiplyCode(): Code {
  const [matrix, rows, vector, columns, at, left, out, part] = [0, 1, 2, 3, 4, 5, 6, 7]
  const sums = Array.from({ length: GROUP }, (_, row) => 8 + row)
  return [
    [constI32(0), set(out)],
    untilZero(rows, GROUP, [
      sums.map((sum) => [zeroV128, set(sum)]),
      [get(vector), set(at), get(columns), set(left)],
      untilZero(left, VECTOR, [
        [get(at), loadV128(0), set(part)],
        sums.map((sum, row) => accumulate(sum, [get(matrix), loadV128(row * VECTOR), get(part), mulF32x4], addF32x4)),
        [get(matrix), constI32(GROUP * VECTOR), addI32, set(matrix), get(at), constI32(VECTOR), addI32, set(at)]
      ]),
      sums.map((sum, row) => [get(out), lanesTogetherF32(sum), storeF32(PRODUCTS_AT + row * FLOAT)]),
      [get(out), constI32(GROUP * FLOAT), addI32, set(out)]
    ])
  ]
}

/** closeness[row] = ring row × query in whole numbers. */
function ringsCode(): Code {
  const [row, left, sum] = [0, 1, 2]
  const parts = Array.from({ length: SKETCH_DIMENSIONS / VECTOR }, (_, part) => ({
    at: part * VECTOR,
    low: 3 + 2 * part,
    high: 4 + 2 * part
  }))
  return [
    parts.map(({ at, low, high }) => [
      [getAt(QUERY_AT + at), extendLowI8x16, set(low)],
      [getAt(QUERY_AT + at), extendHighI8x16, set(high)]
    ]),
    [constI32(0), set(row), constI32(RING_ROWS), set(left)],
    untilZero(left, 1, [
      [zeroV128, set(sum)],
      parts.map(({ at, low, high }) => [
        accumulate(sum, [get(row), loadV128(RINGS_AT + at), extendLowI8x16, get(low), dotI16x8], addI32x4),
        accumulate(sum, [get(row), loadV128(RINGS_AT + at), extendHighI8x16, get(high), dotI16x8], addI32x4)
      ]),
      // A row has as many bytes as 16 whole numbers: a result is written at a sixteenth of the row's place.
      [get(row), constI32(4), [0x76], lanesTogetherI32(sum), storeI32(CLOSENESS_AT)],
      [get(row), constI32(SKETCH_DIMENSIONS), addI32, set(row)]
    ])
  ]
}
