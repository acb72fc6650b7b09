import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  childrenOf,
  dottedOid,
  type Element,
  elementAt,
  readBits,
  readBoolean,
  readOid,
  readSmall,
  readTime,
  readUnsigned,
  TAG,
  wholeElement
} from '../../src/identity/der.ts'
import * as write from '../support/der-write.ts'

const bytes = (hex: string): Buffer => Buffer.from(hex.replaceAll(' ', ''), 'hex')
function first(der: Uint8Array): { readonly der: Buffer; readonly element: Element } {
  const buffer = Buffer.from(der)
  const element = elementAt(buffer, 0, buffer.length)
  if (element === undefined) throw new Error('the test wrote no DER')
  return { der: buffer, element }
}

describe('elements', () => {
  it.each([
    { name: 'an empty element', hex: '3000', want: 2 },
    { name: 'a short length', hex: '0402 0102', want: 4 },
    { name: 'a length of 128 in one more byte', hex: `048180${'00'.repeat(128)}`, want: 131 },
    { name: 'a length of 256 in two more bytes', hex: `04820100${'00'.repeat(256)}`, want: 260 },
    { name: 'bytes after it', hex: '0401 01 ff', want: 3 },
    { name: 'no byte', hex: '', want: undefined },
    { name: 'a tag alone', hex: '30', want: undefined },
    { name: 'a length that is not there', hex: '0481', want: undefined },
    { name: 'content that is cut', hex: '0402 01', want: undefined },
    { name: 'a length of 127 in one more byte', hex: `04817f${'00'.repeat(127)}`, want: undefined },
    { name: 'a length of 128 in two more bytes', hex: `04820080${'00'.repeat(128)}`, want: undefined },
    { name: 'an indefinite length', hex: '3080 0000', want: undefined },
    { name: 'a length in four more bytes', hex: '048401000000', want: undefined },
    { name: 'a tag of several bytes', hex: '1f8101 00', want: undefined },
    { name: 'the end-of-contents tag', hex: '0000', want: undefined }
  ])('$name', ({ hex, want }) => {
    const buffer = bytes(hex)
    expect(elementAt(buffer, 0, buffer.length)?.to).toBe(want)
  })

  it('a whole element has its tag and ends with the bytes', () => {
    expect(wholeElement(bytes('3000'), TAG.sequence)).toBeDefined()
    expect(wholeElement(bytes('3000'), TAG.set)).toBeUndefined()
    expect(wholeElement(bytes('300000'), TAG.sequence)).toBeUndefined()
  })

  it('children fill their parent', () => {
    const { der, element } = first(write.seq(write.nil(), write.int(5), write.seq()))
    expect(childrenOf(der, element)?.map((child) => child.tag)).toEqual([0x05, 0x02, 0x30])
    const short = first(write.seq(Uint8Array.of(0x04, 0x02, 0x01)))
    expect(childrenOf(short.der, short.element)).toBeUndefined()
    const primitive = first(write.octets(write.nil()))
    expect(childrenOf(primitive.der, primitive.element)).toBeUndefined()
  })
})

describe('values', () => {
  const reading =
    <T>(read: (der: Buffer, element: Element) => T) =>
    (hex: string): T => {
      const { der, element } = first(bytes(hex))
      return read(der, element)
    }

  it.each([
    { hex: '0101ff', want: true },
    { hex: '010100', want: false },
    { hex: '010101', want: undefined },
    { hex: '0100', want: undefined },
    { hex: '0102ffff', want: undefined },
    { hex: '0201ff', want: undefined }
  ])('boolean $hex', ({ hex, want }) => {
    expect(reading(readBoolean)(hex)).toBe(want)
  })

  it.each([
    { hex: '020100', want: 0 },
    { hex: '02017f', want: 127 },
    { hex: '02020080', want: 128 },
    { hex: '0204 7fffffff', want: 0x7fffffff },
    { hex: '0205 0080000000', want: undefined },
    { hex: '020180', want: undefined },
    { hex: '0202007f', want: undefined },
    { hex: '0200', want: undefined },
    { hex: '0a0101', want: undefined }
  ])('integer $hex', ({ hex, want }) => {
    expect(reading(readSmall)(hex)).toBe(want)
  })

  it('an integer of any length, but not a negative one', () => {
    expect(reading(readUnsigned)(`0214${'7f'.repeat(20)}`)?.length).toBe(20)
    expect(reading(readUnsigned)(`0214${'80'.repeat(20)}`)).toBeUndefined()
  })

  it.each([
    { hex: '03020780', want: '80/7' },
    { hex: '030100', want: '/0' },
    { hex: '03020781', want: undefined },
    { hex: '03020880', want: undefined },
    { hex: '030101', want: undefined },
    { hex: '0300', want: undefined },
    { hex: '040100', want: undefined }
  ])('bits $hex', ({ hex, want }) => {
    const read = reading(readBits)(hex)
    expect(read && `${read.bits.toString('hex')}/${read.unused}`).toBe(want)
  })

  it.each([
    { hex: '0603551d11', want: '2.5.29.17' },
    { hex: '06082a8648ce3d040302', want: '1.2.840.10045.4.3.2' },
    { hex: '0603818001', want: '2.16305' },
    { hex: '06035501 80', want: undefined },
    { hex: '0603558001', want: undefined },
    { hex: '0600', want: undefined }
  ])('OID $hex', ({ hex, want }) => {
    const read = reading(readOid)(hex)
    expect(read === undefined ? undefined : dottedOid(read)).toBe(want)
  })

  it.each([
    { text: '261120115959Z', want: '2026-11-20T11:59:59.000Z' },
    { text: '491231235959Z', want: '2049-12-31T23:59:59.000Z' },
    { text: '500101000000Z', want: '1950-01-01T00:00:00.000Z' },
    { text: '240229000000Z', want: '2024-02-29T00:00:00.000Z' },
    { text: '20500101000000Z', want: '2050-01-01T00:00:00.000Z' },
    { text: '99991231235959Z', want: '9999-12-31T23:59:59.000Z' },
    { text: '20491231235959Z', want: undefined },
    { text: '250229000000Z', want: undefined },
    { text: '260631000000Z', want: undefined },
    { text: '261301000000Z', want: undefined },
    { text: '260001000000Z', want: undefined },
    { text: '261100000000Z', want: undefined },
    { text: '261120240000Z', want: undefined },
    { text: '261120116000Z', want: undefined },
    { text: '261120115960Z', want: undefined },
    { text: '2611201159Z', want: undefined },
    { text: '261120115959+0000', want: undefined },
    { text: '26112011595 Z', want: undefined },
    { text: '261120115959z', want: undefined },
    { text: '20500101000000.5Z', want: undefined }
  ])('time $text', ({ text, want }) => {
    const general = text.length > 13 && !text.includes('+')
    const { der, element } = first(write.tlv(general ? 0x18 : 0x17, Buffer.from(text)))
    const ms = readTime(der, element)
    expect(ms === undefined ? undefined : new Date(ms).toISOString()).toBe(want)
  })
})

describe('time', () => {
  it('is in one of the two types for it', () => {
    const { der, element } = first(write.tlv(0x16, Buffer.from('261120115959Z')))
    expect(readTime(der, element)).toBeUndefined()
    const wider = first(write.tlv(0x16, Buffer.from('20500101000000Z')))
    expect(readTime(wider.der, wider.element)).toBeUndefined()
  })
})

describe('what was written is read', () => {
  it('integers, OIDs and times, whatever they are', () => {
    const arcs = fc.array(fc.nat(), { maxLength: 5 })
    fc.assert(
      fc.property(fc.nat(), fc.constantFrom('1.2', '0.39', '2.5', '2.999'), arcs, (number, root, rest) => {
        const dotted = [root, ...rest].join('.')
        const [integer, oid] = [first(write.int(number)), first(write.oid(dotted))]
        expect(readSmall(integer.der, integer.element)).toBe(number)
        expect(dottedOid(readOid(oid.der, oid.element) ?? '')).toBe(dotted)
      })
    )
    const seconds = fc.integer({ min: Date.UTC(1950, 0, 1) / 1000, max: Date.UTC(9999, 11, 31) / 1000 })
    fc.assert(
      fc.property(seconds, (second) => {
        const { der, element } = first(write.time(second * 1000))
        expect(readTime(der, element)).toBe(second * 1000)
      })
    )
  })
})
