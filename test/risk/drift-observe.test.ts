import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DRIFT_THRESHOLDS, DRIFT_TIERS, type DriftCall, type DriftState, type DriftVerdict } from '../../src/core/drift.ts'
import { clearEvidence } from '../../src/risk/drift-evidence.ts'
import { backgroundOf } from '../../src/risk/drift-freeze.ts'
import { newDriftState, observe } from '../../src/risk/drift-observe.ts'
import type { ReadyBaseline } from '../../src/risk/drift-ready.ts'
import { prepare } from '../../src/risk/drift-ready.ts'
import { plainKernel } from '../../src/risk/kernel.ts'
import { startKernel } from '../../src/risk/kernel-wasm.ts'
import { callsOf, learntFrom, numbers, worldOf } from './drift-material.ts'

const kernel = startKernel()
const world = worldOf(96, 3)
const { readies, space } = learntFrom(world, 90, kernel)
const ready = readies[0] as ReadyBaseline

function run(calls: readonly DriftCall[], state: DriftState = newDriftState(), of = ready): DriftVerdict[] {
  return calls.map((call) => observe(of, state, call, DRIFT_THRESHOLDS).verdict)
}

/** Foreign queries in one burst, a call each. */
const foreign = (count: number, from: number) =>
  callsOf(world, 2, 30, 9)
    .slice(0, count)
    .map((call, at): DriftCall => ({ ...call, at: from + 400 * at }))
const LATER = 1e9

describe('observe', () => {
  it('leaves the bursts of an honest agent alone, for 500 bursts', () => {
    const verdicts = run(callsOf(world, 0, 500, 3))
    expect(verdicts.length).toBeGreaterThan(3000)
    expect(verdicts.filter(({ tier }) => tier === 'step-up' || tier === 'quarantine').length).toBe(0)
    expect(verdicts.filter(({ novelty }) => novelty >= DRIFT_THRESHOLDS.watch).length).toBeLessThan(10)
  })

  it('asks for a step-up within ten foreign queries after an honest morning, and for quarantine when they go on', () => {
    const state = newDriftState()
    run(callsOf(world, 0, 20, 4), state)
    const tiers = run(foreign(40, LATER), state).map(({ tier }) => tier)
    const first = tiers.indexOf('step-up')
    expect(first).toBeGreaterThan(0)
    expect(first).toBeLessThan(10)
    expect(tiers.at(-1)).toBe('quarantine')
  })

  it('names the cause with numbers, and the queries that weighed most', () => {
    const verdict = run(foreign(12, LATER)).at(-1)
    expect(verdict?.causes[0]).toMatchObject({ family: 'novelty' })
    expect(verdict?.causes[0]?.evidence).toBeGreaterThan(300)
    expect(verdict?.causes[0]?.rate).toBeGreaterThan(0)
    expect(verdict?.top).toHaveLength(3)
    expect(verdict?.top[0]?.p[0]).toBeLessThan(0.02)
    expect(verdict?.top[0]?.z[0]).toBeGreaterThan(2)
  })

  it('says nothing of causes while all is normal', () => {
    expect(run(callsOf(world, 0, 1, 5)).at(-1)).toMatchObject({ tier: 'normal', causes: [], top: [], label: 'vectors-seen' })
  })

  it('a query that moves through the directions that the sketch drops is seen by its residual energy', () => {
    const noise = numbers(77, 96 * 20)
    const calls = Array.from(
      { length: 20 },
      (_, at): DriftCall => ({ vectors: [Float32Array.from(noise.subarray(at * 96, (at + 1) * 96))], at: LATER + at })
    )
    expect(
      run(calls)
        .at(-1)
        ?.causes.map(({ channel }) => channel)
    ).toContain('residual-energy')
  })

  it('exact repeats move nothing; the same vector with another filter is a near-duplicate', () => {
    const [call] = callsOf(world, 0, 1, 6) as [DriftCall]
    const state = newDriftState()
    run([call], state)
    const before = [...state.evidence.logs]
    const repeated = run([{ ...call, at: call.at + 100 }], state)[0]
    expect(repeated?.repeats).toBe(1)
    expect([...state.evidence.logs]).toEqual(before)
    const other = run([{ ...call, rest: 1, at: call.at + 200 }], state)[0]
    expect(other?.repeats).toBe(0)
    expect([...state.evidence.logs]).not.toEqual(before)
  })

  it('a workload whose sketches were let go keeps its evidence', () => {
    const state = newDriftState()
    const before = run(foreign(12, LATER), state).at(-1)
    state.rings = undefined
    expect(run([{ vectors: [], unseen: 1, at: LATER + 6000 }], state)[0]?.novelty).toBe(before?.novelty)
    expect(run(foreign(1, LATER + 6001), state)[0]?.repeats).toBe(0)
  })

  it('a cleared workload starts again, and is found again', () => {
    const state = newDriftState()
    expect(run(foreign(20, LATER), state).at(-1)?.tier).not.toBe('normal')
    clearEvidence(state)
    expect(run([{ vectors: [], unseen: 1, at: LATER + 9000 }], state)[0]).toMatchObject({ tier: 'normal', novelty: 0, coherence: 0 })
    const others = callsOf(world, 1, 10, 9).map((call, at) => ({ ...call, at: LATER + 10_000 + 400 * at }))
    expect(run(others.slice(0, 20), state).at(-1)?.tier).not.toBe('normal')
  })

  it('the verdict of a batch is about its worst moment: a normal query at the end hides nothing', () => {
    const batch = foreign(12, LATER).flatMap(({ vectors }) => vectors)
    const honest = callsOf(world, 0, 40, 8).flatMap(({ vectors }) => vectors)
    const [alone] = run([{ vectors: batch, at: LATER }])
    const [hidden] = run([{ vectors: [...batch, ...honest.slice(0, 30)], at: LATER }])
    expect(hidden?.novelty).toBeGreaterThanOrEqual(alone?.novelty ?? Number.POSITIVE_INFINITY)
  })

  it('both kernels give the same evidence to the bit', () => {
    const background = backgroundOf([], kernel)
    const plain = prepare({ ...ready.baseline, background: background.version }, space, background, plainKernel())
    const simd = prepare({ ...ready.baseline, background: background.version }, space, background, kernel)
    const calls = [...callsOf(world, 0, 10, 3), ...foreign(10, LATER)]
    expect(run(calls, newDriftState(), plain)).toEqual(run(calls, newDriftState(), simd))
  })
})

describe('what cannot be compared', () => {
  const strange: readonly { readonly name: string; readonly call: DriftCall }[] = [
    { name: 'a zero vector', call: { vectors: [new Float32Array(96)], at: LATER } },
    { name: 'a vector of another dimension', call: { vectors: [new Float32Array(95).fill(1)], at: LATER } },
    { name: 'no components at all', call: { vectors: [new Float32Array(0)], at: LATER } },
    {
      name: 'a sparse vector where the baseline is of dense ones',
      call: { vectors: [new Float32Array(96).fill(1)], form: 'sparse', at: LATER }
    },
    { name: 'what is no number', call: { vectors: [new Float32Array(96).fill(Number.NaN)], at: LATER } },
    { name: 'what is infinite', call: { vectors: [new Float32Array(96).fill(Number.POSITIVE_INFINITY)], at: LATER } }
  ]
  for (const { name, call } of strange)
    it(`${name} is wholly novel, has no cell, and asks for a step-up before the tenth`, () => {
      const calls = Array.from({ length: 10 }, (_, at) => ({ ...call, at: LATER + at }))
      const last = run(calls).at(-1)
      expect(['step-up', 'quarantine']).toContain(last?.tier)
      expect(last?.cells).toEqual(Int16Array.of(-1))
      expect(last?.top[0]?.why).toBeDefined()
    })

  it('the length of a vector does not count, from the smallest floats to the largest', () => {
    const [call] = callsOf(world, 0, 1, 6) as [DriftCall]
    const [vector] = call.vectors as [Float32Array]
    const scaled = (scale: number) => run([{ vectors: [vector.map((value) => value * scale)], at: LATER }])[0]
    const usual = scaled(1)
    for (const scale of [1e-30, 1e-12, 1e12, 1e37]) {
      expect(scaled(scale)?.cells, `${scale}`).toEqual(usual?.cells)
      expect(scaled(scale)?.novelty, `${scale}`).toBeCloseTo(usual?.novelty ?? 0, 2)
    }
  })

  it('without vectors nothing moves, and the label says so', () => {
    const state = newDriftState()
    const [verdict] = run([{ vectors: [], unseen: 3, at: LATER }], state)
    expect(verdict).toMatchObject({ tier: 'normal', label: 'vectors-unseen', seen: 0, unseen: 3 })
    expect(state.evidence.bursts).toBe(0)
    const [vector] = (callsOf(world, 0, 1, 6)[0] as DriftCall).vectors as [Float32Array]
    expect(run([{ vectors: [vector], unseen: 1, at: LATER }])[0]?.label).toBe('vectors-unseen')
    expect(run([{ vectors: [vector], at: LATER }])[0]?.label).toBe('vectors-seen')
  })

  it('a multi-vector is one query; rows that do not add up are judged one by one', () => {
    const vectors = callsOf(world, 0, 3, 6)
      .flatMap((call) => call.vectors)
      .slice(0, 5)
    expect(run([{ vectors, rows: [2, 3], at: LATER }])[0]?.seen).toBe(2)
    for (const rows of [
      [2, 2],
      [5, 0],
      [6, -1],
      [2, Number.NaN]
    ])
      expect(run([{ vectors, rows, at: LATER }])[0]?.seen, `${rows}`).toBe(5)
  })

  it('no finite vectors at any time, however they come, make evidence that is no number', () => {
    const component = fc.oneof(fc.float({ noNaN: true, noDefaultInfinity: true }), fc.constantFrom(0, -0, 3.4e38, -3.4e38, 1e-45))
    const call = fc.record({
      vectors: fc.array(
        fc.array(component, { minLength: 96, maxLength: 96 }).map((values) => Float32Array.from(values)),
        { maxLength: 4 }
      ),
      at: fc.integer({ min: 0, max: 2e9 }),
      unseen: fc.nat(3)
    })
    fc.assert(
      fc.property(fc.array(call, { minLength: 1, maxLength: 30 }), (calls) => {
        for (const verdict of run(calls)) {
          for (const value of [verdict.novelty, verdict.coherence, verdict.score]) expect(Number.isFinite(value)).toBe(true)
          expect(DRIFT_TIERS).toContain(verdict.tier)
          expect(verdict.top.flatMap(({ z, p }) => [...z, ...p]).every(Number.isFinite)).toBe(true)
        }
      }),
      { numRuns: 40 }
    )
  })
})
