import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type DigestedRequest, requestDigest } from '../../src/core/request-digest.ts'

const digest = (request: DigestedRequest, meaning: readonly string[] = ['dbname']): string =>
  requestDigest(request, meaning, createHash('sha256'))
const request = (change: Partial<DigestedRequest> = {}, headers: Readonly<Record<string, string>> = {}): DigestedRequest => ({
  method: 'POST',
  authority: 'db.test',
  target: '/a?b=c',
  body: Buffer.from('{}'),
  ...change,
  headers: new Map(Object.entries({ 'content-type': 'application/json', ...headers }))
})

/** Each beside the request that it must not be taken for. */
const APART: readonly (readonly [string, DigestedRequest, DigestedRequest])[] = [
  ['another method', request(), request({ method: 'PUT' })],
  ['another authority', request(), request({ authority: 'db.test:443' })],
  ['another path', request(), request({ target: '/A?b=c' })],
  ['another query', request(), request({ target: '/a?b=d' })],
  ['a body that begins in the path', request(), request({ target: '/a?b=c{', body: Buffer.from('}') })],
  ['an authority that begins in the method', request(), request({ method: 'POSTd', authority: 'b.test' })],
  ['another content type', request(), request({}, { 'content-type': 'application/json; charset=utf-8' })],
  ['a content encoding', request(), request({}, { 'content-encoding': 'gzip' })],
  ['a grpc encoding', request(), request({}, { 'grpc-encoding': 'gzip' })],
  ['the encoding under another name', request({}, { 'content-encoding': 'gzip' }), request({}, { 'grpc-encoding': 'gzip' })],
  ['a header that changes meaning', request(), request({}, { dbname: 'acme' })],
  ['that header, empty', request(), request({}, { dbname: '' })],
  ['that header, with the word absent', request(), request({}, { dbname: 'absent' })],
  ['a body with a byte more', request(), request({ body: Buffer.from('{} ') })],
  ['no body', request(), request({ body: undefined })]
]

describe('the digest of a request', () => {
  it.each(APART)('T-13 tells %s apart', (_, one, other) => expect(digest(one)).not.toBe(digest(other)))

  it.each([
    ['a header that changes nothing', request(), request({}, { 'user-agent': 'x' })],
    ['an empty body instead of none', request({ body: undefined }), request({ body: Buffer.alloc(0) })]
  ])('T-13 is the same with %s', (_, one, other) => expect(digest(one)).toBe(digest(other)))

  it('T-13 does not depend on the order in which a dialect names its headers', () => {
    const call = request({}, { a: '1', b: '2' })
    expect(digest(call, ['b', 'a'])).toBe(digest(call, ['a', 'b']))
    expect(digest(call, ['a', 'b'])).not.toBe(digest(call, ['a']))
    expect(digest(call, ['a', 'b'])).not.toBe(digest(request({}, { a: '2', b: '1' }), ['a', 'b']))
  })

  it('T-13 is what this version says it is: another format would refuse all tokens of the one before', () => {
    const parts = ['18:vecauthz request 1', '4:POST', '7:db.test', '6:/a?b=c', '12:content-type', '7:present', '16:application/json']
    const rest = ['16:content-encoding', '6:absent', '13:grpc-encoding', '6:absent', '6:dbname', '6:absent', '4:body', '1:2']
    const head = Buffer.from([...parts, ...rest].join(''), 'utf16le')
    expect(digest(request())).toBe(createHash('sha256').update(head).update('{}').digest('base64url'))
  })

  it('T-13 two different requests never have one digest (property)', () => {
    const piece = fc.string({ maxLength: 3, unit: fc.constantFrom('a', '1', ':', '\ud800', '\udfff', 'é', '\0') })
    const header = fc.option(piece, { nil: undefined })
    const names = ['content-type', 'content-encoding', 'grpc-encoding', 'dbname'] as const
    const call = fc
      .tuple(piece, piece, piece, fc.tuple(header, header, header, header), piece)
      .map(([method, authority, target, values, body]) => {
        const headers = new Map(
          names.flatMap((name, at) => {
            const value = values[at]
            return value === undefined ? [] : [[name, value] as const]
          })
        )
        return { method, authority, target, headers, body: Buffer.from(body, 'utf16le') }
      })
    const same = (one: DigestedRequest): string =>
      JSON.stringify([one.method, one.authority, one.target, names.map((name) => one.headers.get(name) ?? null), one.body])
    fc.assert(
      fc.property(call, call, (one, other) => {
        expect(digest(one) === digest(other)).toBe(same(one) === same(other))
        expect(digest({ ...one })).toBe(digest(one))
      }),
      { numRuns: 2_000 }
    )
  })
})
