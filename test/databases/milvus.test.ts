import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { milvus } from '../../src/databases/milvus.ts'
import {
  bounds,
  type Call,
  column,
  dynamicColumn,
  group,
  named,
  outcome,
  pair,
  reading,
  rows,
  search,
  vectorColumn
} from './milvus-call.ts'
import { chunk, floatBytes, frame, number } from './protobuf-write.ts'

const PINNED = 'tenant == "acme"'
const hex = (digits: string) => Buffer.from(digits, 'hex')

/** An inner request of a hybrid search. */
const request = (filter: string, ...more: readonly Uint8Array[]) =>
  chunk(5, [
    chunk(5, filter),
    chunk(6, group([[0.5, -1]])),
    number(7, 1),
    pair(9, 'anns_field', 'embedding'),
    pair(9, 'topk', '5'),
    ...more
  ])
const hybrid = (...parts: readonly Uint8Array[]): Call => ({ rpc: 'HybridSearch', message: [named(), pair(6, 'limit', '4'), ...parts] })
const query = (...parts: readonly Uint8Array[]): Call => ({ rpc: 'Query', message: [named(), ...parts] })
const flush = (count: number): Call => ({ rpc: 'Flush', message: Array.from({ length: count }, (_, index) => chunk(3, `docs_${index}`)) })
const insert = (count: number, ...columns: readonly Uint8Array[]): Call => ({ rpc: 'Insert', message: rows(count, ...columns) })
const queries = (type: number, ...values: readonly Uint8Array[]) =>
  chunk(1, [chunk(1, '$0'), number(2, type), ...values.map((value) => chunk(3, value))])
const searching = (placeholders: Uint8Array, ...more: readonly Uint8Array[]): Call => ({
  message: [named(), chunk(5, PINNED), chunk(6, placeholders), number(7, 1), pair(9, 'topk', '10'), ...more]
})

describe('a search', () => {
  it('is read whole', () => {
    const call = reading({ message: search(PINNED, chunk(8, 'text'), chunk(4, 'p1'), number(12, 1)) })
    expect(call).toEqual({
      database: 'milvus',
      endpoint: 'records.search',
      operation: 'search',
      targets: [
        {
          tenant: { kind: 'none' },
          namespace: 'default',
          collection: { kind: 'name', name: 'docs' },
          bounds: { shards: ['p1'], pins: new Map([['tenant', 'acme']]), changes: [], unpinned: undefined, unsharded: undefined }
        }
      ],
      shape: { queries: 1, topK: 10, records: 0, vectorsOut: false, dimensions: 2, vectors: [Float32Array.of(0.5, -1)] }
    })
  })

  it('of all partitions says so', () => {
    expect(bounds({ message: search('') })).toEqual({ pins: {}, shards: undefined, unpinned: false, unsharded: false })
  })

  it('names each partition once', () => {
    expect(bounds({ message: search('', chunk(4, 'b'), chunk(4, 'a'), chunk(4, 'b')) }).shards).toEqual(['b', 'a'])
  })

  it('never says that it is from Milvus itself, which older ones ask for no password', () => {
    expect(outcome({ message: search(PINNED) })).toBe('allowed')
    expect(outcome({ message: search(PINNED), headers: { sourceid: 'QEBtaWx2dXMtbWVtYmVyQEA=' } })).toBe('call-ambiguous')
  })

  it('may be compressed', () => {
    expect(outcome({ body: frame(gzipSync(search(PINNED)), 1), headers: { 'grpc-encoding': 'gzip' } })).toBe('allowed')
    expect(outcome({ body: frame(gzipSync(search(PINNED)), 1), headers: { 'grpc-encoding': 'deflate' } })).toBe('call-ambiguous')
  })

  it('by ids is bound to nobody', () => {
    const ids = (list: Uint8Array, ...more: readonly Uint8Array[]): Call => ({
      message: [named(), chunk(5, PINNED), chunk(22, list), number(7, 1), pair(9, 'topk', '3'), ...more]
    })
    const call = ids(chunk(1, chunk(1, hex('0102'))), number(12, 2))
    expect(bounds(call)).toMatchObject({ pins: { tenant: 'acme' }, unpinned: true, unsharded: true })
    expect(reading(call).shape).toMatchObject({ queries: 2, topK: 3 })
    expect(outcome(ids(chunk(2, [chunk(1, 'a')])))).toBe('allowed')
    expect(outcome(ids(chunk(1, '')))).toBe('call-ambiguous')
    expect(outcome(ids(chunk(1, chunk(1, hex('0102'))), number(12, 1)))).toBe('call-ambiguous')
  })

  it.each([
    ['with another database in the metadata', 'call-ambiguous', search(PINNED, chunk(2, 'acme')), { dbname: 'globex' }],
    ['without a collection', 'call-unreadable', search(PINNED).subarray(6), {}],
    ['of a collection with a strange name', 'call-unreadable', [named('docs,other'), search(PINNED).subarray(6)], {}],
    ['of a database with a strange name', 'call-unreadable', search(PINNED), { dbname: 'acme,globex' }],
    ['of a partition by a pattern', 'call-unreadable', search(PINNED, chunk(4, 'ac.*')), {}],
    ['of a partition without a name', 'call-unreadable', search(PINNED, chunk(4, '')), {}],
    ['with two filters', 'call-ambiguous', search(PINNED, chunk(5, 'id > 0')), {}],
    ['with two collections', 'call-ambiguous', search(PINNED, named('other')), {}],
    ['with vectors and ids', 'call-ambiguous', search(PINNED, chunk(22, chunk(1, chunk(1, hex('01'))))), {}],
    ['with a filter of two readings', 'call-ambiguous', search('tenant == "acme" Or id > 0'), {}],
    ['with a row principal', 'call-unreadable', search(PINNED, chunk(25, 'globex')), {}],
    ['that skips row policies', 'call-unreadable', search(PINNED, number(26, 1)), {}],
    ['of a namespace', 'call-unreadable', search(PINNED, chunk(20, 'globex')), {}],
    ['with requests inside, which have filters of their own', 'call-unreadable', search(PINNED, chunk(17, chunk(1, 'id > 0'))), {}],
    ['with an aggregation', 'call-unreadable', search(PINNED, chunk(23, '')), {}],
    ['with a function chain', 'call-unreadable', search(PINNED, chunk(24, '')), {}],
    ['with a highlighter', 'call-unreadable', search(PINNED, chunk(21, '')), {}],
    ['with a field that nobody knows', 'call-unreadable', search(PINNED, chunk(99, 'x')), {}],
    ['with nq of another count', 'call-ambiguous', search(PINNED, number(12, 2)), {}],
    ['with topk twice', 'call-ambiguous', search(PINNED, pair(9, 'topk', '1000')), {}],
    ['with an unknown parameter', 'call-unreadable', search(PINNED, pair(9, 'expr', 'id > 0')), {}],
    ['with a replicated message', 'call-unreadable', search(PINNED, chunk(1, chunk(7, ''))), {}],
    ['with a filter that the client has built', 'call-unreadable', search(PINNED, chunk(18, [chunk(1, 'b'), chunk(2, chunk(6, 'x'))])), {}],
    ['with a template twice', 'call-ambiguous', search(PINNED, chunk(18, chunk(1, 'b')), chunk(18, chunk(1, 'b'))), {}]
  ] as [string, string, Uint8Array | Uint8Array[], Record<string, string>][])('is refused: %s', (_, kind, message, headers) => {
    expect(outcome({ message, headers })).toBe(kind)
  })

  it.each([
    ['the empty row principal', search(PINNED, chunk(25, ''))],
    ['row policies kept', search(PINNED, number(26, 0))],
    ['the empty namespace', search(PINNED, chunk(20, ''))],
    ['nq left to the values', search(PINNED, number(12, 0))],
    ['another parameter', search(PINNED, pair(9, 'offset', '20'))],
    [
      'a template',
      search('tenant == "acme" and id in {b}', chunk(18, [chunk(1, 'b'), chunk(2, chunk(5, chunk(2, chunk(1, hex('0102')))))]))
    ],
    ['a message base', search(PINNED, chunk(1, number(1, 500)))]
  ])('is served with %s', (_, message) => {
    expect(outcome({ message })).toBe('allowed')
  })

  it('says how much it asks for', () => {
    const topK = (...pairs: readonly Uint8Array[]) => reading(searching(group([[1, 2]]), ...pairs)).shape.topK
    expect(topK()).toBe(10)
    expect(topK(pair(9, 'limit', '50'))).toBe(50)
    expect(topK(pair(9, 'group_size', '4'))).toBe(40)
    expect(topK(pair(9, 'search_iter_batch_size', '70'))).toBe(70)
  })

  it.each(['-1', '+5', '010', '0x10', '1e3', '5.0', ' 5', '', '99999999999999999999'])('has no topk of %j', (text) => {
    expect(outcome({ message: [named(), chunk(5, PINNED), chunk(6, group([[1]])), number(7, 1), pair(9, 'topk', text)] })).toBe(
      'call-unreadable'
    )
  })

  it('says how many results it wants, and in a filter expression', () => {
    expect(outcome({ message: [named(), chunk(6, group([[1]])), number(7, 1)] })).toBe('call-unreadable')
    expect(outcome({ message: [named(), chunk(6, group([[1]])), pair(9, 'topk', '1')] })).toBe('call-unreadable')
    expect(outcome({ message: [named(), number(7, 1), pair(9, 'topk', '1')] })).toBe('call-unreadable')
  })

  it.each([
    ['{"nprobe":8,"nprobe":9}', 'call-ambiguous'],
    ['{"nprobe":8} {}', 'call-ambiguous'],
    ['[]', 'call-unreadable'],
    ['{', 'call-unreadable'],
    ['{"radius":0.1,"hints":{"a":[1]}}', 'allowed']
  ])('with the index parameters %s', (text, kind) => {
    expect(outcome(searching(group([[1]]), pair(9, 'params', text)))).toBe(kind)
  })

  it.each([
    ['*', true],
    ['%', true],
    ['embedding', true],
    ['image_vec', true],
    ['title', true],
    ['text', false],
    ['count(*)', false]
  ])('asks for vectors with the output field %s: %s', (field, want) => {
    expect(
      reading({
        message: [
          named(),
          chunk(5, ''),
          chunk(6, group([[1]])),
          number(7, 1),
          pair(9, 'topk', '1'),
          pair(9, 'anns_field', 'title'),
          chunk(8, field)
        ]
      }).shape.vectorsOut
    ).toBe(want)
  })

  it.each([
    ['rrf', 'allowed', [chunk(1, 'r'), number(4, 3), pair(9, 'reranker', 'rrf'), pair(9, 'k', '60')]],
    ['a model elsewhere', 'call-unreadable', [chunk(1, 'r'), number(4, 3), pair(9, 'reranker', 'model')]],
    ['a filter of its own', 'call-unreadable', [chunk(1, 'r'), number(4, 3), pair(9, 'reranker', 'boost'), pair(9, 'filter', 'id > 0')]],
    ['another kind of function', 'call-unreadable', [chunk(1, 'r'), number(4, 2), pair(9, 'reranker', 'rrf')]]
  ])('ranked by %s', (_, kind, parts) => {
    expect(outcome({ message: search(PINNED, chunk(19, chunk(1, parts))) })).toBe(kind)
  })
})

describe('query vectors', () => {
  const vectorsOf = (placeholders: Uint8Array) => {
    const { vectors, dimensions, queries: count } = reading(searching(placeholders)).shape
    return { vectors: vectors.map((vector) => [...vector]), dimensions, count }
  }

  it('are read from float32', () => {
    expect(vectorsOf(queries(101, floatBytes([0.5, -2]), floatBytes([1, 0])))).toEqual({
      vectors: [
        [0.5, -2],
        [1, 0]
      ],
      dimensions: 2,
      count: 2
    })
  })

  it('are read from float16: one, the smallest and largest, a subnormal and minus zero', () => {
    expect(vectorsOf(queries(102, hex('003c 0004 ff7b 0100 0080 00c0'.replaceAll(' ', ''))))).toEqual({
      vectors: [[1, 2 ** -14, 65504, 2 ** -24, -0, -2]],
      dimensions: 6,
      count: 1
    })
  })

  it('are read from bfloat16 and int8', () => {
    expect(vectorsOf(queries(103, hex('803f00c0')))).toEqual({ vectors: [[1, -2]], dimensions: 2, count: 1 })
    expect(vectorsOf(queries(105, hex('017f80ff')))).toEqual({ vectors: [[1, 127, -128, -1]], dimensions: 4, count: 1 })
  })

  it('are counted where they are none of floats', () => {
    expect(vectorsOf(queries(100, hex('ff00')))).toEqual({ vectors: [], dimensions: 16, count: 1 })
    expect(vectorsOf(queries(104, Buffer.concat([hex('01000000'), floatBytes([0.5])]), hex('')))).toEqual({
      vectors: [],
      dimensions: 0,
      count: 2
    })
    expect(vectorsOf(queries(21, Buffer.from('how?')))).toEqual({ vectors: [], dimensions: 0, count: 1 })
    // An embedding list is a query of several rows; the call does not tell where one ends: unseen, and priced as new ground.
    expect(vectorsOf(queries(301, floatBytes([1, 2, 3, 4])))).toEqual({ vectors: [], dimensions: 0, count: 1 })
  })

  it.each([
    ['float32 of five bytes', queries(101, hex('0000000000'))],
    ['float32 without a number', queries(101, floatBytes([1, Number.NaN]))],
    ['float32 of nothing', queries(101, hex(''))],
    ['an infinite float16', queries(102, hex('007c'))],
    ['float16 of one byte', queries(102, hex('00'))],
    ['a bfloat16 that is no number', queries(103, hex('c07f'))],
    ['a sparse vector that is cut off', queries(104, hex('01000000'))],
    ['a sparse vector with an infinite weight', queries(104, Buffer.concat([hex('01000000'), floatBytes([Number.POSITIVE_INFINITY])]))],
    ['text that is not UTF-8', queries(21, hex('ff'))],
    ['binary of nothing', queries(100, hex(''))],
    ['an embedding list with no number in it', queries(301, floatBytes([1, Number.NaN]))],
    ['an unknown type', queries(5, hex('0100000000000000'))],
    ['no type', chunk(1, [chunk(1, '$0'), chunk(3, hex('01'))])],
    ['no values', queries(101)]
  ])('are refused: %s', (_, placeholders) => {
    expect(outcome(searching(placeholders))).toBe('call-unreadable')
  })

  it('stand in one placeholder', () => {
    expect(outcome(searching(Buffer.concat([group([[1]]), group([[2]])])))).toBe('call-ambiguous')
    expect(outcome(searching(new Uint8Array()))).toBe('call-ambiguous')
    expect(outcome(searching(group(Array.from({ length: 5462 }, () => [1]))))).toBe('call-too-large')
    expect(outcome(searching(queries(101, Buffer.alloc(4 * 16_385))))).toBe('call-too-large')
  })
})

describe('a hybrid search', () => {
  it('is bound to what every one of its requests says', () => {
    const both = hybrid(request(`${PINNED} and region == "eu"`), request(`page > 1 && ${PINNED}`))
    expect(bounds(both).pins).toEqual({ tenant: 'acme' })
    expect(reading(both).shape).toMatchObject({ queries: 2, topK: 5, dimensions: 2 })
    expect(bounds(hybrid(request(PINNED), request(''))).pins).toEqual({})
    expect(bounds(hybrid(request(PINNED), request('tenant == "globex"'))).pins).toEqual({})
  })

  it('has its place on the outside; inside, the same or none', () => {
    expect(outcome(hybrid(request(PINNED, chunk(3, 'docs'), chunk(2, 'default'))))).toBe('allowed')
    expect(outcome(hybrid(request(PINNED, chunk(3, 'other'))))).toBe('call-ambiguous')
    expect(outcome(hybrid(request(PINNED, chunk(2, 'globex'))))).toBe('call-ambiguous')
    expect(outcome(hybrid(chunk(4, 'acme'), request(PINNED, chunk(4, 'acme'))))).toBe('allowed')
    expect(outcome(hybrid(chunk(4, 'acme'), request(PINNED)))).toBe('call-ambiguous')
    expect(outcome(hybrid(request(PINNED, chunk(4, 'acme'))))).toBe('call-ambiguous')
  })

  it.each([
    ['has no requests', hybrid()],
    ['has no limit', { rpc: 'HybridSearch', message: [named(), request(PINNED)] }],
    ['chooses its row principal', hybrid(request(PINNED), chunk(16, 'globex'))],
    ['skips row policies', hybrid(request(PINNED), number(17, 1))],
    ['skips them inside', hybrid(request(PINNED, number(26, 1)))],
    ['names a namespace', hybrid(request(PINNED), chunk(14, 'globex'))],
    ['has a ranker inside', hybrid(request(PINNED, chunk(19, '')))]
  ] as [string, Call][])('is refused when it %s', (_, call) => {
    expect(outcome(call)).toBe('call-unreadable')
  })

  it('with ids inside is bound to nobody', () => {
    const byIds = chunk(5, [chunk(5, PINNED), chunk(22, chunk(1, chunk(1, hex('01')))), number(7, 1)])
    expect(bounds(hybrid(request(PINNED), byIds))).toMatchObject({ pins: { tenant: 'acme' }, unpinned: true, unsharded: true })
  })
})

describe('a query', () => {
  it('is bound by its expression', () => {
    expect(bounds(query(chunk(4, `${PINNED} and id in [1]`), chunk(6, 'p'))).pins).toEqual({ tenant: 'acme' })
    expect(bounds(query(chunk(4, 'id in [1]'))).pins).toEqual({})
    expect(bounds(query()).pins).toEqual({})
  })

  it('reads as much as it says, all where it says nothing, one row for a count', () => {
    expect(reading(query(pair(9, 'limit', '7'))).shape.topK).toBe(7)
    expect(reading(query()).shape.topK).toBe(Number.POSITIVE_INFINITY)
    expect(reading(query(chunk(5, 'count(*)'))).shape.topK).toBe(1)
    expect(reading(query(chunk(5, 'count(*)'), pair(9, 'group_by_fields', 'tenant'))).shape.topK).toBe(Number.POSITIVE_INFINITY)
    expect(reading(query(chunk(5, 'count(*)'), chunk(5, 'text'))).shape.topK).toBe(Number.POSITIVE_INFINITY)
  })

  it('that counts without a filter counts every partition: Milvus Lite does not look at those that are named', () => {
    const count = (...parts: readonly Uint8Array[]) => bounds(query(chunk(5, 'count(*)'), chunk(6, 'acme'), ...parts))
    expect(count()).toMatchObject({ shards: ['acme'], unsharded: true })
    expect(count(chunk(4, ' '), chunk(5, 'doc'))).toMatchObject({ unsharded: true })
    expect(count(chunk(4, 'id >= 0'))).toMatchObject({ shards: ['acme'], unsharded: false })
    expect(bounds(query(chunk(5, 'doc'), chunk(6, 'acme')))).toMatchObject({ shards: ['acme'], unsharded: false })
  })

  it.each([
    ['limit', '-1', 'call-unreadable'],
    ['offset', 'x', 'call-unreadable'],
    ['filter', 'id > 0', 'call-unreadable'],
    ['collection_id', '5', 'allowed']
  ])('with the parameter %s of %s', (key, value, kind) => {
    expect(outcome(query(pair(9, key, value)))).toBe(kind)
  })

  it('asks for vectors with the output field *', () => {
    expect(reading(query(chunk(5, '*'))).shape.vectorsOut).toBe(true)
    expect(reading(query(chunk(5, 'text'))).shape.vectorsOut).toBe(false)
  })

  it('neither chooses a principal nor skips policies', () => {
    expect(outcome(query(chunk(15, 'x')))).toBe('call-unreadable')
    expect(outcome(query(number(16, 1)))).toBe('call-unreadable')
    expect(outcome(query(chunk(14, 'x')))).toBe('call-unreadable')
  })
})

describe('a delete', () => {
  const remove = (...parts: readonly Uint8Array[]): Call => ({ rpc: 'Delete', message: [named(), ...parts] })

  it('is bound by its expression, and by no partition', () => {
    expect(bounds(remove(chunk(5, PINNED), chunk(4, 'acme')))).toEqual({
      pins: { tenant: 'acme' },
      shards: ['acme'],
      unpinned: false,
      unsharded: true
    })
    expect(bounds(remove(chunk(5, 'id in [1, 2]'))).pins).toEqual({})
  })

  it('has an expression', () => {
    expect(outcome(remove())).toBe('call-unreadable')
    expect(outcome(remove(chunk(5, '  ')))).toBe('call-unreadable')
  })
})

describe('an insert', () => {
  it('is bound by a column that is one text throughout', () => {
    const call = insert(2, column('tenant', ['acme', 'acme']), vectorColumn(2), dynamicColumn(['{"doc":{"text":"a"}}', '{}']))
    expect(bounds(call)).toEqual({ pins: { tenant: 'acme' }, shards: undefined, unpinned: false, unsharded: true })
    expect(reading(call).shape).toEqual({
      queries: 0,
      topK: 0,
      records: 2,
      vectorsOut: false,
      dimensions: 2,
      vectors: [Float32Array.of(0.5, 0.5), Float32Array.of(0.5, 0.5)]
    })
  })

  it.each([
    ['one row is another tenant’s', column('tenant', ['acme', 'globex'])],
    ['one row is missing', column('tenant', ['acme'])],
    ['a row is too many', column('tenant', ['acme', 'acme', 'acme'])],
    ['a row is null', column('tenant', ['acme', 'acme'], 21, chunk(7, hex('0100')))],
    ['the type is another', column('tenant', ['acme', 'acme'], 23)],
    ['it is an array', column('tenant', ['acme', 'acme'], 22)]
  ])('is bound to nobody when %s', (_, tenants) => {
    expect(bounds(insert(2, tenants)).pins).toEqual({})
  })

  it('is bound when every row is said to be there', () => {
    expect(bounds(insert(2, column('tenant', ['acme', 'acme'], 21, chunk(7, hex('0101'))))).pins).toEqual({ tenant: 'acme' })
  })

  it('is bound to nobody when a dynamic field has the same name', () => {
    expect(bounds(insert(1, column('tenant', ['acme']), dynamicColumn(['{"tenant":"globex"}']))).pins).toEqual({})
    expect(bounds(insert(1, column('tenant', ['acme']), dynamicColumn(['{"tenants":"globex"}']))).pins).toEqual({ tenant: 'acme' })
  })

  describe('proves nothing when a field could be the primary key', () => {
    const scalars = (name: string, type: number, data: Uint8Array) => chunk(5, [number(1, type), chunk(2, name), chunk(3, data)])
    const json = (value: string) => scalars('doc', 23, chunk(9, chunk(1, value)))
    const stranger = (...columns: readonly Uint8Array[]) => bounds(insert(1, column('tenant', ['acme']), ...columns)).unpinned

    it.each([
      ['an integer', scalars('id', 5, chunk(3, chunk(1, hex('07'))))],
      ['an integer of another type, which Milvus Lite takes', scalars('id', 4, chunk(2, chunk(1, hex('07'))))],
      ['a second text', column('id', ['7'])],
      ['bytes', scalars('id', 31, chunk(7, chunk(1, 'x')))],
      ['a time', scalars('at', 26, chunk(11, chunk(1, hex('07'))))],
      ['nothing at all', scalars('id', 5, new Uint8Array())],
      ['a number as JSON, which Milvus Lite takes', json('7')],
      ['a text as JSON', json('"7"')],
      ['a dynamic number, which Milvus Lite takes', dynamicColumn(['{"id":7}'])],
      ['a dynamic text', dynamicColumn(['{"title":"x"}'])]
    ])('%s', (_, one) => {
      expect(stranger(one)).toBe(true)
    })

    it.each([
      ['a float', scalars('price', 10, chunk(4, chunk(1, floatBytes([1]))))],
      ['a truth', scalars('done', 1, chunk(1, chunk(1, hex('01'))))],
      ['an array', scalars('tags', 22, chunk(8, chunk(1, chunk(6, chunk(1, 'x')))))],
      ['a JSON object', json('{"page":7,"text":"x"}')],
      ['a JSON array', json(' [1]')],
      ['a dynamic object', dynamicColumn(['{"doc":{"page":7},"tags":["x"],"done":true,"none":null}'])],
      ['a vector', vectorColumn(1)]
    ])('but not for %s', (_, one) => {
      expect(stranger(one)).toBe(false)
    })

    it('whatever the tenant is told by', () => {
      expect(bounds(insert(2, column('text', ['a', 'b'])))).toMatchObject({ unpinned: true, unsharded: true })
      expect(bounds(insert(1, json('{}'), chunk(4, 'acme')))).toMatchObject({ shards: ['acme'], unpinned: false, unsharded: false })
      expect(bounds(insert(1, column('tenant', ['acme']), chunk(4, 'acme')))).toMatchObject({ unpinned: false, unsharded: true })
    })
  })

  it.each([
    ['two columns of one name', 'call-ambiguous', insert(1, column('tenant', ['acme']), column('tenant', ['globex']))],
    ['two dynamic columns', 'call-ambiguous', insert(1, dynamicColumn(['{}']), dynamicColumn(['{}']))],
    ['a dynamic object with a key twice', 'call-ambiguous', insert(1, dynamicColumn(['{"a":1,"a":2}']))],
    ['a dynamic object that is none', 'call-unreadable', insert(1, dynamicColumn(['[]']))],
    [
      'a JSON value that is none',
      'call-unreadable',
      insert(1, chunk(5, [number(1, 23), chunk(2, 'doc'), chunk(3, chunk(9, chunk(1, '{')))]))
    ],
    [
      'a JSON object with a key twice',
      'call-ambiguous',
      insert(1, chunk(5, [number(1, 23), chunk(2, 'doc'), chunk(3, chunk(9, chunk(1, '{"a":1,"a":2}')))]))
    ],
    ['a dynamic object too few', 'call-unreadable', insert(2, dynamicColumn(['{}']))],
    ['no rows', 'call-unreadable', insert(0, column('tenant', []))],
    ['more rows than in any batch', 'call-too-large', insert(5462)],
    ['more vectors than in any batch', 'call-too-large', insert(3000, vectorColumn(3000), vectorColumn(3000, 'other'))],
    ['a vector too few', 'call-unreadable', insert(3, vectorColumn(2))],
    ['a vector too many', 'call-unreadable', insert(1, vectorColumn(2))],
    ['a column that is named by an id', 'call-unreadable', insert(1, column('tenant', ['acme'], 21, number(5, 101)))],
    ['a column of two kinds', 'call-ambiguous', insert(1, column('tenant', ['acme'], 21, chunk(4, number(1, 2))))],
    ['a namespace', 'call-unreadable', insert(1, column('tenant', ['acme']), chunk(9, 'x'))],
    ['a row principal', 'call-unreadable', insert(1, column('tenant', ['acme']), chunk(10, 'x'))],
    ['row policies skipped', 'call-unreadable', insert(1, column('tenant', ['acme']), number(11, 1))]
  ] as [string, string, Call][])('is refused: %s', (_, kind, call) => {
    expect(outcome(call)).toBe(kind)
  })

  it('is bound only where every record is that tenant’s, whatever the columns', () => {
    const value = fc.constantFrom('acme', 'globex')
    const rowsOf = fc.integer({ min: 1, max: 4 }).chain((count) =>
      fc.record({
        tenants: fc.array(value, { minLength: count - 1 || 1, maxLength: count + 1 }),
        count: fc.constant(count),
        type: fc.constantFrom(20, 21, 22, 23, 25),
        valid: fc.array(fc.boolean(), { maxLength: count }),
        dynamic: fc.option(
          fc.array(fc.constantFrom('{}', '{"tenant":"globex"}', '{"a":{"tenant":1}}'), { minLength: count, maxLength: count })
        )
      })
    )
    let proved = 0
    fc.assert(
      fc.property(rowsOf, ({ tenants, count, type, valid, dynamic }) => {
        const mask = valid.length === 0 ? [] : [chunk(7, Uint8Array.from(valid, Number))]
        const call = insert(count, column('tenant', tenants, type, ...mask), ...(dynamic === null ? [] : [dynamicColumn(dynamic)]))
        const { pins } = bounds(call)
        if (pins['tenant'] === undefined) return
        proved++
        const records = Array.from({ length: count }, (_, row) => (valid[row] === false ? undefined : tenants[row]))
        expect(records).toEqual(Array(count).fill(pins['tenant']))
        expect(dynamic ?? []).not.toContain('{"tenant":"globex"}')
      }),
      { numRuns: 600 }
    )
    expect(proved).toBeGreaterThan(2)
  })

  it('reads the vectors of every dense type', () => {
    const vectors = (field: number, bytes: Uint8Array) =>
      reading(insert(2, chunk(5, [number(1, 102), chunk(2, 'v'), chunk(4, [number(1, 2), chunk(field, bytes)])]))).shape.vectors.map(
        (one) => [...one]
      )
    expect(vectors(4, hex('003c003c00c000c0'))).toEqual([
      [1, 1],
      [-2, -2]
    ])
    expect(vectors(5, hex('803f803f00c000c0'))).toEqual([
      [1, 1],
      [-2, -2]
    ])
    expect(vectors(7, hex('01ff0203'))).toEqual([
      [1, -1],
      [2, 3]
    ])
    expect(vectors(3, hex('01ff0203'))).toEqual([])
  })
})

describe('an upsert', () => {
  it('may replace anybody’s record', () => {
    expect(bounds({ rpc: 'Upsert', message: rows(1, column('tenant', ['acme']), chunk(4, 'acme')) })).toEqual({
      pins: { tenant: 'acme' },
      shards: ['acme'],
      unpinned: true,
      unsharded: true
    })
    expect(reading({ rpc: 'Upsert', message: rows(1, column('tenant', ['acme'])) }).targets[0]?.bounds?.changes).toEqual(['*'])
  })
})

describe('the database', () => {
  const of = (message: readonly Uint8Array[], headers = {}) =>
    reading({ rpc: 'HasCollection', message: [named(), ...message], headers }).targets[0]?.namespace

  it('is the message’s, else the metadata’s, else default', () => {
    expect(of([])).toBe('default')
    expect(of([], { dbname: 'acme' })).toBe('acme')
    expect(of([], { dbname: '' })).toBe('default')
    expect(of([chunk(2, 'acme')])).toBe('acme')
    expect(of([chunk(2, '')], { dbname: 'acme' })).toBe('acme')
    expect(of([chunk(2, 'acme')], { dbname: 'acme' })).toBe('acme')
    expect(outcome({ rpc: 'HasCollection', message: [named(), chunk(2, 'acme')], headers: { dbname: 'default' } })).toBe('call-ambiguous')
  })

  it('stands at the end of the messages about loading', () => {
    const state = { message: [chunk(2, 'docs'), chunk(3, 'p'), chunk(4, 'acme')] }
    for (const rpc of ['GetLoadState', 'GetLoadingProgress']) {
      expect(reading({ rpc, ...state }).targets[0]).toMatchObject({
        namespace: 'acme',
        collection: { kind: 'name', name: 'docs' },
        bounds: { shards: ['p'] }
      })
      expect(outcome({ rpc, ...state, headers: { dbname: 'globex' } })).toBe('call-ambiguous')
    }
  })
})

describe('collections', () => {
  const schema = (name: string, ...more: readonly Uint8Array[]) =>
    chunk(4, [chunk(1, name), chunk(4, [chunk(2, 'id'), number(3, 1), number(5, 5)]), ...more])
  const create = (...parts: readonly Uint8Array[]): Call => ({ rpc: 'CreateCollection', message: [named(), ...parts] })

  it.each([
    ['of one name', 'allowed', create(schema('docs'))],
    ['of two names', 'call-ambiguous', create(schema('other'))],
    ['without a schema', 'call-ambiguous', create()],
    ['in two databases', 'call-ambiguous', create(schema('docs', chunk(8, 'globex')))],
    ['in one database', 'allowed', create(schema('docs', chunk(8, 'default')))],
    ['from another store', 'call-unreadable', create(schema('docs', chunk(11, 's3://bucket/x')))],
    ['with files of the server', 'call-unreadable', create(schema('docs', number(14, 7)))],
    ['with namespaces', 'call-unreadable', create(schema('docs', number(15, 1)))],
    ['with a model elsewhere', 'call-unreadable', create(schema('docs', chunk(7, [chunk(1, 'f'), number(4, 2)])))],
    ['with BM25', 'allowed', create(schema('docs', chunk(7, [chunk(1, 'f'), number(4, 1)])))],
    ['with a lifetime', 'allowed', create(schema('docs'), pair(7, 'collection.ttl.seconds', '60'))],
    [
      'with a lifetime twice',
      'call-ambiguous',
      create(schema('docs'), pair(7, 'collection.ttl.seconds', '60'), pair(7, 'collection.ttl.seconds', '0'))
    ],
    ['with an unknown property', 'call-unreadable', create(schema('docs'), pair(7, 'replicate.id', 'x'))]
  ] as [string, string, Call][])('are made %s: %s', (_, kind, call) => {
    expect(outcome(call)).toBe(kind)
  })

  it('are described by name, never by id', () => {
    expect(outcome({ rpc: 'DescribeCollection', message: [named(), number(4, 0)] })).toBe('allowed')
    expect(outcome({ rpc: 'DescribeCollection', message: [named(), number(4, 451)] })).toBe('call-unreadable')
    expect(outcome({ rpc: 'DescribeCollection', message: [number(4, 451)] })).toBe('call-unreadable')
    expect(outcome({ rpc: 'ShowPartitions', message: [named(), number(4, 451)] })).toBe('call-unreadable')
  })

  it('are flushed each by its name', () => {
    const call = reading({ rpc: 'Flush', message: [chunk(3, 'docs'), chunk(3, 'other')] })
    expect(call.targets.map(({ collection }) => collection)).toEqual([
      { kind: 'name', name: 'docs' },
      { kind: 'name', name: 'other' }
    ])
    expect(outcome({ rpc: 'Flush', message: [] })).toBe('call-unreadable')
  })

  it('are listed as all of a database', () => {
    expect(reading({ rpc: 'ShowCollections', message: [], headers: { dbname: 'acme' } }).targets).toEqual([
      { tenant: { kind: 'none' }, namespace: 'acme', collection: { kind: 'every' } }
    ])
  })

  it.each([
    ['DropCollection', 'drop'],
    ['LoadCollection', 'define'],
    ['ReleaseCollection', 'define'],
    ['GetCollectionStatistics', 'observe'],
    ['CreateIndex', 'define'],
    ['DropIndex', 'define'],
    ['DescribeIndex', 'observe'],
    ['GetIndexStatistics', 'observe'],
    ['GetIndexState', 'observe'],
    ['GetIndexBuildProgress', 'observe']
  ])('%s is to %s one by its name', (rpc, operation) => {
    expect(reading({ rpc, message: [named()] })).toMatchObject({
      operation,
      targets: [{ namespace: 'default', collection: { kind: 'name', name: 'docs' } }]
    })
    expect(outcome({ rpc, message: [] })).toBe('call-unreadable')
    expect(outcome({ rpc, message: [named(), named()] })).toBe('call-ambiguous')
  })
})

describe('partitions', () => {
  it.each([
    ['CreatePartition', 'define'],
    ['DropPartition', 'drop'],
    ['HasPartition', 'observe'],
    ['GetPartitionStatistics', 'observe'],
    ['LoadPartitions', 'define'],
    ['ReleasePartitions', 'define']
  ])('%s is to %s one by its name', (rpc, operation) => {
    const call = { rpc, message: [named(), chunk(4, 'acme')] }
    expect(reading(call).operation).toBe(operation)
    expect(bounds(call)).toEqual({ pins: {}, shards: ['acme'], unpinned: false, unsharded: false })
    expect(outcome({ rpc, message: [named()] })).toBe('call-unreadable')
    expect(outcome({ rpc, message: [named(), chunk(4, 'a|b')] })).toBe('call-unreadable')
  })

  it('are listed all at once', () => {
    expect(reading({ rpc: 'ShowPartitions', message: [named()] }).targets[0]).not.toHaveProperty('bounds')
  })
})

describe('what clients call when they start', () => {
  it.each([
    ['Connect', [chunk(2, [chunk(1, 'nodejs'), chunk(6, [chunk(1, 'client_id'), chunk(2, 'x')])])]],
    ['GetVersion', []],
    ['CheckHealth', []],
    ['/milvus.proto.milvus.ClientTelemetryService/ClientHeartbeat', [chunk(1, chunk(1, 'nodejs')), number(2, 1)]]
  ])('%s is a probe of nothing', (rpc, message) => {
    expect(reading({ rpc, message })).toMatchObject({ operation: 'probe', targets: [] })
    expect(outcome({ rpc, message: [...message, chunk(50, 'x')] })).toBe('call-unreadable')
  })
})

describe('the dialect', () => {
  it('says what to write', () => {
    expect(milvus.pin?.('records.search', 'tenant', 'acme')).toBe('tenant == "acme", joined with and to whatever else the filter says')
    expect(milvus.pin?.('records.hybrid-search', 'tenant', 'acme')).toContain('every request')
    expect(milvus.pin?.('records.insert', 'tenant', 'acme')).toContain('every row')
    expect(milvus.pin?.('records.upsert', 'tenant', 'acme')).toContain('no upsert')
  })

  it('takes credentials away, and knows what names a database', () => {
    expect([milvus.credentialHeaders, milvus.meaningHeaders]).toEqual([['authorization'], ['dbname']])
  })
})

describe('places are counted, for each is in the record', () => {
  const partitions = (count: number) => query(chunk(4, PINNED), ...Array.from({ length: count }, (_, index) => chunk(6, `p${index}`)))
  it.each([
    ['as many partitions as a collection has', partitions(1024), 'allowed'],
    ['one more', partitions(1025), 'call-too-large'],
    ['as many collections as a flush may have', flush(256), 'allowed'],
    ['one collection more', flush(257), 'call-too-large']
  ])('%s', (_, call, want) => expect(outcome(call)).toBe(want))

  it('and one that is named many times is one', () => {
    expect(reading({ rpc: 'Flush', message: Array<Buffer>(5_000).fill(chunk(3, 'docs')) }).targets).toHaveLength(1)
  })
})
