/** One call, however it is written: key order, white space, escapes and the spelling of numbers do not change what is read. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { COLLECTION, COLLECTIONS, read } from './chroma-call.ts'

/** Without -0, which JSON.stringify writes as 0. */
const float = fc.float({ noNaN: true, noDefaultInfinity: true, min: -1000, max: 1000 }).map((value) => value + 0)
const vectors = fc.array(fc.array(float, { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 3 })
const count = fc.nat({ max: 5000 })
const text = fc.string({ unit: 'grapheme', maxLength: 8 })
const ids = fc.array(text, { minLength: 1, maxLength: 4 })
const include = fc.subarray(['distances', 'documents', 'embeddings', 'metadatas', 'uris'])
const scalar = fc.oneof(text, fc.boolean(), fc.integer())
const where = fc.oneof(
  scalar.map((value) => ({ page: value })),
  fc.array(fc.integer(), { minLength: 1, maxLength: 3 }).map((set) => ({ $and: [{ page: { $in: set } }, { tag: { $ne: 'x' } }] }))
)
const metadata = fc.record({ one: scalar, two: scalar, three: fc.array(text, { maxLength: 3 }) }, { requiredKeys: [] })

const calls = fc.oneof(
  fc
    .record({ query_embeddings: vectors, n_results: count, include, where, ids }, { requiredKeys: ['query_embeddings'] })
    .map((body) => ({ target: `${COLLECTION}/query`, body })),
  fc
    .record(
      { ids, limit: count, offset: count, include, where, where_document: text.map((one) => ({ $contains: one })) },
      { requiredKeys: [] }
    )
    .map((body) => ({ target: `${COLLECTION}/get`, body })),
  vectors.chain((embeddings) =>
    fc
      .record(
        {
          metadatas: fc.tuple(...embeddings.map(() => fc.option(metadata))),
          documents: fc.tuple(...embeddings.map(() => fc.option(text)))
        },
        { requiredKeys: [] }
      )
      .map((more) => ({ target: `${COLLECTION}/upsert`, body: { ids: embeddings.map((_, index) => `id ${index}`), embeddings, ...more } }))
  ),
  fc
    .record(
      {
        name: fc.stringMatching(/^[a-z][a-z0-9._-]{1,8}[a-z]$/).filter((name) => !name.includes('..')),
        get_or_create: fc.boolean(),
        metadata
      },
      { requiredKeys: ['name'] }
    )
    .map((body) => ({ target: COLLECTIONS, body })),
  fc.record({ ids, where }, { requiredKeys: ['ids'] }).map((body) => ({ target: `${COLLECTION}/delete`, body })),
  fc
    .record({ query: fc.array(float, { minLength: 1, maxLength: 6 }), limit: count }, { requiredKeys: ['query'] })
    .map((knn) => ({ target: `${COLLECTION}/search`, body: { searches: [{ rank: { $sum: [{ $knn: knn }, { $val: 2 }] }, filter: {} }] } }))
)

/** Where a spelling may be chosen, the next of these numbers chooses. */
function writer(choices: readonly number[]) {
  let at = 0
  const pick = <T>(...options: readonly T[]): T => options[(choices[at++ % choices.length] ?? 0) % options.length] as T
  const space = () => pick('', '', ' ', '\n\t', '\r ')
  const quoted = (value: string) =>
    `"${[...value].map((char) => (pick(0, 1, 2) === 0 ? escaped(char) : JSON.stringify(char).slice(1, -1))).join('')}"`
  const escaped = (char: string) =>
    [...Array(char.length).keys()].map((unit) => `\\u${char.charCodeAt(unit).toString(16).padStart(4, '0')}`).join('')
  const number = (value: number, free: boolean) => {
    if (!free) return JSON.stringify(value)
    const exact = String(value)
    return pick(
      exact,
      value.toExponential(),
      `${value.toExponential().replace('e', 'E')}`,
      exact.includes('.') && !exact.includes('e') ? `${exact}000` : exact
    )
  }
  const write = (value: unknown, free: boolean): string => {
    if (typeof value === 'string') return quoted(value)
    if (typeof value === 'number') return number(value, free)
    if (Array.isArray(value)) return `[${value.map((one) => space() + write(one, free) + space()).join(',')}]`
    if (typeof value !== 'object' || value === null) return JSON.stringify(value)
    const entries = Object.entries(value)
    const turned = pick(entries, entries.toReversed(), [...entries.slice(1), ...entries.slice(0, 1)])
    // Numbers are free in vectors; counts are digits and nothing else.
    return `{${turned.map(([key, one]) => `${space()}${quoted(key)}${space()}:${space()}${write(one, /embeddings|^query$/.test(key))}${space()}`).join(',')}}`
  }
  return (value: unknown) => space() + write(value, false) + space()
}

describe('a call', () => {
  it('is the same however it is written', () => {
    fc.assert(
      fc.property(calls, fc.array(fc.nat({ max: 59 }), { minLength: 5, maxLength: 60 }), ({ target, body }, choices) => {
        const plain = read({ target, body })
        expect(plain).toMatchObject({ ok: true })
        expect(read({ target, body: writer(choices)(body) })).toEqual(plain)
      }),
      { numRuns: 500 }
    )
  })

  it('with one key written twice is refused, wherever the key stands', () => {
    fc.assert(
      fc.property(calls, fc.nat(), ({ target, body }, where) => {
        const text = JSON.stringify(body)
        const members = [...text.matchAll(/([{,])("(?:[^"\\]|\\.)*":)/g)]
        const member = members[where % members.length]
        if (member === undefined) return
        const at = member.index + (member[1] ?? '').length
        // {"a":1} becomes {"a":null,"a":1}: a decoder that takes the last reads the call as it was.
        const doubled = `${text.slice(0, at)}${member[2]}null,${text.slice(at)}`
        expect(read({ target, body: doubled }).ok).toBe(false)
      }),
      { numRuns: 500 }
    )
  })
})
