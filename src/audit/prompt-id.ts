/**
 * A name for what was asked, so that equal questions are seen to be equal and nothing else can be read: a keyed hash (HMAC-SHA-256) of
 * the query vectors, or of the words where there are none. Without the key nobody can try out what was asked.
 */
import { createHmac } from 'node:crypto'

const KEY_BYTES_MIN = 32
/** 128 bits: equal by chance after 2^64 different questions. */
const ID_BYTES = 16
const STEPS = 127

export interface PromptIds {
  /** @param vectors of the call, finite numbers. @param texts where it has none. @returns undefined for a call that asks nothing */
  readonly of: (vectors: readonly Float32Array[], texts: () => readonly string[]) => string | undefined
}

/** @returns a sentence where the key is too short */
export function createPromptIds(key: Buffer): PromptIds | string {
  if (key.length < KEY_BYTES_MIN) return `it has ${key.length} bytes, and ${KEY_BYTES_MIN} are the least`
  return {
    of(vectors, texts) {
      const parts = vectors.length > 0 ? vectors.map(steps) : texts().map(plainText)
      if (parts.length === 0) return undefined
      const hmac = createHmac('sha256', key)
      for (const part of parts) hmac.update(`${part.length}:`).update(part)
      return hmac.digest('hex').slice(0, 2 * ID_BYTES)
    }
  }
}

/** 255 steps of the largest component: what differs in the last digits only is the same question. */
function steps(vector: Float32Array): Uint8Array {
  let largest = 0
  for (const value of vector) {
    const size = value < 0 ? -value : value
    if (size > largest) largest = size
  }
  const bytes = new Uint8Array(vector.length)
  const scale = largest === 0 ? 0 : STEPS / largest
  for (let at = 0; at < vector.length; at++) bytes[at] = Math.round((vector[at] ?? 0) * scale)
  return bytes
}

/** Case and white space make no other question. */
function plainText(text: string): Buffer {
  return Buffer.from(text.normalize('NFKC').toLowerCase().replace(/\s+/g, ' ').trim())
}
