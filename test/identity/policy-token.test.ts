import { createHmac, createPublicKey } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { DigestedRequest } from '../../src/core/request-digest.ts'
import { type PolicyTokenCheck, type PolicyTokenKind, verifyPolicyToken } from '../../src/identity/policy-token.ts'
import { createPolicyIssuerCache } from '../../src/identity/policy-token-issuer.ts'
import { bundlesOf, newKey } from '../support/ca.ts'
import { name } from '../support/der-write.ts'
import { callerOf } from '../support/grants.ts'
import { base64Url, JWT_NOW, makeToken, NOW_S, WORKLOAD } from '../support/jwt.ts'
import {
  CHECK,
  digestOf,
  EGRESS,
  egress,
  egress384,
  egressRsa,
  egressSvid,
  goodPolicyClaims,
  INDEX,
  type PolicyTokenSpec,
  partner,
  policyHeader,
  policyToken,
  REQUEST,
  root,
  vouches,
  x5cOf
} from '../support/policy-token.ts'

const OTHER = 'spiffe://vec.test/vecauthz/other'
const second = await egressSvid()
const elsewhere = await egressSvid({ id: OTHER })
const PARTNER = 'spiffe://partner.test/vecauthz/egress'
const partnerEgress = await egressSvid({ id: PARTNER }, partner)

function judge(token: string | undefined, change: Partial<PolicyTokenCheck> = {}, cache = createPolicyIssuerCache()) {
  return verifyPolicyToken(token, { ...CHECK, ...change }, cache)
}

interface Row {
  /** The rule number first: the one that refuses, where it is refused. */
  readonly name: string
  readonly token: string | undefined
  readonly check?: Partial<PolicyTokenCheck>
  readonly want: 'believed' | PolicyTokenKind
}

const INVALID = 'token-invalid'
const header = (name: string, members: Record<string, unknown>, want: Row['want'] = INVALID): Row => ({
  name,
  token: policyToken({ header: members }),
  want
})
const claim = (name: string, members: Record<string, unknown>, want: Row['want'] = INVALID): Row => ({
  name,
  token: policyToken({ claims: members }),
  want
})
const signedBy = (svid: typeof egress, spec: PolicyTokenSpec = {}): string => policyToken({ svid, ...spec })
/** The same token with something else in its first, second or third part. */
const exchanged = (part: 0 | 1 | 2, text: string, token = policyToken()): string => token.split('.').with(part, text).join('.')
const partOf = (token: string, part: 0 | 1 | 2): string => token.split('.')[part] ?? ''
const listing = (...ids: string[]): Partial<PolicyTokenCheck> => ({ issuers: new Map(ids.map((id) => [id, vouches()])) })
const asked = (change: Partial<DigestedRequest>): Partial<PolicyTokenCheck> => ({ request: { ...REQUEST, ...change } })
const withHeaders = (change: Readonly<Record<string, string | undefined>>): Partial<PolicyTokenCheck> => {
  const merged = { ...Object.fromEntries(REQUEST.headers), ...change }
  return asked({ headers: new Map(Object.entries(merged).filter((pair): pair is [string, string] => pair[1] !== undefined)) })
}

/** Signed with the bytes that everybody knows: the issuer's public key, in each form that a library could take for a secret. */
function sharedSecret(form: 'pem' | 'der'): string {
  const spki = createPublicKey(egress.key).export({ type: 'spki', format: form } as { type: 'spki'; format: 'pem' })
  const token = policyToken({ header: { alg: 'HS256' } })
  const signed = token.slice(0, token.lastIndexOf('.'))
  return `${signed}.${createHmac('sha256', spki).update(signed).digest('base64url')}`
}

const FORM: readonly Row[] = [
  { name: 'T-1 no token', token: undefined, want: 'token-missing' },
  { name: 'T-1 an empty text', token: '', want: INVALID },
  { name: 'T-1 a good token', token: policyToken(), want: 'believed' },
  { name: 'T-1 two tokens joined by a comma', token: `${policyToken()}, ${policyToken()}`, want: INVALID },
  { name: 'T-1 two tokens joined by a dot', token: `${policyToken()}.${policyToken()}`, want: INVALID },
  { name: 'T-1 a space behind it', token: `${policyToken()} `, want: INVALID },
  { name: 'T-1 a padded part', token: `${policyToken()}==`, want: INVALID },
  { name: 'T-1 a stripped signature', token: exchanged(2, ''), want: INVALID },
  { name: 'T-1 no signature and no dot for it', token: policyToken().split('.').slice(0, 2).join('.'), want: INVALID },
  { name: 'T-1 more than 16 KiB', token: exchanged(2, 'A'.repeat(16 * 1024)), want: INVALID },
  { name: 'T-1 a header that is not base64url', token: exchanged(0, '{}'), want: INVALID },
  { name: 'T-1 a claim twice', token: policyToken({ claims: `{"aud":"x",${JSON.stringify(goodPolicyClaims).slice(1)}` }), want: INVALID },
  { name: 'T-1 alg twice', token: policyToken({ header: `{"alg":"none",${JSON.stringify(policyHeader()).slice(1)}` }), want: INVALID },
  { name: 'T-1 claims that are an array', token: policyToken({ claims: '[]' }), want: INVALID },
  { name: 'T-1 a header that is an array', token: policyToken({ header: '[]' }), want: INVALID },
  claim('T-1 claims that are not flat', { policy: { id: 'f00d' } })
]

const HEADERS: readonly Row[] = [
  { name: 'T-2 ES384 with a key on P-384', token: signedBy(egress384, { alg: 'ES384' }), want: 'believed' },
  { name: 'T-2 RS256', token: signedBy(egressRsa, { alg: 'RS256' }), want: 'believed' },
  { name: 'T-2 PS256', token: signedBy(egressRsa, { alg: 'PS256' }), want: 'believed' },
  { name: 'T-2 RS512, by a key that could', token: signedBy(egressRsa, { alg: 'RS512' }), want: INVALID },
  { name: "T-2 a shared secret, that of the certificate's public key as PEM", token: sharedSecret('pem'), want: INVALID },
  { name: "T-2 a shared secret, that of the certificate's public key as DER", token: sharedSecret('der'), want: INVALID },
  header('T-2 none, with a signature', { alg: 'none' }),
  {
    name: 'T-2 none, with one character for a signature',
    token: exchanged(2, 'AA', policyToken({ header: { alg: 'none' } })),
    want: INVALID
  },
  header('T-2 an alg in lower case', { alg: 'es256' }),
  header('T-2 no alg', { alg: undefined }),
  header('T-2 an alg of an object', { alg: ['ES256'] }),
  header('T-3 a JWT-SVID', { typ: 'JWT' }),
  header('T-3 no typ', { typ: undefined }),
  header('T-3 the type in another case', { typ: 'Vecauthz-Policy+JWT' }),
  header('T-4 a kid', { kid: 'k' }),
  header('T-4 a key of its own', { jwk: { kty: 'EC' } }),
  header('T-4 the address of keys', { jku: 'https://evil.test/keys' }),
  header('T-4 the address of certificates', { x5u: 'https://evil.test/chain' }),
  header('T-4 an extension that must be known', { crit: ['b64'], b64: true }),
  header('T-5 no x5c', { x5c: undefined }),
  header('T-5 an empty x5c', { x5c: [] }),
  header('T-5 one certificate as a text', { x5c: x5cOf(egress.chain)[0] }),
  header('T-5 nine certificates', { x5c: x5cOf(Array.from({ length: 9 }, () => egress.der)) }),
  header('T-5 the other alphabet', { x5c: egress.chain.map((der) => Buffer.from(der).toString('base64url')) }),
  header('T-5 a line break in a certificate', { x5c: x5cOf(egress.chain).map((one) => `${one.slice(0, 64)}\n${one.slice(64)}`) }),
  header('T-5 a number among them', { x5c: [...x5cOf(egress.chain), 7] })
]

const CHAINS: readonly Row[] = [
  header('T-6 a certificate behind the chain that nobody asked for', { x5c: x5cOf([...egress.chain, partner.der]) }, 'believed'),
  header('T-6 without the intermediate', { x5c: x5cOf([egress.der]) }),
  header('T-6 X-27 an empty certificate', { x5c: [''] }),
  header('T-6 X-11 the intermediate first, which is a CA', { x5c: x5cOf([...egress.chain].reverse()) }),
  {
    name: 'T-6 X-6 a leaf that is a CA',
    token: signedBy(await egressSvid({ basicConstraints: { ca: true } })),
    want: INVALID
  },
  { name: 'T-6 X-12 a leaf that a leaf signed', token: signedBy(await egressSvid({}, { ...root, ...leafAsAuthority() })), want: INVALID },
  { name: 'T-6 X-21 a trust domain without a bundle', token: policyToken(), check: { trust: bundlesOf([partner]) }, want: INVALID },
  { name: 'T-6 X-15 an expired SVID', token: signedBy(await egressSvid({ notAfter: JWT_NOW - 1_000 })), want: INVALID },
  { name: 'T-6 X-15 an SVID of tomorrow', token: signedBy(await egressSvid({ notBefore: JWT_NOW + 60_000 })), want: INVALID },
  { name: "T-6 X-20 another trust domain's SVID for our ID", token: signedBy(await egressSvid({}, partner)), want: INVALID },
  { name: 'T-7 a swapped signature', token: exchanged(2, partOf(policyToken({ svid: second }), 2)), want: INVALID },
  { name: 'T-7 the signature of another token', token: exchanged(2, partOf(policyToken({ claims: { act: 'read' } }), 2)), want: INVALID },
  { name: 'T-7 a bit of the signature changed', token: policyToken({ signature: flipped }), want: INVALID },
  { name: 'T-7 a signature of zeros', token: policyToken({ signature: () => Buffer.alloc(64) }), want: INVALID },
  { name: 'T-7 a signature in DER', token: policyToken({ signedAs: 'DER' }), want: INVALID },
  {
    name: 'T-7 other claims under the signature',
    token: exchanged(1, partOf(policyToken({ claims: { tenant: 'globex' } }), 1)),
    want: INVALID
  },
  header('T-7 the chain of another SVID of the same issuer', { x5c: x5cOf(second.chain) }),
  header('T-7 X-25 the leaf of another SVID in front', { x5c: x5cOf([second.der, ...egress.chain]) }),
  { name: 'T-7 ES256 with a key on P-384', token: signedBy(egress384, { alg: 'ES256', signedAs: 'ES256' }), want: INVALID },
  { name: 'T-7 RS256 with a key on P-256', token: policyToken({ header: { alg: 'RS256' } }), want: INVALID },
  { name: 'T-7 a signature of PS256 under RS256', token: signedBy(egressRsa, { alg: 'RS256', signedAs: 'PS256' }), want: INVALID },
  {
    name: 'T-7 a key of a kind that signs no policy tokens',
    token: signedBy(await egressSvid({ key: newKey('Ed25519') }), { signature: () => Buffer.alloc(64), signedAs: 'EdDSA' }),
    want: INVALID
  },
  {
    name: 'T-7 a JWT-SVID of the caller',
    token: makeToken({ header: { ...policyHeader(), kid: undefined }, claims: goodPolicyClaims }),
    want: INVALID
  },
  { name: 'T-8 the ID of another listed issuer', token: signedBy(elsewhere), check: listing(EGRESS, OTHER), want: INVALID },
  { name: 'T-8 its own ID', token: signedBy(elsewhere, { claims: { iss: OTHER } }), check: listing(EGRESS, OTHER), want: 'believed' },
  { name: 'T-9 nobody is listed', token: policyToken(), check: listing(), want: INVALID },
  { name: 'T-9 somebody else is listed', token: policyToken(), check: listing(OTHER), want: INVALID },
  { name: 'T-9 the trust domain is listed', token: policyToken(), check: listing('spiffe://vec.test'), want: INVALID },
  { name: 'T-9 a partner that is not listed', token: signedBy(partnerEgress, { claims: { iss: PARTNER } }), want: INVALID },
  {
    name: 'T-9 a partner that is listed',
    token: signedBy(partnerEgress, { claims: { iss: PARTNER } }),
    check: listing(PARTNER),
    want: 'believed'
  }
]

const CALL: readonly Row[] = [
  claim('T-10 another audience, which its issuer may vouch to as little', { aud: 'other.vec.test' }),
  {
    name: 'T-10 another audience that its issuer may vouch to',
    token: policyToken({ claims: { aud: 'other.vec.test' } }),
    check: { issuers: new Map([[EGRESS, vouches({ audiences: [INDEX, 'other.vec.test'] })]]) },
    want: 'token-mismatch'
  },
  {
    name: 'T-10 an issuer that may not vouch to us',
    token: policyToken(),
    check: { issuers: new Map([[EGRESS, vouches({ audiences: ['other.vec.test'] })]]) },
    want: INVALID
  },
  { name: 'T-10 an index without a name', token: policyToken(), check: { audience: '' }, want: 'token-mismatch' },
  { name: 'T-11 another peer', token: policyToken(), check: { peer: callerOf(`${WORKLOAD}2`).id }, want: 'token-mismatch' },
  { name: 'T-11 egress itself as peer', token: policyToken(), check: { peer: callerOf(EGRESS).id }, want: 'token-mismatch' },
  claim('T-12 another tenant that its issuer may vouch for', { tenant: 'globex' }, 'believed'),
  claim('T-12 a tenant that its issuer may not vouch for', { tenant: 'initech' }),
  claim('T-12 the tenant in another case', { tenant: 'Acme' }),
  claim('T-12 no tenant', { tenant: undefined }),
  claim('T-12 an empty tenant', { tenant: '' }),
  claim('T-12 a tenant that is an array', { tenant: 7 }),
  claim('T-12 a probe with a tenant', { act: 'probe' }),
  {
    name: 'T-12 a probe',
    token: policyToken({ claims: { act: 'probe', tenant: undefined } }),
    check: { operation: 'probe' },
    want: 'believed'
  },
  {
    name: 'T-13 another body',
    token: policyToken(),
    check: asked({ body: Buffer.from('{"collectionName":"docs","limit":6}') }),
    want: 'token-mismatch'
  },
  { name: 'T-13 no body', token: policyToken(), check: asked({ body: undefined }), want: 'token-mismatch' },
  {
    name: 'T-13 another path',
    token: policyToken(),
    check: asked({ target: '/v2/vectordb/entities/delete?trace=1' }),
    want: 'token-mismatch'
  },
  {
    name: 'T-13 another query',
    token: policyToken(),
    check: asked({ target: '/v2/vectordb/entities/search?trace=2' }),
    want: 'token-mismatch'
  },
  { name: 'T-13 another method', token: policyToken(), check: asked({ method: 'PUT' }), want: 'token-mismatch' },
  { name: 'T-13 another authority', token: policyToken(), check: asked({ authority: 'qdrant.vec.test' }), want: 'token-mismatch' },
  { name: 'T-13 another dbname', token: policyToken(), check: withHeaders({ dbname: 'globex' }), want: 'token-mismatch' },
  { name: 'T-13 no dbname', token: policyToken(), check: withHeaders({ dbname: undefined }), want: 'token-mismatch' },
  {
    name: 'T-13 another content type',
    token: policyToken(),
    check: withHeaders({ 'content-type': 'application/grpc' }),
    want: 'token-mismatch'
  },
  { name: 'T-13 a header that nobody reads', token: policyToken(), check: withHeaders({ 'user-agent': 'x' }), want: 'believed' },
  { name: 'T-14 a search, used to delete', token: policyToken(), check: { operation: 'delete' }, want: 'token-mismatch' },
  { name: 'T-14 a call that was not read yet', token: policyToken(), check: { operation: undefined }, want: 'believed' }
]

const TIMES: readonly Row[] = [
  claim('T-15 no end', { exp: undefined }),
  claim('T-15 no beginning', { iat: undefined }),
  claim('T-15 an end that is a text', { exp: String(NOW_S + 30) }),
  claim('T-15 half a second', { exp: NOW_S + 29.5 }),
  claim('T-15 an end with an exponent', { exp: 4e99 }),
  claim('T-15 31 seconds', { exp: NOW_S + 31 }),
  claim('T-15 30 seconds', { iat: NOW_S - 1, exp: NOW_S + 29 }, 'believed'),
  claim('T-15 no time at all', { exp: NOW_S }),
  claim('T-15 an end before its beginning', { iat: NOW_S + 2, exp: NOW_S + 1 }),
  { name: 'T-15 beginning and end at a number that a double cannot tell apart', token: policyToken({ claims: huge() }), want: INVALID },
  { name: 'T-16 the last millisecond of the leeway', token: policyToken(), check: { now: JWT_NOW + 34_999 }, want: 'believed' },
  { name: 'T-16 past the leeway', token: policyToken(), check: { now: JWT_NOW + 35_000 }, want: 'token-expired' },
  {
    name: 'T-16 past its end, without a leeway',
    token: policyToken(),
    check: { now: JWT_NOW + 30_000, leewayMs: 0 },
    want: 'token-expired'
  },
  {
    name: 'T-16 a leeway of a minute is five seconds',
    token: policyToken(),
    check: { now: JWT_NOW + 35_000, leewayMs: 60_000 },
    want: 'token-expired'
  },
  {
    name: 'T-16 a leeway below nothing is nothing',
    token: policyToken(),
    check: { now: JWT_NOW + 29_999, leewayMs: -60_000 },
    want: 'believed'
  },
  { name: 'T-17 the first millisecond of the leeway', token: policyToken(), check: { now: JWT_NOW - 5_000 }, want: 'believed' },
  { name: 'T-17 before the leeway', token: policyToken(), check: { now: JWT_NOW - 5_001 }, want: INVALID }
]

const CLAIMS: readonly Row[] = [
  claim('T-18 no purpose', { purpose: undefined }, 'believed'),
  claim('T-18 a purpose that is a number', { purpose: 7 }),
  claim('T-18 a purpose with a line break', { purpose: 'a\nb' }),
  claim('T-18 a claim of a newer version', { judged: 'deny' }),
  claim('T-18 a beginning of another kind', { nbf: NOW_S }),
  claim('T-18 a key that it is bound to', { cnf: 'x' }),
  ...['iss', 'sub', 'aud', 'act', 'dig', 'policy', 'jti'].map((name) => claim(`T-18 no ${name}`, { [name]: undefined })),
  ...['iss', 'sub', 'aud', 'act', 'dig', 'policy', 'jti'].map((name) => claim(`T-18 ${name} that is a number`, { [name]: 7 })),
  claim('T-18 an operation of an object', { act: 'constructor' }),
  claim('T-18 an operation in another case', { act: 'Search' }),
  claim('T-18 a digest in hex', { dig: Buffer.from(digestOf(REQUEST), 'base64url').toString('hex') }),
  claim('T-18 a digest with padding', { dig: `${digestOf(REQUEST)}=` }),
  claim('T-18 an id of 21 characters', { jti: 'A'.repeat(21) }),
  claim('T-18 an id of 64 characters', { jti: 'A'.repeat(64) }, 'believed'),
  claim('T-18 an id of 65 characters', { jti: 'A'.repeat(65) })
]

function flipped(made: Buffer): Buffer {
  const copy = Buffer.from(made)
  copy[5] = (copy[5] ?? 0) ^ 1
  return copy
}

/** As if the SVID of egress were a CA. */
function leafAsAuthority() {
  return { key: egress.key, chain: egress.chain, subject: name([['2.5.4.10', 'SPIRE']]) }
}

function huge(): string {
  const digits = `1${'0'.repeat(30)}`
  return JSON.stringify(goodPolicyClaims).replace(`"iat":${NOW_S},"exp":${NOW_S + 30}`, `"iat":${digits},"exp":${digits.slice(0, -1)}9`)
}

describe('a policy token', () => {
  it.each([...FORM, ...HEADERS, ...CHAINS, ...CALL, ...TIMES, ...CLAIMS])('$name: $want', ({ name, token, check, want }) => {
    const verdict = judge(token, check)
    if (verdict.ok) expect(want).toBe('believed')
    else {
      expect(verdict).toMatchObject({ rule: name.split(' ')[0], kind: want })
      expect(verdict.detail).toMatch(/^[\x20-\x7e]{1,600}$/)
    }
  })

  it('T-18 says what it proves, and nothing else', () => {
    expect(judge(policyToken())).toEqual({
      ok: true,
      token: {
        issuer: callerOf(EGRESS).id,
        issuerSerial: expect.stringMatching(/^[0-9a-f]+$/),
        tenant: 'acme',
        purpose: 'inference',
        act: 'search',
        digest: digestOf(REQUEST),
        policy: 'f00d',
        tokenId: 'AAAAAAAAAAAAAAAAAAAAAA',
        until: JWT_NOW + 35_000
      }
    })
  })

  it('T-16 T-7 T-13 is expired only when nothing else is wrong with it', () => {
    const late = { now: JWT_NOW + 60_000 }
    expect(judge(policyToken(), late)).toMatchObject({ rule: 'T-16', kind: 'token-expired' })
    expect(judge(policyToken({ signature: flipped }), late)).toMatchObject({ rule: 'T-7', kind: INVALID })
    expect(judge(policyToken(), { ...late, ...asked({ method: 'PUT' }) })).toMatchObject({ rule: 'T-13', kind: 'token-mismatch' })
  })

  it('T-17 a clock that is no number refuses', () =>
    expect(judge(policyToken(), { now: Number.NaN })).toMatchObject({ ok: false, kind: INVALID }))

  it('T-16 T-17 a leeway that is no number refuses', () =>
    expect(judge(policyToken(), { leewayMs: Number.NaN })).toMatchObject({ ok: false, kind: INVALID }))

  it('T-13 any byte of the request changed is another request (property)', () => {
    const token = policyToken()
    const cache = createPolicyIssuerCache()
    const parts = [
      ['method', (text: string) => asked({ method: text }), REQUEST.method],
      ['authority', (text: string) => asked({ authority: text }), REQUEST.authority],
      ['target', (text: string) => asked({ target: text }), REQUEST.target],
      ['content-type', (text: string) => withHeaders({ 'content-type': text }), REQUEST.headers.get('content-type') ?? ''],
      ['dbname', (text: string) => withHeaders({ dbname: text }), REQUEST.headers.get('dbname') ?? ''],
      ['body', (text: string) => asked({ body: Buffer.from(text, 'latin1') }), Buffer.from(REQUEST.body ?? []).toString('latin1')]
    ] as const
    fc.assert(
      fc.property(fc.constantFrom(...parts), fc.nat(), fc.integer({ min: 1, max: 255 }), ([, change, text], at, mask) => {
        const bytes = Buffer.from(text, 'latin1')
        const index = at % bytes.length
        bytes[index] = (bytes[index] ?? 0) ^ mask
        expect(judge(token, change(bytes.toString('latin1')), cache)).toMatchObject({ rule: 'T-13', kind: 'token-mismatch' })
      }),
      { numRuns: 150 }
    )
  })
})

describe('the issuers that are remembered', () => {
  it('T-20 T-7 T-9 are believed for other tokens of the same header', () => {
    const cache = createPolicyIssuerCache()
    expect(judge(policyToken(), {}, cache).ok).toBe(true)
    const known = [...cache.proven.values()]
    expect(judge(policyToken({ claims: { jti: 'B'.repeat(22) } }), {}, cache).ok).toBe(true)
    expect([...cache.proven.values()]).toEqual(known)
    expect(judge(policyToken({ signature: flipped }), {}, cache)).toMatchObject({ rule: 'T-7' })
    expect(judge(policyToken(), listing(), cache)).toMatchObject({ rule: 'T-9' })
  })

  it('T-20 are nobody under other bundles', () => {
    const cache = createPolicyIssuerCache()
    judge(policyToken(), {}, cache)
    expect(judge(policyToken(), { trust: bundlesOf([partner], 2) }, cache)).toMatchObject({ rule: 'T-6' })
    expect(judge(policyToken(), {}, cache).ok).toBe(true)
  })

  it('T-20 T-6 X-15 end with their certificate', async () => {
    const cache = createPolicyIssuerCache()
    const token = signedBy(await egressSvid({ notAfter: JWT_NOW + 10_000 }))
    expect(judge(token, {}, cache).ok).toBe(true)
    expect(judge(token, { now: JWT_NOW + 10_000 }, cache).ok).toBe(true)
    expect(judge(token, { now: JWT_NOW + 10_001 }, cache)).toMatchObject({ rule: 'T-6' })
  })

  it('T-20 T-7 are kept once they signed: certificates are public, and fill nothing', () => {
    const cache = createPolicyIssuerCache()
    judge(policyToken({ signature: flipped }), {}, cache)
    expect(cache.proven.size).toBe(0)
    judge(policyToken(), {}, cache)
    expect(cache.proven.size).toBe(1)
  })

  it('T-20 have a bound, and the oldest goes first', async () => {
    const cache = createPolicyIssuerCache(2)
    for (const svid of [egress, second, await egressSvid()]) expect(judge(signedBy(svid), {}, cache).ok).toBe(true)
    expect([...cache.proven.keys()]).toEqual([expect.not.stringMatching(partOf(policyToken(), 0)), expect.any(String)])
    expect(cache.proven.size).toBe(2)
  })

  it('T-20 T-7 have a header in one spelling: another text of the same JSON is another header', () => {
    const cache = createPolicyIssuerCache()
    judge(policyToken(), {}, cache)
    const spaced = base64Url(JSON.stringify(policyHeader(), undefined, 1))
    expect(judge(exchanged(0, spaced), {}, cache)).toMatchObject({ rule: 'T-7' })
    expect(cache.proven.size).toBe(1)
  })
})
