import { createPublicKey } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { keyFamily } from '../../src/identity/x509-algorithms.ts'
import { type KeyKind, newKey } from '../support/ca.ts'
import { bits, int, nil, octets, oid, seq, tlv } from '../support/der-write.ts'

const P256 = seq(oid('1.2.840.10045.2.1'), oid('1.2.840.10045.3.1.7'))
const RSA = seq(oid('1.2.840.113549.1.1.1'), nil())
/** An odd number of exactly so many bits. */
const modulus = (size: number): Uint8Array => int((1n << BigInt(size - 1)) + 1n)
const rsa = (n: Uint8Array, e: Uint8Array = int(65_537), ...more: readonly Uint8Array[]): Uint8Array => seq(RSA, bits(seq(n, e, ...more)))
const point = (first: number, length: number): Uint8Array => Uint8Array.of(first, ...new Uint8Array(length - 1))

describe('keyFamily', () => {
  it.each([
    { kind: 'P-256', want: 'ec' },
    { kind: 'P-384', want: 'ec' },
    { kind: 'P-521', want: 'ec' },
    { kind: 'Ed25519', want: 'ed25519' },
    { kind: 'RSA-2048', want: 'rsa' },
    { kind: 'secp256k1', want: 'a public key of a kind that is not accepted' },
    { kind: 'RSA-1024', want: 'an RSA key of 1024 bits' }
  ] as const)('X-28 a key that node made: $kind', ({ kind, want }) => {
    expect(judged(spkiOf(kind))).toBe(want)
  })

  it.each([
    { name: 'X-28 2048 bits', spki: rsa(modulus(2048)), want: 'rsa' },
    { name: 'X-28 2047 bits', spki: rsa(modulus(2047)), want: 'an RSA key of 2047 bits' },
    { name: 'X-28 8192 bits', spki: rsa(modulus(8192)), want: 'rsa' },
    { name: 'X-28 8193 bits', spki: rsa(modulus(8193)), want: 'an RSA key of 8193 bits' },
    { name: 'X-28 an exponent of 3', spki: rsa(modulus(2048), int(3)), want: 'rsa' },
    { name: 'X-28 an exponent of 1', spki: rsa(modulus(2048), int(1)), want: 'a malformed RSA key' },
    { name: 'X-28 an even exponent', spki: rsa(modulus(2048), int(65_536)), want: 'a malformed RSA key' },
    { name: 'X-28 an exponent of five bytes', spki: rsa(modulus(2048), int((1n << 32n) + 1n)), want: 'a malformed RSA key' },
    { name: 'X-28 an even modulus', spki: rsa(int(1n << 2047n)), want: 'a malformed RSA key' },
    { name: 'X-28 a negative modulus', spki: rsa(tlv(2, new Uint8Array(256).fill(0xff))), want: 'a malformed RSA key' },
    { name: 'X-28 a third number', spki: rsa(modulus(2048), int(65_537), int(1)), want: 'a malformed RSA key' },
    { name: 'X-28 no numbers', spki: seq(RSA, bits(nil())), want: 'a malformed RSA key' },
    {
      name: 'X-28 RSA without its NULL',
      spki: seq(seq(oid('1.2.840.113549.1.1.1')), bits(seq(modulus(2048), int(3)))),
      want: 'a public key of a kind that is not accepted'
    },
    { name: 'X-28 an uncompressed point', spki: seq(P256, bits(point(4, 65))), want: 'ec' },
    { name: 'X-28 a compressed point', spki: seq(P256, bits(point(2, 33))), want: 'a malformed public key' },
    { name: 'X-28 a point of another form with that length', spki: seq(P256, bits(point(6, 65))), want: 'a malformed public key' },
    { name: 'X-28 a point of another curve', spki: seq(P256, bits(point(4, 97))), want: 'a malformed public key' },
    { name: 'X-28 a point with unused bits', spki: seq(P256, bits(point(4, 65), 1)), want: 'a malformed public key' },
    { name: 'X-28 a point as bytes', spki: seq(P256, octets(point(4, 65))), want: 'a malformed public key' },
    { name: 'X-28 something after the point', spki: seq(P256, bits(point(4, 65)), nil()), want: 'a malformed public key' },
    { name: 'X-28 no key at all', spki: seq(), want: 'a malformed public key' }
  ])('$name: $want', ({ spki, want }) => {
    expect(judged(spki)).toBe(want)
  })
})

function judged(spki: Uint8Array): string {
  const result = keyFamily(Buffer.from(spki))
  return result.ok ? result.family : result.detail
}

function spkiOf(kind: KeyKind): Uint8Array {
  return createPublicKey(newKey(kind)).export({ type: 'spki', format: 'der' })
}
