/** One call, however it is written; and every place that a batch goes to, however it is mixed. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { chunk, floatBytes, number } from './protobuf-write.ts'
import { ID, places, RPC, read } from './weaviate-call.ts'

const RUNS = { numRuns: 400 }

const tenant = fc.constantFrom('acme', 'globex', 'initech')
const collection = fc.constantFrom('Doc', 'Author', 'Secret')
/** Without -0, which JSON.stringify writes as 0. */
const float = fc.float({ noNaN: true, noDefaultInfinity: true, min: -1000, max: 1000 }).map((value) => value + 0)
const vector = fc.array(float, { minLength: 1, maxLength: 6 })
const text = fc.string({ unit: 'grapheme', maxLength: 8 })
const beacon = fc
  .tuple(fc.option(collection), fc.constant(ID))
  .map(([name, id]) => `weaviate://localhost/${name === null ? '' : `${name}/`}${id}`)
const property = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    text,
    fc.integer(),
    fc.boolean(),
    fc.array(tie('value'), { maxLength: 3 }),
    beacon.map((one) => ({ beacon: one })),
    fc.record({ inner: tie('value') })
  )
})).value
const object = fc.record(
  {
    class: collection,
    tenant: fc.option(tenant, { nil: '' }),
    id: fc.constant(ID),
    properties: fc.record({ one: property, two: property }, { requiredKeys: [] }),
    vector,
    vectors: fc.record({ title: vector, parts: fc.array(vector, { minLength: 1, maxLength: 3 }) }, { requiredKeys: [] })
  },
  { requiredKeys: ['class'] }
)
type Written = { class: string; tenant?: string; properties?: Record<string, unknown> }

/** Where an object goes by a reading of its own: the object itself, and every beacon anywhere below its properties. */
function expected({ class: name, tenant: whose = '', properties = {} }: Written): string[] {
  const who = whose === '' ? '-' : whose
  const found = [`${who}/${name}`]
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return
    for (const [key, inner] of Object.entries(value)) {
      if (!Array.isArray(value) && key === 'beacon')
        found.push(`${who}/${String(inner).split('/').length === 5 ? String(inner).split('/')[3] : '*'}`)
      else visit(inner)
    }
  }
  for (const value of Object.values(properties)) visit(value)
  return found
}

/** Where a spelling may be chosen, the next of these numbers chooses. */
function writer(choices: readonly number[]) {
  let at = 0
  const pick = <T>(...options: readonly T[]): T => options[(choices[at++ % choices.length] ?? 0) % options.length] as T
  const space = () => pick('', '', ' ', '\n\t', '\r ')
  const escaped = (char: string) =>
    [...Array(char.length).keys()].map((unit) => `\\u${char.charCodeAt(unit).toString(16).padStart(4, '0')}`).join('')
  const quoted = (value: string) =>
    `"${[...value].map((char) => (pick(0, 1, 2) === 0 ? escaped(char) : JSON.stringify(char).slice(1, -1))).join('')}"`
  const write = (value: unknown): string => {
    if (typeof value === 'string') return quoted(value)
    if (typeof value === 'number') return pick(String(value), value.toExponential(), value.toExponential().replace('e', 'E'))
    if (Array.isArray(value)) return `[${value.map((one) => space() + write(one) + space()).join(',')}]`
    if (typeof value !== 'object' || value === null) return JSON.stringify(value)
    const entries = Object.entries(value)
    const turned = pick(entries, entries.toReversed(), [...entries.slice(1), ...entries.slice(0, 1)])
    return `{${turned.map(([key, one]) => `${space()}${quoted(key)}${space()}:${space()}${write(one)}${space()}`).join(',')}}`
  }
  return (value: unknown) => space() + write(value) + space()
}

describe('a batch over REST', () => {
  it('goes to the places of its objects and references, and to no other', () => {
    fc.assert(
      fc.property(fc.array(object, { minLength: 1, maxLength: 6 }), (objects) => {
        const got = places({ target: '/v1/batch/objects', body: { objects } })
        expect(new Set(got)).toEqual(new Set(objects.flatMap((one) => expected(one as Written))))
        expect(new Set(got).size).toBe(got.length)
      }),
      RUNS
    )
  })

  it('is the same however it is written', () => {
    fc.assert(
      fc.property(object, fc.array(fc.nat({ max: 59 }), { minLength: 5, maxLength: 60 }), (one, choices) => {
        const plain = read({ body: one })
        const turned = read({ body: writer(choices)(one) })
        expect(plain).toMatchObject({ ok: true })
        // Named vectors come in the order of the text.
        expect(sorted(turned)).toEqual(sorted(plain))
      }),
      RUNS
    )
  })

  it('with one key written twice is refused, wherever the key stands', () => {
    fc.assert(
      fc.property(object, fc.nat(), (one, where) => {
        const body = JSON.stringify(one)
        const members = [...body.matchAll(/([{,])("(?:[^"\\]|\\.)*":)/g)]
        const member = members[where % members.length]
        if (member === undefined) return
        const at = member.index + (member[1] ?? '').length
        expect(read({ body: `${body.slice(0, at)}${member[2]}null,${body.slice(at)}` }).ok).toBe(false)
      }),
      RUNS
    )
  })
})

/** Targets and vectors without their order, which is that of the text. */
function sorted(result: ReturnType<typeof read>): unknown {
  if (!result.ok) return result
  const { targets, shape, ...rest } = result.value
  const text = (value: unknown) => JSON.stringify(value)
  return { ...rest, targets: targets.map(text).sort(), shape: { ...shape, vectors: shape.vectors.map((one) => text([...one])).sort() } }
}

describe('a gRPC message', () => {
  const search = fc
    .record({
      tenant: chunkOf(10, tenant),
      limit: fc.nat({ max: 500 }).map((limit) => number(30, limit)),
      metadata: fc.boolean().map((asked) => chunk(21, [number(1, 1), number(2, asked ? 1 : 0)])),
      near: vector.map((values) => chunk(43, chunk(9, [chunk(3, floatBytes(values)), number(4, 1)]))),
      filter: text.map((value) => chunk(40, [number(1, 1), chunk(4, value), chunk(20, chunk(1, 'title'))]))
    })
    .map((parts) => [chunk(1, 'Doc'), ...Object.values(parts)])

  it('is the same in whatever order its fields come', () => {
    fc.assert(
      fc.property(
        search.chain((fields) => fc.tuple(fc.constant(fields), fc.shuffledSubarray(fields, { minLength: fields.length }))),
        ([fields, turned]) => {
          const plain = read({ target: `${RPC}/Search`, message: Buffer.concat(fields) })
          expect(plain).toMatchObject({ ok: true })
          expect(read({ target: `${RPC}/Search`, message: Buffer.concat(turned) })).toEqual(plain)
        }
      ),
      RUNS
    )
  })

  it('with one of its fields twice is refused', () => {
    fc.assert(
      fc.property(search, fc.nat(), (fields, which) => {
        const twice = [...fields, fields[which % fields.length] as Buffer]
        expect(read({ target: `${RPC}/Search`, message: Buffer.concat(twice) })).toMatchObject({
          ok: false,
          reason: { kind: 'call-ambiguous' }
        })
      }),
      RUNS
    )
  })

  it('of a batch goes to the places of its objects', () => {
    const one = fc.record({ collection, tenant, referred: fc.option(collection) })
    fc.assert(
      fc.property(fc.array(one, { minLength: 1, maxLength: 8 }), (objects) => {
        const message = Buffer.concat(
          objects.map(({ collection: name, tenant: whose, referred }) =>
            chunk(1, [
              chunk(1, ID),
              chunk(4, name),
              chunk(5, whose),
              ...(referred === null ? [] : [chunk(3, chunk(3, [chunk(1, ID), chunk(2, 'has'), chunk(3, referred)]))])
            ])
          )
        )
        const want = objects.flatMap(({ collection: name, tenant: whose, referred }) => [
          `${whose}/${name}`,
          `${whose}/${referred ?? name}`
        ])
        expect(new Set(places({ target: `${RPC}/BatchObjects`, message }))).toEqual(new Set(want))
      }),
      RUNS
    )
  })

  function chunkOf(field: number, value: fc.Arbitrary<string>): fc.Arbitrary<Buffer> {
    return value.map((one) => chunk(field, one))
  }
})
