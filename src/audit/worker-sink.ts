/** Where records go when they are chained, sent or put aside: lines are gathered here, and a worker does the rest. */
import { Worker } from 'node:worker_threads'
import { type Head, STREAMS, type Stream } from '../core/audit-anchor.ts'
import type { OwnIdentity } from './send-tls.ts'
import type { AuditSink, SinkFigures } from './sink.ts'
import type { FromWorker, ToWorker, WorkerPlan } from './worker.ts'

export interface WorkerSinkParts {
  readonly plan: WorkerPlan
  /** Lines that are under way to the worker, or that no sink has room for, in bytes: beyond it nothing is taken. */
  readonly bufferBytesMax: number
  /** Signs the heads of the chains: one line for the anchors; undefined where nothing can sign right now. `ended`: no more records follow. */
  readonly sign: ((heads: Readonly<Record<Stream, Head>>, ended: boolean) => string | undefined) | undefined
  readonly anchorMs: number
  /** Who we are, to sinks that ask; another object when it is another. Undefined where none asks. */
  readonly identity?: (() => OwnIdentity | undefined) | undefined
  /** How long the end waits for sinks that do not take what is left; 5 s unless told. */
  readonly closeMs?: number
  /** `because` undefined: that sink works again. */
  readonly onTrouble: (sink: string, because: string | undefined) => void
  /** The worker has ended by a fault of ours: from now on every line is refused. */
  readonly onFault: (cause: Error) => void
}

const FLUSH_MS = 100
const CHUNK_BYTES = 128 * 1024
const CLOSE_MS = 5_000
const NO_FIGURES: SinkFigures = { waitingBytes: 0, spilledBytes: 0, oldestMs: 0, used: { memory: 0, spill: 0 }, failing: [] }

/** Rejects with a sentence where a file or folder cannot be used. */
export async function openWorkerSink(parts: WorkerSinkParts): Promise<AuditSink> {
  const identity = parts.identity?.()
  const worker = new Worker(new URL('./worker.ts', import.meta.url), { workerData: { ...parts.plan, identity } satisfies WorkerPlan })
  const post = (message: ToWorker, transfer: readonly ArrayBuffer[] = []) => worker.postMessage(message, transfer)
  const tellIdentity = identityTeller(parts.identity, identity, post)
  let outstanding = 0
  let refused = 0
  let [broken, closing] = [false, false]
  let figures = NO_FIGURES
  const closed = Promise.withResolvers<number>()
  const opened = Promise.withResolvers<void>()
  const anchors = parts.sign === undefined ? undefined : anchorsOf(parts.sign, parts.anchorMs, post)
  const hand = (stream: Stream, lines: Uint8Array<ArrayBuffer>) => post({ kind: 'records', stream, lines }, [lines.buffer])
  const chunks = { agents: createChunk('agents', hand), people: createChunk('people', hand) }
  const flush = () => STREAMS.forEach((stream) => void chunks[stream].flush())
  worker.on('message', (message: FromWorker) => {
    if (message.kind === 'open') opened.resolve()
    else if (message.kind === 'failed') opened.reject(new Error(message.because))
    else if (message.kind === 'kept') outstanding -= message.bytes
    else if (message.kind === 'heads') anchors?.onHeads(message.heads)
    else if (message.kind === 'trouble') parts.onTrouble(message.sink, message.because)
    else if (message.kind === 'figures') figures = message
    else closed.resolve(message.lost)
  })
  worker.on('error', (cause: Error) => {
    broken = true
    parts.onFault(cause)
    opened.reject(cause)
    closed.resolve(outstanding)
  })
  await opened.promise
  anchors?.start()
  const timer = setInterval(() => {
    tellIdentity()
    flush()
  }, FLUSH_MS)
  timer.unref()
  return {
    write(line, stream: Stream = 'agents') {
      if (closing || broken || outstanding > parts.bufferBytesMax) {
        refused++
        return false
      }
      outstanding += chunks[stream].add(line)
      return true
    },
    refused: () => refused,
    figures: () => withOutstanding(figures, outstanding, parts.bufferBytesMax),
    async close() {
      closing = true
      clearInterval(timer)
      flush()
      await Promise.race([anchors?.end(), closed.promise])
      post({ kind: 'close', msMax: parts.closeMs ?? CLOSE_MS })
      const lost = await closed.promise
      if (lost > 0) parts.onTrouble('audit', `${lost} bytes of records could be neither delivered nor put on the disk`)
    }
  }
}

/** What is under way to the worker waits in memory as well. */
function withOutstanding(figures: SinkFigures, outstanding: number, bytesMax: number): SinkFigures {
  const memory = Math.max(figures.used.memory, outstanding / bytesMax)
  return { ...figures, waitingBytes: figures.waitingBytes + outstanding, used: { ...figures.used, memory } }
}

/** Lines of one stream, gathered: a message for each would cost more than the line. */
function createChunk(stream: Stream, hand: (stream: Stream, lines: Uint8Array<ArrayBuffer>) => void) {
  let chunk = Buffer.from(new ArrayBuffer(CHUNK_BYTES))
  let used = 0
  const flush = () => {
    if (used === 0) return
    hand(stream, new Uint8Array(chunk.buffer, 0, used))
    chunk = Buffer.from(new ArrayBuffer(CHUNK_BYTES))
    used = 0
  }
  return {
    flush,
    /** @returns bytes of the line with its end */
    add(line: string): number {
      // A UTF-16 unit is at most three bytes of UTF-8, and one more ends the line.
      const most = line.length * 3 + 1
      if (most > CHUNK_BYTES - used) flush()
      if (most > CHUNK_BYTES) {
        const own = new TextEncoder().encode(`${line}\n`)
        const bytes = own.byteLength
        hand(stream, own)
        return bytes
      }
      const count = chunk.write(line, used, 'utf8')
      used += count
      chunk[used++] = 0x0a
      return count + 1
    }
  }
}

/** @param told what the worker knows from its start */
function identityTeller(
  identity: WorkerSinkParts['identity'],
  told: OwnIdentity | undefined,
  post: (message: ToWorker) => void
): () => void {
  let last = told
  return () => {
    const own = identity?.()
    if (own === undefined || own === last) return
    last = own
    post({ kind: 'identity', own })
  }
}

/** Asks for the heads at an interval, and sends them away signed: at the start, while they change, and at the end. */
function anchorsOf(sign: NonNullable<WorkerSinkParts['sign']>, everyMs: number, post: (message: ToWorker) => void) {
  let anchored = ''
  let timer: NodeJS.Timeout | undefined
  let ending: (() => void) | undefined
  let asked = 0
  const ask = () => {
    asked++
    post({ kind: 'heads' })
  }
  return {
    start() {
      ask()
      timer = setInterval(ask, everyMs)
      timer.unref()
    },
    onHeads(heads: Readonly<Record<Stream, Head>>) {
      // The answer to a question from before the end says nothing of the end.
      const ended = --asked === 0 && ending !== undefined
      const text = JSON.stringify(heads)
      const line = text === anchored && !ended ? undefined : sign(heads, ended)
      if (line !== undefined) {
        anchored = text
        post({ kind: 'anchor', lines: new TextEncoder().encode(`${line}\n`) })
      }
      if (ended) ending?.()
    },
    async end() {
      clearInterval(timer)
      await new Promise<void>((resolve) => {
        ending = resolve
        ask()
      })
    }
  }
}
