/** What must be true of every policy: less allowed is never more, the last support counts, and order says nothing. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ACTIONS, type AllowDocument, type PolicyDocument } from '../../src/core/policy-document.ts'
import { SERVED } from '../../src/databases/dialects.ts'
import { compilePolicy } from '../../src/policy/compile.ts'
import type { Policy } from '../../src/policy/policy.ts'
import { ask, type Question, TD } from '../support/asking.ts'

const KNOWN = { databases: SERVED.filter((one) => one.kind === 'chroma').map((one) => ({ id: 'demo', ...one })), subjectIssuers: [] }
const IDS = [`${TD}/a/one`, `${TD}/a/two`, `${TD}/b`]
const PATTERNS = [...IDS, `${TD}/a/*`, `${TD}/**`]
const some = <T>(of: readonly T[]) => fc.uniqueArray(fc.constantFrom(...of), { minLength: 1 })

const rule: fc.Arbitrary<AllowDocument> = fc.record(
  {
    tenants: some(['acme', 'globex']),
    actions: some(ACTIONS),
    workloads: some(PATTERNS),
    purposes: some(['p', 'q']),
    when: fc.constantFrom('environment.top_k < 6', 'environment.ring == "r"', 'action != "search"'),
    limits: fc.record({ top_k: fc.constantFrom(1, 5, 9), vectors_out: fc.constantFrom('allow', 'deny') }, { requiredKeys: [] })
  },
  { requiredKeys: ['tenants', 'actions'] }
)

const document: fc.Arbitrary<PolicyDocument> = fc
  .record({
    allows: fc.array(fc.record({ names: some(['x', 'y', 'x*', '*']), allow: fc.array(rule, { maxLength: 3 }) }), {
      minLength: 1,
      maxLength: 3
    }),
    owners: fc.tuple(some(['acme', 'globex']), some(['acme', 'globex'])),
    regions: fc.subarray(['eu', 'us']),
    region: fc.constantFrom('eu', 'us', undefined)
  })
  .map(({ allows, owners, regions, region }) => {
    const taken = new Set<string>()
    const collections = allows.map(({ names, allow }) => {
      const own = names.filter((name) => !taken.has(name))
      for (const name of own) taken.add(name)
      return { database: 'demo', namespace: 'rag', names: own, tenancy: 'path' as const, allow }
    })
    return {
      version: 1,
      trust_domains: ['demo.vecauthz.test'],
      tenants: [{ id: 'acme', region }, { id: 'globex' }],
      workloads: [
        { spiffe_id: `${TD}/a/*`, tenants: owners[0], purposes: ['p', 'q'], regions, ring: 'r' },
        { spiffe_id: `${TD}/b`, tenants: owners[1], purposes: ['p'], regions: ['eu'] }
      ],
      collections,
      limits: { top_k: 5, queries: 4, records: 100, vectors_out: 'deny' },
      budget: { per_second: 1, burst: 1 }
    }
  })

/** Purposes are always said: what a workload with one purpose leaves unsaid is that one, so that fewer purposes can say more. */
const question: fc.Arbitrary<Question> = fc.record({
  who: fc.constantFrom('/a/one', '/a/two', '/b'),
  does: fc.constantFrom(...ACTIONS),
  tenant: fc.constantFrom('acme', 'globex'),
  collection: fc.constantFrom('x', 'xx', 'y', 'z'),
  purpose: fc.constantFrom('p', 'q'),
  shape: fc.record({ topK: fc.constantFrom(0, 5, 6), vectorsOut: fc.boolean() })
})

function compile(one: PolicyDocument): Policy {
  const compiled = compilePolicy(one, KNOWN, 'r', (path) => path.join('.'))
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.faults))
  return compiled.policy
}

const allows = (one: PolicyDocument, asked: Question) => ask(compile(one), asked).said === 'allow'

/** Each document with one entry of one list less; a list whose last entry goes takes with it what it was of. */
function smaller(one: PolicyDocument): PolicyDocument[] {
  const without = <T>(list: readonly T[]) => list.map((_, at) => list.filter((__, other) => other !== at))
  const rules = (allow: AllowDocument): (AllowDocument | undefined)[] => [
    undefined,
    ...(['tenants', 'actions', 'workloads', 'purposes'] as const).flatMap((key) =>
      without<string>(allow[key] ?? []).map((list) => (list.length === 0 ? undefined : { ...allow, [key]: list }))
    )
  ]
  const collections = one.collections.flatMap((entry, at) => {
    const put = (change: Partial<typeof entry>) => one.collections.map((each, index) => (index === at ? { ...each, ...change } : each))
    const fewerRules = entry.allow.flatMap((allow, index) =>
      rules(allow).map((less) =>
        put({ allow: entry.allow.flatMap((each, other) => (other !== index ? [each] : less === undefined ? [] : [less])) })
      )
    )
    return [...fewerRules, ...without(entry.names).map((names) => put({ names }))]
  })
  const workloads = one.workloads.flatMap((each, at) =>
    (['tenants', 'regions', 'purposes'] as const).flatMap((key) =>
      without<string>(each[key] ?? []).map((list) =>
        one.workloads.map((other, index) => (index === at ? { ...other, [key]: list } : other))
      )
    )
  )
  return [
    ...collections.map((each) => ({ ...one, collections: each })),
    ...[...workloads, ...without(one.workloads)].map((each) => ({ ...one, workloads: each }))
  ]
}

describe('every policy', () => {
  it('less allowed is never more: taking an entry away turns no denial into an allow', () => {
    let denied = 0
    fc.assert(
      fc.property(document, question, (one, asked) => {
        if (allows(one, asked)) return
        denied++
        for (const less of smaller(one)) expect(allows(less, asked)).toBe(false)
      }),
      { numRuns: 150 }
    )
    expect(denied).toBeGreaterThan(20)
  })

  it('taking away the only rule that supports an allow turns it into a denial; another one keeps it', () => {
    const seen = { one: 0, more: 0 }
    fc.assert(
      fc.property(document, question, (one, asked) => {
        const all = one.collections.flatMap((entry, at) => entry.allow.map((_, index) => [at, index] as const))
        const keep = (kept: (at: number, index: number) => boolean) => ({
          ...one,
          collections: one.collections.map((entry, at) => ({ ...entry, allow: entry.allow.filter((_, index) => kept(at, index)) }))
        })
        const supports = all.filter(([at, index]) =>
          allows(
            keep((...other) => other[0] === at && other[1] === index),
            asked
          )
        )
        expect(allows(one, asked)).toBe(supports.length > 0)
        if (supports.length > 0) seen[supports.length === 1 ? 'one' : 'more']++
        for (const [at, index] of supports)
          expect(
            allows(
              keep((...other) => other[0] !== at || other[1] !== index),
              asked
            )
          ).toBe(supports.length > 1)
      }),
      { numRuns: 2_000 }
    )
    expect(seen.one).toBeGreaterThan(50)
    expect(seen.more).toBeGreaterThan(5)
  })

  it('order says nothing, neither to an allow nor to the kind of a denial', () => {
    const shuffled = document.chain((one) =>
      fc
        .tuple(
          fc.shuffledSubarray([...one.collections], { minLength: one.collections.length }),
          fc.shuffledSubarray([...one.workloads], { minLength: one.workloads.length }),
          fc.infiniteStream(fc.nat({ max: 1 }))
        )
        .map(([collections, workloads, coins]) => {
          const flip = <T>(list: readonly T[]) => (coins.next().value === 1 ? list.toReversed() : list)
          const turned = collections.map((entry) => ({ ...entry, names: flip(entry.names), allow: flip(entry.allow) }))
          return [one, { ...one, collections: turned, workloads }] as const
        })
    )
    fc.assert(
      fc.property(shuffled, question, ([one, other], asked) => {
        const [first, second] = [ask(compile(one), asked), ask(compile(other), asked)]
        expect(second.said).toBe(first.said)
        expect(second.remedy).toBe(first.remedy)
      }),
      { numRuns: 1_000 }
    )
  })
})
