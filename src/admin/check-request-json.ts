/**
 * A CheckRequest as people have it (the proto3 JSON mapping of envoy.service.auth.v3.CheckRequest, names in lowerCamelCase or as in
 * the proto file) or as it is on the wire → the bytes that Envoy would send. A member that the message does not have is a fault:
 * a misspelt one would be a request without it.
 */
import { isUtf8 } from 'node:buffer'
import { CheckRequest } from '@envoyproxy/protos/auth'
import { z } from 'zod'
import { type ReadJson, readJson } from './check-json.ts'

const text = z.string().optional()
/** What is in the message and decides nothing here. */
const unread = z.unknown().optional()
const bytes = z
  .string()
  .regex(/^[A-Za-z0-9+/_-]*={0,2}$/, 'must be base64')
  .transform((value) => Buffer.from(value, 'base64'))
  .optional()
const int64 = z
  .union([z.int(), z.string().regex(/^-?\d{1,15}$/, 'must be an integer')])
  .transform(Number)
  .optional()

/** A message: either spelling of each member, null for one that is not there. */
function message<S extends z.ZodRawShape>(shape: S) {
  return z.preprocess((value, context) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
    const members = new Map<string, unknown>()
    for (const [name, member] of Object.entries(value)) {
      const camel = name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
      if (members.has(camel)) context.addIssue({ code: 'custom', message: `${camel} is there in two spellings`, path: [name] })
      if (member !== null) members.set(camel, member)
    }
    return Object.fromEntries(members)
  }, z.strictObject(shape))
}

const headerValue = message({ key: z.string(), value: text, rawValue: bytes })
const httpRequest = message({
  id: text,
  method: text,
  headers: z.record(z.string(), z.string()).optional(),
  headerMap: message({ headers: z.array(headerValue).optional() }).optional(),
  path: text,
  host: text,
  scheme: text,
  query: text,
  fragment: text,
  size: int64,
  protocol: text,
  body: text,
  rawBody: bytes
})
const peer = message({ address: unread, service: text, labels: unread, principal: text, certificate: text })
const filterMetadata = z.record(z.string(), z.record(z.string(), z.unknown())).optional()
const checkRequestSchema = message({
  attributes: message({
    source: peer.optional(),
    destination: unread,
    request: message({ time: unread, http: httpRequest.optional() }).optional(),
    contextExtensions: unread,
    metadataContext: message({ filterMetadata, typedFilterMetadata: unread }).optional(),
    routeMetadataContext: unread,
    tlsSession: unread
  })
})

/** @param line where the text begins in the file, from 1 */
export function readRequestJson(file: string, json: string, line = 1): ReadJson<Buffer> {
  const read = readJson(file, json, checkRequestSchema, line)
  return read.ok ? { ok: true, value: encode(read.value) } : read
}

/** A file that holds one request, in either form. */
export function readRequest(file: string, content: Buffer): ReadJson<Buffer> {
  const isText = isUtf8(content) && /^\s*\{[\s\S]*\}\s*$/.test(content.toString('utf8'))
  if (isText || file.endsWith('.json')) return readRequestJson(file, content.toString('utf8'))
  return { ok: true, value: content }
}

function encode({ attributes }: z.infer<typeof checkRequestSchema>): Buffer {
  const { source, request, metadataContext } = attributes
  const http = request?.http
  const headers = http?.headerMap?.headers
  const headerMap = headers === undefined ? undefined : { headers: headers.map((one) => ({ ...one, value: one.value ?? '' })) }
  const whole = {
    attributes: {
      source: { principal: source?.principal ?? '', certificate: source?.certificate ?? '' },
      request: { http: http === undefined ? undefined : { ...http, headerMap } },
      metadataContext: { filterMetadata: metadataContext?.filterMetadata ?? {} }
    }
  }
  return Buffer.from(CheckRequest.encode(CheckRequest.fromPartial(whole as never)).finish())
}
