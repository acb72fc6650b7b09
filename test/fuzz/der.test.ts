/** Any bytes as certificates give a verdict: never a throw, and never a name that our authority did not vouch for. */
import { X509Certificate } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseSpiffeId } from '../../src/core/spiffe-id.ts'
import { algorithmFault } from '../../src/identity/x509-algorithms.ts'
import { readCertificate } from '../../src/identity/x509-certificate.ts'
import { readLeaf } from '../../src/identity/x509-leaf.ts'
import { verifyX509Svid, type X509Verdict } from '../../src/identity/x509-svid.ts'
import { newKey } from '../support/ca.ts'
import { authority, ID, mid, NOW, root, svid, TRUST } from '../support/chains.ts'
import { change, distort, spoil } from './byte-changes.ts'
import { catches, expectClosed, runs } from './runs.ts'

const RUNS = runs(300)
const key = newKey('P-256')
const good = await svid(root, { key, dns: ['a.test'] })
const deep = await svid(mid, { key })
const issuer = new X509Certificate(root.der)
const issuerSpki = issuer.publicKey.export({ type: 'spki', format: 'der' })

const changes = fc.array(change, { minLength: 1, maxLength: 3 })
const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0

type Verifier = (chain: readonly Uint8Array[]) => X509Verdict
const ours: Verifier = (chain) => {
  const verdict = verifyX509Svid(chain, TRUST, NOW)
  if (!verdict.ok) expectClosed(verdict)
  return verdict
}

const refusing: X509Verdict = { ok: false, rule: 'X-14', kind: 'svid-untrusted', detail: 'no' }
const accepting = (der: Uint8Array, text: string): X509Verdict => {
  const read = parseSpiffeId(text)
  if (!read.ok) return refusing
  const { serialNumber, validFromDate, validToDate, publicKey } = new X509Certificate(der)
  const [notBefore, notAfter] = [validFromDate.getTime(), validToDate.getTime()]
  const spki = publicKey.export({ type: 'spki', format: 'der' })
  return {
    ok: true,
    id: read.id,
    serial: serialNumber.toLowerCase(),
    notBefore,
    notAfter,
    leaf: { notBefore, notAfter, spki }
  }
}
/** Accepted is what was signed, and nothing else. */
const changedIsRefused = (verify: Verifier) =>
  fc.property(changes, fc.boolean(), fc.boolean(), (list, shaped, leaf) => {
    const [position, original] = leaf ? [0, deep.der] : [1, mid.der]
    const changed = list.reduce(shaped ? distort : spoil, original)
    expect(verify(deep.chain.with(position, changed)).ok).toBe(same(changed, original))
  })

/** A leaf of any shape that our root did sign: where it is accepted, OpenSSL reads the same out of it. */
const leafReadTheSame = (verify: Verifier, accepted: { count: number }) =>
  fc.asyncProperty(fc.array(change, { maxLength: 2 }), async (list) => {
    const { der } = await svid(root, { key, dns: ['a.test'], editTbs: (tbs) => list.reduce(distort, tbs) })
    const verdict = verify([der])
    if (!verdict.ok) return
    accepted.count++
    const other = new X509Certificate(der)
    // Not checkIssued: it takes a key identifier for more than a hint.
    expect(other.verify(issuer.publicKey)).toBe(true)
    expect(other.ca).toBe(false)
    expect(other.subjectAltName?.split(', ').filter((name) => name.startsWith('URI:'))).toEqual([`URI:${verdict.id.text}`])
    expect(other.serialNumber.toLowerCase()).toBe(verdict.serial)
    expect([other.validFromDate.getTime(), other.validToDate.getTime()]).toEqual([verdict.leaf.notBefore, verdict.leaf.notAfter])
    // Bytes, because OpenSSL may find no key in them: whether the leaf's key is a point of its curve was TLS's to ask.
    expect(Buffer.from(der).includes(Buffer.from(verdict.leaf.spki))).toBe(true)
  })

/** An intermediate of any shape that our root did sign: where it may issue, OpenSSL calls it a CA that is valid, and issues the leaf. */
const issuerReadTheSame = (verify: Verifier, accepted: { count: number }) =>
  fc.asyncProperty(fc.array(change, { maxLength: 2 }), async (list) => {
    const strange = await authority({
      name: 'intermediate',
      parent: root,
      key: mid.key,
      nameConstraints: { permittedUris: ['vec.test'] },
      editTbs: (tbs) => list.reduce(distort, tbs)
    })
    const verdict = verify([deep.der, strange.der])
    if (!verdict.ok) return
    accepted.count++
    const other = new X509Certificate(strange.der)
    expect(verdict.id.text).toBe(ID)
    expect(other.verify(issuer.publicKey)).toBe(true)
    expect(other.ca).toBe(true)
    expect(new X509Certificate(deep.der).verify(other.publicKey)).toBe(true)
    expect(other.validFromDate.getTime()).toBeLessThanOrEqual(verdict.notBefore)
    expect(other.validToDate.getTime()).toBeGreaterThanOrEqual(verdict.notAfter)
  })

describe('certificates', () => {
  it('bytes of chance are no certificate', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 80 }), { maxLength: 10 }), (chain) => {
        expect(ours(chain).ok).toBe(false)
      }),
      RUNS
    )
  })

  it('a changed certificate is refused, leaf or intermediate', () => {
    fc.assert(changedIsRefused(ours), RUNS)
  })

  it('a strange leaf that our own root signed is refused, or OpenSSL reads it the same way', async () => {
    const accepted = { count: 0 }
    await fc.assert(leafReadTheSame(ours, accepted), RUNS)
    expect(accepted.count).toBeGreaterThan(RUNS.numRuns / 20)
  })

  it('a strange intermediate that our own root signed is refused, or OpenSSL reads it the same way', async () => {
    const accepted = { count: 0 }
    await fc.assert(issuerReadTheSame(ours, accepted), RUNS)
    expect(accepted.count).toBeGreaterThan(RUNS.numRuns / 20)
  })

  it('what is read as a leaf, OpenSSL reads as a certificate', () => {
    fc.assert(
      fc.property(changes, fc.boolean(), (list, shaped) => {
        const changed = list.reduce(shaped ? distort : spoil, good.der)
        const read = readCertificate(changed)
        const leaf = read.ok ? readLeaf(read.certificate) : read
        if (!leaf.ok) return expectClosed(leaf)
        // What signed it is judged with its issuer, and may be no algorithm that OpenSSL can read.
        if (read.ok && algorithmFault(read.certificate, issuerSpki) === undefined) expect(() => new X509Certificate(changed)).not.toThrow()
      }),
      RUNS
    )
  })
})

describe('the same machinery finds a verifier', () => {
  it('that checks no signature', async () => {
    const careless: Verifier = ([der = new Uint8Array()]) => {
      const read = readCertificate(der)
      const leaf = read.ok ? readLeaf(read.certificate) : read
      return leaf.ok ? accepting(der, leaf.id.text) : refusing
    }
    expect(await catches(changedIsRefused(careless))).toBe(true)
  })

  it('that takes the first of two names', async () => {
    const careless: Verifier = ([der = new Uint8Array()]) => {
      const verdict = ours([der])
      if (verdict.ok || verdict.rule !== 'X-1') return verdict
      const [first] = /spiffe:[a-z/.]+/.exec(new X509Certificate(der).subjectAltName ?? '') ?? []
      return first === undefined ? refusing : accepting(der, first)
    }
    expect(await catches(leafReadTheSame(careless, { count: 0 }))).toBe(true)
  })

  it('that takes whoever signed for an issuer', async () => {
    const careless: Verifier = ([leaf = new Uint8Array(), above = new Uint8Array()]) => {
      try {
        const signed = new X509Certificate(leaf).verify(new X509Certificate(above).publicKey)
        return signed && new X509Certificate(above).verify(issuer.publicKey) ? accepting(leaf, ID) : refusing
      } catch {
        return refusing
      }
    }
    expect(await catches(issuerReadTheSame(careless, { count: 0 }))).toBe(true)
  })
})
