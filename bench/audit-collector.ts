/** Takes records over HTTP as slowly, and as badly, as a campaign asks for, and remembers every line. */
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

export interface Collector {
  readonly url: string
  /** How long it takes over a batch, and what it answers; it keeps what it answers 200 to. */
  behave: { latencyMs: number; status: number }
  readonly lines: () => readonly string[]
  readonly ids: () => ReadonlySet<string>
  readonly batches: () => number
  readonly close: () => Promise<void>
}

export async function startCollector(latencyMs: number): Promise<Collector> {
  const kept: string[] = []
  const seen = new Set<string>()
  let batches = 0
  const server: Server = createServer(async (request, response) => {
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part as Buffer)
    const { latencyMs: wait, status } = collector.behave
    await sleep(wait)
    // What is sent again after its answer was lost comes under the same name.
    const batch = request.headers['x-vecauthz-batch']?.toString()
    if (status === 200 && (batch === undefined || !seen.has(batch))) {
      if (batch !== undefined) seen.add(batch)
      batches++
      for (const line of Buffer.concat(parts).toString('utf8').split('\n')) if (line !== '') kept.push(line)
    }
    response.writeHead(status).end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const collector: Collector = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/records`,
    behave: { latencyMs, status: 200 },
    lines: () => kept,
    ids: () => new Set(kept.map((line) => (JSON.parse(line) as { decision_id?: string }).decision_id ?? '')),
    batches: () => batches,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    }
  }
  return collector
}
