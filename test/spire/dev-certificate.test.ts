import { createPublicKey, X509Certificate } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { type CertificateSpec, newKey, writeCertificate } from '../../src/spire/dev-certificate.ts'

const [LEAF_KEY, CA_KEY] = [newKey(), newKey()]

function write(changes: Partial<CertificateSpec> = {}): X509Certificate {
  const spec = {
    name: 'workload',
    key: LEAF_KEY,
    issuer: { name: 'vec.test root', key: CA_KEY },
    serial: new Uint8Array(16).fill(1),
    notBefore: Date.UTC(2026, 10, 21),
    notAfter: Date.UTC(2026, 10, 22),
    uris: ['spiffe://vec.test/a'],
    dns: []
  }
  return new X509Certificate(writeCertificate({ ...spec, ...changes }))
}

const holds = (certificate: X509Certificate, hex: string) => certificate.raw.includes(Buffer.from(hex, 'hex'))

describe('S-15: the bytes of a certificate', () => {
  it('is signed by its issuer over the bytes that are in it, and by nobody else', () => {
    const certificate = write()
    expect(certificate.verify(createPublicKey(CA_KEY))).toBe(true)
    expect(certificate.verify(createPublicKey(LEAF_KEY))).toBe(false)
    expect(certificate.publicKey.equals(createPublicKey(LEAF_KEY))).toBe(true)
  })

  const serials = [
    { name: 'all zero bytes', byte: 0x00, want: `40${'00'.repeat(15)}` },
    { name: 'all one bits', byte: 0xff, want: `7F${'FF'.repeat(15)}` },
    { name: 'only the sign bits', byte: 0x80, want: `40${'80'.repeat(15)}` }
  ]
  it.each(serials)('a serial of $name becomes positive and 16 bytes long', ({ byte, want }) => {
    expect(write({ serial: new Uint8Array(16).fill(byte) }).serialNumber).toBe(want)
  })

  it.each(['a, CN=admin', 'a+OU=b', '"quoted"', '#0c0161', ' lead', 'trail ', 'back\\slash'])(
    'the name %j is one common name, in UTF-8',
    (name) => {
      const text = Buffer.from(name).toString('hex')
      const length = (bytes: number) => bytes.toString(16).padStart(2, '0')
      expect(holds(write({ name }), `06035504030c${length(name.length)}${text}`)).toBe(true)
      expect(holds(write({ issuer: { name, key: CA_KEY } }), `06035504030c${length(name.length)}${text}`)).toBe(true)
    }
  )

  it('a letter outside ASCII does not turn an alternative name into another', () => {
    const certificate = write({ uris: ['spiffe://vec.test/\u0161'], dns: ['\u0161.test'] })
    expect(holds(certificate, Buffer.from('spiffe://vec.test/\u0161').toString('hex'))).toBe(true)
    expect(holds(certificate, Buffer.from('\u0161.test').toString('hex'))).toBe(true)
    expect(holds(certificate, Buffer.from('spiffe://vec.test/a').toString('hex'))).toBe(false)
  })

  it('two URI names come out as two, in their order, after the DNS names', () => {
    const uris = ['spiffe://vec.test/b', 'spiffe://vec.test/a']
    expect(write({ uris, dns: ['x.test'] }).subjectAltName).toBe('DNS:x.test, URI:spiffe://vec.test/b, URI:spiffe://vec.test/a')
  })

  it('basic constraints are critical; a path length of 0 is written out, a leaf has none and is no CA', () => {
    expect(holds(write({ pathLength: 0 }), '0603551d130101ff040830060101ff020100')).toBe(true)
    expect(holds(write({ pathLength: 1 }), '0603551d130101ff040830060101ff020101')).toBe(true)
    expect(holds(write(), '0603551d130101ff04023000')).toBe(true)
  })

  it("key identifiers: the own one, and the issuer's, 20 bytes each and not critical", () => {
    const [leaf, ca] = [write(), write({ key: CA_KEY, pathLength: 0 })]
    const at = ca.raw.indexOf(Buffer.from('0603551d0e04160414', 'hex')) + 9
    const own = ca.raw.subarray(at, at + 20).toString('hex')
    expect(holds(leaf, `0603551d23041830168014${own}`)).toBe(true)
    expect(holds(leaf, `0603551d0e04160414${own}`)).toBe(false)
  })

  it('extended key usage is on leaves only', () => {
    expect(holds(write(), '0603551d25')).toBe(true)
    expect(holds(write({ pathLength: 0 }), '0603551d25')).toBe(false)
  })
})
