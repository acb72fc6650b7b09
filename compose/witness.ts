/**
 * Between the Envoys and Chroma: the recorder of the demo in a container of its own. It writes down what comes, and whoever watches it
 * (the scenario) has each request before that goes on. So when an answer is there, what reached the database for it is known.
 */
import { connect, createServer, type Socket } from 'node:net'
import { createInterface, type Interface } from 'node:readline'
import { type Recorded, type Recorder, startRecorder } from '../demo/recorder.ts'

export const WATCH_PORT = 8001
const TOLD_MS_MAX = 2_000

export async function runWitness(say: (line: string) => void): Promise<undefined> {
  const watchers = new Map<Socket, { readonly acknowledged: Map<number, () => void> }>()
  let number = 0
  const told = async (entry: Recorded) => {
    const now = ++number
    const waits = Array.from(watchers, ([socket, { acknowledged }]) => {
      const { promise, resolve } = Promise.withResolvers<void>()
      acknowledged.set(now, resolve)
      socket.write(`${JSON.stringify({ number: now, ...entry })}\n`)
      // One that is gone, or hangs, keeps nobody from the database.
      setTimeout(resolve, TOLD_MS_MAX).unref()
      return promise.finally(() => acknowledged.delete(now))
    })
    await Promise.all(waits)
  }
  const server = createServer((socket) => {
    const acknowledged = new Map<number, () => void>()
    watchers.set(socket, { acknowledged })
    const gone = () => {
      watchers.delete(socket)
      for (const resolve of acknowledged.values()) resolve()
    }
    socket.on('close', gone)
    linesOf(socket).on('line', (line) => acknowledged.get(Number(line))?.())
  })
  await new Promise<void>((resolve) => server.listen(WATCH_PORT, '0.0.0.0', resolve))
  await startRecorder({ host: 'chroma', port: 8000 }, { listen: { host: '0.0.0.0', port: 8000 }, told })
  say('recording')
  return undefined
}

/** The recorder of a stack, whose requests are in another container. */
export async function watchWitness(host: string): Promise<Recorder> {
  let seen: Recorded[] = []
  let lost = false
  const socket = connect(WATCH_PORT, host)
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  socket.on('close', () => {
    lost = true
  })
  linesOf(socket).on('line', (line) => {
    const { number, ...entry } = JSON.parse(line) as Recorded & { number: number }
    seen.push(entry)
    socket.write(`${number}\n`)
  })
  return {
    port: 8000,
    seen: () => {
      // Not to know is not to have seen nothing.
      if (lost) throw new Error('The witness is gone: what reached Chroma is not known. See docker compose logs witness.')
      return seen
    },
    clear: () => {
      seen = []
    },
    stop: async () => void socket.destroy()
  }
}

/** A reader reports the faults of its input a second time; the socket's own handler has them. */
function linesOf(socket: Socket): Interface {
  return createInterface({ input: socket.on('error', () => socket.destroy()) }).on('error', () => undefined)
}
