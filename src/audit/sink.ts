/**
 * Where audit lines go: one JSON object each, through a bounded buffer that is written off the decision's path.
 *
 * Written with node:fs itself, since a failed write decides over calls here: pino's stream does not try again by itself, says of
 * a flush that it is done before it is, and with a full disk never lets the process end (tried).
 */
import { close as closeFile, mkdirSync, open, write as writeFile, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Stream } from '../core/audit-anchor.ts'

export interface AuditSink {
  /** False when the buffer is full or the file cannot be written: the caller must then refuse, for nothing is dropped silently. */
  readonly write: (line: string, stream?: Stream) => boolean
  /** Takes no more lines, and resolves when those that were taken are written, or cannot be. */
  readonly close: () => Promise<void>
  /** Lines that were not taken. */
  readonly refused: () => number
  readonly figures: () => SinkFigures
}

/** What is not delivered yet. */
export interface SinkFigures {
  readonly waitingBytes: number
  readonly spilledBytes: number
  /** How long the oldest line has waited that is not delivered, milliseconds; 0 where none waits. */
  readonly oldestMs: number
  /** Of the sink that has least room: what is used of it, 1 is all. */
  readonly used: { readonly memory: number; readonly spill: number }
  /** Names of the sinks that cannot be written to right now. */
  readonly failing: readonly string[]
}

/** Written at least this often, so that `tail -f` is of use; what failed is tried again as often. */
const FLUSH_MS = 100
/** Each write wakes a thread, which then runs instead of a decision: some 150 of those share one. */
const CHUNK_BYTES = 128 * 1024
/** Some 10 000 lines: a disk may stall this long before calls are refused. */
const BUFFER_BYTES_MAX = 8 * 1024 * 1024
const STDOUT = 1

/** @throws Error when the file cannot be opened */
export async function openSink(file: string, onError: (cause: Error) => void): Promise<AuditSink> {
  const queue = createQueue(file === 'stdout' ? STDOUT : await openForAppending(file), onError)
  let chunk = Buffer.allocUnsafe(CHUNK_BYTES)
  let used = 0
  let refused = 0
  let closing = false
  const hand = () => {
    if (used > 0) queue.add(chunk.subarray(0, used))
    if (used > 0) chunk = Buffer.allocUnsafe(CHUNK_BYTES)
    used = 0
    queue.pump()
  }
  const timer = setInterval(hand, FLUSH_MS)
  timer.unref()
  const atExit = () => {
    hand()
    queue.flushNow()
  }
  process.once('exit', atExit)
  return {
    write(line) {
      if (closing || queue.broken() || queue.bytes() > BUFFER_BYTES_MAX) {
        refused++
        return false
      }
      // A UTF-16 unit is at most three bytes of UTF-8, and one more ends the line.
      const most = line.length * 3 + 1
      if (most > CHUNK_BYTES - used) hand()
      if (most > CHUNK_BYTES) {
        queue.add(Buffer.from(`${line}\n`))
        return true
      }
      used += chunk.write(line, used, 'utf8')
      chunk[used++] = 0x0a
      return true
    },
    refused: () => refused,
    figures: () => ({
      waitingBytes: used + queue.bytes(),
      spilledBytes: 0,
      oldestMs: queue.oldestMs(),
      used: { memory: queue.bytes() / BUFFER_BYTES_MAX, spill: 0 },
      failing: queue.broken() ? ['file'] : []
    }),
    async close() {
      closing = true
      clearInterval(timer)
      process.off('exit', atExit)
      hand()
      await queue.close()
    }
  }
}

interface Queue {
  readonly add: (chunk: Buffer) => void
  /** Writes what waits, oldest first, unless that is under way. */
  readonly pump: () => void
  readonly bytes: () => number
  /** How long what waits first has been first, milliseconds: less than it waits. */
  readonly oldestMs: () => number
  /** True from a failed write until the same bytes could be written. */
  readonly broken: () => boolean
  /** What waits and is not under way, without waiting for anything: the process ends. */
  readonly flushNow: () => void
  readonly close: () => Promise<void>
}

function createQueue(fd: number, onError: (cause: Error) => void): Queue {
  const chunks: Buffer[] = []
  let bytes = 0
  let firstSince = 0
  let writing = false
  let broken = false
  let idle: () => void = () => undefined

  const pump = () => {
    const [first] = chunks
    if (writing) return
    if (first === undefined) return idle()
    writing = true
    writeFile(fd, first, 0, first.length, null, (cause, count) => {
      writing = false
      if (cause === null) return written(first, count)
      // A full pipe is a slow reader, not a fault; the bound on the buffer ends that wait.
      if (cause.code !== 'EAGAIN' && !broken) onError(cause)
      broken ||= cause.code !== 'EAGAIN'
      idle()
    })
  }
  const written = (first: Buffer, count: number) => {
    broken = false
    bytes -= count
    // A line that was cut by a full disk goes on where it stopped.
    if (count < first.length) chunks[0] = first.subarray(count)
    else {
      chunks.shift()
      firstSince = performance.now()
    }
    pump()
  }
  return {
    add(chunk) {
      if (chunks.length === 0) firstSince = performance.now()
      chunks.push(chunk)
      bytes += chunk.length
    },
    pump,
    bytes: () => bytes,
    oldestMs: () => (chunks.length === 0 ? 0 : performance.now() - firstSince),
    broken: () => broken,
    flushNow() {
      try {
        for (const chunk of chunks.slice(writing ? 1 : 0)) for (let at = 0; at < chunk.length; ) at += writeSync(fd, chunk, at)
      } catch {
        // Nothing is left that could be told.
      }
    },
    async close() {
      const { promise, resolve } = Promise.withResolvers<void>()
      idle = resolve
      pump()
      await promise
      if (fd !== STDOUT) await new Promise<void>((done) => closeFile(fd, () => done()))
    }
  }
}

function openForAppending(file: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const failed = (cause: Error) => reject(new Error(`the audit file ${file} cannot be opened: ${cause.message}`))
    try {
      mkdirSync(dirname(file), { recursive: true })
    } catch (cause) {
      return failed(cause as Error)
    }
    open(file, 'a', 0o600, (cause, fd) => (cause === null ? resolve(fd) : failed(cause)))
  })
}
