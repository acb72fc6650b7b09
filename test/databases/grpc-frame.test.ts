import { deflateRawSync, deflateSync, gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Inbound } from '../../src/core/inbound.ts'
import { readGrpcMessage } from '../../src/databases/grpc-frame.ts'
import { frame } from './protobuf-write.ts'

interface Sent {
  readonly body?: Uint8Array | undefined
  readonly method?: string
  readonly headers?: Record<string, string>
}

const MESSAGE = Buffer.from('a message')

function inboundOf({ body, method = 'POST', headers = {} }: Sent): Inbound {
  return {
    method,
    target: '/qdrant.Points/Query',
    authority: 'db',
    headers: new Map(Object.entries({ 'content-type': 'application/grpc', ...headers })),
    body,
    peerCertificate: undefined,
    peerPrincipal: undefined,
    httpId: '1',
    grpc: true,
    strippedCredentials: []
  }
}

function outcome(sent: Sent): string {
  const result = readGrpcMessage(inboundOf(sent))
  return result.ok ? Buffer.from(result.value).toString('latin1') : result.reason.kind
}

const GZIP = { 'grpc-encoding': 'gzip' }
const zipped = gzipSync(MESSAGE)
const changed = (at: number, value: number) => {
  const copy = Buffer.from(zipped)
  copy[at < 0 ? copy.length + at : at] = value
  return copy
}

describe('the message of a gRPC call', () => {
  it.each([
    ['in one frame', { body: frame(MESSAGE) }],
    ['with the other content type', { body: frame(MESSAGE), headers: { 'content-type': 'application/grpc+proto' } }],
    ['uncompressed, though gzip is announced', { body: frame(MESSAGE), headers: GZIP }],
    ['with encoding identity', { body: frame(MESSAGE), headers: { 'grpc-encoding': 'identity' } }],
    ['compressed', { body: frame(zipped, 1), headers: GZIP }],
    ['compressed at another level', { body: frame(gzipSync(MESSAGE, { level: 1 }), 1), headers: GZIP }]
  ] as [string, Sent][])('is read %s', (_, sent) => {
    expect(outcome(sent)).toBe('a message')
  })

  it('may be empty', () => {
    expect(outcome({ body: frame(new Uint8Array()) })).toBe('')
    expect(outcome({ body: frame(gzipSync(''), 1), headers: GZIP })).toBe('')
  })

  it.each([
    ['no body', 'call-unreadable', {}],
    ['an empty body', 'call-unreadable', { body: new Uint8Array() }],
    ['four bytes', 'call-unreadable', { body: Buffer.alloc(4) }],
    ['a frame that is cut off', 'call-unreadable', { body: frame(MESSAGE).subarray(0, -1) }],
    ['a byte behind the frame', 'call-ambiguous', { body: Buffer.concat([frame(MESSAGE), Buffer.of(0)]) }],
    ['two frames', 'call-ambiguous', { body: Buffer.concat([frame(MESSAGE), frame(MESSAGE)]) }],
    ['an empty frame behind the frame', 'call-ambiguous', { body: Buffer.concat([frame(MESSAGE), Buffer.alloc(5)]) }],
    ['flag 2', 'call-unreadable', { body: frame(MESSAGE, 2) }],
    ['flag 128, the trailers of gRPC-Web', 'call-unreadable', { body: frame(MESSAGE, 128) }],
    ['compressed, and no encoding announced', 'call-ambiguous', { body: frame(zipped, 1) }],
    ['compressed, and identity announced', 'call-ambiguous', { body: frame(zipped, 1), headers: { 'grpc-encoding': 'identity' } }],
    ['deflate', 'call-ambiguous', { body: frame(deflateSync(MESSAGE), 1), headers: { 'grpc-encoding': 'deflate' } }],
    ['deflate announced, and not used', 'call-ambiguous', { body: frame(MESSAGE), headers: { 'grpc-encoding': 'deflate' } }],
    ['gzip in upper case', 'call-ambiguous', { body: frame(zipped, 1), headers: { 'grpc-encoding': 'GZIP' } }],
    ['deflate that is called gzip', 'call-unreadable', { body: frame(deflateSync(MESSAGE), 1), headers: GZIP }],
    ['raw deflate that is called gzip', 'call-unreadable', { body: frame(deflateRawSync(MESSAGE), 1), headers: GZIP }],
    ['plain bytes that are called gzip', 'call-unreadable', { body: frame(MESSAGE, 1), headers: GZIP }],
    ['nothing that is called gzip', 'call-unreadable', { body: frame(new Uint8Array(), 1), headers: GZIP }],
    ['gzip without its end', 'call-unreadable', { body: frame(zipped.subarray(0, -1), 1), headers: GZIP }],
    ['gzip with a byte behind it', 'call-unreadable', { body: frame(Buffer.concat([zipped, Buffer.of(0)]), 1), headers: GZIP }],
    [
      'two gzip members, which Go reads and Rust cuts',
      'call-unreadable',
      { body: frame(Buffer.concat([zipped, zipped]), 1), headers: GZIP }
    ],
    ['gzip with a file name', 'call-unreadable', { body: frame(changed(3, 8), 1), headers: GZIP }],
    ['gzip of another method', 'call-unreadable', { body: frame(changed(2, 7), 1), headers: GZIP }],
    [
      'gzip with a wrong checksum',
      'call-unreadable',
      { body: frame(changed(-8, zipped.readUInt8(zipped.length - 8) ^ 1), 1), headers: GZIP }
    ],
    ['gzip with a wrong length', 'call-unreadable', { body: frame(changed(-1, 1), 1), headers: GZIP }],
    ['a gzip bomb', 'call-too-large', { body: frame(gzipSync(Buffer.alloc(8 * 1024 * 1024)), 1), headers: GZIP }],
    [
      'a byte more than the limit, compressed',
      'call-too-large',
      { body: frame(gzipSync(Buffer.alloc(1024 * 1024 + 1)), 1), headers: GZIP }
    ],
    ['more than the limit', 'call-too-large', { body: frame(Buffer.alloc(1024 * 1024)) }],
    ['JSON', 'call-ambiguous', { body: frame(MESSAGE), headers: { 'content-type': 'application/grpc+json' } }],
    ['gRPC-Web', 'call-ambiguous', { body: frame(MESSAGE), headers: { 'content-type': 'application/grpc-web' } }],
    ['a content type with a parameter', 'call-ambiguous', { body: frame(MESSAGE), headers: { 'content-type': 'application/grpc; x=y' } }],
    ['a content encoding', 'call-ambiguous', { body: frame(MESSAGE), headers: { 'content-encoding': 'identity' } }],
    ['another length than it says', 'call-unreadable', { body: frame(MESSAGE), headers: { 'content-length': '3' } }],
    ['GET', 'call-ambiguous', { method: 'GET', body: frame(MESSAGE) }],
    ['post', 'call-ambiguous', { method: 'post', body: frame(MESSAGE) }]
  ] as [string, string, Sent][])('is refused: %s', (_, kind, sent) => {
    expect(outcome(sent)).toBe(kind)
  })

  it('is as long as the limit when it unpacks to that', () => {
    expect(readGrpcMessage(inboundOf({ body: frame(gzipSync(Buffer.alloc(1024 * 1024)), 1), headers: GZIP })).ok).toBe(true)
  })

  it('is a verdict for any bytes, and for any change of a compressed one', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 60 }),
        fc.boolean(),
        fc.nat({ max: zipped.length - 1 }),
        fc.nat({ max: 255 }),
        (bytes, whole, at, value) => {
          expect(outcome({ body: whole ? frame(bytes, 1) : bytes, headers: GZIP })).toBeTypeOf('string')
          const result = outcome({ body: frame(changed(at, value), 1), headers: GZIP })
          expect(['a message', 'call-unreadable', 'call-too-large']).toContain(result)
        }
      ),
      { numRuns: 1000 }
    )
  })
})
