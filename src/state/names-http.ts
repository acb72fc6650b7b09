/** Asks a database for names over HTTP/1.1 with kept-alive connections. */
import { Agent, type IncomingMessage, request } from 'node:http'
import { LOOKUPS_IN_FLIGHT_MAX } from '../core/limits.ts'
import type { FetchName } from './names.ts'

/** A collection's description with the longest metadata and schema that people write is a few KiB. */
const ANSWER_BYTES_MAX = 256 * 1024

export interface NameFetcher {
  readonly fetchName: FetchName
  readonly close: () => void
}

export interface NameFetcherOptions {
  /** `http://host:port`, without a path. */
  readonly url: string
  /** The database's own credential as it stands now, if it has one. */
  readonly headers?: () => Readonly<Record<string, string>>
}

export function createNameFetcher({ url, headers = () => ({}) }: NameFetcherOptions): NameFetcher {
  const { protocol, hostname, port } = new URL(url)
  if (protocol !== 'http:') throw new Error(`${url}: names are asked over http:// only`)
  const agent = new Agent({ keepAlive: true, maxSockets: LOOKUPS_IN_FLIGHT_MAX })
  const once = (path: string, signal: AbortSignal) =>
    new Promise<Answer>((resolve, reject) => {
      const host = hostname.replace(/^\[|\]$/g, '')
      const call = request({ agent, host, port, path, method: 'GET', headers: { accept: 'application/json', ...headers() }, signal })
      call.on('error', (cause) => reject(Object.assign(cause, { onReusedConnection: call.reusedSocket })))
      call.on('response', (answer) => readAnswer(answer).then(resolve, reject))
      call.end()
    })
  return {
    // The database may close an idle connection just when it is used again: that question was not read, and is asked once more.
    fetchName: (path, signal) =>
      once(path, signal).catch((cause) => (isStale(cause) && !signal.aborted ? once(path, signal) : Promise.reject(cause))),
    close: () => agent.destroy()
  }
}

type Answer = Awaited<ReturnType<FetchName>>

async function readAnswer(answer: IncomingMessage): Promise<Answer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of answer) {
    size += chunk.length
    if (size > ANSWER_BYTES_MAX) throw new Error(`the answer is longer than ${ANSWER_BYTES_MAX} bytes`)
    chunks.push(chunk)
  }
  return { status: answer.statusCode ?? 0, body: Buffer.concat(chunks) }
}

function isStale(cause: NodeJS.ErrnoException & { onReusedConnection?: boolean }): boolean {
  return cause.onReusedConnection === true && (cause.code === 'ECONNRESET' || cause.code === 'EPIPE')
}
