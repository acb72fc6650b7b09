/**
 * What was decided of standings and is not in the store yet, in a file of this run: it is with the kernel before the answer leaves, so a
 * kill in that very moment takes nothing along. A note is a whole record, and records merge in any order and any number of times: whoever
 * shares the folder reads what others have left there, and nothing has to be locked.
 *
 * An entry is its length, its CRC-32 and its text; a length of 0 ends them. Room for the first ones is taken beforehand: a disk that is
 * full later does not matter to those.
 */
import { closeSync, fstatSync, futimesSync, openSync, readdirSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { ownFolder } from './generations.ts'

export interface Journal {
  /** With the kernel when it returns. */
  readonly note: (text: string) => void
  /** All that was noted is in the store. */
  readonly clear: () => void
  /** What other runs have noted and not cleared; what was given before comes again only when something was added. */
  readonly others: () => readonly string[]
  /** @param isTold all that was noted is in the store */
  readonly close: (isTold: boolean) => void
}

export interface JournalParts {
  /** Made where there is none; on a local disk. */
  readonly folder: string
  /** Names this run of this process and no other one ever: of digits and letters. */
  readonly run: string
  /** Milliseconds, by a clock that never steps. */
  readonly tick: () => number
  readonly onTrouble: (because: string) => void
}

/** Some 60 standings. */
const RESERVED_BYTES = 64 * 1024
/** Some 200,000 changes while the store is away. */
const BYTES_MAX = 256 * 1024 * 1024
const HEAD = 8
/** A run shows that it lives by touching its file. */
const TOUCH_MS = 30_000
/** Whose file was not touched for so long does not run any more, whatever the clocks say. */
const LEFT_MS = 180_000
const FILE = /^standings-[0-9a-zA-Z]{1,64}$/

/** @throws Error with a sentence where the folder cannot be used */
export async function openJournal({ folder, run, tick, onTrouble }: JournalParts): Promise<Journal> {
  await ownFolder(folder)
  const say = createSaying(onTrouble)
  const name = `standings-${run}`
  const own = createOwn(join(folder, name), tick, say)
  return {
    note: own.note,
    clear: own.clear,
    others: createOthers(folder, name, tick, say, own),
    close: own.close
  }
}

/** The same trouble once. */
function createSaying(onTrouble: (because: string) => void): (because: string) => void {
  let last: string | undefined
  return (because) => {
    if (because !== last) onTrouble(because)
    last = because
  }
}

interface Own {
  readonly note: Journal['note']
  readonly clear: Journal['clear']
  readonly close: Journal['close']
  readonly touch: () => void
  readonly isClear: () => boolean
}

function createOwn(path: string, tick: () => number, say: (because: string) => void): Own {
  let file: number | undefined
  let [at, touchedAt] = [0, tick()]
  const open = (): number => {
    if (file !== undefined) return file
    file = openSync(path, 'w', 0o600)
    at = 0
    // On a disk that is full as much of it as there is.
    writeSync(file, Buffer.alloc(RESERVED_BYTES), 0, RESERVED_BYTES, 0)
    return file
  }
  const attempt = (what: string, work: () => void) => {
    try {
      work()
    } catch (cause) {
      say(`${what}: ${(cause as Error).message}`)
    }
  }
  attempt('the journal of standings cannot be made', open)
  return {
    note: (text) =>
      attempt('a standing is not in the journal: a kill before the store has it would take it along', () => {
        const entry = entryOf(text)
        if (at + entry.length > BYTES_MAX) throw new Error(`it has ${BYTES_MAX} bytes already`)
        const wrote = writeSync(open(), entry, 0, entry.length, at)
        if (wrote < entry.length) throw new Error('there is no room for it')
        // The end that was written with it is where the next one begins.
        at += entry.length - HEAD
      }),
    clear() {
      if (at === 0 || file === undefined) return
      attempt('the journal of standings cannot be cleared', () => {
        writeSync(file as number, Buffer.alloc(HEAD), 0, HEAD, 0)
        at = 0
      })
    },
    touch() {
      if (file === undefined || tick() - touchedAt < TOUCH_MS) return
      touchedAt = tick()
      attempt('the journal of standings cannot be touched', () => {
        const now = Date.now() / 1000
        // Taken for one that was left: by whoever could not know that this process stood still for so long.
        if (fstatSync(file as number).nlink === 0) {
          closeSync(file as number)
          file = undefined
          open()
        } else futimesSync(file as number, now, now)
      })
    },
    isClear: () => at === 0,
    close(isTold) {
      if (file === undefined) return
      closeSync(file)
      file = undefined
      if (isTold) rmSync(path, { force: true })
    }
  }
}

interface Look {
  readonly stamp: string
  /** How often it was read since it changed: the file system's clock has steps, so once is not enough. */
  readonly reads: number
  readonly since: number
}

function createOthers(folder: string, own: string, tick: () => number, say: (because: string) => void, { touch, isClear }: Own) {
  const looks = new Map<string, Look>()
  const look = (name: string): readonly string[] => {
    const path = join(folder, name)
    const { mtimeMs, size } = statSync(path)
    const [stamp, known] = [`${mtimeMs} ${size}`, looks.get(name)]
    if (known?.stamp !== stamp) looks.set(name, { stamp, reads: 1, since: tick() })
    else if (known.reads < 2) looks.set(name, { ...known, reads: 2 })
    else {
      // What was left there was told to the store by this run.
      if (tick() - known.since > LEFT_MS && isClear()) rmSync(path, { force: true })
      return []
    }
    const { texts, isWhole } = textsOf(readFileSync(path))
    if (!isWhole) say(`the journal ${path} ends in the middle of an entry, which was not answered then, or is damaged`)
    return texts
  }
  return () => {
    touch()
    try {
      const names = readdirSync(folder).filter((name) => FILE.test(name) && name !== own)
      for (const name of looks.keys()) if (!names.includes(name)) looks.delete(name)
      return names.flatMap(look)
    } catch (cause) {
      // One that was removed meanwhile was told by somebody else.
      if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') say(`journals of standings cannot be read: ${(cause as Error).message}`)
      return []
    }
  }
}

/** With an end behind it, for the next one to be written over. */
function entryOf(text: string): Buffer {
  const length = Buffer.byteLength(text, 'utf8')
  const entry = Buffer.alloc(HEAD + length + HEAD)
  entry.write(text, HEAD, 'utf8')
  entry.writeUInt32LE(length, 0)
  entry.writeUInt32LE(crc32(entry.subarray(HEAD, HEAD + length)), 4)
  return entry
}

function textsOf(bytes: Buffer): { readonly texts: readonly string[]; readonly isWhole: boolean } {
  const texts: string[] = []
  for (let at = 0; at + HEAD <= bytes.length; ) {
    const length = bytes.readUInt32LE(at)
    if (length === 0) return { texts, isWhole: true }
    const text = bytes.subarray(at + HEAD, at + HEAD + length)
    if (text.length < length || crc32(text) !== bytes.readUInt32LE(at + 4)) return { texts, isWhole: false }
    texts.push(text.toString('utf8'))
    at += HEAD + length
  }
  return { texts, isWhole: true }
}
