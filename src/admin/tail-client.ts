/** Reads the server-sent events of an admin port (WHATWG HTML §9.2), one connection's worth. */
import { request as httpRequest } from 'node:http'
import { type AdminIdentity, type AdminTarget, objectIn, proven } from './admin-client.ts'
import { unreadable } from './svid-verify-question.ts'

export interface TailEvent {
  /** `message` where the server gives no name. */
  readonly name: string
  readonly data: string
}

/** Of one event: a tick's worth of decisions is far below this. */
const EVENT_CHARS_MAX = 1024 * 1024

/**
 * Resolves when the server ends the stream, or `stopped` is aborted. Throws `Unreadable` where there is no stream, or it breaks off.
 * @param now milliseconds since the epoch
 */
export async function readTail(
  target: AdminTarget,
  identity: AdminIdentity,
  now: number,
  stopped: AbortSignal,
  take: (event: TailEvent) => void
): Promise<void> {
  const where = `${target.host}:${target.port}`
  const socket = await proven(target, identity, now)
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const lost = () => reject({ unreadable: `${where} ended the connection.` })
  const end = () => resolve()
  stopped.addEventListener('abort', end)
  const headers = { host: where, accept: 'text/event-stream' }
  const call = httpRequest({ createConnection: () => socket, method: 'GET', path: '/v1/tail', headers }, (response) => {
    const { statusCode = 0 } = response
    let text = ''
    response.setEncoding('utf8')
    response.on('error', end)
    response.on('end', () => {
      if (statusCode === 200) return resolve()
      const detail = objectIn(text)?.['detail']
      reject({ unreadable: `${where} says no: ${typeof detail === 'string' ? detail : `status ${statusCode}`}` })
    })
    response.on('data', (chunk: string) => {
      text += chunk
      if (text.length > EVENT_CHARS_MAX) return void socket.destroy()
      if (statusCode !== 200) return
      const blocks = text.split('\n\n')
      text = blocks.pop() ?? ''
      for (const block of blocks) {
        const event = eventIn(block)
        if (event !== undefined && !stopped.aborted) take(event)
      }
    })
  })
  call.on('error', lost)
  socket.once('close', lost)
  call.end()
  try {
    if (!stopped.aborted) await promise
  } finally {
    stopped.removeEventListener('abort', end)
    socket.destroy()
  }
}

/** Undefined for a comment, or a time to wait. */
function eventIn(block: string): TailEvent | undefined {
  let name = 'message'
  const data: string[] = []
  for (const line of block.split('\n')) {
    if (line.startsWith('event: ')) name = line.slice('event: '.length)
    if (line.startsWith('data: ')) data.push(line.slice('data: '.length))
  }
  return data.length === 0 ? undefined : { name, data: data.join('\n') }
}

/** Throws `Unreadable`. */
export function objectOf(data: string): Readonly<Record<string, unknown>> {
  return objectIn(data) ?? unreadable('The server sent what cannot be read.')
}
