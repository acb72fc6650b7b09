/** What is looked up is what asking each one by one would find: for SPIFFE IDs, for names, and for names that overlap. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compileIdPattern, type IdPattern, matchesId, parseSpiffeId } from '../../src/core/spiffe-id.ts'
import { SERVED } from '../../src/databases/dialects.ts'
import { compilePolicy } from '../../src/policy/compile.ts'
import { grantFor, knownWorkload, tenantOf } from '../../src/policy/grant.ts'
import { addId, findId, meetingId, newIdIndex } from '../../src/policy/id-index.ts'
import { entriesNaming, namesOf } from '../../src/policy/name-index.ts'
import { clashesOf } from '../../src/policy/name-overlaps.ts'
import { covers, patternFault, readPattern, tenantIn } from '../../src/policy/names.ts'
import type { NamedRules } from '../../src/policy/policy.ts'
import { callerOf, callOf, targetOf } from '../support/grants.ts'
import { largePolicy } from '../support/large-policy.ts'

const segment = fc.constantFrom('a', 'b', 'ab')
const path = fc.array(segment, { minLength: 1, maxLength: 4 }).map((one) => one.join('/'))
const wildPath = fc
  .tuple(fc.array(fc.oneof(segment, fc.constant('*')), { maxLength: 3 }), fc.constantFrom('', '*', '**', 'a'))
  .map(([some, last]) => [...some, ...(last === '' ? [] : [last])])
  .filter((one) => one.length > 0)
  .map((one) => one.join('/'))
const domain = fc.constantFrom('one.test', 'two.test')
const pattern = fc.tuple(domain, fc.oneof(path, wildPath)).map(([td, rest]): IdPattern => {
  const compiled = compileIdPattern(`spiffe://${td}/${rest}`)
  if (!compiled.ok) throw new Error(compiled.detail)
  return compiled.pattern
})
const id = fc.tuple(domain, path).map(([td, rest]) => {
  const parsed = parseSpiffeId(`spiffe://${td}/${rest}`)
  if (!parsed.ok) throw new Error(parsed.detail)
  return parsed.id
})

function run<T>(steps: Generator<void, T>): T {
  for (;;) {
    const { done, value } = steps.next()
    if (done) return value
  }
}

describe('SPIFFE IDs', () => {
  it('an ID finds a pattern exactly when one of them matches it, and its own entry before any', () => {
    const seen = { found: 0, none: 0 }
    fc.assert(
      fc.property(fc.array(pattern, { maxLength: 8 }), id, (patterns, one) => {
        const index = newIdIndex<IdPattern>()
        for (const each of patterns) addId(index, each, each)
        const found = findId(index, one)
        seen[found === undefined ? 'none' : 'found']++
        expect(found !== undefined).toBe(patterns.some((each) => matchesId(each, one)))
        if (found !== undefined) expect(matchesId(found, one)).toBe(true)
        if (patterns.some((each) => each.text === one.text)) expect(found?.text).toBe(one.text)
      }),
      { numRuns: 2_000 }
    )
    expect(Math.min(seen.found, seen.none)).toBeGreaterThan(200)
  })

  it('two patterns meet exactly when there is an ID that both match', () => {
    const paths = ['a', 'b', 'ab', 'c']
    const some = [1, 2, 3, 4].flatMap((length) =>
      Array.from({ length: paths.length ** length }, (_, at) =>
        Array.from({ length }, (__, place) => paths[Math.floor(at / paths.length ** place) % paths.length]).join('/')
      )
    )
    const ids = some.map((rest) => parseSpiffeId(`spiffe://one.test/${rest}`)).flatMap((one) => (one.ok ? [one.id] : []))
    const wild = wildPath.filter((one) => one.includes('*')).map((rest) => compileIdPattern(`spiffe://one.test/${rest}`))
    fc.assert(
      fc.property(wild, wild, (one, other) => {
        if (!one.ok || !other.ok) throw new Error('no pattern')
        const index = newIdIndex<true>()
        addId(index, one.pattern, true)
        const both = ids.some((each) => matchesId(one.pattern, each) && matchesId(other.pattern, each))
        expect(meetingId(index, other.pattern) === true).toBe(both)
      }),
      { numRuns: 500 }
    )
  })
})

const TENANTS = new Set(['a', 'ab', 'b-a', 'b'])
const text = fc.string({ unit: fc.constantFrom('a', 'b', '-'), maxLength: 3 })
const namePattern = fc
  .tuple(text, fc.boolean(), text, fc.boolean())
  .map(([before, hole, after, open]) => `${before}${hole ? `{tenant}${after}` : ''}${open ? '*' : ''}`)
  .filter((one) => one !== '' && patternFault(one) === undefined)
const names = ['a', 'b', '-'].flatMap((one) => ['', 'a', 'b', '-', 'ab', 'b-a', '-a', 'ba-', '-ab-', 'a-b-a'].map((rest) => one + rest))

describe('names', () => {
  it('a name finds all that speak of it', () => {
    fc.assert(
      fc.property(fc.uniqueArray(namePattern, { maxLength: 8 }), fc.constantFrom(...names), (texts, name) => {
        const all = texts.map((one) => ({ pattern: readPattern(one), tenancy: { kind: 'path' }, everyRule: [] }) as unknown as NamedRules)
        const found = entriesNaming(run(namesOf(all)), name)
        const speaks = ({ pattern: one }: NamedRules) =>
          one.after === undefined ? covers(one, name, '') : tenantIn(one, name, TENANTS) !== undefined
        expect(
          found
            .filter(speaks)
            .map((one) => one.pattern.text)
            .sort()
        ).toEqual(
          all
            .filter(speaks)
            .map((one) => one.pattern.text)
            .sort()
        )
      }),
      { numRuns: 2_000 }
    )
  })

  it('two descriptions clash exactly when one name or beginning of names is under both', () => {
    // Long enough that a prefix, a tenant and what follows it fit in.
    const letters = ['a', 'b', '-']
    const all = [1, 2, 3, 4, 5, 6, 7].flatMap((length) =>
      Array.from({ length: 3 ** length }, (_, at) =>
        Array.from({ length }, (__, place) => letters[Math.floor(at / 3 ** place) % 3]).join('')
      )
    )
    const short = fc.string({ unit: fc.constantFrom(...letters), maxLength: 1 })
    const one = fc
      .tuple(short, fc.boolean(), short, fc.boolean())
      .map(([before, hole, after, open]) => `${before}${hole ? `{tenant}${after}` : ''}${open ? '*' : ''}`)
      .filter((each) => each !== '' && patternFault(each) === undefined)
    const seen = { clash: 0, none: 0 }
    fc.assert(
      fc.property(fc.uniqueArray(one, { minLength: 2, maxLength: 3 }), (texts) => {
        const described = texts.map((each, at) => ({ pattern: readPattern(each), as: String(at) }))
        const clashes = run(clashesOf(described, TENANTS)).length > 0
        const under = (name: string) =>
          described.filter(({ pattern: each }) => [...TENANTS].some((tenant) => covers(each, name, tenant))).length
        seen[clashes ? 'clash' : 'none']++
        expect(clashes, texts.join(' ')).toBe(all.some((name) => under(name) > 1))
      }),
      { numRuns: 300 }
    )
    expect(Math.min(seen.clash, seen.none)).toBeGreaterThan(20)
  })
})

describe('a large policy', () => {
  it('a grant under 3,000 collections and workloads costs what it costs under ten', () => {
    const known = { databases: SERVED.filter((one) => one.kind === 'chroma').map((one) => ({ id: 'demo', ...one })), subjectIssuers: [] }
    const costOf = (size: number) => {
      const compiled = compilePolicy(largePolicy(Math.ceil(size / 3), size, size), known, 'r', (path) => path.join('.'))
      if (!compiled.ok) throw new Error(JSON.stringify(compiled.faults))
      const { policy } = compiled
      const caller = callerOf('spiffe://demo.vecauthz.test/p0/x')
      const call = callOf('search', 't0', 'c0-x')
      const targets = [targetOf('t0', 'c0-x')]
      const once = () => {
        const workload = knownWorkload(caller, policy, 0)
        if (!workload.ok) throw new Error(workload.reason.because)
        const tenant = tenantOf(call, { workload: workload.value, subject: undefined, database: 'demo', policy, pin: undefined })
        if (!tenant.ok) throw new Error(tenant.reason.because)
        const grant = grantFor(caller, call, tenant.value, targets, 'demo', policy, {
          workload: workload.value,
          purpose: undefined,
          now: 0
        })
        if (!grant.ok) throw new Error(grant.reason.because)
      }
      return Math.min(...Array.from({ length: 8 }, () => timeOf(once)))
    }
    // The best of eight; scanning would cost a hundred times as much.
    expect(costOf(3_000) / costOf(10)).toBeLessThan(10)
  })
})

/** Nanoseconds; the kernel's accounting of a thread counts in steps of milliseconds. */
function timeOf(once: () => void): number {
  const before = process.hrtime.bigint()
  for (let at = 0; at < 4_000; at++) once()
  return Number(process.hrtime.bigint() - before)
}
