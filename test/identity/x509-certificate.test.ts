import { describe } from 'vitest'
import { EXTENSION, sanExtension } from '../support/ca.ts'
import { type Chain, check, ID, leafBelow, leafOf, replaced, root, svid } from '../support/chains.ts'
import { bool, concat, context, int, nil, octets, oid, seq, tlv } from '../support/der-write.ts'

describe('extensions', () => {
  const unknown = (critical: boolean) => ({ extensions: [{ oid: '1.3.6.1.4.1.99999.1', critical, value: octets(Uint8Array.of(1)) }] })
  const one = (type: string, value: Uint8Array, critical = false) => ({ extensions: [{ oid: type, critical, value }] })
  const keyId = octets(Uint8Array.of(1, 2, 3))
  const keyIdOf = tlv(0x80, root.keyId)
  const authorityKey = (...fields: readonly Uint8Array[]) =>
    leafOf({ authorityKeyId: null, ...one(EXTENSION.authorityKeyId, seq(...fields)) })
  check([
    { name: 'X-18 an unknown extension in the leaf', want: 'valid', chain: leafOf(unknown(false)) },
    { name: 'X-18 an unknown critical extension in the leaf', want: 'X-18', chain: leafOf(unknown(true)) },
    { name: 'X-18 an unknown extension in an intermediate', want: 'valid', chain: leafBelow(unknown(false)) },
    { name: 'X-18 an unknown critical extension in an intermediate', want: 'X-18', chain: leafBelow(unknown(true)) },
    {
      name: 'X-18 critical certificate policies, which are not processed',
      want: 'X-18',
      chain: leafOf(one('2.5.29.32', seq(seq(oid('2.5.29.32.0'))), true))
    },
    {
      name: 'X-18 critical policy constraints in an intermediate',
      want: 'X-18',
      chain: leafBelow(one('2.5.29.36', seq(context(0, false, Uint8Array.of(0))), true))
    },
    { name: 'X-18 a key identifier', want: 'valid', chain: leafOf({ subjectKeyId: null, ...one(EXTENSION.subjectKeyId, keyId) }) },
    {
      name: 'X-18 a critical key identifier, which RFC 5280 forbids',
      want: 'X-18',
      chain: leafOf({ subjectKeyId: null, ...one(EXTENSION.subjectKeyId, keyId, true) })
    },
    {
      name: 'X-27 the SAN extension twice',
      want: 'X-27',
      chain: leafOf(one(EXTENSION.subjectAltName, sanExtension([{ type: 'uri', value: 'spiffe://vec.test/admin' }])))
    },
    {
      name: 'X-27 an unknown extension twice',
      want: 'X-27',
      chain: leafOf({ extensions: [...unknown(false).extensions, ...unknown(false).extensions] })
    },
    { name: 'X-27 basic constraints twice in an intermediate', want: 'X-27', chain: leafBelow(one(EXTENSION.basicConstraints, seq())) },
    { name: 'X-27 a SAN extension without names', want: 'X-27', chain: leafOf({ sans: null, ...one(EXTENSION.subjectAltName, seq()) }) },
    {
      name: 'X-27 trailing bytes in a SAN extension',
      want: 'X-27',
      chain: leafOf({ sans: null, ...one(EXTENSION.subjectAltName, concat(sanExtension([{ type: 'uri', value: ID }]), nil())) })
    },
    {
      name: 'X-27 a SAN of a type that does not exist',
      want: 'X-27',
      chain: leafOf({ sans: null, ...one(EXTENSION.subjectAltName, seq(tlv(0x89, Buffer.from('x')))) })
    },
    {
      name: 'X-27 a constructed URI',
      want: 'X-27',
      chain: leafOf({ sans: null, ...one(EXTENSION.subjectAltName, seq(tlv(0xa6, tlv(0x16, Buffer.from(ID))))) })
    },
    {
      name: 'X-27 cA written as FALSE',
      want: 'X-27',
      chain: leafOf({ basicConstraints: null, ...one(EXTENSION.basicConstraints, seq(bool(false))) })
    },
    {
      name: 'X-27 cA written as 1',
      want: 'X-27',
      chain: leafOf({ basicConstraints: null, ...one(EXTENSION.basicConstraints, seq(tlv(1, Uint8Array.of(1)))) })
    },
    {
      name: 'X-27 an authority key identifier with a serial number',
      want: 'valid',
      chain: authorityKey(keyIdOf, tlv(0x82, Uint8Array.of(1)))
    },
    {
      name: 'X-27 an authority key identifier in the wrong order',
      want: 'X-27',
      chain: authorityKey(tlv(0x82, Uint8Array.of(1)), keyIdOf)
    },
    { name: 'X-27 an authority key identifier with a strange field', want: 'X-27', chain: authorityKey(tlv(0x01, Uint8Array.of(0xff))) },
    {
      name: 'X-27 a path length without cA',
      want: 'X-27',
      chain: leafOf({ basicConstraints: null, ...one(EXTENSION.basicConstraints, seq(int(0))) })
    },
    {
      name: 'X-27 a key usage with stray bits',
      want: 'X-27',
      chain: leafOf({ keyUsages: null, ...one(EXTENSION.keyUsage, tlv(3, Uint8Array.of(7, 0x81)), true) })
    }
  ])
})

describe('the form of a certificate', () => {
  const subjectOf = (value: Uint8Array): Uint8Array => seq(tlv(0x31, seq(oid('2.5.4.10'), value)))
  const EC_P256 = seq(oid('1.2.840.10045.2.1'), oid('1.2.840.10045.3.1.7'))
  const spoiled = (edit: (der: Uint8Array) => Uint8Array) => async (): Promise<Chain> => [edit((await svid(root)).der)]
  check([
    { name: 'X-27 one byte after the certificate', want: 'X-27', chain: spoiled((der) => concat(der, Uint8Array.of(0))) },
    { name: 'X-27 one byte missing', want: 'X-27', chain: spoiled((der) => der.subarray(0, -1)) },
    { name: 'X-27 no byte at all', want: 'X-27', chain: async () => [new Uint8Array()] },
    {
      name: 'X-27 a length in more bytes than needed',
      want: 'X-27',
      chain: spoiled((der) => concat(Uint8Array.of(0x30, 0x83, 0), der.subarray(2)))
    },
    {
      name: 'X-27 an indefinite length',
      want: 'X-27',
      chain: spoiled((der) => concat(Uint8Array.of(0x30, 0x80), der.subarray(4), Uint8Array.of(0, 0)))
    },
    { name: 'X-27 a certificate of version 1', want: 'X-27', chain: leafOf({ version: 0 }) },
    { name: 'X-27 a certificate of version 4', want: 'X-27', chain: leafOf({ version: 3 }) },
    { name: 'X-27 inner and outer algorithm differ', want: 'X-27', chain: leafOf({ outerAlgorithm: seq(oid('1.2.840.10045.4.3.3')) }) },
    { name: 'X-27 a serial number of 20 bytes', want: 'valid', chain: leafOf({ serial: `7${'f'.repeat(39)}` }) },
    { name: 'X-27 a serial number of 21 bytes', want: 'X-27', chain: leafOf({ serial: `8${'f'.repeat(39)}` }) },
    {
      name: 'X-27 a negative serial number',
      want: 'X-27',
      chain: leafOf({ editTbs: (tbs) => replaced(tbs, int(0x7654n), tlv(2, Uint8Array.of(0x86, 0x54))), serial: 0x7654n })
    },
    { name: 'X-27 a name in broken UTF-8', want: 'X-27', chain: leafOf({ subject: subjectOf(tlv(0x0c, Uint8Array.of(0xc3, 0x28))) }) },
    { name: 'X-27 a name in PrintableString', want: 'valid', chain: leafOf({ subject: subjectOf(tlv(0x13, Buffer.from('SPIRE'))) }) },
    { name: 'X-27 a name in BMPString', want: 'valid', chain: leafOf({ subject: subjectOf(tlv(0x1e, Uint8Array.of(0, 0x53))) }) },
    { name: 'X-27 a name in half a BMPString', want: 'X-27', chain: leafOf({ subject: subjectOf(tlv(0x1e, Uint8Array.of(0))) }) },
    { name: 'X-27 a name in no type of string', want: 'X-27', chain: leafOf({ subject: subjectOf(tlv(0x4c, Buffer.from('SPIRE'))) }) },
    { name: 'X-27 a name with an empty part', want: 'X-27', chain: leafOf({ subject: seq(tlv(0x31)) }) },
    {
      name: 'X-27 a key algorithm without OID',
      want: 'X-27',
      chain: leafOf({ editTbs: (tbs) => replaced(tbs, EC_P256, seq(octets(new Uint8Array(7)), oid('1.2.840.10045.3.1.7'))) })
    },
    {
      name: 'X-28 a key algorithm nobody knows',
      want: 'X-28',
      chain: leafOf({ editTbs: (tbs) => replaced(tbs, EC_P256, seq(oid('1.2.840.10045.2.9'), oid('1.2.840.10045.3.1.7'))) })
    },
    { name: 'X-27 a malformed extra certificate', want: 'X-27', chain: async () => [...(await svid(root)).chain, Uint8Array.of(0x30, 0)] }
  ])
})
