/**
 * What the SPIFFE client of this repository does, shown over the network: harness contract v1 of the public conformance suite for
 * Workload API clients (arndt-s/spiffe-conformance-test-suite). It decides nothing: the address, the streams, certificates and
 * tokens are all judged by `src/spire` and `src/identity`.
 *
 *     SPIFFE_ENDPOINT_SOCKET=unix:///run/agent.sock node test/conformance/harness.ts
 */
import { once } from 'node:events'
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { text } from 'node:stream/consumers'
import { connect, createSecureContext, createServer as createTlsServer, type DetailedPeerCertificate, type TLSSocket } from 'node:tls'
import { CLOCK_SKEW_MS } from '../../src/core/limits.ts'
import { parseJwtKeySet } from '../../src/identity/bundle-document.ts'
import { verifyJwtSvid } from '../../src/identity/jwt-svid.ts'
import { verifyX509Svid, type X509Verdict } from '../../src/identity/x509-svid.ts'
import { type EndpointAddress, readEndpointAddress } from '../../src/spire/endpoint-address.ts'
import { connectJwtBundles } from '../../src/spire/jwt-bundles.ts'
import { fetchJwtSvid } from '../../src/spire/jwt-svid-fetch.ts'
import { connectWorkloadApi, type SvidSnapshot } from '../../src/spire/workload-api.ts'
import { pemOf } from '../support/ca.ts'

const WAIT_MS = 3_000
/** The longest that a timer can be: readiness has no end of its own here, the suite has. */
const FOREVER_MS = 2 ** 31 - 1

interface Reply {
  readonly code: 200 | 422 | 500 | 501
  readonly body: Readonly<Record<string, unknown>>
}

const ok = (body: Record<string, unknown>): Reply => ({ code: 200, body: { status: 'ok', ...body } })
const rejected = (message: string): Reply => ({ code: 422, body: { status: 'rejected', message } })
const failed = (message: string): Reply => ({ code: 500, body: { status: 'error', message } })

const say = (what: string, event: { readonly kind: string; readonly because?: string }): void =>
  console.error(`${what} ${event.kind}${event.because === undefined ? '' : `: ${event.because}`}`)

async function main(): Promise<void> {
  process.once('SIGTERM', () => process.exit(0))
  const read = readEndpointAddress(undefined, process.env['SPIFFE_ENDPOINT_SOCKET'])
  if (!read.ok) {
    console.error(read.detail)
    process.exitCode = 1
    return
  }
  const { address } = read
  const svids = connectWorkloadApi({ address, verify: verifyX509Svid, now: Date.now, onEvent: (event) => say('X.509', event) })
  const jwts = connectJwtBundles({ address, parse: parseJwtKeySet, now: Date.now, onEvent: (event) => say('JWT', event) })

  const x509Port = await listen(x509Server(svids.current))
  const routes: Readonly<Record<string, (asked: Record<string, unknown>) => Promise<Reply>>> = {
    'POST /v1/jwt/validate': ({ token, audience }) =>
      jwts.ready(WAIT_MS).then(({ keys }) => {
        const verdict = verifyJwtSvid(textOf(token), keys, { audience: textOf(audience), now: Date.now(), leewayMs: CLOCK_SKEW_MS })
        if (!verdict.ok) return rejected(`${verdict.rule}: ${verdict.detail}`)
        return ok({ spiffe_id: verdict.id.text, claims: { sub: verdict.id.text, aud: verdict.audiences, exp: verdict.expiresAt / 1000 } })
      }),
    'POST /v1/jwt/fetch': ({ audience, spiffe_id }) => fetchJwt(address, audience, spiffe_id),
    'POST /v1/x509/dial': (asked) => dial(textOf(asked['address']), svids.current()),
    'GET /v1/info': () => Promise.resolve(ok({ sdk: 'vecauthz', sdk_version: '0.1.0', language: 'TypeScript' }))
  }
  const controlPort = await listen(createHttpServer((request, response) => void control(routes, request, response)))
  // A permanent failure leaves the process running and never ready: whether the client tries again is then seen, not hidden by an exit.
  await svids.ready(FOREVER_MS)
  console.log(`SPIFFE_HARNESS_VERSION=1\nSPIFFE_X509_PORT=${x509Port}\nSPIFFE_CONTROL_PORT=${controlPort}\nREADY`)
}

async function listen(server: Server | ReturnType<typeof createHttpServer>): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

/** Presents the current SVID, writes the id of a good peer, and closes without a byte on any other; without an SVID there is no TLS. */
function x509Server(current: () => SvidSnapshot | undefined): Server {
  const tls = createTlsServer({ requestCert: true, rejectUnauthorized: false }, (socket) => {
    socket.on('error', () => undefined)
    const verdict = judge(socket, current())
    if (verdict?.ok) socket.end(`${verdict.id.text}\n`)
    else socket.destroy()
  })
  tls.on('tlsClientError', (error, socket) => {
    console.error(`handshake: ${error.message}`)
    socket.destroy()
  })
  return createServer((socket) => {
    const snapshot = current()
    socket.on('error', () => undefined)
    if (snapshot === undefined) {
      socket.destroy()
      return
    }
    tls.setSecureContext(presented(snapshot))
    tls.emit('connection', socket)
  })
}

function presented({ svid }: SvidSnapshot): { readonly cert: string; readonly key: string } {
  return { cert: svid.certificates.map(pemOf).join(''), key: svid.key.export({ type: 'pkcs8', format: 'pem' }).toString() }
}

/** The verdict of our rulebook; Node's own, which knows neither SPIFFE nor these bundles, is not asked. Undefined without a certificate or bundles. */
function judge(socket: TLSSocket, snapshot: SvidSnapshot | undefined): X509Verdict | undefined {
  const chain = chainOf(socket)
  if (snapshot === undefined || chain.length === 0) return undefined
  const verdict = verifyX509Svid(chain, snapshot.bundles, Date.now())
  if (!verdict.ok) console.error(`peer: ${verdict.rule}: ${verdict.detail}`)
  return verdict
}

/** What the peer sent, in the order in which one signed the other: certificates that lead nowhere are not seen here. */
function chainOf(socket: TLSSocket): Uint8Array[] {
  const chain: Uint8Array[] = []
  let at: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true)
  while (at?.raw !== undefined) {
    chain.push(new Uint8Array(at.raw))
    at = at.issuerCertificate === at ? undefined : at.issuerCertificate
  }
  return chain
}

async function dial(address: string, snapshot: SvidSnapshot | undefined): Promise<Reply> {
  const [, host = '', port = ''] = /^(127\.0\.0\.1|localhost):([0-9]{1,5})$/.exec(address) ?? []
  if (host === '') return failed('address has to be host:port on this machine')
  if (snapshot === undefined) return failed('there is no SVID to dial with')
  const secureContext = createSecureContext(presented(snapshot))
  const socket = connect({ host, port: Number(port), secureContext, rejectUnauthorized: false, checkServerIdentity: () => undefined })
  try {
    await once(socket, 'secureConnect', { signal: AbortSignal.timeout(WAIT_MS) })
  } catch (error) {
    socket.destroy()
    return failed(`no TLS connection: ${(error as Error).message}`)
  }
  socket.on('error', () => undefined)
  const verdict = judge(socket, snapshot)
  if (verdict?.ok) socket.end()
  else socket.destroy()
  if (verdict === undefined) return rejected('the server showed no certificate')
  return verdict.ok ? ok({ spiffe_id: verdict.id.text }) : rejected(`${verdict.rule}: ${verdict.detail}`)
}

async function fetchJwt(address: EndpointAddress, audience: unknown, spiffeId: unknown): Promise<Reply> {
  if (!Array.isArray(audience)) return failed('audience has to be a list')
  const asked = spiffeId === undefined || spiffeId === '' ? {} : { spiffeId: textOf(spiffeId) }
  const result = await fetchJwtSvid({ address, audience: audience.map(textOf), ...asked, timeoutMs: WAIT_MS })
  if (result.ok) return ok({ svids: result.svids.map(({ id, token, hint }) => ({ spiffe_id: id.text, token, hint })) })
  return failed(result.because)
}

async function control(
  routes: Readonly<Record<string, (asked: Record<string, unknown>) => Promise<Reply>>>,
  request: IncomingMessage,
  response: ServerResponse
): Promise<void> {
  const route = routes[`${request.method} ${request.url}`]
  const answer = async (): Promise<Reply> => {
    if (route === undefined) return { code: 501, body: { status: 'unsupported', message: 'there is no such operation' } }
    const body = await text(request)
    return route(request.method === 'GET' ? {} : JSON.parse(body))
  }
  const { code, body } = await answer().catch((error: Error) => failed(error.message))
  response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

function textOf(value: unknown): string {
  if (typeof value !== 'string') throw new Error('a text is missing in the question')
  return value
}

await main().catch((error: Error) => console.error(error.message))
