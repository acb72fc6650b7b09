import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Baseline, DriftCall, DriftDraft } from '../../src/core/drift.ts'
import { BETS_PER_CHANNEL, CHANNELS, DRIFT_THRESHOLDS, HISTOGRAM_BINS, SCORES } from '../../src/core/drift.ts'
import { baselineBytes, exportBaseline, importBaseline, judgingBaseline, mergeBaselines, toBase64 } from '../../src/risk/drift-baseline.ts'
import { backgroundOf, calibrate, freeze } from '../../src/risk/drift-freeze.ts'
import { learn, newDraft } from '../../src/risk/drift-learn.ts'
import { LUNDBERG_FLOATS, ratesOf } from '../../src/risk/drift-lundberg.ts'
import { newDriftState, observe } from '../../src/risk/drift-observe.ts'
import { NO_BACKGROUND, prepare, type ReadyBaseline } from '../../src/risk/drift-ready.ts'
import { readySpace } from '../../src/risk/drift-sketch.ts'
import { fitSpace } from '../../src/risk/drift-space.ts'
import { startKernel } from '../../src/risk/kernel-wasm.ts'
import { callsOf, learntFrom, worldOf } from './drift-material.ts'

const kernel = startKernel()
const world = worldOf(96, 3)
const { readies, drafts, space } = learntFrom(world, 60, kernel)
const ready = readies[0] as ReadyBaseline
const { baseline } = ready

function draftOf(bursts: number, seed: number, from = 0): DriftDraft {
  const draft = newDraft(baseline.key, { form: 'dense', dimensions: 96, seed: 5 })
  for (const call of callsOf(world, 0, bursts, seed, from)) learn(draft, 'spiffe://example.org/one', call)
  return draft
}

describe('a baseline', () => {
  it('is the same for the same draft and seed', () => {
    const options = { space, version: 'v', frozenAt: 0, seed: 3, kernel }
    const [draft] = drafts as [DriftDraft]
    expect(freeze(draft, options)).toEqual(freeze(draft, options))
  })

  it('takes about as much room as the study says: 11 KB and the sums of residual energy', () => {
    expect(baselineBytes(baseline)).toBeLessThan(13_000)
    expect(exportBaseline(baseline).length).toBeLessThan(20_000)
  })

  it('is not made of too little', () => {
    const tiny = newDraft(baseline.key, { form: 'dense', dimensions: 96, seed: 5 })
    for (const call of callsOf(world, 0, 2, 1).slice(0, 9)) learn(tiny, 'one', call)
    expect(() => freeze(tiny, { space, version: 'v', frozenAt: 0, seed: 3, kernel })).toThrow(/too few/)
  })

  it('is a baseline also of one query again and again, and what it says stays a number', () => {
    const [{ vectors }] = callsOf(world, 0, 1, 1) as [DriftCall]
    for (const restOf of [() => 0, (at: number) => at]) {
      const draft = newDraft(baseline.key, { form: 'dense', dimensions: 96, seed: 5 })
      for (let at = 0; at < 200; at++) learn(draft, 'one', { vectors, rest: restOf(at), at: at * 400 + Math.floor(at / 10) * 300_000 })
      const own = readySpace(fitSpace([draft], 'own'))
      const narrow = prepare(freeze(draft, { space: own, version: 'v', frozenAt: 0, seed: 1, kernel }), own, NO_BACKGROUND, kernel)
      const state = newDriftState()
      for (const call of callsOf(world, 0, 20, 2)) {
        const { novelty, coherence, score, top } = observe(narrow, state, call, DRIFT_THRESHOLDS).verdict
        expect([novelty, coherence, score, ...top.flatMap(({ z, p }) => [...z, ...p])].every(Number.isFinite)).toBe(true)
      }
    }
  })

  it('is not changed by being observed, a drip of foreign queries included', () => {
    const before = exportBaseline(baseline)
    const state = newDriftState()
    const [own, foreign] = [callsOf(world, 0, 60, 8), callsOf(world, 2, 60, 8)]
    own.forEach((call, at) => {
      const vectors = at % 5 === 0 ? (foreign[at]?.vectors ?? call.vectors) : call.vectors
      observe(ready, state, { ...call, vectors }, DRIFT_THRESHOLDS)
    })
    expect(exportBaseline(baseline)).toBe(before)
  })

  it('refuses a space or background that it was not calibrated with', () => {
    const none = backgroundOf([], kernel)
    expect(() => prepare(baseline, space, none, kernel)).toThrow(/background/)
    expect(() => prepare({ ...baseline, space: 'other' }, space, none, kernel)).toThrow(/space/)
  })

  it('judges from twelve bursts on; below that its parents do', () => {
    const of = (bursts: number) => ({ baseline: { ...baseline, counts: { ...baseline.counts, bursts } } })
    const [young, grown, parent] = [of(11), of(12), of(100)]
    expect(judgingBaseline([young, parent])).toBe(parent)
    expect(judgingBaseline([grown, parent])).toBe(grown)
    expect(judgingBaseline([undefined, young])).toBeUndefined()
  })
})

describe('merging', () => {
  it('what two replicas counted is what one that saw both would have counted', () => {
    const [early, late, both] = [draftOf(8, 40), draftOf(12, 41, 1e8), newDraft(baseline.key, { form: 'dense', dimensions: 96, seed: 5 })]
    for (const call of [...callsOf(world, 0, 8, 40), ...callsOf(world, 0, 12, 41, 1e8)]) learn(both, call.at < 1e8 ? 'one' : 'two', call)
    const merged = mergeBaselines(calibrate(ready, early), calibrate(ready, late)).counts
    const single = calibrate(ready, both).counts
    expect({ ...merged, lundberg: [] }).toEqual({ ...single, lundberg: [] })
    expect(Math.max(...merged.lundberg.map((sum, at) => Math.abs(sum / (single.lundberg[at] as number) - 1)))).toBeLessThan(1e-5)
  })

  it('does not depend on the order, and adds nothing of its own', () => {
    const [a, b] = [calibrate(ready, draftOf(8, 40)), calibrate(ready, draftOf(9, 41))]
    expect(mergeBaselines(a, b)).toEqual(mergeBaselines(b, a))
    const all = mergeBaselines(baseline, a)
    expect(all.counts.queries).toBe(baseline.counts.queries + a.counts.queries)
    expect(all.counts.bursts).toBe(baseline.counts.bursts + 8)
    expect(all.centroids).toBe(baseline.centroids)
  })

  it('of replicas that counted parts is, in any order and any grouping, that of one that counted all (property)', () => {
    const parts = [11, 12, 13, 14].map((seed) => calibrate(ready, draftOf(4, seed)))
    const plain = ({ counts: { lundberg, ...counts } }: Baseline) => counts
    const whole = parts.reduce(mergeBaselines, baseline)
    fc.assert(
      fc.property(fc.shuffledSubarray([0, 1, 2, 3], { minLength: 4 }), fc.integer({ min: 1, max: 3 }), (order, cut) => {
        const shuffled = order.map((at) => parts[at] as Baseline)
        const [left, right] = [shuffled.slice(0, cut), shuffled.slice(cut)]
        const [first, ...rest] = right as [Baseline, ...Baseline[]]
        const merged = mergeBaselines(left.reduce(mergeBaselines, baseline), rest.reduce(mergeBaselines, first))
        expect(plain(merged)).toEqual(plain(whole))
        merged.counts.lundberg.forEach((sum, at) => {
          expect(Math.abs(sum / (whole.counts.lundberg[at] as number) - 1)).toBeLessThan(1e-4)
        })
      }),
      { numRuns: 20 }
    )
  })

  it('another codebook is refused', () => {
    expect(() => mergeBaselines(baseline, (readies[1] as ReadyBaseline).baseline)).toThrow(/codebook/)
  })
})

describe('export and import', () => {
  const text = exportBaseline(baseline)
  const plain = JSON.parse(text) as Record<string, unknown> & { counts: Record<string, unknown>; centroids: Record<string, unknown> }
  const without = ({ [Object.keys(plain)[1] as string]: _gone, ...rest }: Record<string, unknown>) => rest

  it('what is exported is imported, to the bit', () => {
    expect(importBaseline(text)).toEqual({ ok: true, baseline })
  })

  it('what a release before wrote is taken over; what it did not know stays mute', () => {
    const scores = SCORES.length - 1
    const cut = (array: Uint32Array | Float32Array, floats: number) => toBase64(array.slice(0, floats))
    const { counts, ranges } = baseline
    const perChannel = LUNDBERG_FLOATS / CHANNELS.length
    const lundberg = Float32Array.from([
      ...counts.lundberg.slice(0, scores * perChannel),
      ...counts.lundberg.slice(SCORES.length * perChannel)
    ])
    const old = {
      ...plain,
      format: 1,
      ranges: cut(ranges, 2 * scores),
      counts: { ...plain.counts, histograms: cut(counts.histograms, scores * (HISTOGRAM_BINS + 1)), lundberg: toBase64(lundberg) }
    }
    const taken = importBaseline(JSON.stringify(old))
    if (!taken.ok) throw new Error(taken.because)
    const [before, after] = [ratesOf(counts), ratesOf(taken.baseline.counts)]
    const muted = scores * BETS_PER_CHANNEL
    expect([...after]).toEqual([...before].map((rate, bet) => (bet >= muted && bet < muted + BETS_PER_CHANNEL ? 0 : rate)))
    expect([...before].slice(muted, muted + BETS_PER_CHANNEL)).not.toEqual([0, 0, 0])
    expect(taken.baseline.centroids).toEqual(baseline.centroids)
    // Replicas of this release count on with it, and the channel stays mute.
    expect([...ratesOf(mergeBaselines(taken.baseline, taken.baseline).counts)].slice(muted, muted + BETS_PER_CHANNEL)).toEqual([0, 0, 0])
    expect(importBaseline(exportBaseline(taken.baseline))).toEqual(taken)
  })

  const broken: readonly { readonly name: string; readonly value: unknown; readonly because: RegExp }[] = [
    { name: 'not an object', value: [], because: /not an object/ },
    { name: 'another format', value: { ...plain, format: 3 }, because: /format/ },
    { name: 'a format that it has not', value: { ...plain, format: 1 }, because: /ranges has the wrong length/ },
    { name: 'a missing key', value: without(plain), because: /has no/ },
    { name: 'a key more', value: { ...plain, note: 'x' }, because: /not known/ },
    { name: 'an empty version', value: { ...plain, version: '' }, because: /version/ },
    { name: 'a pause below 0', value: { ...plain, gapMs: -1 }, because: /gapMs/ },
    { name: 'text for a number', value: { ...plain, joinDistance: '0.4' }, because: /joinDistance/ },
    { name: 'what is not base64', value: { ...plain, norms: '?' }, because: /norms is not base64/ },
    { name: 'an array cut short', value: { ...plain, norms: 'AAAA' }, because: /norms has the wrong length/ },
    { name: 'no centroids', value: { ...plain, centroids: { rows: '', scales: '' } }, because: /centroids/ },
    {
      name: 'deviations of zero',
      value: { ...plain, norms: btoa('\0'.repeat(baseline.norms.byteLength)) },
      because: /above 0/
    },
    {
      name: 'numbers that are none',
      value: { ...plain, ranges: btoa('\u00ff'.repeat(baseline.ranges.byteLength)) },
      because: /no number/
    },
    {
      name: 'centroids of other lengths',
      value: { ...plain, centroids: { ...plain.centroids, rows: btoa('\u007f'.repeat(baseline.centroids.rows.length)) } },
      because: /unit length/
    },
    { name: 'half a burst', value: { ...plain, counts: { ...plain.counts, bursts: 0.5 } }, because: /whole number/ },
    {
      name: 'more near-duplicates than queries',
      value: { ...plain, counts: { ...plain.counts, nearDuplicates: 1e9 } },
      because: /near-duplicates/
    }
  ]
  for (const { name, value, because } of broken)
    it(`refuses ${name}`, () => {
      const imported = importBaseline(JSON.stringify(value))
      expect(imported.ok ? '' : imported.because).toMatch(because)
    })

  it('refuses what is no JSON, and what is too long', () => {
    expect(importBaseline('{')).toMatchObject({ ok: false, because: 'a baseline is JSON' })
    expect(importBaseline(`${text}${' '.repeat(65_536)}`)).toMatchObject({ ok: false })
  })

  it('never throws, and what it takes can be used', () => {
    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.string({ maxLength: 3 }), (at, piece) => {
        const imported = importBaseline(text.slice(0, at) + piece + text.slice(at + piece.length))
        if (!imported.ok) return
        const taken: Baseline = { ...imported.baseline, space: baseline.space, background: baseline.background }
        const background = backgroundOf(
          readies.slice(1).map((other) => other.baseline),
          kernel
        )
        const used = prepare(taken, space, { ...background, version: baseline.background }, kernel)
        const { verdict } = observe(used, newDriftState(), callsOf(world, 0, 1, 1)[0] as never, DRIFT_THRESHOLDS)
        expect(Number.isFinite(verdict.novelty) && Number.isFinite(verdict.score)).toBe(true)
      }),
      { numRuns: 100 }
    )
  })
})
