/** gRPC calls as Weaviate 1.35.2 reads them, written byte by byte: no encoder would write most of these. */
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { chunk, floatBytes, frame, number, tag } from './protobuf-write.ts'
import { type Call, ID, outcome, places, RPC, read } from './weaviate-call.ts'

const OTHER = '00000000-0000-4000-8000-000000000002'
const VECTOR = floatBytes([0.25, -0.5, 1])
const DOC = chunk(1, 'Doc')
const ACME = chunk(10, 'acme')

const rpc = (method: string, ...fields: readonly Uint8Array[]): Call => ({ target: `${RPC}/${method}`, message: Buffer.concat(fields) })
const search = (...fields: readonly Uint8Array[]): Call => rpc('Search', DOC, ACME, ...fields)
const single = (bytes: Uint8Array, name = '') => [chunk(1, name), chunk(3, bytes), number(4, 1)]
const near = (...fields: readonly Uint8Array[]) => chunk(43, fields)
const hybrid = (...fields: readonly Uint8Array[]) => chunk(41, fields)
const alpha = Buffer.concat([tag(4, 5), floatBytes([0.5])])

function shapeOf(call: Call): Record<string, unknown> {
  const result = read(call)
  if (!result.ok) return { refused: result.reason.kind }
  const { vectors, ...shape } = result.value.shape
  return { operation: result.value.operation, ...shape, vectors: vectors.map((vector) => [...vector]) }
}

describe('a search', () => {
  it('is in one class and tenant', () => {
    expect(places(search())).toEqual(['acme/Doc'])
    expect(places(rpc('Search', DOC))).toEqual(['-/Doc'])
    expect(places(rpc('Search', DOC, chunk(10, '')))).toEqual(['-/Doc'])
  })

  it.each([
    ['a tenant twice: the server takes the last', rpc('Search', DOC, ACME, chunk(10, 'globex')), 'call-ambiguous'],
    ['a class twice', rpc('Search', DOC, chunk(1, 'Secret'), ACME), 'call-ambiguous'],
    ['a small class', rpc('Search', chunk(1, 'doc'), ACME), 'call-ambiguous'],
    ['no class', rpc('Search', ACME), 'call-unreadable'],
    ['a near_vector twice: the server merges them', search(near(chunk(4, VECTOR)), near()), 'call-ambiguous'],
    ['a field of a later version', search(chunk(62, '')), 'call-unreadable'],
    ['a field of no version', search(number(99, 1)), 'call-unreadable'],
    ['the flags of old clients', search(number(100, 1), number(101, 1), number(102, 1)), 'allowed'],
    ['a group in place of a field', search(tag(21, 3)), 'call-unreadable'],
    ['near_vector and bm25', search(near(chunk(4, VECTOR)), chunk(42, chunk(1, 'x'))), 'call-ambiguous'],
    ['near_vector and hybrid: the server runs both', search(near(chunk(4, VECTOR)), hybrid(chunk(1, 'x'))), 'call-ambiguous'],
    ['near_object', search(chunk(44, chunk(1, OTHER))), 'allowed'],
    ['near_object of what is no id', search(chunk(44, chunk(1, 'one'))), 'call-ambiguous'],
    ['near_text', search(chunk(45, chunk(1, 'x'))), 'operation-unknown'],
    ['near_text, empty', search(chunk(45, '')), 'operation-unknown'],
    ['near_image', search(chunk(46, chunk(1, 'x'))), 'operation-unknown'],
    ['near_imu', search(chunk(51, chunk(1, 'x'))), 'operation-unknown'],
    ['generative', search(chunk(60, '')), 'operation-unknown'],
    ['rerank', search(chunk(61, chunk(1, 'title'))), 'operation-unknown'],
    ['sorting by a property', search(chunk(34, chunk(2, 'page'))), 'allowed'],
    ['sorting along a reference', search(chunk(34, [chunk(2, 'hasAuthor'), chunk(2, 'Author'), chunk(2, 'name')])), 'call-ambiguous'],
    ['grouping along a reference', search(chunk(22, [chunk(1, 'hasAuthor'), chunk(1, 'Author'), chunk(1, 'name')])), 'call-ambiguous']
  ] as const)('%s: %#', (_, call, want) => expect(outcome(call)).toBe(want))

  it('comes in one frame, packed with gzip or not at all', () => {
    const message = Buffer.concat([DOC, ACME])
    const send = (body: Uint8Array, headers: Record<string, string>) =>
      outcome({ target: `${RPC}/Search`, body, headers: { 'content-type': 'application/grpc', ...headers } })
    expect(send(frame(message), {})).toBe('allowed')
    expect(send(frame(gzipSync(message), 1), { 'grpc-encoding': 'gzip' })).toBe('allowed')
    expect(send(Buffer.concat([frame(message), frame(message)]), {})).toBe('call-ambiguous')
    expect(send(frame(message), { 'content-type': 'application/grpc+json' })).toBe('call-ambiguous')
    expect(send(frame(message), { 'content-type': 'application/json' })).toBe('call-ambiguous')
    expect(outcome({ ...search(), target: `${RPC}/Search?tenant=acme` })).toBe('call-unreadable')
    expect(outcome({ ...search(), headers: { 'x-openai-baseurl': 'https://evil.example' } })).toBe('operation-unknown')
  })
})

describe('the vector of a query', () => {
  const packed = chunk(1, VECTOR)
  it.each([
    ['in vectors', near(chunk(9, single(VECTOR)))],
    ['in vectors without a type', near(chunk(9, chunk(3, VECTOR)))],
    ['in vector_bytes', near(chunk(4, VECTOR))],
    ['in vector', near(packed)],
    ['in vectors beside an empty vector, as the JavaScript client writes it', near(chunk(1, ''), chunk(9, single(VECTOR)))],
    ['in vectors beside empty vector_bytes', near(chunk(4, ''), chunk(9, single(VECTOR)))],
    ['of a hybrid search, in vectors', hybrid(chunk(1, 'x'), alpha, chunk(21, single(VECTOR)))],
    ['of a hybrid search, in vector_bytes', hybrid(chunk(1, 'x'), alpha, chunk(6, VECTOR))],
    ['of a hybrid search, in near_vector', hybrid(chunk(1, 'x'), alpha, chunk(9, chunk(4, VECTOR)))]
  ])('%s', (_, field) =>
    expect(shapeOf(search(field))).toMatchObject({ operation: 'search', queries: 1, dimensions: 3, vectors: [[0.25, -0.5, 1]] })
  )

  it.each([
    ['in two forms: the server takes vectors', search(near(packed, chunk(9, single(VECTOR)))), 'call-ambiguous'],
    ['in two forms: the server takes vector_bytes', search(near(packed, chunk(4, VECTOR))), 'call-ambiguous'],
    ['in the form for each target too', search(near(chunk(4, VECTOR), chunk(8, [chunk(1, 'a'), chunk(2, VECTOR)]))), 'call-ambiguous'],
    ['nowhere', search(near()), 'call-unreadable'],
    ['twice', search(near(chunk(9, single(VECTOR)), chunk(9, single(VECTOR)))), 'call-unreadable'],
    ['cut within a float', search(near(chunk(4, VECTOR.subarray(1)))), 'call-unreadable'],
    ['with an infinity', search(near(chunk(4, floatBytes([1, Number.POSITIVE_INFINITY])))), 'call-unreadable'],
    ['with what is no number', search(near(chunk(9, single(floatBytes([Number.NaN]))))), 'call-unreadable'],
    ['of an unknown type', search(near(chunk(9, [chunk(3, VECTOR), number(4, 3)]))), 'call-unreadable'],
    ['of a hybrid search in two forms', search(hybrid(alpha, chunk(6, VECTOR), chunk(9, chunk(4, VECTOR)))), 'call-ambiguous'],
    ['of a hybrid search, left to a module', search(hybrid(chunk(1, 'x'), alpha)), 'operation-unknown'],
    ['of a hybrid search, made of a text', search(hybrid(chunk(1, 'x'), chunk(8, chunk(1, 'x')))), 'operation-unknown'],
    ['of a hybrid search that is by keywords only', search(hybrid(chunk(1, 'x'))), 'allowed']
  ] as const)('%s', (_, call, want) => expect(outcome(call)).toBe(want))

  it('is refused with the first too many, whatever holds them', () => {
    const many = [chunk(3, Buffer.concat([Buffer.from([1, 0]), floatBytes(Array(5_000).fill(1))])), number(4, 2)]
    const target = chunk(8, [chunk(1, 'a'), chunk(3, many)])
    expect(outcome(search(near(target)))).toBe('allowed')
    expect(outcome(search(near(target, target)))).toBe('call-too-large')
    const written = chunk(1, [chunk(1, ID), chunk(4, 'Doc'), chunk(5, 'acme'), chunk(23, many)])
    expect(outcome(rpc('BatchObjects', written))).toBe('allowed')
    expect(outcome(rpc('BatchObjects', written, written))).toBe('call-too-large')
  })

  it('is several in a multi-vector: a dimension, and rows', () => {
    const multi = (dimension: number, values: readonly number[]) =>
      near(chunk(9, [chunk(3, Buffer.concat([Buffer.from([dimension & 255, dimension >> 8]), floatBytes(values)])), number(4, 2)]))
    expect(shapeOf(search(multi(2, [1, 2, 3, 4])))).toMatchObject({
      queries: 1,
      rows: [2],
      dimensions: 2,
      vectors: [
        [1, 2],
        [3, 4]
      ]
    })
    // One for each target, however many rows each has.
    const rows = chunk(3, [chunk(3, Buffer.concat([Buffer.from([2, 0]), floatBytes([1, 2, 3, 4])])), number(4, 2)])
    const targets = near(chunk(8, [chunk(1, 'a'), chunk(2, floatBytes([1, 2]))]), chunk(8, [chunk(1, 'b'), rows]))
    expect(shapeOf(search(targets))).toMatchObject({ queries: 2, rows: [1, 2], dimensions: 2 })
    expect(shapeOf(search(near(chunk(4, VECTOR))))).not.toHaveProperty('rows')
    for (const wrong of [multi(0, []), multi(0, [1]), multi(3, [1, 2]), multi(2, [])])
      expect(outcome(search(wrong))).toBe('call-unreadable')
  })

  it('is one for each target', () => {
    const forTarget = (name: string, ...fields: readonly Uint8Array[]) => chunk(8, [chunk(1, name), ...fields])
    const both = near(forTarget('a', chunk(2, VECTOR)), forTarget('b', chunk(3, single(floatBytes([1, 2])))))
    expect(shapeOf(search(both))).toMatchObject({
      queries: 2,
      dimensions: 3,
      vectors: [
        [0.25, -0.5, 1],
        [1, 2]
      ]
    })
    const map = near(chunk(7, [chunk(1, 'a'), chunk(2, VECTOR)]))
    expect(shapeOf(search(map))).toMatchObject({ queries: 1, vectors: [[0.25, -0.5, 1]] })
    expect(outcome(search(near(chunk(7, [chunk(1, 'a'), chunk(2, VECTOR)]), chunk(7, [chunk(1, 'a'), chunk(2, VECTOR)]))))).toBe(
      'call-ambiguous'
    )
    expect(outcome(search(near(forTarget('a', chunk(2, VECTOR), chunk(3, single(VECTOR))))))).toBe('call-ambiguous')
    expect(outcome(search(near(forTarget('a'))))).toBe('call-ambiguous')
  })

  it('asked of two named vectors is two queries', () => {
    const targets = chunk(6, [chunk(1, 'a'), chunk(1, 'b')])
    expect(shapeOf(search(near(chunk(4, VECTOR), targets)))).toMatchObject({ queries: 2 })
  })
})

describe('what a search gives away', () => {
  it.each([
    ['a list', search(), { operation: 'read', queries: 0, topK: 10, vectorsOut: false }],
    ['a list with a limit', search(number(30, 25)), { topK: 25 }],
    ['words', search(chunk(42, chunk(1, 'x'))), { operation: 'search', queries: 1, vectors: [] }],
    ['groups', search(near(chunk(4, VECTOR)), chunk(22, [chunk(1, 'title'), number(2, 7), number(3, 8)])), { topK: 56 }],
    ['the id only', search(chunk(21, number(1, 1))), { vectorsOut: false }],
    ['the vector', search(chunk(21, number(2, 1))), { vectorsOut: true }],
    ['a named vector', search(chunk(21, chunk(10, 'title'))), { vectorsOut: true }],
    ['no vector, said', search(chunk(21, number(2, 0))), { vectorsOut: false }],
    ['the vector behind a reference', search(chunk(20, chunk(2, chunk(3, number(2, 1))))), { vectorsOut: true }],
    ['the vector behind two', search(chunk(20, chunk(2, chunk(2, chunk(2, chunk(3, chunk(10, 'a'))))))), { vectorsOut: true }]
  ] as const)('%s', (_, call, want) => expect(shapeOf(call)).toMatchObject(want))

  it('goes along references into any class: for one with a single class, the server ignores the class that the call names', () => {
    const along = (...fields: readonly Uint8Array[]) => places(search(chunk(20, chunk(2, [chunk(1, 'hasAuthor'), ...fields]))))
    expect(along()).toEqual(['acme/Doc', 'acme/*'])
    expect(along(chunk(4, 'Doc'))).toEqual(['acme/Doc', 'acme/*'])
  })
})

describe('a filter', () => {
  const equal = [number(1, 1), chunk(4, 'Ada')]
  const filtered = (...fields: readonly Uint8Array[]) => outcome(search(chunk(40, fields)))
  const target = (content: Uint8Array) => chunk(20, content)

  it.each([
    ['a property', filtered(...equal, target(chunk(1, 'title'))), 'allowed'],
    ['a property, in the old form', filtered(...equal, chunk(2, 'title')), 'allowed'],
    ['a property in both forms', filtered(...equal, chunk(2, 'title'), target(chunk(1, 'title'))), 'call-ambiguous'],
    ['no property', filtered(...equal), 'call-ambiguous'],
    ['two values', filtered(...equal, number(5, 1), target(chunk(1, 'title'))), 'call-ambiguous'],
    ['how many references', filtered(...equal, target(chunk(4, chunk(1, 'hasAuthor')))), 'allowed'],
    ['a reference', filtered(...equal, target(chunk(2, [chunk(1, 'hasAuthor'), chunk(2, chunk(1, 'name'))]))), 'operation-unknown'],
    [
      'a reference into a class',
      filtered(...equal, target(chunk(3, [chunk(1, 'has'), chunk(2, chunk(1, 'name')), chunk(3, 'Author')]))),
      'operation-unknown'
    ],
    ['a reference, in the old form', filtered(...equal, chunk(2, 'hasAuthor'), chunk(2, 'Author'), chunk(2, 'name')), 'operation-unknown'],
    ['a reference within another filter', filtered(number(1, 7), chunk(3, [...equal, target(chunk(2, ''))])), 'operation-unknown'],
    ['all of nothing', filtered(number(1, 7)), 'call-ambiguous'],
    ['all of one', filtered(number(1, 7), chunk(3, [...equal, target(chunk(1, 'title'))])), 'allowed'],
    [
      'all of one, and a property',
      filtered(number(1, 7), target(chunk(1, 'a')), chunk(3, [...equal, target(chunk(1, 'title'))])),
      'call-ambiguous'
    ],
    [
      'a comparison that combines',
      filtered(...equal, target(chunk(1, 'a')), chunk(3, [...equal, target(chunk(1, 'title'))])),
      'call-ambiguous'
    ],
    ['an unknown operator', filtered(number(1, 16), target(chunk(1, 'title'))), 'call-unreadable']
  ])('%s', (_, got, want) => expect(got).toBe(want))

  it('is what a delete must have', () => {
    const filter = chunk(2, [...equal, target(chunk(1, 'title'))])
    expect(places(rpc('BatchDelete', DOC, filter, chunk(6, 'acme')))).toEqual(['acme/Doc'])
    expect(places(rpc('BatchDelete', DOC, filter))).toEqual(['-/Doc'])
    expect(places(rpc('BatchDelete', DOC, chunk(6, 'acme')))).toEqual(['call-ambiguous'])
    expect(places(rpc('BatchDelete', DOC, chunk(2, number(1, 7)), chunk(6, 'acme')))).toEqual(['call-ambiguous'])
    expect(places(rpc('BatchDelete', DOC, filter, chunk(6, 'acme'), chunk(6, 'globex')))).toEqual(['call-ambiguous'])
  })
})

describe('an aggregation', () => {
  const aggregate = (...fields: readonly Uint8Array[]) => rpc('Aggregate', DOC, ACME, ...fields)
  it.each([
    ['a count', aggregate(number(20, 1)), { operation: 'read', topK: 0 }],
    ['the most frequent texts', aggregate(chunk(21, [chunk(1, 'title'), chunk(4, number(3, 1))])), { operation: 'read', topK: 5 }],
    ['so many of them', aggregate(chunk(21, chunk(4, [number(3, 1), number(4, 50)]))), { topK: 50 }],
    ['groups', aggregate(chunk(31, [chunk(2, 'title')])), { topK: 100 }],
    ['near a vector', aggregate(chunk(42, chunk(4, VECTOR))), { operation: 'search', queries: 1, vectors: [[0.25, -0.5, 1]] }],
    ['near a text', aggregate(chunk(44, chunk(1, 'x'))), { refused: 'operation-unknown' }],
    [
      'in two ways: the server takes the last',
      aggregate(chunk(42, chunk(4, VECTOR)), chunk(43, chunk(1, OTHER))),
      { refused: 'call-ambiguous' }
    ],
    ['in groups of another class', aggregate(chunk(31, [chunk(1, 'Secret'), chunk(2, 'title')])), { refused: 'call-ambiguous' }]
  ] as const)('%s', (_, call, want) => expect(shapeOf(call)).toMatchObject(want))
  it('is in one class and tenant', () => expect(places(aggregate())).toEqual(['acme/Doc']))
})

describe('a batch of objects', () => {
  const object = (collection: string, tenant: string, ...fields: readonly Uint8Array[]) =>
    chunk(1, [chunk(1, ID), chunk(4, collection), chunk(5, tenant), ...fields])
  const batch = (...objects: readonly Uint8Array[]) => rpc('BatchObjects', ...objects)
  const properties = (...fields: readonly Uint8Array[]) => places(batch(object('Doc', 'acme', chunk(3, fields))))

  it('has a place for each', () => {
    expect(places(batch(object('Doc', 'acme'), object('Doc', 'acme'), object('Secret', 'acme'), object('Doc', 'globex')))).toEqual([
      'acme/Doc',
      'acme/Secret',
      'globex/Doc'
    ])
    expect(places(batch(object('doc', 'acme')))).toEqual(['call-ambiguous'])
    expect(places(batch(object('Doc', 'acme', chunk(5, 'globex'))))).toEqual(['call-ambiguous'])
    expect(places(batch())).toEqual(['call-unreadable'])
  })

  it('has their vectors', () => {
    expect(shapeOf(batch(object('Doc', 'acme', chunk(6, VECTOR)), object('Doc', 'acme', chunk(23, single(VECTOR, 'a')))))).toMatchObject({
      operation: 'write',
      records: 2,
      vectors: [
        [0.25, -0.5, 1],
        [0.25, -0.5, 1]
      ]
    })
    expect(outcome(batch(object('Doc', 'acme', chunk(2, VECTOR), chunk(6, VECTOR))))).toBe('call-ambiguous')
    expect(outcome(batch(object('Doc', 'acme', chunk(2, ''), chunk(6, VECTOR))))).toBe('allowed')
    expect(outcome(batch(object('Doc', 'acme', chunk(23, single(VECTOR, 'a')), chunk(23, single(VECTOR, 'a')))))).toBe('call-ambiguous')
    expect(outcome(batch(object('Doc', 'acme', chunk(23, single(VECTOR, 'a')), chunk(23, single(VECTOR, 'b')))))).toBe('allowed')
  })

  it('has references into other classes', () => {
    expect(properties(chunk(2, [chunk(1, OTHER), chunk(2, 'hasAuthor')]))).toEqual(['acme/Doc', 'acme/*'])
    expect(properties(chunk(3, [chunk(1, OTHER), chunk(2, 'hasAuthor'), chunk(3, 'Author')]))).toEqual(['acme/Doc', 'acme/Author'])
    expect(properties(chunk(3, [chunk(1, OTHER), chunk(2, 'hasAuthor')]))).toEqual(['call-unreadable'])
    expect(properties(chunk(2, [chunk(1, `../Secret/${OTHER}`), chunk(2, 'hasAuthor')]))).toEqual(['call-ambiguous'])
  })

  it('has references among the values, where the server makes a reference property of them', () => {
    const field = (name: string, value: Uint8Array) => chunk(1, [chunk(1, name), chunk(2, value)])
    const link = (name: string, path: string) => chunk(5, field(name, chunk(3, `weaviate://localhost/${path}`)))
    const list = (value: Uint8Array) => chunk(6, chunk(1, value))
    expect(properties(chunk(1, field('sneaky', list(link('beacon', `Secret/${OTHER}`)))))).toEqual(['acme/Doc', 'acme/Secret'])
    expect(properties(chunk(1, field('sneaky', list(list(link('beacon', OTHER))))))).toEqual(['acme/Doc', 'acme/*'])
    expect(properties(chunk(1, field('sneaky', list(link('Beacon', `Secret/${OTHER}`)))))).toEqual(['call-ambiguous'])
    expect(properties(chunk(1, field('sneaky', list(chunk(5, field('beacon', number(4, 1)))))))).toEqual(['call-unreadable'])
    expect(properties(chunk(1, field('beacon', chunk(3, 'a lighthouse'))))).toEqual(['acme/Doc'])
    const nested = chunk(1, field('beacon', chunk(3, `weaviate://localhost/Secret/${OTHER}`)))
    expect(properties(chunk(8, [chunk(1, nested), chunk(2, 'sneaky')]))).toEqual(['acme/Doc', 'acme/Secret'])
    expect(properties(chunk(9, [chunk(1, nested), chunk(2, 'sneaky')]))).toEqual(['acme/Doc', 'acme/Secret'])
    expect(properties(chunk(9, [chunk(1, chunk(7, [chunk(1, nested), chunk(2, 'deep')])), chunk(2, 'sneaky')]))).toEqual([
      'acme/Doc',
      'acme/Secret'
    ])
    expect(properties(chunk(1, [...[field('a', chunk(3, 'x')), field('a', chunk(3, 'y'))]]))).toEqual(['call-ambiguous'])
  })
})

describe('a batch of references', () => {
  const parts = { name: 'hasAuthor', from: 'Doc', id: ID, to: 'Author', toId: OTHER, tenant: 'acme' }
  const reference = (more: Partial<Record<keyof typeof parts, string | undefined>> = {}) => {
    const { name, from, id, to, toId, tenant } = { ...parts, ...more }
    const fields = [name, from, id, to, toId, tenant].flatMap((text, index) => (text === undefined ? [] : [chunk(index + 1, text)]))
    return chunk(1, fields)
  }
  const batch = (...references: readonly Uint8Array[]) => places(rpc('BatchReferences', ...references))

  it('has both ends of each', () => {
    expect(batch(reference())).toEqual(['acme/Doc', 'acme/Author'])
    expect(batch(reference(), reference({ tenant: 'globex' }))).toEqual(['acme/Doc', 'acme/Author', 'globex/Doc', 'globex/Author'])
    expect(batch(reference({ to: undefined }))).toEqual(['acme/Doc', 'acme/*'])
    expect(batch()).toEqual(['call-unreadable'])
  })

  it.each([
    ['an id that is more', { toId: `Secret/${OTHER}`, to: undefined }],
    ['a class that is more', { from: `Doc/${ID}/hasAuthor?` }],
    ['a name that is more', { name: '../x' }],
    ['a class of nothing', { to: '' }],
    ['an id of a URL', { id: `${ID}#` }]
  ])('%s is refused', (_, more) => expect(batch(reference(more))[0]).toMatch(/^call-/))
})

describe('tenants and health', () => {
  it('are looked at by name', () => {
    expect(places(rpc('TenantsGet', DOC, chunk(2, chunk(1, 'acme'))))).toEqual(['acme/Doc'])
    expect(places(rpc('TenantsGet', DOC, chunk(2, [chunk(1, 'acme'), chunk(1, 'globex')])))).toEqual(['acme/Doc', 'globex/Doc'])
    expect(places(rpc('TenantsGet', DOC))).toEqual(['operation-unknown'])
    expect(places(rpc('TenantsGet', DOC, chunk(2, '')))).toEqual(['operation-unknown'])
    expect(places(rpc('TenantsGet', DOC, chunk(2, chunk(1, ''))))).toEqual(['operation-unknown'])
  })

  it('is asked by every client when it starts', () => {
    const health = { target: '/grpc.health.v1.Health/Check', message: Buffer.alloc(0) }
    expect(read(health)).toMatchObject({ ok: true, value: { operation: 'probe', targets: [] } })
    expect(outcome({ ...health, message: chunk(2, 'x') })).toBe('call-unreadable')
  })
})
