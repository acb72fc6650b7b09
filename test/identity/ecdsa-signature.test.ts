import { createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { ecdsaSigValue } from '../../src/identity/ecdsa-signature.ts'
import { newKey } from '../support/ca.ts'

const hexOf = (r: string, s: string): string => ecdsaSigValue(Buffer.from(r + s, 'hex')).toString('hex')

describe('an ECDSA signature in DER', () => {
  it.each([
    { name: 'two small numbers', r: '01020304', s: '7f020304', want: '300c' + '020401020304' + '02047f020304' },
    { name: 'numbers that would read as negative', r: '80000000', s: 'ffffffff', want: '300e' + '02050080000000' + '020500ffffffff' },
    { name: 'leading zeros', r: '00000304', s: '00008304', want: '3009' + '02020304' + '0203008304' },
    { name: 'nothing but zeros', r: '00000000', s: '00000001', want: '3006' + '020100' + '020101' },
    {
      name: 'the longest of P-521, with a length of two bytes',
      r: `01${'ff'.repeat(65)}`,
      s: `01${'00'.repeat(65)}`,
      want: `308188${`024201${'ff'.repeat(65)}`}${`024201${'00'.repeat(65)}`}`
    },
    {
      name: '127 bytes inside, the most that one byte of length says',
      r: '00'.repeat(5) + '7f'.repeat(61),
      s: '00'.repeat(4) + '7f'.repeat(62),
      want: `307f${`023d${'7f'.repeat(61)}`}${`023e${'7f'.repeat(62)}`}`
    },
    {
      name: '128 bytes inside',
      r: '00'.repeat(4) + '7f'.repeat(62),
      s: '00'.repeat(4) + '7f'.repeat(62),
      want: `308180${`023e${'7f'.repeat(62)}`}${`023e${'7f'.repeat(62)}`}`
    }
  ])('$name', ({ r, s, want }) => {
    expect(hexOf(r, s)).toBe(want)
  })

  it.each(['P-256', 'P-384', 'P-521'] as const)('of %s is the signature that it was', (kind) => {
    const key: KeyObject = newKey(kind)
    const known = createPublicKey(key)
    // Some of these begin with a zero byte or with a high bit, in one half or the other.
    for (let run = 0; run < 40; run++) {
      const bytes = Buffer.of(run)
      const made = sign('sha256', bytes, { key, dsaEncoding: 'ieee-p1363' })
      expect(verify('sha256', bytes, known, ecdsaSigValue(made))).toBe(true)
      const other = Buffer.from(made)
      other[run % made.length] = (other[run % made.length] ?? 0) ^ 1
      expect(verify('sha256', bytes, known, ecdsaSigValue(other))).toBe(false)
    }
  })
})
