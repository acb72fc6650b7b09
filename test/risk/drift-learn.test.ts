import { describe, expect, it } from 'vitest'
import { type DriftCall, SKETCH_DIMENSIONS } from '../../src/core/drift.ts'
import { DRAFT_QUERIES_MAX } from '../../src/core/drift-learning.ts'
import { burstsOf, FOLDS, foldsOf, learn, mergeDrafts, newDraft, progressOf } from '../../src/risk/drift-learn.ts'
import { hashSparse, queriesOf } from '../../src/risk/drift-queries.ts'
import { foldSigns, readySpace, sketch } from '../../src/risk/drift-sketch.ts'
import { fitSpace } from '../../src/risk/drift-space.ts'
import { startKernel } from '../../src/risk/kernel-wasm.ts'
import { callsOf, numbers, unitRows, worldOf } from './drift-material.ts'

const KEY = { tenant: 'acme', agentType: 'support', collection: 'docs' }
const SHAPE = { form: 'dense', dimensions: 96, seed: 5 } as const
const world = worldOf(96, 2)

describe('learning', () => {
  it('shows how far it is from the first query on', () => {
    const draft = newDraft(KEY, SHAPE)
    expect(progressOf(draft)).toEqual({
      queries: 0,
      skipped: 0,
      workloads: 0,
      bursts: 0,
      burstsToJudge: 12,
      burstsToCoherence: 40,
      full: false
    })
    learn(draft, 'one', callsOf(world, 0, 1, 1)[0] as DriftCall)
    expect(progressOf(draft)).toMatchObject({ queries: 1, bursts: 1, burstsToJudge: 11 })
    for (const call of callsOf(world, 0, 13, 2, 1e6)) learn(draft, 'two', call)
    expect(progressOf(draft)).toMatchObject({ workloads: 2, bursts: 14, burstsToJudge: 0, burstsToCoherence: 26 })
  })

  it('keeps nothing of other dimensions, of no direction, or of another form, and counts it', () => {
    const draft = newDraft(KEY, SHAPE)
    const calls: DriftCall[] = [
      { vectors: [new Float32Array(95).fill(1)], at: 0 },
      { vectors: [new Float32Array(96)], at: 0 },
      { vectors: [new Float32Array(96).fill(1)], form: 'sparse', at: 0 },
      { vectors: [], unseen: 1, at: 0 }
    ]
    expect(calls.map((call) => learn(draft, 'one', call))).toEqual([0, 0, 0, 0])
    expect(progressOf(draft)).toMatchObject({ queries: 0, skipped: 3 })
  })

  it('stops when it is full', () => {
    const draft = newDraft(KEY, { ...SHAPE, dimensions: 4 })
    const [vector] = unitRows(numbers(1, 4), 4) as [Float32Array]
    for (let at = 0; at < DRAFT_QUERIES_MAX + 5; at++) learn(draft, 'one', { vectors: [vector], at })
    expect(progressOf(draft)).toMatchObject({ queries: DRAFT_QUERIES_MAX, skipped: 5, full: true })
  })

  it('cuts bursts where a workload pauses, whatever others do in between', () => {
    const draft = newDraft(KEY, { ...SHAPE, dimensions: 4 })
    const [vector] = unitRows(numbers(1, 4), 4) as [Float32Array]
    for (const [workload, at] of [
      ['one', 0],
      ['two', 100],
      ['one', 400],
      ['two', 60_000],
      ['one', 800],
      ['one', 60_800],
      ['one', 61_200]
    ] as const)
      learn(draft, workload, { vectors: [vector], at })
    const { bursts, gapMs } = burstsOf(draft)
    expect(gapMs).toBe(5000)
    expect(bursts.map(({ rows }) => rows)).toEqual([[0, 2, 4], [5, 6], [1], [3]])
  })

  it('takes longer pauses for normal where an agent is slow', () => {
    const draft = newDraft(KEY, { ...SHAPE, dimensions: 4 })
    const [vector] = unitRows(numbers(1, 4), 4) as [Float32Array]
    for (let at = 0; at < 20; at++) learn(draft, 'one', { vectors: [vector], at: at * 9000 + Math.floor(at / 10) * 600_000 })
    expect(burstsOf(draft)).toMatchObject({ gapMs: 72_000 })
    expect(burstsOf(draft).bursts).toHaveLength(2)
  })

  it('holds back a twelfth at a time, and of every task some, also where an agent goes round its tasks', () => {
    const folds = foldsOf(Array.from({ length: 96 }, () => ({ workload: 0, rows: [] })))
    for (let fold = 0; fold < FOLDS; fold++) expect(folds.filter((one) => one === fold).length).toBe(8)
    for (let task = 0; task < 12; task++) expect(new Set(folds.filter((_, at) => at % 12 === task)).size).toBeGreaterThan(1)
  })

  it('two replicas learn together what one would have learnt', () => {
    const [all, one, two] = [newDraft(KEY, SHAPE), newDraft(KEY, SHAPE), newDraft(KEY, SHAPE)]
    callsOf(world, 0, 20, 3).forEach((call, at) => {
      learn(all, 'one', call)
      learn(at % 3 === 0 ? one : two, 'one', call)
    })
    for (const merged of [mergeDrafts(one, two), mergeDrafts(two, one)]) {
      expect(merged.rows.subarray(0, all.queries * 96)).toEqual(all.rows.subarray(0, all.queries * 96))
      expect(merged.times.subarray(0, all.queries)).toEqual(all.times.subarray(0, all.queries))
      expect(burstsOf(merged)).toEqual(burstsOf(all))
    }
  })
})

describe('the space', () => {
  const kernel = startKernel()

  it('finds the directions of most variance: what moves in 40 of 96 dimensions leaves no residual', () => {
    const draft = newDraft(KEY, SHAPE)
    const values = numbers(3, 400 * 40)
    const vectors = Array.from({ length: 400 }, (_, row) => {
      const vector = new Float32Array(96)
      vector.set(values.subarray(row * 40, (row + 1) * 40))
      return vector
    })
    vectors.forEach((vector, at) => {
      learn(draft, 'one', { vectors: [vector], at: at * 400 })
    })
    const space = readySpace(fitSpace([draft], 'v'))
    expect(sketch(vectors[7] as Float32Array, 'dense', space, kernel)).toBeLessThan(1e-3)
    expect(sketch(new Float32Array(96).fill(1, 40), 'dense', space, kernel)).toBeGreaterThan(0.9)
    expect(kernel.sketch.reduce((sum, value) => sum + value * value, 0)).toBeCloseTo(1, 5)
  })

  it('is of one embedding model', () => {
    const [draft, other] = [newDraft(KEY, SHAPE), newDraft(KEY, { ...SHAPE, seed: 6 })]
    for (const each of [draft, other]) learn(each, 'one', callsOf(world, 0, 1, 1)[0] as DriftCall)
    expect(() => fitSpace([draft, other], 'v')).toThrow(/one embedding model/)
    expect(() => fitSpace([], 'v')).toThrow(/nothing to fit/)
  })

  it('folding 1536 dimensions to 384 keeps inner products in the mean, and needs the seed', () => {
    const rows = unitRows(numbers(4, 60 * 1536), 1536)
    const errors = rows.slice(1).map((row, at) => {
      const other = rows[at] as Float32Array
      const mixed = row.map((value, index) => value + (other[index] as number))
      const [a, b] = [folded(mixed, 9), folded(other, 9)]
      const exact = mixed.reduce((sum, value, index) => sum + value * (other[index] as number), 0)
      return a.reduce((sum, value, index) => sum + value * (b[index] as number), 0) - exact
    })
    expect(Math.abs(errors.reduce((sum, error) => sum + error, 0) / errors.length)).toBeLessThan(0.04)
    expect(folded(rows[0] as Float32Array, 9)).not.toEqual(folded(rows[0] as Float32Array, 10))
    expect(foldSigns(9, 384)).toEqual(new Int8Array(384).fill(1))
  })

  function folded(vector: Float32Array, seed: number): Float64Array {
    const signs = foldSigns(seed, vector.length)
    const out = new Float64Array(384)
    vector.forEach((value, at) => {
      out[at % 384] = (out[at % 384] as number) + value * (signs[at] as number)
    })
    return out
  }
})

describe('queries', () => {
  it('a sparse vector has the same direction whatever the order of its indices, and the largest values do not overflow', () => {
    const one = hashSparse([1, 70_000, 4_000_000_000], [0.5, 0.2, 0.9], 7)
    expect(hashSparse([4_000_000_000, 1, 70_000], [0.9, 0.5, 0.2], 7)).toEqual(one)
    expect(hashSparse([1, 70_000, 4_000_000_000], [0.5, 0.2, 0.9], 8)).not.toEqual(one)
    expect(hashSparse([1, 2], [3e38, 3e38], 7).every(Number.isFinite)).toBe(true)
    expect(hashSparse([], [], 7)).toEqual(new Float32Array(384))
  })

  it('rows of a multi-vector count by direction, not by length', () => {
    const [a, b] = unitRows(numbers(1, 2 * SKETCH_DIMENSIONS), SKETCH_DIMENSIONS) as [Float32Array, Float32Array]
    const [plain] = queriesOf({ vectors: [a, b], rows: [2], at: 0 }) as [Float32Array]
    const [scaled] = queriesOf({ vectors: [a.map((value) => value * 2 ** 20), b], rows: [2], at: 0 }) as [Float32Array]
    scaled.forEach((value, at) => {
      expect(value).toBeCloseTo(plain[at] as number, 5)
    })
  })

  it('rows of different lengths make a query of a wrong dimension, not a quiet one', () => {
    const [odd] = queriesOf({ vectors: [new Float32Array(96).fill(1), new Float32Array(95).fill(1)], rows: [2], at: 0 })
    expect(odd?.length).toBe(95)
  })
})
