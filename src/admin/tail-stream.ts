/** Decisions as they are made, as server-sent events (WHATWG HTML §9.2). A client that does not read is let go, and comes again. */
import { randomUUID } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import type { Seen, SeenDecision } from './seen.ts'

const CLIENTS_MAX = 16
/** Unread bytes of one client. */
const BEHIND_BYTES_MAX = 256 * 1024
/** Most of one tick: whoever watches reads some hundred lines a second at best. */
const TOLD_MAX = 100
/** Below the idle limits of the ports. */
const BEAT_MS = 4_000

export interface Tail {
  /** False when there are too many. */
  readonly join: (response: ServerResponse) => boolean
}

/** @param shown a decision as clients get it */
export function createTail(seen: Seen, shown: (one: SeenDecision) => unknown): Tail {
  let clients = 0
  /** Decisions are counted from one again when a process begins: whoever comes back sees that it is another one. */
  const run = randomUUID()
  return {
    join(response) {
      if (clients >= CLIENTS_MAX) return false
      clients++
      const write = (text: string) => {
        if (response.writableLength > BEHIND_BYTES_MAX) response.destroy()
        else response.write(text)
      }
      const end = seen.follow((some) => {
        const told = mostTelling(some)
        const left = some.length - told.length
        if (left > 0) write(`event: skipped\ndata: ${left}\n\n`)
        write(told.map((one) => `id: ${one.n}\ndata: ${JSON.stringify(shown(one))}\n\n`).join(''))
      })
      const beat = setInterval(() => write(': here\n\n'), BEAT_MS).unref()
      response.once('close', () => {
        clients--
        clearInterval(beat)
        end()
      })
      write(`retry: 2000\n\nevent: joined\ndata: ${JSON.stringify({ run, last: seen.recent().at(-1)?.n ?? 0 })}\n\n`)
      return true
    }
  }
}

/** In their order; of what is too much, calls that were let through are left out first. */
function mostTelling(some: readonly SeenDecision[]): readonly SeenDecision[] {
  if (some.length <= TOLD_MAX) return some
  const refused = some.filter(({ verdict, judged }) => verdict === 'deny' || judged !== undefined).slice(-TOLD_MAX)
  const room = TOLD_MAX - refused.length
  const others = room === 0 ? [] : some.filter(({ verdict, judged }) => verdict === 'allow' && judged === undefined).slice(-room)
  return [...refused, ...others].sort((one, other) => one.n - other.n)
}
