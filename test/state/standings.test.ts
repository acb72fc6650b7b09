import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { key } from '../../src/core/keys.ts'
import { RISK_DEFAULTS } from '../../src/core/risk-rules.ts'
import {
  cohortOf,
  type Place,
  type Raised,
  type Scope,
  type StandingRecord,
  scopeKey,
  standingOf,
  withEnd
} from '../../src/core/standing.ts'
import type { Alarm, Move } from '../../src/core/standings.ts'
import type { ListedEntry, Store } from '../../src/core/store.ts'
import { raise, raiseTogether } from '../../src/risk/cohort.ts'
import { standingFrom, standingText } from '../../src/state/standing-text.ts'
import { createStandings, type SharedStandings } from '../../src/state/standings.ts'
import { SHARDS, shardNumber } from '../../src/state/standings-store.ts'
import { createMemoryStore } from '../../src/state/store-memory.ts'

const T0 = Date.UTC(2026, 10, 21)
const RULES = { ...RISK_DEFAULTS, quarantineMs: 600_000, slowedMs: 60_000 }
const ID = 'spiffe://demo.vecauthz.test/acme/support'
const scope = (id = ID): Scope => ({ kind: 'workload', id })
const alarm = (level: Raised, place?: Place): Alarm => ({
  level,
  cause: 'drift',
  evidence: { says: 'novelty 412', decisionIds: ['d1'], figures: { novelty: 412 }, ...(place === undefined ? {} : { place }) }
})

/** Time that a test lets pass: `tick` only goes on, `wall` can be set. */
class Clock {
  tick = 0
  wall = T0
  pass(ms: number): void {
    this.tick += ms
    this.wall += ms
  }
}

/** A real store that can be out of reach for one of its users, and lose everything. */
function shared(clock: Clock) {
  const its = { store: createMemoryStore({ begun: T0 }) }
  const link = { up: true, isFull: false }
  const reach = (): Store => {
    const away = { kind: 'unavailable', because: 'no answer' } as const
    return {
      putOnce: (...all) => (link.isFull ? { kind: 'full' } : link.up ? its.store.putOnce(...all) : away),
      get: (...all) => (link.up ? its.store.get(...all) : away),
      replace: (...all) => (link.up ? its.store.replace(...all) : 'unavailable'),
      list: (...all) => (link.up ? its.store.list(...all) : away),
      close: async () => undefined
    }
  }
  const wipe = () => {
    its.store = createMemoryStore({ begun: clock.wall })
  }
  let backup: readonly ListedEntry[] = []
  /** What it holds now. */
  const save = async () => {
    const listed = await its.store.list('', clock.wall, 1_000)
    if (listed.kind === 'entries') backup = listed.entries
  }
  /** It comes back as it was when it was saved. */
  const restore = async () => {
    wipe()
    for (const { key: at, value } of backup) await its.store.putOnce(at, value, clock.wall + 86_400_000, clock.wall)
  }
  return { its, link, reach, wipe, save, restore }
}

function processOf(clock: Clock, store: Store | undefined, run: string, most?: number) {
  const moves: Move[] = []
  const troubles: (string | undefined)[] = []
  const standings = createStandings({
    store,
    run,
    now: () => clock.wall,
    tick: () => clock.tick,
    onMove: (move) => void moves.push(move),
    onTrouble: (because) => void troubles.push(because),
    ...(most === undefined ? {} : { most })
  })
  return { standings, moves, troubles }
}

const rounds = async (standings: SharedStandings) => {
  for (let at = 0; at <= SHARDS / 16; at++) await standings.poll()
}
const seen = (standings: SharedStandings, id = ID) => standingOf(standings.ofWorkload(id))

describe('standings of one process', () => {
  it('are raised, listed, and released by hand', async () => {
    const clock = new Clock()
    const { standings, moves } = processOf(clock, undefined, 'a')
    expect(seen(standings)).toBe('normal')
    expect(raise(standings, scope(), alarm('quarantine'), RULES, T0)).toBe('changed')
    expect(raise(standings, scope(), alarm('quarantine'), RULES, T0)).toBe('same')
    expect(standings.list(T0)).toMatchObject([
      {
        scope: scope(),
        standing: 'quarantine',
        cause: 'drift',
        since: T0,
        until: T0 + 600_000,
        id: expect.stringMatching(/^a-[0-9a-f]{16}\.2$/),
        evidence: { decisionIds: ['d1'] }
      }
    ])
    expect(await standings.release(scope(), 'ann', 'a drill', T0 + 1)).toEqual({ kind: 'done', was: 'quarantine' })
    expect(await standings.release(scope(), 'ann', 'a drill', T0 + 1)).toMatchObject({ kind: 'not' })
    expect([seen(standings), standings.list(T0)]).toEqual(['normal', []])
    expect(moves.map(({ from, to, heard }) => [from, to, heard])).toEqual([
      ['normal', 'quarantine', false],
      ['quarantine', 'normal', false]
    ])
    expect([standings.isLoaded(), standings.staleMs()]).toEqual([true, 0])
  })

  it('end by time that passes, and by no step of the clock', () => {
    const clock = new Clock()
    const { standings, moves } = processOf(clock, undefined, 'a')
    raise(standings, scope(), alarm('quarantine'), RULES, T0)
    for (const step of [3_600_000, -7_200_000, 86_400_000]) {
      clock.wall += step
      expect(seen(standings)).toBe('quarantine')
    }
    clock.pass(599_999)
    expect(seen(standings)).toBe('quarantine')
    clock.pass(1_000)
    expect(seen(standings)).toBe('slowed')
    clock.pass(60_000)
    expect(seen(standings)).toBe('normal')
    expect(moves.at(-1)).toMatchObject({ from: 'slowed', to: 'normal', term: undefined })
  })

  it('what is held is never let go for room; what has ended is, and its names are not given again', () => {
    const clock = new Clock()
    const { standings } = processOf(clock, undefined, 'a', 2)
    expect(raise(standings, scope('1'), alarm('quarantine'), RULES, T0)).toBe('changed')
    expect(raise(standings, scope('2'), alarm('slowed'), RULES, T0)).toBe('changed')
    expect(raise(standings, scope('3'), alarm('quarantine'), RULES, T0)).toBe('full')
    expect(raise(standings, scope('1'), alarm('quarantine'), RULES, T0)).toBe('same')
    clock.pass(60_001)
    expect(seen(standings, '2')).toBe('normal')
    expect(raise(standings, scope('3'), alarm('quarantine'), RULES, T0)).toBe('changed')
    expect([seen(standings, '1'), seen(standings, '3')]).toEqual(['quarantine', 'quarantine'])
    standings.change(scope('3'), (record) => withEnd(record, () => true, { how: 'hand', at: T0, by: 'ann', reason: '' }), T0)
    expect(raise(standings, scope('2'), alarm('quarantine'), RULES, T0)).toBe('changed')
    expect(standings.of(scope('2'))?.terms[0]?.dot.run).toBe('a.1')
  })

  it('100,000 workloads: each is found again, and one more is refused rather than forgotten', () => {
    const clock = new Clock()
    const { standings } = processOf(clock, undefined, 'a')
    const id = (at: number) => `spiffe://demo.vecauthz.test/acme/agent-${at}`
    for (let at = 0; at < 100_000; at++) raise(standings, scope(id(at)), alarm(at % 2 === 0 ? 'slowed' : 'quarantine'), RULES, T0)
    expect(raise(standings, scope(id(100_000)), alarm('slowed'), RULES, T0)).toBe('full')
    expect([seen(standings, id(0)), seen(standings, id(99_999))]).toEqual(['slowed', 'quarantine'])
    expect(standings.list(T0)).toHaveLength(100_000)
  }, 60_000)

  it('several identities of one type quarantine the type, there and nowhere else', () => {
    const clock = new Clock()
    const { standings } = processOf(clock, undefined, 'a')
    const place: Place = { tenant: 'acme', agentType: 'support', database: 'main', collection: 'docs' }
    const rules = { ...RULES, identitiesTogether: 2 }
    raise(standings, scope('1'), alarm('quarantine', place), rules, T0)
    expect(standings.hasCohorts()).toBe(false)
    raise(standings, scope('2'), alarm('quarantine', place), rules, T0)
    expect(standingOf(standings.of(cohortOf(place)))).toBe('quarantine')
    expect(standings.of(cohortOf({ ...place, collection: 'other' }))).toBeUndefined()
    expect([...standings.quarantinedIn(cohortOf(place)).keys()]).toEqual(['1', '2'])
    standings.change(scope('1'), (record) => ({ ...record, terms: [] }), T0)
    expect([...standings.quarantinedIn(cohortOf(place)).keys()]).toEqual(['2'])
    raiseTogether(standings, scope('2'), RULES, T0)
  })
})

describe('standings of several processes', () => {
  const two = () => {
    const clock = new Clock()
    const store = shared(clock)
    return { clock, store, a: processOf(clock, store.reach(), 'a'), b: processOf(clock, store.reach(), 'b') }
  }

  it('what one raises the other knows after one look, and what the other releases the one', async () => {
    const { a, b } = two()
    await Promise.all([rounds(a.standings), rounds(b.standings)])
    raise(a.standings, scope(), alarm('quarantine'), RULES, T0)
    await new Promise((resolve) => setImmediate(resolve))
    await b.standings.poll()
    expect(seen(b.standings)).toBe('quarantine')
    expect(b.moves).toMatchObject([{ from: 'normal', to: 'quarantine', heard: true, term: { cause: 'drift' } }])
    expect(await b.standings.release(scope(), 'ann', '', T0)).toEqual({ kind: 'done', was: 'quarantine' })
    await a.standings.poll()
    expect(seen(a.standings)).toBe('normal')
  })

  it('a process is not ready before it knows all, and does not wait for its time again after a restart', async () => {
    const { clock, store, a } = two()
    await rounds(a.standings)
    for (let at = 0; at < 300; at++) raise(a.standings, scope(`${ID}-${at}`), alarm('quarantine'), RULES, T0)
    clock.pass(400_000)
    await rounds(a.standings)
    await a.standings.stop()
    const next = processOf(clock, store.reach(), 'c')
    await next.standings.poll()
    expect(next.standings.isLoaded()).toBe(false)
    await rounds(next.standings)
    expect(next.standings.isLoaded()).toBe(true)
    expect(next.standings.list(T0)).toHaveLength(300)
    clock.pass(200_001)
    expect(new Set(next.standings.list(T0).map((one) => one.standing))).toEqual(new Set(['slowed']))
  })

  it('goes on with what it knows while the store is away, says for how long, and tells it afterwards', async () => {
    const { clock, store, a, b } = two()
    await Promise.all([rounds(a.standings), rounds(b.standings)])
    store.link.up = false
    raise(a.standings, scope(), alarm('quarantine'), RULES, T0)
    clock.pass(5_000)
    await a.standings.poll()
    expect([seen(a.standings), a.standings.staleMs(), a.troubles]).toEqual(['quarantine', 5_000, ['no answer']])
    expect(await a.standings.release(scope(), 'ann', '', T0)).toMatchObject({ kind: 'local', was: 'quarantine' })
    raise(a.standings, scope(), alarm('step-up'), RULES, T0)
    store.link.up = true
    await a.standings.poll()
    await b.standings.poll()
    expect([seen(b.standings), a.standings.staleMs(), a.troubles]).toEqual(['step-up', 0, ['no answer', undefined]])
  })

  it('a store that lost everything is told again, by whoever knows', async () => {
    const { clock, store, a } = two()
    await rounds(a.standings)
    raise(a.standings, scope(), alarm('quarantine'), RULES, T0)
    await rounds(a.standings)
    store.wipe()
    clock.pass(1000)
    for (let at = 0; at < SHARDS + 1; at++) await a.standings.poll()
    const next = processOf(clock, store.reach(), 'c')
    await rounds(next.standings)
    expect(seen(next.standings)).toBe('quarantine')
  })

  it('a writer takes nothing back that it has not heard of', async () => {
    const { clock, store, a, b } = two()
    await Promise.all([rounds(a.standings), rounds(b.standings)])
    raise(b.standings, scope(), alarm('quarantine'), RULES, T0)
    await b.standings.stop()
    raise(a.standings, scope(), alarm('slowed'), RULES, T0)
    await a.standings.stop()
    const next = processOf(clock, store.reach(), 'c')
    await rounds(next.standings)
    expect(seen(next.standings)).toBe('quarantine')
  })

  it('a process that can read and cannot write hears of others, and forgets nothing of its own', async () => {
    const { store, a, b } = two()
    await Promise.all([rounds(a.standings), rounds(b.standings)])
    raise(a.standings, scope(), alarm('slowed'), RULES, T0)
    await a.standings.poll()
    store.link.isFull = true
    raise(b.standings, scope(), alarm('quarantine'), RULES, T0)
    await b.standings.poll()
    expect([seen(b.standings), b.standings.staleMs(), b.troubles]).toEqual(['quarantine', 0, ['the store is full']])
    expect(Object.keys(Object.groupBy(b.standings.of(scope())?.terms ?? [], ({ dot }) => dot.run))).toEqual(['a', 'b'])
  })

  it('a store that was set back to a backup is told again', async () => {
    const { clock, store, a } = two()
    await rounds(a.standings)
    raise(a.standings, scope(), alarm('slowed'), RULES, T0)
    const before = standingText(a.standings.of(scope()) as StandingRecord) as string
    raise(a.standings, scope(), alarm('quarantine'), RULES, T0)
    await rounds(a.standings)
    store.wipe()
    const place = scopeKey(scope())
    await store.its.store.putOnce(key('standing', String(shardNumber(place)), place), before, clock.wall + 3_600_000, clock.wall)
    for (let at = 0; at < SHARDS + 1; at++) await a.standings.poll()
    const next = processOf(clock, store.reach(), 'c')
    await rounds(next.standings)
    expect(seen(next.standings)).toBe('quarantine')
  })

  it('what cannot be read is no empty record: the process does not get ready on it', async () => {
    const { clock, store } = two()
    const place = scopeKey(scope())
    const at = key('standing', String(shardNumber(place)), place)
    const other = standingText({ scope: scope('another'), horizon: {}, terms: [], strikes: [], vouch: undefined }) as string
    for (const value of ['{', '{"scope":{}}', other]) {
      store.wipe()
      await store.its.store.putOnce(at, value, clock.wall + 1000, clock.wall)
      const { standings, troubles } = processOf(clock, store.reach(), 'c')
      await rounds(standings)
      expect([standings.isLoaded(), troubles]).toEqual([false, ['a standing in the store cannot be read']])
    }
  })

  it('a record is read as it was written (property)', () => {
    const levels = fc.array(fc.constantFrom<Raised>('slowed', 'step-up', 'quarantine'), { maxLength: 5 })
    fc.assert(
      fc.property(levels, fc.string({ unit: 'grapheme' }), (raised, words) => {
        const { standings } = processOf(new Clock(), undefined, 'a')
        for (const level of raised) {
          const one = alarm(level)
          raise(
            standings,
            scope(),
            { ...one, evidence: { ...one.evidence, says: words, figures: { high: Number.POSITIVE_INFINITY } } },
            RULES,
            T0
          )
        }
        const record = standings.of(scope())
        if (record !== undefined) expect(standingFrom(standingText(record) as string)).toEqual(record)
      })
    )
  })
})

/** Room of a process in what follows. */
const CROWD_MAX = 12

/** What happens to three processes and their store. */
type Event =
  | { readonly do: 'raise'; readonly at: number; readonly level: Raised }
  | { readonly do: 'release' | 'poll' | 'restart'; readonly at: number }
  | { readonly do: 'away' | 'back' | 'wipe' | 'save' | 'restore' }
  | { readonly do: 'crowd'; readonly at: number }
  | { readonly do: 'pass'; readonly ms: number }
  | { readonly do: 'step'; readonly ms: number }

const who = fc.nat(2)
const event: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('raise' as const), at: who, level: fc.constantFrom<Raised>('slowed', 'quarantine') })
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constantFrom('release' as const, 'poll' as const, 'poll' as const, 'restart' as const), at: who })
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constantFrom('away' as const, 'back' as const, 'wipe' as const, 'save' as const, 'restore' as const) })
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('crowd' as const), at: who }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.nat(50_000) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('step' as const), ms: fc.integer({ min: -3_600_000, max: 3_600_000 }) }) }
)

describe('faults', () => {
  it('a quarantine that a process has, ends there by its time or by hand only; when all is well again all agree (property)', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(event, { maxLength: 25 }), async (events) => {
        const clock = new Clock()
        const store = shared(clock)
        let runs = 0
        const start = () => processOf(clock, store.reach(), `run${runs++}`, CROWD_MAX).standings
        const all = [start(), start(), start()]
        let since = Number.NEGATIVE_INFINITY
        let released = false
        for (const one of events) {
          const before = all.map((standings) => seen(standings))
          if (one.do === 'raise' && raise(all[one.at] as SharedStandings, scope(), alarm(one.level), RULES, clock.wall) === 'changed') {
            since = clock.tick
          }
          if (one.do === 'release')
            released ||= (await (all[one.at] as SharedStandings).release(scope(), 'ann', '', clock.wall)).kind !== 'not'
          if (one.do === 'poll') await all[one.at]?.poll()
          if (one.do === 'restart') {
            // It is not ready, and so asked nothing, until it knows all; with the store away it stays as it was.
            const next = start()
            if (store.link.up) await rounds(next)
            if (next.isLoaded()) all[one.at] = next
          }
          if (one.do === 'away') store.link.up = false
          if (one.do === 'back') store.link.up = true
          if (one.do === 'save') await store.save()
          if ((one.do === 'wipe' || one.do === 'restore') && store.link.up) {
            // Redis comes back empty, or with what it once had: everybody who was there tells it again.
            if (one.do === 'wipe') store.wipe()
            else await store.restore()
            for (const standings of all) for (let at = 0; at < SHARDS; at += 1) await standings.poll()
          }
          if (one.do === 'crowd') {
            // More than there is room for: others are refused, and nobody is let go for them.
            for (let other = 0; other < CROWD_MAX; other++)
              raise(all[one.at] as SharedStandings, scope(`${ID}-${other}`), alarm('slowed'), RULES, clock.wall)
          }
          if (one.do === 'pass') clock.pass(one.ms)
          if (one.do === 'step') clock.wall += one.ms
          const isOld = clock.tick - since >= RULES.quarantineMs
          for (const [at, was] of before.entries()) {
            const restarted = one.do === 'restart' && one.at === at
            if (was === 'quarantine' && !released && !isOld && !restarted) expect(seen(all[at] as SharedStandings)).toBe('quarantine')
          }
        }
        store.link.up = true
        for (let time = 0; time < 2; time++) for (const standings of all) for (let at = 0; at <= SHARDS; at++) await standings.poll()
        const shape = (record: StandingRecord | undefined) => JSON.stringify((record?.terms ?? []).map(({ dot, ended }) => [dot, ended]))
        expect(new Set(all.map((standings) => shape(standings.of(scope())))).size).toBe(1)
      }),
      { numRuns: 25 }
    )
  })
})

/** A real store that also says when it was written to. */
function stamped(clock: Clock) {
  const its = { store: createMemoryStore({ begun: T0 }), era: 1, turn: 0, ageMs: 60_000, listed: 0 }
  const wrote = <T>(answer: T): T => {
    its.turn++
    return answer
  }
  const store: Store = {
    putOnce: (...all) => wrote(its.store.putOnce(...all)),
    get: (...all) => its.store.get(...all),
    replace: (...all) => wrote(its.store.replace(...all)),
    list(...all) {
      its.listed++
      return its.store.list(...all)
    },
    stamp: () => ({ era: String(its.era), turn: String(its.turn), ageMs: its.ageMs }),
    close: async () => undefined
  }
  const wipe = () => {
    Object.assign(its, { store: createMemoryStore({ begun: clock.wall }), era: its.era + 1, turn: 0, ageMs: 0 })
  }
  return { its, store, wipe }
}

/** Rounds as they come: ten a second. */
async function seconds(clock: Clock, count: number, ...all: readonly SharedStandings[]): Promise<void> {
  for (let at = 0; at < 10 * count; at++) {
    clock.pass(100)
    for (const one of all) await one.poll()
  }
}

describe('standings in a store that says when it was written to', () => {
  it('are asked for seldom while nobody writes, and at once when somebody did', async () => {
    const clock = new Clock()
    const { its, store } = stamped(clock)
    const [a, b] = [processOf(clock, store, 'a').standings, processOf(clock, store, 'b').standings]
    await rounds(a)
    await rounds(b)
    // For a while after the start all of it is looked at again and again.
    await seconds(clock, 20, a, b)
    its.listed = 0
    await seconds(clock, 10, a, b)
    expect(its.listed).toBeLessThanOrEqual(2 * 11)
    raise(a, scope(), alarm('quarantine'), RULES, clock.wall)
    await seconds(clock, 0.1, a, b)
    expect(seen(b)).toBe('quarantine')
  })

  it('of a store that has just begun: nobody is ready before those that know have told it', async () => {
    const clock = new Clock()
    const { its, store, wipe } = stamped(clock)
    const { standings: a } = processOf(clock, store, 'a')
    await rounds(a)
    raise(a, scope(), alarm('quarantine'), RULES, clock.wall)
    await a.poll()
    wipe()
    const { standings: b } = processOf(clock, store, 'b')
    await rounds(b)
    await rounds(b)
    expect([b.isLoaded(), seen(b)]).toEqual([false, 'normal'])
    await seconds(clock, 2, a)
    its.ageMs = 5_001
    await seconds(clock, 2, b)
    expect([b.isLoaded(), seen(b)]).toEqual([true, 'quarantine'])
  })

  it('that one tells to an emptied store are heard by who was ready before, though they are no news', async () => {
    const clock = new Clock()
    const { its, store, wipe } = stamped(clock)
    const { standings: a } = processOf(clock, store, 'a')
    await rounds(a)
    raise(a, scope(), alarm('quarantine'), RULES, clock.wall)
    wipe()
    its.ageMs = 60_000
    const { standings: b } = processOf(clock, store, 'b')
    await rounds(b)
    expect([b.isLoaded(), seen(b)]).toEqual([true, 'normal'])
    await seconds(clock, 4, a, b)
    expect(seen(b)).toBe('quarantine')
  })

  it('whose news were over before they were heard, as a clock was set, are heard soon', async () => {
    const clock = new Clock()
    const { store } = stamped(clock)
    const [a, b] = [processOf(clock, store, 'a').standings, processOf(clock, store, 'b').standings]
    await rounds(a)
    await rounds(b)
    await seconds(clock, 20, a, b)
    raise(a, scope(), alarm('quarantine'), RULES, clock.wall)
    await a.poll()
    clock.wall += 3 * 3_600_000
    await seconds(clock, 4, b)
    expect(seen(b)).toBe('quarantine')
  })

  it('are heard from a host whose clock is an hour behind or ahead', async () => {
    for (const off of [-3_500_000, 3_500_000]) {
      const [clock, wrong] = [new Clock(), new Clock()]
      wrong.wall += off
      const { store } = stamped(clock)
      const [a, b] = [processOf(clock, store, 'a').standings, processOf(wrong, store, 'b').standings]
      for (const one of [a, b]) await rounds(one)
      for (const one of [a, b]) await seconds(one === a ? clock : wrong, 20, one)
      raise(a, scope(), alarm('quarantine'), RULES, clock.wall)
      await a.poll()
      await b.poll()
      expect(seen(b)).toBe('quarantine')
    }
  })
})
