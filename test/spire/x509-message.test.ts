import type { X509SVIDResponse } from '@vecauthz/spiffe-protos/workload'
import { beforeAll, describe, expect, it } from 'vitest'
import { verifyX509Svid } from '../../src/identity/x509-svid.ts'
import { readX509Message, type TrustMap, type X509Reading } from '../../src/spire/x509-message.ts'
import { type Authority, issueSvid, makeAuthority, type Svid } from '../support/ca.ts'
import { response, svidMessage } from './fake-workload-api.ts'

let root: Authority
let vec: Authority
let partner: Authority
let svid: Svid
let other: Svid

beforeAll(async () => {
  root = await makeAuthority({ trustDomain: 'vec.test' })
  vec = await makeAuthority({ trustDomain: 'vec.test', parent: root })
  partner = await makeAuthority({ trustDomain: 'partner.test' })
  svid = await issueSvid(vec, { id: 'spiffe://vec.test/vecauthz' })
  other = await issueSvid(vec, { id: 'spiffe://vec.test/other' })
})

function read(message: X509SVIDResponse, now = Date.now()): X509Reading {
  const bundlesOf = (x509: TrustMap) => ({ generation: 7, x509, receivedAt: now })
  return readX509Message(message, { verify: verifyX509Svid, bundlesOf, now })
}

describe('a FetchX509SVID message', () => {
  it('gives the SVID with its chain, key, end and hint, and the bundles of own and federated trust domains', () => {
    const message = response([svidMessage(svid, vec, { hint: 'internal' })], { 'spiffe://partner.test': partner.der })
    const reading = read(message)
    if (!reading.ok) throw new Error(reading.because)
    expect(reading.svid.id.text).toBe('spiffe://vec.test/vecauthz')
    expect(reading.svid.certificates).toEqual(svid.chain)
    expect(reading.svid.key.equals(svid.key)).toBe(true)
    expect(reading.svid.hint).toBe('internal')
    expect(reading.bundles.x509).toEqual(
      new Map([
        ['vec.test', [root.der]],
        ['partner.test', [partner.der]]
      ])
    )
    expect(reading.warnings).toEqual([])
  })

  it('A-8: the first SVID is the default', () => {
    const [a, b] = [svidMessage(svid, vec), svidMessage(other, vec)]
    expect(read(response([a, b]))).toMatchObject({ ok: true, svid: { id: { text: svid.id } } })
    expect(read(response([b, a]))).toMatchObject({ ok: true, svid: { id: { text: other.id } } })
  })

  it('several anchors of one trust domain are kept in order', () => {
    const reading = read(response([svidMessage(svid, vec, { bundle: Buffer.concat([partner.der, root.der]) })]))
    expect(reading).toMatchObject({ ok: true, bundles: { x509: new Map([['vec.test', [partner.der, root.der]]]) } })
  })

  it('X-22: an empty federated bundle is kept as one that trusts nothing', () => {
    const reading = read(response([svidMessage(svid, vec)], { 'spiffe://partner.test': new Uint8Array() }))
    expect(reading.ok && reading.bundles.x509.get('partner.test')).toEqual([])
  })

  const empty = Buffer.alloc(0)
  const dropped: { name: string; because: RegExp; message: () => X509SVIDResponse }[] = [
    { name: 'A-4: no SVID', because: /no SVID/, message: () => response([]) },
    { name: 'A-4: no spiffe_id', because: /no spiffe_id/, message: () => response([svidMessage(svid, vec, { spiffeId: '' })]) },
    {
      name: 'A-4: no x509_svid',
      because: /no x509_svid$|no x509_svid\./,
      message: () => response([svidMessage(svid, vec, { x509Svid: empty })])
    },
    {
      name: 'A-4: no x509_svid_key',
      because: /no x509_svid_key/,
      message: () => response([svidMessage(svid, vec, { x509SvidKey: empty })])
    },
    { name: 'A-4: no bundle', because: /no bundle/, message: () => response([svidMessage(svid, vec, { bundle: empty })]) },
    {
      name: 'A-4: a second SVID without a bundle',
      because: /no bundle/,
      message: () => response([svidMessage(svid, vec), svidMessage(other, vec, { bundle: empty })])
    },
    {
      name: 'A-11: garbage after the chain',
      because: /list of at most/,
      message: () => response([svidMessage(svid, vec, { x509Svid: tail(svidMessage(svid, vec).x509Svid) })])
    },
    {
      name: 'A-11: garbage after the key',
      because: /not PKCS#8/,
      message: () => response([svidMessage(svid, vec, { x509SvidKey: tail(Buffer.from(svid.keyDer)) })])
    },
    {
      name: 'A-11: garbage after the bundle',
      because: /bundle of vec.test/,
      message: () => response([svidMessage(svid, vec, { bundle: tail(Buffer.from(root.der)) })])
    },
    {
      name: 'A-11: a PEM chain',
      because: /list of at most/,
      message: () => response([svidMessage(svid, vec, { x509Svid: Buffer.from(svid.pem) })])
    },
    {
      name: 'A-11: DER that is no certificate',
      because: /not a certificate/,
      message: () => response([svidMessage(svid, vec, { bundle: Buffer.from([0x30, 0]) })])
    },
    {
      name: 'A-11: a federated bundle that is none',
      because: /partner.test/,
      message: () => response([svidMessage(svid, vec)], { 'spiffe://partner.test': Buffer.from('x') })
    },
    {
      name: 'A-12: the key of another SVID',
      because: /does not belong/,
      message: () => response([svidMessage(svid, vec, { x509SvidKey: Buffer.from(other.keyDer) })])
    },
    {
      name: 'A-12: a spiffe_id that is not the one in the certificate',
      because: /not the one in/,
      message: () => response([svidMessage(svid, vec, { spiffeId: other.id })])
    },
    {
      name: 'A-12: an invalid spiffe_id',
      because: /ID-14/,
      message: () => response([svidMessage(svid, vec, { spiffeId: 'spiffe://vec.test/' })])
    },
    {
      name: 'A-12: a chain that leads to no anchor',
      because: /X-20/,
      message: () => response([svidMessage(svid, vec, { bundle: Buffer.from(partner.der) })])
    },
    {
      name: 'A-12: a chain without its intermediate',
      because: /X-19/,
      message: () => response([svidMessage(svid, vec, { x509Svid: Buffer.from(svid.der) })])
    },
    {
      name: 'two SVIDs that disagree about the bundle of their trust domain',
      because: /different bundles/,
      message: () => response([svidMessage(svid, vec), svidMessage(other, vec, { bundle: Buffer.concat([root.der, partner.der]) })])
    }
  ]
  it.each(dropped)('is dropped: $name', ({ message, because }) => {
    const reading = read(message())
    expect(reading).toEqual({ ok: false, because: expect.stringMatching(because) })
  })

  it('A-12: is dropped when our own SVID is over, and taken in its last second', async () => {
    const end = Math.floor(Date.now() / 1000) * 1000 + 60_000
    const short = await issueSvid(vec, { id: svid.id, notAfter: end })
    const message = response([svidMessage(short, vec)])
    expect(read(message, end + 1_000)).toMatchObject({ ok: false, because: expect.stringContaining('X-15') })
    expect(read(message, end)).toMatchObject({ ok: true, svid: { notAfter: end } })
  })

  it('A-9: a federated entry for our own trust domain changes nothing and is reported', () => {
    const reading = read(response([svidMessage(svid, vec)], { 'spiffe://vec.test': partner.der }))
    expect(reading).toMatchObject({ ok: true, warnings: [expect.stringContaining('A-9')] })
    expect(reading.ok && reading.bundles.x509).toEqual(new Map([['vec.test', [root.der]]]))
  })

  it.each(['partner.test', 'spiffe://partner.test/x', 'SPIFFE://partner.test', '__proto__'])(
    'A-10: a federated entry named %s is reported and not used',
    (key) => {
      const reading = read({
        ...response([svidMessage(svid, vec)]),
        federatedBundles: Object.fromEntries([[key, Buffer.from(partner.der)]])
      })
      expect(reading).toMatchObject({ ok: true, warnings: [expect.stringContaining('A-10')] })
      expect(reading.ok && [...reading.bundles.x509.keys()]).toEqual(['vec.test'])
    }
  )

  it('A-7: the same hint twice is reported, two empty hints are not', () => {
    const twice = (hint: string) => read(response([svidMessage(svid, vec, { hint }), svidMessage(other, vec, { hint })]))
    expect(twice('internal')).toMatchObject({ ok: true, warnings: [expect.stringContaining('A-7')] })
    expect(twice('')).toMatchObject({ ok: true, warnings: [] })
  })

  it('X-30: revocation lists are reported and fail nothing', () => {
    expect(read(response([svidMessage(svid, vec)], {}, [Buffer.from([1])]))).toMatchObject({
      ok: true,
      warnings: [expect.stringContaining('revocation')]
    })
  })

  it('no reason quotes a key', () => {
    const secret = Buffer.from(svid.keyDer).toString('base64').slice(0, 40)
    const reading = read(response([svidMessage(svid, vec, { x509SvidKey: tail(Buffer.from(svid.keyDer)) })]))
    expect(JSON.stringify(reading)).not.toContain(secret)
  })
})

function tail(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.from([0])])
}
