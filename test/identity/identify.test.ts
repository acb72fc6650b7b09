import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { DenyReason } from '../../src/core/deny-reason.ts'
import type { Inbound } from '../../src/core/inbound.ts'
import type { TrustBundles } from '../../src/core/trust.ts'
import { type CallerCache, createCallerCache, identify } from '../../src/identity/identify.ts'
import { bundlesOf, envoyPem, newKey, type Svid, xfccFor } from '../support/ca.ts'
import { authority, HOUR, ID, MINUTE, mid, NOW, partner, root, SECOND, svid, TRUST } from '../support/chains.ts'

const HEADER = 'x-forwarded-client-cert'
const ADMIN = 'spiffe://vec.test/admin'
const plain = await svid(root)
const deep = await svid(mid)
/** A root with the name of ours, and another key. */
const strange = await authority({ name: 'root' })
const stranger = await svid(strange)

interface Asked {
  readonly certificate?: string | undefined
  readonly xfcc?: string
  readonly principal?: string
  readonly authorization?: string
}

function inbound({ certificate, xfcc, principal, authorization }: Asked): Inbound {
  const headers = new Map<string, string>()
  if (xfcc !== undefined) headers.set(HEADER, xfcc)
  if (authorization !== undefined) headers.set('authorization', authorization)
  return {
    method: 'GET',
    target: '/',
    authority: 'chroma.test',
    headers,
    body: undefined,
    peerCertificate: certificate,
    peerPrincipal: principal,
    httpId: '1',
    strippedCredentials: [],
    grpc: false
  }
}

const ask = (asked: Asked, cache = createCallerCache(10), trust: TrustBundles = TRUST, now = NOW) =>
  identify(inbound(asked), trust, now, cache)

/** The ID, or the kind of denial and the rule that it stands on. */
function told(asked: Asked, cache?: CallerCache, trust?: TrustBundles, now?: number): string {
  const result = ask(asked, cache, trust, now)
  return result.ok ? result.value.id.text : short(result.reason)
}

const short = (reason: DenyReason): string => `${reason.kind} ${reason.because.slice(0, reason.because.indexOf(':'))}`
const pemOf = (of: Svid): string => envoyPem(of.der)
/** As Envoy writes it, with pieces exchanged. */
const xfcc = (of: Svid, ...changes: (readonly [from: string | RegExp, to: string])[]): string =>
  changes.reduce((text, [from, to]) => text.replace(from, to), xfccFor(of))
const hashOf = (of: Svid): string => createHash('sha256').update(of.der).digest('hex')

describe('who is believed', () => {
  it('P-1 a caller is what the certificate proves', () => {
    expect(ask({ certificate: pemOf(plain) })).toEqual({
      ok: true,
      value: {
        id: { trustDomain: 'vec.test', path: '/ns/acme/agent/support', text: ID },
        evidence: 'x509-svid',
        notAfter: NOW + HOUR,
        issuedAt: expect.any(Number),
        serial: expect.stringMatching(/^[0-9a-f]+$/),
        provenAt: NOW,
        tokenId: undefined,
        carrier: undefined,
        subject: undefined
      }
    })
  })

  it.each([
    { name: 'P-1 a certificate of the mesh', asked: { certificate: pemOf(plain) }, want: ID },
    { name: 'P-1 the same ID in a certificate of a stranger', asked: { certificate: pemOf(stranger) }, want: 'svid-untrusted X-14' },
    {
      name: 'P-1 a stranger, whom every name vouches for',
      asked: { certificate: pemOf(stranger), xfcc: xfccFor(stranger), principal: ID },
      want: 'svid-untrusted X-14'
    },
    { name: 'P-1 two blocks in source.certificate', asked: { certificate: envoyPem(plain.der, stranger.der) }, want: 'svid-untrusted P-1' },
    { name: 'P-1 source.certificate that is no PEM', asked: { certificate: 'MIIB' }, want: 'svid-untrusted P-1' },
    {
      name: 'P-1 source.certificate that is no certificate',
      asked: { certificate: envoyPem(Uint8Array.of(0x30, 0)) },
      want: 'svid-untrusted X-27'
    },
    { name: 'P-2 a principal that is the ID', asked: { certificate: pemOf(plain), principal: ID }, want: ID },
    { name: 'P-2 a principal that is another ID', asked: { certificate: pemOf(plain), principal: ADMIN }, want: 'identity-conflict P-2' },
    {
      name: 'P-2 a principal in other letters',
      asked: { certificate: pemOf(plain), principal: ID.toUpperCase() },
      want: 'identity-conflict P-2'
    },
    {
      name: 'P-2 a principal taken from the subject',
      asked: { certificate: pemOf(plain), principal: 'O=SPIRE' },
      want: 'identity-conflict P-2'
    },
    { name: 'P-9 nothing came', asked: {}, want: 'no-identity P-9' },
    { name: 'P-9 a principal without a certificate', asked: { principal: ADMIN }, want: 'no-identity P-9' },
    {
      name: 'P-9 a bearer token alone identifies nobody',
      asked: { authorization: 'Bearer eyJhbGciOiJFUzI1NiJ9.e30.c2ln' },
      want: 'no-identity P-9'
    },
    { name: 'P-6 XFCC without a certificate', asked: { xfcc: xfccFor(plain) }, want: 'identity-conflict P-6' },
    { name: 'P-6 an empty XFCC without a certificate', asked: { xfcc: '' }, want: 'identity-conflict P-6' }
  ])('$name: $want', ({ asked, want }) => {
    expect(told(asked)).toBe(want)
  })

  it('P-2 a principal that a DNS SAN gave is not believed, though the certificate verifies', async () => {
    const dns = await svid(root, { dns: [ADMIN] })
    expect(told({ certificate: pemOf(dns), principal: ADMIN })).toBe('identity-conflict P-2')
    expect(told({ certificate: pemOf(dns), principal: ID })).toBe(ID)
  })

  it('P-1 the reason names the rule and what was found, for the audit record', async () => {
    const two = await svid(root, { uris: [ID, ADMIN] })
    expect(ask({ certificate: pemOf(two) })).toEqual({ ok: false, reason: { kind: 'svid-untrusted', because: 'X-1: 2 URI SANs' } })
  })
})

describe('what XFCC adds', () => {
  const injected = 'spiffe://partner.test/x,By=spiffe://vec.test/gw;Hash=0;URI=spiffe://vec.test/admin'
  it.each([
    { name: 'P-3 the intermediate in Chain', of: deep, text: xfcc(deep), want: ID },
    {
      name: 'P-3 without Chain the intermediate is missing',
      of: deep,
      text: xfcc(deep, [/Chain="[^"]*";/, '']),
      want: 'svid-untrusted X-19'
    },
    { name: 'P-3 no XFCC at all', of: deep, text: undefined, want: 'svid-untrusted X-19' },
    { name: 'P-3 a leaf of the root needs no Chain', of: plain, text: xfcc(plain, [/Chain="[^"]*";/, '']), want: ID },
    {
      name: 'P-3 By, Subject and DNS say what they like',
      of: plain,
      text: `${xfcc(plain, ['O=SPIRE', 'CN=admin'], ['gateway', 'admin'])};DNS=${ADMIN}`,
      want: ID
    },
    {
      name: 'P-3 a root of its own in the Chain of a stranger',
      of: stranger,
      text: xfcc({ ...stranger, chain: [...stranger.chain, strange.der] }),
      want: 'svid-untrusted X-14'
    },
    {
      name: 'P-4 the Hash of another certificate',
      of: plain,
      text: xfcc(plain, [hashOf(plain), hashOf(deep)]),
      want: 'identity-conflict P-4'
    },
    {
      name: 'P-4 the Hash in upper case',
      of: plain,
      text: xfcc(plain, [hashOf(plain), hashOf(plain).toUpperCase()]),
      want: 'identity-conflict P-4'
    },
    { name: 'P-4 no Hash', of: plain, text: xfcc(plain, [/Hash=[^;]*;/, '']), want: 'identity-conflict P-4' },
    { name: 'P-4 no Cert', of: plain, text: xfcc(plain, [/Cert="[^"]*";/, '']), want: ID },
    {
      name: 'P-4 the Cert of another certificate',
      of: plain,
      text: xfcc(plain, [/Cert="[^"]*"/, `Cert="${pemOf(deep)}"`]),
      want: 'identity-conflict P-4'
    },
    { name: 'P-4 a Cert that is no PEM', of: plain, text: xfcc(plain, [/Cert="[^"]*"/, 'Cert="x"']), want: 'identity-conflict P-4' },
    {
      name: 'P-4 a Chain that begins with another certificate',
      of: plain,
      text: xfcc(plain, [/Chain="[^"]*"/, `Chain="${envoyPem(root.der, plain.der)}"`]),
      want: 'identity-conflict P-4'
    },
    { name: 'P-4 a URI that is not the ID', of: plain, text: xfcc(plain, [`URI=${ID}`, `URI=${ADMIN}`]), want: 'identity-conflict P-4' },
    {
      name: 'P-4 a second URI, as a DNS SAN can write it',
      of: plain,
      text: `${xfcc(plain)};DNS=x;URI=${ADMIN}`,
      want: 'identity-conflict P-4'
    },
    { name: 'P-4 no URI', of: plain, text: xfcc(plain, [`;URI=${ID}`, '']), want: ID },
    {
      name: 'P-5 an element of the attacker before that of Envoy',
      of: plain,
      text: `URI=${ADMIN},${xfcc(plain)}`,
      want: 'identity-conflict P-5'
    },
    {
      name: 'P-5 an element that a URI SAN has written',
      of: plain,
      text: xfcc(plain, [`URI=${ID}`, `URI=${injected}`]),
      want: 'identity-conflict P-5'
    },
    { name: 'P-7 a pair that Envoy does not write', of: plain, text: `${xfcc(plain)};Role=admin`, want: 'identity-conflict P-7' },
    { name: 'P-7 the JSON form', of: plain, text: `[{"hash":"${hashOf(plain)}"}]`, want: 'identity-conflict P-7' },
    { name: 'P-7 an empty header', of: plain, text: '', want: 'identity-conflict P-7' },
    {
      name: 'X-25 eight certificates in Chain',
      of: deep,
      text: xfcc({ ...deep, chain: [...deep.chain, ...Array(6).fill(root.der)] }),
      want: ID
    },
    {
      name: 'X-25 nine certificates in Chain',
      of: deep,
      text: xfcc({ ...deep, chain: [...deep.chain, ...Array(7).fill(root.der)] }),
      want: 'svid-untrusted X-25'
    },
    { name: 'X-25 a Chain that is no PEM', of: plain, text: xfcc(plain, [/Chain="[^"]*"/, 'Chain="x"']), want: 'svid-untrusted X-25' }
  ])('$name: $want', ({ of, text, want }) => {
    expect(told({ certificate: pemOf(of), ...(text === undefined ? {} : { xfcc: text }) })).toBe(want)
  })
})

describe('what is remembered', () => {
  const asked = { certificate: pemOf(plain), xfcc: xfcc(plain), principal: ID }

  it('P-10 the second time the same verdict comes back, without work', () => {
    const cache = createCallerCache(10)
    const verdict = ask(asked, cache)
    expect(ask(asked, cache)).toBe(verdict)
    expect(ask({ ...asked, principal: ADMIN }, cache)).toMatchObject({ ok: false, reason: { kind: 'identity-conflict' } })
    expect(ask(asked, cache)).toBe(verdict)
  })

  it('P-10 other bytes are judged anew: another XFCC, another certificate', () => {
    const cache = createCallerCache(10)
    expect(told({ certificate: pemOf(deep), xfcc: xfcc(deep) }, cache)).toBe(ID)
    expect(told({ certificate: pemOf(deep) }, cache)).toBe('svid-untrusted X-19')
    expect(told({ certificate: pemOf(deep), xfcc: `URI=${ADMIN},${xfcc(deep)}` }, cache)).toBe('identity-conflict P-5')
    expect(told({ certificate: pemOf(deep), xfcc: xfcc(plain) }, cache)).toBe('identity-conflict P-4')
    expect(told({ certificate: pemOf(stranger), xfcc: xfcc(deep) }, cache)).toBe('identity-conflict P-4')
    expect(told({ certificate: pemOf(deep), xfcc: xfcc(deep) }, cache)).toBe(ID)
  })

  it('P-10 other bundles end what was known, for better and for worse', () => {
    const cache = createCallerCache(10)
    expect(told(asked, cache)).toBe(ID)
    expect(told(asked, cache, { ...bundlesOf([partner]), generation: 2 })).toBe('svid-untrusted X-21')
    expect(told(asked, cache, { ...TRUST, generation: 3 })).toBe(ID)
  })

  it('P-10 a snapshot that was only confirmed again ends nothing', () => {
    const cache = createCallerCache(10)
    const verdict = ask(asked, cache)
    expect(ask(asked, cache, { ...TRUST, receivedAt: NOW + HOUR })).toBe(verdict)
  })

  it('X-29 a remembered caller expires to the millisecond', () => {
    const cache = createCallerCache(10)
    expect(told(asked, cache)).toBe(ID)
    expect(told(asked, cache, TRUST, NOW + HOUR)).toBe(ID)
    expect(told(asked, cache, TRUST, NOW + HOUR + 1)).toBe('svid-expired X-15')
  })

  it('X-29 a remembered caller is not known before its certificate begins', () => {
    const cache = createCallerCache(10)
    expect(told(asked, cache)).toBe(ID)
    expect(told(asked, cache, TRUST, NOW - MINUTE - 5 * SECOND)).toBe(ID)
    expect(told(asked, cache, TRUST, NOW - MINUTE - 5 * SECOND - 1)).toBe('svid-untrusted X-15')
  })

  it('P-10 an intermediate that ends first ends the caller', async () => {
    const short = await svid(await authority({ name: 'short', parent: root, notAfter: NOW + MINUTE }))
    const cache = createCallerCache(10)
    const below = { certificate: pemOf(short), xfcc: xfccFor(short) }
    expect(told(below, cache, TRUST, NOW + MINUTE)).toBe(ID)
    expect(told(below, cache, TRUST, NOW + MINUTE + 1)).toBe('svid-untrusted X-15')
  })

  it('P-10 a refusal is remembered for a second, and then judged anew', async () => {
    const early = { certificate: pemOf(await svid(root, { notBefore: NOW + 6 * SECOND })) }
    const cache = createCallerCache(10)
    const refusal = ask(early, cache)
    expect(refusal).toMatchObject({ ok: false, reason: { kind: 'svid-untrusted' } })
    expect(ask(early, cache, TRUST, NOW + SECOND)).toBe(refusal)
    expect(told(early, cache, TRUST, NOW + SECOND + 1)).toBe(ID)
  })

  it('P-10 no more callers are kept than were asked for, the oldest going first', async () => {
    const key = newKey('P-256')
    const callers = await Promise.all([1, 2, 3, 4].map((one) => svid(root, { id: `spiffe://vec.test/${one}`, key })))
    const cache = createCallerCache(3)
    for (const one of callers) expect(told({ certificate: pemOf(one) }, cache)).toBe(one.id)
    expect([...cache.proven.keys()]).toEqual(callers.slice(1).map(pemOf))
  })

  it('P-10 strangers have room of their own, and cannot push callers out', () => {
    const cache = createCallerCache(10)
    const verdict = ask(asked, cache)
    for (let one = 0; one < 1_000; one++) expect(ask({ certificate: `no certificate ${one}` }, cache).ok).toBe(false)
    expect(cache.refused.size).toBeLessThanOrEqual(256)
    expect(ask(asked, cache)).toBe(verdict)
  })

  it('P-10 one certificate with ever new XFCC texts fills nothing', () => {
    const cache = createCallerCache(10)
    for (let one = 0; one < 20; one++) ask({ ...asked, xfcc: `${xfcc(plain)};DNS=${one}.test` }, cache)
    expect(cache.proven.size).toBe(1)
    expect(cache.proven.get(asked.certificate)?.length).toBe(4)
  })
})

describe('P-1 nobody else', () => {
  it('P-1 makes a Caller: identify.ts, identify-connection.ts and identify-call.ts, and recorded-caller.ts for commands that ask what would be', () => {
    const source = new URL('../../src/', import.meta.url)
    const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))
    const makers = files.filter((file) => /\bas (?:unknown as )?Caller\b/.test(readFileSync(new URL(file, source), 'utf8')))
    expect(makers.sort()).toEqual([
      'identity/identify-call.ts',
      'identity/identify-connection.ts',
      'identity/identify.ts',
      'identity/recorded-caller.ts'
    ])
    const supposing = files.filter((file) => readFileSync(new URL(file, source), 'utf8').includes('/recorded-caller.ts'))
    expect(supposing.sort()).toEqual(['admin/policy-test-cases.ts', 'admin/replay-facts.ts'])
  })
})
