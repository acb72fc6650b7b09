import { describe, expect, it } from 'vitest'
import { decodeUrlPem } from '../../src/identity/pem.ts'
import { envoyPem } from '../support/ca.ts'

const A = Uint8Array.of(0x30, 0x03, 0x02, 0x01, 0x2a)
const B = new Uint8Array(100).fill(0xfb)
const TEXT = envoyPem(A)
const decoded = (text: string, most = 1): unknown => {
  const result = decodeUrlPem(text, most)
  return result.ok ? result.certificates.map((one) => [...one]) : result.detail
}

describe('decodeUrlPem', () => {
  it.each([
    { name: 'one block', text: TEXT, want: [[...A]] },
    { name: 'a block of several lines', text: envoyPem(B), want: [[...B]] },
    { name: 'one block that is not escaped', text: decodeURIComponent(TEXT), want: [[...A]] },
    { name: 'nothing', text: '', want: 'empty' },
    { name: 'two blocks where one is wanted', text: envoyPem(A, B), want: 'followed by something after its block' },
    { name: 'text after the block', text: `${TEXT}x`, want: 'followed by something after its block' },
    { name: 'an empty line after the block', text: `${TEXT}%0A`, want: 'followed by something after its block' },
    { name: 'text before the block', text: `x${TEXT}`, want: 'not a PEM block of type CERTIFICATE' },
    { name: 'a block that does not end', text: TEXT.slice(0, -10), want: 'not a PEM block of type CERTIFICATE' },
    { name: 'a block without its last newline', text: TEXT.slice(0, -3), want: 'not a PEM block of type CERTIFICATE' },
    { name: 'a block of another type', text: TEXT.replaceAll('CERTIFICATE', 'PUBLIC%20KEY'), want: 'not a PEM block of type CERTIFICATE' },
    { name: 'a header inside the block', text: TEXT.replace('MAMC', 'Proc-Type: 4%0A%0AMAMC'), want: 'not strict base64' },
    { name: 'an empty block', text: envoyPem(new Uint8Array()), want: 'not strict base64' },
    { name: 'a space in the base64', text: TEXT.replace('MAMC', 'MA%20MC'), want: 'not strict base64' },
    { name: 'carriage returns', text: TEXT.replaceAll('%0A', '%0D%0A'), want: 'not a PEM block of type CERTIFICATE' },
    { name: 'the alphabet of URLs', text: envoyPem(B).replaceAll('%2F', '_').replaceAll('%2B', '-'), want: 'not strict base64' },
    { name: 'missing padding', text: TEXT.replace('%3D', ''), want: 'not strict base64' },
    { name: 'too much padding', text: TEXT.replace('%3D', '%3D%3D'), want: 'not strict base64' },
    { name: 'leftover bits', text: TEXT.replace('ASo%3D', 'ASp%3D'), want: 'not strict base64' },
    { name: 'a broken escape', text: TEXT.replace('%3D', '%3'), want: 'not URL-encoded' },
    { name: 'an escape that is not UTF-8', text: TEXT.replace('%3D', '%FF'), want: 'not URL-encoded' }
  ])('$name', ({ text, want }) => {
    expect(decoded(text)).toEqual(want)
  })

  it('reads a chain in its order, up to the number that is asked for', () => {
    expect(decoded(envoyPem(A, B, A), 3)).toEqual([[...A], [...B], [...A]])
    expect(decoded(envoyPem(A, B, A), 2)).toBe('followed by something after 2 blocks')
  })
})
