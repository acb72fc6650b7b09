import type { Inbound } from './inbound.ts'
import { key } from './keys.ts'

export type DigestedRequest = Pick<Inbound, 'method' | 'authority' | 'target' | 'headers' | 'body'>

/** A fresh SHA-256: `createHash('sha256')` of node:crypto. */
export interface Sha256 {
  update(text: string, encoding: 'utf16le'): unknown
  update(bytes: Uint8Array): unknown
  digest(encoding: 'base64url'): string
}

/** In front of everything, so that no other digest of this system is one of a request. */
const FORMAT = 'vecauthz request 1'
const ALWAYS = ['content-type', 'content-encoding', 'grpc-encoding'] as const

/**
 * SHA-256 of one request as the database gets it, base64url: what a policy token is bound to. Egress and index both call this.
 * Each part stands behind its length, so that no two requests meet by moving bytes from one part to the next. In this order:
 *
 * - method: GET and DELETE of one path are different calls.
 * - authority: the routes of the index's Envoy may lead one path to another database by it.
 * - target: path and query, which name tenant and collection. What is granted has a target that is its own canonical form
 *   (`databases/path.ts`), so these are the canonical bytes.
 * - content-type: JSON and gRPC read one body differently, and so may other types.
 * - content-encoding, grpc-encoding: the bytes that count are the unpacked ones.
 * - each header that changes what this database does (`meaningHeaders` of its dialect, such as Milvus' `dbname`), sorted. One that is
 *   absent is told apart from one that is empty, for databases do.
 * - body: everything else. Envoy does not tell an absent body from an empty one, so neither does this.
 *
 * @param meaningHeaders lower-case names
 */
export function requestDigest(
  { method, authority, target, headers, body }: DigestedRequest,
  meaningHeaders: readonly string[],
  sha256: Sha256
): string {
  let head = key(FORMAT, method, authority, target)
  for (const name of ALWAYS) head += headerPart(name, headers.get(name))
  for (const name of [...meaningHeaders].sort()) head += headerPart(name, headers.get(name))
  // Two bytes a character: the one encoding in which no two texts meet, ill-formed ones included.
  sha256.update(head + key('body', String(body?.length ?? 0)), 'utf16le')
  if (body !== undefined) sha256.update(body)
  return sha256.digest('base64url')
}

function headerPart(name: string, value: string | undefined): string {
  return value === undefined ? key(name, 'absent') : key(name, 'present', value)
}
