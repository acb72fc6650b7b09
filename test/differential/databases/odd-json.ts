/** JSON texts that a tree of values cannot say: keys twice, other spellings, other order, things beside the value. */
import type { Change, Dice } from './dice.ts'

/** A value as it will be written. */
type Odd =
  | { readonly kind: 'object'; readonly entries: [key: string, value: Odd][] }
  | { readonly kind: 'array'; readonly items: Odd[] }
  | { readonly kind: 'raw'; readonly text: string }

/** Words of a database, to change requests with. */
export interface Words {
  /** Names, ids and values of the tenant that asks. */
  readonly ours: readonly string[]
  readonly theirs: readonly string[]
  /** Of a text of its own, that of the other tenant. */
  readonly counterparts: ReadonlyMap<string, string>
  /** Keys that some call has, with a JSON text for each. */
  readonly grafts: readonly (readonly [key: string, text: string])[]
  /** JSON texts with `%` for the value that they are put around. */
  readonly wraps: readonly string[]
}

const oddOf = (value: unknown): Odd => {
  if (Array.isArray(value)) return { kind: 'array', items: value.map(oddOf) }
  if (typeof value !== 'object' || value === null) return { kind: 'raw', text: JSON.stringify(value) }
  return { kind: 'object', entries: Object.entries(value).map(([key, each]) => [JSON.stringify(key), oddOf(each)]) }
}

function write(odd: Odd): string {
  if (odd.kind === 'raw') return odd.text
  if (odd.kind === 'array') return `[${odd.items.map(write).join(',')}]`
  return `{${odd.entries.map(([key, value]) => `${key}:${write(value)}`).join(',')}}`
}

type ObjectNode = Extract<Odd, { kind: 'object' }>
/** A place that holds a value. */
interface Slot {
  readonly value: Odd
  readonly put: (value: Odd) => void
}

function slotsIn(root: { value: Odd }): readonly Slot[] {
  const found: Slot[] = []
  const visit = (value: Odd, put: (value: Odd) => void) => {
    found.push({ value, put })
    if (value.kind === 'array') for (const [at, item] of value.items.entries()) visit(item, (other) => (value.items[at] = other))
    if (value.kind === 'object') for (const entry of value.entries) visit(entry[1], (other) => (entry[1] = other))
  }
  visit(root.value, (other) => (root.value = other))
  return found
}

const raw = (text: string): Odd => ({ kind: 'raw', text })
const isText = ({ value }: Slot): boolean => value.kind === 'raw' && value.text.startsWith('"')

/** A change of the tree; of the text where the text is no JSON any more, there is none. */
function onTree(
  name: string,
  weight: number,
  change: (dice: Dice, root: { value: Odd }, slots: readonly Slot[]) => boolean
): Change<string> {
  return {
    name,
    weight,
    make: (dice, text) => {
      const root = { value: parsed(text) }
      if (root.value === undefined) return undefined
      const tree = root as { value: Odd }
      return change(dice, tree, slotsIn(tree)) ? write(tree.value) : undefined
    }
  }
}

function parsed(text: string): Odd | undefined {
  try {
    return oddOf(JSON.parse(text))
  } catch {
    return undefined
  }
}

/** A slot of a kind is changed. */
const onSlot = (name: string, weight: number, fits: (slot: Slot) => boolean, make: (dice: Dice, value: Odd) => Odd): Change<string> =>
  onTree(name, weight, (dice, _, slots) => {
    const fitting = slots.filter(fits)
    if (fitting.length === 0) return false
    const slot = dice.pick(fitting)
    slot.put(make(dice, slot.value))
    return true
  })

const onObject = (name: string, weight: number, change: (dice: Dice, object: ObjectNode) => void, empty = false): Change<string> =>
  onTree(name, weight, (dice, _, slots) => {
    const objects = slots.map(({ value }) => value).filter((value) => value.kind === 'object')
    const fitting = objects.filter(({ entries }) => empty || entries.length > 0)
    if (fitting.length === 0) return false
    // The outermost object is where most keys mean something.
    change(dice, dice.chance(0.5) ? (fitting[0] as ObjectNode) : dice.pick(fitting))
    return true
  })

const escaped = (dice: Dice, text: string): string => {
  const inner = [...text.matchAll(/[A-Za-z0-9_$-]/g)].map(({ index }) => index)
  if (inner.length === 0) return text
  const at = dice.pick(inner)
  const code = text.charCodeAt(at).toString(16).padStart(4, '0')
  return `${text.slice(0, at)}\\u${dice.chance(0.5) ? code : code.toUpperCase()}${text.slice(at + 1)}`
}

const recased = (dice: Dice, key: string): string => {
  const letters = [...key.matchAll(/[a-zA-Z]/g)].map(({ index }) => index)
  if (letters.length === 0) return key
  const at = dice.pick([letters[0] as number, dice.pick(letters)])
  const letter = key.charAt(at)
  const other =
    letter === 's' && dice.chance(0.3) ? '\u017f' : letter === letter.toLowerCase() ? letter.toUpperCase() : letter.toLowerCase()
  return dice.chance(0.2) ? key.toUpperCase() : key.slice(0, at) + other + key.slice(at + 1)
}

const SCALARS = ['null', 'true', '0', '-1', '""', '[]', '{}', '1.5', '[null]', '"*"', '{"":""}', '1e400', '4294967296']
const isNumber = ({ value }: Slot): boolean => value.kind === 'raw' && /^-?[0-9]/.test(value.text)

/** Changes after which the text means what it meant. */
export const SPELLINGS: readonly Change<string>[] = [
  onObject('other order', 3, (dice, { entries }) => void entries.sort(() => dice.roll() - 0.5)),
  { name: 'white space', weight: 2, make: (dice, text) => dice.pick([` ${text}`, `${text}\n`, text.replace(/^([[{])/, '$1 \t')]) },
  onSlot('escape in a text', 2, isText, (dice, value) => (value.kind === 'raw' ? raw(escaped(dice, value.text)) : value)),
  onSlot('number in another spelling', 1, isNumber, (dice, value) =>
    raw(`${(value as { text: string }).text}${dice.pick(['e0', '.0', 'E+0'])}`)
  )
]

/** Changes of meaning, or of whether there is one. */
export function jsonChanges({ ours, theirs, counterparts, grafts, wraps }: Words): readonly Change<string>[] {
  const swap = (name: string, weight: number, words: readonly string[]) =>
    onSlot(name, weight, isText, (dice) => raw(JSON.stringify(dice.pick(words))))
  const graft = (dice: Dice): [string, Odd] => {
    const [key, text] = dice.pick(grafts)
    return [JSON.stringify(key), raw(text)]
  }
  const wrap = (dice: Dice, value: Odd) => {
    const [before = '', ...after] = dice.pick(wraps).split('%')
    return raw(before + after.map((piece) => write(value) + piece).join(''))
  }
  return [
    ...SPELLINGS,
    onObject('key twice', 2, (dice, { entries }) => void entries.splice(dice.below(entries.length + 1), 0, [...dice.pick(entries)])),
    onObject('key twice, another value', 3, (dice, { entries }) => {
      const [key, value] = dice.pick(entries)
      const other = value.kind === 'raw' && value.text.startsWith('"') ? raw(JSON.stringify(dice.pick(theirs))) : raw(dice.pick(SCALARS))
      entries.splice(dice.chance(0.5) ? 0 : entries.length, 0, [dice.chance(0.6) ? key : escaped(dice, key), other])
    }),
    onObject('key in another case', 3, (dice, { entries }) => {
      const entry = dice.pick(entries)
      const other: [string, Odd] = [recased(dice, entry[0]), dice.chance(0.5) ? entry[1] : raw(JSON.stringify(dice.pick(theirs)))]
      if (dice.chance(0.5)) entries.push(other)
      else entries.splice(entries.indexOf(entry), 1, other)
    }),
    onObject('escape in a key', 2, (dice, { entries }) => {
      const entry = dice.pick(entries)
      entry[0] = escaped(dice, entry[0])
    }),
    onObject(
      'unknown key',
      2,
      (dice, { entries }) => void entries.push([dice.pick(['"tenant_id"', '"x"', '"__proto__"', '""', '"$or"']), raw(dice.pick(SCALARS))]),
      true
    ),
    onObject('key of another call', 5, (dice, { entries }) => void entries.splice(dice.below(entries.length + 1), 0, graft(dice)), true),
    onObject('without a key', 3, (dice, { entries }) => void entries.splice(dice.below(entries.length), 1)),
    onSlot('wrapped', 4, () => true, wrap),
    onSlot(
      'another scalar',
      3,
      () => true,
      (dice) => raw(dice.pick(SCALARS))
    ),
    swap('a word of the other tenant', 5, theirs),
    onSlot(
      'the counterpart of the other tenant',
      6,
      ({ value }) => value.kind === 'raw' && counterparts.has(value.text.slice(1, -1)),
      (_, value) => raw(JSON.stringify(counterparts.get((value as { text: string }).text.slice(1, -1))))
    ),
    swap('another word of its own', 3, ours),
    onSlot(
      'element twice',
      2,
      ({ value }) => value.kind === 'array' && value.items.length > 0,
      (dice, value) => {
        const { items } = value as { items: Odd[] }
        return { kind: 'array', items: [...items, dice.pick(items)] }
      }
    ),
    {
      name: 'something beside the value',
      weight: 2,
      make: (dice, text) =>
        dice.pick([`\ufeff${text}`, `${text}{}`, `${text}\0`, `/**/${text}`, `${text}${text}`, `[${text}]`, text.slice(0, -1), `${text},`])
    }
  ]
}
