/**
 * One collection under two entries that describe it differently would be two answers to "whose is this record" or "where may it
 * go". Found by the beginnings of names, so that ten thousand of them are not compared each with each.
 */
import type { NamePattern } from './names.ts'

/** Names that are looked at between two yields: some tenths of a millisecond. */
const STEP = 500

/** One name or pattern of an entry. */
export interface Described {
  readonly pattern: NamePattern
  /** Equal text, equal description. */
  readonly as: string
}

/** Those that can cover one name with another one that is described differently, each with such a one. Yields after each. */
export function* clashesOf<D extends Described>(all: readonly D[], tenants: ReadonlySet<string>): Generator<void, [one: D, other: D][]> {
  const clashes: [D, D][] = []
  if (new Set(all.map((one) => one.as)).size < 2) return clashes
  yield
  const sorted = [...tenants].sort()
  const ending = new Map<string, D[]>()
  for (const one of all) append(ending, one.pattern.before, one)
  yield
  const going = yield* goingOn(all)
  yield
  for (const one of all) {
    const other = clashWith(one, ending, going, tenants, sorted)
    if (other !== undefined) clashes.push([one, other])
    yield
  }
  return clashes
}

function clashWith<D extends Described>(
  one: D,
  ending: ReadonlyMap<string, readonly D[]>,
  going: ReadonlyMap<string, readonly D[]>,
  tenants: ReadonlySet<string>,
  sorted: readonly string[]
): D | undefined {
  const { before } = one.pattern
  // Of two that meet, the one with the longer beginning finds the other here.
  for (let length = 0; length <= before.length; length++) {
    const found = ending
      .get(before.slice(0, length))
      ?.find((other) => other.as !== one.as && patternsMeet(one.pattern, other.pattern, tenants, sorted))
    if (found !== undefined) return found
  }
  return isPrefix(one.pattern) ? going.get(before)?.find((other) => other.as !== one.as) : undefined
}

/** What begins with the text of a prefix, for each prefix there is: it meets all of that, so one of each description says enough. */
function* goingOn<D extends Described>(all: readonly D[]): Generator<void, ReadonlyMap<string, readonly D[]>> {
  const prefixes = new Set(all.filter((one) => isPrefix(one.pattern)).map((one) => one.pattern.before))
  const lengths = [...new Set([...prefixes].map((one) => one.length))]
  const going = new Map<string, D[]>()
  for (const [at, one] of all.entries()) {
    if (at % STEP === 0) yield
    for (const length of lengths) {
      const text = one.pattern.before.slice(0, length)
      if (text.length < length || !prefixes.has(text)) continue
      if (going.get(text)?.some((other) => other.as === one.as) !== true) append(going, text, one)
    }
  }
  return going
}

function isPrefix({ after, open }: NamePattern): boolean {
  return open && after === undefined
}

function patternsMeet(one: NamePattern, other: NamePattern, tenants: ReadonlySet<string>, sorted: readonly string[]): boolean {
  if (one.after === undefined) return meetsText(one.before, one.open, other, tenants, sorted)
  const { before, after, open } = one
  if (other.after === undefined) return meetsText(other.before, other.open, one, tenants, sorted)
  // Two names that end differently are never equal, whatever the tenants are called.
  if (!open && !other.open && !after.endsWith(other.after) && !other.after.endsWith(after)) return false
  return sorted.some((tenant) => meetsText(before + tenant + after, open, other, tenants, sorted))
}

/** Whether a name, or what a prefix begins, is one that a pattern stands for. */
function meetsText(text: string, open: boolean, pattern: NamePattern, tenants: ReadonlySet<string>, sorted: readonly string[]): boolean {
  const { before, after } = pattern
  if (after === undefined) return textsMeet(text, open, before, pattern.open)
  if (!open && !pattern.open && !text.endsWith(after)) return false
  if (text.length <= before.length) return open && before.startsWith(text) && sorted.length > 0
  if (!text.startsWith(before)) return false
  const rest = text.slice(before.length)
  for (let length = 1; length <= rest.length; length++)
    if (tenants.has(rest.slice(0, length)) && textsMeet(rest.slice(length), open, after, pattern.open)) return true
  // A tenant whose name goes on behind the text.
  return open && (sorted[firstFrom(sorted, rest)]?.startsWith(rest) ?? false)
}

function textsMeet(one: string, oneOpen: boolean, other: string, otherOpen: boolean): boolean {
  return one === other || (oneOpen && other.startsWith(one)) || (otherOpen && one.startsWith(other))
}

/** Index of the first that does not sort before a text. */
function firstFrom(sorted: readonly string[], text: string): number {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((sorted[middle] as string) < text) low = middle + 1
    else high = middle
  }
  return low
}

function append<D>(map: Map<string, D[]>, key: string, one: D): void {
  const list = map.get(key)
  if (list === undefined) map.set(key, [one])
  else list.push(one)
}
