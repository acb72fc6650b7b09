/**
 * Certificates and their chains come with every call and rarely change, and so do the names of headers and most of their values.
 * Text that was seen before is found again by its bytes, so that the same string comes back: no 3 KiB are decoded and hashed anew
 * for each call (5 µs of a decision, measured), and no thirty short texts (another 4).
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
  known.set(place, { bytes: copyOf(bytes, start, end), text })
  return text
}

/** In memory of its own: a piece of the pool would keep all of that. */
function copyOf(bytes: Buffer, start: number, end: number): Buffer {
  const copy = Buffer.allocUnsafeSlow(end - start)
  bytes.copy(copy, 0, start, end)
  return copy
}

/** A number from the length and 32 bytes spread over the text; others with the same number only replace each other. */
function sample(bytes: Buffer, start: number, end: number): number {
  const step = Math.floor((end - start) / 32)
  let sum = end - start
  for (let at = start; at < end; at += step) sum = (Math.imul(sum, 31) + (bytes[at] as number)) | 0
  return sum
}

/** Longer than the longest name that Envoy writes; shorter than what is a secret or new with each call. */
const SHORT_MAX = 32
/** A power of two. Each place holds the last text that fell on it: nothing to fill up, and nothing to search. */
const PLACES = 1_024
const names = new Array<string>(PLACES).fill('')
const values = new Array<string>(PLACES).fill('')

/** `bytes[start, end)` as a header's name; undefined when it is empty or not in lower case. */
export function headerName(bytes: Buffer, start: number, end: number): string | undefined {
  if (end - start > SHORT_MAX) return lowerCase(bytes.toString('latin1', start, end))
  const place = placeOf(bytes, start, end)
  const found = names[place] as string
  if (found !== '' && isText(found, bytes, start, end)) return found
  const name = lowerCase(bytes.toString('latin1', start, end))
  if (name !== undefined) names[place] = asKey(name)
  return name
}

function lowerCase(name: string): string | undefined {
  return name !== '' && name === name.toLowerCase() ? name : undefined
}

/** `bytes[start, end)` as latin1 text, as `latin1Text`, where the same few short texts are expected. */
export function shortText(bytes: Buffer, start: number, end: number): string {
  if (end - start > SHORT_MAX) return latin1Text(bytes, start, end)
  const place = placeOf(bytes, start, end)
  const found = values[place] as string
  if (isText(found, bytes, start, end)) return found
  const text = bytes.toString('latin1', start, end)
  values[place] = text
  return text
}

function placeOf(bytes: Buffer, start: number, end: number): number {
  let sum = end - start
  for (let at = start; at < end; at++) sum = Math.imul(sum ^ (bytes[at] as number), 0x01000193)
  return (sum ^ (sum >>> 15)) & (PLACES - 1)
}

function isText(text: string, bytes: Buffer, start: number, end: number): boolean {
  if (text.length !== end - start) return false
  for (let at = start; at < end; at++) if (text.charCodeAt(at - start) !== bytes[at]) return false
  return true
}

/** The same text as the very string that the engine keeps for property names: a Map finds it by its address, as it finds literals. */
function asKey(name: string): string {
  return Object.keys({ [name]: 0 })[0] as string
}
