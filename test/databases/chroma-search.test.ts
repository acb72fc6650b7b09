import { describe, expect, it } from 'vitest'
import { COLLECTION, outcome, read } from './chroma-call.ts'

const target = `${COLLECTION}/search`
const knn = (more: Record<string, unknown> = {}) => ({ $knn: { query: [1, 2], ...more } })
const SPARSE = { indices: [1, 7], values: [0.5, 0.25] }
const search = (...searches: readonly unknown[]) => ({ target, body: { searches } })

/** The local server answers 501; its reader was tried, and the distributed server has the same. */
const rows: readonly { name: string; body: unknown; want: string }[] = [
  { name: 'one vector', body: { searches: [{ rank: knn() }] }, want: 'allowed' },
  { name: 'a read level', body: { searches: [{ rank: knn() }], read_level: 'index_only' }, want: 'allowed' },
  { name: 'an unknown read level', body: { searches: [{ rank: knn() }], read_level: 'all' }, want: 'call-unreadable' },
  {
    name: 'a read level in the other spelling of an enum, which Chroma takes',
    body: { searches: [{ rank: knn() }], read_level: { index_only: null } },
    want: 'call-unreadable'
  },
  { name: 'a search as an array, which Chroma takes', body: { searches: [[{}, knn(), {}, {}, {}]] }, want: 'call-unreadable' },
  { name: 'a $knn as an array, which Chroma takes', body: { searches: [{ rank: { $knn: [[1, 2]] } }] }, want: 'call-unreadable' },
  {
    name: 'select as an array, which Chroma takes',
    body: { searches: [{ rank: knn(), select: [['#embedding']] }] },
    want: 'call-unreadable'
  },
  { name: '$sub as an array, which Chroma takes', body: { searches: [{ rank: { $sub: [knn(), knn()] } }] }, want: 'call-unreadable' },
  { name: '$sub with both sides', body: { searches: [{ rank: { $sub: { left: knn(), right: { $val: 1 } } } }] }, want: 'allowed' },
  { name: 'a rank of two expressions', body: { searches: [{ rank: { ...knn(), $val: 1 } }] }, want: 'call-unreadable' },
  { name: 'an empty rank', body: { searches: [{ rank: {} }] }, want: 'call-unreadable' },
  { name: 'an unknown expression', body: { searches: [{ rank: { $rrf: [] } }] }, want: 'call-unreadable' },
  { name: 'a rank twice', body: '{"searches":[{"rank":{"$knn":{"query":[1]}},"rank":{"$val":1}}]}', want: 'call-ambiguous' },
  { name: 'a query twice', body: '{"searches":[{"rank":{"$knn":{"query":[1],"query":[2]}}}]}', want: 'call-ambiguous' },
  { name: 'a $knn without a query', body: { searches: [{ rank: { $knn: { limit: 3 } } }] }, want: 'call-unreadable' },
  { name: 'a query as text', body: { searches: [{ rank: { $knn: { query: 'hello' } } }] }, want: 'call-unreadable' },
  { name: 'a sparse query', body: { searches: [{ rank: { $knn: { query: SPARSE, key: 'sparse' } } }] }, want: 'allowed' },
  {
    name: 'a sparse query with an unknown key',
    body: { searches: [{ rank: { $knn: { query: { ...SPARSE, dense: [1] } } } }] },
    want: 'call-unreadable'
  },
  { name: 'a filter', body: { searches: [{ rank: knn(), filter: { $and: [{ a: 1 }, { '#id': { $in: ['x'] } }] } }] }, want: 'allowed' },
  { name: 'an empty filter, none to Chroma', body: { searches: [{ rank: knn(), filter: {} }] }, want: 'allowed' },
  { name: 'a filter of two keys', body: { searches: [{ rank: knn(), filter: { a: 1, b: 2 } }] }, want: 'call-unreadable' },
  { name: 'a filter with an empty $and', body: { searches: [{ rank: knn(), filter: { $and: [] } }] }, want: 'call-ambiguous' },
  {
    name: 'a filter as the specification has it, not the server',
    body: { searches: [{ rank: knn(), filter: { where_clause: { a: 1 }, query_ids: ['a'] } }] },
    want: 'call-unreadable'
  },
  {
    name: 'groups',
    body: { searches: [{ rank: knn(), group_by: { keys: ['page'], aggregate: { $min_k: { keys: ['#score'], k: 2 } } } }] },
    want: 'allowed'
  },
  {
    name: 'an unknown aggregate',
    body: { searches: [{ rank: knn(), group_by: { keys: ['page'], aggregate: { $all: {} } } }] },
    want: 'call-unreadable'
  },
  { name: 'an unknown key of a search', body: { searches: [{ rank: knn(), collections: ['other'] }] }, want: 'call-unreadable' },
  { name: 'no searches', body: { searches: [] }, want: 'call-unreadable' },
  { name: 'a body without searches', body: { read_level: 'index_only' }, want: 'call-unreadable' },
  { name: 'a search and a listing in one call', body: { searches: [{ rank: knn() }, {}] }, want: 'call-ambiguous' },
  { name: 'two searches', body: { searches: [{ rank: knn() }, { rank: knn() }] }, want: 'allowed' }
]

describe('a search', () => {
  it.each(rows)('$name: $want', ({ body, want }) => {
    expect(outcome({ target, body })).toBe(want)
  })

  it('gives up every dense vector of the tree', () => {
    const rank = {
      $sum: [
        { $mul: [knn(), { $val: 0.7 }] },
        { $abs: { $div: { left: { $knn: { query: [3] } }, right: { $exp: { $max: [knn({ query: SPARSE })] } } } } }
      ]
    }
    const shape = { queries: 3, vectors: [Float32Array.of(1, 2), Float32Array.of(3)], dimensions: 2 }
    expect(read(search({ rank, limit: { limit: 4 } }))).toMatchObject({ ok: true, value: { operation: 'search', shape } })
  })

  const tops: readonly { name: string; searches: readonly unknown[]; topK: number }[] = [
    { name: 'its limit', searches: [{ rank: knn(), limit: { limit: 5, offset: 3 } }], topK: 5 },
    { name: 'without a limit, the candidates of its $knn', searches: [{ rank: knn({ limit: 40 }) }], topK: 40 },
    { name: 'without any limit, Chroma’s sixteen', searches: [{ rank: knn() }], topK: 16 },
    { name: 'the candidates of both $knn', searches: [{ rank: { $sum: [knn({ limit: 40 }), knn()] } }], topK: 56 },
    {
      name: 'everything, when records without a rank get a default one',
      searches: [{ rank: knn({ default: 0, limit: 3 }) }],
      topK: Number.POSITIVE_INFINITY
    },
    {
      name: 'everything, whatever the order of the keys',
      searches: [{ rank: knn({ limit: 3, default: 0 }) }],
      topK: Number.POSITIVE_INFINITY
    },
    { name: 'not everything, when the default is null', searches: [{ rank: knn({ default: null, limit: 3 }) }], topK: 3 },
    {
      name: 'the largest of several',
      searches: [
        { rank: knn(), limit: { limit: 5 } },
        { rank: knn(), limit: { limit: 50 } }
      ],
      topK: 50
    },
    {
      name: 'the largest of several, when it comes first',
      searches: [
        { rank: knn(), limit: { limit: 50 } },
        { rank: knn(), limit: { limit: 5 } }
      ],
      topK: 50
    }
  ]
  it.each(tops)('returns at most: $name', ({ searches, topK }) => {
    expect(read(search(...searches))).toMatchObject({ ok: true, value: { shape: { topK } } })
  })

  it('without a vector is a read, and unbounded without a limit', () => {
    expect(read(search({ filter: { a: 1 } }))).toMatchObject({
      value: { operation: 'read', shape: { queries: 0, topK: Number.POSITIVE_INFINITY } }
    })
    expect(read(search({ rank: { $val: 1 }, limit: { limit: 2 } }))).toMatchObject({ value: { operation: 'read', shape: { topK: 2 } } })
  })

  it('tells when raw vectors are selected', () => {
    expect(read(search({ rank: knn(), select: { keys: ['#document', '#embedding'] } }))).toMatchObject({
      value: { shape: { vectorsOut: true } }
    })
    expect(read(search({ rank: knn(), select: { keys: ['#document', 'embedding'] } }))).toMatchObject({
      value: { shape: { vectorsOut: false } }
    })
  })

  it('tells so of several when one of them does', () => {
    const [one, other] = [
      { rank: knn(), select: { keys: ['#embedding'] } },
      { rank: knn(), select: { keys: [] } }
    ]
    for (const searches of [
      [one, other],
      [other, one]
    ])
      expect(read(search(...searches))).toMatchObject({ value: { shape: { vectorsOut: true } } })
  })
})
