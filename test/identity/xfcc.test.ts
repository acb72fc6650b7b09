import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseXfcc } from '../../src/identity/xfcc.ts'

const HASH = 'ab'.repeat(32)
const NONE = { hash: undefined, cert: undefined, chain: undefined, subject: undefined, by: [], uri: [], dns: [] }

describe('parseXfcc reads one element', () => {
  it.each([
    {
      name: 'P-7 all that Envoy writes, in its order',
      text: `By=spiffe://vec.test/gw;Hash=${HASH};Cert="-----BEGIN%20x";Chain="y%0A";Subject="CN=a,O=b;c";URI=spiffe://vec.test/a;DNS=a.test;DNS=b.test`,
      want: {
        by: ['spiffe://vec.test/gw'],
        hash: HASH,
        cert: '-----BEGIN%20x',
        chain: 'y%0A',
        subject: 'CN=a,O=b;c',
        uri: ['spiffe://vec.test/a'],
        dns: ['a.test', 'b.test']
      }
    },
    { name: 'P-7 keys in any case', text: `HASH=${HASH};uri=x`, want: { hash: HASH, uri: ['x'] } },
    { name: 'P-7 a value that is empty, as for a certificate without URI', text: 'URI=', want: { uri: [''] } },
    { name: 'P-7 a value with equals signs', text: 'Subject=CN=a', want: { subject: 'CN=a' } },
    { name: 'P-7 a quote escaped in a quoted value', text: String.raw`Subject="O=\"a\"";URI=x`, want: { subject: 'O="a"', uri: ['x'] } },
    { name: 'P-7 a subject that ends in a backslash', text: String.raw`Subject="O=a\\";URI=x`, want: { subject: 'O=a\\', uri: ['x'] } },
    { name: 'P-7 an escaped newline of RFC 2253', text: String.raw`Subject="O=a\0Ab"`, want: { subject: 'O=a0Ab' } },
    { name: 'P-7 two URI pairs, which a second URI SAN or a DNS SAN can cause', text: 'URI=a;URI=b', want: { uri: ['a', 'b'] } }
  ])('$name', ({ text, want }) => {
    expect(parseXfcc(text)).toEqual({ ok: true, element: { ...NONE, ...want } })
  })
})

describe('parseXfcc refuses', () => {
  it.each([
    { name: 'P-5 two elements', text: `Hash=${HASH};URI=a,Hash=${HASH};URI=b`, rule: 'P-5' },
    {
      name: 'P-5 an element that a URI SAN has written',
      text: `By=spiffe://vec.test/gw;Hash=${HASH};URI=spiffe://partner.test/x,By=spiffe://vec.test/gw;Hash=0;URI=spiffe://vec.test/admin`,
      rule: 'P-5'
    },
    { name: 'P-5 an empty second element', text: 'URI=a,', rule: 'P-5' },
    { name: 'P-5 a second element after a quoted value', text: 'Subject="a",URI=b', rule: 'P-5' },
    { name: 'P-7 an empty first element', text: ',URI=a', rule: 'P-7' },
    { name: 'P-7 nothing', text: '', rule: 'P-7' },
    { name: 'P-7 the JSON form', text: '[{"hash":"00"}]', rule: 'P-7' },
    { name: 'P-7 an unknown key', text: `Hash=${HASH};Role=admin`, rule: 'P-7' },
    { name: 'P-7 a key of every object', text: 'constructor=x', rule: 'P-7' },
    { name: 'P-7 a key with a space', text: `Hash=${HASH}; URI=a`, rule: 'P-7' },
    { name: 'P-7 no key', text: '=a', rule: 'P-7' },
    { name: 'P-7 no equals sign', text: `Hash=${HASH};URI`, rule: 'P-7' },
    { name: 'P-7 an empty pair', text: `Hash=${HASH};;URI=a`, rule: 'P-7' },
    { name: 'P-7 a semicolon at the end', text: `Hash=${HASH};`, rule: 'P-7' },
    { name: 'P-7 Hash twice', text: `Hash=${HASH};Hash=${HASH}`, rule: 'P-7' },
    { name: 'P-7 Cert twice, in two spellings', text: 'Cert="a";cert="a"', rule: 'P-7' },
    { name: 'P-7 Chain twice', text: 'Chain="a";Chain="b"', rule: 'P-7' },
    { name: 'P-7 Subject twice', text: 'Subject="";Subject=""', rule: 'P-7' },
    { name: 'P-7 a quote that does not end', text: 'Subject="a;URI=b', rule: 'P-7' },
    { name: 'P-7 a quote that ends in an escape', text: String.raw`Subject="a\"`, rule: 'P-7' },
    { name: 'P-7 something after a quoted value', text: 'Subject="a"b;URI=c', rule: 'P-7' },
    { name: 'P-7 a space between a quoted value and the next pair', text: 'Subject="a" URI=b', rule: 'P-7' },
    { name: 'P-7 a quote inside a plain value', text: 'URI=a"b', rule: 'P-7' },
    { name: 'P-7 a newline', text: 'URI=spiffe://vec.test/a\nb', rule: 'P-7' },
    { name: 'P-7 a NUL', text: 'URI=spiffe://vec.test/a\0b', rule: 'P-7' },
    { name: 'P-7 a tab in a quoted value', text: 'Subject="a\tb"', rule: 'P-7' },
    { name: 'P-7 a letter beyond ASCII', text: 'URI=spiffe://vec.test/é', rule: 'P-7' }
  ])('$name', ({ text, rule }) => {
    expect(parseXfcc(text)).toMatchObject({ ok: false, rule })
  })

  it('P-7 the JSON form with words that help', () => {
    expect(parseXfcc('[{"by":[]}]')).toMatchObject({ detail: 'XFCC is in its JSON form; set its format to TEXT' })
  })
})

describe('parseXfcc and what it was given', () => {
  it('P-7 reads back what was written, whatever a quoted value holds', () => {
    const printable = fc.string({ unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)), maxLength: 20 })
    fc.assert(
      fc.property(printable, printable, (subject, chain) => {
        const quoted = (text: string): string => `"${text.replaceAll(/[\\"]/g, '\\$&')}"`
        const result = parseXfcc(`Subject=${quoted(subject)};Chain=${quoted(chain)}`)
        expect(result).toEqual({ ok: true, element: { ...NONE, subject, chain } })
      })
    )
  })
})
