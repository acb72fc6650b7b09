import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SKETCH_DIMENSIONS } from '../../src/core/drift.ts'
import { codebookBlock, type Kernel, plainKernel, RING_ROWS, spaceBlock } from '../../src/risk/kernel.ts'
import { kernelBytes, startKernel } from '../../src/risk/kernel-wasm.ts'
import { numbersFrom } from './drift-material.ts'

const simd = startKernel()
const plain = plainKernel()

function both<T>(run: (kernel: Kernel) => T): [T, T] {
  return [run(simd), run(plain)]
}

describe('the kernel', () => {
  it('runs as WebAssembly here, from less than 2 KB', () => {
    expect(simd.kind).toBe('simd')
    expect(kernelBytes().length).toBeLessThan(2048)
  })

  it('is the plain one where the runtime has no WebAssembly, or refuses the module', () => {
    expect(startKernel({}).kind).toBe('plain')
    expect(startKernel({ WebAssembly: { validate: () => false } }).kind).toBe('plain')
  })

  it('both kernels agree to the bit, for every dimension: tolerance zero', () => {
    const dimensions = fc.oneof(fc.integer({ min: 1, max: 400 }), fc.constantFrom(768, 1024, 1536, 3072, 16_384))
    fc.assert(
      fc.property(dimensions, fc.integer(), (length, seed) => {
        const next = numbersFrom(seed)
        const floats = (count: number) => Float32Array.from({ length: count }, next)
        const columns = Math.min(length, 384)
        const [signs, mean, projection, vector] = [floats(length), floats(columns), floats(SKETCH_DIMENSIONS * columns), floats(length)]
        const scale = 1 + next() / 2
        const rows = 1 + (Math.abs(seed) % 256)
        const points = floats(rows * SKETCH_DIMENSIONS)
        const rings = Int8Array.from({ length: RING_ROWS * SKETCH_DIMENSIONS }, () => next() * 127)
        const [one, other] = both((kernel) => {
          kernel.input.fill(0)
          kernel.input.set(vector)
          const energy = kernel.project(spaceBlock(signs, mean, projection), scale)
          const projected = [...kernel.products.subarray(0, SKETCH_DIMENSIONS)]
          kernel.sketch.set(projected)
          kernel.compare(codebookBlock(points))
          const compared = [...kernel.products.subarray(0, rows)]
          kernel.compareRings(rings, rings.subarray(0, SKETCH_DIMENSIONS))
          return { square: kernel.square(Math.ceil(length / 16) * 16), energy, projected, compared, rings: [...kernel.closeness] }
        })
        expect(one).toEqual(other)
      }),
      { numRuns: 60 }
    )
  })

  it('computes what the formulas say, within float32 rounding', () => {
    const next = numbersFrom(7)
    const floats = (count: number) => Float32Array.from({ length: count }, next)
    const [signs, mean, projection, vector] = [floats(1000), floats(384), floats(SKETCH_DIMENSIONS * 384), floats(1000)]
    const folded = Array.from({ length: 384 }, (_, at) => {
      let sum = -(mean[at] ?? 0)
      for (let from = at; from < 1000; from += 384) sum += (signs[from] ?? 0) * (vector[from] ?? 0)
      return sum
    })
    const wanted = Array.from({ length: SKETCH_DIMENSIONS }, (_, row) =>
      folded.reduce((sum, value, at) => sum + value * (projection[row * 384 + at] ?? 0), 0)
    )
    simd.input.fill(0)
    simd.input.set(vector)
    const energy = simd.project(spaceBlock(signs, mean, projection), 1)
    expect(energy).toBeCloseTo(
      folded.reduce((sum, value) => sum + value * value, 0),
      3
    )
    expect(Math.max(...wanted.map((value, row) => Math.abs(value - (simd.products[row] ?? 0))))).toBeLessThan(1e-4)
  })

  it('when its memory is full, copies are made anew and nothing is mixed up', () => {
    const ones = new Float32Array(384).fill(1)
    const blocks = Array.from({ length: 400 }, (_, at) =>
      spaceBlock(ones, new Float32Array(384), new Float32Array(SKETCH_DIMENSIONS * 384).fill(at))
    )
    simd.input.fill(0)
    simd.input[0] = 1
    for (const round of [0, 1]) {
      const got = blocks.map((block) => {
        simd.project(block, 1)
        return simd.products[63]
      })
      expect(got, `round ${round}`).toEqual(blocks.map((_, at) => at))
    }
  })
})
