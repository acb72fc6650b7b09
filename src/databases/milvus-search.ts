/** Search, HybridSearch, Query and Delete: what the filter of each proves, and what the call costs. */
import { VECTORS_MAX } from '../core/limits.ts'
import { type Bounds, NO_SHAPE, type Shape } from '../core/vector-call.ts'
import { fail } from './json-reader.ts'
import { readExpression } from './milvus-expression.ts'
import { DELETE, HYBRID_SEARCH, QUERY, SEARCH, type SearchRequest } from './milvus-messages.ts'
import {
  asksForVectors,
  COUNT_ALL,
  checkFunctionScore,
  countOf,
  QUERY_PARAMS,
  RANK_PARAMS,
  readParams,
  SEARCH_PARAMS,
  topKOf
} from './milvus-params.ts'
import { databaseOf, type Facts, partitionOf, partitionsOf, read, refuseAsides, targetOf } from './milvus-place.ts'
import { readQueries } from './milvus-vectors.ts'

/** commonpb.DslType.BoolExprV1; the other, a query language of JSON, is gone from the server. */
const EXPRESSION = 1

/** What one similarity query, or a batch of them under one filter, comes to. */
interface Searched {
  readonly pins: ReadonlyMap<string, string>
  readonly unpinned: string | undefined
  readonly queries: number
  readonly topK: number | undefined
  readonly field: string
  readonly vectors: readonly Float32Array[]
  readonly dimensions: number
}

export function readSearch(message: Uint8Array, header: string | undefined): Facts {
  const request = read(message, SEARCH)
  checkFunctionScore(request.function_score)
  const searched = searchedBy(request)
  if (searched.topK === undefined) fail('call-unreadable', 'search_params has no topk', 'Say how many results are wanted.')
  const bounds = boundsOf(searched.pins, partitionsOf(request.partition_names), searched.unpinned)
  const shape = shapeOf([searched], searched.topK, request.output_fields)
  return { targets: [targetOf(request, header, bounds)], shape }
}

function searchedBy(request: SearchRequest): Searched {
  refuseAsides(request)
  const { dsl = '', dsl_type, placeholder_group, ids, nq } = request
  if (dsl_type !== EXPRESSION) fail('call-unreadable', 'dsl_type is not BoolExprV1')
  const { pins } = readExpression(dsl)
  const params = readParams(request.search_params, SEARCH_PARAMS, 'search_params')
  const field = params.get('anns_field') ?? ''
  const topK = topKOf(params)
  if (ids !== undefined) {
    const queries = (ids.int_id?.data ?? ids.str_id?.data ?? []).length
    checkCount(queries, nq)
    // Their vectors are the query, whoever owns them: the distances tell about them.
    return { pins, unpinned: 'a search by ids takes the vectors of any record', queries, topK, field, vectors: [], dimensions: 0 }
  }
  if (placeholder_group === undefined) fail('call-unreadable', 'a search without vectors or ids')
  const { count, vectors, dimensions } = readQueries(placeholder_group)
  checkCount(count, nq)
  return { pins, unpinned: undefined, queries: count, topK, field, vectors, dimensions }
}

/** The server believes `nq` unless it is 0, Milvus Lite the values. */
function checkCount(count: number, nq = 0): void {
  if (count === 0 || (nq !== 0 && nq !== count)) fail('call-ambiguous', 'nq is not the number of queries')
  if (count > VECTORS_MAX) fail('call-too-large', `more than ${VECTORS_MAX} queries`)
}

export function readHybridSearch(message: Uint8Array, header: string | undefined): Facts {
  const request = read(message, HYBRID_SEARCH)
  refuseAsides(request)
  checkFunctionScore(request.function_score)
  const { requests = [] } = request
  if (requests.length === 0) fail('call-unreadable', 'a hybrid search without requests')
  const shards = partitionsOf(request.partition_names)
  const target = targetOf(request, header)
  for (const inner of requests) checkInner(inner, target.namespace as string, request.collection_name, shards)
  const all = requests.map(searchedBy)
  const limit = topKOf(readParams(request.rank_params, RANK_PARAMS, 'rank_params'))
  if (limit === undefined) fail('call-unreadable', 'rank_params has no limit', 'Say how many results are wanted.')
  const bounds = boundsOf(common(all.map(({ pins }) => pins)), shards, all.find(({ unpinned }) => unpinned !== undefined)?.unpinned)
  // The server answers with the outer fields; the inner ones count too, so that it does not matter.
  const fields = [request, ...requests].flatMap(({ output_fields = [] }) => output_fields)
  const shape = shapeOf(all, Math.max(limit, ...all.map(({ topK = 0 }) => topK)), fields)
  return { targets: [{ ...target, bounds }], shape }
}

/** The server takes names from the outside only; one on the inside must say the same. */
function checkInner(inner: SearchRequest, namespace: string, collection: string | undefined, shards: readonly string[] | undefined): void {
  const partitions = partitionsOf(inner.partition_names)
  const same =
    ((inner.db_name ?? '') === '' || databaseOf(inner.db_name, undefined) === namespace) &&
    ((inner.collection_name ?? '') === '' || inner.collection_name === collection) &&
    [...(partitions ?? [])].sort().join() === [...(shards ?? [])].sort().join()
  if (!same) fail('call-ambiguous', 'a request within the hybrid search names another place than the search itself')
  if (inner.function_score !== undefined) fail('call-unreadable', 'a request within the hybrid search has a ranker of its own')
}

/** What every one of them says. */
function common(all: readonly ReadonlyMap<string, string>[]): ReadonlyMap<string, string> {
  const [first = new Map<string, string>(), ...rest] = all
  return new Map([...first].filter(([field, value]) => rest.every((pins) => pins.get(field) === value)))
}

function shapeOf(all: readonly Searched[], topK: number, fields: readonly string[] | undefined): Shape {
  const searched = all.map(({ field }) => field)
  return {
    queries: all.reduce((sum, { queries }) => sum + queries, 0),
    topK,
    records: 0,
    vectorsOut: asksForVectors(fields, searched),
    dimensions: Math.max(...all.map(({ dimensions }) => dimensions)),
    vectors: all.flatMap(({ vectors }) => vectors)
  }
}

/** @param byId why filters do not bind the call; nobody says that partitions bind what is taken by id */
function boundsOf(pins: ReadonlyMap<string, string>, shards: readonly string[] | undefined, byId?: string): Bounds {
  return { shards, pins, changes: [], unpinned: byId, unsharded: byId }
}

/** Also what clients call get: then the primary keys stand in the expression. */
export function readQuery(message: Uint8Array, header: string | undefined): Facts {
  const request = read(message, QUERY)
  refuseAsides(request)
  const { pins } = readExpression(request.expr ?? '')
  const params = readParams(request.query_params, QUERY_PARAMS, 'query_params')
  countOf(params, 'offset')
  const { output_fields = [] } = request
  const counts = output_fields.length === 1 && output_fields[0] === COUNT_ALL && !params.has('group_by_fields')
  const topK = counts ? 1 : (countOf(params, 'limit') ?? Number.POSITIVE_INFINITY)
  const bare = output_fields.includes(COUNT_ALL) && (request.expr ?? '').trim() === ''
  const unsharded = bare ? 'a count without a filter counts every partition on Milvus Lite, whichever are named' : undefined
  const bounds = { ...boundsOf(pins, partitionsOf(request.partition_names)), unsharded }
  return {
    targets: [targetOf(request, header, bounds)],
    shape: { ...NO_SHAPE, topK, vectorsOut: asksForVectors(output_fields, []) }
  }
}

/** A delete finds records by its expression and then removes their primary keys, in whatever partition they are (tried on Milvus Lite). */
export function readDelete(message: Uint8Array, header: string | undefined): Facts {
  const request = read(message, DELETE)
  refuseAsides(request)
  const { expr = '' } = request
  if (expr.trim() === '') fail('call-unreadable', 'a delete without an expression')
  const unsharded = 'a delete goes by primary key, and Milvus Lite does not look at the partition'
  const bounds = { ...boundsOf(readExpression(expr).pins, partitionOf(request.partition_name)), unsharded }
  return { targets: [targetOf(request, header, bounds)], shape: NO_SHAPE }
}
