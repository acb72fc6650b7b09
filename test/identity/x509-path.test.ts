import { describe, expect, it } from 'vitest'
import type { TrustBundles } from '../../src/core/trust.ts'
import { verifyX509Svid } from '../../src/identity/x509-svid.ts'
import { type Authority, bundlesOf, newKey, type Svid, type SvidSpec } from '../support/ca.ts'
import {
  authority,
  type Chain,
  check,
  ID,
  leafBelow,
  leafOf,
  mid,
  NOW,
  partner,
  type Row,
  root,
  shown,
  svid,
  TRUST
} from '../support/chains.ts'
import { name, oid, seq, tlv } from '../support/der-write.ts'

describe('issuers are authorities', () => {
  const leafAsIssuer = async (): Promise<Chain> => {
    const workload = await svid(root, { id: 'spiffe://vec.test/a' })
    const forged = await svid({ ...root, key: workload.key, subject: name([['2.5.4.10', 'SPIRE']]) }, { id: 'spiffe://vec.test/admin' })
    return [forged.der, workload.der]
  }
  check([
    { name: 'X-12 a leaf below an intermediate', want: 'valid', chain: async () => (await svid(mid)).chain },
    { name: 'X-12 the SVID of a workload as issuer', want: 'X-12', chain: leafAsIssuer },
    { name: 'X-12 an intermediate without basic constraints', want: 'X-12', chain: leafBelow({ basicConstraints: null }) },
    { name: 'X-12 an intermediate that says it is no CA', want: 'X-12', chain: leafBelow({ basicConstraints: { ca: false } }) },
    { name: 'X-12 an intermediate without cRLSign', want: 'valid', chain: leafBelow({ keyUsages: ['keyCertSign'] }) },
    { name: 'X-12 an intermediate without keyCertSign', want: 'X-12', chain: leafBelow({ keyUsages: ['digitalSignature', 'cRLSign'] }) },
    { name: 'X-12 an intermediate without key usage', want: 'X-12', chain: leafBelow({ keyUsages: null }) },
    { name: 'X-13 an intermediate without an ID', want: 'valid', chain: leafBelow({ id: null }) },
    { name: 'X-13 an intermediate with the ID of another trust domain', want: 'valid', chain: leafBelow({ id: 'spiffe://upstream.test' }) },
    { name: 'X-13 an intermediate with a web address', want: 'valid', chain: leafBelow({ id: 'https://ca.vec.test/1' }) },
    { name: 'X-13 an intermediate with the ID of a workload', want: 'X-13', chain: leafBelow({ id: 'spiffe://vec.test/ca' }) },
    { name: 'X-13 an intermediate with a malformed ID', want: 'X-13', chain: leafBelow({ id: 'spiffe://vec.test/' }) },
    { name: 'X-13 an intermediate with an ID in upper case', want: 'X-13', chain: leafBelow({ id: 'SPIFFE://vec.test/ca' }) }
  ])

  it('X-13 a root without any SAN', async () => {
    const bare = await authority({ name: 'bare', id: null })
    expect(shown(verifyX509Svid((await svid(bare)).chain, bundlesOf([bare]), NOW))).toBe('valid')
  })
})

describe('path length', () => {
  const twoBelow = (pathLength: number) => async (): Promise<Chain> => {
    const upper = await authority({ name: 'upper', parent: root, pathLength })
    return (await svid(await authority({ name: 'lower', parent: upper }))).chain
  }
  const rootOf = (pathLength: number, lowerName = 'below'): Pick<Row, 'chain' | 'anchors'> => {
    const short = authority({ name: 'short root', pathLength })
    const chain = async (): Promise<Chain> => (await svid(await authority({ name: lowerName, parent: await short }))).chain
    return { chain, anchors: async () => [await short] }
  }
  check([
    { name: 'X-16 a root that allows one intermediate, and one', want: 'valid', ...rootOf(1) },
    { name: 'X-16 a root that allows none, and one', want: 'X-16', ...rootOf(0) },
    { name: 'X-16 a root that allows none, and one with its own name', want: 'X-16', ...rootOf(0, 'short root') },
    { name: 'X-16 an intermediate that allows one, and one', want: 'valid', chain: twoBelow(1) },
    { name: 'X-16 an intermediate that allows none, and one', want: 'X-16', chain: twoBelow(0) },
    { name: 'X-16 an intermediate that allows none, and none', want: 'valid', chain: leafBelow({ pathLength: 0 }) }
  ])
})

describe('which anchors vouch', () => {
  const empty: TrustBundles = { generation: 1, x509: new Map([['vec.test', []]]), receivedAt: NOW }
  const localByPartner = async (): Promise<Chain> => (await svid(partner, { id: ID })).chain
  const partnerByLocal = async (): Promise<Chain> => (await svid(root, { id: 'spiffe://partner.test/a' })).chain
  const twins = Promise.all([authority({ name: 'twin' }), authority({ name: 'twin' }), authority({ name: 'twin' })])
  const byTwin =
    (spec: SvidSpec = {}) =>
    async (): Promise<Chain> =>
      (await svid((await twins)[2], spec)).chain
  check([
    { name: 'X-19 the issuer name of another CA', want: 'X-19', chain: leafOf({ issuerName: name([['2.5.4.3', 'someone']]) }) },
    {
      name: 'X-19 the issuer name in other letters and spaces',
      want: 'valid',
      chain: leafOf({ issuerName: name([['2.5.4.3', ' ROOT ']]) })
    },
    {
      name: 'X-19 the issuer name as another string type',
      want: 'valid',
      chain: leafOf({ issuerName: seq(tlv(0x31, seq(oid('2.5.4.3'), tlv(0x13, Buffer.from('root'))))) })
    },
    { name: 'X-19 the issuer name under another attribute', want: 'X-19', chain: leafOf({ issuerName: name([['2.5.4.10', 'root']]) }) },
    { name: 'X-20 a local ID signed by the local root', want: 'valid', chain: leafOf({}) },
    {
      name: 'X-20 a partner ID signed by the partner root',
      want: 'valid',
      chain: async () => (await svid(partner, { id: 'spiffe://partner.test/a' })).chain
    },
    { name: 'X-20 a partner ID signed by the local root', want: 'X-20', chain: partnerByLocal },
    { name: 'X-20 a local ID signed by the partner root', want: 'X-20', chain: localByPartner },
    {
      name: 'X-20 a local ID signed by the partner root, which was sent along',
      want: 'X-20',
      chain: async () => [...(await localByPartner()), partner.der]
    },
    {
      name: 'X-20 a root that the caller made and sent',
      want: 'X-20',
      chain: async () => {
        const own = await authority({ name: 'own root' })
        return [(await svid(own)).der, own.der]
      }
    },
    { name: 'X-20 a leaf that signed itself', want: 'X-19', chain: selfSigned },
    { name: 'X-21 a trust domain without a bundle', want: 'X-21', chain: leafOf({ id: 'spiffe://stranger.test/a' }) },
    { name: 'X-21 no bundles at all', want: 'X-21', chain: leafOf({}), anchors: [] },
    { name: 'X-23 an anchor that is not self-signed', want: 'valid', chain: async () => [(await svid(mid)).der], anchors: [mid] },
    { name: 'X-23 the same leaf, and the root above the anchor instead', want: 'X-19', chain: async () => [(await svid(mid)).der] },
    {
      name: 'X-24 three roots of one name, the last one signed',
      want: 'valid',
      chain: byTwin({ authorityKeyId: null }),
      anchors: () => twins
    },
    { name: 'X-24 three roots of one name, told apart by key identifier', want: 'valid', chain: byTwin(), anchors: () => twins },
    {
      name: 'X-24 three roots of one name, and a key identifier that misleads',
      want: 'valid',
      chain: async () => byTwin({ authorityKeyId: (await twins)[0].keyId })(),
      anchors: () => twins
    },
    {
      name: 'X-24 two roots of one name, neither signed',
      want: 'X-14',
      chain: byTwin({ authorityKeyId: null }),
      anchors: async () => (await twins).slice(0, 2)
    },
    { name: 'X-26 an anchor that is no CA', want: 'X-26', ...noCa() }
  ])

  it('X-22 an empty bundle trusts nothing', async () => {
    expect(shown(verifyX509Svid((await svid(root)).chain, empty, NOW))).toBe('X-22')
  })

  it('X-22 a bundle of things that are no certificates trusts nothing', async () => {
    const junk = bundlesOf([{ trustDomain: 'vec.test', der: Uint8Array.of(0x30, 0) }])
    expect(shown(verifyX509Svid((await svid(root)).chain, junk, NOW))).toBe('X-22')
  })

  it('X-26 the very leaf listed as its own anchor', async () => {
    const { der } = await svid(mid)
    expect(shown(verifyX509Svid([der], bundlesOf([{ trustDomain: 'vec.test', der }]), NOW))).toBe('X-26')
  })

  it('X-20 the same chain is judged anew under other bundles', async () => {
    const { chain } = await svid(root)
    const others = bundlesOf([partner])
    expect([TRUST, others, TRUST].map((trust) => shown(verifyX509Svid(chain, trust, NOW)))).toEqual(['valid', 'X-21', 'valid'])
  })
})

describe('presented intermediates are hints', () => {
  const deep = async (levels: number): Promise<Svid> => {
    let issuer = root
    for (let level = 0; level < levels; level++) issuer = await authority({ name: `level ${level}`, parent: issuer })
    return svid(issuer)
  }
  const shuffled = ({ chain: [leaf = new Uint8Array(), ...rest] }: Svid): Chain => [leaf, ...rest.reverse()]
  check([
    { name: 'X-25 intermediate and root sent too', want: 'valid', chain: async () => [...(await svid(mid)).chain, root.der] },
    { name: 'X-25 intermediates in the wrong order', want: 'valid', chain: async () => shuffled(await deep(3)) },
    {
      name: 'X-25 with a certificate that belongs to something else',
      want: 'valid',
      chain: async () => [...(await svid(mid)).chain, partner.der]
    },
    { name: 'X-25 the same intermediate twice', want: 'valid', chain: async () => [...(await svid(mid)).chain, mid.der, mid.der] },
    { name: 'X-25 seven intermediates', want: 'valid', chain: async () => (await deep(7)).chain },
    { name: 'X-25 eight intermediates', want: 'X-25', chain: async () => (await deep(8)).chain },
    {
      name: 'X-25 two hundred certificates',
      want: 'X-25',
      chain: async () => [...(await svid(mid)).chain, ...Array.from({ length: 200 }, () => mid.der)]
    },
    { name: 'X-25 more than 32 KiB', want: 'X-25', chain: async () => [...(await svid(root)).chain, new Uint8Array(32 * 1024)] },
    { name: 'X-25 no certificate', want: 'X-25', chain: async () => [] },
    { name: 'X-25 an intermediate left out', want: 'X-19', chain: async () => (await svid(mid)).chain.slice(0, 1) },
    {
      name: 'X-25 same-named anchors without end',
      want: 'X-25',
      chain: async () => (await svid(root, { tampered: true })).chain,
      anchors: async () => Promise.all(Array.from({ length: 20 }, () => authority({ name: 'root' })))
    },
    {
      name: 'X-25 two issuers that certify each other',
      want: 'X-20',
      chain: async () => {
        const [a, b] = [await authority({ name: 'a' }), await authority({ name: 'b' })]
        const across = async (who: Authority, by: Authority) => authority({ name: who.name, key: who.key, parent: by })
        return [(await svid(a)).der, (await across(a, b)).der, (await across(b, a)).der]
      }
    }
  ])
})

async function selfSigned(): Promise<Chain> {
  const key = newKey('P-256')
  const subject = name([['2.5.4.3', 'me']])
  return [(await svid({ ...root, key, subject }, { key, subject })).der]
}

function noCa(): Pick<Row, 'chain' | 'anchors'> {
  const made = authority({ name: 'no CA', basicConstraints: null })
  return { chain: async () => (await svid(await made)).chain, anchors: async () => [await made] }
}
