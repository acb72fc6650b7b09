/** The difference that edits make, as `diff -u` writes it: for `git apply` and `patch`. */
import type { Edit } from './yaml-removal.ts'

const CONTEXT = 3
const NO_END = '\\ No newline at end of file'

interface Hunk {
  /** Lines of the old text from, to (not with it). */
  from: number
  to: number
  /** What stands in their place. */
  lines: string[]
}

/** @param name as both sides are called. @param edits in the order of the text, apart from each other. Empty without any */
export function unifiedDiff(names: { readonly old: string; readonly new: string }, text: string, edits: readonly Edit[]): string {
  if (edits.length === 0) return ''
  const old = linesOf(text)
  const changed = changes(text, old, edits)
  const parts = Map.groupBy(
    changed,
    ((group, last) => (one: Hunk) => {
      if (one.from - last > 2 * CONTEXT) group++
      last = one.to
      return group
    })(0, Number.NEGATIVE_INFINITY)
  )
  let shift = 0
  const hunks = [...parts.values()].map((some) => {
    const [first, final] = [some[0] as Hunk, some.at(-1) as Hunk]
    const [from, to] = [Math.max(0, first.from - CONTEXT), Math.min(old.length, final.to + CONTEXT)]
    const body: string[] = []
    let at = from
    for (const { from: begins, to: ends, lines } of some) {
      body.push(...old.slice(at, begins).flatMap((line) => marked(' ', line)))
      body.push(...old.slice(begins, ends).flatMap((line) => marked('-', line)), ...lines.flatMap((line) => marked('+', line)))
      at = ends
    }
    body.push(...old.slice(at, to).flatMap((line) => marked(' ', line)))
    const count = to - from
    const fresh = some.reduce((sum, { from: begins, to: ends, lines }) => sum + lines.length - (ends - begins), count)
    const head = `@@ -${spell(from, count)} +${spell(from + shift, fresh)} @@`
    shift += fresh - count
    return [head, ...body].join('\n')
  })
  return `--- ${names.old}\n+++ ${names.new}\n${hunks.join('\n')}\n`
}

/** Each with its end, if it has one. */
function linesOf(text: string): readonly string[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? []
}

/** Edits as whole lines; those that touch one line are one change. */
function changes(text: string, old: readonly string[], edits: readonly Edit[]): readonly Hunk[] {
  const starts: number[] = []
  let at = 0
  for (const line of old) {
    starts.push(at)
    at += line.length
  }
  const lineAt = (offset: number) => {
    let [low, high] = [0, starts.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((starts[middle] as number) <= offset) low = middle + 1
      else high = middle
    }
    return low - 1
  }
  const startOf = (line: number) => starts[line] ?? text.length
  const groups: { from: number; to: number; edits: Edit[] }[] = []
  for (const edit of edits) {
    const from = lineAt(edit.from)
    // An edit that ends where a line begins leaves that line alone, if it began with one.
    const to =
      edit.from === startOf(from) && edit.to === startOf(lineAt(edit.to)) ? lineAt(edit.to) : lineAt(Math.max(edit.to - 1, edit.from)) + 1
    const end = edit.to >= text.length ? old.length : to
    const last = groups.at(-1)
    if (last !== undefined && from < last.to) {
      last.to = Math.max(last.to, end)
      last.edits.push(edit)
    } else groups.push({ from, to: end, edits: [edit] })
  }
  return groups.map(({ from, to, edits: its }) => {
    const begin = startOf(from)
    let fresh = ''
    let done = begin
    for (const edit of its) {
      fresh += text.slice(done, edit.from) + edit.text
      done = edit.to
    }
    fresh += text.slice(done, Math.max(done, startOf(to)))
    return { from, to, lines: [...linesOf(fresh)] }
  })
}

function marked(mark: string, line: string): readonly string[] {
  return line.endsWith('\n') ? [`${mark}${line.slice(0, -1)}`] : [`${mark}${line}`, NO_END]
}

function spell(from: number, count: number): string {
  // Of nothing, the line before it is named.
  return count === 1 ? `${from + 1}` : `${count === 0 ? from : from + 1},${count}`
}
