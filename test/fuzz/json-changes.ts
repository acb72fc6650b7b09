/** Damage to JSON: to its text, and to the tree so that it stays well formed. */
import fc from 'fast-check'
import { place } from './runs.ts'

const PIECES = [
  ...['"', '{', '}', '[', ']', ',', ':', '\\', '.', '=', ' ', '0', '-', 'e', 'A', 'null', 'é', '\0', '\ufeff'],
  ...['"sub":', '"aud":', '"exp":', '"keys":', '"use":', '"kid":', '\\u0000', '\\ud800', '\\u0073']
]

interface TextChange {
  readonly kind: 'set' | 'cut' | 'insert' | 'repeat'
  /** A place, as a part of the whole. */
  readonly at: number
  readonly length: number
  readonly text: string
}

export const textChanges: fc.Arbitrary<readonly TextChange[]> = fc.array(
  fc.record({
    kind: fc.constantFrom('set', 'cut', 'insert', 'repeat'),
    at: place,
    length: fc.integer({ min: 1, max: 20 }),
    text: fc.oneof(fc.constantFrom(...PIECES), fc.string({ maxLength: 3 }))
  }),
  { maxLength: 3 }
)

/** Changes text without regard for what it means. */
export function changed(text: string, list: readonly TextChange[]): string {
  return list.reduce((before, { kind, at, length, text: piece }) => {
    const from = Math.floor(at * before.length)
    const [head, middle, tail] = [before.slice(0, from), before.slice(from, from + length), before.slice(from + length)]
    if (kind === 'cut') return head + tail
    if (kind === 'repeat') return head + middle + middle + tail
    return kind === 'insert' ? head + piece + middle + tail : head + piece + before.slice(from + piece.length)
  }, text)
}

/** A value with its members or elements in order, so that one can stand twice; what has none is text as it is written. */
type Tree = { readonly open: '{' | '['; parts: Part[] } | { raw: string }
interface Part {
  /** Written name, quotes included; undefined in an array. */
  name: string | undefined
  tree: Tree
}

export interface TreeChange {
  readonly kind: 'cut' | 'repeat' | 'swap' | 'rename' | 'replace' | 'wrap' | 'insert' | 'graft'
  readonly at: number
  readonly to: number
  readonly raw: string
  readonly name: string
}

const RAW = [
  ...['null', 'true', '0', '-1', '1e400', '1.5', '1e3', '9007199254740993', '""', '"x"', '[]', '{}', '{"a":1,"a":2}', '"\\ud800"'],
  ...['"jwt-svid"', '"x509-svid"', '"sig"', '"JWT"', '"ES256"', '"none"', '"spiffe://vec.test/admin"', '"vecauthz"', '["vecauthz"]'],
  ...['4102444800', '1e10', `${'['.repeat(40)}${']'.repeat(40)}`]
]
const NAMES = [
  'sub',
  'aud',
  'exp',
  'nbf',
  'kid',
  'alg',
  'use',
  'kty',
  'x5c',
  'keys',
  'x',
  '__proto__',
  'crit',
  'Sub',
  's\\u0075b',
  'cnf',
  'd'
]

export const treeChanges: fc.Arbitrary<readonly TreeChange[]> = fc.array(
  fc.record({
    kind: fc.constantFrom('cut', 'repeat', 'swap', 'rename', 'replace', 'wrap', 'insert', 'graft'),
    at: place,
    to: place,
    raw: fc.oneof(
      fc.constantFrom(...RAW),
      fc.json({ maxDepth: 2 }),
      fc.double({ noNaN: true, noDefaultInfinity: true }).map((one) => JSON.stringify(one))
    ),
    name: fc.constantFrom(...NAMES)
  }),
  { maxLength: 3 }
)

function treeOf(value: unknown): Tree {
  if (Array.isArray(value)) return { open: '[', parts: value.map((one) => ({ name: undefined, tree: treeOf(one) })) }
  if (typeof value !== 'object' || value === null) return { raw: JSON.stringify(value) }
  return { open: '{', parts: Object.entries(value).map(([name, one]) => ({ name: JSON.stringify(name), tree: treeOf(one) })) }
}

function written(tree: Tree): string {
  if ('raw' in tree) return tree.raw
  const parts = tree.parts.map(({ name, tree: one }) => (tree.open === '{' ? `${name ?? '"a"'}:${written(one)}` : written(one)))
  return `${tree.open}${parts.join(',')}${tree.open === '{' ? '}' : ']'}`
}

/** Changes the tree of a value, and writes it: JSON that is well formed, apart from names that stand twice. */
export function reshaped(value: unknown, list: readonly TreeChange[]): string {
  const root: Tree & { parts: Part[] } = { open: '[', parts: [{ name: undefined, tree: treeOf(value) }] }
  for (const { kind, at, to, raw, name } of list) {
    const lists: Part[][] = []
    const visit = (parts: Part[]): void => {
      lists.push(parts)
      for (const { tree } of parts) if ('parts' in tree) visit(tree.parts)
    }
    visit(root.parts)
    const parts = lists[Math.floor(at * lists.length)] ?? root.parts
    const index = Math.floor(to * parts.length)
    const part = parts[index] ?? { name: undefined, tree: { raw } }
    const copy = (one: Part): Part => ({ name: one.name, tree: { raw: written(one.tree) } })
    if (kind === 'cut') parts.splice(index, 1)
    if (kind === 'repeat') parts.splice(index, 0, copy(part))
    if (kind === 'swap') parts.reverse()
    if (kind === 'rename') part.name = `"${name}"`
    if (kind === 'replace') part.tree = { raw }
    if (kind === 'wrap') part.tree = { raw: `[${written(part.tree)}]` }
    if (kind === 'insert') parts.splice(index, 0, { name: `"${name}"`, tree: { raw } })
    if (kind === 'graft') {
      const other = lists[Math.floor(to * lists.length)]?.[0]
      if (other !== undefined) part.tree = copy(other).tree
    }
  }
  return root.parts.map(({ tree }) => written(tree)).join(' ')
}

/** Whether a name stands twice in one object: the text has more colons outside of strings than JSON.parse keeps members. */
export function hasNameTwice(json: string): boolean {
  const count = (value: unknown): number =>
    typeof value !== 'object' || value === null
      ? 0
      : Object.values(value).reduce((sum: number, one) => sum + count(one), Array.isArray(value) ? 0 : Object.keys(value).length)
  const colons = json.replaceAll(/"(?:[^"\\]|\\.)*"/g, '').split(':').length - 1
  return colons > count(JSON.parse(json))
}
