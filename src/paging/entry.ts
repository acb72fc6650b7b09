/** A page and whom it was told, as it is kept on the disk. */
import { createHash } from 'node:crypto'
import type { Page, PageState } from '../core/page.ts'

/** Files that are written whole or not at all; `state/sealed-files.ts` by way of `serve-paging.ts`. */
export interface Spool {
  /** Rejects where it cannot be written. */
  readonly write: (name: string, text: string) => Promise<void>
  readonly remove: (name: string) => Promise<void>
  /** What a process before this one left; `broken` names what cannot be read, which is left where it is. */
  readonly read: () => Promise<{ readonly entries: readonly Pick<Entry, 'page' | 'told'>[]; readonly broken: readonly string[] }>
}

export interface Told {
  state: 'nothing' | PageState
  /** In a row. */
  failures: number
  /** Since when the next thing is to be told, or since when there is nothing to tell; ms since the epoch. */
  since: number
  /** When it is tried; infinite: there is nothing to tell. */
  next: number
}

export interface Entry {
  page: Page
  /** By the id of the receiver. */
  readonly told: Map<string, Told>
  /** Settled when what there is to know of it is on the disk, or cannot be. */
  saved: Promise<void>
}

export function entryOf(page: Page, receivers: readonly string[], now: number): Entry {
  const told = new Map(receivers.map((id): [string, Told] => [id, { state: 'nothing', failures: 0, since: now, next: 0 }]))
  return { page, told, saved: Promise.resolve() }
}

export function spoolName(key: string): string {
  return `page-${createHash('sha256').update(key, 'utf16le').digest('hex').slice(0, 32)}`
}

export function textOf({ page, told }: Entry): string {
  return JSON.stringify({ v: 1, page, told: [...told].map(([id, { state, failures, since }]) => [id, { state, failures, since }]) })
}

/** What `textOf` wrote: its digest was held against it. Undefined for another version. */
export function entryIn(text: string): Pick<Entry, 'page' | 'told'> | undefined {
  const { v, page, told } = JSON.parse(text) as { v: unknown; page: Page; told: [string, Omit<Told, 'next'>][] }
  return v === 1 ? { page, told: new Map(told.map(([id, one]) => [id, { ...one, next: 0 }])) } : undefined
}
