import { describe, expect, it } from 'vitest'
import type { Caller } from '../../src/core/caller.ts'
import type { DenyReason } from '../../src/core/deny-reason.ts'
import { compileIdPattern, type IdPattern } from '../../src/core/spiffe-id.ts'
import { type CallerCaches, createCallerCaches, type Evidence, identifyCall } from '../../src/identity/identify-call.ts'
import { createVerdictCache } from '../../src/identity/verdict-cache.ts'
import { bundlesOf, envoyPem, issueSvid, makeAuthority, xfccFor } from '../support/ca.ts'
import { AUDIENCE, es256, JWT_NOW, jwkOf, KEY_SETS, keySet, makeToken, NOW_S, other, WORKLOAD } from '../support/jwt.ts'

const HOUR = 3_600_000
const root = await makeAuthority({ trustDomain: 'vec.test', notBefore: JWT_NOW - HOUR, notAfter: JWT_NOW + HOUR })
const GATEWAY = 'spiffe://vec.test/gateway'
const [own, gateway] = await Promise.all(
  [WORKLOAD, GATEWAY].map((id) => issueSvid(root, { id, notBefore: JWT_NOW - HOUR, notAfter: JWT_NOW + HOUR }))
)
if (own === undefined || gateway === undefined) throw new Error('no certificates')

const bundles = { generation: 1, keys: KEY_SETS, receivedAt: JWT_NOW }
const door = { audience: AUDIENCE, leewayMs: 5_000, bundles }
const caches = (): CallerCaches => createCallerCaches(10)
const pattern = (text: string): IdPattern => {
  const compiled = compileIdPattern(text)
  if (!compiled.ok) throw new Error(compiled.detail)
  return compiled.pattern
}

interface Asked {
  readonly certificate?: string
  readonly xfcc?: string
  readonly authorization?: string
  readonly principal?: string
}

function ask(asked: Asked, change: Partial<Evidence> = {}, now = JWT_NOW, kept = caches()) {
  const headers = new Map<string, string>()
  if (asked.xfcc !== undefined) headers.set('x-forwarded-client-cert', asked.xfcc)
  if (asked.authorization !== undefined) headers.set('authorization', asked.authorization)
  const call = { method: 'GET', target: '/', authority: 'a', headers, body: undefined, httpId: '1', grpc: false, strippedCredentials: [] }
  const inbound = { ...call, peerCertificate: asked.certificate, peerPrincipal: asked.principal }
  const evidence = { trust: bundlesOf([root]), tokens: door, carriers: [], since: Number.NEGATIVE_INFINITY, ...change }
  return identifyCall(inbound, evidence, now, kept)
}

const short = ({ kind, because }: DenyReason) => `${kind} ${/^([A-Z]+-\d+):/.exec(because)?.[1] ?? because}`
function told(asked: Asked, change?: Partial<Evidence>): string {
  const caller = ask(asked, change)
  if (!caller.ok) return short(caller.reason)
  const { id, evidence, carrier } = caller.value
  return `${id.path} by ${evidence}${carrier === undefined ? '' : ` carried by ${carrier.path}`}`
}

const bearer = (token: string) => `Bearer ${token}`
const ALICE = 'spiffe://vec.test/alice'
const token = makeToken()
const alice = makeToken({ claims: { sub: ALICE } })
const ownPem = envoyPem(own.der)
const gatewayPem = envoyPem(gateway.der)

describe('J-26 a certificate and a JWT-SVID', () => {
  it.each([
    { name: 'J-26 a certificate alone', asked: { certificate: ownPem }, want: '/ns/acme/agent/support by x509-svid' },
    { name: 'J-26 a token alone', asked: { authorization: bearer(token) }, want: '/ns/acme/agent/support by jwt-svid' },
    { name: 'J-26 neither', asked: {}, want: 'no-identity P-9' },
    {
      name: 'J-26 a token beside a name without its certificate',
      asked: { principal: GATEWAY, authorization: bearer(alice) },
      want: 'no-identity P-9'
    },
    {
      name: 'J-26 both of one workload',
      asked: { certificate: ownPem, authorization: bearer(token) },
      want: '/ns/acme/agent/support by jwt-svid'
    },
    { name: 'J-26 of two', asked: { certificate: gatewayPem, authorization: bearer(alice) }, want: 'identity-conflict J-26' },
    { name: 'J-26 no text that is a token', asked: { authorization: 'Basic YWRtaW46YWRtaW4=' }, want: 'svid-untrusted J-23' },
    {
      name: 'J-26 a good certificate does not make a bad token good',
      asked: { certificate: ownPem, authorization: bearer(`${token}x`) },
      want: 'svid-untrusted J-2'
    },
    {
      name: 'J-26 a good token does not make a bad certificate good',
      asked: { certificate: 'MIIB', authorization: bearer(token) },
      want: 'svid-untrusted P-1'
    },
    {
      name: 'J-26 a good token does not make a forged XFCC good',
      asked: { xfcc: xfccFor(own), authorization: bearer(token) },
      want: 'identity-conflict P-6'
    },
    {
      name: 'J-26 a token for somebody else',
      asked: { authorization: bearer(makeToken({ claims: { aud: ['billing'] } })) },
      want: 'svid-untrusted J-13'
    },
    {
      name: 'J-26 an expired token',
      asked: { authorization: bearer(makeToken({ claims: { exp: NOW_S - 60 } })) },
      want: 'svid-expired J-15'
    }
  ])('$name → $want', ({ asked, want }) => expect(told(asked)).toBe(want))

  it('J-26 the policy names who may carry the token of another, by pattern', () => {
    const both = { certificate: gatewayPem, authorization: bearer(alice) }
    expect(told(both, { carriers: [pattern(GATEWAY)] })).toBe('/alice by jwt-svid carried by /gateway')
    expect(told(both, { carriers: [pattern('spiffe://vec.test/gate')] })).toBe('identity-conflict J-26')
    // Who may carry is not who is carried.
    expect(told(both, { carriers: [pattern(ALICE)] })).toBe('identity-conflict J-26')
  })

  it('J-26 where tokens are not taken they say nothing', () => {
    const closed = { tokens: undefined }
    expect(told({ authorization: bearer(token) }, closed)).toBe('no-identity P-9')
    expect(told({ certificate: gatewayPem, authorization: bearer(alice) }, closed)).toBe('/gateway by x509-svid')
  })

  it('J-26 without keys that may be believed nobody is judged by a token', () => {
    const change = { tokens: { ...door, bundles: undefined } }
    expect(ask({ authorization: bearer(token) }, change)).toMatchObject({ ok: false, reason: { kind: 'trust-unavailable' } })
    expect(told({ certificate: ownPem }, change)).toBe('/ns/acme/agent/support by x509-svid')
  })
})

describe('what is remembered of a token', () => {
  const asked = { authorization: bearer(token) }

  it('the same caller is given for the same token, until its end and no longer', () => {
    const kept = caches()
    const first = ask(asked, {}, JWT_NOW, kept)
    expect(ask(asked, {}, JWT_NOW + 1_000, kept)).toBe(first)
    expect(ask(asked, {}, JWT_NOW + 304_999, kept)).toBe(first)
    expect(ask(asked, {}, JWT_NOW + 305_000, kept)).toMatchObject({ ok: false, reason: { kind: 'svid-expired' } })
  })

  it('J-26 nothing is left of a verdict under other keys', () => {
    const kept = caches()
    expect(ask(asked, {}, JWT_NOW, kept).ok).toBe(true)
    const without = { ...door, bundles: { ...bundles, generation: 2, keys: new Map([['vec.test', keySet(jwkOf(other))]]) } }
    expect(ask(asked, { tokens: without }, JWT_NOW, kept)).toMatchObject({ ok: false, reason: { kind: 'svid-untrusted' } })
    expect(es256.kid).not.toBe(other.kid)
  })

  it('J-26 P-10 evidence from before `since` is verified again, of both kinds', () => {
    const kept = caches()
    for (const one of [asked, { certificate: ownPem }]) {
      const first = ask(one, {}, JWT_NOW, kept)
      const again = ask(one, { since: JWT_NOW }, JWT_NOW + 5, kept)
      expect(again).toBe(first)
      const fresh = ask(one, { since: JWT_NOW + 1 }, JWT_NOW + 5, kept)
      expect(first.ok && first.value.provenAt).toBe(JWT_NOW)
      expect(fresh.ok && fresh.value.provenAt).toBe(JWT_NOW + 5)
      expect(ask(one, { since: JWT_NOW + 1 }, JWT_NOW + 9, kept)).toBe(fresh)
    }
  })

  it('the verdict on a carried token is not that of the same token alone', () => {
    const kept = caches()
    const carriers = [pattern(GATEWAY)]
    expect(ask({ authorization: bearer(alice) }, { carriers }, JWT_NOW, kept)).toMatchObject({ value: { carrier: undefined } })
    const carried = ask({ authorization: bearer(alice), certificate: gatewayPem }, { carriers }, JWT_NOW, kept)
    expect(carried).toMatchObject({ value: { carrier: { text: GATEWAY } } })
    expect(ask({ authorization: bearer(alice), certificate: gatewayPem }, {}, JWT_NOW, kept)).toMatchObject({ ok: false })
  })

  it('room is bounded, and refusals have their own', () => {
    const kept = { ...caches(), tokens: createVerdictCache<Caller>(2) }
    for (const sub of ['a', 'b', 'c'])
      ask({ authorization: bearer(makeToken({ claims: { sub: `spiffe://vec.test/${sub}` } })) }, {}, JWT_NOW, kept)
    expect(kept.tokens.proven.size).toBe(2)
    for (let at = 0; at < 300; at++) ask({ authorization: bearer(`${at}.b.c`) }, {}, JWT_NOW, kept)
    expect([kept.tokens.proven.size, kept.tokens.refused.size]).toEqual([2, 256])
  })
})
