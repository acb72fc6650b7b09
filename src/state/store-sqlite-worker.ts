/** Keeps the store's file away from the event loop. What waits is answered as one transaction, so that it shares one sync of the disk. */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { type Answered, type Asked, isPassing, openSqliteFile, type SqliteOptions } from './store-sqlite-file.ts'

export interface Question {
  readonly id: number
  readonly asked: Asked
}

/** `failed`: none of these was written, or nobody can say. `lost`: the same, and the worker ends. */
export type Message =
  | { readonly kind: 'open' }
  | { readonly kind: 'answers'; readonly ids: readonly number[]; readonly answers: readonly Answered[] }
  | { readonly kind: 'failed'; readonly ids: readonly number[]; readonly because: string }
  | { readonly kind: 'lost'; readonly because: string }

/** A transaction of this many takes about as long as the sync at its end. */
const BATCH_MAX = 256

if (parentPort !== null) {
  const port = parentPort
  const say = (message: Message) => port.postMessage(message)
  const lost = (cause: unknown) => {
    say({ kind: 'lost', because: cause instanceof Error ? cause.message : String(cause) })
    port.close()
  }
  try {
    const file = openSqliteFile(workerData as SqliteOptions)
    say({ kind: 'open' })
    port.on('message', (first: Question | 'close') => {
      const batch: Question[] = []
      let next: Question | 'close' | undefined = first
      while (next !== undefined && next !== 'close') {
        batch.push(next)
        next = batch.length < BATCH_MAX ? receiveMessageOnPort(port)?.message : undefined
      }
      const ids = batch.map(({ id }) => id)
      try {
        if (batch.length > 0) say({ kind: 'answers', ids, answers: file.answer(batch.map(({ asked }) => asked)) })
      } catch (cause) {
        if (!isPassing(cause)) {
          port.removeAllListeners('message')
          return lost(cause)
        }
        say({ kind: 'failed', ids, because: (cause as Error).message })
      }
      if (next !== 'close') return
      file.close()
      port.close()
    })
  } catch (cause) {
    lost(cause)
  }
}
