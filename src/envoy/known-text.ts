/**
 * Certificates and their chains come with every call and rarely change. Text that was seen before is found again by its bytes, so
 * that the same string comes back: no 3 KiB are decoded and hashed anew for each call (5 µs of a decision, measured).
 */

/** Entries kept; one is some KiB, and each caller has two. */
const ENTRIES_MAX = 1_024
/** Shorter text is cheaper to decode than to look for; longer text than a chain of three is not worth its memory (16 MiB in all). */
const [BYTES_MIN, BYTES_MAX] = [256, 8 * 1024]

interface Known {
  readonly bytes: Buffer
  readonly text: string
}

const known = new Map<number, Known>()

/** `bytes[start, end)` as latin1 text, one for one. */
export function latin1Text(bytes: Buffer, start: number, end: number): string {
  if (end - start < BYTES_MIN || end - start > BYTES_MAX) return bytes.toString('latin1', start, end)
  const place = sample(bytes, start, end)
  const found = known.get(place)
  // The sample only says where to look; every byte is compared before anything is believed.
  if (found !== undefined && found.bytes.compare(bytes, start, end) === 0) return found.text
  const text = bytes.toString('latin1', start, end)
  if (known.size >= ENTRIES_MAX) known.clear()
  known.set(place, { bytes: Buffer.from(bytes.subarray(start, end)), text })
  return text
}

/** A number from the length and 32 bytes spread over the text; others with the same number only replace each other. */
function sample(bytes: Buffer, start: number, end: number): number {
  const step = Math.floor((end - start) / 32)
  let sum = end - start
  for (let at = start; at < end; at += step) sum = (Math.imul(sum, 31) + (bytes[at] as number)) | 0
  return sum
}
