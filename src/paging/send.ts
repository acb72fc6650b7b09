/** One POST to a receiver: verified TLS, nothing followed, bounded in time and size. Nothing that is answered gets into a message. */
import { type IncomingMessage, Agent as PlainAgent, request as plain } from 'node:http'
import { Agent as SecureAgent, request as secure } from 'node:https'
import type { Message } from './message.ts'

export type Sent = { readonly ok: true } | { readonly ok: false; readonly because: string; readonly retryAfterMs?: number }

export interface Sender {
  /** Never rejects. */
  readonly send: (message: Message) => Promise<Sent>
  readonly close: () => void
}

const ANSWER_MS_MAX = 10_000
const ANSWER_BYTES_MAX = 64 * 1024
const SOCKETS_MAX = 2
/** Who asks for more patience than this is asked again before. */
const RETRY_AFTER_MS_MAX = 300_000

/** @param ca PEM of the authorities to believe instead of the public ones. @param answerMs how long an answer may take */
export function createSender(ca: string | undefined, answerMs = ANSWER_MS_MAX): Sender {
  const agents = {
    'https:': new SecureAgent({ keepAlive: true, maxSockets: SOCKETS_MAX, minVersion: 'TLSv1.2', ...(ca === undefined ? {} : { ca }) }),
    'http:': new PlainAgent({ keepAlive: true, maxSockets: SOCKETS_MAX })
  }
  const once = ({ url, headers, body }: Message) =>
    new Promise<Sent>((resolve, reject) => {
      const isSecure = url.startsWith('https:')
      const options = { method: 'POST', agent: agents[isSecure ? 'https:' : 'http:'], signal: AbortSignal.timeout(answerMs) }
      const length = { 'content-length': String(Buffer.byteLength(body)) }
      const call = (isSecure ? secure : plain)(url, { ...options, headers: { ...headers, ...length } })
      call.on('error', reject)
      call.on('response', (answer) => {
        drain(answer)
        resolve(judge(answer))
      })
      call.end(body)
    })
  return {
    send: (message) => once(message).catch(noAnswer),
    close: () => {
      for (const agent of Object.values(agents)) agent.destroy()
    }
  }
}

function noAnswer(cause: NodeJS.ErrnoException): Sent {
  return { ok: false, because: `no answer (${cause.code ?? cause.name})` }
}

function judge({ statusCode = 0, headers }: IncomingMessage): Sent {
  if (statusCode >= 200 && statusCode < 300) return { ok: true }
  const because = statusCode >= 300 && statusCode < 400 ? `answered ${statusCode}, and nothing is followed` : `answered ${statusCode}`
  const seconds = /^\d{1,6}$/.test(headers['retry-after'] ?? '') ? Number(headers['retry-after']) : 0
  return { ok: false, because, retryAfterMs: Math.min(seconds * 1000, RETRY_AFTER_MS_MAX) }
}

/** The status says it all; the rest is let go, and a connection that does not end with it. */
function drain(answer: IncomingMessage): void {
  let size = 0
  answer.on('error', () => undefined)
  answer.on('data', (chunk: Buffer) => {
    size += chunk.length
    if (size > ANSWER_BYTES_MAX) answer.destroy()
  })
}
