/** The store of one host: a file that all its processes share and that outlives them, written by a worker thread. */
import { statSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import type { Got, Listed, Put, Replaced, Stamp, Store, StoreUnavailable } from '../core/store.ts'
import {
  endFault,
  entriesMax,
  type StoreBounds,
  type StoreEvent,
  type StoreWait,
  textsFault,
  timesFault,
  unavailable
} from './store-faults.ts'
import type { Answered, Asked, SqliteOptions } from './store-sqlite-file.ts'
import type { Message, Question } from './store-sqlite-worker.ts'

export interface SqliteStoreOptions extends StoreBounds, StoreWait {
  readonly file: string
  readonly onEvent?: (event: StoreEvent) => void
}

/** Longest wait for one answer: a sync of a busy disk takes tens of milliseconds. */
const ANSWER_MS_MAX = 500
/** A worker that has not answered for so long is stuck in a call that will not return. */
const STUCK_MS = 5_000
/** Questions under way: a tenth of a second's work. */
const ASKED_MAX = 2_048
const RESTART_FIRST_MS = 100
const RESTART_MOST_MS = 5_000

export function openSqliteStore({ file, onEvent = () => {}, answerMsMax = ANSWER_MS_MAX, ...bounds }: SqliteStoreOptions): Store {
  const worker = new FileWorker({ file, entriesMax: entriesMax(bounds) }, answerMsMax, onEvent)
  const ask = <A extends Answered>(fault: string | undefined, asked: Asked): StoreUnavailable | Promise<A | StoreUnavailable> =>
    fault === undefined ? (worker.ask(asked) as Promise<A | StoreUnavailable>) : unavailable(fault)
  return {
    putOnce: (key, value, until, now) =>
      ask<Put>(textsFault(key, value) ?? timesFault(until, now) ?? endFault(until, now), { kind: 'put', key, value, until, now }),
    get: (key, now) => ask<Exclude<Got, StoreUnavailable>>(textsFault(key) ?? timesFault(now), { kind: 'get', key, now }),
    replace: async (key, before, after, until, now) => {
      const fault = textsFault(key, before, after) ?? timesFault(until, now)
      const answer = await ask<Replaced>(fault, { kind: 'replace', key, before, after, until, now })
      return typeof answer === 'string' ? answer : 'unavailable'
    },
    list: (prefix, now, max) => ask<Listed>(textsFault(prefix) ?? timesFault(now, max), { kind: 'list', prefix, now, max }),
    stamp: () => (worker.isOpen() ? stampOf(file) : undefined),
    close: () => worker.close()
  }
}

/** A file system's clock has steps: what was written within one of the last ones may look like what was written before it. */
const STEPS_MS = 50
let stamps = 0

/** Whoever writes, writes to the file beside it (https://www.sqlite.org/walformat.html); what is in there is brought over now and then. */
function stampOf(file: string): Stamp | undefined {
  try {
    const own = statSync(file)
    const wal = statSync(`${file}-wal`, { throwIfNoEntry: false })
    const isFresh = Math.abs(Date.now() - Math.max(own.mtimeMs, wal?.mtimeMs ?? 0)) < STEPS_MS
    const turn = `${own.mtimeMs} ${wal?.ino} ${wal?.size} ${wal?.mtimeMs} ${isFresh ? ++stamps : ''}`
    return { era: `${own.dev} ${own.ino}`, turn, ageMs: undefined }
  } catch {
    return undefined
  }
}

interface Waiting {
  readonly give: (answer: Answered | StoreUnavailable) => void
  readonly askedAt: number
}

/** One worker after the other: whatever ends it, what it was asked is answered, and the next one is started after a while. */
class FileWorker {
  readonly #options: SqliteOptions
  readonly #answerMsMax: number
  readonly #onEvent: (event: StoreEvent) => void
  readonly #waiting = new Map<number, Waiting>()
  #worker: Worker | undefined
  #isOpen = false
  #because = 'starting'
  #failures = 0
  #asked = 0
  #closed = false
  #restart: NodeJS.Timeout | undefined
  /** One timer for all that wait, instead of one for each. */
  #late: NodeJS.Timeout | undefined

  constructor(options: SqliteOptions, answerMsMax: number, onEvent: (event: StoreEvent) => void) {
    this.#options = options
    this.#answerMsMax = answerMsMax
    this.#onEvent = onEvent
    this.#start()
  }

  isOpen(): boolean {
    return this.#isOpen && !this.#closed
  }

  ask(asked: Asked): Promise<Answered | StoreUnavailable> {
    if (this.#closed) return Promise.resolve(unavailable('closed'))
    if (this.#worker === undefined) return Promise.resolve(unavailable(this.#because))
    if (this.#waiting.size >= ASKED_MAX) return Promise.resolve(unavailable('too much is under way'))
    const worker = this.#worker
    return new Promise((give) => {
      const question: Question = { id: this.#asked++, asked }
      this.#waiting.set(question.id, { give, askedAt: performance.now() })
      this.#late ??= setInterval(() => this.#giveUpLate(), this.#answerMsMax / 10).unref()
      worker.postMessage(question)
    })
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    clearTimeout(this.#restart)
    const worker = this.#worker
    if (worker !== undefined) {
      const ended = new Promise((resolve) => worker.once('exit', resolve))
      const stuck = setTimeout(() => void worker.terminate(), STUCK_MS)
      worker.postMessage('close')
      await ended
      clearTimeout(stuck)
    }
    clearInterval(this.#late)
  }

  #start(): void {
    const worker = new Worker(new URL('./store-sqlite-worker.ts', import.meta.url), {
      workerData: this.#options,
      // node:sqlite is called experimental still: once is in the documentation, and enough.
      execArgv: ['--disable-warning=ExperimentalWarning']
    })
    this.#worker = worker
    worker.on('message', (message: Message) => this.#take(message))
    worker.on('error', (cause) => {
      this.#because = cause instanceof Error ? cause.message : String(cause)
    })
    worker.once('exit', () => this.#ended(worker))
  }

  #take(message: Message): void {
    if (message.kind === 'open') {
      this.#failures = 0
      this.#isOpen = true
      this.#onEvent({ kind: 'ready', because: this.#options.file })
    } else if (message.kind === 'lost') this.#because = message.because
    else if (message.kind === 'failed') for (const id of message.ids) this.#give(id, unavailable(message.because))
    else for (const [at, id] of message.ids.entries()) this.#give(id, message.answers[at] ?? unavailable('no answer'))
  }

  #give(id: number, answer: Answered | StoreUnavailable): void {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    waiting?.give(answer)
  }

  #giveUpLate(): void {
    if (this.#waiting.size === 0) {
      clearInterval(this.#late)
      this.#late = undefined
    }
    const now = performance.now()
    for (const [id, { give, askedAt }] of this.#waiting) {
      if (now - askedAt < this.#answerMsMax) return
      give(unavailable(`no answer within ${this.#answerMsMax} ms`))
      // It stays, so that what is stuck is noticed and what is asked meanwhile does not gather.
      if (now - askedAt < Math.max(STUCK_MS, this.#answerMsMax)) continue
      this.#because = `no answer within ${STUCK_MS} ms`
      void this.#worker?.terminate()
      this.#waiting.delete(id)
    }
  }

  #ended(worker: Worker): void {
    if (this.#worker !== worker) return
    this.#worker = undefined
    this.#isOpen = false
    for (const id of [...this.#waiting.keys()]) this.#give(id, unavailable(this.#because))
    if (this.#closed) return
    this.#onEvent({ kind: 'unavailable', because: this.#because })
    const delay = Math.min(RESTART_MOST_MS, RESTART_FIRST_MS * 2 ** Math.min(this.#failures++, 10))
    this.#restart = setTimeout(() => this.#start(), delay)
    this.#restart.unref()
  }
}
