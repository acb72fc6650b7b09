import { describe, expect, it } from 'vitest'
import { allFinite } from '../../src/databases/protobuf-floats.ts'
import { copyFloats } from '../../src/databases/vector-memory.ts'

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array) => Buffer.from(buffer, byteOffset, byteLength)
const counted = (length: number, from: number) => Float32Array.from({ length }, (_, index) => from + index)

describe('the memory of vectors', () => {
  it('never gives a place twice, however many vectors there are', () => {
    const lengths = [0, 1, 3, 1536, 8192, 8193, 16_384]
    const vectors = Array.from({ length: 70 }, (_, at) => counted(lengths[at % lengths.length] as number, at))
    const copies = vectors.map((vector) => copyFloats(bytesOf(vector), 0, vector.byteLength))
    const same = (copy: Float32Array, at: number) => bytesOf(copy).equals(bytesOf(vectors[at] as Float32Array))
    expect(copies.every(same)).toBe(true)
    for (const [at, copy] of copies.entries()) {
      copy.fill(7)
      expect(copies.slice(at + 1).every((other, index) => same(other, at + 1 + index))).toBe(true)
    }
  })

  it('takes floats from wherever they begin, and leaves them alone there', () => {
    for (const start of [0, 1, 2, 3]) {
      const body = Buffer.concat([Buffer.alloc(start, 0xff), bytesOf(counted(9, 0.5)), Buffer.alloc(3, 0xff)])
      const copy = copyFloats(body, start, 36)
      expect(copy).toEqual(counted(9, 0.5))
      copy.fill(0)
      expect(body.readFloatLE(start)).toBe(0.5)
    }
  })
})

describe('finite', () => {
  const LARGEST = 2 ** 128 - 2 ** 104

  it.each([LARGEST, -LARGEST, 2 ** -149, -0])('are as many of %d as fit a body', (value) => {
    expect(allFinite(new Float32Array(262_144).fill(value))).toBe(true)
  })

  it.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])('is no vector with %d at any place', (value) => {
    for (let length = 1; length <= 20; length++) {
      for (let at = 0; at < length; at++) {
        const vector = new Float32Array(length).fill(LARGEST)
        vector[at] = value
        expect(allFinite(vector)).toBe(false)
      }
    }
  })

  it('is no vector whose infinities would cancel', () => {
    expect(allFinite(Float32Array.of(Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY))).toBe(false)
  })
})
