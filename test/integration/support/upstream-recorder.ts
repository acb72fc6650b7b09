import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener } from 'node:http'
import { createServer as createTlsServer, type ServerOptions } from 'node:https'
import type { AddressInfo } from 'node:net'

/** What stands where the database would: it records what arrives, byte for byte, and answers 200. */
export interface UpstreamRecorder {
  readonly port: number
  /** Every request since `reset`, oldest first. */
  readonly seen: Arrived[]
  /** Status of the next answers. */
  status: number
  reset(): void
  /** Breaks every connection, as a database that falls over would. */
  disconnect(): void
  stop(): Promise<void>
}

export interface Arrived {
  readonly method: string
  readonly target: string
  readonly body: Buffer
  /** All values of a header, in order. */
  all(name: string): string[]
}

/** @param tls in the place of another hop: its certificate, and whom it takes */
export async function startRecorder(tls?: ServerOptions): Promise<UpstreamRecorder> {
  const answer: RequestListener = async (request, response) => {
    // A request that breaks off has not arrived; controls make Envoy send such ones.
    const arrived = await readAll(request).catch(() => undefined)
    if (arrived === undefined) return
    recorder.seen.push(arrived)
    response.writeHead(recorder.status, { 'content-type': 'text/plain' }).end('from upstream')
  }
  const server = tls === undefined ? createServer(answer) : createTlsServer(tls, answer)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const recorder: UpstreamRecorder = {
    port: (server.address() as AddressInfo).port,
    seen: [],
    status: 200,
    reset() {
      this.seen.length = 0
      this.status = 200
    },
    disconnect: () => server.closeAllConnections(),
    async stop() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    }
  }
  return recorder
}

async function readAll(request: IncomingMessage): Promise<Arrived> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  const { rawHeaders, method = '', url: target = '' } = request
  const all = (name: string) =>
    rawHeaders.flatMap((key, at) => (at % 2 === 0 && key.toLowerCase() === name ? [rawHeaders[at + 1] ?? ''] : []))
  return { method, target, body: Buffer.concat(chunks), all }
}
