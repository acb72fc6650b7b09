/** Whoever is on call, for the steps of risk: a webhook receiver on loopback that believes nobody without a signature, and fails at first. */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** What `src/paging/webhook.ts` sends, as far as it is looked at here. */
export interface PageGot {
  readonly key: string
  readonly state: 'firing' | 'resolved'
  readonly kind: string
  readonly severity: string
  readonly subject: string
  readonly cause: string
  readonly decision_ids: readonly string[]
}

export interface OnCall {
  readonly url: string
  /** Of the signing key, beside the settings. */
  readonly keyFile: string
  /** Taken, each once. */
  readonly pages: readonly PageGot[]
  /** How often each was sent, by `webhook-id`. */
  readonly tries: ReadonlyMap<string, number>
  /** Waits for it. @throws Error when it does not come */
  readonly get: (subject: string, state: PageGot['state'], kind: string) => Promise<PageGot>
  readonly stop: () => Promise<void>
}

/** Each page is refused so often before it is taken. */
export const REFUSED_FIRST = 2
const KEY_FILE = 'paging.key'
const SKEW_SECONDS = 300
const WAIT_MS = 20_000

export async function startOnCall(folder: string): Promise<OnCall> {
  const key = randomBytes(32)
  writeFileSync(join(folder, KEY_FILE), `whsec_${key.toString('base64')}\n`, { mode: 0o600 })
  const [pages, tries]: [PageGot[], Map<string, number>] = [[], new Map()]
  const server = createServer(async (request, answer) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const body = Buffer.concat(chunks).toString('utf8')
    if (!isSigned(request.headers, body, key)) return void answer.writeHead(401).end()
    const id = String(request.headers['webhook-id'])
    const count = (tries.get(id) ?? 0) + 1
    tries.set(id, count)
    if (count <= REFUSED_FIRST) return void answer.writeHead(503).end()
    if (count === REFUSED_FIRST + 1) pages.push(JSON.parse(body) as PageGot)
    answer.writeHead(200).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/page`,
    keyFile: KEY_FILE,
    pages,
    tries,
    async get(subject, state, kind) {
      for (const until = performance.now() + WAIT_MS; performance.now() < until; await sleep(25)) {
        const found = pages.find((one) => one.subject === subject && one.state === state && one.kind === kind)
        if (found !== undefined) return found
      }
      throw new Error(`nobody was told that ${subject} (${kind}) is ${state}; told was: ${JSON.stringify(pages)}`)
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
  }
}

/** As docs/paging.md tells receivers to. */
function isSigned(headers: IncomingHttpHeaders, body: string, key: Buffer): boolean {
  const { 'webhook-id': id, 'webhook-timestamp': seconds, 'webhook-signature': given } = headers
  if (!(Math.abs(Date.now() / 1000 - Number(seconds)) <= SKEW_SECONDS)) return false
  const good = createHmac('sha256', key).update(`${id}.${seconds}.${body}`).digest()
  return String(given)
    .split(' ')
    .filter((one) => one.startsWith('v1,'))
    .map((one) => Buffer.from(one.slice(3), 'base64'))
    .some((one) => one.length === good.length && timingSafeEqual(one, good))
}
