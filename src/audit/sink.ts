/**
 * Where audit lines go: one JSON object each, through a bounded buffer that is written off the decision's path.
 *
 * Lines are put into bytes here and handed to pino's destination in chunks: handing over text made node encode each chunk again
 * while decisions waited (10 µs a line, measured).
 */
import pino from 'pino'

export interface AuditSink {
  /** False when the buffer is full or the file cannot be written: the caller must then refuse, for nothing is dropped silently. */
  readonly write: (line: string) => boolean
  readonly close: () => Promise<void>
  /** Lines that were not taken. */
  readonly refused: () => number
}

/** Written at least this often, so that `tail -f` is of use. */
const FLUSH_MS = 100
const CHUNK_BYTES = 32 * 1024
/** Some 10 000 lines: a disk may stall this long before calls are refused. */
const BUFFER_BYTES_MAX = 8 * 1024 * 1024

/** @throws Error when the file cannot be opened */
export async function openSink(file: string, onError: (cause: Error) => void): Promise<AuditSink> {
  const destination = await openDestination(file)
  let chunk = Buffer.allocUnsafe(CHUNK_BYTES)
  let used = 0
  let refused = 0
  let broken = false
  destination.on('error', (cause: Error) => {
    if (!broken) onError(cause)
    broken = true
  })
  destination.on('write', () => {
    broken = false
  })
  const hand = () => {
    if (used > 0) destination.write(chunk.subarray(0, used) as unknown as string)
    if (used > 0) chunk = Buffer.allocUnsafe(CHUNK_BYTES)
    used = 0
    // Also the way out of `broken`: what is kept is tried again.
    destination.flush()
  }
  const timer = setInterval(hand, FLUSH_MS)
  timer.unref()
  return {
    write(line) {
      if (broken || backlogOf(destination) > BUFFER_BYTES_MAX) {
        refused++
        return false
      }
      // A UTF-16 unit is at most three bytes of UTF-8, and one more ends the line.
      if (line.length * 3 + 1 > CHUNK_BYTES - used) hand()
      used += chunk.write(line, used, 'utf8')
      chunk[used++] = 0x0a
      return true
    },
    refused: () => refused,
    close: () =>
      new Promise((resolve) => {
        clearInterval(timer)
        hand()
        destination.flush(() => resolve())
      })
  }
}

type Destination = ReturnType<typeof pino.destination>

function openDestination(file: string): Promise<Destination> {
  const destination = pino.destination({
    dest: file === 'stdout' ? 1 : file,
    sync: false,
    contentMode: 'buffer',
    mkdir: true,
    mode: 0o600
  } as object)
  return new Promise((resolve, reject) => {
    destination.once('ready', () => {
      destination.removeListener('error', reject)
      resolve(destination)
    })
    destination.once('error', (cause: Error) => reject(new Error(`the audit file ${file} cannot be opened: ${cause.message}`)))
  })
}

/** Bytes that wait in SonicBoom, the stream behind pino's destination. */
function backlogOf(destination: Destination): number {
  return (destination as unknown as { readonly _len: number })._len
}
