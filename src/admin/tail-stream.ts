/** Decisions as they are made, as server-sent events (WHATWG HTML §9.2). A client that does not read is let go, and comes again. */
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
  return {
    join(response) {
      if (clients >= CLIENTS_MAX) return false
      clients++
      const write = (text: string) => {
        if (response.writableLength > BEHIND_BYTES_MAX) response.destroy()
        else response.write(text)
      }
      const end = seen.follow((some) => {
        const told = some.slice(-TOLD_MAX)
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
      write('retry: 2000\n\n')
      return true
    }
  }
}
