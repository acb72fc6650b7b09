/** Somebody who is paged: a real HTTP or HTTPS server on loopback that answers as it is told, and keeps what it got. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'

export interface Got {
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export interface PageReceiver {
  readonly url: string
  /** All that came, whatever was answered. */
  readonly got: Got[]
  /** What was answered with a 2xx. */
  readonly taken: Got[]
  /** Answers to come, one each; then 202. `cut`: the connection ends without one. */
  readonly answers: (number | 'cut' | ((response: ServerResponse) => void))[]
  readonly stop: () => Promise<void>
}

export async function startReceiver(tls?: { readonly key: string; readonly cert: string }): Promise<PageReceiver> {
  const [got, taken, answers]: [Got[], Got[], PageReceiver['answers']] = [[], [], []]
  const listener = async (request: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const one: Got = {
      path: request.url ?? '',
      headers: request.headers as Record<string, string>,
      body: Buffer.concat(chunks).toString('utf8')
    }
    got.push(one)
    const answer = answers.shift() ?? 202
    if (answer === 'cut') request.socket.destroy()
    else if (typeof answer === 'function') answer(response)
    else {
      if (answer < 300) taken.push(one)
      response.writeHead(answer).end('{"status":"whatever"}')
    }
  }
  const server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`,
    got,
    taken,
    answers,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
  }
}
