/** What must hold for every Qdrant call, and not only for those that somebody thought of. */
import { fromJson, type JsonValue, toBinary } from '@bufbuild/protobuf'
import { QueryPointsSchema } from '@qdrant/js-client-grpc'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { C, type Call, POINTS, pinned, read } from './qdrant-call.ts'

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 250)
const TENANTS = ['acme', 'globex'] as const

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }
type Object_ = { readonly [key: string]: Json }
type Clauses = { readonly [clause in 'must' | 'should' | 'must_not']?: Json }

const tenant = fc.constantFrom(...TENANTS)
const exact = tenant.map((value): Json => ({ key: 'tenant_id', match: { value } }))
/** Conditions that mention the field and mean something else, or nobody knows what. */
const odd: fc.Arbitrary<Json> = fc.oneof(
  tenant.map((value): Json => ({ key: 'tenant_id', match: { value }, values_count: { gte: 0 } })),
  tenant.map((value): Json => ({ key: 'tenant_id', match: { value }, is_empty: true })),
  tenant.map((value): Json => ({ key: 'tenant_id', match: { any: [value] } })),
  tenant.map((value): Json => ({ key: 'tenant_id', match: { except: [value] } })),
  tenant.map((value): Json => ({ key: 'tenant_id', match: { text: value } })),
  tenant.map((value): Json => ({ key: 'other', match: { value } })),
  fc.constant<Json>({ has_id: [1, 2] }),
  fc.constant<Json>({ is_empty: { key: 'tenant_id' } })
)
const { filter } = fc.letrec<{ filter: Json; condition: Json }>((tie) => ({
  condition: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    { weight: 4, arbitrary: exact },
    { weight: 3, arbitrary: odd },
    { weight: 1, arbitrary: tie('filter') }
  ),
  filter: fc.record(
    {
      must: fc.oneof(tie('condition'), fc.array(tie('condition'), { maxLength: 3 })),
      should: fc.array(tie('condition'), { maxLength: 2 }),
      must_not: fc.array(tie('condition'), { maxLength: 2 })
    },
    { requiredKeys: [] }
  ) as fc.Arbitrary<Json>
}))

interface Node {
  readonly filter: Json
  readonly prefetch: readonly Node[]
}
const { node } = fc.letrec<{ node: Node }>((tie) => ({
  node: fc.record({
    filter: fc.option(filter, { nil: {} }),
    prefetch: fc.oneof({ depthSize: 'small' }, fc.constant([]), fc.array(tie('node') as fc.Arbitrary<Node>, { minLength: 1, maxLength: 2 }))
  })
}))

/** A record's tenants: one, none, or (as a list) both. */
type Owner = readonly string[]
const OWNERS: readonly Owner[] = [[], ['acme'], ['globex'], ['globex', 'initech'], ['initech']]

/**
 * Whether a record passes, as Qdrant evaluates a filter; of whatever is not exactly a key and a value, nobody knows what it
 * means, so a coin decides.
 */
function passes(of: Json, owner: Owner, coin: () => boolean): boolean {
  const { must = [], should = [], must_not = [] } = of as Clauses
  const one = (condition: Json): boolean => {
    const { key, match, ...rest } = condition as Object_
    const known = key === 'tenant_id' && Object.keys(rest).length === 0 && Object.keys((match ?? {}) as Object_).join() === 'value'
    if (known) return owner.includes((match as Object_)['value'] as string)
    const inner =
      ['must', 'should', 'must_not'].some((clause) => clause in (condition as Object_)) || Object.keys(condition as Object_).length === 0
    return inner ? passes(condition, owner, coin) : coin()
  }
  const list = (clause: Json) => (Array.isArray(clause) ? (clause as readonly Json[]) : [clause])
  const anyOf = list(should)
  return list(must).every(one) && (anyOf.length === 0 || anyOf.some(one)) && !list(must_not).some(one)
}

/** A filter is handed down, and only leaves find records. */
function finds(tree: Node, above: readonly Json[], owner: Owner, coin: () => boolean): boolean {
  const filters = [...above, tree.filter]
  if (tree.prefetch.length === 0) return filters.every((one) => passes(one, owner, coin))
  return tree.prefetch.some((child) => finds(child, filters, owner, coin))
}

const queryOf = (tree: Node): Object_ => ({ query: [0.5, 1], filter: tree.filter, prefetch: tree.prefetch.map(queryOf) })

function provedBy(call: Call): string {
  const result = read(call)
  if (!result.ok) return result.reason.kind
  const { bounds } = result.value.targets[0] ?? {}
  return bounds === undefined ? 'all of it' : pinned(bounds)
}

const isTenant = (text: string) => (TENANTS as readonly string[]).includes(text)

describe('a filter that proves a tenant', () => {
  it('lets no record of another pass, whatever the clauses mean that nobody knows', () => {
    let proofs = 0
    fc.assert(
      fc.property(node, fc.infiniteStream(fc.boolean()), (tree, coins) => {
        const proved = provedBy({ body: queryOf(tree) })
        if (!isTenant(proved)) return
        proofs++
        const coin = () => coins.next().value
        for (const owner of OWNERS.filter((one) => !one.includes(proved))) expect(finds(tree, [], owner, coin)).toBe(false)
      }),
      { numRuns: RUNS * 2 }
    )
    expect(proofs).toBeGreaterThan(RUNS / 10)
  })

  it('is found by the search when it is not one, so that the search is known to search', () => {
    const naive = (tree: Node) => /"key":"tenant_id","match":\{"value":"(\w+)"\}/.exec(JSON.stringify(tree.filter))?.[1] ?? 'none'
    const searched = fc.check(
      fc.property(node, fc.infiniteStream(fc.boolean()), (tree, coins) => {
        const proved = naive(tree)
        if (!isTenant(proved)) return
        for (const owner of OWNERS.filter((one) => !one.includes(proved)))
          expect(finds(tree, [], owner, () => coins.next().value)).toBe(false)
      }),
      { numRuns: 500 }
    )
    expect(searched.failed).toBe(true)
  })

  it('proves the same over gRPC', () => {
    fc.assert(
      fc.property(node, (tree) => {
        const json = { collectionName: 'docs', ...messageOf(tree) }
        const message = toBinary(QueryPointsSchema, fromJson(QueryPointsSchema, json))
        expect(provedBy({ target: '/qdrant.Points/Query', message })).toBe(provedBy({ body: queryOf(tree) }))
      }),
      { numRuns: RUNS }
    )
  })
})

function messageOf({ filter: of, prefetch }: Node): { [key: string]: JsonValue } {
  return { query: { nearest: { dense: { data: [0.5, 1] } } }, filter: filterMessage(of), prefetch: prefetch.map(messageOf) }
}

function filterMessage(of: Json): JsonValue {
  const { must = [], should = [], must_not = [] } = of as Clauses
  const list = (clause: Json) => (Array.isArray(clause) ? (clause as readonly Json[]) : [clause]).map(conditionMessage)
  return { must: list(must), should: list(should), mustNot: list(must_not) }
}

function conditionMessage(condition: Json): JsonValue {
  const { key, match, has_id, values_count, is_empty } = condition as Object_
  if (has_id !== undefined) return { hasId: { hasId: [{ num: '1' }, { num: '2' }] } }
  if (key === undefined && is_empty !== undefined) return { isEmpty: { key: 'tenant_id' } }
  if (key === undefined) return { filter: filterMessage(condition) }
  const { value, any, except, text } = match as { [kind: string]: JsonValue }
  const way =
    value !== undefined
      ? { keyword: value }
      : any !== undefined
        ? { keywords: { strings: any } }
        : except !== undefined
          ? { exceptKeywords: { strings: except } }
          : { text }
  return {
    field: {
      key: key as string,
      match: way as JsonValue,
      ...(values_count !== undefined && { valuesCount: { gte: 0 } }),
      ...(is_empty !== undefined && { isEmpty: true })
    }
  }
}

describe('a write that proves a tenant', () => {
  interface Point {
    readonly id: number
    readonly tenant: string | undefined
  }
  const point = fc.record({ id: fc.nat({ max: 3 }), tenant: fc.option(tenant, { nil: undefined }) })
  const mode = fc.constantFrom(undefined, 'upsert', 'insert_only', 'update_only')

  it('leaves the records of others as they were, and writes none for them', () => {
    let proofs = 0
    fc.assert(
      fc.property(
        fc.array(point, { maxLength: 3 }),
        fc.array(point, { maxLength: 4 }),
        fc.option(filter, { nil: undefined }),
        mode,
        fc.boolean(),
        (written, stored, update_filter, update_mode, columns) => {
          const proved = provedBy({ method: 'PUT', target: POINTS, body: upsertOf(written, update_filter, update_mode, columns) })
          if (!isTenant(proved)) return
          proofs++
          const before = new Map(stored.map((one) => [one.id, one.tenant]))
          const after = upserted(before, written, update_filter, update_mode)
          for (const [id, owner] of after) {
            const was = before.get(id)
            expect(owner === was && before.has(id) ? 'as it was' : owner).toMatch(new RegExp(`^(as it was|${proved})$`))
            if (before.has(id) && was !== proved) expect(owner).toBe(was)
          }
        }
      ),
      { numRuns: RUNS * 4 }
    )
    expect(proofs).toBeGreaterThan(RUNS / 20)
  })

  function upsertOf(points: readonly Point[], update_filter: Json | undefined, update_mode: string | undefined, columns: boolean): object {
    const payload = (one: Point) => (one.tenant === undefined ? { page: 1 } : { tenant_id: one.tenant, page: 1 })
    const rest = { ...(update_filter !== undefined && { update_filter }), ...(update_mode !== undefined && { update_mode }) }
    if (!columns) return { points: points.map((one) => ({ id: one.id, vector: [1], payload: payload(one) })), ...rest }
    return { batch: { ids: points.map(({ id }) => id), vectors: points.map(() => [1]), payloads: points.map(payload) }, ...rest }
  }

  /** What 1.19 does (lib/shard/src/update/points/upsert.rs): the filter and existence are judged once, before anything is written. */
  function upserted(
    before: ReadonlyMap<number, string | undefined>,
    points: readonly Point[],
    condition: Json | undefined,
    how: string | undefined
  ) {
    const after = new Map(before)
    for (const { id, tenant: owner } of points) {
      const exists = before.has(id)
      const was = before.get(id)
      const excluded = exists && condition !== undefined && !passes(condition, was === undefined ? [] : [was], () => true)
      if (how === 'insert_only' ? exists : excluded || (how === 'update_only' && !exists)) continue
      after.set(id, owner)
    }
    return after
  }
})

describe('a change of payloads that proves a tenant', () => {
  const FIELD = 'meta.tenant'
  const keyName = fc.constantFrom('page', 'meta', 'meta.tenant', 'meta.x', 'meta.tenant.x', '"meta".tenant', 'meta[0]', 'tenant')
  const change = fc.oneof(
    fc.record({
      kind: fc.constantFrom('set', 'overwrite'),
      names: fc.array(keyName, { minLength: 1, maxLength: 2 }),
      key: fc.option(keyName, { nil: undefined })
    }),
    fc.record({
      kind: fc.constantFrom('delete', 'clear'),
      names: fc.array(keyName, { minLength: 1, maxLength: 2 }),
      key: fc.constant(undefined)
    })
  )

  it('leaves the field of every record as it was', () => {
    let proofs = 0
    fc.assert(
      fc.property(change, ({ kind, names, key }) => {
        const call = changeOf(kind, [...new Set(names)], key)
        const result = read(call)
        const bounds = result.ok ? result.value.targets[0]?.bounds : undefined
        if (bounds === undefined || pinned(bounds, FIELD) !== 'acme') return
        proofs++
        const record = { page: 1, tenant: 'x', meta: { tenant: 'acme', x: 1 } }
        const after = changed(record, kind, names, key) as { meta?: { tenant?: unknown } }
        expect(after.meta?.tenant).toBe('acme')
      }),
      { numRuns: RUNS }
    )
    expect(proofs).toBeGreaterThan(RUNS / 20)
  })

  function changeOf(kind: string, names: readonly string[], key: string | undefined): Call {
    const of = { must: [{ key: FIELD, match: { value: 'acme' } }] }
    if (kind === 'clear') return { target: `${POINTS}/payload/clear`, body: { filter: of } }
    if (kind === 'delete') return { target: `${POINTS}/payload/delete`, body: { filter: of, keys: names } }
    const payload = Object.fromEntries(names.map((name) => [name, 'new']))
    return {
      method: kind === 'set' ? 'POST' : 'PUT',
      target: `${POINTS}/payload`,
      body: { filter: of, payload, ...(key !== undefined && { key }) }
    }
  }

  /** Paths by a reader of its own: quotes away, an index is a step. */
  const steps = (path: string) =>
    path
      .replaceAll('"', '')
      .replaceAll(/\[(\w*)\]/g, '.$1')
      .split('.')

  function changed(record: object, kind: string, names: readonly string[], key: string | undefined): object {
    const copy = structuredClone(record) as Record<string, unknown>
    if (kind === 'clear') return {}
    if (kind === 'delete') {
      for (const name of names) remove(copy, steps(name))
      return copy
    }
    const payload = Object.fromEntries(names.map((name) => [name, 'new']))
    if (key !== undefined) {
      put(copy, steps(key), payload)
      return copy
    }
    return kind === 'overwrite' ? payload : { ...copy, ...payload }
  }

  function remove(from: Record<string, unknown>, [first = '', ...rest]: readonly string[]): void {
    if (rest.length === 0) delete from[first]
    else if (typeof from[first] === 'object' && from[first] !== null) remove(from[first] as Record<string, unknown>, rest)
  }

  function put(into: Record<string, unknown>, [first = '', ...rest]: readonly string[], payload: object): void {
    if (rest.length === 0) {
      into[first] = payload
      return
    }
    if (typeof into[first] !== 'object' || into[first] === null) into[first] = {}
    put(into[first] as Record<string, unknown>, rest, payload)
  }
})

describe('the way a body is written', () => {
  const body = fc.record({
    tree: node,
    limit: fc.nat({ max: 99 }),
    shard_key: fc.option(tenant, { nil: undefined }),
    vector: fc.array(fc.integer({ min: -999, max: 999 }), { minLength: 1, maxLength: 5 })
  })

  it('changes nothing: order of keys, white space, spelling of numbers, escapes', () => {
    fc.assert(
      fc.property(body, fc.infiniteStream(fc.nat({ max: 7 })), ({ tree, limit, shard_key, vector }, dice) => {
        const roll = () => dice.next().value
        const value = { ...queryOf(tree), query: vector.map((one) => one / 8), limit, ...(shard_key !== undefined && { shard_key }) }
        const plain = read({ body: JSON.stringify(value) })
        const other = read({ body: spelled(value, roll) })
        expect(other).toEqual(plain)
        expect(plain.ok).toBe(true)
      }),
      { numRuns: RUNS }
    )
  })

  /** The same value in another spelling. */
  function spelled(value: unknown, roll: () => number): string {
    const space = () => [' ', '\n', '\t', '', '', '', '', '\r\n'][roll()] ?? ''
    if (Array.isArray(value)) return `${space()}[${value.map((one) => spelled(one, roll)).join(',')}]${space()}`
    if (typeof value === 'object' && value !== null) {
      const members = Object.entries(value).filter(([, one]) => one !== undefined)
      const turned = roll() % 2 === 0 ? members : members.reverse()
      return `${space()}{${turned.map(([key, one]) => `${space()}${text(key, roll)}${space()}:${spelled(one, roll)}`).join(',')}}${space()}`
    }
    if (typeof value === 'string') return text(value, roll)
    // Integers of Qdrant are written in digits only; a fraction has many spellings.
    if (typeof value === 'number' && !Number.isInteger(value)) return roll() % 2 === 0 ? `${value * 1000}e-3` : `${value}000`
    return `${space()}${JSON.stringify(value)}${space()}`
  }

  function text(value: string, roll: () => number): string {
    if (roll() > 1 || value === '') return JSON.stringify(value)
    return `"\\u${value.charCodeAt(0).toString(16).padStart(4, '0')}${JSON.stringify(value.slice(1)).slice(1)}`
  }
})

describe('names of collections', () => {
  it('come through as they were written, or not at all', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary-ascii', maxLength: 8 }), fc.constantFrom('ä', '\u{1f600}', 'a\u2028b')), (name) => {
        const target = `/collections/${encodeURIComponent(name)}/points/count`
        const result = read({ target, body: {} })
        if (result.ok) expect(result.value.targets[0]?.collection).toEqual({ kind: 'name', name })
      }),
      { numRuns: RUNS }
    )
    expect(read({ target: `${C}/points/count`, body: {} }).ok).toBe(true)
  })
})
