/**
 * Texts in a folder, each under a name and with a number that goes up: a change is a new file that nobody may have made before, so of
 * two processes that change the same text one is told that it was slower. The last few numbers stay, to go back by hand.
 */
import { createHash, randomBytes } from 'node:crypto'
import { link, mkdir, open, readdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'

export type Generation =
  | { readonly kind: 'text'; readonly name: string; readonly number: number; readonly text: string }
  /** There is one, and it cannot be relied on; none before it is taken for it. */
  | { readonly kind: 'fault'; readonly name: string; readonly number: number; readonly because: string }

export type Written = { readonly kind: 'written' } | { readonly kind: 'changed' } | { readonly kind: 'failed'; readonly because: string }

export interface Generations {
  /** The latest of each name whose number is not that of `known`. Rejects where the folder cannot be read. */
  readonly look: (known: ReadonlyMap<string, number>) => Promise<readonly Generation[]>
  /** Writes the number after `number`, if that is still the latest; 0 where there is none. On the disk when it is answered. */
  readonly put: (name: string, number: number, text: string) => Promise<Written>
}

const KEPT = 8
const FILE = /^([a-z]+-[0-9a-f]{8,64})\.([1-9][0-9]{0,9})$/
const TEXT_BYTES_MAX = 1024 * 1024

/** Makes the folder, for its owner only. @throws Error with a sentence where it cannot be, or everybody may write to it */
export async function openGenerations(folder: string): Promise<Generations> {
  await ownFolder(folder)
  return { look: (known) => look(folder, known), put: (name, number, text) => put(folder, name, number, text) }
}

/** For a process alone that forgets with its end. */
export function memoryGenerations(): Generations {
  const all = new Map<string, { readonly number: number; readonly text: string }>()
  return {
    look: async (known) =>
      [...all].filter(([name, { number }]) => known.get(name) !== number).map(([name, one]) => ({ kind: 'text', name, ...one })),
    async put(name, number, text) {
      if ((all.get(name)?.number ?? 0) !== number) return { kind: 'changed' }
      all.set(name, { number: number + 1, text })
      return { kind: 'written' }
    }
  }
}

export async function ownFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const { mode } = await stat(folder)
    if ((mode & 0o002) !== 0) throw new Error('everybody may write to it')
  } catch (cause) {
    throw new Error(`The folder ${folder} cannot be used: ${because(cause)}.`)
  }
}

async function latest(folder: string): Promise<Map<string, number>> {
  const numbers = new Map<string, number>()
  for (const file of await readdir(folder)) {
    const [, name, number] = FILE.exec(file) ?? []
    if (name !== undefined) numbers.set(name, Math.max(numbers.get(name) ?? 0, Number(number)))
  }
  return numbers
}

async function look(folder: string, known: ReadonlyMap<string, number>): Promise<readonly Generation[]> {
  const fresh = [...(await latest(folder))].filter(([name, number]) => known.get(name) !== number)
  const read = await Promise.all(fresh.map(([name, number]) => readOne(folder, name, number)))
  return read.flatMap((one) => one ?? [])
}

async function readOne(folder: string, name: string, number: number): Promise<Generation | undefined> {
  const path = join(folder, `${name}.${number}`)
  try {
    const { size } = await stat(path)
    if (size > TEXT_BYTES_MAX) return { kind: 'fault', name, number, because: `${path} is larger than anything that is written here` }
    const text = unsealed(await readFile(path))
    if (text === undefined) return { kind: 'fault', name, number, because: `${path} is damaged: its digest is not that of its content` }
    return { kind: 'text', name, number, text: text.toString('utf8') }
  } catch (cause) {
    // Removed meanwhile, as there are newer ones: the next look finds those.
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    return { kind: 'fault', name, number, because: `${path} cannot be read: ${because(cause)}` }
  }
}

async function put(folder: string, name: string, number: number, text: string): Promise<Written> {
  try {
    if (((await latest(folder)).get(name) ?? 0) !== number) return { kind: 'changed' }
    const draft = await writeAside(folder, sealed([Buffer.from(text, 'utf8')]))
    try {
      await link(draft, join(folder, `${name}.${number + 1}`))
    } finally {
      await rm(draft, { force: true })
    }
    await synced(folder)
    await rm(join(folder, `${name}.${number + 1 - KEPT}`), { force: true })
    return { kind: 'written' }
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === 'EEXIST' ? { kind: 'changed' } : { kind: 'failed', because: because(cause) }
  }
}

/** A file beside those that are read, whole and on the disk. @returns its path */
export async function writeAside(folder: string, parts: readonly Uint8Array[]): Promise<string> {
  const path = join(folder, `.${randomBytes(8).toString('hex')}`)
  const file = await open(path, 'wx', 0o600)
  try {
    for (const part of parts) await file.writeFile(part)
    await file.sync()
  } catch (cause) {
    await rm(path, { force: true })
    throw cause
  } finally {
    await file.close()
  }
  return path
}

export async function synced(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** With the digest of all of it in front. */
export function sealed(parts: readonly Uint8Array[]): readonly Uint8Array[] {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return [Buffer.from(`${hash.digest('hex')}\n`), ...parts]
}

/** What was sealed; undefined where not every bit of it is as it was. */
export function unsealed(bytes: Buffer): Buffer | undefined {
  const rest = bytes.subarray(65)
  return bytes.subarray(0, 65).toString('latin1') === `${createHash('sha256').update(rest).digest('hex')}\n` ? rest : undefined
}

function because(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}
