/** What must hold for any REST call before its path and body mean anything. */
import { type Refused, refuse } from '../core/deny-reason.ts'
import type { Inbound } from '../core/inbound.ts'
import { foldCase } from './json-keys.ts'

const METHOD = /^[A-Z]{1,16}$/
const JSON_TYPE = /^application\/json(; ?charset=[Uu][Tt][Ff]-8)?$/
const QUIET_CONNECTIONS = new Set(['keep-alive', 'close'])

/** @returns the fault, or undefined: one message, not upgraded, not encoded, and as long as it says */
export function checkMessage({ method, headers, body }: Inbound): Refused | undefined {
  // Some routers ignore the case of a method (tried: Weaviate runs `get`).
  if (method !== 'POST' && !METHOD.test(method)) return refuse('call-ambiguous', 'the method is not written in upper case')
  if (headers.has('upgrade')) return refuse('call-ambiguous', 'the call asks for another protocol')
  const connection = headers.get('connection')
  if (connection !== undefined && !QUIET_CONNECTIONS.has(connection.toLowerCase()))
    return refuse('call-ambiguous', 'the connection header names other headers')
  const transfer = headers.get('transfer-encoding')
  if (transfer !== undefined && transfer !== 'chunked') return refuse('call-ambiguous', 'the body has a transfer encoding')
  // Chroma ignores the header and reads the bytes; Qdrant and OpenSearch decode them.
  const encoding = headers.get('content-encoding')
  if (encoding !== undefined && encoding !== 'identity')
    return refuse('call-ambiguous', 'the body has a content encoding', 'Send the body uncompressed.')
  const length = headers.get('content-length')
  if (length !== undefined && length !== String(body?.length ?? 0))
    return refuse('call-unreadable', 'the body is not as long as content-length says')
  return undefined
}

/** @returns the fault, or undefined: there is a body, and it says that it is JSON */
export function checkJsonBody({ headers, body }: Inbound): Refused | undefined {
  if (body === undefined || body.length === 0) return refuse('call-unreadable', 'the call has no body')
  if (JSON_TYPE.test(headers.get('content-type') ?? '')) return undefined
  return refuse('call-ambiguous', 'the content type is not application/json', 'Send content-type: application/json.')
}

/** @returns the fault, or undefined: there is no body */
export function checkNoBody({ method, body }: Inbound): Refused | undefined {
  if (body === undefined || body.length === 0) return undefined
  return refuse('call-ambiguous', `a ${method} with a body`, 'Send this call without a body.')
}

/** @returns the fault, or undefined: no query key but the known ones, in their own spelling */
export function checkQueryKeys(query: ReadonlyMap<string, string>, known: readonly string[]): Refused | undefined {
  for (const key of query.keys()) {
    if (known.includes(key)) continue
    if (known.some((one) => foldCase(one) === foldCase(key)))
      return refuse('call-ambiguous', 'a query key differs from a known one in case only')
    return refuse('call-unreadable', 'unknown query key', 'Leave out query parameters that this endpoint does not have.')
  }
  return undefined
}
