/** Where audit records go: one JSON line each, through a bounded buffer that is written off the decision's path. */
import pino from 'pino'
import type { AuditRecord } from './record.ts'

export interface AuditSink {
  /** False when the buffer is full: the caller must then refuse, for nothing is dropped silently. */
  readonly write: (record: AuditRecord) => boolean
  readonly close: () => Promise<void>
  /** Records refused because the buffer was full. */
  readonly refused: () => number
}

/** Written at least this often, so that `tail -f` is of use. */
const FLUSH_MS = 100
/** Written at once beyond this many bytes. */
const CHUNK_BYTES = 8 * 1024
/** Some 10 000 records: a disk may stall this long before calls are refused. */
const BUFFER_BYTES_MAX = 16 * 1024 * 1024

export function openSink(file: string, onError: (cause: Error) => void): AuditSink {
  const destination = pino.destination({ dest: file === 'stdout' ? 1 : file, sync: false, minLength: CHUNK_BYTES, mkdir: true })
  const waiting = destination as unknown as { readonly _len: number }
  const log = pino({ base: null, timestamp: false, formatters: { level: () => ({}) } }, destination)
  let refused = 0
  let broken = false
  destination.on('error', (cause: Error) => {
    broken = true
    onError(cause)
  })
  destination.on('write', () => {
    broken = false
  })
  const timer = setInterval(() => destination.flush(), FLUSH_MS)
  timer.unref()
  return {
    write(record) {
      if (broken || waiting._len > BUFFER_BYTES_MAX) {
        refused++
        return false
      }
      log.info(record)
      return true
    },
    refused: () => refused,
    close: () =>
      new Promise((resolve) => {
        clearInterval(timer)
        destination.flush(() => resolve())
      })
  }
}
