import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { decodeUrlPem } from '../../src/identity/pem.ts'
import { verifyX509Svid } from '../../src/identity/x509-svid.ts'
import { bundlesOf } from '../support/ca.ts'

/**
 * Certificates that something else than our own writer made: OpenSSL 3, an intermediate with a path length and name constraints,
 * subjects as SPIRE writes them, P-384 above P-256. Leaf, intermediate, root.
 */
const pem = readFileSync(new URL('fixtures/openssl-chain.pem', import.meta.url), 'utf8')
const read = decodeUrlPem(encodeURIComponent(pem), 3)
const [leaf = new Uint8Array(), mid = new Uint8Array(), root = new Uint8Array()] = read.ok ? read.certificates : []
const FROM = Date.UTC(2026, 10, 21, 14, 41, 30)
const UNTIL = Date.UTC(2036, 10, 18, 14, 41, 30)

describe('a chain that OpenSSL issued', () => {
  it.each([
    {
      name: 'X-14 in its time',
      chain: [leaf, mid],
      trustDomain: 'vec.test',
      now: FROM + 1,
      want: 'spiffe://vec.test/ns/acme/agent/support'
    },
    {
      name: 'X-14 with the root sent too',
      chain: [leaf, root, mid],
      trustDomain: 'vec.test',
      now: UNTIL,
      want: 'spiffe://vec.test/ns/acme/agent/support'
    },
    { name: 'X-19 without the intermediate', chain: [leaf], trustDomain: 'vec.test', now: FROM, want: 'X-19' },
    { name: 'X-11 the intermediate as leaf', chain: [mid], trustDomain: 'vec.test', now: FROM, want: 'X-11' },
    { name: 'X-15 after its time', chain: [leaf, mid], trustDomain: 'vec.test', now: UNTIL + 1, want: 'X-15' },
    { name: 'X-15 before its time', chain: [leaf, mid], trustDomain: 'vec.test', now: FROM - 5_001, want: 'X-15' },
    { name: 'X-21 with its root under another trust domain', chain: [leaf, mid], trustDomain: 'partner.test', now: FROM, want: 'X-21' }
  ])('$name: $want', ({ chain, trustDomain, now, want }) => {
    const verdict = verifyX509Svid(chain, bundlesOf([{ trustDomain, der: root }]), now)
    expect(verdict.ok ? verdict.id.text : verdict.rule).toBe(want)
  })

  it('X-15 is valid as long as its leaf', () => {
    const verdict = verifyX509Svid([leaf, mid], bundlesOf([{ trustDomain: 'vec.test', der: root }]), FROM)
    expect(verdict).toMatchObject({ ok: true, notBefore: FROM, notAfter: UNTIL, serial: '10117a5ca290901089ff7c513b0be042efe41f06' })
  })
})
