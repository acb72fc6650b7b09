/** Other judges of the chains: Node's TLS in this process, and go-spiffe where Go is on PATH. */
import { once } from 'node:events'
import { duplexPair } from 'node:stream'
import { connect, createServer, type TLSSocket } from 'node:tls'
import { issueSvid, makeAuthority, pemOf } from '../support/ca.ts'
import { askGoSpiffe } from './go-spiffe.ts'
import type { Case } from './x509-chains.ts'

export interface Opinion {
  readonly ok: boolean
  /** The SPIFFE ID where the judge reads one, or why it refused. */
  readonly said: string
}

const own = await issueSvid(await makeAuthority({ trustDomain: 'server.test' }))
const HANDSHAKE_MS = 10_000

/** A handshake in which a server asks for the certificate; all anchors in one pool, because that is all it can have. */
export async function nodeTls({ chain, bundles, key }: Case): Promise<Opinion> {
  const ca = [...bundles.x509.values()].flat().map(pemOf)
  const server = createServer({ cert: own.pem, key: own.keyPem, ca, requestCert: true, rejectUnauthorized: false })
  const [near, far] = duplexPair()
  const outcome = Promise.race([
    once(server, 'secureConnection', { signal: AbortSignal.timeout(HANDSHAKE_MS) }).then(([socket]) => opinionOf(socket as TLSSocket)),
    once(server, 'tlsClientError').then(([error]) => refused(`the handshake failed: ${(error as Error).message}`))
  ])
  try {
    // What the client may show is not the question: at level 0 OpenSSL lets it show any key.
    const client = connect({
      socket: near,
      ca: [],
      cert: chain.map(pemOf).join(''),
      key: key.export({ type: 'pkcs8', format: 'pem' }),
      ciphers: 'DEFAULT@SECLEVEL=0',
      rejectUnauthorized: false
    })
    client.on('error', () => undefined)
    server.emit('connection', far)
    return await outcome
  } catch (cause) {
    outcome.catch(() => undefined)
    return refused(`it could not be shown: ${(cause as Error).message}`)
  } finally {
    near.destroy()
    far.destroy()
  }
}

function opinionOf(socket: TLSSocket): Opinion {
  socket.on('error', () => undefined)
  const opinion = socket.authorized ? { ok: true, said: '' } : refused(String(socket.authorizationError))
  socket.destroy()
  return opinion
}

const refused = (said: string): Opinion => ({ ok: false, said })

/** What go-spiffe's x509svid.ParseAndVerify says of each. */
export function goSpiffe(cases: readonly Case[]): readonly Opinion[] {
  const text = (der: Uint8Array): string => Buffer.from(der).toString('base64')
  const questions = cases.map(({ chain, bundles, now }) => ({
    chain: chain.map(text),
    bundles: Object.fromEntries([...bundles.x509].map(([name, ders]) => [name, ders.map(text)])),
    now
  }))
  return askGoSpiffe(questions).map(({ id, error }) => (id === undefined ? refused(error ?? 'no reason') : { ok: true, said: id }))
}
