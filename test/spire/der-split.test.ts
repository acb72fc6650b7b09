import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { splitDer } from '../../src/spire/der-split.ts'
import { seq } from '../support/der-write.ts'

const bytes = (...values: number[]) => Uint8Array.from(values)

describe('concatenated DER', () => {
  it('comes apart as it was put together, whatever the lengths', () => {
    const contents = fc.array(fc.oneof(fc.uint8Array({ maxLength: 8 }), fc.uint8Array({ minLength: 120, maxLength: 300 })), {
      maxLength: 5
    })
    fc.assert(
      fc.property(contents, (parts) => {
        const values = parts.map((part) => seq(part))
        expect(splitDer(new Uint8Array(Buffer.concat(values)), 5)).toEqual(values)
      })
    )
  })

  it('copies, so that a certificate does not keep the message and its private key alive', () => {
    const [first] = splitDer(Buffer.concat([seq(bytes(1)), seq(bytes(2))]), 2) ?? []
    expect(first?.buffer.byteLength).toBe(3)
  })

  const rows = [
    { name: 'a trailing byte', input: bytes(0x30, 1, 0, 0) },
    { name: 'another tag', input: bytes(0x31, 1, 0) },
    { name: 'a cut value', input: bytes(0x30, 2, 0) },
    { name: 'a cut header', input: bytes(0x30) },
    { name: 'a cut long length', input: bytes(0x30, 0x82, 1) },
    { name: 'an indefinite length', input: bytes(0x30, 0x80, 0, 0) },
    { name: 'a long length that fits the short form', input: bytes(0x30, 0x81, 1, 0) },
    { name: 'a length with a leading zero', input: bytes(0x30, 0x82, 0, 1, 0) },
    { name: 'a length of four bytes', input: bytes(0x30, 0x84, 1, 0, 0, 0) }
  ]
  it.each(rows)('A-11: $name is refused', ({ input }) => {
    expect(splitDer(input, 9)).toBeUndefined()
  })

  it('one value more than allowed is refused, as many as allowed are not', () => {
    const two = Buffer.concat([seq(), seq()])
    expect(splitDer(two, 2)).toHaveLength(2)
    expect(splitDer(two, 1)).toBeUndefined()
  })
})
