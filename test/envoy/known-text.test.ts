import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { latin1Text } from '../../src/envoy/known-text.ts'

describe('known text', () => {
  it('is always the text of these bytes, also for bytes that look alike where it samples', () => {
    const base = Buffer.alloc(3_200, 'a')
    expect(latin1Text(base, 0, base.length)).toBe('a'.repeat(3_200))
    for (const at of [1, 50, 99, 101, 3_199]) {
      const other = Buffer.from(base)
      other[at] = 0x62
      expect(latin1Text(other, 0, other.length)).toBe(other.toString('latin1'))
      expect(latin1Text(base, 0, base.length)).toBe(base.toString('latin1'))
    }
  })

  it('does not hold on to the caller’s buffer', () => {
    const bytes = Buffer.alloc(1_000, 'x')
    latin1Text(bytes, 0, 1_000)
    bytes.fill('y')
    expect(latin1Text(bytes, 0, 1_000)).toBe('y'.repeat(1_000))
  })

  it('any bytes, any window (property)', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 600 }), fc.nat(100), (part, skip) => {
        const bytes = Buffer.concat([Buffer.from(part), Buffer.from(part)])
        const start = Math.min(skip, bytes.length)
        expect(latin1Text(bytes, start, bytes.length)).toBe(bytes.toString('latin1', start))
      })
    )
  })
})
