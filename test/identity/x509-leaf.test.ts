import { describe } from 'vitest'
import { EKU, EMPTY_NAME, type SvidSpec } from '../support/ca.ts'
import { check, ID, leafBelow, leafOf, mid, type Row } from '../support/chains.ts'

const idRow = (rule: string, what: string, uri: string | Uint8Array, want: string): Row => ({
  name: `${rule} ${what}`,
  want,
  chain: leafOf({ uris: [uri] })
})

describe('the leaf states an identity', () => {
  check([
    { name: 'X-1 one URI SAN', want: 'valid', chain: leafOf({}) },
    { name: 'X-1 two URI SANs', want: 'X-1', chain: leafOf({ uris: [ID, 'spiffe://vec.test/admin'] }) },
    { name: 'X-1 the same URI SAN twice', want: 'X-1', chain: leafOf({ uris: [ID, ID] }) },
    { name: 'X-1 a second URI SAN of another scheme', want: 'X-1', chain: leafOf({ uris: [ID, 'https://x.test'] }) },
    {
      name: 'X-1 no URI SAN, and a DNS SAN that looks like an ID',
      want: 'X-1',
      chain: leafOf({ uris: [], dns: ['spiffe://vec.test/admin'] })
    },
    { name: 'X-1 no SAN extension at all', want: 'X-1', chain: leafOf({ sans: null }) },
    { name: 'X-2 two DNS SANs beside the URI', want: 'valid', chain: leafOf({ dns: ['a.test', 'b.test'] }) },
    {
      name: 'X-2 SANs of every other type',
      want: 'valid',
      chain: leafOf({
        sans: [
          { type: 'email', value: 'ops@vec.test' },
          { type: 'uri', value: ID },
          { type: 'ip', value: Uint8Array.of(10, 0, 0, 1) },
          { type: 'dns', value: 'x;URI=spiffe://vec.test/admin' }
        ]
      })
    },
    { name: 'X-4 an ID with a path of one segment', want: 'valid', chain: leafOf({ id: 'spiffe://vec.test/a' }) },
    { name: 'X-4 ID-20 the ID of the trust domain', want: 'X-4', chain: leafOf({ id: 'spiffe://vec.test' }) },
    { name: 'X-5 an empty subject with a critical SAN', want: 'valid', chain: leafOf({ subject: EMPTY_NAME, sanCritical: true }) },
    { name: 'X-5 an empty subject with a SAN that is not critical', want: 'X-5', chain: leafOf({ subject: EMPTY_NAME }) },
    { name: 'X-5 a subject with a critical SAN', want: 'valid', chain: leafOf({ sanCritical: true }) }
  ])
})

describe('the ID follows the grammar', () => {
  check([
    idRow('X-3', 'marks and digits', 'spiffe://vec.test/a.b-c_d/0', 'valid'),
    idRow('X-3', 'a URI that is no SPIFFE ID', 'https://vec.test/admin', 'X-3'),
    idRow('X-3', 'an upper-case scheme', 'SPIFFE://vec.test/db', 'X-3'),
    idRow('X-3', 'an upper-case trust domain', 'spiffe://Vec.test/db', 'X-3'),
    idRow('X-3', 'a trailing slash and no path', 'spiffe://vec.test/', 'X-3'),
    idRow('X-3', 'a trailing slash', 'spiffe://vec.test/db/', 'X-3'),
    idRow('X-3', 'percent-encoding', 'spiffe://vec.test/%61dmin', 'X-3'),
    idRow('X-3', 'dot segments', 'spiffe://vec.test/a/../b', 'X-3'),
    idRow('X-3', 'a query', 'spiffe://vec.test/db?x', 'X-3'),
    idRow('X-3', 'an empty fragment', 'spiffe://vec.test/db#', 'X-3'),
    idRow('X-3', 'a port', 'spiffe://vec.test:443/db', 'X-3'),
    idRow('X-3', 'user information', 'spiffe://ops@vec.test/db', 'X-3'),
    idRow('X-3', 'a comma', 'spiffe://vec.test/a,By=spiffe://vec.test/gw', 'X-3'),
    idRow('X-3', 'a semicolon', 'spiffe://vec.test/a;URI=spiffe://vec.test/admin', 'X-3'),
    idRow('X-3', 'a NUL', Buffer.from('spiffe://vec.test/a\0b', 'latin1'), 'X-3'),
    idRow('X-3', 'a newline', Buffer.from('spiffe://vec.test/a\nb', 'latin1'), 'X-3'),
    idRow('X-3', 'a letter in UTF-8', 'spiffe://vec.test/é', 'X-3'),
    idRow('X-3', 'a letter in Latin-1', Buffer.from('spiffe://vec.test/é', 'latin1'), 'X-3'),
    idRow('X-3', 'an empty URI', '', 'X-3'),
    idRow('X-3', 'a URI of 2048 bytes', `spiffe://vec.test/${'a'.repeat(2030)}`, 'valid'),
    idRow('X-3', 'a URI of 2049 bytes', `spiffe://vec.test/${'a'.repeat(2031)}`, 'X-3')
  ])
})

describe('the leaf is fit to authenticate', () => {
  const usages = (...keyUsages: NonNullable<SvidSpec['keyUsages']>[number][]) => leafOf({ keyUsages })
  check([
    { name: 'X-6 basic constraints left out', want: 'valid', chain: leafOf({ basicConstraints: null }) },
    { name: 'X-6 a leaf that says it is a CA', want: 'X-6', chain: leafOf({ basicConstraints: { ca: true } }) },
    { name: 'X-7 digitalSignature and keyAgreement', want: 'valid', chain: usages('digitalSignature', 'keyAgreement') },
    { name: 'X-7 digitalSignature and keyCertSign', want: 'X-7', chain: usages('digitalSignature', 'keyCertSign') },
    { name: 'X-8 digitalSignature and cRLSign', want: 'X-8', chain: usages('digitalSignature', 'cRLSign') },
    { name: 'X-9 digitalSignature alone', want: 'valid', chain: usages('digitalSignature') },
    { name: 'X-9 keyAgreement alone', want: 'X-9', chain: usages('keyAgreement') },
    { name: 'X-9 no usage at all in the extension', want: 'X-9', chain: usages() },
    { name: 'X-9 key usage left out', want: 'X-9', chain: leafOf({ keyUsages: null }) },
    { name: 'X-9 key usage that is not critical', want: 'X-9', chain: leafOf({ keyUsageCritical: false }) },
    { name: 'X-10 extended key usage left out', want: 'valid', chain: leafOf({ eku: null }) },
    { name: 'X-10 both and one more', want: 'valid', chain: leafOf({ eku: [EKU.codeSigning, EKU.clientAuth, EKU.serverAuth] }) },
    { name: 'X-10 both, critical', want: 'valid', chain: leafOf({ ekuCritical: true }) },
    { name: 'X-10 serverAuth only', want: 'X-10', chain: leafOf({ eku: [EKU.serverAuth] }) },
    { name: 'X-10 clientAuth only', want: 'X-10', chain: leafOf({ eku: [EKU.clientAuth] }) },
    { name: 'X-10 an issuer for any usage', want: 'valid', chain: leafBelow({ eku: ['2.5.29.37.0'] }) },
    { name: 'X-10 an issuer for both ends of TLS', want: 'valid', chain: leafBelow({ eku: [EKU.serverAuth, EKU.clientAuth] }) },
    { name: 'X-10 an issuer for code signing only', want: 'X-10', chain: leafBelow({ eku: [EKU.codeSigning] }) },
    { name: 'X-11 an intermediate in the place of the leaf', want: 'X-11', chain: async () => mid.chain },
    {
      name: 'X-11 a signing certificate with the ID of a workload',
      want: 'X-11',
      chain: leafOf({ basicConstraints: { ca: true }, keyUsages: ['keyCertSign', 'digitalSignature'] })
    }
  ])
})
