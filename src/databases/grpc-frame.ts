/** The one message of a unary gRPC call (grpc/grpc doc/PROTOCOL-HTTP2.md, "Length-Prefixed-Message"). */
import { crc32, inflateRawSync } from 'node:zlib'
import { accept, type Refused, type Result, refuse } from '../core/deny-reason.ts'
import type { Inbound } from '../core/inbound.ts'
import { BODY_BYTES_MAX } from '../core/limits.ts'
import { checkMessage } from './http-message.ts'

const PREFIX_BYTES = 5
/** RFC 1952 §2.3: magic, deflate, no flags (no name, extra field or comment), then time, hints and system, which mean nothing. */
const GZIP_HEAD = Buffer.from([0x1f, 0x8b, 0x08, 0x00])
const GZIP_HEAD_BYTES = 10
const GZIP_TAIL_BYTES = 8

/**
 * @returns the bytes of the message; exactly one frame. `call-ambiguous` for anything behind it and for a compression that is not
 *   gzip, `call-unreadable` for what is cut or damaged, `call-too-large` for what unpacks to more than the port takes.
 */
export function readGrpcMessage(inbound: Inbound): Result<Uint8Array> {
  const fault = checkMessage(inbound) ?? checkGrpc(inbound)
  if (fault !== undefined) return fault
  const body = inbound.body ?? new Uint8Array()
  const most = inbound.bodyBytesMax ?? BODY_BYTES_MAX
  if (body.length > most) return refuse('call-too-large', `body of ${body.length} bytes`)
  if (body.length < PREFIX_BYTES) return refuse('call-unreadable', 'the body is shorter than a gRPC frame')
  const length = readUInt32BE(body, 1)
  const rest = body.length - PREFIX_BYTES - length
  if (rest < 0) return refuse('call-unreadable', 'the gRPC frame is cut off')
  if (rest > 0) return refuse('call-ambiguous', 'there is more behind the gRPC frame', 'Send one message for each call.')
  const message = body.subarray(PREFIX_BYTES)
  if (body[0] === 0) return accept(message)
  if (body[0] !== 1) return refuse('call-unreadable', `a gRPC frame with the flag ${body[0]}`)
  if (inbound.headers.get('grpc-encoding') !== 'gzip') return refuse('call-ambiguous', 'a compressed gRPC frame, and no grpc-encoding')
  return gunzip(message, most)
}

/** Without a view of the body, which costs more than the number. */
function readUInt32BE(bytes: Uint8Array, at: number): number {
  const [first = 0, second = 0, third = 0, fourth = 0] = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]
  return ((first << 24) | (second << 16) | (third << 8) | fourth) >>> 0
}

function checkGrpc({ method, headers }: Inbound): Refused | undefined {
  if (method !== 'POST') return refuse('call-ambiguous', `a gRPC call with method ${method}`)
  const type = headers.get('content-type')
  if (type !== 'application/grpc' && type !== 'application/grpc+proto')
    return refuse('call-ambiguous', 'the content type is not application/grpc', 'Send content-type: application/grpc.')
  if (headers.has('content-encoding')) return refuse('call-ambiguous', 'a gRPC call with a content encoding')
  const encoding = headers.get('grpc-encoding')
  if (encoding === undefined || encoding === 'identity' || encoding === 'gzip') return undefined
  return refuse('call-ambiguous', 'a grpc-encoding that is neither gzip nor identity', 'Compress messages with gzip, or not at all.')
}

/**
 * Exactly one gzip member. Go reads the members that follow and Rust's decoder does not, so what is behind the first is refused;
 * `gunzipSync` would read on, or drop it without a word.
 */
function gunzip(packed: Uint8Array, most: number): Result<Uint8Array> {
  const unreadable = refuse('call-unreadable', 'the gRPC frame is not one plain gzip member')
  if (packed.length < GZIP_HEAD_BYTES + GZIP_TAIL_BYTES || GZIP_HEAD.compare(packed, 0, 4) !== 0) return unreadable
  const deflated = packed.subarray(GZIP_HEAD_BYTES, packed.length - GZIP_TAIL_BYTES)
  const tail = new DataView(packed.buffer, packed.byteOffset + packed.length - GZIP_TAIL_BYTES, GZIP_TAIL_BYTES)
  try {
    const { buffer, engine } = inflateRawSync(deflated, { maxOutputLength: most, info: true }) as unknown as Inflated
    const whole = engine.bytesWritten === deflated.length && tail.getUint32(4, true) === buffer.length
    return whole && crc32(buffer) === tail.getUint32(0, true) ? accept(buffer) : unreadable
  } catch (cause) {
    if (isTooLarge(cause)) return refuse('call-too-large', `the gRPC frame unpacks to more than ${most} bytes`)
    return unreadable
  }
}

/** What zlib gives for `info: true`; the types of node leave it out. */
interface Inflated {
  readonly buffer: Buffer
  readonly engine: { readonly bytesWritten: number }
}

function isTooLarge(cause: unknown): boolean {
  return cause instanceof RangeError && 'code' in cause && cause.code === 'ERR_BUFFER_TOO_LARGE'
}
