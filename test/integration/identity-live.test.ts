/** Who calls, through the real Envoy to the real server: whatever the listener forwards and the caller writes, it is the certificate's. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect as connectPlain } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect, type TLSSocket } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { type Bootstrap, type Config, httpOf, type Listener, named } from '../../demo/envoy-config.ts'
import { GATEWAY_ENVOY, INDEXER, SUPPORT, TRUST_DOMAIN } from '../../demo/identities.ts'
import { type Stack, startStack } from '../../demo/stack.ts'
import { collectionPath } from '../../demo/step.ts'
import type { DenyKind } from '../../src/core/deny-reason.ts'
import { issueSvid, makeAuthority, xfccFor } from '../support/ca.ts'
import { SHIPPED, tlsOf } from './support/gateway-bench.ts'
import { type Heard, http1, http1On, type Identity, tlsOptions } from './support/wire-client.ts'

const PARTNER = 'spiffe://partner.test/agent/guest'
/** Certificates count in whole seconds: this one lives for 2 to 3. */
const SHORT_MS = 3_000
const MODES = ['SANITIZE', 'SANITIZE_SET', 'APPEND_FORWARD', 'FORWARD_ONLY', 'ALWAYS_FORWARD_ONLY'] as const
type Mode = (typeof MODES)[number]

/** What the caller, acme/support, writes into x-forwarded-client-cert itself. */
const FORGERIES = {
  nothing: () => undefined,
  /** Certificates are no secret: everything in it is true, of somebody else. */
  "the indexer's element": () => xfccFor(stack.issuer.issueX509(INDEXER), GATEWAY_ENVOY),
  'its own element with the name of the indexer': () => xfccFor({ ...own, id: INDEXER }, GATEWAY_ENVOY),
  "its own element with the hash of the indexer's": () =>
    xfccFor(own, GATEWAY_ENVOY).replace(sha256(own.chain[0]), sha256(stack.issuer.issueX509(INDEXER).chain[0])),
  'its own element': () => xfccFor(own, GATEWAY_ENVOY)
}
type Forgery = keyof typeof FORGERIES
type Verdict = DenyKind | 'allow'

let stack: Stack
let own: ReturnType<Stack['issuer']['issueX509']>

beforeAll(async () => {
  const folder = join(import.meta.dirname, '../../.run/test-identity')
  // biome-ignore lint/suspicious/noExplicitAny: the document as YAML gives it
  const policy = (document: any) => {
    document.trust_domains.push('partner.test')
    document.workloads.push({ spiffe_id: PARTNER, tenants: ['acme'] })
    document.budget = { per_second: 1000, burst: 10_000 }
  }
  stack = await startStack({
    folder,
    say: () => undefined,
    policy,
    partners: [PARTNER],
    envoy: { edit: (all) => addListeners(all, folder) }
  })
  own = stack.issuer.issueX509(SUPPORT)
})
afterAll(() => stack?.stop())

/** Each is the shipped listener with one thing changed. */
function addListeners(bootstrap: Bootstrap, folder: string): void {
  const { listeners } = bootstrap.static_resources
  const shipped = structuredClone(named(listeners, SHIPPED))
  const add = (name: string, change: (listener: Listener, http: Config) => void) => {
    const listener: Listener = { ...structuredClone(shipped), name }
    change(listener, httpOf(listener))
    listeners.push(listener)
  }
  for (const mode of MODES) {
    for (const kind of ['mTLS', 'plain HTTP']) {
      add(`${mode} ${kind}`, (listener, http) => {
        http['forward_client_cert_details'] = mode
        if (kind === 'plain HTTP') delete listener['filter_chains'][0].transport_socket
      })
    }
  }
  add('any certificate', (listener) => {
    const context = tlsOf(listener)['common_tls_context']
    delete context.validation_context_sds_secret_config
    context.validation_context = { trusted_ca: { inline_string: ownBundle(folder) }, trust_chain_verification: 'ACCEPT_UNTRUSTED' }
  })
  add('names in XFCC', (_, http) => {
    http['set_current_client_cert_details'] = { chain: true, uri: true, dns: true, subject: true }
  })
  add('XFCC as JSON', (_, http) => {
    http['set_current_client_cert_details'] = { chain: true, uri: true, format: 'JSON' }
  })
  add('resumption', (listener) => {
    delete tlsOf(listener)['disable_stateless_session_resumption']
    delete tlsOf(listener)['disable_stateful_session_resumption']
  })
}

/** Our own authorities as PEM, from the file that the gateway itself reads. */
function ownBundle(folder: string): string {
  const { resources } = JSON.parse(readFileSync(join(folder, 'gateway/sds/bundles.json'), 'utf8'))
  const domains: { name: string; trust_bundle: { inline_string: string } }[] =
    resources[0].validation_context.custom_validator_config.typed_config.trust_domains
  return named(domains, TRUST_DOMAIN).trust_bundle.inline_string
}

const sha256 = (der: Uint8Array = new Uint8Array()) => createHash('sha256').update(der).digest('hex')
const target = () => collectionPath('acme', stack.collections['acme'] ?? '', 'count')
const identity = (svid: { chainPem: string; keyPem: string }): Identity => ({ pem: svid.chainPem, keyPem: svid.keyPem })

function ask(listener: string, who: Identity | undefined, xfcc?: string): Promise<Heard> {
  const headers: [string, string][] = xfcc === undefined ? [] : [['x-forwarded-client-cert', xfcc]]
  const port = stack.envoy.port(listener)
  if (who === undefined) return http1On(connectPlain(port, '127.0.0.1'), { target: target(), headers })
  return http1(port, who, { target: target(), headers })
}

function verdictOf(heard: Heard): string {
  if (heard.status === 200) return 'allow'
  return heard.headers['content-type'] === 'application/problem+json' ? JSON.parse(heard.body).reason : `status ${heard.status}`
}

interface AuditRecord {
  readonly verdict: string
  readonly reason?: string
  readonly because?: string
  readonly caller?: { readonly spiffe_id: string }
}

/** The server's own record of an answer. */
function recordOf({ headers }: Heard): Promise<AuditRecord> {
  const id = headers['x-vecauthz-decision']
  return vi.waitFor(
    () => {
      const lines = readFileSync(stack.auditFile, 'utf8').split('\n')
      const line = lines.find((one) => id !== undefined && one.includes(id))
      expect(line).toBeDefined()
      return JSON.parse(line ?? '')
    },
    { timeout: 5_000, interval: 50 }
  )
}

describe('x-forwarded-client-cert', () => {
  const every = (verdict: Verdict) => Array<Verdict>(5).fill(verdict)
  /** For each forgery in the order of FORGERIES. SVIDs come with an intermediate, which only a `Chain` that Envoy wrote, or that is true, has. */
  const MTLS: Record<Mode, readonly Verdict[]> = {
    SANITIZE: every('svid-untrusted'),
    SANITIZE_SET: every('allow'),
    APPEND_FORWARD: ['allow', 'identity-conflict', 'identity-conflict', 'identity-conflict', 'identity-conflict'],
    FORWARD_ONLY: ['svid-untrusted', 'identity-conflict', 'identity-conflict', 'identity-conflict', 'allow'],
    ALWAYS_FORWARD_ONLY: ['svid-untrusted', 'identity-conflict', 'identity-conflict', 'identity-conflict', 'allow']
  }
  /** Without TLS there is nobody to be; the nearest allows are the same calls above. */
  const PLAIN: Record<Mode, readonly Verdict[]> = {
    SANITIZE: every('no-identity'),
    SANITIZE_SET: every('no-identity'),
    APPEND_FORWARD: every('no-identity'),
    FORWARD_ONLY: every('no-identity'),
    ALWAYS_FORWARD_ONLY: ['no-identity', 'identity-conflict', 'identity-conflict', 'identity-conflict', 'identity-conflict']
  }
  const rows = Object.entries({ mTLS: MTLS, 'plain HTTP': PLAIN }).flatMap(([kind, table]) =>
    MODES.flatMap((mode) =>
      (Object.keys(FORGERIES) as Forgery[]).map((forgery, at) => ({ kind, mode, forgery, want: table[mode][at] as Verdict }))
    )
  )

  it.each(rows)('$mode, $kind listener, the caller writes $forgery: $want', async ({ kind, mode, forgery, want }) => {
    stack.recorder.clear()
    const heard = await ask(`${mode} ${kind}`, kind === 'mTLS' ? identity(own) : undefined, FORGERIES[forgery]())
    expect(verdictOf(heard), heard.body).toBe(want)
    expect(stack.recorder.seen()).toHaveLength(want === 'allow' ? 1 : 0)
    // Nobody, or whom the certificate names: no word of the header is an identity.
    expect((await recordOf(heard)).caller?.spiffe_id).toBe(want === 'allow' ? SUPPORT : undefined)
  })

  it('in its JSON form is refused, and the record says what to set', async () => {
    const heard = await ask('XFCC as JSON', identity(own))
    expect(verdictOf(heard)).toBe('identity-conflict')
    expect((await recordOf(heard)).because).toBe('P-7: XFCC is in its JSON form; set its format to TEXT')
    expect(verdictOf(await ask('names in XFCC', identity(own)))).toBe('allow')
  })
})

describe('a certificate that nobody verified', () => {
  it.each([
    {
      name: 'signed by itself',
      make: async () => {
        const leaf = { basicConstraints: { ca: false }, keyUsages: ['digitalSignature'] as const }
        return makeAuthority({ trustDomain: TRUST_DOMAIN, id: SUPPORT, ...leaf })
      }
    },
    {
      name: "signed by an authority with our trust domain's name",
      make: async () => issueSvid(await makeAuthority({ trustDomain: TRUST_DOMAIN }), { id: SUPPORT })
    }
  ])('names acme/support, $name: svid-untrusted', async ({ make }) => {
    const heard = await ask('any certificate', await make())
    expect(verdictOf(heard)).toBe('svid-untrusted')
    expect((await recordOf(heard)).caller).toBeUndefined()
    expect(verdictOf(await ask('any certificate', identity(own)))).toBe('allow')
  })
})

describe('a partner whose bundle is there', () => {
  const injected = () => {
    const more = `,By=${GATEWAY_ENVOY};Hash=${sha256(own.chain[0])};URI=${SUPPORT}`
    return identity(stack.issuer.issueOdd({ kind: 'uri-with-more', id: PARTNER, more }))
  }

  it.each([
    { listener: SHIPPED, want: 'svid-untrusted' },
    { listener: 'names in XFCC', want: 'identity-conflict' }
  ])('signs a URI that writes a second XFCC element, $listener: $want', async ({ listener, want }) => {
    const heard = await ask(listener, injected())
    expect(verdictOf(heard)).toBe(want)
    expect((await recordOf(heard)).caller).toBeUndefined()
    const guest = await ask(listener, identity(stack.issuer.issueX509(PARTNER)))
    expect(verdictOf(guest)).toBe('allow')
    expect((await recordOf(guest)).caller?.spiffe_id).toBe(PARTNER)
  })

  it('signs a second URI with our name in it: svid-untrusted', async () => {
    const two = stack.issuer.issueOdd({ kind: 'two-uri-sans', id: PARTNER, second: SUPPORT })
    expect(verdictOf(await ask(SHIPPED, identity(two)))).toBe('svid-untrusted')
  })
})

describe('an SVID that expires', () => {
  const keepAlive = () => ({ target: target(), headers: [['connection', 'keep-alive']] }) as const

  it('is refused on the connection and on the TLS session that it opened, where Envoy itself lets it pass', async () => {
    const brief = identity(stack.issuer.issueX509(SUPPORT, { notAfter: Date.now() + SHORT_MS }))
    const open = await handshake(SHIPPED, brief)
    const resumable = await handshake('resumption', brief)
    const lasting = await handshake('resumption', identity(own))
    const [ticket, lastingTicket] = [ticketOf(resumable), ticketOf(lasting)]
    for (const socket of [open, resumable, lasting]) expect(verdictOf(await http1On(socket, keepAlive()))).toBe('allow')
    await sleep(SHORT_MS)

    expect(verdictOf(await http1On(open, keepAlive()))).toBe('svid-expired')
    const resumed = await handshake('resumption', brief, ticket())
    expect(resumed.isSessionReused()).toBe(true)
    expect(verdictOf(await http1On(resumed, {}))).toBe('svid-expired')
    await expect(ask(SHIPPED, brief)).rejects.toThrow()

    // The same with an SVID that lives.
    const again = await handshake('resumption', identity(own), lastingTicket())
    expect(again.isSessionReused()).toBe(true)
    expect(verdictOf(await http1On(again, { target: target() }))).toBe('allow')
    for (const socket of [open, resumable, lasting]) socket.destroy()
  })
})

async function handshake(listener: string, who: Identity, session?: Buffer): Promise<TLSSocket> {
  const more = { ALPNProtocols: ['http/1.1'], ...(session === undefined ? {} : { session }) }
  const socket = connect(tlsOptions(stack.envoy.port(listener), who, more))
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
