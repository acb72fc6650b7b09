/** Damage to bytes, and to trees of DER that stay well formed. */
import fc from 'fast-check'
import { concat, tlv } from '../support/der-write.ts'
import { place } from './runs.ts'

export interface Change {
  readonly kind: 'set' | 'flip' | 'cut' | 'insert' | 'repeat' | 'swap' | 'graft'
  /** Two places, as parts of the whole. */
  readonly at: number
  readonly to: number
  readonly byte: number
}

export const change: fc.Arbitrary<Change> = fc.record({
  kind: fc.constantFrom('set', 'flip', 'cut', 'insert', 'repeat', 'swap', 'graft'),
  at: place,
  to: place,
  byte: fc.integer({ min: 0, max: 255 })
})

/** Changes bytes without regard for what they mean. */
export function spoil(der: Uint8Array, { kind, at, to, byte }: Change): Uint8Array {
  const index = Math.floor(at * der.length)
  const end = Math.min(der.length, index + Math.floor(to * 16))
  const [before, piece, after] = [der.subarray(0, index), der.subarray(index, end), der.subarray(end)]
  if (kind === 'cut') return concat(before, after)
  if (kind === 'insert') return concat(before, Uint8Array.of(byte), piece, after)
  if (kind === 'repeat') return concat(before, piece, piece, after)
  if (kind === 'swap') return concat(before, Uint8Array.from(piece).reverse(), after)
  if (kind === 'graft') return concat(before, der.subarray(Math.floor(to * der.length)).subarray(0, byte), after)
  const copy = Uint8Array.from(der)
  copy[index] = kind === 'set' ? byte : (copy[index] ?? 0) ^ (1 << (byte & 7))
  return copy
}

/** What could be read as a constructed value (or wraps one) has children. */
interface Node {
  tag: number
  bytes: Uint8Array
  children: Node[] | undefined
}

function grow(der: Uint8Array): Node[] | undefined {
  const nodes: Node[] = []
  for (let at = 0; at < der.length; ) {
    const [tag = 0, short = 0] = der.subarray(at)
    const count = short < 0x80 ? 0 : short & 0x7f
    const length = count === 0 ? short : der.subarray(at + 2, at + 2 + count).reduce((sum, byte) => sum * 256 + byte, 0)
    const from = at + 2 + count
    if (from + length > der.length || count > 3) return undefined
    const content = der.subarray(from, from + length)
    const wraps = (tag & 0x20) !== 0 || tag === 0x04
    nodes.push({ tag, bytes: content, children: wraps && length > 0 ? grow(content) : undefined })
    at = from + length
  }
  return nodes
}

const written = ({ tag, bytes, children }: Node): Uint8Array => tlv(tag, ...(children === undefined ? [bytes] : children.map(written)))

/** Changes the tree and keeps it well formed, lengths included: the kind of damage that a parser does not see at once. */
export function distort(der: Uint8Array, { kind, at, to, byte }: Change): Uint8Array {
  const tops = grow(der)
  if (tops === undefined) return der
  const lists: Node[][] = []
  const visit = (nodes: Node[]): void => {
    lists.push(nodes)
    for (const { children } of nodes) if (children !== undefined) visit(children)
  }
  visit(tops)
  const list = lists[Math.floor(at * lists.length)] ?? tops
  const index = Math.floor(to * list.length)
  const node = list[index]
  if (node === undefined) return der
  if (kind === 'cut') list.splice(index, 1)
  if (kind === 'repeat') list.splice(index, 0, node)
  if (kind === 'swap') list.reverse()
  if (kind === 'set') node.tag = byte
  if (kind === 'insert') list.splice(index, 0, { tag: byte, bytes: node.bytes, children: undefined })
  if (kind === 'flip' && node.children === undefined) node.bytes = spoil(node.bytes, { kind: 'set', at: to, to, byte })
  if (kind === 'graft') {
    // A piece of another place, written down first: a node must not become its own child.
    const other = lists[byte % lists.length]?.[0] ?? node
    const bytes = other.children === undefined ? other.bytes : concat(...other.children.map(written))
    list.splice(index, 0, { tag: other.tag, bytes, children: undefined })
  }
  return concat(...tops.map(written))
}
