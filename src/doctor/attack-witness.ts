/** Stands in the place of the database and answers everything: what arrives here got through, and what it carried. */
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'

/** Carries the mark of a step; no list of headers that are stripped has it. */
export const MARK = 'x-doctor-mark'

export interface Witness {
  readonly port: number
  /** What arrived with that mark; undefined when nothing did. */
  readonly arrived: (mark: string) => IncomingHttpHeaders | undefined
  readonly close: () => Promise<void>
}

/** @throws when the port cannot be had. */
export async function startWitness(host: string, port: number): Promise<Witness> {
  const seen = new Map<string, IncomingHttpHeaders>()
  const server = createServer((incoming, outgoing) => {
    const mark = incoming.headers[MARK]
    if (typeof mark === 'string') seen.set(mark, incoming.headers)
    incoming.resume()
    outgoing.writeHead(200, { 'content-type': 'application/json' }).end('{}')
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, resolve)
  })
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  return { port: (server.address() as AddressInfo).port, arrived: (mark) => seen.get(mark), close }
}
