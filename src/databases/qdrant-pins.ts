/**
 * What a Qdrant filter or payload proves about a field. Fields are JSON paths there (lib/segment/src/json_path of 1.19): `tenant`,
 * `"tenant"` and `tenant[]` can lead to one value, so only the plain spelling counts as the name of a field.
 */

/** Field to the one text value that it has in every record meant. */
export type Pins = ReadonlyMap<string, string>

export const NO_PINS: Pins = new Map()

/** Keys between points; what else Qdrant's grammar knows (quotes, brackets, letters beyond ASCII) has other spellings. */
const PLAIN_PATH = /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/

export function isPlainPath(path: string): boolean {
  return PLAIN_PATH.test(path)
}

/** A key of a payload that a path can lead to under its own name. */
export function isPlainKey(key: string): boolean {
  return PLAIN_PATH.test(key) && !key.includes('.')
}

/** Both hold. A field that would have two values is left out: a record with a list of both matches either. */
export function both(one: Pins, other: Pins): Pins {
  if (one.size === 0) return other
  if (other.size === 0) return one
  const pins = new Map(one)
  for (const [field, value] of other) {
    if (one.has(field) && one.get(field) !== value) pins.delete(field)
    else pins.set(field, value)
  }
  return pins
}

/** One of them holds, and nobody knows which; of none at all, nothing is proved. */
export function either(all: readonly Pins[]): Pins {
  const [first = NO_PINS, ...others] = all
  if (others.every((other) => other === first)) return first
  const pins = new Map<string, string>()
  for (const [field, value] of first) {
    if (others.every((other) => other.get(field) === value)) pins.set(field, value)
  }
  return pins
}

/** The conditions of one `must`, as they are read. */
export interface Conjunction {
  readonly pins: Map<string, string>
  /** Fields that two conditions give two values. */
  readonly torn: Set<string>
}

export function conjunction(): Conjunction {
  return { pins: new Map(), torn: new Set() }
}

/** Takes a condition that has the key and a text to match, and nothing else. */
export function holds({ pins, torn }: Conjunction, field: string, value: string): void {
  if (!isPlainPath(field)) return
  if (pins.has(field) && pins.get(field) !== value) torn.add(field)
  pins.set(field, value)
  if (torn.has(field)) pins.delete(field)
}

/** Comparisons of a changed path with a pinned field in one change: each is some 10 ns, and a change of a few fields needs a few. */
const COMPARED_MAX = 65_536

/**
 * Names what a change of `path` touches: the path, and each pinned field that lies above or below it.
 * @param path `*` where it could be any
 */
export function touched(paths: readonly string[], pins: Pins): readonly string[] {
  // A body of thousands of both would hold up everybody's calls for seconds.
  if (paths.length * pins.size > COMPARED_MAX) return ['*']
  const fields = [...pins.keys()].filter((field) =>
    paths.some((path) => path === field || field.startsWith(`${path}.`) || path.startsWith(`${field}.`))
  )
  return [...new Set([...paths, ...fields])]
}
