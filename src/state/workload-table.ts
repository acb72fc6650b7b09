/**
 * What is kept of each workload (scores, figures, rhythms), bounded. Who was not heard of for longest makes room; what was suspicious about
 * him stays as a number in a sketch of fixed size (two rows of counters by hash, as in count-min), so whoever comes back is not as
 * one who was never seen. Others may share a counter: that can only make them look a little worse, and it fades by half each day.
 */
const ROW = 2 ** 16
const FADE_MS = 86_400_000

export interface WorkloadTable<T> {
  /** The workload's own, made when it is new or was forgotten. @param now milliseconds since the epoch */
  readonly get: (id: string, now: number) => T
  /** Without making one. */
  readonly peek: (id: string) => T | undefined
  readonly size: () => number
}

export interface WorkloadTableParts<T> {
  /** Kept for certain; up to twice as many are. */
  readonly most: number
  /** @param suspicion 0 for one that was never seen, else what `suspicionOf` said when it was forgotten, or more: 1 to 255 */
  readonly create: (suspicion: number) => T
  /** 0 to 255, asked when it is forgotten. */
  readonly suspicionOf: (value: T, now: number) => number
}

export function createWorkloadTable<T>({ most, create, suspicionOf }: WorkloadTableParts<T>): WorkloadTable<T> {
  // Two generations instead of an order of use: looking up costs nothing else, and nobody is moved twice.
  let [young, old] = [new Map<string, T>(), new Map<string, T>()]
  const residue = createResidue()
  const turn = (now: number) => {
    for (const [id, value] of old) residue.leave(id, suspicionOf(value, now), now)
    old = young
    young = new Map()
  }
  return {
    get(id, now) {
      const found = young.get(id)
      if (found !== undefined) return found
      const earlier = old.get(id)
      if (earlier !== undefined) old.delete(id)
      const value = earlier ?? create(residue.of(id, now))
      if (young.size >= most) turn(now)
      young.set(id, value)
      return value
    },
    peek: (id) => young.get(id) ?? old.get(id),
    size: () => young.size + old.size
  }
}

interface Residue {
  readonly leave: (id: string, suspicion: number, now: number) => void
  readonly of: (id: string, now: number) => number
}

function createResidue(): Residue {
  const [first, second] = [new Uint8Array(ROW), new Uint8Array(ROW)]
  let fadedAt = Number.NEGATIVE_INFINITY
  const fade = (now: number) => {
    if (now - fadedAt < FADE_MS) return
    if (fadedAt !== Number.NEGATIVE_INFINITY)
      for (const row of [first, second]) for (let at = 0; at < ROW; at++) row[at] = (row[at] as number) >> 1
    fadedAt = now
  }
  return {
    leave(id, suspicion, now) {
      fade(now)
      const level = Math.min(255, Math.max(0, Math.ceil(suspicion)))
      const [a, b] = placesOf(id)
      first[a] = Math.max(first[a] as number, level)
      second[b] = Math.max(second[b] as number, level)
    },
    of(id, now) {
      fade(now)
      const [a, b] = placesOf(id)
      return Math.min(first[a] as number, second[b] as number)
    }
  }
}

/** Two halves of one 32-bit hash (FNV-1a, mixed): independent enough for two rows. */
function placesOf(id: string): readonly [number, number] {
  let hash = 0x811c9dc5
  for (let at = 0; at < id.length; at++) hash = Math.imul(hash ^ id.charCodeAt(at), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
  hash ^= hash >>> 12
  return [hash & 0xffff, hash >>> 16]
}
