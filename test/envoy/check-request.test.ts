import { CheckRequest } from '@envoyproxy/protos/auth'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BODY_BYTES_MAX } from '../../src/core/limits.ts'
import { readCheckRequest } from '../../src/envoy/check-request.ts'
import { type CheckParts, checkRequest } from '../support/check-request.ts'

function kindOf(parts: CheckParts): string {
  const read = readCheckRequest(checkRequest(parts))
  return read.ok ? 'read' : read.reason.kind
}

const BODY = '{"ids":["a"]}'

describe('CheckRequest → Inbound', () => {
  it('keeps path, body, certificate and single headers exactly', () => {
    const body = Buffer.from([0x7b, 0xff, 0x00, 0x7d])
    const read = readCheckRequest(
      checkRequest({ path: '/a?b=%20', body, certificate: 'CERT', principal: 'P', headers: [['x-a', 'caf\xe9']] })
    )
    expect(
      read.ok && { ...read.value, headers: read.value.headers.get('x-a'), body: Buffer.compare(read.value.body as Buffer, body) }
    ).toEqual({
      method: 'POST',
      target: '/a?b=%20',
      authority: 'chroma.demo.vecauthz.test',
      headers: 'caf\xe9',
      body: 0,
      bodyBytesMax: 1_048_576,
      peerCertificate: 'CERT',
      peerPrincipal: 'P',
      httpId: '12345',
      strippedCredentials: [],
      grpc: false
    })
  })

  it('takes bodies of the length that its port takes', () => {
    const kindOf = (bytes: number, most?: number) => {
      const read = readCheckRequest(checkRequest({ body: Buffer.alloc(bytes) }), most)
      return read.ok ? 'read' : read.reason.kind
    }
    expect([kindOf(1_048_576), kindOf(1_048_577), kindOf(4_000_000, 4_000_000), kindOf(4_000_001, 4_000_000)]).toEqual([
      'read',
      'call-too-large',
      'read',
      'call-too-large'
    ])
  })

  it('reads the joined map and the raw header list alike', () => {
    for (const form of ['raw', 'map'] as const) {
      const read = readCheckRequest(checkRequest({ form, headers: [['x-a', '1']] }))
      expect(read.ok && read.value.headers.get('x-a')).toBe('1')
    }
  })

  const rows: readonly (CheckParts & { name: string; want: string })[] = [
    { name: 'a whole body', body: BODY, want: 'read' },
    { name: 'a mark of a cut body that Envoy does not write', body: BODY, partial: 'True', want: 'call-too-large' },
    { name: 'a body Envoy cut (hole 1)', body: BODY, partial: 'true', size: 200, want: 'call-too-large' },
    { name: 'a cut body whose mark was lost', body: BODY, size: 200, want: 'call-unreadable' },
    { name: 'a body repacked as text', textBody: BODY, headers: [['content-length', '13']], want: 'call-unreadable' },
    { name: 'an announced body that did not come', headers: [['content-length', '13']], want: 'call-unreadable' },
    { name: 'an announced empty body', headers: [['content-length', '0']], want: 'read' },
    { name: 'a chunked body that did not come', headers: [['transfer-encoding', 'chunked']], want: 'call-unreadable' },
    { name: 'a chunked body', body: BODY, headers: [['transfer-encoding', 'chunked']], want: 'read' },
    { name: 'a content-length that is a list', body: BODY, headers: [['content-length', '13, 13']], want: 'call-ambiguous' },
    { name: 'a content-length with a sign', body: BODY, headers: [['content-length', '+13']], want: 'call-ambiguous' },
    { name: 'two accept headers', headers: [['accept', 'a'], ['accept', 'b']], want: 'read' }, // biome-ignore format: rows
    { name: 'two authorization headers', headers: [['authorization', 'a'], ['authorization', 'a']], want: 'call-ambiguous' }, // biome-ignore format: rows
    { name: 'two content-type headers', body: BODY, headers: [['content-type', 'application/json'], ['content-type', 'text/x']], want: 'call-ambiguous' }, // biome-ignore format: rows
    { name: 'two XFCC headers', headers: [['x-forwarded-client-cert', 'a'], ['x-forwarded-client-cert', 'b']], want: 'call-ambiguous' }, // biome-ignore format: rows
    { name: 'two headers nobody knows', headers: [['x-new', 'a'], ['x-new', 'b']], want: 'call-ambiguous' }, // biome-ignore format: rows
    { name: 'a header name in capitals', headers: [['X-A', 'a']], want: 'call-ambiguous' },
    { name: 'a :path that differs', headers: [[':path', '/other']], want: 'call-ambiguous' },
    { name: 'a path of 4 KiB', path: `/${'a'.repeat(4095)}`, want: 'read' },
    { name: 'a path one byte longer', path: `/${'a'.repeat(4096)}`, want: 'call-too-large' },
    { name: 'an authority one byte longer', host: 'a'.repeat(4097), want: 'call-too-large' },
    { name: 'no path', path: '', want: 'call-unreadable' }
  ]
  it.each(rows)('$name → $want', ({ name: _, want, ...parts }) => {
    expect(kindOf(parts)).toBe(want)
  })

  it('a body above the limit is refused though Envoy did not cut it', () => {
    expect(kindOf({ body: Buffer.alloc(BODY_BYTES_MAX) })).toBe('read')
    expect(kindOf({ body: Buffer.alloc(BODY_BYTES_MAX + 1) })).toBe('call-too-large')
  })

  it('both header forms at once are refused', () => {
    const http = {
      method: 'GET',
      path: '/',
      host: 'a',
      headers: { a: 'b' },
      headerMap: { headers: [{ key: 'a', rawValue: Buffer.from('c') }] }
    }
    const bytes = Buffer.from(CheckRequest.encode(CheckRequest.fromPartial({ attributes: { request: { http } } })).finish())
    expect(readCheckRequest(bytes)).toMatchObject({ ok: false, reason: { kind: 'call-ambiguous' } })
  })

  it('an empty message, and one without an HTTP request, are refused', () => {
    expect(readCheckRequest(Buffer.alloc(0))).toMatchObject({ ok: false, reason: { kind: 'call-unreadable' } })
    const noHttp = Buffer.from(CheckRequest.encode(CheckRequest.fromPartial({ attributes: { source: { principal: 'x' } } })).finish())
    expect(readCheckRequest(noHttp)).toMatchObject({ ok: false, reason: { kind: 'call-unreadable' } })
  })

  it('a second HTTP request in one message is refused, wherever it stands', () => {
    const one = checkRequest({ path: '/mine' })
    const two = checkRequest({ path: '/other' })
    expect(readCheckRequest(Buffer.concat([one, two]))).toMatchObject({ ok: false, reason: { kind: 'call-ambiguous' } })
  })

  it("takes the names of stripped credentials from Envoy's notes, and nothing from other filters' metadata", () => {
    const filterMetadata = { 'vecauthz.gateway': { 'x-chroma-token': 'sent', 'Bad\nName': 'sent' }, 'other.filter': { 'api-key': 'sent' } }
    const http = { method: 'GET', path: '/', host: 'a' }
    const attributes = { request: { http }, metadataContext: { filterMetadata } }
    const read = readCheckRequest(Buffer.from(CheckRequest.encode(CheckRequest.fromPartial({ attributes })).finish()))
    expect(read.ok && read.value.strippedCredentials).toEqual(['x-chroma-token'])
  })

  it('any bytes give a verdict, and so does a real message with bytes changed (property)', () => {
    const real = checkRequest({ body: BODY, certificate: 'C', headers: [['x-a', 'b']] })
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        expect(readCheckRequest(Buffer.from(bytes)).ok).toBe(false)
      })
    )
    fc.assert(
      fc.property(fc.nat(real.length - 1), fc.nat(255), fc.nat(real.length), (at, byte, length) => {
        const changed = Buffer.from(real.subarray(0, length))
        if (at < length) changed[at] = byte
        expect(typeof readCheckRequest(changed).ok).toBe('boolean')
      })
    )
  })
})
