/** Conditions of rules: what they can say, what they cannot, and that what fails does not apply. */
import { describe, expect, it } from 'vitest'
import type { Operation, Shape } from '../../src/core/vector-call.ts'
import { compileWhen } from '../../src/policy/when.ts'
import { exposureOf } from '../../src/policy/when-facts.ts'
import { ask, faultsOf, NOON, policyFrom, TD } from '../support/asking.ts'

const policyWith = (when: string) => `
version: 1
trust_domains: [demo.vecauthz.test]
tags: { pii: 10 }
tenants: [{ id: acme }]
workloads:
  - { spiffe_id: ${TD}/canary, tenants: [acme], ring: canary, zone: z1, owner: team-a, agent_type: support, purposes: [inference] }
  - { spiffe_id: ${TD}/bare, tenants: [acme] }
collections:
  - database: demo
    namespace: rag
    names: [handbook]
    tenancy: path
    tags: [pii]
    allow: [{ tenants: [acme], actions: [search, write, delete], when: ${JSON.stringify(when)} }]
limits: { top_k: 100, queries: 4, records: 100, vectors_out: allow }
budget: { per_second: 10, burst: 30 }
`

const ROWS: readonly {
  name: string
  when: string
  who?: '/bare'
  does?: Operation
  shape?: Partial<Shape>
  now?: number
  want: string
}[] = [
  { name: 'the ring that is asked for', when: 'environment.ring == "canary"', want: 'allow' },
  { name: 'another ring', when: 'environment.ring == "stable"', want: 'collection-not-allowed' },
  { name: 'not another ring', when: 'environment.ring != "stable"', want: 'allow' },
  {
    name: 'not another ring, of a workload that has none',
    when: 'environment.ring != "stable"',
    who: '/bare',
    want: 'collection-not-allowed'
  },
  { name: 'no ring, asked for', when: '!has(environment.ring)', who: '/bare', want: 'allow' },
  { name: 'a time before noon, at noon', when: 'environment.time.getHours() < 12', want: 'collection-not-allowed' },
  { name: 'a time before noon, a moment earlier', when: 'environment.time.getHours() < 12', now: NOON - 1, want: 'allow' },
  { name: 'before a date', when: 'environment.time < timestamp("2026-11-21T12:00:01Z")', want: 'allow' },
  { name: 'at that date', when: 'environment.time < timestamp("2026-11-21T12:00:00Z")', want: 'collection-not-allowed' },
  { name: 'exposure just within', when: 'environment.exposure <= 500', shape: { queries: 1, topK: 50 }, want: 'allow' },
  { name: 'one result more', when: 'environment.exposure <= 500', shape: { queries: 1, topK: 51 }, want: 'collection-not-allowed' },
  { name: 'twice as many queries', when: 'environment.exposure <= 500', shape: { queries: 2, topK: 50 }, want: 'collection-not-allowed' },
  {
    name: 'with raw embeddings',
    when: 'environment.exposure <= 500',
    shape: { topK: 50, vectorsOut: true },
    want: 'collection-not-allowed'
  },
  { name: 'a write exposes nothing', when: 'environment.exposure == 0', does: 'write', shape: { records: 100 }, want: 'allow' },
  { name: 'a write under a condition that is false', when: 'action == "search"', does: 'write', want: 'write-not-allowed' },
  { name: 'a delete under a condition that is false', when: 'action in ["search", "write"]', does: 'delete', want: 'delete-not-allowed' },
  { name: 'a purpose among those of the workload', when: 'subject.purposes.exists(p, p == "inference")', want: 'allow' },
  { name: 'a workload of no purpose', when: 'subject.purposes.exists(p, p == "inference")', who: '/bare', want: 'collection-not-allowed' },
  { name: 'a tag', when: '"pii" in resource.tags && resource.collection.startsWith("hand")', want: 'allow' },
  { name: 'no end user', when: 'subject.user == "u-1"', want: 'collection-not-allowed' },
  { name: 'what fails on one side of || and is true on the other', when: 'subject.user == "u-1" || true', want: 'allow' }
]

describe('conditions', () => {
  it.each(ROWS)('$name → $want', ({ when, who = '/canary', does = 'search', want, ...question }) => {
    expect(ask(policyFrom(policyWith(when)), { who, does, ...question }).said).toBe(want)
  })

  it('the record says whether a condition was false or could not be told, and why', () => {
    const because = (when: string) => ask(policyFrom(policyWith(when)), { who: '/bare' }).because
    expect(because('environment.top_k > 5')).toMatch(/^when is not true \(collections.0.allow.0\)/)
    expect(because('environment.ring == "x"')).toMatch(/^when cannot be told: No such key: ring \(collections.0.allow.0\)/)
  })

  it('a condition over a limit does not lift it', () => {
    expect(ask(policyFrom(policyWith('true')), { who: '/canary', shape: { topK: 101 } }).said).toBe('call-too-large')
  })
})

describe('what is no condition is a fault at load', () => {
  const list = (length: number) => `[${Array.from({ length }, (_, at) => at).join(', ')}]`
  const rows: readonly [string, string, RegExp, number][] = [
    ['a name that is none', 'environment.rnig == "x"', /No such key: rnig/, 12],
    ['a variable that is none', 'env.ring == "x"', /Unknown variable: env/, 0],
    ['a type that does not fit', 'environment.ring > 3', /no such overload|not defined|types/i, 0],
    ['no truth value', 'environment.ring', /it is a string/, 0],
    ['a value of no type', 'dyn(environment.ring)', /dyn\(\) is not for conditions/, 0],
    ['half an expression', 'environment.ring ==', /Unexpected token/, 19],
    ['a regular expression', 'subject.id.matches("(a+)+$")', /matches\(\) is not for conditions/, 0],
    ['a list that is built', 'subject.purposes.map(p, p + p).size() > 1', /map\(\) is not for conditions/, 0],
    ['a loop in a loop', 'subject.purposes.exists(p, subject.actors.exists(a, a == p))', /exists\(\) within another one/, 27],
    ['a loop over lists put together', '(subject.purposes + subject.actors).exists(p, p == "x")', /only a written list or a field/, 1],
    ['a look through lists put together', '"x" in (subject.purposes + subject.actors)', /only a written list or a field/, 8],
    ['a map', '{"a": 1}.size() == 1', /a map is not|[Mm]ap/, 0],
    ['33 of a list', `environment.top_k in ${list(33)}`, /list/i, 0],
    ['1,025 characters', `true${' '.repeat(1021)}`, /longer than 1024/, 0],
    ['too many nodes', Array.from({ length: 120 }, () => 'true').join('&&'), /nodes/i, 0],
    ['too deep', `${'('.repeat(20)}true${')'.repeat(20)}`, /depth/i, 0],
    [
      'too many steps',
      Array.from({ length: 8 }, () => 'subject.actors.all(a, a.size() < 9 && a != "x")').join('&&'),
      /steps, and 2000 is the most/,
      0
    ]
  ]
  it.each(rows)('%s', (_, text, says, at) => {
    const compiled = compileWhen(text)
    expect(compiled).toMatchObject({ ok: false, says: expect.stringMatching(says) })
    if (!compiled.ok && at > 0) expect(compiled.at).toBe(at)
    expect(faultsOf(policyWith(text))).toMatchObject([{ path: ['collections', 0, 'allow', 0, 'when'] }])
  })

  it.each([
    ['32 of a list', `environment.top_k in ${list(32)}`],
    ['1,024 characters', `true${' '.repeat(1020)}`]
  ])('%s is one', (_, text) => {
    expect(compileWhen(text)).toMatchObject({ ok: true })
  })
})

describe('exposure', () => {
  it('everything is a number too', () => {
    const shape = { queries: 0, topK: Number.POSITIVE_INFINITY, records: 0, vectorsOut: true, dimensions: 0, vectors: [] }
    expect(exposureOf('export', shape, 1000)).toBe(1e13)
    expect(exposureOf('write', shape, 1000)).toBe(0)
    expect(exposureOf('read', { ...shape, topK: 0, records: 3, vectorsOut: false }, 2)).toBe(6)
  })
})
