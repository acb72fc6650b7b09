/**
 * CheckRequest bytes → Inbound: only the fields that are needed, straight from the wire (envoy.service.auth.v3, field numbers below).
 *
 * Refused here, because what follows could be misled: a body that Envoy cut or repacked as text, a body that was announced and
 * did not come, a header given twice that could change meaning, both header forms at once, pseudo headers that disagree.
 */
import { accept, type Refused, type Result, refuse } from '../core/deny-reason.ts'
import type { Inbound } from '../core/inbound.ts'
import { BODY_BYTES_MAX, CERTIFICATE_BYTES_MAX, HEADERS_MAX, PATH_BYTES_MAX, XFCC_BYTES_MAX } from '../core/limits.ts'
import { headerName, latin1Text, shortText } from './known-text.ts'
import { next, rewalk, type Walk, walk } from './wire.ts'

/** List-valued headers whose repetition changes nothing that is decided here or read by a database (RFC 9110 §5.3). */
const MAY_REPEAT = new Set(['accept', 'accept-encoding', 'accept-language', 'cache-control', 'cookie', 'via', 'x-forwarded-for'])

interface Draft {
  id: string
  method: string
  path: string
  host: string
  size: number
  textBody: boolean
  body: Buffer | undefined
  readonly headers: Map<string, string>
  /** Which of the two header forms was seen. */
  form: 'none' | 'map' | 'raw'
  certificate: string | undefined
  principal: string | undefined
  readonly stripped: string[]
  fault: Refused | undefined
  http: boolean
}

/** @param bodyBytesMax most bytes of a body that this port takes */
export function readCheckRequest(message: Buffer, bodyBytesMax = BODY_BYTES_MAX): Result<Inbound> {
  const draft: Draft = {
    id: '',
    method: '',
    path: '',
    host: '',
    size: 0,
    textBody: false,
    body: undefined,
    headers: new Map(),
    form: 'none',
    certificate: undefined,
    principal: undefined,
    stripped: [],
    fault: undefined,
    http: false
  }
  const whole = each(walk(message), (field, bytes) => {
    // CheckRequest.attributes = 1; AttributeContext: source = 1, request = 4, metadata_context = 11; Request.http = 2
    if (field.number !== 1) return true
    return each(walk(bytes, field.start, field.end), (attribute) => {
      if (attribute.number === 1) return readPeer(walk(bytes, attribute.start, attribute.end), draft)
      if (attribute.number === 11) return readMetadata(walk(bytes, attribute.start, attribute.end), draft)
      if (attribute.number !== 4) return true
      return each(walk(bytes, attribute.start, attribute.end), (request) => {
        if (request.number !== 2) return true
        if (draft.http) return fail(draft, 'call-ambiguous', 'CheckRequest holds two HTTP requests')
        draft.http = true
        return readHttp(walk(bytes, request.start, request.end), draft)
      })
    })
  })
  if (draft.fault !== undefined) return draft.fault
  if (!whole) return refuse('call-unreadable', 'CheckRequest is not a well-formed message')
  return judge(draft, bodyBytesMax)
}

/** True when every field was read to the end. */
function each(from: Walk, read: (field: Walk['field'], bytes: Buffer) => boolean): boolean {
  while (next(from)) if (!read(from.field, from.bytes)) return false
  return !from.broken
}

function fail(draft: Draft, kind: 'call-ambiguous' | 'call-unreadable' | 'call-too-large', because: string): false {
  draft.fault ??= refuse(kind, because)
  return false
}

/** Peer: principal = 4, certificate = 5. */
function readPeer(from: Walk, draft: Draft): boolean {
  return each(from, (field, bytes) => {
    if (field.number === 4) {
      if (draft.principal !== undefined) return fail(draft, 'call-ambiguous', 'source.principal came twice')
      draft.principal = latin1Text(bytes, field.start, field.end)
    } else if (field.number === 5) {
      if (draft.certificate !== undefined) return fail(draft, 'call-ambiguous', 'source.certificate came twice')
      if (field.end - field.start > CERTIFICATE_BYTES_MAX) return fail(draft, 'call-too-large', 'source.certificate is too long')
      draft.certificate = latin1Text(bytes, field.start, field.end)
    }
    return true
  })
}

/** Where envoy/gateway.yaml notes which credentials it took away, before it does. */
const NOTES = 'vecauthz.gateway'
const STRIPPED_MAX = 16
const HEADER_NAME = /^[a-z0-9-]{1,64}$/

/** Metadata.filter_metadata = 1, a map of Struct; the names of its fields (Struct.fields = 1, a map) are all that is read. */
function readMetadata(from: Walk, draft: Draft): boolean {
  return each(from, (entry, bytes) => {
    let name = ''
    return (
      entry.number !== 1 ||
      each(walk(bytes, entry.start, entry.end), (part) => {
        if (part.number === 1) name = latin1Text(bytes, part.start, part.end)
        if (part.number !== 2 || name !== NOTES) return true
        return each(walk(bytes, part.start, part.end), (field) => {
          return (
            field.number !== 1 ||
            each(walk(bytes, field.start, field.end), (key) => noteStripped(key.number, latin1Text(bytes, key.start, key.end), draft))
          )
        })
      })
    )
  })
}

function noteStripped(number: number, name: string, draft: Draft): boolean {
  if (number === 1 && HEADER_NAME.test(name) && draft.stripped.length < STRIPPED_MAX) draft.stripped.push(name)
  return true
}

/** HttpRequest: id 1, method 2, headers 3, path 4, host 5, size 9, body 11, raw_body 12, header_map 13. */
function readHttp(from: Walk, draft: Draft): boolean {
  return each(from, (field, bytes) => {
    // Short texts, some of which get into the record.
    if (field.number <= 5 && field.number !== 3 && field.end - field.start > PATH_BYTES_MAX)
      return fail(draft, 'call-too-large', `HttpRequest field ${field.number} is too long`)
    switch (field.number) {
      case 1:
        draft.id = latin1Text(bytes, field.start, field.end)
        return true
      case 2:
        draft.method = shortText(bytes, field.start, field.end)
        return true
      case 4:
        draft.path = latin1Text(bytes, field.start, field.end)
        return true
      case 5:
        draft.host = shortText(bytes, field.start, field.end)
        return true
      case 9:
        draft.size = field.value
        return true
      case 11:
        draft.textBody = draft.textBody || field.end > field.start
        return true
      case 12:
        if (draft.body !== undefined) return fail(draft, 'call-ambiguous', 'raw_body came twice')
        draft.body = bytes.subarray(field.start, field.end)
        return true
      case 3:
        return useForm(draft, 'map') && readHeader(walk(bytes, field.start, field.end), draft)
      case 13:
        return useForm(draft, 'raw') && readHeaderMap(walk(bytes, field.start, field.end), draft)
      default:
        return true
    }
  })
}

function useForm(draft: Draft, form: 'map' | 'raw'): boolean {
  if (draft.form !== 'none' && draft.form !== form) return fail(draft, 'call-ambiguous', 'headers and header_map are both filled')
  draft.form = form
  return true
}

/** HeaderMap.headers = 1. */
function readHeaderMap(from: Walk, draft: Draft): boolean {
  const header = walk(from.bytes)
  return each(from, (field) => field.number !== 1 || readHeader(rewalk(header, field.start, field.end), draft))
}

/** HeaderValue: key 1, value 2, raw_value 3; a map entry: key 1, value 2. Values are kept byte for byte (latin1). */
function readHeader(from: Walk, draft: Draft): boolean {
  let name: string | undefined
  let value = ''
  while (next(from)) {
    const { number, start, end } = from.field
    if (number === 1) name = headerName(from.bytes, start, end)
    else if (number === 2 || number === 3) {
      if (end - start > XFCC_BYTES_MAX) return fail(draft, 'call-too-large', 'a header is too long')
      if (end > start) value = isSecret(name) ? from.bytes.toString('latin1', start, end) : shortText(from.bytes, start, end)
    }
  }
  if (from.broken) return false
  return keepHeader(name, value, draft)
}

/** What must not be remembered, nor be worth it: a token is another one with each call, and a key is nobody's to keep. */
function isSecret(name: string | undefined): boolean {
  return name === undefined || SECRETS.has(name) || name.endsWith('-token')
}

const SECRETS = new Set(['authorization', 'proxy-authorization', 'cookie', 'api-key', 'x-api-key'])

function keepHeader(name: string | undefined, value: string, draft: Draft): boolean {
  const { headers } = draft
  // Envoy lower-cases names; an upper-case one did not come from Envoy and could stand beside its lower-case twin.
  if (name === undefined) return fail(draft, 'call-ambiguous', 'a header name is empty or not in lower case')
  const before = headers.get(name)
  if (before === undefined) {
    if (headers.size >= HEADERS_MAX) return fail(draft, 'call-too-large', `more than ${HEADERS_MAX} headers`)
    headers.set(name, value)
    return true
  }
  if (!MAY_REPEAT.has(name)) return fail(draft, 'call-ambiguous', `header ${JSON.stringify(name)} came twice`)
  headers.set(name, `${before}, ${value}`)
  return true
}

function judge(draft: Draft, bodyBytesMax: number): Result<Inbound> {
  if (!draft.http) return refuse('call-unreadable', 'CheckRequest holds no HTTP request')
  const { headers } = draft
  if (draft.method === '' || draft.path === '') return refuse('call-unreadable', 'CheckRequest has no method or no path')
  const pseudo = ([':method', ':path', ':authority'] as const).find((name, at) => {
    const value = headers.get(name)
    return value !== undefined && value !== [draft.method, draft.path, draft.host][at]
  })
  if (pseudo !== undefined) return refuse('call-ambiguous', `${pseudo} and its attribute differ`)
  const body = judgeBody(draft, bodyBytesMax)
  if (!body.ok) return body
  return accept({
    method: draft.method,
    target: draft.path,
    authority: draft.host,
    headers,
    body: body.value,
    bodyBytesMax,
    peerCertificate: draft.certificate === '' ? undefined : draft.certificate,
    peerPrincipal: draft.principal === '' ? undefined : draft.principal,
    httpId: draft.id,
    strippedCredentials: draft.stripped,
    grpc: (headers.get('content-type') ?? '').startsWith('application/grpc')
  })
}

/** The body exactly as the database gets it, or the reason why these bytes are not it (hole 1: HTTP/2 passes what Envoy cut). */
function judgeBody(draft: Draft, bodyBytesMax: number): Result<Uint8Array | undefined> {
  const { headers, body } = draft
  // Envoy writes `false` for a whole body; any other text is not taken for one.
  if ((headers.get('x-envoy-auth-partial-body') ?? 'false') !== 'false') {
    return refuse('call-too-large', 'Envoy cut the body: the database would get more than was judged')
  }
  if (draft.textBody) return refuse('call-unreadable', 'the body came as text; set with_request_body.pack_as_bytes: true')
  const length = body?.length ?? 0
  if (length > bodyBytesMax) return refuse('call-too-large', `the body has ${length} bytes, and ${bodyBytesMax} are the most here`)
  if (draft.size > 0 && draft.size !== length)
    return refuse('call-unreadable', `Envoy received ${draft.size} body bytes and sent ${length}`)
  const announced = headers.get('content-length')
  if (announced !== undefined && !/^\d{1,10}$/.test(announced)) return refuse('call-ambiguous', 'content-length is not a number')
  if (announced !== undefined && Number(announced) !== length) {
    return refuse('call-unreadable', `content-length is ${announced}, ${length} body bytes came; is with_request_body set?`)
  }
  if (length === 0 && headers.has('transfer-encoding')) return refuse('call-unreadable', 'a chunked body did not come')
  return accept(length === 0 ? undefined : body)
}
