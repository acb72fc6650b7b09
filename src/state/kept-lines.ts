/** Lines that one process writes over and over, all of them or none, and reads again when it starts: with their digest in front. */
import { readFile, rename, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { ownFolder, sealed, synced, unsealed, writeAside } from './generations.ts'

export interface Keeping {
  /** Is made if need be, for this user alone. */
  readonly folder: string
  readonly name: string
  /** One at a time: others are seen to between some of them. */
  readonly lines: () => Iterable<string>
  /** Goes up with every change. */
  readonly changes: () => number
  readonly everyMs: number
  readonly onFault: (because: string) => void
  /** Written at the next occasion even if nothing changes. */
  readonly fresh?: boolean
  /** Somebody else wrote it since we did: what they say there is not ours. Told before our next text is made. */
  readonly onShared?: () => void
}

export interface KeptLines {
  /** Writes what changed since the last time. False: it could not be written. */
  readonly save: () => Promise<boolean>
  /** Once more, and no more. */
  readonly close: () => Promise<boolean>
}

const CHUNK_CHARS = 64 * 1024
const FILE_BYTES_MAX = 256 * 1024 * 1024

/** What was written last. `damaged`: it cannot be relied on, and lies beside it under that name from now on. Rejects with a sentence. */
export async function readKept(
  folder: string,
  name: string,
  now: number
): Promise<
  | { readonly kind: 'lines'; readonly lines: readonly string[] }
  | { readonly kind: 'none' }
  | { readonly kind: 'damaged'; readonly aside: string }
> {
  await ownFolder(folder)
  const path = join(folder, name)
  try {
    const { size } = await stat(path)
    const text = size > FILE_BYTES_MAX ? undefined : unsealed(await readFile(path))
    if (text === undefined) return { kind: 'damaged', aside: await putAside(folder, name, now) }
    return { kind: 'lines', lines: text.toString('utf8').split('\n').slice(0, -1) }
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT') return { kind: 'none' }
    throw new Error(`The file ${path} cannot be read: ${code ?? message}.`)
  }
}

/** For somebody to look at. @returns its new name */
export async function putAside(folder: string, name: string, now: number): Promise<string> {
  const aside = `${name}.damaged-${now}`
  await rename(join(folder, name), join(folder, aside))
  return aside
}

export function keepLines({ folder, name, lines, changes, everyMs, onFault, fresh = false, onShared }: Keeping): KeptLines {
  const path = join(folder, name)
  let ours: string | undefined
  let isShared = false
  let written = fresh ? Number.NaN : changes()
  let last: Promise<boolean> = Promise.resolve(true)
  let failing = false
  const write = async (): Promise<boolean> => {
    const now = changes()
    if (now === written) return true
    try {
      if (!isShared && ours !== undefined && ((await stampOf(path)) ?? ours) !== ours) {
        isShared = true
        onFault(`${path} is written by another process as well, and each takes away what the other has seen`)
        onShared?.()
      }
      const draft = await writeAside(folder, sealed(await chunked(lines())))
      ours = await stampOf(draft)
      await rename(draft, path)
      await synced(folder)
      written = now
      failing = false
      return true
    } catch (cause) {
      // Said once, however long it lasts.
      if (!failing) onFault((cause as Error).message)
      failing = true
      return false
    }
  }
  // One after the other, so that an older text never takes the place of a newer one.
  const save = () => {
    last = last.then(write)
    return last
  }
  const timer = setInterval(() => void save(), everyMs)
  timer.unref()
  return {
    save,
    close() {
      clearInterval(timer)
      return save()
    }
  }
}

/** Another one for each file that is written. One that somebody removed is nobody's. */
async function stampOf(path: string): Promise<string | undefined> {
  const found = await stat(path, { bigint: true }).catch(() => undefined)
  return found && `${found.ino} ${found.mtimeNs} ${found.size}`
}

async function chunked(lines: Iterable<string>): Promise<readonly Uint8Array[]> {
  const parts: Buffer[] = []
  let text = ''
  for (const line of lines) {
    text += `${line}\n`
    if (text.length < CHUNK_CHARS) continue
    parts.push(Buffer.from(text, 'utf8'))
    text = ''
    await turn()
  }
  return [...parts, Buffer.from(text, 'utf8')]
}
