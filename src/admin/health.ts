/** The plain HTTP health port: /livez says the process runs, /readyz whether it may be asked and why not, /metrics the ages of what it trusts, and where it mints tokens, the public keys that verify them. */
import { createServer } from 'node:http'
import type { MetricsPage } from './metrics.ts'

/** What Weaviate's AUTHENTICATION_OIDC_JWKS_URL names. */
const JWKS_PATH = '/credentials/jwks.json'

export interface HealthPort {
  readonly port: number
  /** From now on /readyz says no. */
  readonly drain: () => void
  readonly close: () => void
}

export async function startHealth(
  host: string,
  port: number,
  notReady: () => string | undefined,
  metrics: MetricsPage,
  jwks?: () => string
): Promise<HealthPort> {
  let draining = false
  const server = createServer((request, response) => {
    if (request.url === '/metrics') {
      metrics.text().then(
        (text) => response.writeHead(200, { 'content-type': metrics.contentType, 'cache-control': 'no-store' }).end(text),
        () => response.writeHead(500).end()
      )
      return
    }
    if (request.url === JWKS_PATH && jwks !== undefined) {
      response.writeHead(200, { 'content-type': 'application/jwk-set+json', 'cache-control': 'max-age=60' }).end(jwks())
      return
    }
    const because = draining ? 'draining' : notReady()
    const [status, body] =
      request.url === '/livez'
        ? [200, 'ok']
        : request.url === '/readyz'
          ? because === undefined
            ? [200, 'ready']
            : [503, because]
          : [404, 'not here']
    response.writeHead(Number(status), { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' })
    response.end(`${body}\n`)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, resolve)
  })
  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : port,
    drain: () => {
      draining = true
    },
    close: () => server.close()
  }
}
