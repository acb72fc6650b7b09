/** The body of an admin request: small, JSON that can be read in one way only, and of exactly the shape that its route takes. */
import type { IncomingMessage } from 'node:http'
import type { ZodType } from 'zod'
import { type Json, parseJson } from '../identity/json.ts'
import { problem, type Reply } from './admin-route.ts'

const BODY_BYTES_MAX = 16 * 1024
const DEPTH_MAX = 4
export const BODY_REFUSED = Symbol('refused')

export type Body = { readonly value: unknown } | { readonly [BODY_REFUSED]: Reply }

/** @param shape undefined: there must be no body. @param most bytes of it */
export async function readBody(request: IncomingMessage, shape: ZodType | undefined, most: number = BODY_BYTES_MAX): Promise<Body> {
  // What says that it is too long is not read at all, so that the answer arrives.
  const bytes = Number(request.headers['content-length'] ?? 0) > most ? undefined : await bytesOf(request, most)
  if (bytes === undefined) return refused(413, `A body has at most ${most} bytes.`)
  if (shape === undefined) return bytes.length === 0 ? { value: undefined } : refused(400, 'This takes no body.')
  if (!/^application\/json(; ?charset=utf-8)?$/i.test(request.headers['content-type'] ?? '')) {
    return refused(415, 'The body must be application/json.')
  }
  const read = parseJson(bytes, DEPTH_MAX)
  if (!read.ok) return refused(400, `The body ${read.detail}.`)
  const checked = shape.safeParse(plainOf(read.value))
  if (checked.success) return { value: checked.data }
  const [issue] = checked.error.issues
  const where = issue === undefined || issue.path.length === 0 ? 'The body' : issue.path.join('.')
  return refused(400, `${where}: ${issue?.message ?? 'is wrong'}`)
}

/** Undefined when there are too many. */
export async function bytesOf(request: IncomingMessage, most: number): Promise<Buffer | undefined> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > most) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** As zod takes it; the strict reader has refused what could surprise. */
function plainOf(json: Json): unknown {
  if (json instanceof Map) return Object.fromEntries([...json].map(([name, value]) => [name, plainOf(value)]))
  if (Array.isArray(json)) return json.map(plainOf)
  return typeof json === 'object' && json !== null ? Number((json as { readonly literal: string }).literal) : json
}

function refused(status: number, detail: string): Body {
  return { [BODY_REFUSED]: problem(status, 'The request cannot be read', detail) }
}
