/** That a gRPC call means what its REST twin means, and the traps that only protobuf has. */
import { gzipSync } from 'node:zlib'
import { type DescMessage, fromJson, type JsonValue, toBinary } from '@bufbuild/protobuf'
import * as proto from '@qdrant/js-client-grpc'
import { describe, expect, it } from 'vitest'
import type { MessageTable } from '../../src/databases/protobuf-fields.ts'
import * as searches from '../../src/databases/qdrant-search-messages.ts'
import * as writes from '../../src/databases/qdrant-write-messages.ts'
import { chunk, floatBytes, frame, number } from './protobuf-write.ts'
import { C, type Call, filterMode, outcome, POINTS, read, shardMode } from './qdrant-call.ts'

/** A message as the official client's own generated code writes it, from protobuf's JSON. */
function rpc(method: string, schema: DescMessage, json: JsonValue): Call {
  const path = method.includes('/') ? method : `Points/${method}`
  return { target: `/qdrant.${path}`, message: toBinary(schema, fromJson(schema, json)) }
}

const VECTOR = [0.5, 1]
const ACME = { key: 'tenant_id', match: { value: 'acme' } }
const MINE = { must: [ACME] }
const FIELD = { field: { key: 'tenant_id', match: { keyword: 'acme' } } }
const PINNED = { must: [FIELD] }
const near = { nearest: { dense: { data: VECTOR } } }
const byId = { nearest: { id: { num: '7' } } }
const docs = { collectionName: 'docs' }
const shard = { shardKeySelector: { shardKeys: [{ keyword: 'acme' }] } }
const value = (text: string) => ({ stringValue: text })

interface Twins {
  readonly name: string
  readonly rest: Call
  readonly grpc: Call
}

const post = (path: string, body: unknown, method = 'POST'): Call => ({ method, target: `${C}/${path}`, body })
const query = (body: object) => post('points/query', body)
const queryRpc = (json: object) => rpc('Query', proto.QueryPointsSchema, { ...docs, ...json })

const SEARCH_TWINS: readonly Twins[] = [
  { name: 'query', rest: query({ query: VECTOR, filter: MINE }), grpc: queryRpc({ query: near, filter: PINNED }) },
  { name: 'query by id', rest: query({ query: 7, filter: MINE }), grpc: queryRpc({ query: byId, filter: PINNED }) },
  {
    name: 'everything beside the query',
    rest: query({
      query: VECTOR,
      limit: 4,
      offset: 2,
      using: 'a',
      with_vector: ['a'],
      with_payload: { include: ['b'] },
      shard_key: 'acme'
    }),
    grpc: queryRpc({
      query: near,
      limit: 4,
      offset: 2,
      using: 'a',
      withVectors: { include: { names: ['a'] } },
      withPayload: { include: { fields: ['b'] } },
      params: { hnswEf: 64, exact: true, idf: { corpus: PINNED }, quantization: { rescore: true } },
      readConsistency: { factor: 2 },
      ...shard
    })
  },
  {
    name: "a corpus of another's records",
    rest: query({
      query: VECTOR,
      filter: MINE,
      params: { idf: { corpus: { must: [{ key: 'tenant_id', match: { value: 'globex' } }] } } }
    }),
    grpc: queryRpc({
      query: near,
      filter: PINNED,
      params: { idf: { corpus: { must: [{ field: { key: 'tenant_id', match: { keyword: 'globex' } } }] } } }
    })
  },
  {
    name: 'prefetches',
    rest: query({
      query: { fusion: 'rrf' },
      prefetch: [
        { query: VECTOR, filter: MINE, limit: 40 },
        { query: [VECTOR, VECTOR], filter: MINE }
      ]
    }),
    grpc: queryRpc({
      query: { fusion: 'RRF' },
      prefetch: [
        { query: near, filter: PINNED, limit: 40 },
        { query: { nearest: { multiDense: { vectors: [{ data: VECTOR }, { data: VECTOR }] } } }, filter: PINNED }
      ]
    })
  },
  {
    name: 'a prefetch of a prefetch by id',
    rest: query({ query: VECTOR, prefetch: { query: VECTOR, prefetch: { query: 7 } }, filter: MINE }),
    grpc: queryRpc({ query: near, prefetch: [{ query: near, prefetch: [{ query: byId }] }], filter: PINNED })
  },
  {
    name: 'a lookup',
    rest: query({ query: 7, lookup_from: { collection: 'other', shard_key: ['acme'] }, filter: MINE }),
    grpc: queryRpc({ query: byId, lookupFrom: { collectionName: 'other', ...shard }, filter: PINNED })
  },
  {
    name: 'recommend with an id',
    rest: query({ query: { recommend: { positive: [VECTOR], negative: [7] } }, filter: MINE }),
    grpc: queryRpc({ query: { recommend: { positive: [{ dense: { data: VECTOR } }], negative: [{ id: { num: '7' } }] } }, filter: PINNED })
  },
  {
    name: 'discover',
    rest: query({ query: { discover: { target: VECTOR, context: [{ positive: VECTOR, negative: 7 }] } }, filter: MINE }),
    grpc: queryRpc({
      query: {
        discover: {
          target: { dense: { data: VECTOR } },
          context: { pairs: [{ positive: { dense: { data: VECTOR } }, negative: { id: { num: '7' } } }] }
        }
      },
      filter: PINNED
    })
  },
  {
    name: 'feedback',
    rest: query({
      query: {
        relevance_feedback: { target: VECTOR, feedback: [{ example: VECTOR, score: 1 }], strategy: { naive: { a: 1, b: 1, c: 1 } } }
      },
      filter: MINE
    }),
    grpc: queryRpc({
      query: {
        relevanceFeedback: {
          target: { dense: { data: VECTOR } },
          feedback: [{ example: { dense: { data: VECTOR } }, score: 1 }],
          strategy: { naive: { a: 1, b: 1, c: 1 } }
        }
      },
      filter: PINNED
    })
  },
  {
    name: 'mmr',
    rest: query({ query: { nearest: VECTOR, mmr: { diversity: 0.5 } } }),
    grpc: queryRpc({ query: { nearestWithMmr: { nearest: { dense: { data: VECTOR } }, mmr: { diversity: 0.5 } } } })
  },
  { name: 'an order', rest: query({ query: { order_by: 'a' } }), grpc: queryRpc({ query: { orderBy: { key: 'a' } } }) },
  {
    name: 'a formula',
    rest: query({ query: { formula: { sum: ['$score', ACME] } }, prefetch: [{ query: VECTOR }] }),
    grpc: queryRpc({
      query: { formula: { expression: { sum: { sum: [{ variable: '$score' }, { condition: FIELD }] } } } },
      prefetch: [{ query: near }]
    })
  },
  {
    name: 'a batch',
    rest: post('points/query/batch', {
      searches: [
        { query: VECTOR, filter: MINE },
        { query: VECTOR, filter: MINE, limit: 50 }
      ]
    }),
    grpc: rpc('QueryBatch', proto.QueryBatchPointsSchema, {
      ...docs,
      queryPoints: [
        { ...docs, query: near, filter: PINNED },
        { query: near, filter: PINNED, limit: 50 }
      ]
    })
  },
  {
    name: 'groups',
    rest: post('points/query/groups', {
      query: VECTOR,
      group_by: 'a',
      limit: 4,
      with_lookup: { collection: 'x', with_vectors: true },
      filter: MINE
    }),
    grpc: rpc('QueryGroups', proto.QueryPointGroupsSchema, {
      ...docs,
      query: near,
      groupBy: 'a',
      limit: 4,
      withLookup: { collection: 'x', withVectors: { enable: true } },
      filter: PINNED
    })
  },
  {
    name: 'the older search',
    rest: post('points/search', { vector: VECTOR, limit: 3, filter: MINE }),
    grpc: rpc('Search', proto.SearchPointsSchema, { ...docs, vector: VECTOR, limit: 3, filter: PINNED })
  },
  {
    name: 'the older search of a sparse vector',
    rest: post('points/search', { vector: { name: 'a', vector: { indices: [1, 2], values: VECTOR } }, limit: 3 }),
    grpc: rpc('Search', proto.SearchPointsSchema, { ...docs, vector: VECTOR, sparseIndices: { data: [1, 2] }, limit: 3, vectorName: 'a' })
  },
  {
    name: 'the older groups',
    rest: post('points/search/groups', { vector: VECTOR, limit: 3, group_by: 'a', group_size: 5, filter: MINE }),
    grpc: rpc('SearchGroups', proto.SearchPointGroupsSchema, {
      ...docs,
      vector: VECTOR,
      limit: 3,
      groupBy: 'a',
      groupSize: 5,
      filter: PINNED
    })
  },
  {
    name: 'the older recommend',
    rest: post('points/recommend', { positive: [VECTOR, 7], limit: 3, filter: MINE }),
    grpc: rpc('Recommend', proto.RecommendPointsSchema, {
      ...docs,
      positive: [{ num: '7' }],
      positiveVectors: [{ data: VECTOR }],
      limit: 3,
      filter: PINNED
    })
  },
  {
    name: 'the older discover',
    rest: post('points/discover', { target: VECTOR, context: [{ positive: VECTOR, negative: VECTOR }], limit: 3, filter: MINE }),
    grpc: rpc('Discover', proto.DiscoverPointsSchema, {
      ...docs,
      target: { single: { vector: { data: VECTOR } } },
      context: [{ positive: { vector: { dense: { data: VECTOR } } }, negative: { vector: { data: VECTOR } } }],
      limit: 3,
      filter: PINNED
    })
  },
  {
    name: 'the older discover by id',
    rest: post('points/discover', { target: 7, limit: 3, filter: MINE }),
    grpc: rpc('Discover', proto.DiscoverPointsSchema, { ...docs, target: { single: { id: { num: '7' } } }, limit: 3, filter: PINNED })
  },
  {
    name: 'a matrix',
    rest: post('points/search/matrix/pairs', { sample: 4, filter: MINE }),
    grpc: rpc('SearchMatrixPairs', proto.SearchMatrixPointsSchema, { ...docs, sample: 4, filter: PINNED })
  }
]

const RECORD_TWINS: readonly Twins[] = [
  {
    name: 'a scroll',
    rest: post('points/scroll', { filter: MINE, limit: 3, with_vector: true, order_by: 'a' }),
    grpc: rpc('Scroll', proto.ScrollPointsSchema, {
      ...docs,
      filter: PINNED,
      limit: 3,
      withVectors: { enable: true },
      orderBy: { key: 'a' }
    })
  },
  {
    name: 'a count',
    rest: post('points/count', { filter: MINE }),
    grpc: rpc('Count', proto.CountPointsSchema, { ...docs, filter: PINNED })
  },
  {
    name: 'a facet',
    rest: post('facet', { key: 'a', filter: MINE }),
    grpc: rpc('Facet', proto.FacetCountsSchema, { ...docs, key: 'a', filter: PINNED })
  },
  {
    name: 'records by id',
    rest: post('points', { ids: [1, 2], shard_key: 'acme' }),
    grpc: rpc('Get', proto.GetPointsSchema, { ...docs, ids: [{ num: '1' }, { num: '2' }], ...shard })
  },
  {
    name: 'an upsert',
    rest: post(
      'points',
      { points: [{ id: 1, vector: VECTOR, payload: { tenant_id: 'acme', meta: { a: 'b' } } }], update_filter: MINE },
      'PUT'
    ),
    grpc: rpc('Upsert', proto.UpsertPointsSchema, {
      ...docs,
      points: [
        {
          id: { num: '1' },
          payload: { tenant_id: value('acme'), meta: { structValue: { fields: { a: value('b') } } } },
          vectors: { vector: { dense: { data: VECTOR } } }
        }
      ],
      updateFilter: PINNED
    })
  },
  {
    name: 'an upsert that only inserts',
    rest: post('points', { points: [{ id: 1, vector: { a: VECTOR }, payload: { tenant_id: 'acme' } }], update_mode: 'insert_only' }, 'PUT'),
    grpc: rpc('Upsert', proto.UpsertPointsSchema, {
      ...docs,
      points: [{ payload: { tenant_id: value('acme') }, vectors: { vectors: { vectors: { a: { data: VECTOR } } } } }],
      updateMode: 'InsertOnly'
    })
  },
  {
    name: 'an upsert with a list of tenants',
    rest: post('points', { points: [{ id: 1, vector: VECTOR, payload: { tenant_id: ['acme'] } }], update_filter: MINE }, 'PUT'),
    grpc: rpc('Upsert', proto.UpsertPointsSchema, {
      ...docs,
      points: [{ payload: { tenant_id: { listValue: { values: [value('acme')] } } }, vectors: { vector: { data: VECTOR } } }],
      updateFilter: PINNED
    })
  },
  {
    name: 'an upsert by anybody',
    rest: post('points', { points: [{ id: 1, vector: [VECTOR, VECTOR], payload: { tenant_id: 'acme' } }] }, 'PUT'),
    grpc: rpc('Upsert', proto.UpsertPointsSchema, {
      ...docs,
      points: [{ payload: { tenant_id: value('acme') }, vectors: { vector: { data: [...VECTOR, ...VECTOR], vectorsCount: 2 } } }]
    })
  },
  {
    name: 'an upsert that only updates, whoever has the id',
    rest: post('points', { points: [{ id: 1, vector: VECTOR, payload: { tenant_id: 'acme' } }], update_mode: 'update_only' }, 'PUT'),
    grpc: rpc('Upsert', proto.UpsertPointsSchema, {
      ...docs,
      points: [{ payload: { tenant_id: value('acme') }, vectors: { vector: { data: VECTOR } } }],
      updateMode: 'UpdateOnly'
    })
  },
  {
    name: 'an upsert with a field that looks like a path',
    rest: post(
      'points',
      { points: [{ id: 1, vector: VECTOR, payload: { 'a.b': 'acme', a: { c: 'x' } } }], update_mode: 'insert_only' },
      'PUT'
    ),
    grpc: rpc('Upsert', proto.UpsertPointsSchema, {
      ...docs,
      points: [
        { payload: { 'a.b': value('acme'), a: { structValue: { fields: { c: value('x') } } } }, vectors: { vector: { data: VECTOR } } }
      ],
      updateMode: 'InsertOnly'
    })
  },
  {
    name: 'a batch that overwrites payloads',
    rest: post('points/batch', { operations: [{ overwrite_payload: { payload: { page: 'x' }, filter: MINE } }] }),
    grpc: rpc('UpdateBatch', proto.UpdateBatchPointsSchema, {
      ...docs,
      operations: [{ overwritePayload: { payload: { page: value('x') }, pointsSelector: { filter: PINNED } } }]
    })
  },
  {
    name: 'new vectors',
    rest: post('points/vectors', { points: [{ id: 1, vector: VECTOR }], update_filter: MINE }, 'PUT'),
    grpc: rpc('UpdateVectors', proto.UpdatePointVectorsSchema, {
      ...docs,
      points: [{ vectors: { vector: { data: VECTOR } } }],
      updateFilter: PINNED
    })
  },
  {
    name: 'a deletion by filter',
    rest: post('points/delete', { filter: MINE }),
    grpc: rpc('Delete', proto.DeletePointsSchema, { ...docs, points: { filter: PINNED } })
  },
  {
    name: 'a deletion by ids',
    rest: post('points/delete', { points: [1], shard_key: 'acme' }),
    grpc: rpc('Delete', proto.DeletePointsSchema, { ...docs, points: { points: { ids: [{ num: '1' }] } }, ...shard })
  },
  { name: 'a deletion of nothing', rest: post('points/delete', {}), grpc: rpc('Delete', proto.DeletePointsSchema, docs) },
  {
    name: 'vectors deleted',
    rest: post('points/vectors/delete', { filter: MINE, vector: ['a'] }),
    grpc: rpc('DeleteVectors', proto.DeletePointVectorsSchema, { ...docs, pointsSelector: { filter: PINNED }, vectors: { names: ['a'] } })
  },
  {
    name: 'a payload set',
    rest: post('points/payload', { payload: { page: 'x' }, filter: MINE }),
    grpc: rpc('SetPayload', proto.SetPayloadPointsSchema, { ...docs, payload: { page: value('x') }, pointsSelector: { filter: PINNED } })
  },
  {
    name: 'the field set',
    rest: post('points/payload', { payload: { tenant_id: 'x' }, filter: MINE }),
    grpc: rpc('SetPayload', proto.SetPayloadPointsSchema, {
      ...docs,
      payload: { tenant_id: value('x') },
      pointsSelector: { filter: PINNED }
    })
  },
  {
    name: 'a payload overwritten',
    rest: post('points/payload', { payload: { page: 'x' }, filter: MINE }, 'PUT'),
    grpc: rpc('OverwritePayload', proto.SetPayloadPointsSchema, {
      ...docs,
      payload: { page: value('x') },
      pointsSelector: { filter: PINNED }
    })
  },
  {
    name: 'keys deleted',
    rest: post('points/payload/delete', { keys: ['tenant_id'], filter: MINE }),
    grpc: rpc('DeletePayload', proto.DeletePayloadPointsSchema, { ...docs, keys: ['tenant_id'], pointsSelector: { filter: PINNED } })
  },
  {
    name: 'a batch of writes',
    rest: post('points/batch', { operations: [{ set_payload: { payload: { a: 1 }, filter: MINE } }, { clear_payload: { filter: MINE } }] }),
    grpc: rpc('UpdateBatch', proto.UpdateBatchPointsSchema, {
      ...docs,
      operations: [
        { setPayload: { payload: { a: { integerValue: '1' } }, pointsSelector: { filter: PINNED } } },
        { clearPayload: { points: { filter: PINNED } } }
      ]
    })
  },
  {
    name: 'a batch of deletions, one in its older form',
    rest: post('points/batch', { operations: [{ delete: { filter: MINE } }, { delete: { points: [1] } }] }),
    grpc: rpc('UpdateBatch', proto.UpdateBatchPointsSchema, {
      ...docs,
      operations: [{ deletePoints: { points: { filter: PINNED } } }, { deleteDeprecated: { points: { ids: [{ num: '1' }] } } }]
    })
  },
  { name: 'a collection', rest: { method: 'GET', target: C }, grpc: rpc('Collections/Get', proto.GetCollectionInfoRequestSchema, docs) },
  {
    name: 'all collections',
    rest: { method: 'GET', target: '/collections' },
    grpc: rpc('Collections/List', proto.ListCollectionsRequestSchema, {})
  },
  {
    name: 'a collection dropped',
    rest: { method: 'DELETE', target: C },
    grpc: rpc('Collections/Delete', proto.DeleteCollectionSchema, docs)
  },
  {
    name: 'a collection made',
    rest: post('', { vectors: { size: 4, distance: 'Dot' } }, 'PUT'),
    grpc: rpc('Collections/Create', proto.CreateCollectionSchema, { ...docs, vectorsConfig: { params: { size: '4', distance: 'Dot' } } })
  }
].map((twins) => ({ ...twins, rest: { ...twins.rest, target: (twins.rest.target ?? '').replace(/\/$/, '') } }))

describe('REST and gRPC mean the same', () => {
  const meaning = (call: Call) => {
    const result = read(call)
    if (!result.ok) return result.reason.kind
    const { operation, targets, shape } = result.value
    return { operation, targets, shape }
  }
  it.each([...SEARCH_TWINS, ...RECORD_TWINS])('$name', ({ rest, grpc }) => {
    expect(meaning(grpc)).toEqual(meaning(rest))
  })

  it('and most of it is served', () => {
    expect([...SEARCH_TWINS, ...RECORD_TWINS].filter(({ grpc }) => outcome(grpc) === 'allowed').length).toBeGreaterThan(40)
  })
})

describe('protobuf’s own traps', () => {
  const key = chunk(1, 'tenant_id')
  const match = chunk(2, chunk(1, 'acme'))
  const condition = (...fields: Uint8Array[]) => chunk(2, chunk(1, fields))
  const vector = chunk(3, chunk(1, chunk(2, chunk(1, floatBytes(VECTOR)))))
  const send = (...parts: Uint8Array[]): Call => ({
    target: '/qdrant.Points/Query',
    message: Buffer.concat([chunk(1, 'docs'), vector, ...parts])
  })
  const filter = (...conditions: Uint8Array[]) => chunk(5, conditions)

  it('a plain filter is the neighbour of all that follow', () => {
    expect(filterMode(send(filter(condition(key, match))))).toBe('docs=acme')
  })

  it.each<[string, Call, string]>([
    ['a second check in the condition', send(filter(condition(key, match, chunk(6, number(1, 0))))), 'docs=not named'],
    ['is_empty in the condition', send(filter(condition(key, match, number(9, 1)))), 'docs=not named'],
    ['a match on a text', send(filter(condition(key, chunk(2, chunk(4, 'acme'))))), 'docs=not named'],
    ['a match on one of several', send(filter(condition(key, chunk(2, chunk(5, chunk(1, 'acme')))))), 'docs=not named'],
    ['the oneof of a condition twice', send(chunk(5, chunk(2, [chunk(1, chunk(3, [])), chunk(1, [key, match])]))), 'call-ambiguous'],
    ['two members of the oneof', send(chunk(5, chunk(2, [chunk(1, [key, match]), chunk(2, chunk(1, 'a'))]))), 'call-ambiguous'],
    ['two members of a match', send(filter(condition(key, chunk(2, [chunk(1, 'acme'), chunk(4, 'x')])))), 'call-ambiguous'],
    ['the filter twice', send(filter(condition(key, match)), filter(condition(key, match))), 'call-ambiguous'],
    ['the collection twice', send(chunk(1, 'other'), filter(condition(key, match))), 'call-ambiguous'],
    ['the query twice', send(vector), 'call-ambiguous'],
    ['an unknown field', send(chunk(99, 'x')), 'call-unreadable'],
    ['an unknown field deep inside', send(filter(condition(key, match, chunk(77, 'x')))), 'call-unreadable'],
    ['a field of another type', send(number(5, 1)), 'call-unreadable'],
    ['a key that is not UTF-8', send(filter(condition(chunk(1, Buffer.from([0xff])), match))), 'call-unreadable'],
    ['an empty query', { target: '/qdrant.Points/Query', message: Buffer.concat([chunk(1, 'docs'), chunk(3, [])]) }, 'call-unreadable'],
    ['no collection', { target: '/qdrant.Points/Query', message: vector }, 'call-unreadable'],
    ['a collection with a slash', { target: '/qdrant.Points/Query', message: chunk(1, 'a/b') }, 'call-unreadable']
  ])('%s: %s', (_, call, want) => expect(filterMode(call)).toBe(want))

  it('a vector in its older and its newer form', () => {
    const both = chunk(4, chunk(1, [chunk(1, floatBytes(VECTOR)), chunk(101, chunk(1, floatBytes(VECTOR)))]))
    const older = chunk(4, chunk(1, chunk(1, floatBytes(VECTOR))))
    const upsert = (vectors: Uint8Array) => ({
      target: '/qdrant.Points/Upsert',
      message: Buffer.concat([chunk(1, 'docs'), chunk(3, vectors)])
    })
    expect(outcome(upsert(older))).toBe('allowed')
    expect(outcome(upsert(both))).toBe('call-ambiguous')
  })

  it('a payload key twice', () => {
    const entry = (text: string) => chunk(3, [chunk(1, 'tenant_id'), chunk(2, chunk(4, text))])
    const upsert = (...entries: Uint8Array[]) => ({
      target: '/qdrant.Points/Upsert',
      message: Buffer.concat([chunk(1, 'docs'), chunk(3, entries), number(8, 1)])
    })
    expect(filterMode(upsert(entry('acme')))).toBe('docs=acme')
    expect(filterMode(upsert(entry('acme'), entry('globex')))).toBe('call-ambiguous')
  })

  it('vectors of NaN, and vectors_count that divides nothing', () => {
    const upsert = (vector: Uint8Array) => ({
      target: '/qdrant.Points/Upsert',
      message: Buffer.concat([chunk(1, 'docs'), chunk(3, chunk(4, chunk(1, vector)))])
    })
    expect(outcome(upsert(chunk(1, floatBytes([Number.NaN]))))).toBe('call-unreadable')
    expect(outcome(upsert(Buffer.concat([chunk(1, floatBytes([1, 2, 3])), number(3, 2)])))).toBe('call-unreadable')
    expect(outcome(upsert(Buffer.concat([chunk(1, floatBytes([1, 2, 3])), number(3, 0)])))).toBe('call-unreadable')
  })

  it('another collection inside of a batch, where the server does not look', () => {
    const batch = (inner: string) =>
      rpc('QueryBatch', proto.QueryBatchPointsSchema, { ...docs, queryPoints: [{ collectionName: inner, query: near }] })
    expect(outcome(batch('docs'))).toBe('allowed')
    expect(outcome(batch('other'))).toBe('call-ambiguous')
  })

  it('inference inputs', () => {
    expect(outcome(queryRpc({ query: { nearest: { document: { text: 'hello', model: 'bm25' } } } }))).toBe('operation-unknown')
    expect(
      outcome(
        rpc('Upsert', proto.UpsertPointsSchema, {
          ...docs,
          points: [{ vectors: { vector: { image: { image: value('x'), model: 'm' } } } }]
        })
      )
    ).toBe('operation-unknown')
  })

  it('a fallback shard, a number for a shard', () => {
    const sharded = (shardKeySelector: JsonValue) => shardMode(queryRpc({ query: near, shardKeySelector } as object))
    expect(sharded({ shardKeys: [{ keyword: 'acme' }] })).toBe('docs=acme')
    expect(sharded({ shardKeys: [{ keyword: 'acme' }], fallback: { keyword: 'globex' } })).toBe('docs=acme+globex')
    expect(sharded({ shardKeys: [{ number: '7' }] })).toBe('docs=unsharded')
    expect(sharded({})).toBe('docs=all')
  })

  it('a gzipped frame is read, a REST path with gRPC bytes and a gRPC path with JSON are not', () => {
    const { target, message } = queryRpc({ query: near, filter: PINNED })
    const body = frame(gzipSync(message ?? ''), 1)
    const headers = { 'content-type': 'application/grpc+proto', 'grpc-encoding': 'gzip' }
    expect(filterMode({ target: target ?? '', body, headers })).toBe('docs=acme')
    expect(filterMode({ target: `${POINTS}/query`, body, headers })).toBe('call-ambiguous')
    expect(filterMode({ target: target ?? '', body: { query: VECTOR } })).toBe('call-ambiguous')
  })
})

describe('the tables know every field of the client’s own descriptors', () => {
  const pairs: readonly (readonly [MessageTable<unknown>, DescMessage])[] = [
    [searches.QUERY_POINTS, proto.QueryPointsSchema],
    [searches.QUERY_BATCH, proto.QueryBatchPointsSchema],
    [searches.QUERY_GROUPS, proto.QueryPointGroupsSchema],
    [searches.SEARCH_POINTS, proto.SearchPointsSchema],
    [searches.SEARCH_BATCH, proto.SearchBatchPointsSchema],
    [searches.SEARCH_GROUPS, proto.SearchPointGroupsSchema],
    [searches.RECOMMEND_POINTS, proto.RecommendPointsSchema],
    [searches.RECOMMEND_BATCH, proto.RecommendBatchPointsSchema],
    [searches.RECOMMEND_GROUPS, proto.RecommendPointGroupsSchema],
    [searches.DISCOVER_POINTS, proto.DiscoverPointsSchema],
    [searches.DISCOVER_BATCH, proto.DiscoverBatchPointsSchema],
    [searches.MATRIX_POINTS, proto.SearchMatrixPointsSchema],
    [searches.SCROLL_POINTS, proto.ScrollPointsSchema],
    [searches.COUNT_POINTS, proto.CountPointsSchema],
    [searches.FACET_COUNTS, proto.FacetCountsSchema],
    [searches.GET_POINTS, proto.GetPointsSchema],
    [writes.UPSERT_POINTS, proto.UpsertPointsSchema],
    [writes.UPDATE_VECTORS, proto.UpdatePointVectorsSchema],
    [writes.DELETE_POINTS, proto.DeletePointsSchema],
    [writes.CLEAR_PAYLOAD, proto.ClearPayloadPointsSchema],
    [writes.DELETE_VECTORS, proto.DeletePointVectorsSchema],
    [writes.SET_PAYLOAD, proto.SetPayloadPointsSchema],
    [writes.DELETE_PAYLOAD, proto.DeletePayloadPointsSchema],
    [writes.UPDATE_BATCH, proto.UpdateBatchPointsSchema]
  ]
  it.each(pairs.map(([table, desc]) => ({ name: desc.typeName, table, desc })))('$name', ({ table, desc }) => {
    const seen = new Map<DescMessage, MessageTable<unknown>>()
    expect(differences(table, desc, seen)).toEqual([])
    expect(seen.size).toBeGreaterThan(0)
  })
})

/** Fields that one of the two has and the other has not, or has in another way; for all messages within. */
function differences(table: MessageTable<unknown>, desc: DescMessage, seen: Map<DescMessage, MessageTable<unknown>>): string[] {
  if (seen.has(desc)) return []
  seen.set(desc, table)
  const faults: string[] = []
  const numbers = new Set(desc.fields.map((field) => field.number))
  table.fields.forEach((field) => {
    if (field !== undefined && !numbers.has(field.number)) faults.push(`${desc.typeName} has no field ${field.number}`)
  })
  for (const field of desc.fields) {
    const own = table.fields[field.number]
    const where = `${desc.typeName}.${field.name}`
    if (own === undefined || own.name !== field.name) {
      faults.push(`${where} is ${own?.name ?? 'unknown'}`)
      continue
    }
    const repeated = field.fieldKind === 'list'
    const inside =
      field.fieldKind === 'message' ? field.message : field.fieldKind === 'list' && field.listKind === 'message' ? field.message : undefined
    if (own.repeated !== repeated) faults.push(`${where} is ${repeated ? 'repeated' : 'singular'}`)
    if ((own.kind === 'map') !== (field.fieldKind === 'map')) faults.push(`${where} is ${field.fieldKind}`)
    if ((own.oneof !== undefined) !== (field.oneof !== undefined)) faults.push(`${where}: oneof`)
    if ((own.message !== undefined) !== (inside !== undefined)) faults.push(`${where} is ${field.fieldKind}`)
    else if (inside !== undefined && own.message !== undefined) faults.push(...differences(own.message(), inside, seen))
    const entry = field.fieldKind === 'map' && field.mapKind === 'message' ? field.message : undefined
    if (entry !== undefined && own.value?.message !== undefined) faults.push(...differences(own.value.message(), entry, seen))
  }
  return faults
}
