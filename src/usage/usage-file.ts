/** What was used, kept across restarts: read at the start, written every few seconds and at the end. */
import { hostname } from 'node:os'
import { basename } from 'node:path'
import { type KeptLines, keepLines, putAside, readKept } from '../state/kept-lines.ts'
import { createUsage, type UsageBook } from './usage.ts'
import { type Head, headSchema, type UsedWorkload, workloadSchema } from './usage-text.ts'

export interface KeptUsage {
  readonly book: UsageBook
  /** Of this moment. */
  readonly head: () => Head
  readonly save: KeptLines['save']
  readonly close: KeptLines['close']
}

export interface UsageFileOptions {
  /** Undefined: in memory alone. */
  readonly folder: string | undefined
  /** Who writes: a file each. */
  readonly instance: string
  readonly everySeconds: number
  readonly now: () => number
  /** What was there cannot be relied on, and is put aside under that name. */
  readonly onDamaged: (aside: string) => void
  readonly onFault: (because: string) => void
}

const RUNS_MAX = 128

/** The same after a restart, and another one for each lane of a host. */
export function instanceOf(settingsFile: string): string {
  return `${hostname()}-${basename(settingsFile).replace(/\.ya?ml$/, '')}`.replace(/[^A-Za-z0-9._-]/g, '-').slice(0, 128)
}

/** Rejects with a sentence where the folder cannot be used. */
export async function openUsage(options: UsageFileOptions): Promise<KeptUsage> {
  const { folder, instance, everySeconds, now } = options
  const book = createUsage()
  const began = now()
  const name = `${instance}.used`
  const before = folder === undefined ? undefined : await restored(folder, name, began, options)
  if (before !== undefined) book.add({ ...before.head, workloads: before.workloads })
  const runs = [...(before?.head.runs ?? []), { from: began, to: began, ended: false }]
  // Those that go are the oldest; when it all began stays.
  const gone = Math.max(0, runs.length - RUNS_MAX)
  const kept = runs.slice(gone)
  let ended = false
  let shared = 0
  const head = (): Head => ({
    version: 1,
    instance,
    since: before?.head.since ?? began,
    runs: [...kept.slice(0, -1), { from: began, to: now(), ended }],
    runsBefore: (before?.head.runsBefore ?? 0) + gone,
    killed: (before?.head.killed ?? 0) + (before?.head.runs.at(-1)?.ended === false ? 1 : 0),
    everySeconds,
    ...book.facts(),
    lost: book.facts().lost + shared
  })
  if (folder === undefined) return { book, head, save: async () => true, close: async () => true }
  const lines = function* () {
    yield JSON.stringify(head())
    for (const one of book.workloads()) yield JSON.stringify(one)
  }
  // That a run began is a change, and so is that it ended.
  const changes = () => book.changes() + (ended ? 1 : 0)
  // What the other one saw is not here, or will not be: from then on nothing can be called unused.
  const onShared = () => void shared++
  const { onFault } = options
  const file = keepLines({ folder, name, lines, changes, everyMs: everySeconds * 1000, onFault, fresh: true, onShared })
  await file.save()
  const close = () => {
    ended = true
    return file.close()
  }
  return { book, head, save: file.save, close }
}

interface Restored {
  readonly head: Head
  readonly workloads: readonly UsedWorkload[]
}

async function restored(folder: string, name: string, now: number, { onDamaged }: UsageFileOptions): Promise<Restored | undefined> {
  const read = await readKept(folder, name, now)
  if (read.kind === 'none') return undefined
  const found = read.kind === 'lines' ? parsed(read.lines) : undefined
  if (found === undefined) onDamaged(read.kind === 'damaged' ? read.aside : await putAside(folder, name, now))
  return found
}

function parsed([first = '', ...rest]: readonly string[]): Restored | undefined {
  try {
    return { head: headSchema.parse(JSON.parse(first)), workloads: rest.map((line) => workloadSchema.parse(JSON.parse(line))) }
  } catch {
    return undefined
  }
}
