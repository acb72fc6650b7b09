/** The last sketches of a workload: how close a query is to those of its burst and of earlier ones (docs/drift.md, Coherence). */
import { RING, type Rings, SKETCH_DIMENSIONS } from '../core/drift.ts'
import { scramble } from './drift-sketch.ts'
import { type Kernel, RING_ROWS } from './kernel.ts'

/** Fewest earlier queries that say something. */
const EARLIER_MIN = 8

export function newRings(): Rings {
  return {
    rows: new Int8Array(RING_ROWS * SKETCH_DIMENSIONS),
    scales: new Float32Array(RING_ROWS),
    digests: new Int32Array(2 * RING_ROWS),
    current: 0,
    earlier: 0
  }
}

/** The running burst becomes an earlier one. */
export function endBurst(rings: Rings): void {
  const kept = Math.min(rings.current, RING)
  for (let from = 0; from < kept; from++) {
    const to = RING + (rings.earlier % RING)
    rings.rows.copyWithin(to * SKETCH_DIMENSIONS, from * SKETCH_DIMENSIONS, (from + 1) * SKETCH_DIMENSIONS)
    rings.digests.copyWithin(2 * to, 2 * from, 2 * from + 2)
    rings.scales[to] = rings.scales[from] as number
    rings.earlier++
  }
  rings.current = 0
}

export function pushRow(rings: Rings, row: Int8Array, scale: number, digest: Digest): void {
  const at = rings.current % RING
  rings.rows.set(row, at * SKETCH_DIMENSIONS)
  rings.scales[at] = scale
  rings.digests[2 * at] = digest.low
  rings.digests[2 * at + 1] = digest.high
  rings.current++
}

/**
 * Distances, 0 to 2, to the nearest query of the running burst and of earlier ones, and to the query before in the burst; NaN where there
 * are none to compare with.
 */
export interface Distances {
  inBurst: number
  across: number
  successive: number
}

export function noDistances(): Distances {
  return { inBurst: Number.NaN, across: Number.NaN, successive: Number.NaN }
}

export function distances(rings: Rings, row: Int8Array, scale: number, kernel: Kernel, out: Distances): void {
  kernel.compareRings(rings.rows, row)
  const [current, earlier] = [Math.min(rings.current, RING), Math.min(rings.earlier, RING)]
  out.inBurst = current === 0 ? Number.NaN : distance(rings, 0, current, scale, kernel.closeness)
  out.across = earlier < EARLIER_MIN ? Number.NaN : distance(rings, RING, RING + earlier, scale, kernel.closeness)
  const before = (rings.current - 1) % RING
  out.successive = current === 0 ? Number.NaN : distance(rings, before, before + 1, scale, kernel.closeness)
}

function distance({ scales }: Rings, from: number, to: number, scale: number, closeness: Int32Array): number {
  let most = -1
  for (let at = from; at < to; at++) most = Math.max(most, (closeness[at] as number) * (scales[at] as number) * scale)
  return 1 - Math.min(1, most)
}

/** Tells whether two queries are the same to the bit; not for keeping secrets. */
export interface Digest {
  low: number
  high: number
}

/** The same vector, filter, limit and offset as one in the rings. */
export function isRepeat({ digests, current, earlier }: Rings, { low, high }: Digest): boolean {
  const ends = [2 * Math.min(current, RING), 2 * (RING + Math.min(earlier, RING))]
  for (let half = 0; half < 2; half++)
    for (let at = half * 2 * RING; at < (ends[half] as number); at += 2) if (digests[at] === low && digests[at + 1] === high) return true
  return false
}

const residualWords = new Float64Array(1)
const residualBits = new Int32Array(residualWords.buffer)
/** Components of the vector itself that go into the digest of its sketch. */
const RAW = 8

/**
 * Digest by the sketch, which is at hand: that of another vector differs in some bit of 64 products with a secret matrix, in the
 * residual energy, or in the components that are looked at.
 */
export function digestOfSketch(
  sketch: Float32Array,
  residual: number,
  vector: Float32Array,
  rest: number,
  seed: number,
  out: Digest
): void {
  residualWords[0] = residual
  let salt = scramble(seed ^ (residualBits[0] as number)) ^ (residualBits[1] as number)
  const step = Math.max(1, Math.floor(vector.length / RAW))
  for (let at = 0; at < vector.length; at += step) {
    residualWords[0] = vector[at] as number
    salt = scramble(salt ^ (residualBits[0] as number)) ^ (residualBits[1] as number)
  }
  digestOf(sketch, rest, salt, out)
}

/** @param seed secret of the space, so that nobody can look for a vector that passes as a repeat of another one */
export function digestOf(vector: Float32Array, rest: number, seed: number, out: Digest): void {
  const bits = new Int32Array(vector.buffer, vector.byteOffset, vector.length)
  let h0 = seed | 1
  let h1 = scramble(seed)
  let h2 = scramble(seed + 1)
  let h3 = scramble(seed + 2)
  const whole = bits.length & ~3
  for (let at = 0; at < whole; at += 4) {
    h0 = Math.imul(h0 ^ (bits[at] as number), 0x01000193) + (h0 >>> 15)
    h1 = Math.imul(h1 ^ (bits[at + 1] as number), 0x01000193) + (h1 >>> 15)
    h2 = Math.imul(h2 ^ (bits[at + 2] as number), 0x01000193) + (h2 >>> 15)
    h3 = Math.imul(h3 ^ (bits[at + 3] as number), 0x01000193) + (h3 >>> 15)
  }
  for (let at = whole; at < bits.length; at++) h0 = Math.imul(h0 ^ (bits[at] as number), 0x01000193) + (h0 >>> 15)
  out.low = scramble(scramble(scramble(scramble(h0 ^ rest) ^ h1) ^ h2) ^ h3)
  out.high = scramble(scramble(scramble(scramble(h3 ^ bits.length) ^ h2) ^ h1) ^ h0 ^ Math.imul(rest, 0x9e3779b1))
}
