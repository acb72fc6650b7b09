import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { headerName, latin1Text, shortText } from '../../src/envoy/known-text.ts'

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

describe('short text', () => {
  const window = (part: Uint8Array) => ({ bytes: Buffer.concat([Buffer.from('<'), part, Buffer.from('>')]), end: part.length + 1 })

  it('is always the text of these bytes, whatever was at its place before (property)', () => {
    // Few letters, so that texts come again and differ by little.
    const part = fc.array(fc.constantFrom(0x00, 0x2d, 0x61, 0x62, 0xff), { maxLength: 40 })
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 40 }), (parts) => {
        for (const { bytes, end } of parts.map((one) => window(Uint8Array.from(one))))
          expect(shortText(bytes, 1, end)).toBe(bytes.toString('latin1', 1, end))
      }),
      { numRuns: 500 }
    )
  })

  it('does not hold on to the caller’s buffer', () => {
    const bytes = Buffer.from('application/json')
    expect(shortText(bytes, 0, bytes.length)).toBe('application/json')
    bytes.write('application/jsoN')
    expect(shortText(bytes, 0, bytes.length)).toBe('application/jsoN')
  })

  it('header names: each of the 256 bytes is in lower case, or the name is none, also the second time', () => {
    for (let byte = 0; byte < 256; byte++) {
      for (const tail of ['', '-of-a-name-that-is-too-long-to-be-kept']) {
        const { bytes, end } = window(Buffer.concat([Buffer.from('x-'), Buffer.from([byte]), Buffer.from(tail)]))
        const name = bytes.toString('latin1', 1, end)
        const want = name === name.toLowerCase() ? name : undefined
        expect([headerName(bytes, 1, end), headerName(bytes, 1, end)]).toEqual([want, want])
      }
    }
    expect(headerName(Buffer.alloc(0), 0, 0)).toBeUndefined()
  })

  it.each(['__proto__', 'constructor', '7', '-1'])('header names: %s is a name like any other', (name) => {
    for (const _ of [1, 2]) expect(headerName(Buffer.from(name), 0, name.length)).toBe(name)
  })
})
