/** Each trap of Qdrant's REST API, as a row with its nearest harmless neighbour. */
import { describe, expect, it } from 'vitest'
import { qdrant } from '../../src/databases/qdrant.ts'
import { C, type Call, filterMode, outcome, POINTS, read, shardMode } from './qdrant-call.ts'

const ACME = { key: 'tenant_id', match: { value: 'acme' } }
const MINE = { must: [ACME] }
const VECTOR = [0.5, 1]
const POINT = { id: 1, vector: VECTOR, payload: { tenant_id: 'acme' } }

interface Row {
  readonly name: string
  readonly call: Call
  readonly want: string
}

const at = (path: string, body: unknown, method = 'POST'): Call => ({ method, target: `${C}/${path}`, body })
const query = (body: object): Call => at('points/query', { query: VECTOR, ...body })
const upsert = (body: object): Call => at('points', body, 'PUT')
const filtered = (filter: unknown): Call => query({ filter })

describe('a filter proves the tenant', () => {
  const rows: readonly Row[] = [
    { name: 'directly in must', call: filtered(MINE), want: 'docs=acme' },
    { name: 'as the one object of must', call: filtered({ must: ACME }), want: 'docs=acme' },
    {
      name: 'beside anything else',
      call: filtered({ must: [{ key: 'a', range: { gt: 1 } }, ACME], should: [{ has_id: [1] }] }),
      want: 'docs=acme'
    },
    { name: 'with nulls that say nothing', call: filtered({ must: [{ ...ACME, range: null }], should: null }), want: 'docs=acme' },
    { name: 'not in should', call: filtered({ should: [ACME] }), want: 'docs=not named' },
    { name: 'not in must_not', call: filtered({ must_not: [ACME] }), want: 'docs=not named' },
    { name: 'not in min_should', call: filtered({ min_should: { conditions: [ACME], min_count: 1 } }), want: 'docs=not named' },
    { name: 'not below an inner filter', call: filtered({ must: [{ should: [ACME] }] }), want: 'docs=not named' },
    {
      name: 'not for the elements of a nested array',
      call: filtered({ must: [{ nested: { key: 'a', filter: MINE } }] }),
      want: 'docs=not named'
    },
    {
      name: 'not with a second check in the condition',
      call: filtered({ must: [{ ...ACME, values_count: { gte: 0 } }] }),
      want: 'docs=not named'
    },
    { name: 'not with is_empty beside it', call: filtered({ must: [{ ...ACME, is_empty: true }] }), want: 'docs=not named' },
    { name: 'not by words of a text', call: filtered({ must: [{ key: 'tenant_id', match: { text: 'acme' } }] }), want: 'docs=not named' },
    { name: 'not by one of several', call: filtered({ must: [{ key: 'tenant_id', match: { any: ['acme'] } }] }), want: 'docs=not named' },
    { name: 'not by a number', call: filtered({ must: [{ key: 'tenant_id', match: { value: 7 } }] }), want: 'docs=not named' },
    { name: 'not in another spelling of the field', call: filtered({ must: [{ ...ACME, key: '"tenant_id"' }] }), want: 'docs=not named' },
    { name: 'not by an element of a list', call: filtered({ must: [{ ...ACME, key: 'tenant_id[]' }] }), want: 'docs=not named' },
    {
      name: 'not where two values are asked for',
      call: filtered({ must: [ACME, { ...ACME, match: { value: 'globex' } }] }),
      want: 'docs=not named'
    },
    {
      name: 'not where a third repeats the first',
      call: filtered({ must: [ACME, { ...ACME, match: { value: 'globex' } }, ACME] }),
      want: 'docs=not named'
    },
    { name: 'not where there is none', call: query({}), want: 'docs=not named' }
  ]
  it.each(rows)('$name', ({ call, want }) => expect(filterMode(call)).toBe(want))

  it('for a field below another one', () => {
    const call = filtered({ must: [{ key: 'metadata.tenant', match: { value: 'acme' } }] })
    expect(filterMode(call, 'metadata.tenant')).toBe('docs=acme')
    expect(filterMode(call, 'tenant')).toBe('docs=not named')
  })

  it('for a field that is written plainly only, whatever the field is called', () => {
    for (const key of ['"tenant_id"', 'tenant_id[]', 'tenant_id[0]', 'a."b"'])
      expect(filterMode(filtered({ must: [{ key, match: { value: 'acme' } }] }), key)).toBe('docs=not named')
  })
})

describe('a filter with two readings', () => {
  const rows: readonly Row[] = [
    { name: 'match with two keys', call: filtered({ must: [{ key: 'a', match: { value: 'x', text: 'y' } }] }), want: 'call-ambiguous' },
    { name: 'match with an unknown key', call: filtered({ must: [{ key: 'a', match: { values: 'x' } }] }), want: 'call-unreadable' },
    { name: 'a condition of two kinds', call: filtered({ must: [{ ...ACME, has_id: [1] }] }), want: 'call-ambiguous' },
    { name: 'a filter and a condition in one object', call: filtered({ must: [{ ...ACME, must: [ACME] }] }), want: 'call-ambiguous' },
    { name: 'an unknown key in a condition', call: filtered({ must: [{ ...ACME, Match: {} }] }), want: 'call-ambiguous' },
    { name: 'an unknown clause', call: filtered({ must: [ACME], any: [] }), want: 'call-unreadable' },
    { name: 'must written twice', call: at('points/query', '{"query":[1],"filter":{"must":[],"must":[]}}'), want: 'call-ambiguous' },
    { name: 'a check without a key', call: filtered({ must: [{ match: { value: 'x' } }] }), want: 'call-unreadable' },
    { name: 'is_empty alone', call: filtered({ must: [ACME, { is_empty: { key: 'a' } }, { is_null: { key: 'b' } }] }), want: 'allowed' },
    { name: 'every kind of condition once', call: filtered(EVERY_KIND()), want: 'allowed' }
  ]
  it.each(rows)('$name: $want', ({ call, want }) => expect(outcome(call)).toBe(want))
})

function EVERY_KIND() {
  return {
    must: [
      { key: 'a', match: { except: ['x'] } },
      { key: 'a', geo_radius: { center: { lon: 1, lat: 2 }, radius: 3 } },
      { key: 'a', is_null: false },
      { has_id: [1, '5c56c793-69f3-4fbf-87e6-c4bf54c28c26'] },
      { has_vector: 'text' },
      { slice: { total: 4, index: 1 } },
      { nested: { key: 'a', filter: { must: [ACME] } } },
      { must: [], should: { key: 'b', values_count: { gt: 1 } } }
    ]
  }
}

describe('ids go past a filter (trap 1)', () => {
  const rows: readonly Row[] = [
    { name: 'a vector', call: query({ filter: MINE }), want: 'docs=acme' },
    { name: 'an id as query', call: query({ query: 7, filter: MINE }), want: 'docs=unpinned' },
    { name: 'a UUID as query', call: query({ query: '5c56c793-69f3-4fbf-87e6-c4bf54c28c26', filter: MINE }), want: 'docs=unpinned' },
    { name: 'nearest to an id', call: query({ query: { nearest: 7 }, filter: MINE }), want: 'docs=unpinned' },
    { name: 'nearest to a vector', call: query({ query: { nearest: VECTOR, mmr: { diversity: 0.5 } }, filter: MINE }), want: 'docs=acme' },
    { name: 'recommend with an id', call: query({ query: { recommend: { positive: [VECTOR, 7] } }, filter: MINE }), want: 'docs=unpinned' },
    {
      name: 'recommend against an id',
      call: query({ query: { recommend: { positive: [VECTOR], negative: [7] } }, filter: MINE }),
      want: 'docs=unpinned'
    },
    {
      name: 'recommend without ids',
      call: query({ query: { recommend: { positive: [VECTOR], negative: [VECTOR] } }, filter: MINE }),
      want: 'docs=acme'
    },
    { name: 'discover an id', call: query({ query: { discover: { target: 7, context: [] } }, filter: MINE }), want: 'docs=unpinned' },
    {
      name: 'an id in a pair',
      call: query({ query: { context: { positive: VECTOR, negative: 7 } }, filter: MINE }),
      want: 'docs=unpinned'
    },
    {
      name: 'vectors in a pair',
      call: query({ query: { context: [{ positive: VECTOR, negative: VECTOR }] }, filter: MINE }),
      want: 'docs=acme'
    },
    {
      name: 'an id as feedback',
      call: query({
        query: { relevance_feedback: { target: VECTOR, feedback: [{ example: 7, score: 1 }], strategy: { naive: { a: 1, b: 1, c: 1 } } } },
        filter: MINE
      }),
      want: 'docs=unpinned'
    },
    { name: 'an id in a prefetch', call: query({ prefetch: { query: 7 }, filter: MINE }), want: 'docs=unpinned' },
    {
      name: 'an id in a prefetch of a prefetch',
      call: query({ prefetch: [{ query: VECTOR, prefetch: [{ query: 7 }] }], filter: MINE }),
      want: 'docs=unpinned'
    },
    { name: 'the older recommend by id', call: at('points/recommend', { positive: [7], filter: MINE, limit: 1 }), want: 'docs=unpinned' },
    {
      name: 'the older recommend by vector',
      call: at('points/recommend', { positive: [VECTOR], filter: MINE, limit: 1 }),
      want: 'docs=acme'
    },
    {
      name: 'the older discover by id',
      call: at('points/discover', { context: [{ positive: 7, negative: 8 }], filter: MINE, limit: 1 }),
      want: 'docs=unpinned'
    },
    { name: 'the older discover by vector', call: at('points/discover', { target: VECTOR, filter: MINE, limit: 1 }), want: 'docs=acme' },
    {
      name: 'one search of a batch',
      call: at('points/query/batch', {
        searches: [
          { query: VECTOR, filter: MINE },
          { query: 7, filter: MINE }
        ]
      }),
      want: 'docs=unpinned'
    }
  ]
  it.each(rows)('$name', ({ call, want }) => expect(filterMode(call)).toBe(want))
})

describe('lookups are places of their own (trap 2)', () => {
  const lookup_from = { collection: 'other' }
  const rows: readonly Row[] = [
    { name: 'lookup_from', call: query({ query: 7, lookup_from, filter: MINE }), want: 'docs=acme other=unpinned' },
    { name: 'lookup_from of a vector, which needs none', call: query({ lookup_from, filter: MINE }), want: 'docs=acme other=unpinned' },
    {
      name: 'lookup_from into the collection itself',
      call: query({ query: 7, lookup_from: { collection: 'docs' }, filter: MINE }),
      want: 'docs=acme docs=unpinned'
    },
    {
      name: 'lookup_from in a prefetch',
      call: query({ prefetch: [{ query: 7, lookup_from }], filter: MINE }),
      want: 'docs=acme other=unpinned'
    },
    {
      name: 'an id beside the prefetch that looks up',
      call: query({ query: 8, prefetch: [{ query: 7, lookup_from }], filter: MINE }),
      want: 'docs=unpinned other=unpinned'
    },
    {
      name: 'with_lookup',
      call: at('points/query/groups', { query: VECTOR, group_by: 'a', with_lookup: 'other', filter: MINE }),
      want: 'docs=acme other=unpinned'
    },
    {
      name: 'with_lookup as an object',
      call: at('points/search/groups', {
        vector: VECTOR,
        group_by: 'a',
        group_size: 1,
        limit: 1,
        with_lookup: { collection: 'other' },
        filter: MINE
      }),
      want: 'docs=acme other=unpinned'
    },
    {
      name: 'with_lookup of no collection',
      call: at('points/query/groups', { query: VECTOR, group_by: 'a', with_lookup: {}, filter: MINE }),
      want: 'call-unreadable'
    },
    { name: 'groups without a lookup', call: at('points/query/groups', { query: VECTOR, group_by: 'a', filter: MINE }), want: 'docs=acme' },
    { name: 'a name that is a path', call: query({ query: 7, lookup_from: { collection: '../other' } }), want: 'call-unreadable' }
  ]
  it.each(rows)('$name', ({ call, want }) => expect(filterMode(call)).toBe(want))
})

describe('prefetches', () => {
  const rows: readonly Row[] = [
    {
      name: 'are covered by the filter of the query',
      call: query({ prefetch: [{ query: VECTOR }, { query: VECTOR }], filter: MINE }),
      want: 'docs=acme'
    },
    {
      name: 'cover the query when all are filtered',
      call: query({
        query: { fusion: 'rrf' },
        prefetch: [
          { query: VECTOR, filter: MINE },
          { query: VECTOR, filter: MINE }
        ]
      }),
      want: 'docs=acme'
    },
    {
      name: 'do not when one is not',
      call: query({ query: { fusion: 'rrf' }, prefetch: [{ query: VECTOR, filter: MINE }, { query: VECTOR }] }),
      want: 'docs=not named'
    },
    { name: 'do not when there are none', call: query({ query: { fusion: 'rrf' }, prefetch: [] }), want: 'docs=not named' },
    {
      name: 'do not when they are of two tenants',
      call: query({ prefetch: [{ filter: MINE }, { filter: { must: [{ key: 'tenant_id', match: { value: 'globex' } }] } }] }),
      want: 'docs=not named'
    },
    {
      name: 'of another tenant than the query',
      call: query({ prefetch: [{ query: VECTOR, filter: { must: [{ key: 'tenant_id', match: { value: 'globex' } }] } }], filter: MINE }),
      want: 'docs=not named'
    },
    {
      name: 'cover what ranks them at every depth',
      call: query({ prefetch: { query: VECTOR, prefetch: { query: VECTOR, filter: MINE } } }),
      want: 'docs=acme'
    }
  ]
  it.each(rows)('$name', ({ call, want }) => expect(filterMode(call)).toBe(want))
})

describe('ids beat a filter in what changes records (trap 3)', () => {
  const endpoints = [
    { path: 'points/delete', body: {} },
    { path: 'points/payload', body: { payload: { page: 1 } } },
    { path: 'points/payload/delete', body: { keys: ['page'] } },
    { path: 'points/vectors/delete', body: { vector: ['text'] } }
  ]
  it.each(endpoints)('$path', ({ path, body }) => {
    expect(filterMode(at(path, { ...body, filter: MINE }))).toBe('docs=acme')
    expect(filterMode(at(path, { ...body, filter: { must: [ACME, { has_id: [1, 2] }] } }))).toBe('docs=acme')
    expect(filterMode(at(path, { ...body, points: [1] }))).toBe('docs=unpinned')
    expect(filterMode(at(path, { ...body, points: [1], filter: MINE }))).toBe('call-ambiguous')
    expect(filterMode(at(path, { ...body, points: [], filter: MINE }))).toBe('call-ambiguous')
    expect(filterMode(at(path, body))).toBe('call-ambiguous')
    expect(filterMode(at(path, { ...body, filter: {} }))).toBe('docs=not named')
  })
})

describe('an upsert overwrites whoever has the id (trap 4)', () => {
  const batch = { ids: [1, 2], vectors: [VECTOR, VECTOR], payloads: [{ tenant_id: 'acme' }, { tenant_id: 'acme' }] }
  const rows: readonly Row[] = [
    { name: 'with update_filter', call: upsert({ points: [POINT], update_filter: MINE }), want: 'docs=acme' },
    { name: 'with insert_only', call: upsert({ points: [POINT], update_mode: 'insert_only' }), want: 'docs=acme' },
    { name: 'with neither', call: upsert({ points: [POINT] }), want: 'docs=unpinned' },
    { name: 'with the usual mode spelled out', call: upsert({ points: [POINT], update_mode: 'upsert' }), want: 'docs=unpinned' },
    { name: 'with update_only and no filter', call: upsert({ points: [POINT], update_mode: 'update_only' }), want: 'docs=unpinned' },
    {
      name: 'with a filter for something else',
      call: upsert({ points: [POINT], update_filter: { must: [{ has_id: [1] }] } }),
      want: 'docs=not named'
    },
    {
      name: "into another's records",
      call: upsert({ points: [POINT], update_filter: { must: [{ key: 'tenant_id', match: { value: 'globex' } }] } }),
      want: 'docs=not named'
    },
    { name: 'without payload', call: upsert({ points: [{ id: 1, vector: VECTOR }], update_filter: MINE }), want: 'docs=not named' },
    {
      name: "with one record of another's",
      call: upsert({ points: [POINT, { ...POINT, payload: { tenant_id: 'globex' } }], update_mode: 'insert_only' }),
      want: 'docs=not named'
    },
    {
      name: 'with a list of tenants',
      call: upsert({ points: [{ ...POINT, payload: { tenant_id: ['acme', 'globex'] } }], update_mode: 'insert_only' }),
      want: 'docs=not named'
    },
    { name: 'in columns', call: upsert({ batch, update_filter: MINE }), want: 'docs=acme' },
    {
      name: 'in columns with a null payload',
      call: upsert({ batch: { ...batch, payloads: [{ tenant_id: 'acme' }, null] }, update_filter: MINE }),
      want: 'docs=not named'
    },
    {
      name: 'in columns without payloads',
      call: upsert({ batch: { ids: [1], vectors: [VECTOR] }, update_filter: MINE }),
      want: 'docs=not named'
    },
    { name: 'in columns of two lengths', call: upsert({ batch: { ...batch, ids: [1] }, update_filter: MINE }), want: 'call-unreadable' },
    { name: 'in columns and in rows', call: upsert({ batch, points: [POINT], update_filter: MINE }), want: 'call-ambiguous' },
    { name: 'with a key twice in a payload', call: upsert(JSON.parse('{"points":[]}')), want: 'docs=unpinned' },
    {
      name: 'new vectors with a filter',
      call: at('points/vectors', { points: [{ id: 1, vector: VECTOR }], update_filter: MINE }, 'PUT'),
      want: 'docs=acme'
    },
    { name: 'new vectors without one', call: at('points/vectors', { points: [{ id: 1, vector: VECTOR }] }, 'PUT'), want: 'docs=unpinned' }
  ]
  it.each(rows)('$name', ({ call, want }) => expect(filterMode(call)).toBe(want))

  it('proves a field within an object of the payload, and none within a list', () => {
    const write = (payload: unknown) => upsert({ points: [{ ...POINT, payload }], update_mode: 'insert_only' })
    expect(filterMode(write({ metadata: { tenant: 'acme' } }), 'metadata.tenant')).toBe('docs=acme')
    expect(filterMode(write({ 'metadata.tenant': 'acme' }), 'metadata.tenant')).toBe('docs=not named')
    expect(filterMode(write({ metadata: [{ tenant: 'acme' }] }), 'metadata.tenant')).toBe('docs=not named')
  })

  it('is refused with a key twice in a payload', () => {
    const body = '{"points":[{"id":1,"vector":[1],"payload":{"tenant_id":"acme","tenant_id":"globex"}}]}'
    expect(outcome({ method: 'PUT', target: POINTS, body })).toBe('call-ambiguous')
  })
})

describe('a change of the payload leaves the field alone (trap 5)', () => {
  const set = (body: object, method = 'POST') => at('points/payload', { filter: MINE, ...body }, method)
  const rows: readonly Row[] = [
    { name: 'another field', call: set({ payload: { page: 1 } }), want: 'docs=acme' },
    { name: 'the field', call: set({ payload: { tenant_id: 'globex' } }), want: 'docs=changed' },
    { name: 'the field, with the value it has', call: set({ payload: { tenant_id: 'acme' } }), want: 'docs=changed' },
    { name: 'below a path', call: set({ payload: { a: 1 }, key: 'metadata' }), want: 'docs=acme' },
    { name: 'below the field', call: set({ payload: { a: 1 }, key: 'tenant_id' }), want: 'docs=changed' },
    { name: 'below a path in another spelling', call: set({ payload: { a: 1 }, key: '"tenant_id"' }), want: 'docs=changed' },
    { name: 'below a path in the field', call: set({ payload: { a: 1 }, key: 'tenant_id.a' }), want: 'docs=changed' },
    { name: 'all of it', call: set({ payload: { tenant_id: 'acme' } }, 'PUT'), want: 'docs=changed' },
    { name: 'all of a part', call: set({ payload: { a: 1 }, key: 'metadata' }, 'PUT'), want: 'docs=acme' },
    { name: 'deleting another field', call: at('points/payload/delete', { keys: ['page', 'a.b'], filter: MINE }), want: 'docs=acme' },
    { name: 'deleting the field', call: at('points/payload/delete', { keys: ['page', 'tenant_id'], filter: MINE }), want: 'docs=changed' },
    {
      name: 'deleting the field in another spelling',
      call: at('points/payload/delete', { keys: ['tenant_id[]'], filter: MINE }),
      want: 'docs=changed'
    },
    { name: 'deleting everything', call: at('points/payload/clear', { filter: MINE }), want: 'docs=changed' }
  ]
  it.each(rows)('$name', ({ call, want }) => expect(filterMode(call)).toBe(want))

  it('counts an object above the field, and what is below it', () => {
    const filter = { must: [{ key: 'metadata.tenant', match: { value: 'acme' } }] }
    const field = 'metadata.tenant'
    expect(filterMode(set({ filter, payload: { page: 1 } }), field)).toBe('docs=acme')
    expect(filterMode(set({ filter, payload: { metadata: {} } }), field)).toBe('docs=changed')
    expect(filterMode(set({ filter, payload: { x: 1 }, key: 'metadata.tenant.x' }), field)).toBe('docs=changed')
    expect(filterMode(at('points/payload/delete', { filter, keys: ['metadata'] }), field)).toBe('docs=changed')
  })
})

it('compares a change of thousands of fields with thousands of conditions in no time', () => {
  const must = [ACME, ...Array.from({ length: 8_000 }, (_, index) => ({ key: `p${index}`, match: { value: '' } }))]
  const names = Array.from({ length: 80_000 }, (_, index) => `k${index}`)
  const start = performance.now()
  expect(filterMode(at('points/payload/delete', { keys: names, filter: { must } }))).toBe('docs=acme')
  // Ten seconds, when each was compared with each.
  expect(performance.now() - start).toBeLessThan(2_000)
  expect(filterMode(at('points/payload/delete', { keys: [...names, 'tenant_id.a'], filter: { must } }))).toBe('docs=changed')
  expect(filterMode(at('points/payload/delete', { keys: [Array(34).fill('a').join('.')], filter: MINE }))).toBe('docs=changed')
})

describe('places and shards are counted, for each is in the record', () => {
  const lookups = (count: number) =>
    at('points/query/batch', {
      searches: Array.from({ length: count }, (_, index) => ({ query: 7, lookup_from: { collection: `other${index}` }, filter: MINE }))
    })
  const shards = (count: number) => query({ shard_key: Array.from({ length: count }, (_, index) => `k${index}`), filter: MINE })
  it.each([
    { name: 'as many lookups as may be', call: lookups(256), want: 'allowed' },
    { name: 'one more', call: lookups(257), want: 'call-too-large' },
    { name: 'as many shard keys as may be', call: shards(1024), want: 'allowed' },
    { name: 'one shard key more', call: shards(1025), want: 'call-too-large' }
  ])('$name', ({ call, want }) => expect(outcome(call)).toBe(want))

  it('one place of many parts is one target', () => {
    const part = { query: 7, lookup_from: { collection: 'other' }, filter: MINE }
    const call = read(at('points/query/batch', { searches: Array(3_000).fill(part) }))
    expect(call.ok && call.value.targets.length).toBe(2)
  })

  it('more shard keys than may be are none in a batch', () => {
    const operation = (from: number) => ({
      delete: { filter: MINE, shard_key: Array.from({ length: 1_000 }, (_, index) => `k${from + index}`) }
    })
    const call = read(at('points/batch', { operations: [operation(0), operation(1_000)] }))
    expect(call.ok && call.value.targets[0]?.bounds?.shards).toBe(undefined)
  })
})

describe('more vectors than in any call', () => {
  const many = Array.from({ length: 5_000 }, () => [1])
  const rows = [
    { name: 'in a record', call: at('points', { points: [{ id: 1, vector: { a: many, b: many } }] }, 'PUT') },
    { name: 'in columns', call: at('points', { batch: { ids: [1], vectors: [many, many] } }, 'PUT') },
    { name: 'in prefetches', call: query({ prefetch: [{ query: many }, { query: many }] }) }
  ]
  it.each(rows)('$name', ({ call }) => expect(outcome(call)).toBe('call-too-large'))
})

describe('records by id have no filter (trap 6)', () => {
  it('POST points, and GET points/{id} with its vectors', () => {
    expect(filterMode(at('points', { ids: [1] }))).toBe('docs=unpinned')
    expect(filterMode(at('points/scroll', { filter: { must: [ACME, { has_id: [1] }] } }))).toBe('docs=acme')
    const one = { method: 'GET', target: `${POINTS}/7` }
    expect(filterMode(one)).toBe('docs=unpinned')
    const result = read(one)
    expect(result.ok && result.value).toMatchObject({ operation: 'read', shape: { vectorsOut: true, records: 1, topK: 1 } })
  })
})

describe('what is scoped by its filter alone (trap 8)', () => {
  it.each([
    ['points/count', {}],
    ['facet', { key: 'page' }],
    ['points/scroll', { order_by: 'page' }],
    ['points/search/matrix/pairs', { sample: 3 }],
    ['points/search/matrix/offsets', { limit: 2 }]
  ])('%s', (path, body) => {
    expect(filterMode(at(path, { ...body, filter: MINE }))).toBe('docs=acme')
    expect(filterMode(at(path, body))).toBe('docs=not named')
  })
})

describe('the corpus of idf is counted past every filter, and the scores tell', () => {
  const params = (corpus: unknown) => ({ idf: { corpus } })
  const theirs = { must: [{ key: 'tenant_id', match: { value: 'globex' } }] }
  const rows = [
    { name: 'of the same tenant', call: query({ query: VECTOR, filter: MINE, params: params(MINE) }), want: 'docs=acme' },
    { name: "of another's records", call: query({ query: VECTOR, filter: MINE, params: params(theirs) }), want: 'docs=not named' },
    { name: "of everybody's", call: query({ query: VECTOR, filter: MINE, params: params({}) }), want: 'docs=not named' },
    { name: 'the common one', call: query({ query: VECTOR, filter: MINE, params: { idf: 'global' } }), want: 'docs=acme' },
    { name: 'and no filter', call: query({ query: VECTOR, params: params(MINE) }), want: 'docs=not named' },
    {
      name: 'in a prefetch, where the filter above does not reach it',
      call: query({ prefetch: { query: VECTOR, params: params(theirs) }, filter: MINE }),
      want: 'docs=not named'
    },
    {
      name: 'of the same tenant in a prefetch',
      call: query({ prefetch: { query: VECTOR, params: params(MINE) }, filter: MINE }),
      want: 'docs=acme'
    },
    {
      name: 'in an older search',
      call: at('points/search', { vector: VECTOR, limit: 1, filter: MINE, params: params(theirs) }),
      want: 'docs=not named'
    }
  ]
  it.each(rows)('$name', ({ call, want }) => expect(filterMode(call)).toBe(want))
})

describe('a formula rescores what was filtered (trap 9)', () => {
  it('is read, and its conditions prove nothing', () => {
    const formula = { sum: ['$score', { mult: [0.5, ACME] }] }
    const prefetch = { query: VECTOR, filter: MINE }
    expect(filterMode(query({ query: { formula, defaults: { a: 1 } }, prefetch }))).toBe('docs=acme')
    expect(filterMode(query({ query: { formula }, prefetch: { query: VECTOR } }))).toBe('docs=not named')
  })
})

describe('inference inputs carry no vector (trap 10)', () => {
  const document = { text: 'hello', model: 'bm25' }
  it.each([
    ['as query', query({ query: document })],
    ['nearest', query({ query: { nearest: document } })],
    ['with options first', query({ query: { options: {}, text: 'hello', model: 'bm25' } })],
    ['an image', query({ query: { image: 'https://example.org/a.png', model: 'clip' } })],
    ['an object', query({ query: { object: {}, model: 'm' } })],
    ['among positives', query({ query: { recommend: { positive: [VECTOR, document] } } })],
    ['in a prefetch', query({ prefetch: [{ query: document }] })],
    ['in a record', upsert({ points: [{ id: 1, vector: document }] })],
    ['in a named vector', upsert({ points: [{ id: 1, vector: { text: document } }] })],
    ['in columns', upsert({ batch: { ids: [1], vectors: [document] } })]
  ])('%s', (_, call) => {
    const result = read(call)
    expect(result.ok ? 'allowed' : [result.reason.kind, result.reason.remedy]).toEqual([
      'operation-unknown',
      'Make the embedding in the application and send the vector.'
    ])
  })

  it('but a vector may be called text', () => {
    expect(outcome(upsert({ points: [{ id: 1, vector: { text: VECTOR, image: [VECTOR] } }] }))).toBe('allowed')
  })
})

describe('shard keys (trap 1, §2.1)', () => {
  const rows: readonly Row[] = [
    { name: 'one', call: query({ shard_key: 'acme' }), want: 'docs=acme' },
    { name: 'a list of one, twice', call: query({ shard_key: ['acme', 'acme'] }), want: 'docs=acme' },
    { name: 'two', call: query({ shard_key: ['acme', 'globex'] }), want: 'docs=acme+globex' },
    { name: 'a fallback is a second', call: query({ shard_key: { target: 'acme', fallback: 'globex' } }), want: 'docs=acme+globex' },
    { name: 'half a fallback', call: query({ shard_key: { target: 'acme' } }), want: 'call-unreadable' },
    { name: 'a number is another key than its digits', call: query({ shard_key: 7 }), want: 'docs=unsharded' },
    { name: 'a number among texts', call: query({ shard_key: ['acme', 7] }), want: 'docs=unsharded' },
    { name: 'none is all', call: query({}), want: 'docs=all' },
    { name: 'an empty list is all', call: query({ shard_key: [] }), want: 'docs=all' },
    { name: 'null is all', call: query({ shard_key: null }), want: 'docs=all' },
    { name: 'an id in the query is of any shard', call: query({ query: 7, shard_key: 'acme' }), want: 'docs=unsharded' },
    {
      name: 'a lookup has its own',
      call: query({ query: 7, shard_key: 'acme', lookup_from: { collection: 'docs', shard_key: 'acme' } }),
      want: 'docs=acme docs=acme'
    },
    {
      name: 'a lookup without one is of any',
      call: query({ query: 7, shard_key: 'acme', lookup_from: { collection: 'docs' } }),
      want: 'docs=acme docs=all'
    },
    {
      name: 'with_lookup is of any',
      call: at('points/query/groups', { query: VECTOR, group_by: 'a', with_lookup: 'other', shard_key: 'acme' }),
      want: 'docs=acme other=all'
    },
    {
      name: 'every search of a batch',
      call: at('points/search/batch', {
        searches: [
          { vector: VECTOR, limit: 1, shard_key: 'acme' },
          { vector: VECTOR, limit: 1 }
        ]
      }),
      want: 'docs=all'
    },
    { name: 'records by id', call: at('points', { ids: [1], shard_key: 'acme' }), want: 'docs=acme' },
    { name: 'one record by id', call: { method: 'GET', target: `${POINTS}/1` }, want: 'docs=all' },
    { name: 'a write', call: upsert({ points: [POINT], shard_key: 'acme' }), want: 'docs=acme' },
    {
      name: 'each operation',
      call: at('points/batch', {
        operations: [{ delete: { points: [1], shard_key: 'acme' } }, { delete: { points: [1], shard_key: 'globex' } }]
      }),
      want: 'docs=acme+globex'
    },
    { name: 'in the query string there is none', call: { ...query({}), target: `${POINTS}/query?shard_key=acme` }, want: 'call-unreadable' }
  ]
  it.each(rows)('$name', ({ call, want }) => expect(shardMode(call)).toBe(want))
})

describe('a batch of operations', () => {
  const batch = (...operations: object[]) => at('points/batch', { operations })
  const rows: readonly Row[] = [
    {
      name: 'writes that are all pinned',
      call: batch({ upsert: { points: [POINT], update_filter: MINE } }, { set_payload: { payload: { a: 1 }, filter: MINE } }),
      want: 'docs=acme'
    },
    {
      name: 'with one that is not',
      call: batch({ upsert: { points: [POINT], update_filter: MINE } }, { set_payload: { payload: { a: 1 }, filter: {} } }),
      want: 'docs=not named'
    },
    { name: 'with one by id', call: batch({ delete: { filter: MINE } }, { delete: { points: [1] } }), want: 'docs=unpinned' },
    {
      name: 'with one that changes the field',
      call: batch({ delete_payload: { keys: ['a'], filter: MINE } }, { clear_payload: { filter: MINE } }),
      want: 'docs=changed'
    },
    { name: 'of writes and deletions', call: batch({ upsert: { points: [POINT] } }, { delete: { filter: MINE } }), want: 'call-ambiguous' },
    {
      name: 'with two operations in one object',
      call: batch({ upsert: { points: [POINT] }, delete: { filter: MINE } }),
      want: 'call-ambiguous'
    },
    { name: 'with an empty object', call: batch({}), want: 'call-ambiguous' },
    { name: 'with nothing in it', call: batch(), want: 'docs=not named' },
    {
      name: 'of all other operations',
      call: batch(
        { overwrite_payload: { payload: {}, key: 'a', filter: MINE } },
        { update_vectors: { points: [{ id: 1, vectors: VECTOR }], update_filter: MINE } }
      ),
      want: 'docs=acme'
    }
  ]
  it.each(rows)('$name', ({ call, want }) => expect(filterMode(call)).toBe(want))

  it('is a deletion when all of it is', () => {
    const result = read(batch({ delete: { filter: MINE } }, { delete_vectors: { vector: ['a'], filter: MINE } }))
    expect(result.ok && result.value.operation).toBe('delete')
  })
})

describe('two spellings of one field', () => {
  const search = (body: object) => at('points/search', { vector: VECTOR, ...body })
  const rows: readonly Row[] = [
    { name: 'limit', call: search({ limit: 3 }), want: 'allowed' },
    { name: 'top', call: search({ top: 3 }), want: 'allowed' },
    { name: 'limit and top', call: search({ limit: 3, top: 3 }), want: 'call-ambiguous' },
    { name: 'top and a null limit', call: search({ limit: null, top: 3 }), want: 'call-ambiguous' },
    { name: 'top, where it is no name', call: query({ top: 3 }), want: 'call-unreadable' },
    { name: 'with_vectors', call: query({ with_vectors: true }), want: 'allowed' },
    { name: 'with_vector and with_vectors', call: query({ with_vector: false, with_vectors: true }), want: 'call-ambiguous' },
    { name: 'vectors of a record', call: upsert({ points: [{ id: 1, vectors: VECTOR }] }), want: 'allowed' },
    {
      name: 'vector and vectors of a record',
      call: upsert({ points: [{ id: 1, vectors: VECTOR, vector: VECTOR }] }),
      want: 'call-ambiguous'
    },
    {
      name: 'vector and vectors to delete',
      call: at('points/vectors/delete', { vector: ['a'], vectors: ['b'], filter: MINE }),
      want: 'call-ambiguous'
    },
    { name: 'a key in another case', call: query({ Filter: {} }), want: 'call-ambiguous' },
    { name: 'an unknown key', call: query({ filters: {} }), want: 'call-unreadable' }
  ]
  it.each(rows)('$name: $want', ({ call, want }) => expect(outcome(call)).toBe(want))
})

describe('a query of two kinds', () => {
  const rows: readonly Row[] = [
    { name: 'nearest and recommend', call: query({ query: { nearest: VECTOR, recommend: { positive: [7] } } }), want: 'call-ambiguous' },
    { name: 'a sparse vector', call: query({ query: { values: [0.5], indices: [3] } }), want: 'allowed' },
    { name: 'a sparse vector and nearest', call: query({ query: { values: [0.5], indices: [3], nearest: 7 } }), want: 'call-ambiguous' },
    { name: 'values without indices', call: query({ query: { values: [0.5] } }), want: 'call-unreadable' },
    { name: 'values of another length', call: query({ query: { values: [0.5], indices: [3, 4] } }), want: 'call-unreadable' },
    { name: 'mmr alone', call: query({ query: { mmr: {} } }), want: 'call-unreadable' },
    { name: 'mmr and fusion', call: query({ query: { mmr: {}, fusion: 'rrf' } }), want: 'call-ambiguous' },
    { name: 'nothing', call: query({ query: {} }), want: 'call-unreadable' },
    { name: 'a multi-vector', call: query({ query: [VECTOR, VECTOR] }), want: 'allowed' },
    { name: 'a vector with a hole', call: query({ query: [1, null] }), want: 'call-unreadable' },
    { name: 'a vector beyond float32', call: at('points/query', '{"query":[1e39]}'), want: 'call-unreadable' },
    {
      name: 'rrf, sample and order_by',
      call: query({
        query: { rrf: { k: 60, weights: [1, 2] } },
        prefetch: [{ query: { sample: 'random' } }, { query: { order_by: { key: 'a', direction: 'desc' } } }]
      }),
      want: 'allowed'
    }
  ]
  it.each(rows)('$name: $want', ({ call, want }) => expect(outcome(call)).toBe(want))
})

describe('the rows of multi-vectors', () => {
  const rowsIn = (call: Call) => {
    const result = read(call)
    if (!result.ok) throw new Error(result.reason.because)
    const { queries, vectors, rows } = result.value.shape
    return [queries, vectors.length, rows]
  }
  const MULTI = [VECTOR, VECTOR, VECTOR]
  it.each<[string, Call, unknown[]]>([
    ['a vector has none', query({}), [1, 1, undefined]],
    ['a multi-vector is one query', query({ query: MULTI }), [1, 3, [3]]],
    ['nearest to one', query({ query: { nearest: MULTI } }), [1, 3, [3]]],
    ['one row is a vector', query({ query: [VECTOR] }), [1, 1, undefined]],
    [
      'prefetches, one of them a multi-vector',
      query({ query: { fusion: 'rrf' }, prefetch: [{ query: VECTOR }, { query: MULTI }] }),
      [2, 4, [1, 3]]
    ],
    [
      'examples, by what they are for and not as they stand',
      query({ query: { recommend: { negative: [VECTOR, 7], positive: [MULTI] } } }),
      [1, 4, [3, 1]]
    ],
    ['pairs', query({ query: { discover: { target: MULTI, context: [{ positive: VECTOR, negative: MULTI }] } } }), [1, 7, [3, 1, 3]]],
    ['a batch', at('points/query/batch', { searches: [{ query: MULTI }, { query: VECTOR }] }), [2, 4, [3, 1]]]
  ])('%s', (_, call, want) => expect(rowsIn(call)).toEqual(want))
})

describe('the shape of a call', () => {
  const shape = (call: Call) => {
    const result = read(call)
    if (!result.ok) throw new Error(result.reason.because)
    const { queries, topK, vectorsOut, records, dimensions } = result.value.shape
    return [result.value.operation, queries, topK, records, vectorsOut, dimensions, result.value.shape.vectors.length]
  }
  it.each<[string, Call, unknown[]]>([
    ['a query', query({}), ['search', 1, 10, 0, false, 2, 1]],
    ['a query of three results with vectors', query({ limit: 3, with_vector: ['text'] }), ['search', 1, 3, 0, true, 2, 1]],
    ['no names of vectors', query({ with_vector: [] }), ['search', 1, 10, 0, false, 2, 1]],
    [
      'prefetches',
      query({ query: { fusion: 'rrf' }, prefetch: [{ query: VECTOR, limit: 90 }, { query: VECTOR }] }),
      ['search', 2, 90, 0, false, 2, 2]
    ],
    ['groups', at('points/query/groups', { query: VECTOR, group_by: 'a', limit: 7 }), ['search', 1, 21, 0, false, 2, 1]],
    [
      'groups with vectors of a lookup',
      at('points/query/groups', { query: VECTOR, group_by: 'a', group_size: 2, with_lookup: { collection: 'x', with_vectors: true } }),
      ['search', 1, 20, 0, true, 2, 1]
    ],
    ['a batch', at('points/query/batch', { searches: [{ query: VECTOR }, { query: [1], limit: 50 }] }), ['search', 2, 50, 0, false, 2, 2]],
    ['a query for nothing', at('points/query', { filter: MINE }), ['read', 0, 10, 0, false, 0, 0]],
    ['an order', query({ query: { order_by: 'a' } }), ['read', 0, 10, 0, false, 0, 0]],
    ['a matrix', at('points/search/matrix/pairs', {}), ['search', 10, 3, 0, false, 0, 0]],
    ['a scroll', at('points/scroll', {}), ['read', 0, 10, 0, false, 0, 0]],
    ['a count', at('points/count', {}), ['read', 0, 0, 0, false, 0, 0]],
    ['records by id', at('points', { ids: [1, 2], with_vector: true }), ['read', 0, 2, 2, true, 0, 0]],
    [
      'an upsert',
      upsert({ points: [POINT, { id: 2, vector: { a: VECTOR, b: [VECTOR, VECTOR], c: { indices: [1], values: [2] } } }] }),
      ['write', 0, 0, 2, false, 2, 4]
    ]
  ])('%s', (_, call, want) => expect(shape(call)).toEqual(want))

  it('is not one of searches and listings together', () => {
    expect(outcome(at('points/query/batch', { searches: [{ query: VECTOR }, { filter: MINE }] }))).toBe('call-ambiguous')
  })
})

describe('query parameters and headers', () => {
  const body = { query: VECTOR }
  it.each([
    ['?timeout=3&consistency=majority', 'allowed'],
    ['?consistency=2', 'allowed'],
    ['?consistency=some', 'call-unreadable'],
    ['?wait=true', 'call-unreadable'],
    ['?Timeout=3', 'call-ambiguous'],
    ['?timeout=3&timeout=4', 'call-ambiguous']
  ])('points/query%s: %s', (search, want) => expect(outcome({ target: `${POINTS}/query${search}`, body })).toBe(want))

  it.each([
    ['?wait=true&ordering=strong&timeout=5', 'allowed'],
    ['?wait=yes', 'call-unreadable'],
    ['?consistency=all', 'call-unreadable']
  ])('PUT points%s: %s', (search, want) =>
    expect(outcome({ method: 'PUT', target: `${POINTS}${search}`, body: { points: [] } })).toBe(want)
  )

  it.each([
    [{ 'content-encoding': 'gzip' }, 'call-ambiguous'],
    [{ 'content-type': 'application/x-yaml' }, 'call-ambiguous'],
    [{ 'content-type': undefined }, 'call-ambiguous'],
    [{ 'content-type': 'application/grpc' }, 'call-ambiguous'],
    [{ 'x-qdrant-route-affinity': 'a' }, 'allowed']
  ])('headers %j: %s', (headers, want) => expect(outcome({ body, headers })).toBe(want))
})

describe('names', () => {
  it.each(['docs', 'Docs-2024_x', 'zwei%C3%A4', 'a%20b'])('%s is one', (name) => {
    expect(outcome({ method: 'GET', target: `/collections/${name}` })).toBe('allowed')
  })
  it.each(['a%3Ab', 'a*b', 'a%7Cb', 'x'.repeat(256)])('%s is none', (name) => {
    expect(outcome({ method: 'GET', target: `/collections/${name}` })).toBe('call-unreadable')
  })

  it.each(['', '.', '..', 'a/b', 'x'.repeat(256), 'a\u0000'])('%j is none in a body', (collection) => {
    expect(outcome(query({ query: 7, lookup_from: { collection } }))).toBe('call-unreadable')
  })
})

describe('what is printed to be copied is what is proved', () => {
  const body = { 'points.query': { query: VECTOR }, 'points.delete': {}, 'points.scroll': {}, 'points.facet': { key: 'a' } }
  it.each(Object.entries(body))('%s', (endpoint, rest) => {
    const printed = qdrant.pin?.(endpoint, 'tenant_id', 'acme "inc"') ?? ''
    const row = qdrant.routes.find(({ name }) => name === endpoint)
    const call = { target: row?.template.replace('{collection}', 'docs') ?? '', body: { ...rest, ...JSON.parse(`{${printed}}`) } }
    expect(filterMode(call)).toBe('docs=acme "inc"')
  })

  it('has a form for every endpoint that touches records', () => {
    for (const row of qdrant.routes) {
      if ('refused' in row || !['search', 'read', 'write', 'delete'].includes(row.operation)) continue
      expect(qdrant.pin?.(row.name, 'tenant_id', 'acme')).toMatch(/tenant_id.*acme/)
    }
  })
})
