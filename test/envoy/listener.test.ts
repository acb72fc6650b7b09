/** Who is let in at the ext_authz port, over real TLS. */
import { connect, type TLSSocket } from 'node:tls'
import { afterEach, expect, it } from 'vitest'
import { type Listener, listen } from '../../src/envoy/listener.ts'
import { verifyX509Svid } from '../../src/identity/x509-svid.ts'
import { bundlesOf, issueSvid, makeAuthority, type Svid } from '../support/ca.ts'

const root = await makeAuthority({ trustDomain: 'demo.vecauthz.test' })
const issue = (path: string) => issueSvid(root, { id: `spiffe://demo.vecauthz.test${path}` })
const [server, support, indexer] = await Promise.all(['/vecauthz/egress', '/acme/support', '/acme/indexer'].map(issue))

const opened: TLSSocket[] = []
let listener: Listener | undefined
afterEach(() => {
  for (const socket of opened.splice(0)) socket.destroy()
  listener?.close()
})

async function port(envoys: ReadonlySet<string> | undefined) {
  const refused: string[] = []
  let accepted = 0
  listener = await listen(
    { key: server?.keyPem ?? '', cert: server?.pem ?? '' },
    {
      host: '127.0.0.1',
      port: 0,
      envoys,
      verify: verifyX509Svid,
      trust: () => bundlesOf([root]),
      now: Date.now,
      accept: () => accepted++,
      onRefused: (_, because) => refused.push(because),
      connectionsPerPeerMax: 2
    }
  )
  const at = { host: '127.0.0.1', port: listener.port, rejectUnauthorized: false, ALPNProtocols: ['h2'] }
  const open = (who: Svid | undefined) => {
    const socket = connect({ ...at, cert: who?.pem, key: who?.keyPem })
    opened.push(socket.on('error', () => undefined))
  }
  return { open, refused, accepted: () => accepted }
}

it('where anybody may ask, one identity does not take the place of others', async () => {
  const { open, refused, accepted } = await port(undefined)
  for (let nth = 0; nth < 3; nth++) open(support)
  await expect.poll(() => accepted() + refused.length).toBe(3)
  expect(refused).toEqual([`${support?.id} has as many connections as one identity may have`])
  open(indexer)
  await expect.poll(accepted).toBe(3)
  for (const socket of opened) socket.destroy()
  // Until the port has seen them go, it refuses.
  const again = () => {
    open(support)
    return accepted()
  }
  await expect.poll(again).toBeGreaterThan(3)
})

it('the listed Envoys are as many as there are', async () => {
  const { open, refused, accepted } = await port(new Set([support?.id ?? '']))
  for (let nth = 0; nth < 3; nth++) open(support)
  await expect.poll(accepted).toBe(3)
  open(indexer)
  await expect.poll(() => refused.length).toBe(1)
})
