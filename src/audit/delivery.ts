/**
 * One sink's queue: memory first, then the disk, then `full`. Sends in order, one batch at a time, and tries again until it is taken:
 * nothing that was accepted is left out, and what was sent when an answer was lost is sent twice.
 */
import type { Spill, SpillFile } from './spill.ts'

/** Where batches go. `send` rejects with a sentence when they were not taken. */
export interface Outlet {
  /** @param lines whole records, each ended by a newline. @param id the same when they are sent again */
  readonly send: (lines: Buffer, id: string) => Promise<void>
  readonly close: () => void
}

export interface Delivery {
  readonly add: (lines: Buffer) => void
  /** Neither memory nor disk has room: nothing more may be promised. */
  readonly full: () => boolean
  readonly figures: () => DeliveryFigures
  /** Tries to deliver what waits until then, and leaves the rest on the disk. @returns bytes that are neither delivered nor on the disk */
  readonly close: (msMax: number) => Promise<number>
}

export interface DeliveryFigures {
  readonly memoryBytes: number
  readonly spilledBytes: number
  /** How long the oldest record has waited, milliseconds; 0 where none waits. */
  readonly oldestMs: number
  /** What is used of the room there is: 1 is all of it. 0 for a disk that is not there. */
  readonly used: { readonly memory: number; readonly spill: number }
  /** Attempts that failed since the last one that did not. */
  readonly failures: number
}

export interface DeliveryParts {
  readonly outlet: Outlet
  /** Undefined: what memory has no room for is not taken. */
  readonly spill: Spill | undefined
  readonly memoryBytesMax: number
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** Prefix of the ids of batches. */
  readonly run: string
  /** Undefined: it works again. Said once. */
  readonly onTrouble: (because: string | undefined) => void
  /** There is room again. */
  readonly onRoom: () => void
}

/** One request of so many bytes is answered by any collector; a round trip of 200 ms then carries 5 MB a second. */
const BATCH_BYTES = 1024 * 1024
const SPILL_FILE_BYTES = 4 * BATCH_BYTES
const BACKOFF_MS = 100
const BACKOFF_MS_MAX = 10_000

type Entry = {
  lines: Buffer | undefined
  file: SpillFile | undefined
  readonly bytes: number
  /** When its first line was added, milliseconds since the epoch. */
  readonly at: number
}

export function createDelivery(parts: DeliveryParts): Delivery {
  const queue = createQueue(parts)
  const sender = createSender(queue, parts)
  sender.pump()
  return {
    add(lines) {
      queue.add(lines)
      sender.pump()
    },
    full: queue.full,
    figures: () => ({ ...queue.figures(), failures: sender.failures() }),
    async close(msMax) {
      await sender.stop(msMax)
      parts.outlet.close()
      return queue.spillAll()
    }
  }
}

interface Sender {
  /** Sends what waits, unless that is under way, or the next attempt is set. */
  readonly pump: () => void
  readonly failures: () => number
  /** Resolves when nothing waits any more, or when so long has passed and nothing is under way. */
  readonly stop: (msMax: number) => Promise<void>
}

function createSender(queue: Queue, { outlet, onTrouble, onRoom, run }: DeliveryParts): Sender {
  let batch = 0
  let failures = 0
  let sending = false
  let stopped = false
  let timer: NodeJS.Timeout | undefined
  let onIdle: () => void = () => undefined
  const attempt = async () => {
    try {
      const { lines, done } = queue.take(BATCH_BYTES)
      await outlet.send(lines, `${run}-${batch + 1}`)
      batch++
      const wasFull = queue.full()
      done()
      if (failures > 0) onTrouble(undefined)
      failures = 0
      if (wasFull && !queue.full()) onRoom()
    } catch (cause) {
      if (failures++ === 0) onTrouble(cause instanceof Error ? cause.message : String(cause))
    }
  }
  const pump = () => {
    if (sending || timer !== undefined) return
    if (stopped || queue.isEmpty()) return onIdle()
    sending = true
    void attempt().then(() => {
      sending = false
      if (failures === 0 || stopped) return pump()
      timer = setTimeout(again, backoffMs(failures))
    })
  }
  const again = () => {
    clearTimeout(timer)
    timer = undefined
    pump()
  }
  return {
    pump,
    failures: () => failures,
    async stop(msMax) {
      const idle = new Promise<void>((resolve) => {
        onIdle = resolve
      })
      const late = setTimeout(() => {
        stopped = true
        again()
      }, msMax)
      again()
      await idle
      clearTimeout(late)
      stopped = true
    }
  }
}

/** Doubles with each failure; a half of it is left to chance, so that many senders do not come back at once. */
function backoffMs(failures: number): number {
  const ms = Math.min(BACKOFF_MS * 2 ** (failures - 1), BACKOFF_MS_MAX)
  return ms / 2 + (Math.random() * ms) / 2
}

interface Queue {
  readonly add: (lines: Buffer) => void
  /** The oldest lines; `done` when they were taken. */
  readonly take: (bytes: number) => { readonly lines: Buffer; readonly done: () => void }
  readonly isEmpty: () => boolean
  readonly full: () => boolean
  readonly figures: () => Omit<DeliveryFigures, 'failures'>
  /** @returns bytes that could not be written */
  readonly spillAll: () => number
}

function createQueue({ spill, memoryBytesMax, now }: DeliveryParts): Queue {
  const entries: Entry[] = (spill?.left() ?? []).map((file) => ({ lines: undefined, file, bytes: file.bytes, at: file.at }))
  let memory = 0
  let taken = 0
  const toDisk = (lines: Buffer): boolean => {
    const [last, at] = [entries.at(-1), entries.length - 1]
    // What is being sent must stay what it is.
    const open = last?.file !== undefined && at >= taken && last.file.bytes < SPILL_FILE_BYTES ? last.file : undefined
    if (open !== undefined) return spill?.append(open, lines) ?? false
    const file = spill?.create(lines)
    if (file !== undefined) entries.push({ lines: undefined, file, bytes: lines.length, at: now() })
    return file !== undefined
  }
  return {
    add(lines) {
      if (memory + lines.length > memoryBytesMax && toDisk(lines)) return
      entries.push({ lines, file: undefined, bytes: lines.length, at: now() })
      memory += lines.length
    },
    isEmpty: () => entries.length === 0,
    full: () => memory > memoryBytesMax,
    figures: () => ({
      memoryBytes: memory,
      spilledBytes: spill?.bytes() ?? 0,
      oldestMs: entries[0] === undefined ? 0 : Math.max(0, now() - entries[0].at),
      used: { memory: memory / memoryBytesMax, spill: spill === undefined ? 0 : spill.bytes() / spill.bytesMax }
    }),
    take(bytes) {
      const [first] = entries
      if (first?.file !== undefined) {
        taken = 1
        const { file } = first
        const lines = spill?.read(file) ?? Buffer.alloc(0)
        const done = () => {
          entries.shift()
          taken = 0
          spill?.remove(file)
        }
        return { lines, done }
      }
      let sum = 0
      let count = 0
      for (const { lines } of entries) {
        if (lines === undefined || (count > 0 && sum + lines.length > bytes)) break
        sum += lines.length
        count++
      }
      taken = count
      const lines = entries.slice(0, count).map((one) => one.lines as Buffer)
      const done = () => {
        entries.splice(0, count)
        memory -= sum
        taken = 0
      }
      return { lines: lines.length === 1 ? (lines[0] as Buffer) : Buffer.concat(lines), done }
    },
    spillAll: () => spillRest(entries, spill)
  }
}

/** The order of files is that of their numbers, and those that are there have lower ones: what is in memory before them goes there anew, and they after it. */
function spillRest(entries: readonly Entry[], spill: Spill | undefined): number {
  let lost = 0
  let behindMemory = false
  for (const { lines, file } of entries) {
    if (lines !== undefined) {
      behindMemory = true
      if (spill?.create(lines) === undefined) lost += lines.length
    } else if (file !== undefined && behindMemory && spill?.create(spill.read(file)) !== undefined) spill.remove(file)
  }
  return lost
}
