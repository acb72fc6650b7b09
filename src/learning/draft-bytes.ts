/** A draft as a file: a line of JSON, then its numbers as they lie in memory. Written and read on one machine, in one byte order. */
import { type DriftDraft, FOLDED_DIMENSIONS } from '../core/drift.ts'
import { DRAFT_QUERIES_MAX, DRAFT_WORKLOADS_MAX } from '../core/drift-learning.ts'
import { VECTOR_DIMENSIONS_MAX } from '../core/limits.ts'
import { fail, readName, readNumber, readObject } from '../risk/drift-baseline.ts'
import { newDraft } from '../risk/drift-learn.ts'
import type { Read } from './slot-text.ts'

const HEADER_BYTES_MAX = 4 * 1024 * 1024

/** What is noted is never changed again, so these can be written while further queries are noted. */
export function draftBytes({ key, form, dimensions, seed, names, skipped, queries, ...arrays }: DriftDraft): readonly Uint8Array[] {
  const { rows, scales, times, workloads, digests } = arrays
  const header = JSON.stringify({ format: 'vecauthz-draft 1', key, form, dimensions, seed, names, skipped, queries })
  const columns = Math.min(dimensions, FOLDED_DIMENSIONS)
  return [
    Buffer.from(`${header}\n`, 'utf8'),
    ...[
      times.subarray(0, queries),
      scales.subarray(0, queries),
      digests.subarray(0, 2 * queries),
      workloads.subarray(0, queries),
      rows.subarray(0, queries * columns)
    ].map(({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength))
  ]
}

export function draftFrom(bytes: Buffer): Read<DriftDraft> {
  try {
    return { ok: true, value: read(bytes) }
  } catch (cause) {
    return { ok: false, because: cause instanceof RangeError ? cause.message : 'it is not a draft' }
  }
}

function read(bytes: Buffer): DriftDraft {
  const end = bytes.subarray(0, HEADER_BYTES_MAX).indexOf(10)
  const fields = readObject(
    JSON.parse(bytes.subarray(0, Math.max(0, end)).toString('utf8')),
    ['format', 'key', 'form', 'dimensions', 'seed', 'names', 'skipped', 'queries'],
    'the draft'
  )
  if (fields.format !== 'vecauthz-draft 1') fail('the draft has another format')
  const named = readObject(fields.key, ['tenant', 'agentType', 'collection'], 'key')
  const [dimensions, seed, queries] = (['dimensions', 'seed', 'queries'] as const).map((name) => {
    const number = readNumber(fields[name], name)
    return Number.isSafeInteger(number) ? number : fail(`${name} is not a whole number`)
  }) as [number, number, number]
  if (dimensions < 1 || dimensions > VECTOR_DIMENSIONS_MAX || queries > DRAFT_QUERIES_MAX) fail('the draft is too large')
  const names = Array.isArray(fields.names) ? fields.names.map((name) => readName(name, 'a workload')) : fail('names is no list')
  if (names.length > DRAFT_WORKLOADS_MAX) fail('the draft has too many workloads')
  const draft = newDraft(
    {
      tenant: readName(named.tenant, 'tenant'),
      agentType: readName(named.agentType, 'agentType'),
      collection: readName(named.collection, 'collection')
    },
    { form: fields.form === 'sparse' ? 'sparse' : 'dense', dimensions, seed }
  )
  const columns = Math.min(dimensions, FOLDED_DIMENSIONS)
  let from = end + 1
  // Copied, so that what lies behind the header need not be aligned.
  const next = (length: number): ArrayBuffer => {
    if (from + length > bytes.length) fail('the draft is cut off')
    const part = new Uint8Array(bytes.subarray(from, from + length)).buffer
    from += length
    return part
  }
  const times = new Float64Array(next(queries * 8))
  const scales = new Float32Array(next(queries * 4))
  const digests = new Int32Array(next(queries * 8))
  const workloads = new Uint16Array(next(queries * 2))
  const rows = new Int8Array(next(queries * columns))
  if (from !== bytes.length) fail('the draft is longer than it says')
  if (workloads.some((number) => number >= names.length)) fail('a query of the draft is of nobody')
  if (![...scales, ...times].every(Number.isFinite)) fail('the draft holds what is no number')
  draft.names.push(...names)
  return Object.assign(draft, { rows, scales, times, workloads, digests, queries, skipped: readNumber(fields.skipped, 'skipped') })
}
