/**
 * What could not be delivered waits in files, in order: a folder for each sink, named pieces of some megabytes. What a process leaves
 * there, the next one delivers first.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeSync
} from 'node:fs'
import { join } from 'node:path'

export interface SpillFile {
  readonly path: string
  bytes: number
  /** When it was made, milliseconds since the epoch. */
  readonly at: number
}

export interface Spill {
  /** What an earlier process left, oldest first. */
  readonly left: () => readonly SpillFile[]
  /** A new file that comes after all others; undefined where there is no room, or it cannot be written. */
  readonly create: (lines: Buffer) => SpillFile | undefined
  /** More lines for the newest file; false where they cannot be added. */
  readonly append: (file: SpillFile, lines: Buffer) => boolean
  readonly read: (file: SpillFile) => Buffer
  readonly remove: (file: SpillFile) => void
  readonly bytes: () => number
  readonly bytesMax: number
}

const NAME = /^\d{12}\.ndjson$/
const NEWLINE = 0x0a

/** @throws Error when the folder cannot be used */
export function openSpill(folder: string, bytesMax: number, onTrouble: (says: string) => void): Spill {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const names = readdirSync(folder).filter((name) => NAME.test(name))
  const left = names.sort().map((name) => whole(join(folder, name), onTrouble))
  let last = names.length === 0 ? 0 : Number(names.at(-1)?.slice(0, 12))
  let bytes = left.reduce((sum, file) => sum + file.bytes, 0)
  const add = (file: SpillFile, lines: Buffer): boolean => {
    if (bytes + lines.length > bytesMax || !writeAll(file.path, lines, file.bytes)) return false
    file.bytes += lines.length
    bytes += lines.length
    return true
  }
  return {
    bytesMax,
    left: () => left.filter((file) => file.bytes > 0),
    bytes: () => bytes,
    append: add,
    create(lines) {
      const file = { path: join(folder, `${String(++last).padStart(12, '0')}.ndjson`), bytes: 0, at: Date.now() }
      if (add(file, lines)) return file
      if (existsSync(file.path)) unlinkSync(file.path)
      return undefined
    },
    read: ({ path }) => readFileSync(path),
    remove(file) {
      unlinkSync(file.path)
      bytes -= file.bytes
    }
  }
}

/** All of the lines or none: what a full disk took of them is cut off again. */
function writeAll(path: string, lines: Buffer, size: number): boolean {
  try {
    const fd = openSync(path, 'a', 0o600)
    try {
      for (let at = 0; at < lines.length; ) at += writeSync(fd, lines, at)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    return true
  } catch {
    try {
      truncateSync(path, size)
    } catch {
      // A file that was never made has nothing to cut.
    }
    return false
  }
}

/** Without the line that a killed process was writing, for its receiver would take no batch with half a record in it. */
function whole(path: string, onTrouble: (says: string) => void): SpillFile {
  const { size, birthtimeMs, mtimeMs } = statSync(path)
  const lines = readFileSync(path)
  const end = lines.lastIndexOf(NEWLINE) + 1
  if (end < size) {
    truncateSync(path, end)
    onTrouble(`a record that was cut when the last process ended was left out of ${path} (${size - end} bytes)`)
  }
  // Not every file system knows when a file was made.
  return { path, bytes: end, at: birthtimeMs > 0 ? Math.min(birthtimeMs, mtimeMs) : mtimeMs }
}
