/** A policy in one file or in a folder of them: lists are put together, what there is one of stands in one file. */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { DocumentPath } from '../core/policy-document.ts'
import { type Fault, type ParsedYaml, parseYaml } from './read-yaml.ts'

export interface PolicyText {
  readonly file: string
  readonly text: string
}

type Texts = { readonly ok: true; readonly texts: readonly PolicyText[] } | { readonly ok: false; readonly faults: readonly Fault[] }

/** @param path of a file, or of a folder whose `.yaml` and `.yml` files are meant, in the order of their names */
export function readPolicyTexts(path: string): Texts {
  const failed = (file: string, says: string, remedy: string): Texts => ({
    ok: false,
    faults: [{ file, line: 1, column: 1, says, remedy }]
  })
  let reading = path
  try {
    if (!statSync(path).isDirectory()) return { ok: true, texts: [{ file: path, text: readFileSync(path, 'utf8') }] }
    // What begins with a dot is not ours: editors' files, and the folders behind a mounted ConfigMap.
    const names = readdirSync(path)
      .filter((name) => !name.startsWith('.'))
      .sort()
    const folder = names.find((name) => statSync(join(path, name)).isDirectory())
    if (folder !== undefined)
      return failed(join(path, folder), 'A folder within a policy folder is not read', 'Put its files beside the others.')
    const files = names.filter((name) => /\.ya?ml$/.test(name)).map((name) => join(path, name))
    if (files.length === 0)
      return failed(path, 'The folder has no .yaml file', 'Put the policy there, or correct `policy` in the settings.')
    return {
      ok: true,
      texts: files.map((file) => {
        reading = file
        return { file, text: readFileSync(file, 'utf8') }
      })
    }
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? 'unreadable'
    return failed(reading, `Cannot be read (${code})`, 'The settings name it as `policy`.')
  }
}

/** Changes when a file of the policy may have changed: for looking often, where reading is too much. */
export function policyStamp(path: string): string {
  try {
    const names = statSync(path).isDirectory() ? readdirSync(path).sort() : ['']
    const stamps = names.map((name) => {
      const { mtimeMs, ino, size } = statSync(join(path, name))
      return `${name} ${mtimeMs} ${ino} ${size}`
    })
    return stamps.join('\n')
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code ?? 'unreadable'
  }
}

/** Content hash, hex: of the text of one file, or of the names and texts of several with their lengths. */
export function revisionOf(texts: readonly PolicyText[]): string {
  const hash = createHash('sha256')
  const [only, ...others] = texts
  if (others.length === 0) return hash.update(only?.text ?? '').digest('hex')
  for (const { file, text } of texts) for (const part of [basename(file), text]) hash.update(`${Buffer.byteLength(part)}:`).update(part)
  return hash.digest('hex')
}

/** Where a place of the whole document stands: which file, and which path there. */
type Origin =
  | { readonly part: Part; readonly path: DocumentPath }
  | { readonly keys: ReadonlyMap<string, Origin>; readonly part: Part; readonly path: DocumentPath }
  | { readonly list: readonly Origin[]; readonly part: Part; readonly path: DocumentPath }

interface Part {
  readonly file: string
  readonly parsed: ParsedYaml
}

export type Merged = { readonly ok: true; readonly parsed: ParsedYaml } | { readonly ok: false; readonly faults: readonly Fault[] }

/** One document of several; its places are those in the files. */
export function mergePolicies(texts: readonly PolicyText[]): Merged {
  const parts: Part[] = []
  const faults: Fault[] = []
  for (const { file, text } of texts) {
    const parsed = parseYaml(file, text)
    if (parsed.ok) parts.push({ file, parsed: parsed.parsed })
    else faults.push(...parsed.faults)
  }
  if (faults.length > 0) return { ok: false, faults }
  const [only, ...others] = parts
  if (only === undefined || others.length === 0) return only === undefined ? { ok: false, faults } : { ok: true, parsed: only.parsed }
  const values = parts.filter(({ parsed }) => parsed.value !== null).map((part) => ({ part, path: [], value: part.parsed.value }))
  const merged = merge(values, faults)
  if (faults.length > 0) return { ok: false, faults }
  return {
    ok: true,
    parsed: {
      value: merged.value,
      locate: (path, offset) => {
        const { part, path: local } = originOf(merged.origin, path)
        return part.parsed.locate(local, offset)
      }
    }
  }
}

interface Piece {
  readonly part: Part
  readonly path: DocumentPath
  readonly value: unknown
}

/** Maps whose keys may stand in several files; any other thing of which there is one stands in one. */
const SPREAD = new Set(['', 'revoked', 'tags'])

function merge(pieces: readonly Piece[], faults: Fault[]): { value: unknown; origin: Origin } {
  const [first, ...others] = pieces as [Piece, ...Piece[]]
  const { part, path, value } = first
  if (others.length === 0) return { value, origin: { part, path } }
  if (pieces.every((one) => Array.isArray(one.value))) {
    const list = pieces.flatMap((one) => (one.value as unknown[]).map((_, at): Origin => ({ part: one.part, path: [...one.path, at] })))
    return { value: pieces.flatMap((one) => one.value as unknown[]), origin: { part, path, list } }
  }
  if (SPREAD.has(path.join('.')) && pieces.every((one) => isMap(one.value))) {
    const names = new Set(pieces.flatMap((one) => Object.keys(one.value as object)))
    const merged = [...names].map((name) => {
      const having = pieces.filter((one) => Object.hasOwn(one.value as object, name))
      const of = (one: Piece): Piece => ({ part: one.part, path: [...one.path, name], value: (one.value as Record<string, unknown>)[name] })
      return [name, merge(having.map(of), faults)] as const
    })
    const keys = new Map(merged.map(([name, one]) => [name, one.origin]))
    return { value: Object.fromEntries(merged.map(([name, one]) => [name, one.value])), origin: { part, path, keys } }
  }
  // Each file may say of which version it is.
  for (const other of path.join('.') === 'version' ? others.filter((one) => one.value !== value) : others) {
    const says = `${path.join('.') || 'the file'} stands in ${basename(part.file)} as well`
    faults.push({ ...other.part.parsed.locate(other.path, 0), says, remedy: 'Keep one of the two; only lists are put together.' })
  }
  return { value, origin: { part, path } }
}

function isMap(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function originOf(origin: Origin, path: DocumentPath): { part: Part; path: DocumentPath } {
  const [next, ...rest] = path
  if (next === undefined) return origin
  const inner = 'keys' in origin ? origin.keys.get(String(next)) : 'list' in origin ? origin.list[Number(next)] : undefined
  return inner === undefined ? { part: origin.part, path: [...origin.path, ...path] } : originOf(inner, rest)
}
