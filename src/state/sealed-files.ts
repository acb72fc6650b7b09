/** Files that one process writes over and over and all may read, each whole: under `folder/owner/name`. */
import { readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { ownFolder, sealed, unsealed, writeAside } from './generations.ts'

export interface SealedFiles {
  readonly owner: string
  /** Rejects where it cannot be written. */
  readonly write: (name: string, parts: readonly Uint8Array[]) => Promise<void>
  readonly remove: (name: string) => Promise<void>
  /** Names of our own. */
  readonly names: () => Promise<readonly string[]>
  /** Ours and those of others under that name; `undefined` for one that is damaged. */
  readonly read: (name: string) => Promise<readonly { readonly owner: string; readonly bytes: Buffer | undefined }[]>
}

const NAME = /^[a-z]+-[0-9a-f]{8,64}$/

/** @param owner who writes: the same after a restart, another one for each process that shares the folder */
export async function openSealedFiles(folder: string, owner: string): Promise<SealedFiles> {
  const own = join(folder, owner)
  await ownFolder(own)
  return {
    owner,
    async write(name, parts) {
      await rename(await writeAside(own, sealed(parts)), join(own, name))
    },
    remove: (name) => rm(join(own, name), { force: true }),
    names: async () => (await readdir(own)).filter((name) => NAME.test(name)),
    async read(name) {
      const owners = (await readdir(folder)).filter((one) => NAME.test(one))
      const found = await Promise.all(owners.map(async (one) => ({ owner: one, bytes: await readOne(join(folder, one, name)) })))
      return found.flatMap(({ owner: one, bytes }) => (bytes === 'none' ? [] : [{ owner: one, bytes }]))
    }
  }
}

async function readOne(path: string): Promise<Buffer | 'none' | undefined> {
  try {
    return unsealed(await readFile(path))
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return 'none'
    throw cause
  }
}
