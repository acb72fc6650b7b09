/** Reads one YAML file against a schema: the value, or every fault with file, line and column. */
import { type Document, isScalar, LineCounter, type Node, parseDocument, type Scalar, visit } from 'yaml'
import type { z } from 'zod'
import type { DocumentPath } from '../core/policy-document.ts'

export interface Fault {
  readonly file: string
  /** From 1. */
  readonly line: number
  readonly column: number
  readonly says: string
  readonly remedy: string
}

export interface Place {
  readonly line: number
  readonly column: number
}

/** Where something stands; `offset` is in characters into the text that stands there. */
export type PlaceOf = (path: DocumentPath, offset?: number) => Place

export type Read<T> =
  | { readonly ok: true; readonly value: T; readonly placeOf: PlaceOf }
  | { readonly ok: false; readonly faults: readonly Fault[] }

/** Larger files are not policies but mistakes. */
const FILE_BYTES_MAX = 8 * 1024 * 1024

/** A file as YAML, before anything is known of its shape. */
export interface ParsedYaml {
  readonly value: unknown
  /** The file, the place and the path there of a place in the document. */
  readonly locate: (path: DocumentPath, offset?: number) => Place & { readonly file: string; readonly path: DocumentPath }
}

export function readYaml<T>(file: string, text: string, schema: z.ZodType<T>): Read<T> {
  const parsed = parseYaml(file, text)
  return parsed.ok ? checkShape(parsed.parsed, schema) : parsed
}

export function parseYaml(file: string, text: string): { ok: true; parsed: ParsedYaml } | { ok: false; faults: Fault[] } {
  if (text.length > FILE_BYTES_MAX) return failed({ file, line: 1, column: 1, says: 'The file is larger than 8 MiB', remedy: 'Split it.' })
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, strict: true, uniqueKeys: true, version: '1.2', stringKeys: true })
  if (document.errors.length > 0 || document.warnings.length > 0) {
    const faults = [...document.errors, ...document.warnings].map((error) => {
      const says = error.message.split('\n')[0]?.replace(/ at line .*$/, '') ?? error.message
      return { file, ...place(lines, error.pos[0]), says, remedy: 'Correct the YAML.' }
    })
    return { ok: false, faults }
  }
  const aliases = aliasesOf(document)
  if (aliases.length > 0) {
    const remedy = 'Write the value out: an alias hides from a reader what the line says.'
    return {
      ok: false,
      faults: aliases.map(({ name, at }) => ({ file, ...place(lines, at), says: `Alias *${name} is not allowed`, remedy }))
    }
  }
  const locate: ParsedYaml['locate'] = (path, offset = 0) => {
    for (let length = path.length; length >= 0; length--) {
      const node = document.getIn(path.slice(0, length), true) as Node | null | undefined
      if (!node?.range) continue
      const within = length === path.length && isScalar(node) ? withinScalar(node, text, offset) : 0
      return { ...place(lines, node.range[0] + within), file, path }
    }
    return { line: 1, column: 1, file, path }
  }
  return { ok: true, parsed: { value: document.toJS({ maxAliasCount: 0 }), locate } }
}

/** The value in its shape, or every fault of it. */
export function checkShape<T>({ value, locate }: ParsedYaml, schema: z.ZodType<T>): Read<T> {
  const checked = schema.safeParse(value)
  if (checked.success) {
    const placeOf = (path: DocumentPath, offset?: number) => {
      const { line, column } = locate(path, offset)
      return { line, column }
    }
    return { ok: true, value: checked.data, placeOf }
  }
  const faults = checked.error.issues.flatMap((issue) => {
    const path = issue.path.map((part) => (typeof part === 'number' ? part : String(part)))
    const keys = issue.code === 'unrecognized_keys' ? issue.keys : [undefined]
    return keys.map((key) => {
      const { file, line, column, path: local } = locate(key === undefined ? path : [...path, key])
      const name = local.join('.') || 'the file'
      const says = key === undefined ? `${name}: ${issue.message}` : `${name}: unknown key`
      const remedy = key === undefined ? 'Correct the value; the reference is docs/reference.md.' : 'Remove it, or correct its spelling.'
      return { file, line, column, says, remedy }
    })
  })
  return { ok: false, faults }
}

function place(lines: LineCounter, offset: number): Place {
  const at = lines.linePos(offset)
  return { line: at.line, column: at.col }
}

/** How far into the file a character of a text is from where its node begins; 0 where the file does not have it as it is. */
function withinScalar({ range, type, value }: Scalar, file: string, offset: number): number {
  if (!range || typeof value !== 'string' || offset === 0) return 0
  const raw = file.slice(range[0], range[1])
  if (raw === value) return offset
  if (raw.slice(1, -1) === value) return offset + 1
  if (type !== 'BLOCK_LITERAL') return 0
  const before = value.slice(0, offset).split('\n')
  const all = raw.split('\n')
  const indent =
    all
      .slice(1)
      .find((line) => line.trim() !== '')
      ?.search(/\S/) ?? 0
  const lines = all.slice(0, before.length).reduce((sum, line) => sum + line.length + 1, 0)
  return lines + indent + (before.at(-1)?.length ?? 0)
}

function aliasesOf(document: Document.Parsed): { name: string; at: number }[] {
  const found: { name: string; at: number }[] = []
  visit(document, { Alias: (_, node) => void found.push({ name: node.source, at: node.range?.[0] ?? 0 }) })
  return found
}

function failed(fault: Fault): { ok: false; faults: Fault[] } {
  return { ok: false, faults: [fault] }
}

export function printFault(fault: Fault): string {
  return `${fault.file}:${fault.line}:${fault.column}: ${fault.says}. ${fault.remedy}`
}
