/**
 * Milvus's gRPC interface as milvus.proto of August 2026 has it. A tenant is a database, a collection, a partition or the value of a
 * field; none of them is a tenant in Milvus's own grammar, so every target's claim is `none` and its bounds say the rest.
 */
import { accept, type Result, refuse } from '../core/deny-reason.ts'
import type { Inbound } from '../core/inbound.ts'
import type { VectorCall } from '../core/vector-call.ts'
import type { Dialect } from './dialect.ts'
import { readGrpcMessage } from './grpc-frame.ts'
import { isRefused } from './json-reader.ts'
import { printPin } from './milvus-expression.ts'
import { MILVUS_ROUTES, type MilvusRoute } from './milvus-routes.ts'
import { readTarget } from './path.ts'
import { compileRoutes, matchRoute } from './route-table.ts'

const TABLE = compileRoutes(MILVUS_ROUTES)

export const milvus: Dialect = {
  kind: 'milvus',
  routes: MILVUS_ROUTES,
  readCall,
  // base64 of `user:password`, or an API key.
  credentialHeaders: ['authorization'],
  // The database, for messages that name none.
  meaningHeaders: ['dbname'],
  names: undefined,
  namespaces: true,
  tenancies: ['database', 'collection', 'shard', 'filter'],
  pin
}

/** Before 2.6.5 a call that says it is from another part of Milvus is asked for no password (CVE-2025-64513), and may then do anything. */
const MEMBER_HEADER = 'sourceid'

function readCall(inbound: Inbound): Result<VectorCall> {
  if (inbound.headers.has(MEMBER_HEADER)) return refuse('call-ambiguous', `header ${MEMBER_HEADER} says that the caller is Milvus itself`)
  const target = readTarget(inbound.target)
  if (!target.ok) return target
  const matched = matchRoute(TABLE, inbound.method, target.value.segments)
  if ('ok' in matched) return matched
  const { route } = matched
  if ('refused' in route) return refuse('operation-unknown', route.refused, route.remedy)
  if (target.value.query.size > 0) return refuse('call-ambiguous', 'a gRPC call with a query')
  const message = readGrpcMessage(inbound)
  return message.ok ? readMessage(route, message.value, inbound.headers.get('dbname')) : message
}

function readMessage({ name, operation, read }: MilvusRoute, message: Uint8Array, database: string | undefined): Result<VectorCall> {
  try {
    return accept({ database: 'milvus', endpoint: name, operation, ...read(message, database) })
  } catch (cause) {
    if (isRefused(cause)) return cause
    throw cause
  }
}

function pin(endpoint: string, field: string, value: string): string {
  if (endpoint === 'records.hybrid-search') return `${printPin(field, value)} in the filter of every request, joined with and`
  if (endpoint === 'records.insert') return `"${value}" in the column ${field} of every row, and everything else in vectors or JSON objects`
  if (endpoint === 'records.upsert') return 'no upsert, but a delete and an insert'
  return `${printPin(field, value)}, joined with and to whatever else the filter says`
}
