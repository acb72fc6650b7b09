import { TAG } from './der.ts'

/**
 * An ECDSA signature of JWS, two numbers of equal length (RFC 7518 §3.4), as OpenSSL takes it: Ecdsa-Sig-Value (RFC 3279 §2.2.3),
 * DER. For the curves of JWT-SVID: at most 132 bytes. Node can do this too, for a quarter of what the check costs.
 */
export function ecdsaSigValue(signature: Buffer): Buffer {
  const half = signature.length / 2
  const parts = [...integer(signature.subarray(0, half)), ...integer(signature.subarray(half))]
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  const header = length < 0x80 ? Buffer.of(TAG.sequence, length) : Buffer.of(TAG.sequence, 0x81, length)
  return Buffer.concat([header, ...parts])
}

/** A number without leading zeros, but for the one of a zero, and one before a high bit, which would read as a sign. */
function integer(digits: Buffer): readonly Buffer[] {
  let at = 0
  while (at < digits.length - 1 && digits[at] === 0) at++
  const shortest = digits.subarray(at)
  const negative = (shortest[0] ?? 0) >= 0x80
  return negative ? [Buffer.of(TAG.integer, shortest.length + 1, 0), shortest] : [Buffer.of(TAG.integer, shortest.length), shortest]
}
