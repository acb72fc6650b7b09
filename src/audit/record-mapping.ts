/** Fields of a record that are the same for all records of a kind: made once. */
import { createHash } from 'node:crypto'
import { ATLAS_VERSION, atlasOf, type Mapped, owaspOf } from '../core/attack-mapping.ts'
import type { DenyKind } from '../core/deny-reason.ts'

const denials = new Map<DenyKind, string>()

/** What a denial is consistent with: `atlas_mapping` and `owasp`, where there is something to say. */
export function mappingOf(kind: DenyKind): string {
  const known = denials.get(kind)
  if (known !== undefined) return known
  const text = mappingText(atlasOf(kind), owaspOf(kind))
  denials.set(kind, text)
  return text
}

function mappingText(atlas: readonly Mapped[], owasp: readonly string[]): string {
  const versioned = atlas.map((one) => ({ ...one, version: ATLAS_VERSION }))
  return `${versioned.length === 0 ? '' : `,"atlas_mapping":${JSON.stringify(versioned)}`}${owasp.length === 0 ? '' : `,"owasp":${JSON.stringify(owasp)}`}`
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
