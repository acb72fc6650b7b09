/** JSON from people and tools: strict, and each fault with its file and line. */

import type { z } from 'zod'
import { type Fault, readYaml } from '../config/read-yaml.ts'
import { type Json, parseJson } from '../identity/json.ts'

/** Objects within objects: a CheckRequest has some ten, its metadata a few more. */
const DEPTH_MAX = 64
/** In a longer text the line of a fault is not looked for: it is one line of base64. */
const LOCATED_MAX = 1024 * 1024

export type ReadJson<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly faults: readonly Fault[] }

/** @param line where `text` begins in `file`, from 1 */
export function readJson<T>(file: string, text: string, schema: z.ZodType<T>, line = 1): ReadJson<T> {
  const read = parseJson(Buffer.from(text), DEPTH_MAX)
  if (!read.ok) return failed(file, text, schema, line, `The text ${read.detail}`)
  const checked = schema.safeParse(plain(read.value))
  if (checked.success) return { ok: true, value: checked.data }
  const { path = [], message = 'is not as it should be' } = checked.error.issues[0] ?? {}
  return failed(file, text, schema, line, `${path.map(String).join('.') || 'The text'}: ${message}`)
}

/** JSON is YAML too, so the reader of YAML knows the lines of what is wrong; `says` is for what only JSON forbids. */
function failed<T>(file: string, text: string, schema: z.ZodType<T>, line: number, says: string): ReadJson<T> {
  const again = text.length > LOCATED_MAX ? undefined : readYaml(file, text, schema)
  const remedy = 'Correct it.'
  if (again === undefined || again.ok) return { ok: false, faults: [{ file, line, column: 1, says, remedy }] }
  return { ok: false, faults: again.faults.map((one) => ({ ...one, line: one.line + line - 1, remedy })) }
}

function plain(value: Json): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Map) return Object.fromEntries([...value].map(([name, member]) => [name, plain(member)]))
  if (Array.isArray(value)) return value.map(plain)
  return Number((value as { readonly literal: string }).literal)
}
