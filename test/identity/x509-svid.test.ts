import { createPublicKey } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { verifyX509Svid } from '../../src/identity/x509-svid.ts'
import { type AuthoritySpec, newKey, type SvidSpec } from '../support/ca.ts'
import {
  authority,
  check,
  HOUR,
  ID,
  leafBelow,
  leafOf,
  MINUTE,
  NOW,
  type Row,
  replaced,
  root,
  rsaKey,
  SECOND,
  svid,
  TRUST
} from '../support/chains.ts'
import { nil, oid, seq } from '../support/der-write.ts'

describe('signatures', () => {
  const ecdsaSha256 = seq(oid('1.2.840.10045.4.3.2'))
  const otherKey = newKey('P-256')
  const by = (spec: Partial<AuthoritySpec>, leaf: SvidSpec = {}): Pick<Row, 'chain' | 'anchors'> => {
    const made = authority({ name: 'special', ...spec })
    return { anchors: async () => [await made], chain: async () => (await svid(await made, leaf)).chain }
  }
  check([
    { name: 'X-14 the last byte of the signature changed', want: 'X-14', chain: leafOf({ tampered: true }) },
    { name: 'X-14 the last byte of the signature of an intermediate changed', want: 'X-14', chain: leafBelow({ tampered: true }) },
    {
      name: 'X-14 another key under the name of the root',
      want: 'X-14',
      chain: async () => (await svid({ ...root, key: otherKey })).chain
    },
    {
      name: 'X-14 one letter of the ID changed after signing',
      want: 'X-14',
      chain: async () => {
        const { der } = await svid(root)
        const changed = Uint8Array.from(der)
        changed[Buffer.from(der).indexOf('agent/support')] = 'A'.charCodeAt(0)
        return [changed]
      }
    },
    { name: 'X-28 P-384 and SHA-384', want: 'valid', ...by({ keyKind: 'P-384' }, { hash: 'sha384', keyKind: 'P-384' }) },
    { name: 'X-28 P-521 and SHA-512', want: 'valid', ...by({ keyKind: 'P-521' }, { hash: 'sha512', keyKind: 'P-521' }) },
    { name: 'X-28 Ed25519', want: 'valid', ...by({ keyKind: 'Ed25519' }, { keyKind: 'Ed25519' }) },
    { name: 'X-28 RSA of 2048 bits', want: 'valid', ...by({ key: rsaKey }, { key: rsaKey }) },
    { name: 'X-28 RSA-PSS', want: 'valid', ...by({ key: rsaKey }, { pss: true, hash: 'sha384' }) },
    { name: 'X-28 RSA of 1024 bits as issuer', want: 'X-28', ...by({ keyKind: 'RSA-1024' }) },
    { name: 'X-28 RSA of 1024 bits in the leaf', want: 'X-28', chain: leafOf({ keyKind: 'RSA-1024' }) },
    { name: 'X-28 another curve as issuer', want: 'X-28', ...by({ keyKind: 'secp256k1' }) },
    { name: 'X-28 another curve in the leaf', want: 'X-28', chain: leafOf({ keyKind: 'secp256k1' }) },
    { name: 'X-28 ECDSA with SHA-1', want: 'X-28', chain: leafOf({ hash: 'sha1' }) },
    { name: 'X-28 ECDSA with SHA-224', want: 'X-28', chain: leafOf({ hash: 'sha224' }) },
    { name: 'X-28 RSA with SHA-1', want: 'X-28', ...by({ key: rsaKey }, { hash: 'sha1' }) },
    {
      name: 'X-28 an algorithm of another family than the key',
      want: 'X-28',
      ...by({ key: rsaKey }, { editTbs: withAlgorithm(ecdsaSha256), outerAlgorithm: ecdsaSha256 })
    },
    { name: 'X-28 a weak signature on the root itself, which nobody relies on', want: 'valid', ...by({ hash: 'sha1' }) }
  ])
})

describe('validity', () => {
  const ends = (notBefore: number, notAfter: number) => ({ notBefore, notAfter })
  const expiredRoot = authority({ name: 'old root', ...ends(NOW - 2 * HOUR, NOW - SECOND) })
  check([
    { name: 'X-15 in the last second of the leaf', want: 'valid', chain: leafOf(ends(NOW - HOUR, NOW)) },
    { name: 'X-15 one second after the end of the leaf', want: 'X-15 expired', chain: leafOf(ends(NOW - HOUR, NOW - SECOND)) },
    { name: 'X-15 one millisecond after the end of the leaf', want: 'X-15 expired', chain: leafOf(ends(NOW - HOUR, NOW)), now: NOW + 1 },
    {
      name: 'X-15 leaf and intermediate ended, the leaf first',
      want: 'X-15 expired',
      chain: leafBelow(ends(NOW - 2 * HOUR, NOW - MINUTE), ends(NOW - HOUR, NOW - 2 * MINUTE))
    },
    {
      name: 'X-15 an expired leaf of a stranger is untrusted, not expired',
      want: 'X-14',
      chain: leafOf({ ...ends(NOW - HOUR, NOW - SECOND), tampered: true })
    },
    { name: 'X-15 an intermediate in its last second', want: 'valid', chain: leafBelow(ends(NOW - HOUR, NOW)) },
    { name: 'X-15 an intermediate one second after its end', want: 'X-15', chain: leafBelow(ends(NOW - HOUR, NOW - SECOND)) },
    { name: 'X-15 an intermediate that begins tomorrow', want: 'X-15', chain: leafBelow(ends(NOW + 20 * HOUR, NOW + 24 * HOUR)) },
    {
      name: 'X-15 a root after its end',
      want: 'X-15',
      chain: async () => (await svid(await expiredRoot)).chain,
      anchors: async () => [await expiredRoot]
    },
    { name: 'X-15 dates beyond 2049', want: 'valid', chain: leafOf(ends(NOW - HOUR, Date.UTC(2050, 0, 1))) },
    { name: 'X-29 a leaf that begins in five seconds, within the skew', want: 'valid', chain: leafOf(ends(NOW + 5 * SECOND, NOW + HOUR)) },
    { name: 'X-29 a leaf that begins in six seconds', want: 'X-15', chain: leafOf(ends(NOW + 6 * SECOND, NOW + HOUR)) },
    {
      name: 'X-29 the skew does not help a leaf that ended two seconds ago',
      want: 'X-15 expired',
      chain: leafOf(ends(NOW - HOUR, NOW - 2 * SECOND))
    }
  ])

  it('X-15 the verdict holds from the latest beginning to the earliest end on the path', async () => {
    const short = await authority({ name: 'short', parent: root, ...ends(NOW - SECOND, NOW + MINUTE) })
    const verdict = verifyX509Svid((await svid(short, { serial: 'c0ffee' })).chain, TRUST, NOW)
    expect(verdict).toMatchObject({ ok: true, notBefore: NOW - SECOND, notAfter: NOW + MINUTE, serial: 'c0ffee' })
    expect(verdict).toMatchObject({ id: { text: ID, trustDomain: 'vec.test' }, leaf: ends(NOW - MINUTE, NOW + HOUR) })
  })

  it("X-14 the verdict carries the leaf's own public key", async () => {
    const leaf = await svid(root)
    const verdict = verifyX509Svid(leaf.chain, TRUST, NOW)
    const spki = createPublicKey(leaf.key).export({ type: 'spki', format: 'der' })
    expect(verdict.ok && Buffer.compare(verdict.leaf.spki, spki)).toBe(0)
  })
})

/** Writes another signature algorithm into the signed part. */
function withAlgorithm(algorithm: Uint8Array): (tbs: Uint8Array) => Uint8Array {
  const rsaSha256 = seq(oid('1.2.840.113549.1.1.11'), nil())
  return (tbs) => replaced(tbs, rsaSha256, algorithm)
}
