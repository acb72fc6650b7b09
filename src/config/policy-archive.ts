/**
 * Every policy that was in force, by its revision: what a decision record names can be read again. The revision is the hash of what is
 * kept, so nothing here has to be believed.
 */
import { randomUUID } from 'node:crypto'
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeSync
} from 'node:fs'
import { basename, join } from 'node:path'
import { z } from 'zod'
import { type PolicyText, revisionOf } from './policy-files.ts'

/** Some hundred changes a year, for some years. */
const ARCHIVED_MAX = 1_000
/** A file that was being written so long ago has nobody who writes it. */
const ABANDONED_MS = 3_600_000
const REVISION = /^[0-9a-f]{64}$/

const archived = z.strictObject({ files: z.array(z.strictObject({ name: z.string(), text: z.string() })).min(1) })

/**
 * Keeps the source files of a policy under its revision. What is there already is left as it is, and counts as new.
 * @param dir is made if need be, for this user alone
 * @param revision as `revisionOf` gives it for these files
 * @param inForce revisions that are never dropped, however old. This one is not either.
 * @param most how many revisions are kept; the oldest go first
 * Throws when it cannot be kept.
 */
export function archivePolicy(
  dir: string,
  revision: string,
  files: readonly PolicyText[],
  inForce: readonly string[] = [],
  most = ARCHIVED_MAX
): void {
  if (revisionOf(files) !== revision) throw new Error(`the files are not those of revision ${revision}`)
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  const path = pathOf(dir, revision)
  const kept = readArchived(dir, revision)
  if (kept.ok) utimesSync(path, new Date(), new Date())
  else if (kept.missing) writeWhole(dir, path, JSON.stringify({ files: files.map(({ file, text }) => ({ name: basename(file), text })) }))
  else throw new Error(kept.says)
  dropOldest(dir, new Set([revision, ...inForce]), most)
}

export type Archived =
  | { readonly ok: true; readonly files: readonly PolicyText[] }
  | { readonly ok: false; readonly missing: boolean; readonly says: string }

/** The source files of a revision, proved to be those. */
export function readArchived(dir: string, revision: string): Archived {
  const no = (says: string, missing = false): Archived => ({ ok: false, missing, says })
  if (!REVISION.test(revision)) return no(`"${revision.slice(0, 64)}" is no revision of a policy`)
  let text: string
  try {
    text = readFileSync(pathOf(dir, revision), 'utf8')
  } catch (cause) {
    const { code = 'unreadable' } = cause as NodeJS.ErrnoException
    const missing = code === 'ENOENT'
    return no(missing ? `revision ${revision} is not in the archive` : `revision ${revision} cannot be read (${code})`, missing)
  }
  const files = filesOf(text)
  if (files === undefined || revisionOf(files) !== revision) return no(`revision ${revision} is damaged: its hash is another one`)
  return { ok: true, files }
}

function filesOf(text: string): PolicyText[] | undefined {
  try {
    return archived.parse(JSON.parse(text)).files.map(({ name, text: content }) => ({ file: name, text: content }))
  } catch {
    return undefined
  }
}

function pathOf(dir: string, revision: string): string {
  return join(dir, `${revision}.json`)
}

/** All of it or nothing, also after a loss of power. */
function writeWhole(dir: string, path: string, text: string): void {
  const temporary = join(dir, `.${randomUUID()}.tmp`)
  try {
    const file = openSync(temporary, 'wx', 0o600)
    try {
      const bytes = Buffer.from(text)
      for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    renameSync(temporary, path)
  } catch (cause) {
    rmSync(temporary, { force: true })
    throw cause
  }
  const folder = openSync(dir, 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}

/** Other processes may do so at the same time. */
function dropOldest(dir: string, inForce: ReadonlySet<string>, most: number): void {
  const names = readdirSync(dir)
  const written = (name: string) => statSync(join(dir, name), { throwIfNoEntry: false })?.mtimeMs ?? Number.POSITIVE_INFINITY
  for (const name of names.filter((one) => one.endsWith('.tmp')))
    if (written(name) < Date.now() - ABANDONED_MS) rmSync(join(dir, name), { force: true })
  const revisions = names.filter((name) => REVISION.test(name.replace(/\.json$/, '')) && name.endsWith('.json'))
  if (revisions.length <= most) return
  const oldest = revisions.map((name) => ({ name, at: written(name) })).sort((a, b) => a.at - b.at)
  let excess = revisions.length - most
  for (const { name } of oldest) {
    if (excess === 0) return
    if (inForce.has(name.slice(0, -'.json'.length))) continue
    rmSync(join(dir, name), { force: true })
    excess--
  }
}
