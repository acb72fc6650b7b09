/** Query parameters of the REST calls. Of a key that stands twice Weaviate takes the last (tried); `readTarget` refuses it. */
import { NO_SHAPE, type Operation, type Shape } from '../core/vector-call.ts'
import { fail } from './json-reader.ts'
import type { WeaviateRoute } from './weaviate-routes.ts'
import { checkPathPart } from './weaviate-where.ts'

/** QUERY_DEFAULTS_LIMIT, as the server has it when nobody sets it. */
export const LIMIT_DEFAULT = 10

const COUNT = /^(0|[1-9][0-9]{0,9})$/
const INCLUDED = new Set(['vector', 'classification'])
const CONSISTENCY = new Set(['ONE', 'QUORUM', 'ALL'])

/** What the query says beside class and tenant. */
export function readQueryShape(query: ReadonlyMap<string, string>, { about, operation }: WeaviateRoute): Shape {
  const level = query.get('consistency_level')
  if (level !== undefined && !CONSISTENCY.has(level)) fail('call-unreadable', 'unknown consistency level')
  const limit = countIn(query, 'limit')
  countIn(query, 'offset')
  const vectorsOut = readInclude(query.get('include'))
  for (const part of query.get('sort')?.split(',') ?? []) checkPathPart(part)
  if (about !== 'listed') return aboutOne(operation, vectorsOut)
  return { ...NO_SHAPE, topK: limit === undefined || limit === 0 ? LIMIT_DEFAULT : limit, vectorsOut }
}

function countIn(query: ReadonlyMap<string, string>, name: string): number | undefined {
  const value = query.get(name)
  if (value === undefined) return undefined
  if (!COUNT.test(value)) fail('call-unreadable', `query key ${name} is no count`)
  return Number(value)
}

/** @returns whether raw vectors are asked for */
function readInclude(include: string | undefined): boolean {
  if (include === undefined) return false
  const parts = include.split(',')
  if (parts.some((part) => !INCLUDED.has(part)))
    fail('call-unreadable', 'unknown part of include', 'include knows vector and classification.')
  return parts.includes('vector')
}

/** GET and HEAD give one object, DELETE takes it; what looks at classes has to do with none. */
function aboutOne(operation: Operation, vectorsOut: boolean): Shape {
  if (operation === 'read') return { ...NO_SHAPE, topK: 1, records: 1, vectorsOut }
  return operation === 'delete' ? { ...NO_SHAPE, records: 1 } : NO_SHAPE
}
