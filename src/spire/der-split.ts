/**
 * Cuts concatenated DER values apart (SPIFFE Workload API §5.1: certificates follow each other without PEM or separators).
 * Every value must be a SEQUENCE with a minimal definite length and fill its bytes exactly: returns undefined for anything else,
 * trailing bytes included (rule A-11), and for more than `most` values.
 */
export function splitDer(bytes: Uint8Array, most: number): Uint8Array[] | undefined {
  const values: Uint8Array[] = []
  for (let at = 0; at < bytes.length; ) {
    const size = sequenceSize(bytes, at)
    if (size === undefined || at + size > bytes.length || values.length === most) return undefined
    // A copy: the message buffer also holds a private key, and a slice would keep all of it alive.
    values.push(Uint8Array.from(bytes.subarray(at, at + size)))
    at += size
  }
  return values
}

/** Bytes of the SEQUENCE at `at`, header included. */
function sequenceSize(bytes: Uint8Array, at: number): number | undefined {
  const first = bytes[at + 1]
  if (bytes[at] !== 0x30 || first === undefined) return undefined
  if (first < 0x80) return 2 + first
  const count = first - 0x80
  if (count < 1 || count > 3) return undefined
  let length = 0
  for (let index = 0; index < count; index += 1) {
    const byte = bytes[at + 2 + index]
    if (byte === undefined || (index === 0 && byte === 0)) return undefined
    length = length * 256 + byte
  }
  return length < 0x80 ? undefined : 2 + count + length
}
