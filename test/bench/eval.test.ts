/** What the evaluation of drift reckons with: streams, statistics and the files it takes. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { readDataSet } from '../../bench/eval/data-set.ts'
import { diceFor } from '../../bench/eval/dice.ts'
import { shapiroW } from '../../bench/eval/shapiro.ts'
import { episodes, middle, wilson } from '../../bench/eval/statistics.ts'
import { normalStream, rowsOf, splitOf, USUAL } from '../../bench/eval/streams.ts'

const folder = mkdtempSync(join(tmpdir(), 'eval-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** Two departments of three topics with 20 texts each, and five texts of none. */
const rows = [
  ...['blue', 'red'].flatMap((department) => Array.from({ length: 60 }, (_, at) => [`${department} ${at}`, department, `topic-${at % 3}`])),
  ...Array.from({ length: 5 }, (_, at) => [`stray ${at}`, 'oos', 'oos'])
]
const bytes = Int8Array.from({ length: rows.length * 8 }, (_, at) => ((at * 37) % 251) - 125)
writeFileSync(join(folder, 'colours.json'), JSON.stringify({ dim: 8, rows }))
writeFileSync(join(folder, 'colours.i8'), bytes)

describe('data sets', () => {
  it('have unit vectors by department and topic, and what belongs to none', () => {
    const data = readDataSet(folder)
    expect([...data.departments.keys()]).toEqual(['blue', 'red'])
    expect([...(data.departments.get('red') ?? new Map()).keys()]).toEqual(['topic-0', 'topic-1', 'topic-2'])
    expect(data.unknown).toHaveLength(5)
    for (const query of data.queries) expect(Math.hypot(...query)).toBeCloseTo(1, 6)
    expect(data.documents).toEqual(data.queries)
  })

  it.each([
    [
      'with a byte too few',
      { 'a.json': JSON.stringify({ dim: 8, rows: [['t', 'd', 'x']] }), 'a.i8': new Int8Array(7) },
      'has 7 bytes, not 1 rows of 8'
    ],
    [
      'with a row of two',
      { 'a.json': JSON.stringify({ dim: 8, rows: [['t', 'd']] }), 'a.i8': new Int8Array(8) },
      'is not [text, department, topic]'
    ],
    ['without dimensions', { 'a.json': '{"rows":[]}' }, 'has no dim and rows'],
    ['without a file', {}, 'has no .json file']
  ])('%s are refused', (name, files, says) => {
    const own = mkdtempSync(join(folder, `${name.replaceAll(' ', '-')}-`))
    for (const [file, content] of Object.entries(files)) writeFileSync(join(own, file), content)
    expect(() => readDataSet(own)).toThrow(says)
  })
})

describe('streams', () => {
  const split = splitOf(readDataSet(folder), 3)

  it('never repeat a text, nor take one that was learnt', () => {
    const { vectors } = normalStream(split, 'blue', 20, 1)
    expect(new Set(vectors).size).toBe(20)
    const learnt = new Set(rowsOf(split.learnt.get('blue')).map((row) => split.data.queries[row]))
    expect(learnt.size).toBe(36)
    expect(vectors.filter((vector) => learnt.has(vector))).toEqual([])
  })

  it('are the same for the same seed, and others for another run', () => {
    expect(normalStream(split, 'blue', 20, 1)).toEqual(normalStream(split, 'blue', 20, 1))
    expect(normalStream(split, 'blue', 20, 2)).not.toEqual(normalStream(split, 'blue', 20, 1))
    expect(normalStream(splitOf(split.data, 4), 'blue', 20, 1)).not.toEqual(normalStream(split, 'blue', 20, 1))
  })

  it('come in bursts with pauses, longer ones where told', () => {
    const pauses = (lengths: number) => {
      const { times } = normalStream(split, 'red', 24, 1, { ...USUAL, lengths })
      return times.slice(1).filter((time, at) => time - (times[at] as number) > 10_000).length
    }
    expect(pauses(1)).toBeGreaterThan(pauses(5))
    expect(pauses(5)).toBeLessThanOrEqual(2)
  })
})

describe('statistics', () => {
  it("Wilson's interval", () => {
    expect(wilson(0, 10)).toEqual({ low: 0, high: expect.closeTo(0.2775, 4) })
    expect(wilson(5, 10)).toEqual({ low: expect.closeTo(0.2366, 4), high: expect.closeTo(0.7634, 4) })
    expect(wilson(10, 10)).toEqual({ low: expect.closeTo(0.7225, 4), high: 1 })
  })

  it('alarms within 100 queries are one episode', () => {
    const alarms = new Uint8Array(400)
    alarms.fill(1, 10, 20)
    alarms[110] = 1
    expect(episodes(alarms)).toBe(1)
    alarms[300] = 1
    expect(episodes(alarms)).toBe(2)
  })

  it('the middle of runs that were not all found', () => {
    expect(middle([3, 1, Number.POSITIVE_INFINITY])).toBe(3)
    expect(middle([3, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY])).toBe(Number.POSITIVE_INFINITY)
  })

  it("Shapiro and Wilk's W is that of R (0.7888), and near 1 for normal numbers only", () => {
    expect(shapiroW([148, 154, 158, 160, 161, 162, 166, 170, 182, 195, 236])).toBeCloseTo(0.7888, 4)
    const dice = diceFor('normal')
    const numbers = Array.from({ length: 100 }, () => dice.normal())
    expect(shapiroW(numbers)).toBeGreaterThan(0.97)
    expect(shapiroW(numbers.map((value) => Math.exp(value)))).toBeLessThan(0.85)
  })

  it('dice have the moments that they should', () => {
    const dice = diceFor('moments')
    const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
    const normal = Array.from({ length: 20_000 }, () => dice.normal())
    expect(Math.abs(mean(normal))).toBeLessThan(0.03)
    expect(mean(normal.map((value) => value * value))).toBeCloseTo(1, 1)
    const shares = Array.from({ length: 4000 }, () => dice.dirichlet([0.5, 1.5, 3]))
    expect(mean(shares.map(([first]) => first as number))).toBeCloseTo(0.1, 2)
    expect(mean(shares.map(([, , last]) => last as number))).toBeCloseTo(0.6, 2)
  })
})
