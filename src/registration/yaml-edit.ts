/** Changes to a YAML file that people wrote: one entry more or less, and every other character as it was. */
import { chmodSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { type Document, isMap, isPair, isSeq, type Node, parseDocument, stringify, type YAMLMap, type YAMLSeq } from 'yaml'

/** Adds to a list, which is made where there is none. */
export function added(text: string, path: readonly [string] | readonly [string, string], value: unknown): string {
  const document = parsed(text)
  const list = document.getIn(path, true)
  if (isSeq(list)) return intoList(text, list, value)
  const [outer, inner] = path
  const parent = document.get(outer, true)
  if (inner === undefined || !isMap(parent)) {
    const whole = inner === undefined ? { [outer]: [value] } : { [outer]: { [inner]: [value] } }
    return `${text.trimEnd()}\n\n${stringify(whole, { lineWidth: 0 })}`
  }
  if (parent.flow === true) return intoFlow(text, parent, `${inner}: [${JSON.stringify(value)}]`)
  return linesAfter(text, parent, stringify({ [inner]: [value] }, { lineWidth: 0 }))
}

/** Takes the messages out of a list whose `key` is this. */
export function taken(text: string, list: string, key: string, value: string): string {
  const all = parsed(text).get(list, true)
  if (!isSeq(all) || all.flow === true) return text
  const gone = all.items.filter((one): one is YAMLMap => isMap(one) && one.get(key) === value)
  if (gone.length > 0 && gone.length === all.items.length) {
    const [from = 0, to = 0] = all.range ?? []
    return `${text.slice(0, from).trimEnd()} []\n${text.slice(lineEnd(text, to))}`
  }
  return gone.reduceRight((left, one) => {
    const [from = 0, to = 0] = one.range ?? []
    return left.slice(0, left.lastIndexOf('\n', from) + 1) + left.slice(lineEnd(left, to))
  }, text)
}

/** In one step, with the rights that the file has: whoever reads meanwhile reads the one or the other. */
export function rewrite(file: string, text: string): void {
  const { mode } = statSync(file)
  const beside = `${file}.new`
  writeFileSync(beside, text, { mode: mode & 0o777 })
  chmodSync(beside, mode & 0o777)
  renameSync(beside, file)
}

function intoList(text: string, list: YAMLSeq, value: unknown): string {
  return list.flow === true ? intoFlow(text, list, JSON.stringify(value)) : linesAfter(text, list, stringify([value], { lineWidth: 0 }))
}

/** Right behind the last value, or the opening bracket: a comment may stand before the closing one. JSON is YAML. */
function intoFlow(text: string, node: YAMLSeq | YAMLMap, one: string): string {
  const last = node.items.at(-1)
  const value = isPair(last) ? ((last.value ?? last.key) as Node | null) : (last as Node | undefined)
  const at = value?.range?.[1] ?? (node.range?.[0] ?? 0) + 1
  return `${text.slice(0, at)}${value ? ', ' : ''}${one}${text.slice(at)}`
}

/** Below its last line, as deep as its first. */
function linesAfter(text: string, node: Node, lines: string): string {
  const [from = 0, to = 0] = node.range ?? []
  const indent = ' '.repeat(from - text.lastIndexOf('\n', from - 1) - 1)
  const end = lineEnd(text, to)
  const before = text.slice(0, end)
  const added_ = lines
    .trimEnd()
    .split('\n')
    .map((line) => `${indent}${line}\n`)
    .join('')
  return `${before}${before.endsWith('\n') ? '' : '\n'}${added_}${text.slice(end)}`
}

/** Behind the line in which something ends; a value of several lines ends at the beginning of the next. */
function lineEnd(text: string, at: number): number {
  const trimmed = text.slice(0, at).trimEnd().length
  const end = text.indexOf('\n', trimmed)
  return end === -1 ? text.length : end + 1
}

function parsed(text: string): Document.Parsed {
  return parseDocument(text, { uniqueKeys: true, version: '1.2' })
}
