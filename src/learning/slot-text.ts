/** Baselines and spaces as the folder keeps them. What cannot be read is a fault, never an empty one. */
import { createHash } from 'node:crypto'
import type { Background, Baseline, BaselineKey, DriftSpace, VectorForm } from '../core/drift.ts'
import { key } from '../core/keys.ts'
import { exportBaseline, fail, importBaseline, readName, readNumber, readObject } from '../risk/drift-baseline.ts'
import { exportBackground, exportSpace, importBackground, importSpace } from '../risk/drift-bundle.ts'

/** A baseline, and the word of a person on it. */
export interface Kept {
  readonly baseline: Baseline
  readonly background: Background
  /** Exposure budget of a day, in records, as the approver set it. */
  readonly daily: number | undefined
  /** Who made or approved it: a SPIFFE ID, or `automatic`. */
  readonly by: string
  readonly reason: string
  /** ms since the epoch. */
  readonly at: number
}

/** All there is of one agent type and collection. */
export interface Slot {
  readonly key: BaselineKey
  readonly inForce: Kept | undefined
  /** Waits for somebody's yes. */
  readonly waiting: Kept | undefined
  /** Queries from before then are not learnt from; ms since the epoch. */
  readonly since: number
}

export type Read<Value> = { readonly ok: true; readonly value: Value } | { readonly ok: false; readonly because: string }

export function slotKey({ tenant, agentType, collection }: BaselineKey): string {
  return key(tenant, agentType, collection)
}

export function slotName(of: BaselineKey): string {
  return `baseline-${digest(slotKey(of))}`
}

export function spaceKey(tenant: string, form: VectorForm, dimensions: number): string {
  return key(tenant, form, String(dimensions))
}

export function spaceName(tenant: string, form: VectorForm, dimensions: number): string {
  return `space-${digest(spaceKey(tenant, form, dimensions))}`
}

function digest(text: string): string {
  return createHash('sha256').update(text, 'utf16le').digest('hex').slice(0, 32)
}

export function slotText({ key: of, inForce, waiting, since }: Slot): string {
  return JSON.stringify({ format: 'vecauthz-slot 1', key: of, in_force: keptJson(inForce), waiting: keptJson(waiting), since })
}

export function slotFrom(text: string): Read<Slot> {
  return said('a baseline', () => {
    const fields = readObject(JSON.parse(text), ['format', 'key', 'in_force', 'waiting', 'since'], 'the file')
    if (fields.format !== 'vecauthz-slot 1') fail('the file has another format')
    const named = readObject(fields.key, ['tenant', 'agentType', 'collection'], 'key')
    const of = {
      tenant: readName(named.tenant, 'tenant'),
      agentType: readName(named.agentType, 'agentType'),
      collection: readName(named.collection, 'collection')
    }
    const slot = {
      key: of,
      inForce: readKept(fields.in_force),
      waiting: readKept(fields.waiting),
      since: readNumber(fields.since, 'since')
    }
    const other = [slot.inForce, slot.waiting].some((one) => one !== undefined && slotKey(one.baseline.key) !== slotKey(of))
    return other ? fail('the baseline is of another agent type or collection') : slot
  })
}

export interface TenantSpace {
  readonly tenant: string
  readonly space: DriftSpace
}

export function spaceText({ tenant, space }: TenantSpace): string {
  return JSON.stringify({ format: 'vecauthz-space 1', tenant, space: exportSpace(space) })
}

export function spaceFrom(text: string): Read<TenantSpace> {
  return said('a space', () => {
    const fields = readObject(JSON.parse(text), ['format', 'tenant', 'space'], 'the file')
    if (fields.format !== 'vecauthz-space 1') fail('the file has another format')
    const read = importSpace(fields.space)
    return { tenant: readName(fields.tenant, 'tenant'), space: read.ok ? read.value : fail(read.because) }
  })
}

function keptJson(kept: Kept | undefined): object | null {
  if (kept === undefined) return null
  const { baseline, background, daily, by, reason, at } = kept
  const exported: unknown = JSON.parse(exportBaseline(baseline))
  return { baseline: exported, background: exportBackground(background), daily: daily ?? null, by, reason, at }
}

function readKept(value: unknown): Kept | undefined {
  if (value === null) return undefined
  const fields = readObject(value, ['baseline', 'background', 'daily', 'by', 'reason', 'at'], 'an entry')
  const [read, behind] = [importBaseline(JSON.stringify(fields.baseline)), importBackground(fields.background)]
  const baseline = read.ok ? read.baseline : fail(read.because)
  const background = behind.ok ? behind.value : fail(behind.because)
  if (baseline.background !== background.version) fail('the background is not that of the baseline')
  return {
    baseline,
    background,
    daily: fields.daily === null ? undefined : readNumber(fields.daily, 'daily'),
    by: readName(fields.by, 'by'),
    reason: readName(fields.reason, 'reason'),
    at: readNumber(fields.at, 'at')
  }
}

function said<Value>(what: string, read: () => Value): Read<Value> {
  try {
    return { ok: true, value: read() }
  } catch (cause) {
    return { ok: false, because: cause instanceof RangeError ? cause.message : `it is not ${what}` }
  }
}
