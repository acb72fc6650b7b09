/**
 * Keys of JSON objects. Decoders disagree about them: duplicates (first, last, error) and case (Go ignores it, the long s and
 * the Kelvin sign included), so a key has one spelling here and everything else is refused.
 */

/** The keys that one kind of object may have, ready to be compared with bytes. */
export interface Keys<N extends string> {
  readonly names: readonly N[]
  readonly bytes: readonly Uint8Array[]
  readonly folded: ReadonlySet<string>
}

/** At most 31 names, so that the seen ones fit into one integer. */
export function keys<const N extends string>(...names: readonly N[]): Keys<N> {
  return { names, bytes: names.map((name) => Buffer.from(name)), folded: new Set(names.map(foldCase)) }
}

/** Index of the known key that stands at `at` (just behind its opening quote, written without escapes), or -1. */
export function matchKey(bytes: Uint8Array, at: number, known: Keys<string>): number {
  for (let index = 0; index < known.bytes.length; index++) {
    const name = known.bytes[index] as Uint8Array
    let same = 0
    while (same < name.length && bytes[at + same] === name[same]) same++
    if (same === name.length && bytes[at + same] === 0x22) return index
  }
  return -1
}

/**
 * Unicode simple case folding (CaseFolding.txt, statuses C and S): equal for texts that a case-insensitive decoder takes for
 * one, such as `class` and `claſs`.
 */
export function foldCase(text: string): string {
  if (ASCII.test(text)) return text.toLowerCase()
  let folded = ''
  for (const char of text) folded += foldCharacter(char)
  return folded
}

/** Nearly every key; folding one character after the other takes a hundred times as long. */
const ASCII = /^[\0-\x7f]*$/

/** Pairs without a case of their own that CaseFolding.txt (16.0) nevertheless folds. */
const FOLDED_PAIRS: Readonly<Record<string, string>> = { '\u1fd3': '\u0390', '\u1fe3': '\u03b0', '\ufb05': '\ufb06' }

/** Of characters seen, the first so many: texts have few, and to find one takes a tenth of the time that folding it does. */
const folds = new Map<string, string>()
const FOLDS_MAX = 4_096

function foldCharacter(char: string): string {
  if (char <= '\u007f') return char.toLowerCase()
  const known = folds.get(char)
  if (known !== undefined) return known
  const folded = foldOther(char)
  if (folds.size < FOLDS_MAX) folds.set(char, folded)
  return folded
}

function foldOther(char: string): string {
  const pair = FOLDED_PAIRS[char]
  if (pair !== undefined) return pair
  // Up and down again, so that all the lower-case forms of one capital meet (ſ and s, ς and σ). Simple folding maps one
  // character to one: where a mapping has more (ß to SS), it does not apply.
  const upper = oneFor(char, char.toUpperCase())
  return oneFor(upper, upper.toLowerCase())
}

function oneFor(char: string, mapped: string): string {
  return [...mapped].length === 1 ? mapped : char
}
