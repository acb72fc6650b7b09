import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type Ended,
  heldBy,
  isActive,
  merged,
  type NewTerm,
  newRecord,
  type Raised,
  type StandingRecord,
  scopeKey,
  served,
  standingOf,
  UNTIL_ENDED,
  untilOf,
  withEnd,
  withTerm
} from '../../src/core/standing.ts'

const SCOPE = { kind: 'workload', id: 'spiffe://demo.vecauthz.test/acme/support' } as const
const HOUR = 3_600_000
const term = (level: Raised, since = 0, durationMs = HOUR): NewTerm => ({
  level,
  cause: 'drift',
  evidence: { says: 'a reason', decisionIds: ['d1'], figures: { score: 400 } },
  since,
  durationMs
})
const byHand = (at = 0): Ended => ({ how: 'hand', at, by: 'ann', reason: 'looked into' })
const all = () => true

describe('a standing', () => {
  it('is the sternest of its terms, and normal without one', () => {
    const slowed = withTerm(newRecord(SCOPE), 'a', term('slowed'))
    const both = withTerm(slowed, 'a', term('quarantine'))
    expect([standingOf(undefined), standingOf(slowed), standingOf(both)]).toEqual(['normal', 'slowed', 'quarantine'])
    expect(standingOf(withEnd(both, (one) => one.level === 'quarantine', byHand()))).toBe('slowed')
  })

  it('ends when its time is served and not a millisecond before', () => {
    const record = withTerm(newRecord(SCOPE), 'a', term('quarantine'))
    expect(standingOf(served(record, HOUR - 1))).toBe('quarantine')
    expect(standingOf(served(served(record, HOUR - 1), 1))).toBe('normal')
    expect(standingOf(served(record, -HOUR))).toBe('quarantine')
    expect(standingOf(served(record, Number.NaN))).toBe('quarantine')
    expect(untilOf(record.terms[0] as never, 1_000)).toBe(1_000 + HOUR)
  })

  it('without a duration ends by nobody who waits', () => {
    const record = withTerm(newRecord(SCOPE), 'a', term('step-up', 0, UNTIL_ENDED))
    expect(standingOf(served(record, 1e12))).toBe('step-up')
    expect(untilOf(record.terms[0] as never, 0)).toBeUndefined()
  })

  it('an end covers what was seen: a raise it has not seen stays', () => {
    const seen = withTerm(newRecord(SCOPE), 'a', term('quarantine'))
    const released = withEnd(seen, all, byHand(1))
    const elsewhere = withTerm(seen, 'b', term('quarantine', 5))
    expect(standingOf(merged(released, seen))).toBe('normal')
    expect(standingOf(merged(released, elsewhere))).toBe('quarantine')
    expect(heldBy(merged(released, elsewhere))?.dot).toEqual({ run: 'b', n: 1 })
  })

  it('a release leaves no more than a number behind', () => {
    let record: StandingRecord = newRecord(SCOPE)
    for (let time = 0; time < 100; time++) record = withEnd(withTerm(record, 'a', term('quarantine', time)), all, byHand(time))
    expect(record).toMatchObject({ horizon: { a: 100 }, terms: [] })
  })

  it('an end that another has not heard of stays an end, in whatever order they meet', () => {
    const both = withTerm(withTerm(newRecord(SCOPE), 'a', term('slowed')), 'a', term('quarantine'))
    const ended = withEnd(both, (one) => one.level === 'quarantine', byHand())
    expect([standingOf(merged(ended, both)), standingOf(merged(both, ended))]).toEqual(['slowed', 'slowed'])
  })

  it('keeps no name that could be written and not be read again', () => {
    const place = { tenant: 'acme', agentType: 'support', database: 'demo', collection: 'handbook' }
    const evidenceOf = (collection: string, subject: string) =>
      withTerm(newRecord(SCOPE), 'a', {
        ...term('slowed'),
        evidence: { says: '', decisionIds: [], figures: {}, place: { ...place, collection }, subject }
      }).terms[0]?.evidence
    expect(evidenceOf('x'.repeat(255), 'user')).toMatchObject({ place: { collection: 'x'.repeat(255) }, subject: 'user' })
    expect(evidenceOf('x'.repeat(5_000), 'u'.repeat(5_000))).toEqual({ says: '', decisionIds: [], figures: {} })
  })

  it('keeps evidence bounded', () => {
    const figures = Object.fromEntries(Array.from({ length: 40 }, (_, at) => [`f${at}`, at]))
    const decisionIds = Array.from({ length: 40 }, (_, at) => `d${at}`)
    const record = withTerm(newRecord(SCOPE), 'a', { ...term('slowed'), evidence: { says: '', decisionIds, figures } })
    expect(record.terms[0]?.evidence.decisionIds.at(-1)).toBe('d39')
    expect([record.terms[0]?.evidence.decisionIds.length, Object.keys(record.terms[0]?.evidence.figures ?? {}).length]).toEqual([16, 16])
  })

  it('two scopes never have one key', () => {
    const cohort = { kind: 'cohort', tenant: 'acme', agentType: 'support', database: 'main', collection: 'docs' } as const
    expect(scopeKey(cohort)).not.toBe(scopeKey({ ...cohort, tenant: 'acmes', agentType: 'upport' }))
    expect(scopeKey(SCOPE)).not.toBe(scopeKey(cohort))
  })
})

/** What can happen to a record of one of three processes. */
type Step =
  | { readonly do: 'raise'; readonly at: number; readonly level: Raised; readonly since: number }
  | { readonly do: 'end'; readonly at: number; readonly level: Raised }
  | { readonly do: 'serve'; readonly at: number; readonly ms: number }
  | { readonly do: 'hear'; readonly at: number; readonly from: number }
  /** A backup, or a process that was away: something old arrives. */
  | { readonly do: 'replay'; readonly at: number; readonly back: number }

const RUNS = ['a', 'b', 'c']
const levels = fc.constantFrom<Raised>('slowed', 'step-up', 'quarantine')
const process = fc.nat(2)
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant('raise' as const), at: process, level: levels, since: fc.nat(1000) }),
  fc.record({ do: fc.constant('end' as const), at: process, level: levels }),
  fc.record({ do: fc.constant('serve' as const), at: process, ms: fc.nat(HOUR / 10) }),
  fc.record({ do: fc.constant('hear' as const), at: process, from: process }),
  fc.record({ do: fc.constant('replay' as const), at: process, back: fc.nat(20) })
)

function play(steps: readonly Step[]): { readonly now: StandingRecord[]; readonly past: StandingRecord[] } {
  const now = RUNS.map(() => newRecord(SCOPE) as StandingRecord)
  const past: StandingRecord[] = []
  for (const one of steps) {
    const record = now[one.at] as StandingRecord
    past.push(record)
    if (one.do === 'raise') now[one.at] = withTerm(record, RUNS[one.at] as string, term(one.level, one.since))
    if (one.do === 'end') now[one.at] = withEnd(record, ({ level }) => level === one.level, byHand())
    if (one.do === 'serve') now[one.at] = served(record, one.ms)
    if (one.do === 'hear') now[one.at] = merged(record, now[one.from] as StandingRecord)
    if (one.do === 'replay') now[one.at] = merged(record, past[Math.max(0, past.length - 1 - one.back)] as StandingRecord)
  }
  return { now, past }
}

const history = fc.array(step, { maxLength: 40 })

describe('merging', () => {
  it('is commutative, associative and idempotent (property)', () => {
    fc.assert(
      fc.property(history, (steps) => {
        const [a, b, c] = play(steps).now as [StandingRecord, StandingRecord, StandingRecord]
        expect(merged(a, b)).toEqual(merged(b, a))
        expect(merged(a, a)).toEqual(a)
        expect(merged(merged(a, b), c)).toEqual(merged(a, merged(b, c)))
        expect(merged(merged(a, b), b)).toEqual(merged(a, b))
      }),
      { numRuns: 2_000 }
    )
  })

  it('older state changes nothing (property)', () => {
    fc.assert(
      fc.property(history, (steps) => {
        const alone = steps.map((one) => ({ ...one, at: 0 })) as Step[]
        const { now, past } = play(alone)
        for (const old of past) expect(merged(now[0] as StandingRecord, old)).toEqual(now[0])
      })
    )
  })

  it('without an end and without time, nobody who saw a quarantine ever stands better (property)', () => {
    fc.assert(
      fc.property(history, (steps) => {
        const kept = steps.filter((one) => one.do !== 'end' && one.do !== 'serve')
        for (let until = 1; until <= kept.length; until++) {
          const { now, past } = play(kept.slice(0, until))
          const at = (kept[until - 1] as Step).at
          const before = past.at(-1) as StandingRecord
          if (standingOf(before) === 'quarantine') expect(standingOf(now[at])).toBe('quarantine')
        }
      })
    )
  })

  it('a quarantine ends by its time or by an end that saw it, whatever else happens (property)', () => {
    fc.assert(
      fc.property(history, (steps) => {
        const { now, past } = play(steps)
        const everything = [...now, ...past].reduce(merged)
        for (const record of past) {
          for (const one of record.terms.filter((some) => some.level === 'quarantine' && isActive(some))) {
            const { run, n } = one.dot
            const ends = [...now, ...past].some((other) => {
              const there = other.terms.find(({ dot }) => dot.run === run && dot.n === n)
              return there === undefined ? (other.horizon[run] ?? 0) >= n : !isActive(there)
            })
            expect(everything.terms.some(({ dot, ...rest }) => dot.run === run && dot.n === n && isActive({ dot, ...rest }))).toBe(!ends)
          }
        }
      })
    )
  })
})
