/** Fields of a record that are the same for all records of a kind: made once. */
import { createHash } from 'node:crypto'
import { ATLAS_VERSION, atlasOf, foundIn, type Mapped, owaspOf } from '../core/attack-mapping.ts'
import type { DenyKind } from '../core/deny-reason.ts'
import type { Screened } from '../core/screening.ts'
import type { Operation } from '../core/vector-call.ts'

const NOTHING: readonly Screened[] = []
const WRITES: ReadonlySet<Operation | undefined> = new Set<Operation>(['write', 'define'])
/** There are some 40 kinds, and few combinations of what texts have. */
const known = new Map<string, string>()

/** What a denial, and what was found in the texts, are consistent with: `screening`, `atlas_mapping` and `owasp`, where there is something to say. */
export function mappingOf(kind: DenyKind | undefined, found = NOTHING, operation: Operation | undefined): string {
  if (kind === undefined && found.length === 0) return ''
  const name = `${kind} ${found.join()} ${WRITES.has(operation)}`
  const text = known.get(name) ?? mappingText(kind, found, WRITES.has(operation))
  known.set(name, text)
  return text
}

function mappingText(kind: DenyKind | undefined, found: readonly Screened[], writes: boolean): string {
  const inTexts = foundIn(found, writes)
  const own: readonly Mapped[] = kind === undefined ? [] : atlasOf(kind)
  const atlas = [...own, ...inTexts.atlas.filter(({ technique }) => own.every((one) => one.technique !== technique))]
  const owasp = [...new Set([...(kind === undefined ? [] : owaspOf(kind)), ...inTexts.owasp])]
  const screening = found.length === 0 ? '' : `,"screening":${JSON.stringify(found)}`
  const versioned = atlas.map((one) => ({ ...one, version: ATLAS_VERSION }))
  return `${screening}${versioned.length === 0 ? '' : `,"atlas_mapping":${JSON.stringify(versioned)}`}${owasp.length === 0 ? '' : `,"owasp":${JSON.stringify(owasp)}`}`
}

const snapshots = new Map<string, string>()
const SNAPSHOTS_MAX = 64

/** The policy's revision as a UUID (version 8, RFC 9562 §5.8): the first bits of its SHA-256. */
export function snapshotOf(revision: string): string {
  const known = snapshots.get(revision)
  if (known !== undefined) return known
  const hex = /^[0-9a-f]{32}/.test(revision) ? revision : createHash('sha256').update(revision).digest('hex')
  const variant = ((Number.parseInt(hex.slice(16, 17), 16) & 3) | 8).toString(16)
  const id = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`
  if (snapshots.size >= SNAPSHOTS_MAX) snapshots.clear()
  snapshots.set(revision, id)
  return id
}
