/** Records into a file of this host, or to standard output; a file is put aside by size or age. Runs in the audit worker: it may wait for the disk. */
import { closeSync, fstatSync, mkdirSync, openSync, readdirSync, readSync, renameSync, unlinkSync, writeSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { Outlet } from './delivery.ts'

export interface FileOptions {
  /** Absolute, or `stdout`. */
  readonly file: string
  readonly rotate: RotateOptions | undefined
}

export interface RotateOptions {
  readonly bytes: number
  readonly ms: number
  /** Files put aside that stay; undefined: all of them. */
  readonly keep: number | undefined
}

const STDOUT = 1
const NEWLINE = 0x0a

/** @throws Error when the file cannot be opened */
export function openFile({ file, rotate }: FileOptions, now: () => number): Outlet {
  let open = file === 'stdout' ? { fd: STDOUT, bytes: 0, since: now() } : openForAppending(file, now())
  // A batch that stopped half way goes on where it stopped.
  let half: { readonly id: string; readonly at: number } | undefined
  const writeFrom = (lines: Buffer, start: number, id: string) => {
    let at = start
    try {
      while (at < lines.length) {
        const count = writeSync(open.fd, lines, at)
        at += count
        open.bytes += count
      }
    } catch (cause) {
      half = { id, at }
      throw new Error(`${file} cannot be written: ${(cause as Error).message}`)
    }
    half = undefined
  }
  return {
    async send(lines, id) {
      const due = rotate !== undefined && open.bytes > 0 && (open.bytes + lines.length > rotate.bytes || now() - open.since > rotate.ms)
      if (due && half === undefined && open.fd !== STDOUT) open = putAside(file, open.fd, rotate, now())
      writeFrom(lines, half?.id === id ? half.at : 0, id)
    },
    close() {
      if (open.fd !== STDOUT) closeSync(open.fd)
    }
  }
}

interface OpenFile {
  readonly fd: number
  bytes: number
  /** When its first line was written, milliseconds since the epoch. */
  readonly since: number
}

function openForAppending(file: string, now: number): OpenFile {
  try {
    mkdirSync(dirname(file), { recursive: true })
    const fd = openSync(file, 'a+', 0o600)
    const { size, birthtimeMs } = fstatSync(fd)
    // After a kill in the middle of a line, the next record still begins one.
    const last = Buffer.alloc(1)
    const torn = size > 0 && readSync(fd, last, 0, 1, size - 1) === 1 && last[0] !== NEWLINE
    if (torn) writeSync(fd, '\n')
    return { fd, bytes: size + (torn ? 1 : 0), since: size === 0 || birthtimeMs === 0 ? now : birthtimeMs }
  } catch (cause) {
    throw new Error(`the audit file ${file} cannot be opened: ${(cause as Error).message}`)
  }
}

/** The file gets the moment as its ending, so that names sort by time. */
function putAside(file: string, fd: number, { keep }: RotateOptions, now: number): OpenFile {
  const stamp = new Date(now).toISOString().replaceAll(':', '-')
  const [folder, name] = [dirname(file), basename(file)]
  const taken = new Set(readdirSync(folder))
  let target = `${name}.${stamp}`
  for (let at = 1; taken.has(target); at++) target = `${name}.${stamp}-${at}`
  renameSync(file, join(folder, target))
  const open = openForAppending(file, now)
  closeSync(fd)
  if (keep === undefined) return open
  const aside = readdirSync(folder).filter((one) => one.startsWith(`${name}.2`))
  for (const old of aside.sort().slice(0, -keep)) unlinkSync(join(folder, old))
  return open
}
