/**
 * What a Qdrant filter or payload proves about a field. Fields are JSON paths there (lib/segment/src/json_path of 1.19): `tenant`,
 * `"tenant"` and `tenant[]` can lead to one value, so only the plain spelling counts as the name of a field.
 */

/** Field to the one text value that it has in every record meant. */
export type Pins = ReadonlyMap<string, string>

export const NO_PINS: Pins = new Map()

/** Keys between points; what else Qdrant's grammar knows (quotes, brackets, letters beyond ASCII) has other spellings. */
export function isPlainPath(path: string): boolean {
  let length = 0
  for (let at = 0; at < path.length; at++) {
    const code = path.charCodeAt(at)
    if (isKeyCharacter(code)) length++
    else if (code === POINT && length > 0) length = 0
    else return false
  }
  return length > 0
}

const POINT = 0x2e

/** A letter or digit of ASCII, `_` or `-`. */
function isKeyCharacter(code: number): boolean {
  return (
    (code >= 0x61 && code <= 0x7a) || (code >= 0x30 && code <= 0x39) || (code >= 0x41 && code <= 0x5a) || code === 0x5f || code === 0x2d
  )
}

/** A key of a payload that a path can lead to under its own name. */
export function isPlainKey(key: string): boolean {
  return isPlainPath(key) && !key.includes('.')
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
  torn: Set<string> | undefined
}

export function conjunction(): Conjunction {
  return { pins: new Map(), torn: undefined }
}

/** Takes a condition that has the key and a text to match, and nothing else. */
export function holds(conjunction: Conjunction, field: string, value: string): void {
  if (!isPlainPath(field)) return
  const { pins, torn } = conjunction
  const before = pins.get(field)
  if (before !== undefined && before !== value) {
    conjunction.torn = (torn ?? new Set()).add(field)
    pins.delete(field)
  } else if (torn === undefined || !torn.has(field)) pins.set(field, value)
}

/** Deeper than people nest: what is above a path is looked up level by level. */
const LEVELS_MAX = 32

/**
 * Names what a change of `path` touches: the path, and each pinned field that lies above or below it. Looked up and not compared
 * each with each, for a body can have tens of thousands of both.
 * @param paths `*` where it could be any
 * @returns each once
 */
export function touched(paths: readonly string[], pins: Pins): readonly string[] {
  const changed = new Set(paths)
  const above = new Set<string>()
  for (const path of changed) {
    const levels = levelsAbove(path)
    if (levels === undefined) return ['*']
    for (const level of levels) above.add(level)
  }
  if (changed.size === 0) return []
  const fields = [...pins.keys()].filter((field) => above.has(field) || levelsAbove(field)?.some((level) => changed.has(level)) !== false)
  return [...new Set([...changed, ...fields])]
}

/** `a` and `a.b` for `a.b.c`; undefined for a path of too many levels, which counts as touched. */
function levelsAbove(path: string): readonly string[] | undefined {
  const levels: string[] = []
  for (let at = path.indexOf('.'); at >= 0; at = path.indexOf('.', at + 1)) {
    if (levels.length === LEVELS_MAX) return undefined
    levels.push(path.slice(0, at))
  }
  return levels
}
