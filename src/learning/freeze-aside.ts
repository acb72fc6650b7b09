/** Asks the worker that freezes, and waits for it. */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { FreezeAnswer, FreezeQuestion } from './freeze-worker.ts'

/** Rejects when the worker fails, or is stopped. */
export async function freezeAside(question: FreezeQuestion, stopped: AbortSignal): Promise<FreezeAnswer> {
  const worker = new Worker(new URL('./freeze-worker.ts', import.meta.url), { workerData: question })
  try {
    const [answer] = await once(worker, 'message', { signal: stopped })
    return answer as FreezeAnswer
  } finally {
    await worker.terminate()
  }
}
