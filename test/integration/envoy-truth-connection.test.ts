import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Config, httpOf } from '../../demo/envoy-config.ts'
import { issueSvid, makeAuthority, type Svid } from '../support/ca.ts'
import { AGENT_ID, type GatewayBench, PARTNER_DOMAIN, SHIPPED, startBench, TRUST_DOMAIN, tlsOf } from './support/gateway-bench.ts'
import { http1, http1On, type Identity, tlsOptions } from './support/wire-client.ts'

/** Who may connect, and for how long: the shipped gateway.yaml, and what comes in when one line of its TLS settings is another. */

const ADMIN_ID = `spiffe://${TRUST_DOMAIN}/admin`
/** Certificates count in whole seconds: this one lives for 2 to 3. */
const SHORT_MS = 3_000

let bench: GatewayBench
let stranger: Svid

beforeAll(async () => {
  const rogue = await makeAuthority({ trustDomain: TRUST_DOMAIN, name: 'rogue' })
  stranger = await issueSvid(rogue, { id: ADMIN_ID })
  bench = await startBench(({ authority, partner }) => {
    const plain = (pem: string, more: Config = {}) => ({ trusted_ca: { inline_string: pem }, ...more })
    const validate = (context: Config | undefined) => (tls: Config) => {
      delete tls['common_tls_context'].validation_context_sds_secret_config
      if (context !== undefined) tls['common_tls_context'].validation_context = context
    }
    const variant = (change: (tls: Config) => void) => (listener: Parameters<typeof tlsOf>[0]) => change(tlsOf(listener))
    const ours = [{ san_type: 'URI', matcher: { prefix: `spiffe://${TRUST_DOMAIN}/` } }]
    return {
      'certificate not required': variant((tls) => {
        tls['require_client_certificate'] = false
      }),
      'certificate not required, plain authority': variant((tls) => {
        tls['require_client_certificate'] = false
        validate(plain(authority.pem))(tls)
      }),
      'no validation context': variant(validate(undefined)),
      'accept untrusted': variant(validate(plain(authority.pem, { trust_chain_verification: 'ACCEPT_UNTRUSTED' }))),
      'plain authority': variant(validate(plain(authority.pem))),
      'merged bundle': variant(validate(plain(authority.pem + partner.pem, { match_typed_subject_alt_names: ours }))),
      resumption: variant((tls) => {
        delete tls['disable_stateless_session_resumption']
        delete tls['disable_stateful_session_resumption']
      }),
      'old TLS': variant((tls) => {
        delete tls['common_tls_context'].tls_params
      }),
      'short connections': (listener) => {
        httpOf(listener)['common_http_protocol_options'].max_connection_duration = '1s'
        httpOf(listener)['drain_timeout'] = '0.2s'
      }
    }
  })
})
afterAll(() => bench?.stop())
beforeEach(() => bench.reset())

const call = (identity: Identity | undefined, listener = SHIPPED) => http1(bench.envoy.port(listener), identity)
const source = () => bench.authorizer.checks.at(-1)?.attributes?.source
const certificate = () => new X509Certificate(decodeURIComponent(source()?.certificate ?? ''))

describe('the shipped listener', () => {
  it('accepts an SVID of our trust domain, and one of a trust domain whose bundle is there', async () => {
    expect((await call(bench.agent)).status).toBe(200)
    const guest = await issueSvid(bench.partner, { id: `spiffe://${PARTNER_DOMAIN}/job` })
    expect((await call(guest)).status).toBe(200)
    expect(source()?.principal).toBe(`spiffe://${PARTNER_DOMAIN}/job`)
  })

  it.each([
    { name: 'no certificate', make: () => undefined },
    { name: 'a certificate of a stranger with our name', make: () => stranger },
    { name: 'hole 3: an expired SVID', make: () => issueSvid(bench.authority, { id: AGENT_ID, notAfter: Date.now() - 1_000 }) },
    { name: 'an SVID that is not valid yet', make: () => issueSvid(bench.authority, { id: AGENT_ID, notBefore: Date.now() + 60_000 }) },
    { name: 'hole 5: another URI before the SPIFFE ID', make: () => issueSvid(bench.authority, { uris: ['https://x.test/', AGENT_ID] }) },
    { name: 'a DNS name only', make: () => issueSvid(bench.authority, { uris: [], dns: ['admin.test'] }) },
    { name: 'hole 6: our name signed by the partner', make: () => issueSvid(bench.partner, { id: ADMIN_ID }) },
    { name: "a third trust domain's name signed by us", make: () => issueSvid(bench.authority, { id: 'spiffe://third.test/x' }) }
  ])('refuses the connection: $name', async ({ make }) => {
    await expect(call(await make())).rejects.toThrow()
    expect(bench.authorizer.checks).toHaveLength(0)
  })

  it('hole 5: accepts a second URI behind the SPIFFE ID; vecauthz has to refuse the certificate that it is shown', async () => {
    expect((await call(await issueSvid(bench.authority, { uris: [AGENT_ID, ADMIN_ID] }))).status).toBe(200)
    expect(source()?.principal).toBe(AGENT_ID)
    expect(certificate().subjectAltName).toBe(`URI:${AGENT_ID}, URI:${ADMIN_ID}`)
  })

  it('speaks TLS 1.3 only, to agents and to vecauthz', async () => {
    await expect(handshake({ maxVersion: 'TLSv1.2' })).rejects.toThrow()
    const socket = await handshake({ maxVersion: 'TLSv1.2' }, 'old TLS')
    expect(socket.getProtocol()).toBe('TLSv1.2')
    socket.destroy()
    await call(bench.agent)
    expect(await bench.envoy.stats('cluster.vecauthz.ssl.versions.TLSv1.3')).toBeGreaterThan(0)
  })
})

describe('controls', () => {
  it('no certificate required: a caller without an identity is asked about, unless the SPIFFE validator stands in the way', async () => {
    expect((await call(undefined, 'certificate not required, plain authority')).status).toBe(200)
    expect(source()).toMatchObject({ principal: '', certificate: '' })
    await expect(call(undefined, 'certificate not required')).rejects.toThrow('certificate required')
  })

  it('hole 4: without a validation context any certificate opens the connection, and the check names nobody', async () => {
    expect((await call(stranger, 'no validation context')).status).toBe(200)
    expect(source()?.principal).toBe('')
  })

  it('hole 4: ACCEPT_UNTRUSTED shows a name that a stranger signed', async () => {
    expect((await call(stranger, 'accept untrusted')).status).toBe(200)
    expect(source()?.principal).toBe(ADMIN_ID)
  })

  it('hole 5: with a plain authority the principal is whatever URI comes first', async () => {
    const svid = await issueSvid(bench.authority, { uris: ['https://x.test/', AGENT_ID] })
    expect((await call(svid, 'plain authority')).status).toBe(200)
    expect(source()?.principal).toBe('https://x.test/')
  })

  it('hole 6: with a merged bundle the partner signs our names', async () => {
    expect((await call(await issueSvid(bench.partner, { id: ADMIN_ID }), 'merged bundle')).status).toBe(200)
    expect(source()?.principal).toBe(ADMIN_ID)
  })
})

describe('hole 3: an SVID that expires', () => {
  const keepAlive = { headers: [['connection', 'keep-alive']] } as const

  it('stays good on an open connection and on a resumed session, but not on the shipped listener beyond its connections', async () => {
    const svid = await issueSvid(bench.authority, { id: AGENT_ID, notAfter: Date.now() + SHORT_MS })
    const open = await handshake({ ...svidOptions(svid) })
    const short = await handshake({ ...svidOptions(svid) }, 'short connections')
    const resumable = await handshake({ ...svidOptions(svid) }, 'resumption')
    const [shippedTicket, ticket] = [ticketOf(open), ticketOf(resumable)]
    for (const socket of [open, short, resumable]) await http1On(socket, keepAlive)
    const closed = once(short, 'close')
    await sleep(SHORT_MS)

    // Envoy forwards, and shows an expired certificate: refusing it is vecauthz's part.
    expect((await http1On(open, {})).status).toBe(200)
    expect(certificate().validToDate.getTime()).toBeLessThan(Date.now())
    // max_connection_duration is Envoy's part: no connection outlives an SVID that was half-used when it began.
    await closed
    // A new handshake is refused, and the shipped listener allows no other.
    expect(shippedTicket()).toBeUndefined()
    await expect(call(svid)).rejects.toThrow()
    await expect(call(svid, 'resumption')).rejects.toThrow()

    // Control: with resumption the expired SVID comes in again.
    const session = ticket()
    expect(session).toBeDefined()
    const resumed = await handshake({ ...svidOptions(svid), session: session as Buffer }, 'resumption')
    expect(resumed.isSessionReused()).toBe(true)
    expect((await http1On(resumed, {})).status).toBe(200)
    expect(certificate().validToDate.getTime()).toBeLessThan(Date.now())
  })
})

function svidOptions(svid: Svid): ConnectionOptions {
  return { cert: svid.pem, key: svid.keyPem }
}

async function handshake(options: ConnectionOptions, listener = SHIPPED): Promise<TLSSocket> {
  const socket = connect(tlsOptions(bench.envoy.port(listener), bench.agent, { ALPNProtocols: ['http/1.1'], ...options }))
  await once(socket, 'secureConnect')
  return socket
}

/** The last session ticket that the server gives on this connection. */
function ticketOf(socket: TLSSocket): () => Buffer | undefined {
  let ticket: Buffer | undefined
  socket.on('session', (session: Buffer) => {
    ticket = session
  })
  return () => ticket
}
