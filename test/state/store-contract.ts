/** What every store holds to, whatever it keeps things in. Times are numbers made up here: a store asks no clock of its own. */
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { key } from '../../src/core/keys.ts'
import { STORE_KEY_CHARS_MAX, STORE_LIST_MAX, STORE_VALUE_CHARS_MAX, type Store } from '../../src/core/store.ts'
import type { StoreBounds } from '../../src/state/store-faults.ts'

/** Two stores on one and the same state, fresh. */
export type OpenTwo = (bounds?: StoreBounds) => Promise<readonly [Store, Store]>

/** Keys that both race for, and how the property is run: fewer where each answer is awaited over a network. */
export interface ContractSize {
  readonly raced: number
  readonly runs: number
}

const T = 1_000_000

export function storeContract(name: string, openTwo: OpenTwo, { raced, runs }: ContractSize): void {
  const opened: Store[] = []
  let shared: readonly [Store, Store]
  let parts = 0
  const openFresh = async (bounds?: StoreBounds) => {
    const two = await openTwo(bounds)
    opened.push(...two)
    return two
  }
  /** A part of one store for each test, as opening takes longer than most of them. */
  const open = (): readonly [Store, Store] => {
    const part = key(String(parts++))
    return [partOf(shared[0], part), partOf(shared[1], part)]
  }
  beforeAll(async () => {
    shared = await openTwo()
  })
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((store) => store.close()))
  })
  afterAll(async () => {
    await Promise.all(shared.map((store) => store.close()))
  })

  describe(`${name}: putOnce`, () => {
    it('the first wins, and the second sees what it wrote, wherever it asks', async () => {
      const [one, other] = open()
      expect(await one.putOnce('a', 'first', T + 10, T)).toMatchObject({ kind: 'put', since: expect.any(Number) })
      expect(await one.putOnce('a', 'second', T + 10, T)).toMatchObject({ kind: 'there', value: 'first' })
      expect(await other.putOnce('a', 'third', T + 10, T)).toMatchObject({ kind: 'there', value: 'first' })
      expect(await other.putOnce('b', 'third', T + 10, T)).toMatchObject({ kind: 'put' })
      expect(await other.get('a', T)).toEqual({ kind: 'value', value: 'first', until: T + 10 })
    })

    it(`of two that race for ${raced} keys, exactly one wins each, and the other sees its value`, async () => {
      const [one, other] = open()
      const keys = Array.from({ length: raced }, (_, at) => key('race', String(at)))
      const race = (store: Store, who: string) => Promise.all(keys.map((at) => store.putOnce(at, who, T + 10_000, T)))
      // Towards each other, so that both win some.
      const [mine, theirs] = await Promise.all([race(one, 'one'), race(other, 'other')])
      for (const [at, put] of mine.entries()) {
        const answers = [put, theirs[at]].map((answer) => (answer?.kind === 'there' ? `there ${answer.value}` : answer?.kind))
        expect([
          ['put', 'there one'],
          ['there other', 'put']
        ]).toContainEqual(answers)
      }
    })

    it('an entry is live until its end, and not at it', async () => {
      const [one, other] = open()
      await one.putOnce('a', '1', T + 10, T)
      expect(await other.putOnce('a', '2', T + 99, T + 9)).toMatchObject({ kind: 'there' })
      expect(await other.get('a', T + 9)).toMatchObject({ kind: 'value' })
      expect(await other.get('a', T + 10)).toEqual({ kind: 'none' })
      expect(await other.putOnce('a', '2', T + 99, T + 10)).toMatchObject({ kind: 'put' })
      expect(await one.get('a', T + 10)).toMatchObject({ value: '2' })
    })

    it('an entry that would be over at once is refused, as its key could be put twice', async () => {
      const [one] = open()
      expect(await one.putOnce('a', '1', T, T)).toMatchObject({ kind: 'unavailable' })
      expect(await one.putOnce('a', '1', T + 1, T)).toMatchObject({ kind: 'put' })
    })

    it('keys and values are the texts they are', async () => {
      const [one, other] = open()
      const texts = [
        '',
        ' ',
        'a',
        'A',
        'a ',
        '\u00e4',
        'a\u0308',
        '\0',
        'a\0',
        'a\0b',
        "'; DROP TABLE entries; --",
        '1',
        '01',
        '\u{1f512}',
        '{x}',
        '%',
        '*'
      ]
      for (const text of texts) expect(await one.putOnce(text, `value ${text}`, T + 10, T)).toMatchObject({ kind: 'put' })
      for (const text of texts) expect(await other.get(text, T)).toMatchObject({ kind: 'value', value: `value ${text}` })
    })

    it('texts that cannot be written whole are refused', async () => {
      const [one] = await openFresh()
      const [longest, most] = ['k'.repeat(STORE_KEY_CHARS_MAX), 'v'.repeat(STORE_VALUE_CHARS_MAX)]
      for (const [at, value] of [
        ['half of a surrogate pair: \ud800', 'v'],
        ['a', 'half of one: \udc00'],
        [`${longest}k`, 'v'],
        ['a', `${most}v`]
      ] as const) {
        expect(await one.putOnce(at, value, T + 10, T)).toMatchObject({ kind: 'unavailable' })
      }
      expect(await one.putOnce(longest, most, T + 10, T)).toMatchObject({ kind: 'put' })
      expect(await one.get(longest, T)).toMatchObject({ value: most })
    })

    it('times that are no whole milliseconds are refused everywhere', async () => {
      const [one] = open()
      await one.putOnce('a', '1', T + 10, T)
      for (const time of [Number.NaN, Number.POSITIVE_INFINITY, -1, T + 0.5, 2 ** 60]) {
        expect(await one.putOnce('b', '1', T + 10, time)).toMatchObject({ kind: 'unavailable' })
        expect(await one.putOnce('b', '1', time, T)).toMatchObject({ kind: 'unavailable' })
        expect(await one.get('a', time)).toMatchObject({ kind: 'unavailable' })
        expect(await one.replace('a', '1', '2', T + 10, time)).toBe('unavailable')
        expect(await one.list('', time, 10)).toMatchObject({ kind: 'unavailable' })
      }
      expect(await one.get('a', T)).toMatchObject({ value: '1' })
      expect(await one.get('b', T)).toEqual({ kind: 'none' })
    })
  })

  describe(`${name}: a clock that goes back`, () => {
    it('does not revive what was seen to be over', async () => {
      const [one, other] = open()
      for (const at of ['got', 'listed', 'replaced']) await one.putOnce(at, '1', T + 10, T)
      await one.get('got', T + 10)
      await one.list('listed', T + 10, 10)
      await one.replace('replaced', '1', '2', T + 99, T + 10)
      for (const at of ['got', 'listed', 'replaced']) {
        expect(await other.get(at, T)).toEqual({ kind: 'none' })
        expect(await other.replace(at, '1', '2', T + 99, T)).toBe('changed')
        // Where it would be live again, what was used stays used.
        expect(await other.putOnce(at, '3', T + 99, T)).toMatchObject({ kind: 'there', value: '1' })
      }
      expect(await other.list('', T, 10)).toMatchObject({ entries: [] })
    })

    it('loses nothing that is live', async () => {
      const [one, other] = open()
      await one.putOnce('a', '1', T + 10, T)
      for (const now of [T + 9, T - 50_000, 0, T + 5]) {
        expect(await other.putOnce('b', '1', T + 20, now)).toMatchObject({ kind: now === T + 9 ? 'put' : 'there' })
        expect(await other.get('a', now)).toMatchObject({ value: '1' })
      }
    })

    it('finds again what others put meanwhile, though much was put since', async () => {
      const [one, other] = await openFresh()
      await one.putOnce('a', '1', T + 10, T)
      for (let at = 0; at < 50; at++) await other.putOnce(`later ${at}`, '1', T + 90_000, T + 30_000)
      expect(await one.putOnce('a', '2', T + 10, T)).toMatchObject({ kind: 'there', value: '1' })
    })
  })

  describe(`${name}: replace`, () => {
    it('writes where the value is the one named, with its own end', async () => {
      const [one, other] = open()
      await one.putOnce('a', '1', T + 10, T)
      expect(await one.replace('a', '0', '2', T + 20, T)).toBe('changed')
      expect(await one.replace('b', '1', '2', T + 20, T)).toBe('changed')
      expect(await other.replace('a', '1', '2', T + 20, T)).toBe('replaced')
      expect(await one.replace('a', '1', '3', T + 20, T)).toBe('changed')
      expect(await one.get('a', T + 19)).toEqual({ kind: 'value', value: '2', until: T + 20 })
    })

    it('does not write over what is over', async () => {
      const [one] = open()
      await one.putOnce('a', '1', T + 10, T)
      expect(await one.replace('a', '1', '2', T + 20, T + 10)).toBe('changed')
      expect(await one.replace('a', '1', '2', T + 20, T + 9)).toBe('changed')
    })

    it('of many at once, one succeeds', async () => {
      const [one, other] = open()
      await one.putOnce('a', 'free', T + 10, T)
      const tries = Array.from({ length: 20 }, (_, at) => (at % 2 === 0 ? one : other).replace('a', 'free', `taken by ${at}`, T + 10, T))
      const answers = await Promise.all(tries)
      expect(answers.filter((answer) => answer === 'replaced')).toHaveLength(1)
      expect(await one.get('a', T)).toMatchObject({ value: `taken by ${answers.indexOf('replaced')}` })
    })

    it('with an end that is not ahead, removes', async () => {
      const [one, other] = open()
      await one.putOnce('a', '1', T + 10, T)
      expect(await one.replace('a', '1', 'gone', T, T)).toBe('replaced')
      expect(await other.get('a', T)).toEqual({ kind: 'none' })
      expect(await other.list('', T, 10)).toMatchObject({ entries: [], more: false })
      expect(await other.putOnce('a', '2', T + 10, T)).toMatchObject({ kind: 'put' })
    })
  })

  describe(`${name}: list`, () => {
    it('gives what begins with the prefix, in order, at most so many', async () => {
      const [one, other] = open()
      const names = ['b', 'a', 'ä', '\u{1f512}', '￿', 'a\0']
      for (const each of names) await one.putOnce(key('list', each), each, T + 10, T)
      await one.putOnce(key('lisp', 'a'), 'other', T + 10, T)
      await one.putOnce(key('list', 'over'), 'over', T + 5, T)
      const prefix = key('list')
      const keys = names.map((each) => key('list', each)).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
      const all = await other.list(prefix, T + 5, 10)
      expect(all).toMatchObject({ kind: 'entries', more: false })
      expect(all.kind === 'entries' && all.entries.map((entry) => entry.key)).toEqual(keys)
      expect(all.kind === 'entries' && all.entries[0]).toMatchObject({ until: T + 10 })
      const some = await other.list(prefix, T + 5, 2)
      expect(some).toMatchObject({ more: true, entries: [{ key: keys[0] }, { key: keys[1] }] })
      expect(await other.list(prefix, T + 5, names.length)).toMatchObject({ more: false })
      expect(await other.list(key('none'), T, 10)).toEqual({ kind: 'entries', entries: [], more: false })
      expect(await other.list('', T, 10)).toMatchObject({ more: false })
      expect(await other.list('', T, 0)).toEqual({ kind: 'entries', entries: [], more: true })
    })

    it(`gives at most ${STORE_LIST_MAX}, whatever is asked`, async () => {
      const [one] = open()
      await Promise.all(Array.from({ length: STORE_LIST_MAX + 1 }, (_, at) => one.putOnce(`x${at}`, '1', T + 10, T)))
      const all = await one.list('x', T, 1e9)
      expect(all).toMatchObject({ more: true })
      expect(all.kind === 'entries' && all.entries.length).toBe(STORE_LIST_MAX)
    })
  })

  describe(`${name}: bounds`, () => {
    it('is full rather than forgetful, and has room again with time', async () => {
      const [one, other] = await openFresh({ entriesMax: 3 })
      for (const at of ['a', 'b', 'c']) expect(await one.putOnce(at, '1', T + (at === 'c' ? 20 : 10), T)).toMatchObject({ kind: 'put' })
      expect(await other.putOnce('d', '1', T + 30, T + 9)).toEqual({ kind: 'full' })
      expect(await other.putOnce('a', '2', T + 30, T + 9)).toMatchObject({ kind: 'there', value: '1' })
      expect(await other.putOnce('d', '1', T + 30, T + 10)).toMatchObject({ kind: 'put' })
      expect(await one.putOnce('e', '1', T + 30, T + 10)).toMatchObject({ kind: 'put' })
      expect(await one.putOnce('f', '1', T + 30, T + 10)).toEqual({ kind: 'full' })
      expect(await one.get('c', T + 19)).toMatchObject({ value: '1' })
    })

    it('drops what has been over for long, so that it does not gather', async () => {
      const [one] = await openFresh({ entriesMax: 12 })
      for (let at = 0; at < 60; at++) {
        expect(await one.putOnce(`k${at}`, '1', T + at * 20_000 + 10, T + at * 20_000)).toMatchObject({ kind: 'put' })
      }
    })
  })

  describe(`${name}: stamp`, () => {
    it('is another one after each write of anybody, and the same while nobody writes', async () => {
      const [one, other] = await openFresh()
      // Nobody else writes to the memory of a process.
      if (one.stamp === undefined) return expect(name).toBe('memory')
      const { stamp } = one
      await other.putOnce('first', '1', T + 10, T)
      const settled = async () => {
        const before = await stamp()
        await new Promise((resolve) => setTimeout(resolve, 20))
        expect(await stamp()).toMatchObject({ era: before?.era, turn: before?.turn })
        return before
      }
      const writes = [
        () => other.putOnce('a', '1', T + 10, T),
        () => other.replace('a', '1', '2', T + 20, T),
        () => one.putOnce('b', '1', T + 10, T),
        () => other.replace('b', '1', '1', T, T)
      ]
      for (const write of writes) {
        // A file system's clock has steps, within which a store cannot tell.
        const before = await vi.waitFor(settled, { timeout: 20_000 })
        await write()
        const after = await stamp()
        expect([after?.era, after?.turn === before?.turn]).toEqual([before?.era, false])
      }
      await one.close()
      expect(await stamp()).toBeUndefined()
    })
  })

  describe(`${name}: close`, () => {
    it('answers what was asked before, and nothing after', async () => {
      const [one, other] = await openFresh()
      const before = Array.from({ length: 50 }, (_, at) => one.putOnce(`k${at}`, '1', T + 10, T))
      await one.close()
      for (const put of before) expect(await put).toMatchObject({ kind: 'put' })
      if (one !== other) expect(await other.get('k49', T)).toMatchObject({ value: '1' })
      expect(await one.putOnce('a', '1', T + 10, T)).toMatchObject({ kind: 'unavailable' })
      expect(await one.get('k0', T)).toMatchObject({ kind: 'unavailable' })
      expect(await one.replace('k0', '1', '2', T + 10, T)).toBe('unavailable')
      expect(await one.list('', T, 1)).toMatchObject({ kind: 'unavailable' })
      await one.close()
    })
  })

  it(`${name}: answers as a table of entries would (property)`, async () => {
    const at = fc.constantFrom('a', 'b', 'c')
    const text = fc.constantFrom('1', '2')
    const time = { step: fc.integer({ min: -5, max: 9 }), life: fc.integer({ min: -2, max: 20 }) }
    const action = fc.oneof(
      fc.record({ kind: fc.constant('put' as const), at, text, ...time }),
      fc.record({ kind: fc.constant('replace' as const), at, text, to: text, ...time }),
      fc.record({ kind: fc.constant('get' as const), at, ...time })
    )
    await fc.assert(
      fc.asyncProperty(fc.array(action, { minLength: 5, maxLength: 30 }), async (actions) => {
        const two = open()
        const model = new Map<string, { value: string; until: number; over: boolean }>()
        let now = T
        for (const [turn, one] of actions.entries()) {
          const store = two[turn % 2] as Store
          now += one.step
          const until = now + one.life
          const known = model.get(one.at)
          if (one.kind === 'put') {
            const answer = await store.putOnce(one.at, one.text, until, now)
            const want = one.life <= 0 ? 'unavailable' : known !== undefined && known.until > now ? 'there' : 'put'
            expect(answer.kind).toBe(want)
            if (answer.kind === 'there') expect(answer.value).toBe(known?.value)
            if (want === 'put') model.set(one.at, { value: one.text, until, over: false })
            continue
          }
          if (known !== undefined && known.until <= now) known.over = true
          const live = known?.over === false ? known : undefined
          if (one.kind === 'get') {
            const want = live === undefined ? { kind: 'none' } : { kind: 'value', value: live.value, until: live.until }
            expect(await store.get(one.at, now)).toEqual(want)
          } else {
            expect(await store.replace(one.at, one.text, one.to, until, now)).toBe(live?.value === one.text ? 'replaced' : 'changed')
            if (live?.value === one.text) model.set(one.at, { value: one.to, until, over: until <= now })
          }
        }
      }),
      { numRuns: runs }
    )
  })
}

function partOf(store: Store, part: string): Store {
  return {
    putOnce: (at, ...rest) => store.putOnce(part + at, ...rest),
    get: (at, now) => store.get(part + at, now),
    replace: (at, ...rest) => store.replace(part + at, ...rest),
    async list(prefix, now, max) {
      const listed = await store.list(part + prefix, now, max)
      if (listed.kind !== 'entries') return listed
      return { ...listed, entries: listed.entries.map((entry) => ({ ...entry, key: entry.key.slice(part.length) })) }
    },
    close: () => store.close()
  }
}
