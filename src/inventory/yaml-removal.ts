/** Items taken out of the lists of a YAML file that people wrote: everything else stays as it is, comments and blanks too. */
import { isCollection, isPair, isSeq, type Node, parseDocument, type YAMLSeq } from 'yaml'
import type { DocumentPath } from '../core/policy-document.ts'

/** Characters from, to (not with it), and what stands there instead. */
export interface Edit {
  readonly from: number
  readonly to: number
  readonly text: string
}

export interface Editing {
  /** Of a list; 0 where there is none. */
  readonly lengthOf: (list: DocumentPath) => number
  /** @param paths of items; of a list never all. No path lies within another. @returns in the order of the file, apart from each other */
  readonly removals: (paths: readonly DocumentPath[]) => readonly Edit[]
}

export function editing(text: string): Editing {
  const document = parseDocument(text, { uniqueKeys: true, version: '1.2' })
  const listAt = (path: DocumentPath) => {
    const node = document.getIn(path, true)
    return isSeq(node) ? node : undefined
  }
  return {
    lengthOf: (list) => listAt(list)?.items.length ?? 0,
    removals(paths) {
      const lists = Map.groupBy(paths, (path) => JSON.stringify(path.slice(0, -1)))
      const edits = [...lists].flatMap(([list, items]) => {
        const node = listAt(JSON.parse(list))
        const gone = new Set(items.map((path) => path.at(-1) as number))
        if (node === undefined || gone.size >= node.items.length) throw new Error(`nothing would be left of the list at ${list}`)
        return node.flow === true ? fromFlow(node, gone) : fromBlock(text, node, gone)
      })
      return edits.sort((a, b) => a.from - b.from)
    }
  }
}

export function applied(text: string, edits: readonly Edit[]): string {
  return [...edits].reverse().reduce((left, { from, to, text: its }) => left.slice(0, from) + its + left.slice(to), text)
}

/** `[a, b, c]`: each goes with the comma behind it, the last ones with the comma before them. */
function fromFlow({ items }: YAMLSeq, gone: ReadonlySet<number>): readonly Edit[] {
  const rangeOf = (at: number) => (items[at] as Node).range ?? [0, 0, 0]
  let kept = items.length - 1
  while (gone.has(kept)) kept--
  const edits: Edit[] = []
  for (let at = 0; at < kept; at++) if (gone.has(at)) edits.push({ from: rangeOf(at)[0], to: rangeOf(at + 1)[0], text: '' })
  if (kept < items.length - 1) edits.push({ from: rangeOf(kept)[1], to: rangeOf(items.length - 1)[1], text: '' })
  return joined(edits)
}

/** Neighbours that both go are one edit. */
function joined(edits: readonly Edit[]): readonly Edit[] {
  const all: Edit[] = []
  for (const one of edits) {
    const last = all.at(-1)
    if (last === undefined || last.to < one.from) all.push(one)
    else all[all.length - 1] = { ...last, to: Math.max(last.to, one.to) }
  }
  return all
}

/** Whole lines: the item, and the comment that stands right above it at the same depth. */
function fromBlock(text: string, { items }: YAMLSeq, gone: ReadonlySet<number>): readonly Edit[] {
  const edits = [...gone]
    .sort((a, b) => a - b)
    .map((at): Edit => {
      const node = items[at] as Node
      const dash = dashBefore(text, node.range?.[0] ?? 0)
      const start = lineStart(text, dash)
      const from = aboveComment(text, start, dash - start)
      const end = text.indexOf('\n', lastCharacter(text, node))
      return { from, to: end === -1 ? text.length : end + 1, text: '' }
    })
  return joined(edits)
}

/** Between an item's `-` and its first key. */
const COMMENT_CHARS_MAX = 8_192

/** Where an item's `-` is: before its first key, with a comment between them at most. */
function dashBefore(text: string, at: number): number {
  const found = /-(?:[ \t]*(?:#[^\n]*)?\n)*[ \t]*(?:[&!][^\s]+[ \t]+)*$/.exec(text.slice(Math.max(0, at - COMMENT_CHARS_MAX), at))
  return found === null ? at : Math.max(0, at - COMMENT_CHARS_MAX) + found.index
}

function lineStart(text: string, at: number): number {
  return text.lastIndexOf('\n', at - 1) + 1
}

function aboveComment(text: string, start: number, depth: number): number {
  let from = start
  while (from > 0) {
    const above = lineStart(text, from - 1)
    const [, indent = '', mark] = /^( *)(#?)/.exec(text.slice(above, from)) ?? []
    if (mark !== '#' || indent.length !== depth) return from
    from = above
  }
  return from
}

/** Of the last value in it: the range of a block goes on over the comments behind it. */
function lastCharacter(text: string, node: Node): number {
  if (isCollection(node) && node.flow !== true) {
    const last = node.items.at(-1)
    const value = isPair(last) ? ((last.value ?? last.key) as Node | null) : (last as Node | undefined)
    if (value !== undefined && value !== null) return lastCharacter(text, value)
  }
  const [from = 0, to = 0] = node.range ?? []
  return from + Math.max(0, text.slice(from, to).trimEnd().length - 1)
}
