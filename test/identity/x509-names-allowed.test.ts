import { describe } from 'vitest'
import { EMPTY_NAME, type SvidSpec } from '../support/ca.ts'
import { authority, check, ID, leafBelow, type Row, root, svid } from '../support/chains.ts'
import { context, name, tlv } from '../support/der-write.ts'

describe('name constraints', () => {
  const below = (nameConstraints: NonNullable<SvidSpec['nameConstraints']>, leaf: SvidSpec = {}, id: string | null = 'spiffe://vec.test') =>
    leafBelow({ nameConstraints, id }, leaf)
  const onRoot = (host: string): Pick<Row, 'chain' | 'anchors'> => {
    const made = authority({ name: 'constrained root', nameConstraints: { permittedUris: [host] } })
    return { chain: async () => (await svid(await made)).chain, anchors: async () => [await made] }
  }
  const directory = context(4, true, name([['2.5.4.10', 'Elsewhere']]))
  const anyAddress = tlv(0x87, new Uint8Array(8))
  const mail = tlv(0x81, Buffer.from('vec.test'))
  check([
    { name: 'X-17 the host of the trust domain permitted', want: 'valid', chain: below({ permittedUris: ['vec.test'] }) },
    { name: 'X-17 the host permitted in upper case', want: 'valid', chain: below({ permittedUris: ['VEC.test'] }) },
    { name: 'X-17 one of two hosts permitted', want: 'valid', chain: below({ permittedUris: ['other.test', 'vec.test'] }) },
    { name: 'X-17 another host permitted', want: 'X-17', chain: below({ permittedUris: ['other.test'] }) },
    { name: 'X-17 another host permitted, not critical', want: 'X-17', chain: below({ permittedUris: ['other.test'], critical: false }) },
    { name: 'X-17 a longer name that ends in the host permitted', want: 'X-17', chain: below({ permittedUris: ['ec.test'] }) },
    { name: 'X-17 the parent domain permitted with a dot', want: 'valid', chain: below({ permittedUris: ['.test'] }) },
    { name: 'X-17 the parent domain permitted without a dot', want: 'X-17', chain: below({ permittedUris: ['test'] }) },
    {
      name: 'X-17 the host permitted with a dot, which means those below it',
      want: 'X-17',
      chain: below({ permittedUris: ['.vec.test'] })
    },
    { name: 'X-17 an empty host permitted', want: 'X-17', chain: below({ permittedUris: [''] }) },
    { name: 'X-17 a whole URI permitted', want: 'X-17', chain: below({ permittedUris: ['spiffe://vec.test'] }) },
    { name: 'X-17 another host excluded', want: 'valid', chain: below({ excludedUris: ['other.test'] }) },
    { name: 'X-17 the host excluded', want: 'X-17', chain: below({ excludedUris: ['vec.test'] }) },
    {
      name: 'X-17 the host permitted and excluded',
      want: 'X-17',
      chain: below({ permittedUris: ['vec.test'], excludedUris: ['vec.test'] })
    },
    { name: 'X-17 the parent domain excluded', want: 'X-17', chain: below({ excludedUris: ['.test'] }) },
    { name: 'X-17 something excluded that is no host', want: 'X-17', chain: below({ excludedUris: ['spiffe://other.test/'] }) },
    { name: 'X-17 on the anchor, permitted', want: 'valid', ...onRoot('vec.test') },
    { name: 'X-17 on the anchor, violated', want: 'X-17', ...onRoot('other.test') },
    { name: 'X-17 DNS names outside, and a leaf without', want: 'valid', chain: below({ permittedDns: ['other.test'] }) },
    {
      name: 'X-17 DNS names outside, and a leaf with one',
      want: 'X-17',
      chain: below({ permittedDns: ['other.test'] }, { dns: ['db.vec.test'] })
    },
    { name: 'X-17 DNS names inside', want: 'valid', chain: below({ permittedDns: ['vec.test'] }, { dns: ['db.vec.test', 'vec.test'] }) },
    {
      name: 'X-17 a DNS name beside the permitted one',
      want: 'X-17',
      chain: below({ permittedDns: ['vec.test'] }, { dns: ['dbvec.test'] })
    },
    { name: 'X-17 addresses excluded, critical, and a leaf without', want: 'X-17', chain: below({ excludedRaw: [anyAddress] }) },
    {
      name: 'X-17 addresses permitted, critical, and a leaf without',
      want: 'X-17',
      chain: below({ permittedRaw: [anyAddress] })
    },
    {
      name: 'X-17 addresses excluded beside the host permitted, critical',
      want: 'X-17',
      chain: below({ permittedUris: ['vec.test'], excludedRaw: [anyAddress] })
    },
    {
      name: 'X-17 addresses excluded, not critical, and a leaf without',
      want: 'valid',
      chain: below({ excludedRaw: [anyAddress], critical: false })
    },
    {
      name: 'X-17 addresses excluded, not critical, and a leaf with one',
      want: 'X-17',
      chain: below(
        { excludedRaw: [anyAddress], critical: false },
        {
          sans: [
            { type: 'uri', value: ID },
            { type: 'ip', value: Uint8Array.of(10, 0, 0, 1) }
          ]
        }
      )
    },
    {
      name: 'X-17 subjects constrained, not critical, and a leaf with one',
      want: 'X-17',
      chain: below({ permittedRaw: [directory], critical: false })
    },
    {
      name: 'X-17 subjects constrained, not critical, and a leaf without',
      want: 'valid',
      chain: below({ permittedRaw: [directory], critical: false }, { subject: EMPTY_NAME, sanCritical: true })
    },
    {
      name: 'X-17 subjects constrained, critical, and a leaf without',
      want: 'X-17',
      chain: below({ permittedRaw: [directory] }, { subject: EMPTY_NAME, sanCritical: true })
    },
    {
      name: 'X-17 mail constrained, not critical, which reaches into the subject',
      want: 'X-17',
      chain: below({ permittedRaw: [mail], critical: false })
    },
    {
      name: 'X-17 addresses constrained two levels up, critical',
      want: 'X-17',
      chain: async () => {
        const upper = await authority({ name: 'upper', parent: root, nameConstraints: { permittedRaw: [anyAddress] } })
        return (await svid(await authority({ name: 'lower', parent: upper }))).chain
      }
    },
    {
      name: 'X-17 an intermediate below the constrained one, with an ID outside',
      want: 'X-17',
      chain: async () => {
        const upper = await authority({ name: 'upper', parent: root, nameConstraints: { permittedUris: ['vec.test'] } })
        return (await svid(await authority({ name: 'lower', parent: upper, id: 'spiffe://other.test' }))).chain
      }
    },
    {
      name: 'X-17 an address as trust domain, which is no host name',
      want: 'X-17',
      chain: async () =>
        (await svid(await authority({ parent: root, nameConstraints: { permittedUris: ['10.1.2.3'] } }), { id: 'spiffe://10.1.2.3/db' }))
          .chain,
      anchors: [{ ...root, trustDomain: '10.1.2.3' }]
    }
  ])
})
