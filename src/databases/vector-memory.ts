/**
 * Where vectors lie: behind one another in larger pieces of memory, for a piece of its own costs a vector of 1536 components more
 * than to read it. Each place is given away once, so a vector stays what it is for as long as somebody holds it.
 */
import { Buffer } from 'node:buffer'

const SLAB_BYTES = 128 * 1024
/** Longer ones get memory of their own: half a slab left empty is no gain. */
const SHARE_BYTES = SLAB_BYTES / 4

let slab = new ArrayBuffer(SLAB_BYTES)
let slabBytes = Buffer.from(slab)
let taken = 0

/**
 * Copies little-endian float32 out of bytes that may begin anywhere.
 * @param length in bytes, a multiple of 4
 */
export function copyFloats(bytes: Buffer, start: number, length: number): Float32Array {
  if (length > SHARE_BYTES) {
    const own = new ArrayBuffer(length)
    bytes.copy(Buffer.from(own), 0, start, start + length)
    return new Float32Array(own)
  }
  if (taken + length > SLAB_BYTES) {
    slab = new ArrayBuffer(SLAB_BYTES)
    slabBytes = Buffer.from(slab)
    taken = 0
  }
  const at = taken
  taken += length
  bytes.copy(slabBytes, at, start, start + length)
  return new Float32Array(slab, at, length / 4)
}
