import { randomBytes, X509Certificate } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { createAuthority } from '../../src/spire/dev-authority.ts'
import { certificatePem, newKey, writeCertificate } from '../../src/spire/dev-certificate.ts'
import { verifyTwice } from './verify-chain.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const START = Date.UTC(2026, 10, 21, 12)

function authorityAt(start = START) {
  let now = start
  let next = 0
  const authority = createAuthority({
    trustDomain: 'vec.test',
    now: () => now,
    randomBytes: (count) => {
      next += 1
      return new Uint8Array(count).fill(next)
    },
    rootSettleMs: 1_000,
    rootOverlapMs: 5_000
  })
  const issue = (changes = {}) =>
    authority.issue({
      uris: ['spiffe://vec.test/a'],
      dns: [],
      notBefore: now - 10_000,
      notAfter: now + 600_000,
      emptySubject: false,
      ...changes
    })
  const verify = (chain: readonly Uint8Array[], roots = authority.roots()) =>
    verifyTwice(chain, { generation: 1, x509: new Map([['vec.test', roots]]), receivedAt: now }, now)
  return {
    authority,
    issue,
    verify,
    pass: (ms: number) => {
      now += ms
    }
  }
}

describe('S-15: what the dev issuer signs', () => {
  it('a leaf below an intermediate below the root, which verifies, ends when it says and has a 16-byte positive serial', () => {
    const { issue, verify } = authorityAt()
    const svid = issue({ notAfter: START + 600_999 })
    expect(verify(svid.chain)).toMatchObject({ ok: true, id: { text: 'spiffe://vec.test/a' }, notAfter: START + 600_000 })
    expect(svid.notAfter).toBe(START + 600_000)
    expect(svid.serial).toMatch(/^[4-7][0-9a-f]{31}$/)
    expect(svid.chain).toHaveLength(2)
    expect(new X509Certificate(svid.chainPem).checkPrivateKey(svid.key)).toBe(true)
  })

  it('the leaf: P-256, CA:FALSE, both extended usages, one URI SAN and the DNS SANs asked for', () => {
    const svid = authorityAt().issue({ dns: ['a.vec.test', 'b.vec.test'] })
    const leaf = new X509Certificate(svid.chainPem)
    expect(leaf.ca).toBe(false)
    expect(leaf.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'])
    expect(leaf.subjectAltName).toBe('DNS:a.vec.test, DNS:b.vec.test, URI:spiffe://vec.test/a')
    expect(leaf.publicKey.asymmetricKeyDetails).toEqual({ namedCurve: 'prime256v1' })
    expect(leaf.subject).toContain('DEV ONLY')
  })

  it('the CAs: CA:TRUE, and the trust domain as only name, without a slash', () => {
    const { authority, issue } = authorityAt()
    const cas = [...authority.roots(), ...issue().chain.slice(1)].map((der) => new X509Certificate(der))
    expect(cas.map((ca) => [ca.ca, ca.subjectAltName])).toEqual([
      [true, 'URI:spiffe://vec.test'],
      [true, 'URI:spiffe://vec.test']
    ])
  })

  it('key usage and criticality, read from the bytes: digitalSignature alone, keyCertSign and cRLSign alone', () => {
    const { authority, issue } = authorityAt()
    const usage = (bits: string) => Buffer.from(`0603551d0f0101ff04040302${bits}`, 'hex')
    expect(Buffer.from(issue().chain[0] ?? []).includes(usage('0780'))).toBe(true)
    expect(Buffer.from(authority.roots()[0] ?? []).includes(usage('0106'))).toBe(true)
  })

  it('an empty Subject makes the alternative names critical, any other does not', () => {
    const san = Buffer.from('0603551d11', 'hex')
    const critical = Buffer.from('0603551d110101ff', 'hex')
    const leafOf = (emptySubject: boolean) => Buffer.from(authorityAt().issue({ emptySubject }).chain[0] ?? [])
    expect(leafOf(true).includes(critical)).toBe(true)
    expect(leafOf(false).includes(critical)).toBe(false)
    expect(leafOf(false).includes(san)).toBe(true)
    expect(new X509Certificate(leafOf(true)).subject ?? '').toBe('')
  })

  it('no leaf outlives its intermediate', () => {
    const svid = authorityAt().issue({ notAfter: START + 100 * DAY })
    const intermediate = new X509Certificate(svid.chain[1] ?? new Uint8Array())
    expect(svid.notAfter).toBe(intermediate.validToDate.getTime())
  })

  it('dates from 2050 on are written as RFC 5280 wants them', () => {
    const { issue, verify } = authorityAt(Date.UTC(2049, 11, 31, 23, 59, 55))
    expect(verify(issue().chain)).toMatchObject({ ok: true, notAfter: Date.UTC(2050, 0, 1, 0, 9, 55) })
  })
})

describe('rotation of the authority', () => {
  it('a new intermediate signs from then on, and what the old one signed stays good', () => {
    const { authority, issue, verify } = authorityAt()
    const before = issue()
    authority.rotateIntermediate()
    const after = issue()
    expect(after.chain[1]).not.toEqual(before.chain[1])
    expect([verify(before.chain), verify(after.chain)]).toMatchObject([{ ok: true }, { ok: true }])
  })

  it('a new root is published first, signs after the settling time, and the old one leaves after the overlap', () => {
    const { authority, issue, verify, pass } = authorityAt()
    const [old] = authority.roots()
    const before = issue()
    authority.rotateRoot()
    authority.rotateRoot()
    expect(authority.roots()).toHaveLength(2)
    expect(authority.step()).toEqual({ bundle: false, signer: false })
    expect(verify(issue().chain, [old ?? new Uint8Array()])).toMatchObject({ ok: true })
    pass(999)
    expect(authority.step()).toEqual({ bundle: false, signer: false })
    pass(1)
    expect(authority.step()).toEqual({ bundle: true, signer: true })
    const after = issue()
    expect(verify(after.chain, [old ?? new Uint8Array()])).toMatchObject({ ok: false })
    expect([verify(before.chain), verify(after.chain)]).toMatchObject([{ ok: true }, { ok: true }])
    pass(4_999)
    expect(authority.step()).toEqual({ bundle: false, signer: false })
    pass(1)
    expect(authority.step()).toEqual({ bundle: true, signer: false })
    expect(authority.roots()).toHaveLength(1)
    expect(verify(before.chain)).toMatchObject({ ok: false })
    expect(verify(after.chain)).toMatchObject({ ok: true })
  })

  it('CAs are renewed at half of their life by the clock, even after a long sleep', () => {
    const { authority, issue, verify, pass } = authorityAt()
    pass(12 * HOUR)
    expect(authority.step()).toEqual({ bundle: false, signer: true })
    pass(30 * DAY)
    expect(authority.step()).toEqual({ bundle: true, signer: true })
    pass(1_000)
    expect(authority.step()).toEqual({ bundle: true, signer: true })
    expect(verify(issue().chain)).toMatchObject({ ok: true })
  })
})

describe('a root from outside', () => {
  const key = newKey()
  const other = newKey()
  const common = { serial: new Uint8Array(16).fill(9), notBefore: START - DAY, notAfter: START + DAY, dns: [], uris: ['spiffe://vec.test'] }
  const der = writeCertificate({ ...common, name: 'vec.test shared', key, issuer: { name: 'vec.test shared', key }, pathLength: 1 })
  const pem = (one: typeof key) => one.export({ type: 'pkcs8', format: 'pem' }).toString()
  const settings = { trustDomain: 'vec.test', now: () => START, randomBytes, rootSettleMs: 1_000, rootOverlapMs: 5_000 }
  const authorityUnder = (keyPem: string) => createAuthority({ ...settings, root: { certPem: certificatePem(der), keyPem } })
  const leaf = { uris: ['spiffe://vec.test/a'], dns: [], notBefore: START - 10_000, notAfter: START + 600_000, emptySubject: false }

  it('vouches for what two issuers sign under it, and for nothing that neither did', () => {
    const bundles = { generation: 1, x509: new Map([['vec.test', [der]]]), receivedAt: START }
    for (const authority of [authorityUnder(pem(key)), authorityUnder(pem(key))]) {
      expect(authority.roots()).toEqual([der])
      expect(verifyTwice(authority.issue(leaf).chain, bundles, START)).toMatchObject({ ok: true })
    }
    expect(verifyTwice(createAuthority(settings).issue(leaf).chain, bundles, START)).toMatchObject({ ok: false })
  })

  it('is never rotated, though it is past half of its life', () => {
    const authority = authorityUnder(pem(key))
    expect(authority.step()).toEqual({ bundle: false, signer: false })
    expect(authority.roots()).toEqual([der])
    expect(() => authority.rotateRoot()).toThrow('given from outside')
  })

  it('needs its own key', () => {
    expect(() => authorityUnder(pem(other))).toThrow('not the one in its certificate')
  })
})
