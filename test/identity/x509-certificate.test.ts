import { createPublicKey } from 'node:crypto'
import { describe } from 'vitest'
import { EXTENSION, sanExtension } from '../support/ca.ts'
import { type Chain, check, HOUR, ID, leafBelow, leafOf, MINUTE, NOW, replaced, root, rsaKey, svid } from '../support/chains.ts'
import { bool, concat, context, int, name, nil, octets, oid, seq, time, tlv } from '../support/der-write.ts'

const one = (type: string, value: Uint8Array, critical = false) => ({ extensions: [{ oid: type, critical, value }] })

describe('extensions', () => {
  const unknown = (critical: boolean) => ({ extensions: [{ oid: '1.3.6.1.4.1.99999.1', critical, value: octets(Uint8Array.of(1)) }] })
  const keyId = octets(Uint8Array.of(1, 2, 3))
  const subtrees = (kind: number, ...more: readonly Uint8Array[]): Uint8Array =>
    context(kind, true, seq(tlv(0x86, Buffer.from(kind === 0 ? 'vec.test' : 'other.test')), ...more))
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
      name: 'X-27 an unknown extension whose flag is written as FALSE',
      want: 'X-27',
      chain: leafOf({ extensions: [{ oid: '1.2.3', flag: bool(false), value: nil() }] })
    },
    {
      name: 'X-27 an unknown extension whose flag is a number',
      want: 'X-27',
      chain: leafOf({ extensions: [{ oid: '1.2.3', flag: int(1), value: nil() }] })
    },
    { name: 'X-27 an extended key usage without usages', want: 'X-27', chain: leafOf({ eku: [] }) },
    {
      name: 'X-27 an extended key usage of numbers',
      want: 'X-27',
      chain: leafOf({ eku: null, ...one(EXTENSION.extendedKeyUsage, seq(int(1))) })
    },
    {
      name: 'X-27 basic constraints with three parts',
      want: 'X-27',
      chain: leafBelow({ basicConstraints: null, ...one(EXTENSION.basicConstraints, seq(bool(true), int(1), int(1))) })
    },
    {
      name: 'X-27 basic constraints that are no list',
      want: 'X-27',
      chain: leafOf({ basicConstraints: null, ...one(EXTENSION.basicConstraints, bool(true)) })
    },
    {
      name: 'X-27 a negative path length',
      want: 'X-27',
      chain: leafBelow({ basicConstraints: null, ...one(EXTENSION.basicConstraints, seq(bool(true), tlv(2, Uint8Array.of(0xff)))) })
    },
    { name: 'X-27 name constraints without any', want: 'X-27', chain: leafBelow({ nameConstraints: {} }) },
    {
      name: 'X-27 name constraints in the wrong order',
      want: 'X-27',
      chain: leafBelow(one(EXTENSION.nameConstraints, seq(subtrees(1), subtrees(0)), true))
    },
    {
      name: 'X-27 name constraints in the right order',
      want: 'valid',
      chain: leafBelow(one(EXTENSION.nameConstraints, seq(subtrees(0), subtrees(1)), true))
    },
    {
      name: 'X-27 name constraints of a third kind',
      want: 'X-27',
      chain: leafBelow(one(EXTENSION.nameConstraints, seq(subtrees(2)), true))
    },
    {
      name: 'X-27 a name constraint with a minimum',
      want: 'X-27',
      chain: leafBelow(one(EXTENSION.nameConstraints, seq(subtrees(0, tlv(0x80, Uint8Array.of(1)))), true))
    },
    {
      name: 'X-27 an empty list of permitted names',
      want: 'X-27',
      chain: leafBelow(one(EXTENSION.nameConstraints, seq(context(0, true)), true))
    },
    {
      name: 'X-27 a subject key identifier that is a number',
      want: 'X-27',
      chain: leafOf({ subjectKeyId: null, ...one(EXTENSION.subjectKeyId, int(1)) })
    },
    {
      name: 'X-27 an authority key identifier that is a number',
      want: 'X-27',
      chain: leafOf({ authorityKeyId: null, ...one(EXTENSION.authorityKeyId, int(1)) })
    },
    {
      name: 'X-27 a key usage that is a number',
      want: 'X-27',
      chain: leafOf({ keyUsages: null, ...one(EXTENSION.keyUsage, int(1), true) })
    },
    {
      name: 'X-27 another name that is no DER',
      want: 'X-27',
      chain: leafOf({ sans: null, ...one(EXTENSION.subjectAltName, seq(tlv(0xa0, Uint8Array.of(6, 9)))) })
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
    {
      name: 'X-27 an authority key identifier with the issuer of its issuer',
      want: 'valid',
      chain: authorityKey(tlv(0xa1, tlv(0xa4, name([['2.5.4.3', 'root']]))), tlv(0x82, Uint8Array.of(1)))
    },
    {
      name: 'X-27 an authority key identifier with an issuer that is no name',
      want: 'X-27',
      chain: authorityKey(tlv(0xa1, int(1)), tlv(0x82, Uint8Array.of(1)))
    },
    { name: 'X-27 an authority key identifier without a digit in its serial number', want: 'X-27', chain: authorityKey(tlv(0x82)) },
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

describe('names of types that nothing reads', () => {
  const beside = (other: Uint8Array) => leafOf({ sans: null, ...one(EXTENSION.subjectAltName, seq(other, tlv(0x86, Buffer.from(ID)))) })
  const text = tlv(0x0c, Buffer.from('a'))
  check([
    { name: 'X-27 another name beside', want: 'valid', chain: beside(tlv(0xa0, oid('1.2.3'), tlv(0xa0, text))) },
    { name: 'X-27 another name without its type', want: 'X-27', chain: beside(tlv(0xa0, tlv(0xa0, text))) },
    { name: 'X-27 another name of two values', want: 'X-27', chain: beside(tlv(0xa0, oid('1.2.3'), tlv(0xa0, text, text))) },
    { name: 'X-27 another name with something behind', want: 'X-27', chain: beside(tlv(0xa0, oid('1.2.3'), tlv(0xa0, text), nil())) },
    { name: 'X-27 a directory name beside', want: 'valid', chain: beside(tlv(0xa4, name([['2.5.4.3', 'a']]))) },
    { name: 'X-27 a directory name that is a number', want: 'X-27', chain: beside(tlv(0xa4, int(1))) },
    { name: 'X-27 two directory names in one', want: 'X-27', chain: beside(tlv(0xa4, name([['2.5.4.3', 'a']]), name([['2.5.4.3', 'b']]))) },
    { name: 'X-27 an EDI name beside', want: 'valid', chain: beside(tlv(0xa5, tlv(0xa0, text), tlv(0xa1, text))) },
    { name: 'X-27 an EDI name without an assigner', want: 'valid', chain: beside(tlv(0xa5, tlv(0xa1, text))) },
    { name: 'X-27 an EDI name of an assigner only', want: 'X-27', chain: beside(tlv(0xa5, tlv(0xa0, text))) },
    { name: 'X-27 an EDI name of three parts', want: 'X-27', chain: beside(tlv(0xa5, tlv(0xa0, text), nil(), tlv(0xa1, text))) },
    { name: 'X-27 a registered ID beside', want: 'valid', chain: beside(tlv(0x88, Uint8Array.of(0x2a, 0x03))) },
    { name: 'X-27 a registered ID that does not end', want: 'X-27', chain: beside(tlv(0x88, Uint8Array.of(0x2a, 0x83))) }
  ])
})

describe('the form of a certificate', () => {
  const ECDSA = seq(oid('1.2.840.10045.4.3.2'))
  const ECDSA_MORE = appended(appended(ECDSA, nil()), nil())
  const VALIDITY = seq(time(NOW - MINUTE), time(NOW + HOUR))
  const UNIQUE = tlv(0x81, Uint8Array.of(0, 1))
  const RSA_SPKI = new Uint8Array(createPublicKey(rsaKey).export({ type: 'spki', format: 'der' }))
  const BARE = { basicConstraints: null, keyUsages: null, eku: null, sans: null, subjectKeyId: null, authorityKeyId: null }
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
    { name: 'X-27 a fourth field in the certificate', want: 'X-27', chain: spoiled((der) => appended(der, nil())) },
    {
      name: 'X-27 a signature of bits that do not fill a byte',
      want: 'X-27',
      chain: spoiled((der) => withSignature(der, (bytes) => tlv(3, Uint8Array.of(1), bytes.subarray(1, -1), Uint8Array.of(0))))
    },
    { name: 'X-27 a signature that is a byte string', want: 'X-27', chain: spoiled((der) => withSignature(der, (bytes) => octets(bytes))) },
    { name: 'X-27 a signed part that is no DER', want: 'X-27', chain: leafOf({ editTbs: () => tlv(0x30, Uint8Array.of(2, 5, 0)) }) },
    { name: 'X-27 three dates', want: 'X-27', chain: leafOf({ editTbs: (tbs) => replaced(tbs, VALIDITY, appended(VALIDITY, time(NOW))) }) },
    { name: 'X-27 one date', want: 'X-27', chain: leafOf({ editTbs: (tbs) => replaced(tbs, VALIDITY, seq(time(NOW))) }) },
    {
      name: 'X-27 a date that is a number',
      want: 'X-27',
      chain: leafOf({ editTbs: (tbs) => replaced(tbs, VALIDITY, seq(time(NOW - MINUTE), int(1))) })
    },
    {
      name: 'X-27 an algorithm without OID',
      want: 'X-27',
      chain: leafOf({ editTbs: (tbs) => replaced(tbs, ECDSA, seq(nil())), outerAlgorithm: seq(nil()) })
    },
    {
      name: 'X-27 an algorithm with one parameter too many',
      want: 'X-27',
      chain: leafOf({ editTbs: (tbs) => replaced(tbs, ECDSA, ECDSA_MORE), outerAlgorithm: ECDSA_MORE })
    },
    {
      name: 'X-27 a unique identifier, which nobody uses',
      want: 'valid',
      chain: leafOf({ key: rsaKey, editTbs: (tbs) => replaced(tbs, RSA_SPKI, concat(RSA_SPKI, UNIQUE)) })
    },
    {
      name: 'X-27 a unique identifier that is no bit string',
      want: 'X-27',
      chain: leafOf({ key: rsaKey, editTbs: (tbs) => replaced(tbs, RSA_SPKI, concat(RSA_SPKI, tlv(0x82, Buffer.from('a.test')))) })
    },
    { name: 'X-27 a unique identifier after the extensions', want: 'X-27', chain: leafOf({ editTbs: (tbs) => appended(tbs, UNIQUE) }) },
    {
      name: 'X-27 a field that RFC 5280 does not know',
      want: 'X-27',
      chain: leafOf({ editTbs: (tbs) => appended(tbs, context(4, false)) })
    },
    {
      name: 'X-27 a list of extensions that is empty',
      want: 'X-27',
      chain: leafOf({ ...BARE, editTbs: (tbs) => appended(tbs, context(3, true, seq())) })
    },
    { name: 'X-9 no extensions at all', want: 'X-9', chain: leafOf(BARE) },
    { name: 'X-27 a name that is a set', want: 'X-27', chain: leafOf({ subject: tlv(0x31) }) },
    {
      name: 'X-27 a name whose part has two values',
      want: 'X-27',
      chain: leafOf({ subject: seq(tlv(0x31, seq(oid('2.5.4.10'), tlv(0x0c), nil()))) })
    },
    { name: 'X-27 a name in bits', want: 'valid', chain: leafOf({ subject: subjectOf(tlv(3, Uint8Array.of(0, 1))) }) },
    { name: 'X-27 a name in bits with stray ones', want: 'X-27', chain: leafOf({ subject: subjectOf(tlv(3, Uint8Array.of(1, 1))) }) },
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

function bodyOf(element: Uint8Array): Uint8Array {
  const short = element[1] ?? 0
  return element.subarray(short < 0x80 ? 2 : 2 + (short & 0x7f))
}

function appended(sequence: Uint8Array, more: Uint8Array): Uint8Array {
  return seq(bodyOf(sequence), more)
}

/** Writes the signature of a certificate anew, given its content: a byte of unused bits and the bytes. */
function withSignature(der: Uint8Array, write: (content: Uint8Array) => Uint8Array): Uint8Array {
  const body = Buffer.from(bodyOf(der))
  const algorithm = seq(oid('1.2.840.10045.4.3.2'))
  const end = body.lastIndexOf(algorithm) + algorithm.length
  return seq(body.subarray(0, end), write(bodyOf(body.subarray(end))))
}
