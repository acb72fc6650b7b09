/** SPIFFE IDs and patterns looked up by segments, so that ten thousand of them cost a call no more than ten. */
import type { IdPattern, SpiffeId } from '../core/spiffe-id.ts'

interface Node<V> {
  readonly literal: Map<string, Node<V>>
  any: Node<V> | undefined
  /** Of a pattern that ends here. */
  end: V | undefined
  /** Of a pattern that goes on with `**` here. */
  rest: V | undefined
}

export interface IdIndex<V> {
  readonly exact: Map<string, V>
  /** By trust domain. */
  readonly wild: Map<string, Node<V>>
}

const newNode = <V>(): Node<V> => ({ literal: new Map(), any: undefined, end: undefined, rest: undefined })

export function newIdIndex<V>(): IdIndex<V> {
  return { exact: new Map(), wild: new Map() }
}

/** @param value what a look-up finds; of two equal patterns the last */
export function addId<V>(index: IdIndex<V>, pattern: IdPattern, value: V): void {
  if (pattern.exact) {
    index.exact.set(pattern.text, value)
    return
  }
  let node = index.wild.get(pattern.trustDomain) ?? newNode<V>()
  index.wild.set(pattern.trustDomain, node)
  for (const segment of pattern.segments) {
    const next: Node<V> = (segment === '*' ? node.any : node.literal.get(segment)) ?? newNode<V>()
    if (segment === '*') node.any = next
    else node.literal.set(segment, next)
    node = next
  }
  if (pattern.open) node.rest = value
  else node.end = value
}

/** What was added for the ID itself, else for a pattern that matches it. */
export function findId<V>(index: IdIndex<V>, id: SpiffeId): V | undefined {
  const exact = index.exact.get(id.text)
  if (exact !== undefined || index.wild.size === 0) return exact
  const node = index.wild.get(id.trustDomain)
  return node === undefined ? undefined : walk(node, id.path, 0)
}

/** @param at the slash before the next segment, or the end of the path */
function walk<V>(node: Node<V>, path: string, at: number): V | undefined {
  if (at === path.length) return node.end
  if (node.rest !== undefined) return node.rest
  const slash = path.indexOf('/', at + 1)
  const end = slash === -1 ? path.length : slash
  const literal = node.literal.size === 0 ? undefined : node.literal.get(path.slice(at + 1, end))
  const found = literal === undefined ? undefined : walk(literal, path, end)
  return found ?? (node.any === undefined ? undefined : walk(node.any, path, end))
}

/** What was added for a pattern with `*` that can match an ID which this one with `*` matches too. */
export function meetingId<V>(index: IdIndex<V>, { trustDomain, segments, open }: IdPattern): V | undefined {
  const node = index.wild.get(trustDomain)
  return node === undefined ? undefined : meet(node, segments, 0, open)
}

function meet<V>(node: Node<V>, segments: readonly string[], at: number, open: boolean): V | undefined {
  const segment = segments[at]
  if (segment === undefined) return open ? below(node) : node.end
  if (node.rest !== undefined) return node.rest
  const literals = segment === '*' ? node.literal.values() : [node.literal.get(segment)]
  for (const next of [...literals, node.any]) {
    const found = next === undefined ? undefined : meet(next, segments, at + 1, open)
    if (found !== undefined) return found
  }
  return undefined
}

/** Anything that takes at least one more segment. */
function below<V>(node: Node<V>): V | undefined {
  if (node.rest !== undefined) return node.rest
  for (const next of [...node.literal.values(), node.any]) {
    const found = next === undefined ? undefined : (next.end ?? below(next))
    if (found !== undefined) return found
  }
  return undefined
}
